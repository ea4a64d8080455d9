"""Rules of thumb that go by parameter count, with the condition under which each holds, and the bytes of quantized weights."""

from __future__ import annotations

from ..scalar import sqrt
from .linear import Value


def two_n_flops(params: Value, tokens: Value) -> Value:
    """FLOPs of a forward pass by the rule ``2 N``: each parameter is used once per token, in one multiply-accumulate.

    Kaplan et al. 2020 (arXiv:2001.08361), section 2.1. ``params`` are those that are multiplied: of a mixture of experts the active ones,
    of the embeddings only what is also the output layer. Leaves out the scores, which grow with the context.

    >>> two_n_flops(params=7e9, tokens=1)
    14000000000.0
    """
    return 2 * params * tokens


def chinchilla_tokens(params: Value, tokens_per_param: Value = 20) -> Value:
    """Training tokens that make a model of ``params`` compute-optimal: about 20 a parameter.

    Hoffmann et al. 2022 (arXiv:2203.15556): 1.4e12 tokens for 70e9 parameters. Optimal for *training* compute; who serves the model
    for long trains a smaller one on more.

    >>> chinchilla_tokens(70e9)
    1400000000000.0
    """
    return tokens_per_param * params


def chinchilla_params(flops: Value, tokens_per_param: Value = 20) -> Value:
    """Parameters that ``flops`` of training compute train optimally: ``C = 6 N D`` with ``D = tokens_per_param N``, solved for ``N``.

    >>> round(chinchilla_params(5.88e23) / 1e9)
    70
    """
    return sqrt(flops / (6 * tokens_per_param))


def parametric_loss(
    params: Value,
    tokens: Value,
    irreducible: Value = 1.69,
    params_scale: Value = 406.4,
    params_exponent: Value = 0.34,
    tokens_scale: Value = 410.7,
    tokens_exponent: Value = 0.28,
) -> Value:
    """Loss ``E + A / N^alpha + B / D^beta`` in nats per token, with the constants of Hoffmann et al. 2022, equation 10.

    Fitted on their data and tokenizer from 70 M to 16 B parameters. Besiroglu et al. 2024 (arXiv:2404.10102) refit the same points to
    ``1.8172, 482.01, 0.3478, 2085.43, 0.3658``.

    >>> round(parametric_loss(70e9, 1.4e12), 3)
    1.937
    """
    return irreducible + params_scale / params**params_exponent + tokens_scale / tokens**tokens_exponent


def quantized_bits_per_weight(bits: Value, group: Value, scale_bits: Value = 16, zero_bits: Value = 0) -> Value:
    """Bits that a weight takes with its share of the scale (and zero point) that each ``group`` of weights has.

    >>> quantized_bits_per_weight(bits=4, group=128), quantized_bits_per_weight(bits=4, group=32, zero_bits=4)
    (4.125, 4.625)
    """
    return bits + (scale_bits + zero_bits) / group


def group_quantized_bytes(params: Value, bits: Value, group: Value, scale_bits: Value = 16, zero_bits: Value = 0) -> Value:
    """Bytes of ``params`` weights quantized to ``bits`` in groups; what stays in high precision (embeddings, norms) comes on top.

    >>> group_quantized_bytes(7e9, bits=4, group=128) / 1e9
    3.609375
    """
    return params * quantized_bits_per_weight(bits, group, scale_bits, zero_bits) / 8


def decode_intensity(batch: Value, flops: Value, weight_bytes: Value, cache_bytes: Value) -> Value:
    """FLOPs per byte of one decode step: the weights are read once for all ``batch`` sequences, each cache for its own.

    ``flops`` and ``cache_bytes`` are those of one sequence. Rises with the batch towards ``flops / cache_bytes``, the ceiling that no batch
    passes. Activations are ignored.

    >>> round(decode_intensity(1, 16e9, 16e9, 1e9), 2), round(decode_intensity(64, 16e9, 16e9, 1e9), 2)
    (0.94, 12.8)
    """
    return batch * flops / (weight_bytes + batch * cache_bytes)
