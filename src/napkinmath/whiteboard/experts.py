"""Closed forms of a mixture of experts: what a token computes, what a batch reads.

After Switch (Fedus et al. 2021, arXiv:2101.03961) and Mixtral (Jiang et al. 2024, arXiv:2401.04088). ``n_experts`` feed-forward
networks stand side by side, a router of ``[d_model, n_experts]`` sends each token to ``top_k`` of them. Forms that speak of a batch take
routing to be uniform and independent between tokens: real routers are neither, and reach fewer experts.
"""

from __future__ import annotations

import math

from ..scalar import sqrt
from .linear import Value, linear_flops
from .transformer import ffn_flops, ffn_params


def moe_params(d_model: Value, d_ff: Value, n_experts: Value, gated: Value = 1) -> Value:
    """Parameters of one layer's router and experts, all of which have to be in memory.

    >>> 32 * moe_params(4096, 14336, n_experts=8)
    45098205184
    """
    return n_experts * (d_model + ffn_params(d_model, d_ff, gated))


def moe_flops(tokens: Value, d_model: Value, d_ff: Value, n_experts: Value, top_k: Value, gated: Value = 1) -> Value:
    """FLOPs of one layer's router and of ``top_k`` experts a token.

    >>> round(moe_flops(1, 4096, 14336, n_experts=8, top_k=2) / ffn_flops(1, 4096, 14336, gated=1), 3)
    2.0
    """
    return linear_flops(tokens, d_model, n_experts) + top_k * ffn_flops(tokens, d_model, d_ff, gated)


def experts_touched(n_experts: Value, top_k: Value, tokens: Value) -> Value:
    """Expected number of distinct experts that ``tokens`` tokens reach.

    One token misses an expert with probability ``1 - top_k / n_experts``, all of them with that to the power of ``tokens``.

    >>> experts_touched(n_experts=8, top_k=2, tokens=1), round(experts_touched(n_experts=8, top_k=2, tokens=16), 2)
    (2.0, 7.92)
    """
    return n_experts * (1 - (1 - top_k / n_experts) ** tokens)


def expert_tokens(n_experts: Value, top_k: Value, tokens: Value) -> Value:
    """Mean number of tokens of each expert: the rows of its matmul, ``n_experts / top_k`` times fewer than a dense layer's.

    The fullest expert has :func:`~napkinmath.parallel.expert_imbalance` times as many.

    >>> expert_tokens(n_experts=256, top_k=8, tokens=1024)
    32.0
    """
    return tokens * top_k / n_experts


def dropped_share(n_experts: Value, top_k: Value, tokens: Value) -> Value:
    """Share of assignments that find their expert full when each has room for the mean, a capacity factor of 1.

    Half the mean absolute deviation of a binomial count over its mean, by de Moivre's ``sqrt(2 variance / pi)``: chance alone overfills
    experts. Good from a mean of two tokens per expert on. Real routers drop more; capacity above the mean drops far fewer.

    >>> round(dropped_share(n_experts=64, top_k=1, tokens=4096), 3)
    0.049
    """
    return sqrt((1 - top_k / n_experts) / (2 * math.pi * expert_tokens(n_experts, top_k, tokens)))
