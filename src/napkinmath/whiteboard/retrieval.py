"""Closed forms of retrieval by embeddings: what training with negatives keeps in memory, and what an index costs.

Symbols: ``batch`` (users or queries), ``items`` (candidates), ``vectors`` (in the index), ``d_embed`` (values of an embedding), ``lists``
and ``probes`` (of an inverted file), ``subvectors`` and ``bits`` (of a product quantizer, Jegou et al. 2011,
doi:10.1109/TPAMI.2010.57), ``links`` (of an HNSW graph, Malkov and Yashunin 2016, arXiv:1603.09320). FLOPs are 2 per
multiply-accumulate. Sizes are those of faiss' layouts.
"""

from __future__ import annotations

from ..dtypes import bytes_per_value
from .linear import Value, linear_flops

#: faiss names a vector by 8 bytes, and a neighbour in a graph by 4.
_ID_BYTES, _LINK_BYTES = 8, 4


def in_batch_logits_bytes(batch: Value, dtype: Value = "fp32") -> Value:
    """Bytes of the ``[batch, batch]`` scores of a softmax whose negatives are the batch's other items; kept for the backward pass.

    >>> in_batch_logits_bytes(8192) / 2**20
    256.0
    """
    return sampled_logits_bytes(batch, batch, dtype)


def sampled_logits_bytes(batch: Value, items: Value, dtype: Value = "fp32") -> Value:
    """Bytes of the ``[batch, items]`` scores of a softmax over sampled negatives, or over the whole catalogue."""
    return batch * items * bytes_per_value(dtype)


def retrieval_score_flops(batch: Value, items: Value, d_embed: Value) -> Value:
    """FLOPs of all dot products between ``batch`` queries and ``items``: exact search, or a training step's scores."""
    return linear_flops(batch, d_embed, items)


# Indexes --------------------------------------------------------------------------------------------------------------


def flat_index_bytes(vectors: Value, d_embed: Value, dtype: Value = "fp32") -> Value:
    """Bytes of an exact index: the vectors, of text and images alike.

    >>> flat_index_bytes(100_000_000, 128) / 1e9
    51.2
    """
    return vectors * d_embed * bytes_per_value(dtype)


def ivf_index_bytes(vectors: Value, d_embed: Value, lists: Value, dtype: Value = "fp32") -> Value:
    """Bytes of an inverted file over whole vectors: vectors and their ids, and ``lists`` centroids in fp32."""
    return flat_index_bytes(vectors, d_embed, dtype) + vectors * _ID_BYTES + flat_index_bytes(lists, d_embed)


def ivf_search_flops(batch: Value, vectors: Value, d_embed: Value, lists: Value, probes: Value) -> Value:
    """FLOPs of a search that compares a query with all centroids, then with the vectors of the ``probes`` nearest lists.

    Lists of equal length are assumed; real ones are longer where queries go.
    """
    return 2 * batch * d_embed * (lists + probes * vectors / lists)


def ivf_best_lists(vectors: Value, probes: Value) -> Value:
    """Lists at which an IVF search costs the least FLOPs: centroids and list entries compared in equal number."""
    return (probes * vectors) ** 0.5


def pq_code_bytes(subvectors: Value, bits: Value = 8) -> Value:
    """Bytes of one product-quantized vector: ``bits`` for each subvector.

    >>> pq_code_bytes(16)
    16.0
    """
    return subvectors * bits / 8


def pq_index_bytes(vectors: Value, d_embed: Value, subvectors: Value, bits: Value = 8) -> Value:
    """Bytes of a product-quantized index: the codes, and ``2^bits`` centroids a subvector in fp32: together ``2^bits`` vectors."""
    return vectors * pq_code_bytes(subvectors, bits) + flat_index_bytes(2**bits, d_embed)


def ivf_pq_index_bytes(vectors: Value, d_embed: Value, lists: Value, subvectors: Value, bits: Value = 8) -> Value:
    """Bytes of an inverted file of product-quantized vectors: codes and ids, codebooks, centroids.

    >>> ivf_pq_index_bytes(1_000_000_000, 128, lists=65536, subvectors=16) / 1e9
    24.033685504
    """
    return pq_index_bytes(vectors, d_embed, subvectors, bits) + vectors * _ID_BYTES + flat_index_bytes(lists, d_embed)


def hnsw_index_bytes(vectors: Value, d_embed: Value, links: Value = 32, dtype: Value = "fp32") -> Value:
    """Bytes of an HNSW graph over whole vectors: ``2 * links`` neighbours a vector in the bottom layer.

    The layers above it hold one vector in ``links``, with ``links`` neighbours each: about one more link a vector, left out.

    >>> hnsw_index_bytes(1_000_000, 128, links=32) / 1e6
    768.0
    """
    return flat_index_bytes(vectors, d_embed, dtype) + vectors * 2 * links * _LINK_BYTES
