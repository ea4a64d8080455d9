"""Closed forms of attention between two recurrent networks, where it came from.

``additive`` scores are Bahdanau's (2014, arXiv:1409.0473) and, in other words, Luong's ``concat``; ``general`` and ``dot`` are Luong's
(2015, arXiv:1508.04025). ``target`` queries of width ``d_query`` look at ``seq`` keys of width ``d_key``, which are the values too.
"""

from __future__ import annotations

from ..dtypes import bytes_per_value
from .linear import Value, linear_flops


def additive_score_params(d_query: Value, d_key: Value, d_attention: Value) -> Value:
    """Parameters of ``v . tanh(W q + U k)``: ``W``, ``U`` and ``v``.

    >>> additive_score_params(1000, 2000, 1000)
    3001000
    """
    return d_attention * (d_query + d_key + 1)


def general_score_params(d_query: Value, d_key: Value) -> Value:
    """Parameters of ``q W k``; a plain dot product has none, and needs keys as wide as queries."""
    return d_query * d_key


def additive_attention_flops(batch: Value, target: Value, seq: Value, d_query: Value, d_key: Value, d_attention: Value) -> Value:
    """FLOPs of additive attention: queries and keys projected once each, ``v`` over all pairs, weighted values.

    The tanh of every pair, in ``other_flops``, is as much work again as ``v``'s product, and no matrix unit helps with it.
    """
    projections = linear_flops(batch * target, d_query, d_attention) + linear_flops(batch * seq, d_key, d_attention)
    return projections + 2 * batch * target * seq * (d_attention + d_key)


def general_attention_flops(batch: Value, target: Value, seq: Value, d_query: Value, d_key: Value) -> Value:
    """FLOPs of multiplicative attention with a matrix: queries projected to the keys' width, scores, weighted values."""
    return linear_flops(batch * target, d_query, d_key) + dot_attention_flops(batch, target, seq, d_key)


def dot_attention_flops(batch: Value, target: Value, seq: Value, d_key: Value) -> Value:
    """FLOPs of scores and weighted values by dot products: one head of self-attention's quadratic part.

    >>> dot_attention_flops(batch=1, target=50, seq=50, d_key=1000)
    10000000
    """
    return 4 * batch * target * seq * d_key


def additive_pairs_bytes(batch: Value, target: Value, seq: Value, d_attention: Value, dtype: Value = "fp32") -> Value:
    """Bytes of ``tanh(W q + U k)`` of all pairs at once: ``d_attention`` times what the scores of a dot product take.

    >>> additive_pairs_bytes(batch=80, target=50, seq=50, d_attention=1000) / 1e6
    800.0
    """
    return batch * target * seq * d_attention * bytes_per_value(dtype)
