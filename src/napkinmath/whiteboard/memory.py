"""Closed forms of memory: model states, activations, KV cache, adapters.

Plain arithmetic on numbers, pandas columns or SymPy symbols; :func:`napkinmath.memory` adds them up for a spec. They ignore
fragmentation, the framework's context (hundreds of MB on CUDA) and communication buffers; for sharding see :mod:`napkinmath.parallel`.
"""

from __future__ import annotations

import math

from ..dtypes import bytes_per_value
from ..scalar import Value, ceil, minimum, sqrt
from .scaling import group_quantized_bytes

# Weights, gradients, optimizer ---------------------------------------------------------------------------------------


def optimizer_state_bytes(params: Value, state_values: Value = 2, state_bytes: Value = 4) -> Value:
    """Bytes of an optimizer that keeps ``state_values`` values per parameter: 0 for SGD, 1 with momentum, 2 for Adam.

    >>> optimizer_state_bytes(params=1.5e9) / 1e9
    12.0
    """
    return params * state_values * state_bytes


def adam8bit_state_bytes(params: Value, block: Value = 256) -> Value:
    """Bytes of 8-bit Adam: two moments of a byte, each block of ``block`` values with an fp32 scale.

    Dettmers et al. 2022 (arXiv:2110.02861), whose blocks have 2,048 values; bitsandbytes takes 256 since 0.44 (its pull request 1365).
    Ignores that tensors under 4,096 values keep fp32 state.

    >>> adam8bit_state_bytes(params=256)
    520.0
    """
    return params * 2 * (1 + 4 / block)


def adafactor_state_bytes(rows: Value, columns: Value, matrices: Value = 1) -> Value:
    """Bytes of Adafactor's second moment of ``[rows, columns]`` matrices: a row and a column of fp32 instead of the matrix.

    Shazeer and Stern 2018 (arXiv:1804.04235), without momentum. Vectors are not factored: 4 bytes a value.

    >>> adafactor_state_bytes(rows=4096, columns=4096) / (8 * 4096 * 4096)
    0.000244140625
    """
    return 4 * matrices * (rows + columns)


def model_state_bytes(params: Value, weights: Value = 2, gradients: Value = 2, master: Value = 4, state: Value = 8) -> Value:
    """Bytes of weights, gradients, master copy and optimizer state, given each one's bytes per parameter.

    The defaults are mixed precision with Adam: 16 bytes (Rajbhandari et al. 2020, arXiv:1910.02054, section 3.1).

    >>> model_state_bytes(params=1.5e9) / 1e9
    24.0
    """
    return params * (weights + gradients + master + state)


# Activations ----------------------------------------------------------------------------------------------------------


def layer_saved_bytes(
    batch: Value,
    seq: Value,
    d_model: Value,
    d_ff: Value,
    n_heads: Value,
    n_kv_heads: Value,
    d_head: Value,
    gated: Value = 0,
    dropout: Value = 0,
    keep_scores: Value = 1,
    dtype: Value = "bf16",
) -> Value:
    """Bytes that one transformer layer keeps for its backward pass.

    Inputs of both norms, of the projections and the FFN, queries, keys, values, the attention's output, the FFN's inner values (up and
    activated; a gate doubles them), and the softmax's output; with ``dropout``, 1-byte masks and the dropped scores. Flags are 0 or 1;
    without ``keep_scores`` (a fused kernel, selective recomputation) nothing quadratic stays. With dropout, ``d_ff = 4 d_model`` and
    no grouping this is ``s b h (34 + 5 a s / h)``, equation 2 of Korthikanti et al. 2022 (arXiv:2205.05198).

    Ignores: a fused kernel's log-sum-exp, masks that are as wide as their values (dropout on CPU), rotary tables, and what a
    framework upcasts (norms and softmax in fp32).

    >>> layer_saved_bytes(1, 2048, 12288, 4 * 12288, 96, 96, 128, dropout=1) == 2048 * 12288 * (34 + 5 * 96 * 2048 / 12288)
    True
    """
    width = bytes_per_value(dtype)
    per_token = 4 * d_model + 2 * (n_heads + n_kv_heads) * d_head + (2 + 2 * gated) * d_ff
    linear = batch * seq * (per_token * width + dropout * 2 * d_model)
    scores = batch * n_heads * seq * seq * (width + dropout * (width + 1))
    return linear + keep_scores * scores


def checkpoint_bytes(
    batch: Value, seq: Value, d_model: Value, n_layers: Value, layer_bytes: Value, dtype: Value = "bf16", segment: Value = 1
) -> Value:
    """Bytes of full recomputation: the input of every ``segment`` layers, and the activations of one segment while it runs again.

    ``layer_bytes`` is what one layer keeps (:func:`layer_saved_bytes`). Takes the segments to divide the layers.

    >>> checkpoint_bytes(batch=1, seq=2048, d_model=4096, n_layers=32, layer_bytes=0) / 2**20
    512.0
    """
    return n_layers / segment * batch * seq * d_model * bytes_per_value(dtype) + segment * layer_bytes


def checkpoint_segment(n_layers: Value, input_bytes: Value, layer_bytes: Value) -> Value:
    """Layers in a segment that make :func:`checkpoint_bytes` least: ``sqrt(n_layers * input_bytes / layer_bytes)``.

    ``sqrt(n)`` segments (Chen et al. 2016, arXiv:1604.06174) where a layer keeps no more than its input. A transformer layer keeps
    some 16 to 21 times as much, so that each of a few dozen layers is a segment of its own.

    >>> checkpoint_segment(n_layers=100, input_bytes=1, layer_bytes=1), checkpoint_segment(n_layers=32, input_bytes=1, layer_bytes=32)
    (10.0, 1.0)
    """
    return sqrt(n_layers * input_bytes / layer_bytes)


def logits_saved_bytes(batch: Value, seq: Value, d_model: Value, vocab: Value, dtype: Value = "bf16") -> Value:
    """Bytes that the final norm, the output layer and the loss keep: two inputs, and the logits in fp32.

    Korthikanti et al. 2022, section 4.3: ``4 s b h (1 + v / h)`` in 16 bits.

    >>> logits_saved_bytes(batch=1, seq=8192, d_model=4096, vocab=128256) / 2**30
    4.0390625
    """
    return batch * seq * (2 * d_model * bytes_per_value(dtype) + 4 * vocab)


# KV cache -------------------------------------------------------------------------------------------------------------


def allocated_kv_cache_bytes(
    n_layers: Value,
    n_kv_heads: Value,
    d_head: Value,
    batch: Value,
    context: Value,
    dtype: Value = "bf16",
    block: Value = 16,
    window: Value = math.inf,
    scale_group: Value = math.inf,
    scale_bytes: Value = 2,
) -> Value:
    """Bytes that a paged KV cache takes: whole blocks of ``block`` tokens, none beyond a sliding ``window``, quantized with scales.

    Kwon et al. 2023 (arXiv:2309.06180) use blocks of 16 tokens: half a block a sequence is lost on average. ``scale_group`` values of a
    quantized cache share ``scale_bytes`` (scale, and zero point if there is one). Ignores block tables.

    >>> allocated_kv_cache_bytes(32, 8, 128, batch=1, context=8190) / 2**30
    1.0
    """
    tokens = ceil(minimum(context, window) / block) * block
    return 2 * n_layers * n_kv_heads * d_head * batch * tokens * (bytes_per_value(dtype) + scale_bytes / scale_group)


# Adapters -------------------------------------------------------------------------------------------------------------


def lora_params(d_in: Value, d_out: Value, rank: Value, matrices: Value = 1) -> Value:
    """Parameters of low-rank adapters ``[d_in, rank] @ [rank, d_out]`` (Hu et al. 2021, arXiv:2106.09685).

    >>> lora_params(d_in=4096, d_out=4096, rank=8, matrices=64)
    4194304
    """
    return matrices * rank * (d_in + d_out)


def quantized_weight_bytes(
    params: Value, bits: Value = 4, block: Value = 64, double_quantization: Value = 1, second_block: Value = 256
) -> Value:
    """Bytes of block-quantized weights with their scales.

    Each block has an fp32 scale (0.5 bits per parameter at 64); ``double_quantization`` stores it in 8 bits, with an fp32 scale per
    ``second_block`` of them (0.127 bits): QLoRA, Dettmers et al. 2023 (arXiv:2305.14314), section 3.

    >>> round(8 * quantized_weight_bytes(params=1) - 4, 3), round(8 * quantized_weight_bytes(params=1, double_quantization=0) - 4, 3)
    (0.127, 0.5)
    """
    scales = double_quantization * (8 + 32 / second_block) + (1 - double_quantization) * 32
    return group_quantized_bytes(params, bits, block, scales)


def lora_state_bytes(base_bytes: Value, adapter_params: Value, bytes_per_parameter: Value = 16) -> Value:
    """Bytes of model states when only adapters train: the frozen base, and ``bytes_per_parameter`` for each adapter parameter.

    >>> lora_state_bytes(quantized_weight_bytes(65e9), adapter_params=0.4e9) / 1e9 < 48
    True
    """
    return base_bytes + adapter_params * bytes_per_parameter
