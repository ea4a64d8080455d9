"""Closed forms of training on many devices: what each kind of parallelism stores and sends, bubbles, and how long a run takes.

Bytes sent are per device and one way; :mod:`napkinmath.collectives` turns them into time. ``devices``, ``data``, ``tensor`` and ``stages``
count devices along one axis; one device sends nothing.
"""

from __future__ import annotations

from typing import Any

from .collectives import all_gather_bytes, all_reduce_bytes, all_to_all_bytes
from .dtypes import bytes_per_value
from .errors import InputError, did_you_mean
from .scalar import ceil, log, maximum, minimum, sqrt, where

# Plain arithmetic on numbers, pandas columns or SymPy symbols.
Value = Any


# Data parallelism and ZeRO --------------------------------------------------------------------------------------------


def zero_bytes_per_device(
    params: Value,
    devices: Value,
    zero_stage: Value,
    bytes_per_weight: Value = 2,
    bytes_per_gradient: Value = 2,
    bytes_per_optimizer_state: Value = 12,
) -> Value:
    """Bytes of weights, gradients and optimizer state on each device (Rajbhandari et al. 2020, arXiv:1910.02054, figure 1).

    Stage 0 is plain data parallelism; 1 shards the optimizer state, 2 gradients too, 3 weights too (FSDP). The defaults are mixed
    precision with Adam: fp32 weights, momentum and variance make 12. Ignores activations, buffers and the layer gathered at the moment.

    >>> zero_bytes_per_device(params=7.5e9, devices=64, zero_stage=3) / 1e9
    1.875
    """

    def shards(first_stage: int) -> Value:
        return where(zero_stage >= first_stage, lambda: devices, 1)

    return params * (bytes_per_weight / shards(3) + bytes_per_gradient / shards(2) + bytes_per_optimizer_state / shards(1))


def zero_communication_bytes(
    params: Value,
    devices: Value,
    zero_stage: Value,
    microbatches: Value = 1,
    bytes_per_weight: Value = 2,
    bytes_per_gradient: Value = 2,
) -> Value:
    """Bytes each device sends in one optimizer step (arXiv:1910.02054, section 7).

    Gradients are reduced once, or with every microbatch from stage 2 on (they are not kept whole); weights are gathered after the
    step, or in stage 3 before forward and again before backward of every microbatch. At one microbatch, stage 3 sends 1.5 times as much.

    >>> zero_communication_bytes(1e9, 64, zero_stage=3) / zero_communication_bytes(1e9, 64, zero_stage=1)
    1.5
    """
    reductions = where(zero_stage >= 2, lambda: microbatches, 1)
    # The second half of plain data parallelism's all-reduce gathers gradients, not weights.
    once = where(zero_stage >= 1, lambda: bytes_per_weight, bytes_per_gradient)
    gathered = where(zero_stage >= 3, lambda: 2 * microbatches * bytes_per_weight, once)
    return all_gather_bytes(params * (reductions * bytes_per_gradient + gathered), devices)


def data_parallel_step_s(forward_s: Value, backward_s: Value, communication_s: Value, buckets: Value = 1) -> Value:
    """Seconds of a step whose gradients travel in equal buckets while backward goes on; one bucket is no overlap.

    A bucket leaves when its share of backward is done and the one before it has arrived (Li et al. 2020, arXiv:2006.15704). The last
    one is never hidden. Ignores what communication kernels take away from compute.

    >>> [data_parallel_step_s(1.0, 2.0, communication_s=1.5, buckets=n) for n in (1, 10)]
    [4.5, 3.15]
    """
    return forward_s + maximum(backward_s + communication_s / buckets, backward_s / buckets + communication_s)


def scaling_efficiency(one_device_per_s: Value, devices: Value, throughput_per_s: Value) -> Value:
    """Throughput over what ``devices`` times one device would do.

    >>> scaling_efficiency(one_device_per_s=100, devices=8, throughput_per_s=720)
    0.9
    """
    return throughput_per_s / (devices * one_device_per_s)


# Tensor, sequence and context parallelism -----------------------------------------------------------------------------


def tensor_parallel_bytes(
    batch: Value, seq: Value, d_model: Value, tensor: Value, n_layers: Value = 1, dtype: Value = "bf16", all_reduces: Value = 4
) -> Value:
    """Bytes each device sends for ``n_layers`` layers of a microbatch: all-reduces of ``[batch, seq, d_model]``.

    Two in forward (after attention and after the FFN) and two in backward: ``8 b s h (t-1)/t`` values a layer (Narayanan et al. 2021,
    arXiv:2104.04473, section 3.2). Serving has ``all_reduces=2``. Sequence parallelism splits each into a reduce-scatter and an
    all-gather and sends as much (Korthikanti et al. 2022, arXiv:2205.05198). It does not overlap with the matmuls that wait for it.

    >>> tensor_parallel_bytes(batch=1, seq=2048, d_model=12288, tensor=8, dtype="bf16") / 1e6
    352.321536
    """
    return n_layers * all_reduces * all_reduce_bytes(batch * seq * d_model * bytes_per_value(dtype), tensor)


def layer_activation_bytes(
    batch: Value, seq: Value, d_model: Value, n_heads: Value, tensor: Value = 1, sequence_parallel: Value = 0, keep_scores: Value = 1
) -> Value:
    """Bytes that one layer keeps for backward on each of ``tensor`` devices: ``s b h (10 + 24/t + 5 a s / (h t))``, 16-bit.

    Korthikanti et al. 2022 (arXiv:2205.05198), equations 1 to 4: a GPT layer with dropout and ``d_ff = 4 d_model``. Flags are 0 or 1:
    ``sequence_parallel`` shards the 10 too; without ``keep_scores`` (recomputed, or never written by a fused kernel) the last term goes.

    >>> layer_activation_bytes(1, 2048, 12288, 96, tensor=8, sequence_parallel=1, keep_scores=0) / 2**20
    102.0
    """
    replicated = 10 * (1 - sequence_parallel + sequence_parallel / tensor)
    return seq * batch * d_model * (replicated + 24 / tensor + keep_scores * 5 * n_heads * seq / (d_model * tensor))


def ring_attention_bytes(
    batch: Value, seq: Value, n_kv_heads: Value, d_head: Value, devices: Value, n_layers: Value = 1, dtype: Value = "bf16"
) -> Value:
    """Bytes each device sends in forward when ``seq`` tokens are split and keys and values go round a ring (arXiv:2310.01889).

    ``n-1`` times a block of keys and values of ``seq / devices`` tokens. Backward also sends the block's gradients round. KV heads
    count, so that grouping helps.

    >>> ring_attention_bytes(batch=1, seq=131072, n_kv_heads=8, d_head=128, devices=8) / 1e6
    469.762048
    """
    return all_gather_bytes(2 * n_layers * batch * seq * n_kv_heads * d_head * bytes_per_value(dtype), devices)


def ring_attention_hidden_seq(
    peak_flops: Value, bandwidth_bytes_per_s: Value, n_heads: Value = 1, n_kv_heads: Value = 1, dtype: Value = "bf16"
) -> Value:
    """Tokens per device from which ring attention's sends hide behind its matmuls (arXiv:2310.01889, section 3).

    ``4 c^2`` FLOPs per query head and value of ``d_head`` against ``2 c`` values per KV head: ``c = peak / bandwidth`` without grouping in
    16 bits. Every pair counted; a causal mask halves the work and, unless queries are striped, not the time.

    >>> round(ring_attention_hidden_seq(peak_flops=312e12, bandwidth_bytes_per_s=300e9))
    1040
    """
    return peak_flops * n_kv_heads * bytes_per_value(dtype) / (2 * n_heads * bandwidth_bytes_per_s)


# Pipeline parallelism -------------------------------------------------------------------------------------------------


def pipeline_bubble_over_compute(stages: Value, microbatches: Value, chunks: Value = 1) -> Value:
    """Idle time over busy time, ``(p-1)/(v m)``: GPipe and 1F1B alike, ``chunks`` (v) of layers per device when interleaved.

    Narayanan et al. 2021 (arXiv:2104.04473), section 2.2. Stages take equally long and transfers nothing.

    >>> pipeline_bubble_over_compute(stages=8, microbatches=32, chunks=2)
    0.109375
    """
    return (stages - 1) / (chunks * microbatches)


def pipeline_bubble_share(stages: Value, microbatches: Value, chunks: Value = 1) -> Value:
    """Idle share of the whole step, ``(p-1)/(v m + p-1)``; with one chunk, GPipe's figure (Huang et al. 2019, arXiv:1811.06965).

    >>> pipeline_bubble_share(stages=4, microbatches=12)
    0.2
    """
    return (stages - 1) / (chunks * microbatches + stages - 1)


def pipeline_step_s(stages: Value, microbatches: Value, forward_s: Value, backward_s: Value, chunks: Value = 1) -> Value:
    """Seconds of a step when one stage takes ``forward_s`` and ``backward_s`` per microbatch: ``(m + (p-1)/v)(forward + backward)``.

    >>> pipeline_step_s(stages=4, microbatches=12, forward_s=1, backward_s=2)
    45.0
    """
    return (microbatches + (stages - 1) / chunks) * (forward_s + backward_s)


def pipeline_transfer_bytes(batch: Value, seq: Value, d_model: Value, chunks: Value = 1, dtype: Value = "bf16") -> Value:
    """Bytes over each boundary between stages per microbatch and direction: ``[batch, seq, d_model]``, ``chunks`` times.

    >>> pipeline_transfer_bytes(batch=1, seq=2048, d_model=12288) / 1e6
    50.331648
    """
    return chunks * batch * seq * d_model * bytes_per_value(dtype)


def in_flight_microbatches(stages: Value, microbatches: Value, schedule: str = "1f1b", chunks: Value = 1) -> Value:
    """Microbatches whose activations the first stage, the fullest, holds at once, in units of all its layers.

    ``gpipe`` holds all, ``1f1b`` at most ``p``, ``interleaved`` at most ``p + (p-1)/v`` (Korthikanti et al. 2022, arXiv:2205.05198, 4.2.3).

    >>> [in_flight_microbatches(8, 32, schedule, chunks=2) for schedule in ("gpipe", "1f1b", "interleaved")]
    [32, 8, 11.5]

    Raises:
        InputError: no such schedule.
    """
    schedules = {"gpipe": microbatches, "1f1b": stages, "interleaved": stages + (stages - 1) / chunks}
    if schedule not in schedules:
        raise InputError(f"schedule={schedule!r} is not known.{did_you_mean(schedule, schedules)}")
    return minimum(microbatches, schedules[schedule])


# Expert parallelism ---------------------------------------------------------------------------------------------------


def expert_parallel_bytes(tokens: Value, d_model: Value, top_k: Value, devices: Value, n_layers: Value = 1, dtype: Value = "bf16") -> Value:
    """Bytes each device sends in forward for its ``tokens``: to their ``top_k`` experts and back, two all-to-alls a layer.

    GShard (Lepikhin et al. 2020, arXiv:2006.16668). Even routing, one copy per expert (libraries
    may send one per device). Backward sends as much again.

    >>> expert_parallel_bytes(tokens=8192, d_model=4096, top_k=2, devices=8) / 1e6
    234.881024
    """
    return n_layers * 2 * all_to_all_bytes(tokens * top_k * d_model * bytes_per_value(dtype), devices)


def expert_capacity(tokens: Value, n_experts: Value, top_k: Value = 1, capacity_factor: Value = 1) -> Value:
    """Tokens that an expert has room for; more are dropped (Fedus et al. 2022, arXiv:2101.03961, equation 3).

    >>> expert_capacity(tokens=4096, n_experts=64, capacity_factor=1.25)
    80
    """
    return ceil(capacity_factor * tokens * top_k / n_experts)


def expert_imbalance(tokens: Value, n_experts: Value, top_k: Value = 1) -> Value:
    """Fullest expert over the mean when routing is uniformly random: ``1 + sqrt(2 ln(E) E / (k tokens))`` (Raab and Steger 1998).

    A step waits for the fullest. An estimate for many tokens per expert, somewhat high; learned routing is less even than chance.

    >>> round(expert_imbalance(tokens=8192, n_experts=64, top_k=2), 2)
    1.18
    """
    return 1 + sqrt(2 * log(n_experts) * n_experts / (top_k * tokens))


# The whole run --------------------------------------------------------------------------------------------------------


def placement_bytes_per_device(
    params: Value,
    activation_bytes: Value,
    data: Value = 1,
    tensor: Value = 1,
    stages: Value = 1,
    microbatches: Value = 1,
    zero_stage: Value = 0,
    schedule: str = "1f1b",
    chunks: Value = 1,
) -> Value:
    """Bytes on the fullest of ``data * tensor * stages`` devices: does it fit?

    ``activation_bytes`` is what one microbatch keeps on one tensor rank over *all* layers (``n_layers`` times
    :func:`layer_activation_bytes`). Mixed precision with Adam (:func:`zero_bytes_per_device`). Takes layers to divide evenly; ignores the
    embedding's extra weight on the end stages, logits, workspace and fragmentation: leave a tenth free.

    >>> placement_bytes_per_device(70e9, activation_bytes=16e9, data=4, tensor=8, stages=2, microbatches=8, zero_stage=1) / 1e9
    46.625
    """
    in_flight = in_flight_microbatches(stages, microbatches, schedule, chunks)
    return zero_bytes_per_device(params / (tensor * stages), data, zero_stage) + activation_bytes / stages * in_flight


def training_flops(params: Value, tokens: Value, recompute: Value = 0) -> Value:
    """``6 N D``: forward 2 FLOPs per parameter and token, backward twice that (Kaplan et al. 2020, arXiv:2001.08361).

    ``recompute`` is the share of forward run again in backward: 1 with full checkpointing, which makes ``8 N D``. Embedding look-ups and
    attention scores are left out; for those take 3 times a ledger's forward ``flops`` (or ``useful_causal_flops``).

    >>> training_flops(params=175e9, tokens=300e9) == 3.15e23
    True
    """
    return (6 + 2 * recompute) * params * tokens


def training_s(flops: Value, devices: Value, peak_flops: Value, utilization: Value) -> Value:
    """Seconds for ``flops`` on ``devices`` at a ``utilization`` of their dense peak: MFU, if ``flops`` leaves recomputation out.

    Ignores restarts: multiply by wall time over productive time.

    >>> round(training_s(training_flops(175e9, 300e9, recompute=1), devices=1024, peak_flops=312e12, utilization=140 / 312) / 86400)
    34
    """
    return flops / (devices * peak_flops * utilization)


def mfu(flops: Value, time_s: Value, devices: Value, peak_flops: Value) -> Value:
    """Model FLOPs utilization: FLOPs that the model needs (no recomputation) over dense peak in that time (arXiv:2204.02311, appendix B).

    >>> mfu(flops=400e12, time_s=1, devices=1, peak_flops=1000e12)
    0.4
    """
    return flops / (time_s * devices * peak_flops)
