"""Closed forms of the transformer encoder and decoder.

Symbols, the same in prose and code: ``batch``, ``seq`` (query tokens), ``context`` (key and value tokens), ``d_model``,
``d_ff``, ``n_heads``, ``n_kv_heads``, ``d_head``, ``n_layers``, ``vocab``. Flags (``gated``, ``bias``) are 0 or 1.

FLOPs are 2 per multiply-accumulate and cover matmuls and attention only; see :mod:`napkinmath.ledger`. Derivations follow the
shapes of Vaswani et al. 2017 (arXiv:1706.03762), grouped-query attention those of Ainslie et al. 2023 (arXiv:2305.13245),
the gated FFN those of Shazeer 2020 (arXiv:2002.05202). Biases and norms are left out of FLOPs: together they are below one percent.
"""

from __future__ import annotations

from ..dtypes import bytes_per_value
from .linear import Value, linear_flops, linear_params

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


def visible_pairs(seq: Value, context: Value) -> Value:
    """(query, key) pairs that a causal mask keeps; query ``i`` sees ``context - seq + i + 1`` keys.

    >>> visible_pairs(seq=4, context=4), visible_pairs(seq=1, context=4)
    (10, 4)
    """
    return seq * (context - seq) + seq * (seq + 1) // 2


def causal_score_flops(batch: Value, n_heads: Value, seq: Value, context: Value, d_head: Value) -> Value:
    """The part of :func:`attention_score_flops` that a causal mask keeps: its :func:`visible_pairs`.

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
