"""Closed forms of ranking models over sparse features: embedding tables, feature crosses, hashing and sharding.

Symbols: ``rows`` of a table, ``table_width`` (values per row), ``lookups`` (rows that one example reads, over all tables and bags),
``features`` (vectors that are crossed with each other), ``cross_width`` (of the concatenated input of a cross network), ``rank``,
``experts``, ``buckets`` (of a hash), ``devices``. FLOPs are 2 per multiply-accumulate.
Shapes after Naumov et al. 2019 (arXiv:1906.00091, DLRM) and Wang et al. 2017, 2020 (arXiv:1708.05123, DCN; arXiv:2008.13535, DCN-V2).
"""

from __future__ import annotations

from ..dtypes import bytes_per_value
from .linear import Value, linear_flops, linear_params

# Embedding tables -----------------------------------------------------------------------------------------------------


def embedding_bytes(rows: Value, table_width: Value, dtype: Value = "fp32") -> Value:
    """Bytes of a table of ``[rows, table_width]``.

    >>> embedding_bytes(rows=187_767_399, table_width=128) / 1e9  # MLPerf's DLRM: its tables alone
    96.136908288
    """
    return rows * table_width * bytes_per_value(dtype)


def table_gather_bytes(batch: Value, lookups: Value, table_width: Value, dtype: Value = "fp32") -> Value:
    """Bytes of table rows that a batch reads, at random addresses: no cache helps where the tables are far larger than it.

    Rows that are hot are read from a cache all the same: this is the upper bound.
    """
    return batch * lookups * table_width * bytes_per_value(dtype)


def gather_bound_lookups(
    example_flops: Value, table_width: Value, peak_flops: Value, bandwidth_bytes_per_s: Value, dtype: Value = "fp32"
) -> Value:
    """Rows an example reads from which its gathers take longer than its layers' arithmetic: :func:`table_gather_bytes` at the bandwidth
    equals ``example_flops`` at the peak.

    ``bandwidth_bytes_per_s`` is what rows at random addresses get, a fraction of the datasheet's. For batches that read the layers' weights
    for many examples; ignores dispatch, ids and what the pooled vectors cost afterwards.

    >>> round(gather_bound_lookups(7e6, table_width=64, peak_flops=7.2e12, bandwidth_bytes_per_s=150e9))
    570
    """
    return example_flops / peak_flops * bandwidth_bytes_per_s / table_gather_bytes(1, 1, table_width, dtype)


def pooling_flops(batch: Value, lookups: Value, pooled: Value, table_width: Value) -> Value:
    """Additions that sum ``lookups`` rows into ``pooled`` vectors an example: in ``other_flops``, one for each value but the first."""
    return batch * (lookups - pooled) * table_width


def shard_bytes(total_bytes: Value, devices: Value, imbalance: Value = 1) -> Value:
    """Bytes of the fullest device when tables are spread over ``devices``; ``imbalance`` is its share over the mean."""
    return imbalance * total_bytes / devices


def pooled_exchange_bytes(batch: Value, pooled: Value, table_width: Value, devices: Value, dtype: Value = "fp32") -> Value:
    """Bytes that each device sends when tables are split by table and the batch by example (an all-to-all, forward).

    A device pools its tables' vectors for the whole batch and keeps only those of its own examples.

    >>> pooled_exchange_bytes(batch=65536, pooled=26, table_width=128, devices=8)  # MLPerf's DLRM, bytes a device
    95420416.0
    """
    return batch * pooled * table_width * bytes_per_value(dtype) / devices * (devices - 1) / devices


# Hashing --------------------------------------------------------------------------------------------------------------


def expected_buckets_used(values: Value, buckets: Value) -> Value:
    """Distinct buckets that ``values`` distinct keys fall into, on average, under a uniform hash.

    >>> round(expected_buckets_used(values=1_000_000, buckets=1_000_000))  # 1 - 1/e of them
    632121
    """
    return buckets * (1 - (1 - 1 / buckets) ** values)


def hash_collision_share(values: Value, buckets: Value) -> Value:
    """Share of the keys that share their bucket with another key, on average, under a uniform hash.

    >>> round(hash_collision_share(values=1_000_000, buckets=10_000_000), 3)
    0.095
    """
    return 1 - (1 - 1 / buckets) ** (values - 1)


# Feature crosses ------------------------------------------------------------------------------------------------------


def feature_pairs(features: Value) -> Value:
    """Distinct pairs of ``features`` vectors.

    >>> feature_pairs(27)  # DLRM on Criteo: 26 tables and the dense features' vector
    351
    """
    return features * (features - 1) // 2


def dot_interaction_flops(batch: Value, features: Value, table_width: Value) -> Value:
    """FLOPs of the dot products of all distinct pairs. A batched matmul computes all ``features^2``: more than twice as many."""
    return 2 * batch * feature_pairs(features) * table_width


def relus_of_a_product(error: Value) -> Value:
    """ReLUs in one hidden layer that multiply two numbers of [-1, 1] to within ``error``, beside linear terms: ``2 (1 / sqrt(error) - 1)``.

    By construction: ``x y = ((x + y)^2 - (x - y)^2) / 4``, and ``n`` equal pieces interpolate a square over [-2, 2] to within ``4 / n^2``,
    which leaves ``1 / n^2`` of the product. Needs ``n - 1`` kinks a square. An upper bound: depth makes it logarithmic (Yarotsky 2017,
    arXiv:1610.01145).

    >>> relus_of_a_product(error=1 / 64)
    14.0
    """
    return 2 * (error**-0.5 - 1)


def cross_vector_params(cross_width: Value) -> Value:
    """Parameters of one DCN cross layer, ``x0 * (w . x) + b + x``: two vectors."""
    return 2 * cross_width


def cross_vector_flops(batch: Value, cross_width: Value) -> Value:
    """FLOPs of one DCN cross layer: one dot product an example."""
    return linear_flops(batch, cross_width, 1)


def cross_matrix_params(cross_width: Value) -> Value:
    """Parameters of one full-rank DCN-V2 cross layer, ``x0 * (W x + b) + x``.

    >>> cross_matrix_params(1027)
    1055756
    """
    return linear_params(cross_width, cross_width, bias=1)


def cross_matrix_flops(batch: Value, cross_width: Value) -> Value:
    """FLOPs of one full-rank DCN-V2 cross layer."""
    return linear_flops(batch, cross_width, cross_width)


def cross_low_rank_params(cross_width: Value, rank: Value) -> Value:
    """Parameters of a cross layer with ``W = U V``: cheaper than the full matrix while ``rank < cross_width / 2``."""
    return linear_params(cross_width, rank) + linear_params(rank, cross_width, bias=1)


def cross_low_rank_flops(batch: Value, cross_width: Value, rank: Value) -> Value:
    """FLOPs of a low-rank cross layer."""
    return linear_flops(batch, cross_width, rank) + linear_flops(batch, rank, cross_width)


def cross_mixture_params(cross_width: Value, rank: Value, experts: Value, gated: Value = 1) -> Value:
    """Parameters of a mixture cross layer: ``experts`` products ``U C V`` of ``rank`` each, one bias, and a gate if ``gated``.

    >>> cross_mixture_params(1027, rank=64, experts=4)
    547343
    """
    gate = gated * linear_params(cross_width, experts)
    return cross_low_rank_params(cross_width, experts * rank) + experts * linear_params(rank, rank) + gate


def cross_mixture_flops(batch: Value, cross_width: Value, rank: Value, experts: Value, gated: Value = 1) -> Value:
    """FLOPs of a mixture cross layer: every expert runs, and a gate may weigh them."""
    gate = gated * linear_flops(batch, cross_width, experts)
    return cross_low_rank_flops(batch, cross_width, experts * rank) + experts * linear_flops(batch, rank, rank) + gate
