"""Closed forms of collective communication: what each device sends, and for how long.

Bytes are per device, and count what it *sends* (it receives as many). ``message_bytes`` is the whole array: the gathered one of an
all-gather, the one before a reduce-scatter. ``bandwidth_bytes_per_s`` is one direction of one device's link; vendors print both
directions together. One device sends nothing.

Times follow the alpha-beta model of Thakur, Rabenseifner and Gropp 2005 (Optimization of Collective Communication Operations in MPICH): a
message takes ``latency_s`` and its bytes over the bandwidth, all links are alike, and nothing else uses them.
"""

from __future__ import annotations

from typing import Any

from .scalar import ceil, log2, where

# Plain arithmetic on numbers, pandas columns or SymPy symbols.
Value = Any


# Collectives: bytes ---------------------------------------------------------------------------------------------------


def all_gather_bytes(message_bytes: Value, devices: Value) -> Value:
    """Bytes each device sends to gather shards into ``message_bytes`` on every device; a reduce-scatter sends as many.

    No algorithm sends fewer. Factor ``(n-1)/n`` of nccl-tests, doc/PERFORMANCE.md; ``message_bytes`` is the whole array, not a shard.

    >>> all_gather_bytes(message_bytes=800, devices=8)
    700.0
    """
    return message_bytes * (devices - 1) / devices


def reduce_scatter_bytes(message_bytes: Value, devices: Value) -> Value:
    """Bytes each device sends to sum arrays of ``message_bytes`` and keep one shard of the sum: those of :func:`all_gather_bytes`.

    >>> reduce_scatter_bytes(message_bytes=800, devices=8)
    700.0
    """
    return all_gather_bytes(message_bytes, devices)


def all_reduce_bytes(message_bytes: Value, devices: Value) -> Value:
    """Bytes each device sends to sum arrays of ``message_bytes`` on every device: a reduce-scatter and an all-gather.

    Factor ``2(n-1)/n`` of nccl-tests, doc/PERFORMANCE.md. Reduction inside the switch (NVLink SHARP) halves it; not counted here.

    >>> all_reduce_bytes(message_bytes=800, devices=8)
    1400.0
    """
    return reduce_scatter_bytes(message_bytes, devices) + all_gather_bytes(message_bytes, devices)


def all_to_all_bytes(message_bytes: Value, devices: Value) -> Value:
    """Bytes each device sends of its own ``message_bytes`` when an equal part goes to every device, itself included.

    Factor ``(n-1)/n`` of nccl-tests, doc/PERFORMANCE.md.

    >>> all_to_all_bytes(message_bytes=800, devices=8)
    700.0
    """
    return message_bytes * (devices - 1) / devices


def broadcast_bytes(message_bytes: Value, devices: Value) -> Value:
    """Bytes that the root, and each device that passes them on, sends: factor 1 of nccl-tests, doc/PERFORMANCE.md.

    >>> broadcast_bytes(message_bytes=800, devices=8)
    800
    """
    return where(devices > 1, lambda: message_bytes, 0)


def algorithm_bandwidth_bytes_per_s(message_bytes: Value, time_s: Value) -> Value:
    """What nccl-tests prints as ``algbw``: size of the array over time. It falls with more devices on the same links.

    >>> algorithm_bandwidth_bytes_per_s(message_bytes=1e9, time_s=0.01) / 1e9
    100.0
    """
    return message_bytes / time_s


def bus_bandwidth_bytes_per_s(sent_bytes: Value, time_s: Value) -> Value:
    """What nccl-tests prints as ``busbw``: bytes a device *sends* over time, comparable with the link's speed for any device count.

    >>> bus_bandwidth_bytes_per_s(sent_bytes=all_reduce_bytes(1e9, devices=8), time_s=0.01) / 1e9
    175.0
    """
    return sent_bytes / time_s


# Collectives: time ----------------------------------------------------------------------------------------------------


def ring_all_gather_s(message_bytes: Value, devices: Value, latency_s: Value, bandwidth_bytes_per_s: Value) -> Value:
    """Seconds of a ring all-gather or reduce-scatter: ``n-1`` steps that each move one shard (Thakur et al. 2005). Ignores the sums.

    >>> ring_all_gather_s(message_bytes=8e9, devices=8, latency_s=1e-6, bandwidth_bytes_per_s=100e9)
    0.070007
    """
    return (devices - 1) * latency_s + all_gather_bytes(message_bytes, devices) / bandwidth_bytes_per_s


def ring_all_reduce_s(message_bytes: Value, devices: Value, latency_s: Value, bandwidth_bytes_per_s: Value) -> Value:
    """Seconds of a ring all-reduce: ``2(n-1)`` steps, each one shard (Patarasuk and Yuan 2009). Ignores the sums.

    >>> ring_all_reduce_s(message_bytes=8e9, devices=8, latency_s=1e-6, bandwidth_bytes_per_s=100e9)
    0.140014
    """
    return 2 * ring_all_gather_s(message_bytes, devices, latency_s, bandwidth_bytes_per_s)


def tree_broadcast_s(message_bytes: Value, devices: Value, latency_s: Value, bandwidth_bytes_per_s: Value) -> Value:
    """Seconds of a broadcast down two complementary binary trees at full bandwidth (Sanders, Speck and Träff 2009).

    Chunks follow one another down ``log2(n)`` levels; their number is taken to be large, so that only latency is paid per level.

    >>> round(tree_broadcast_s(message_bytes=8e9, devices=8, latency_s=1e-6, bandwidth_bytes_per_s=100e9), 6)
    0.080003
    """
    return ceil(log2(devices)) * latency_s + broadcast_bytes(message_bytes, devices) / bandwidth_bytes_per_s


def tree_all_reduce_s(message_bytes: Value, devices: Value, latency_s: Value, bandwidth_bytes_per_s: Value) -> Value:
    """Seconds of a tree all-reduce: a reduction up two trees and a broadcast down, as NCCL's tree algorithm does across nodes.

    Latency grows with ``log2(n)``, not ``n``; every device sends the array twice, a little more than in a ring.

    >>> round(tree_all_reduce_s(message_bytes=8e9, devices=8, latency_s=1e-6, bandwidth_bytes_per_s=100e9), 6)
    0.160006
    """
    return 2 * tree_broadcast_s(message_bytes, devices, latency_s, bandwidth_bytes_per_s)


def ring_tree_crossover_bytes(devices: Value, latency_s: Value, bandwidth_bytes_per_s: Value) -> Value:
    """Array size above which a ring all-reduce beats a tree: their two times set equal and solved.

    >>> ring_tree_crossover_bytes(devices=8, latency_s=1e-6, bandwidth_bytes_per_s=100e9)
    3200000.0
    """
    return devices * (devices - 1 - ceil(log2(devices))) * latency_s * bandwidth_bytes_per_s


def all_to_all_s(message_bytes: Value, devices: Value, latency_s: Value, bandwidth_bytes_per_s: Value) -> Value:
    """Seconds of a pairwise all-to-all: ``n-1`` exchanges of a part each (Thakur et al. 2005).

    >>> all_to_all_s(message_bytes=8e9, devices=8, latency_s=1e-6, bandwidth_bytes_per_s=100e9)
    0.070007
    """
    return (devices - 1) * latency_s + all_to_all_bytes(message_bytes, devices) / bandwidth_bytes_per_s


def hierarchical_all_reduce_s(
    message_bytes: Value,
    devices_per_node: Value,
    nodes: Value,
    latency_s: Value,
    bandwidth_bytes_per_s: Value,
    node_latency_s: Value,
    node_bandwidth_bytes_per_s: Value,
) -> Value:
    """Seconds of an all-reduce in three parts: reduce-scatter inside each node, all-reduce of every shard across nodes, all-gather inside.

    Rings throughout, the parts one after the other (libraries overlap them). ``node_bandwidth_bytes_per_s`` is one device's share of
    its node's network.

    >>> round(hierarchical_all_reduce_s(8e9, 8, 4, 1e-6, 100e9, 5e-6, 25e9), 4)
    0.2
    """
    inside = ring_all_reduce_s(message_bytes, devices_per_node, latency_s, bandwidth_bytes_per_s)
    return inside + ring_all_reduce_s(message_bytes / devices_per_node, nodes, node_latency_s, node_bandwidth_bytes_per_s)
