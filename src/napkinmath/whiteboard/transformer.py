"""Closed forms of the transformer encoder and decoder.

Symbols, the same in prose and code: ``batch``, ``seq`` (query tokens), ``context`` (key and value tokens), ``d_model``,
``d_ff``, ``n_heads``, ``n_kv_heads``, ``d_head``, ``n_layers``, ``vocab``. Flags (``gated``, ``bias``) are 0 or 1.

FLOPs are 2 per multiply-accumulate and cover matmuls and attention only; see :mod:`napkinmath.ledger`. Derivations follow the
shapes of Vaswani et al. 2017 (arXiv:1706.03762), grouped-query attention those of Ainslie et al. 2023 (arXiv:2305.13245),
the gated FFN those of Shazeer 2020 (arXiv:2002.05202). Biases and norms are left out of FLOPs: together they are below one percent.
"""

from __future__ import annotations

from typing import Any

from ..dtypes import bytes_per_value

# Plain arithmetic on numbers, pandas columns or SymPy symbols.
Value = Any


# One matmul -----------------------------------------------------------------------------------------------------------


def linear_params(d_in: Value, d_out: Value, bias: Value = 0) -> Value:
    """Parameters of a linear layer ``[*, d_in] -> [*, d_out]``."""
    return d_in * d_out + bias * d_out


def linear_flops(tokens: Value, d_in: Value, d_out: Value) -> Value:
    """FLOPs of ``[tokens, d_in] @ [d_in, d_out]``: each output takes ``d_in`` multiply-accumulates of 2 FLOPs.

    >>> linear_flops(tokens=1024, d_in=768, d_out=3072)
    4831838208
    """
    return 2 * tokens * d_in * d_out


def linear_bytes(tokens: Value, d_in: Value, d_out: Value, dtype: Value = "bf16") -> Value:
    """Bytes that a linear layer must move once: input, weight, output. Ignores caches and the bias."""
    return (tokens * d_in + d_in * d_out + tokens * d_out) * bytes_per_value(dtype)


def linear_intensity(tokens: Value, d_in: Value, d_out: Value, dtype: Value = "bf16") -> Value:
    """FLOPs per byte of a linear layer. With few tokens it tends to ``2 * tokens / bytes_per_value``: weights dominate.

    >>> round(linear_intensity(tokens=1, d_in=4096, d_out=4096, dtype="bf16"), 3)
    1.0
    """
    return linear_flops(tokens, d_in, d_out) / linear_bytes(tokens, d_in, d_out, dtype)


def linear_ridge_tokens(d_in: Value, d_out: Value, ridge_intensity: Value, dtype: Value = "bf16") -> Value:
    """Tokens at which a linear layer reaches ``ridge_intensity`` (FLOPs per byte); with fewer, bandwidth binds it.

    :func:`linear_intensity` solved for ``tokens``. Negative where the layer never gets there, however many tokens it has.

    >>> round(linear_intensity(linear_ridge_tokens(768, 3072, 150, "bf16"), 768, 3072, "bf16"))
    150
    """
    width = bytes_per_value(dtype)
    return width * d_in * d_out / (2 * d_in * d_out / ridge_intensity - width * (d_in + d_out))


# Attention ------------------------------------------------------------------------------------------------------------


def attention_projection_params(
    d_model: Value, n_heads: Value, n_kv_heads: Value, d_head: Value, bias: Value = 0, output_bias: Value = 0
) -> Value:
    """Parameters of the query, key, value and output projections.

    Query and output are ``[d_model, n_heads * d_head]``; key and value ``[d_model, n_kv_heads * d_head]``.
    """
    query = linear_params(d_model, n_heads * d_head, bias)
    key_value = 2 * linear_params(d_model, n_kv_heads * d_head, bias)
    return query + key_value + linear_params(n_heads * d_head, d_model, output_bias)


def attention_projection_flops(tokens: Value, d_model: Value, n_heads: Value, n_kv_heads: Value, d_head: Value) -> Value:
    """FLOPs of the four projections over ``tokens = batch * seq``; linear in sequence length.

    >>> attention_projection_flops(tokens=1, d_model=768, n_heads=12, n_kv_heads=12, d_head=64) == 8 * 768**2
    True
    """
    return 4 * tokens * d_model * d_head * (n_heads + n_kv_heads)


def attention_score_flops(batch: Value, n_heads: Value, seq: Value, context: Value, d_head: Value) -> Value:
    """FLOPs of ``Q @ K.T`` and ``weights @ V``, every (query, key) pair counted.

    Shapes ``[batch, n_heads, seq, d_head] @ [batch, n_heads, d_head, context]`` and back. Query heads count, not KV
    heads: grouping shrinks the cache, not this work. The softmax between them is in ``other_flops``.
    """
    return 4 * batch * n_heads * seq * context * d_head


def causal_score_flops(batch: Value, n_heads: Value, seq: Value, context: Value, d_head: Value) -> Value:
    """The part of :func:`attention_score_flops` that a causal mask keeps; query ``i`` sees ``context - seq + i + 1`` keys.

    About half of the full count at ``seq == context``, all of it when decoding one token.
    """
    return 2 * batch * n_heads * d_head * (2 * seq * (context - seq) + seq * (seq + 1))


def score_matrix_bytes(batch: Value, n_heads: Value, seq: Value, context: Value, dtype: Value = "bf16") -> Value:
    """Bytes of one layer's ``[batch, n_heads, seq, context]`` score matrix, when it is written out at all."""
    return batch * n_heads * seq * context * bytes_per_value(dtype)


def kv_cache_bytes(n_layers: Value, n_kv_heads: Value, d_head: Value, batch: Value, context: Value, dtype: Value = "bf16") -> Value:
    """Bytes of the cached keys and values: 2 tensors of ``[batch, n_kv_heads, context, d_head]`` a layer.

    >>> kv_cache_bytes(n_layers=32, n_kv_heads=8, d_head=128, batch=1, context=8192, dtype="bf16") / 2**30
    1.0
    """
    return 2 * n_layers * batch * n_kv_heads * context * d_head * bytes_per_value(dtype)


# Feed-forward network -------------------------------------------------------------------------------------------------


def ffn_params(d_model: Value, d_ff: Value, gated: Value = 0, bias: Value = 0) -> Value:
    """Parameters of the FFN: up and down projections, and a gate beside up when ``gated``."""
    return (1 + gated) * linear_params(d_model, d_ff, bias) + linear_params(d_ff, d_model, bias)


def ffn_flops(tokens: Value, d_model: Value, d_ff: Value, gated: Value = 0) -> Value:
    """FLOPs of the FFN over ``tokens = batch * seq``: 2 matmuls, 3 when ``gated``.

    >>> ffn_flops(tokens=1, d_model=768, d_ff=3072) == 16 * 768**2
    True
    """
    return (2 + gated) * linear_flops(tokens, d_model, d_ff)


# One layer, and where its parts cross ---------------------------------------------------------------------------------


def layer_flops(
    batch: Value,
    seq: Value,
    context: Value,
    d_model: Value,
    d_ff: Value,
    n_heads: Value,
    n_kv_heads: Value,
    d_head: Value,
    gated: Value = 0,
) -> Value:
    """FLOPs of one transformer layer: projections, scores and FFN."""
    return (
        attention_projection_flops(batch * seq, d_model, n_heads, n_kv_heads, d_head)
        + attention_score_flops(batch, n_heads, seq, context, d_head)
        + ffn_flops(batch * seq, d_model, d_ff, gated)
    )


def score_flops_share(seq: Value, d_model: Value, d_ff: Value, n_heads: Value, n_kv_heads: Value, d_head: Value, gated: Value = 0) -> Value:
    """Share of a layer's FLOPs that the quadratic part takes, at ``context == seq``; batch cancels."""
    return attention_score_flops(1, n_heads, seq, seq, d_head) / layer_flops(1, seq, seq, d_model, d_ff, n_heads, n_kv_heads, d_head, gated)


def score_ffn_crossover_seq(d_model: Value, d_ff: Value, n_heads: Value, d_head: Value, gated: Value = 0) -> Value:
    """Sequence length at which the scores' FLOPs equal the FFN's, from ``4 seq^2 n_heads d_head = (2 + gated) 2 seq d_model d_ff``.

    With ``d_ff = 4 d_model``, no gate and ``n_heads * d_head = d_model`` this is ``4 d_model``.

    >>> score_ffn_crossover_seq(d_model=768, d_ff=3072, n_heads=12, d_head=64)
    3072.0
    """
    return (2 + gated) * d_model * d_ff / (2 * n_heads * d_head)


def score_linear_crossover_seq(d_model: Value, d_ff: Value, n_heads: Value, n_kv_heads: Value, d_head: Value, gated: Value = 0) -> Value:
    """Sequence length at which the scores' FLOPs equal those of *all* the layer's linear maps (projections and FFN).

    With ``d_ff = 4 d_model``, no gate, no grouping and ``n_heads * d_head = d_model`` this is ``6 d_model``.

    >>> score_linear_crossover_seq(d_model=768, d_ff=3072, n_heads=12, n_kv_heads=12, d_head=64)
    4608.0
    """
    linear = attention_projection_flops(1, d_model, n_heads, n_kv_heads, d_head) + ffn_flops(1, d_model, d_ff, gated)
    return linear / (4 * n_heads * d_head)


# The whole model ------------------------------------------------------------------------------------------------------


def forward_flops(
    batch: Value,
    seq: Value,
    context: Value,
    n_layers: Value,
    d_model: Value,
    d_ff: Value,
    n_heads: Value,
    n_kv_heads: Value,
    d_head: Value,
    vocab: Value = 0,
    gated: Value = 0,
) -> Value:
    """FLOPs of a forward pass: ``n_layers`` layers and, when ``vocab`` is not 0, logits for every query token."""
    layers = n_layers * layer_flops(batch, seq, context, d_model, d_ff, n_heads, n_kv_heads, d_head, gated)
    return layers + linear_flops(batch * seq, d_model, vocab)


def decode_step_bytes(weight_bytes: Value, cache_bytes: Value) -> Value:
    """Bytes that one decode step must read: every weight once, and the whole KV cache. Activations are ignored."""
    return weight_bytes + cache_bytes
