"""Closed forms of one matrix product: what a linear layer costs and where it stops being bound by memory.

FLOPs are 2 per multiply-accumulate; see :mod:`napkinmath.ledger`.
"""

from __future__ import annotations

from typing import Any

from ..dtypes import bytes_per_value

# Plain arithmetic on numbers, pandas columns or SymPy symbols.
Value = Any


def linear_params(d_in: Value, d_out: Value, bias: Value = 0) -> Value:
    """Parameters of a linear layer ``[*, d_in] -> [*, d_out]``."""
    return d_in * d_out + bias * d_out


def linear_flops(tokens: Value, d_in: Value, d_out: Value) -> Value:
    """FLOPs of ``[tokens, d_in] @ [d_in, d_out]``: each output takes ``d_in`` multiply-accumulates of 2 FLOPs.

    >>> linear_flops(tokens=1024, d_in=768, d_out=3072)
    4831838208
    """
    return 2 * tokens * d_in * d_out


def linear_bytes(tokens: Value, d_in: Value, d_out: Value, dtype: Value = "bf16", weight_dtype: Value = None) -> Value:
    """Bytes that a linear layer must move once: input, weight, output. Ignores caches and the bias.

    ``weight_dtype`` where weights are stored narrower than activations: a dtype, or bytes per weight with its share of the scales,
    ``quantized_bits_per_weight(bits=4, group=128) / 8``.

    >>> linear_bytes(tokens=1, d_in=4096, d_out=4096, dtype="bf16", weight_dtype="int4") / 2**20
    8.015625
    """
    width, weight_width = bytes_per_value(dtype), bytes_per_value(dtype if weight_dtype is None else weight_dtype)
    return tokens * (d_in + d_out) * width + d_in * d_out * weight_width


def linear_intensity(tokens: Value, d_in: Value, d_out: Value, dtype: Value = "bf16") -> Value:
    """FLOPs per byte of a linear layer. With few tokens it tends to ``2 * tokens / bytes_per_value``: weights dominate.

    >>> round(linear_intensity(tokens=1, d_in=4096, d_out=4096, dtype="bf16"), 3)
    1.0
    """
    return linear_flops(tokens, d_in, d_out) / linear_bytes(tokens, d_in, d_out, dtype)


def linear_ridge_tokens(d_in: Value, d_out: Value, ridge_intensity: Value, dtype: Value = "bf16", weight_dtype: Value = None) -> Value:
    """Tokens at which a linear layer reaches ``ridge_intensity`` (FLOPs per byte); with fewer, bandwidth binds it.

    :func:`linear_intensity` solved for ``tokens``, with ``weight_dtype`` as in :func:`linear_bytes`. Negative where the layer never gets
    there, however many tokens it has.

    >>> round(linear_intensity(linear_ridge_tokens(768, 3072, 150, "bf16"), 768, 3072, "bf16"))
    150
    """
    width, weight_width = bytes_per_value(dtype), bytes_per_value(dtype if weight_dtype is None else weight_dtype)
    return weight_width * d_in * d_out / (2 * d_in * d_out / ridge_intensity - width * (d_in + d_out))
