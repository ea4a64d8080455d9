"""Parallel training: against published figures, against schedules and collectives played out step by step, and at the limits."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napkinmath import collectives as comm
from napkinmath import parallel
from napkinmath.errors import InputError

counts = st.integers(2, 4096)

# Collectives ----------------------------------------------------------------------------------------------------------

# https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md, Summary: factors from algorithm to bus bandwidth.
NCCL_FACTORS = {
    comm.all_reduce_bytes: lambda n: 2 * (n - 1) / n,
    comm.reduce_scatter_bytes: lambda n: (n - 1) / n,
    comm.all_gather_bytes: lambda n: (n - 1) / n,
    comm.all_to_all_bytes: lambda n: (n - 1) / n,
    comm.broadcast_bytes: lambda n: 1,
}


@pytest.mark.parametrize("sent", NCCL_FACTORS)
@pytest.mark.parametrize("devices", [2, 8, 1000])
def test_bus_bandwidth_is_nccl_tests(sent, devices):
    size, seconds = 1e9, 0.02
    bus = comm.bus_bandwidth_bytes_per_s(sent(size, devices), seconds)
    assert bus == pytest.approx(comm.algorithm_bandwidth_bytes_per_s(size, seconds) * NCCL_FACTORS[sent](devices))


@pytest.mark.parametrize("devices", [1, 2, 3, 8])
def test_a_ring_played_out_chunk_by_chunk_sums_and_sends_what_the_formula_says(devices):
    width, latency, bandwidth = 5, 1e-5, 1e6
    rng = np.random.default_rng(devices)
    chunks = rng.integers(0, 100, (devices, devices, width)).astype(np.int64)  # [device, chunk, value]
    total = chunks.sum(axis=0)
    sent, seconds = np.zeros(devices), 0.0
    for add, first in ((True, 0), (False, 1)):  # reduce-scatter, then all-gather
        for step in range(devices - 1):
            which = [(device + first - step) % devices for device in range(devices)]
            moving = [chunks[device, which[device]].copy() for device in range(devices)]
            for device, chunk in enumerate(moving):
                to = (device + 1) % devices
                chunks[to, which[device]] = chunk + add * chunks[to, which[device]]
                sent[device] += chunk.nbytes
            seconds += latency + moving[0].nbytes / bandwidth
    assert (chunks == total).all()
    assert sent == pytest.approx(comm.all_reduce_bytes(total.nbytes, devices))
    assert seconds == pytest.approx(comm.ring_all_reduce_s(total.nbytes, devices, latency, bandwidth))


@given(devices=counts)
def test_ring_and_tree_take_as_long_at_the_crossover(devices):
    latency, bandwidth = 5e-6, 50e9
    size = comm.ring_tree_crossover_bytes(devices, latency, bandwidth)
    assert comm.ring_all_reduce_s(size, devices, latency, bandwidth) == pytest.approx(
        comm.tree_all_reduce_s(size, devices, latency, bandwidth)
    )
    assert comm.ring_all_reduce_s(2 * size + 1, devices, latency, bandwidth) < comm.tree_all_reduce_s(
        2 * size + 1, devices, latency, bandwidth
    )


def test_one_device_communicates_nothing():
    for sent in NCCL_FACTORS:
        assert sent(1e9, 1) == 0
    for time in (comm.ring_all_gather_s, comm.ring_all_reduce_s, comm.tree_broadcast_s, comm.tree_all_reduce_s, comm.all_to_all_s):
        assert time(1e9, 1, 1e-5, 1e9) == 0
    assert comm.hierarchical_all_reduce_s(1e9, 1, 1, 1e-5, 1e9, 1e-5, 1e9) == 0
    for stage in range(4):
        assert parallel.zero_communication_bytes(7e9, 1, stage) == 0
    assert parallel.tensor_parallel_bytes(1, 2048, 4096, 1) == parallel.ring_attention_bytes(1, 8192, 8, 128, 1) == 0
    assert parallel.expert_parallel_bytes(8192, 4096, 2, 1) == parallel.pipeline_bubble_share(1, 8) == 0


def test_the_hierarchy_with_one_node_or_one_device_per_node_is_a_ring():
    fast, slow = (1e-6, 100e9), (5e-6, 25e9)
    assert comm.hierarchical_all_reduce_s(1e9, 8, 1, *fast, *slow) == comm.ring_all_reduce_s(1e9, 8, *fast)
    assert comm.hierarchical_all_reduce_s(1e9, 1, 8, *fast, *slow) == comm.ring_all_reduce_s(1e9, 8, *slow)


# ZeRO and data parallelism --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "gigabytes"), [(0, 120), (1, 31.4), (2, 16.6), (3, 1.9)])
def test_zero_memory_of_the_papers_example(stage, gigabytes):
    # Rajbhandari et al. 2020 (arXiv:1910.02054), figure 1: 7.5 B parameters, 64 devices, K = 12.
    assert parallel.zero_bytes_per_device(7.5e9, 64, stage) / 1e9 == pytest.approx(gigabytes, abs=0.05)


@pytest.mark.parametrize(("stage", "volume"), [(0, 2), (1, 2), (2, 2), (3, 3)])
def test_zero_sends_two_or_three_times_the_parameters(stage, volume):
    # Same paper, section 7: 2 psi elements in data parallelism and with P_os+g, at most 3 psi with P_os+g+p.
    many = 10**6
    assert parallel.zero_communication_bytes(1e9, many, stage, bytes_per_weight=1, bytes_per_gradient=1) == pytest.approx(volume * 1e9)


def test_accumulation_costs_the_stages_that_keep_no_whole_gradient():
    once, four = ([parallel.zero_communication_bytes(1e9, 8, stage, microbatches=m) for stage in range(4)] for m in (1, 4))
    assert [b / a for a, b in zip(once, four, strict=True)] == pytest.approx([1, 1, 2.5, 4])


@given(devices=counts, stage=st.integers(1, 3))
def test_each_zero_stage_stores_less(devices, stage):
    assert parallel.zero_bytes_per_device(1e9, devices, stage) < parallel.zero_bytes_per_device(1e9, devices, stage - 1)


@given(backward=st.floats(0.1, 10), communication=st.floats(0, 10), buckets=st.integers(1, 50))
def test_overlap_played_out_bucket_by_bucket(backward, communication, buckets):
    free = 0.0
    for bucket in range(1, buckets + 1):
        free = max(free, backward * bucket / buckets) + communication / buckets
    assert parallel.data_parallel_step_s(1.0, backward, communication, buckets) == pytest.approx(1 + free)


def test_scaling_efficiency_is_one_when_linear():
    assert parallel.scaling_efficiency(100, 16, 1600) == 1


# Tensor and context parallelism ---------------------------------------------------------------------------------------


def test_tensor_parallel_volume_of_megatron():
    # Narayanan et al. 2021 (arXiv:2104.04473), section 3.2: 8 b s h (t-1)/t values per layer, device and microbatch.
    b, s, h, t = 4, 2048, 12288, 8
    assert parallel.tensor_parallel_bytes(b, s, h, t, dtype="bf16") == 2 * 8 * b * s * h * (t - 1) / t
    assert parallel.tensor_parallel_bytes(b, s, h, t, n_layers=96, all_reduces=2) == 48 * parallel.tensor_parallel_bytes(b, s, h, t)


@pytest.mark.parametrize(("d_model", "n_heads", "scores"), [(12288, 96, 80), (20480, 128, 64)])
def test_activations_of_gpt3_and_mt_nlg(d_model, n_heads, scores):
    # Korthikanti et al. 2022 (arXiv:2205.05198): s b h (34 + 5 a s / h); 5 a s / h is 80 for GPT-3 and 64 for MT-NLG at s = 2048.
    unit = 2048 * d_model
    assert parallel.layer_activation_bytes(1, 2048, d_model, n_heads) == pytest.approx(unit * (34 + scores))
    assert parallel.layer_activation_bytes(1, 2048, d_model, n_heads, tensor=8) == pytest.approx(unit * (10 + 24 / 8 + scores / 8))
    assert parallel.layer_activation_bytes(1, 2048, d_model, n_heads, 8, sequence_parallel=1, keep_scores=0) == pytest.approx(unit * 34 / 8)


@pytest.mark.parametrize(
    ("peak", "bandwidth", "block"), [(312, 300, 1.0), (312, 12.5, 24.5), (123, 112, 1.1), (275, 268, 1.0), (196, 186, 1.1)]
)
def test_ring_attention_hides_from_the_papers_block_size(peak, bandwidth, block):
    # Liu et al. 2023 (arXiv:2310.01889), table 2: A100 with NVLink and InfiniBand, TPU v3, v4, v5e; thousands of tokens.
    # 24.5 stands for 312 / 12.5 = 24.96: the table is 2% below its own formula there.
    assert parallel.ring_attention_hidden_seq(peak * 1e12, bandwidth * 1e9) / 1e3 == pytest.approx(block, rel=0.05)


# Pipelines ------------------------------------------------------------------------------------------------------------


def orders(schedule, stages, microbatches, chunks):
    """What each device does, in order: (forward?, global stage, microbatch). As Megatron-LM's schedules.py does it."""
    total = microbatches * chunks
    for rank in range(stages):

        def step(k, forward, rank=rank):
            chunk = k % (stages * chunks) // stages
            chunk = chunk if forward else chunks - 1 - chunk
            return forward, chunk * stages + rank, k // (stages * chunks) * stages + k % stages

        warm_up = {
            "gpipe": total,
            "1f1b": stages - rank - 1,
            "interleaved": 2 * (stages - rank - 1) + (chunks - 1) * stages,
        }[schedule]
        warm_up = min(warm_up, total)
        forwards, backwards = [step(k, True) for k in range(total)], [step(k, False) for k in range(total)]
        steady = itertools.chain.from_iterable(zip(forwards[warm_up:], backwards, strict=False))
        yield [*forwards[:warm_up], *steady, *backwards[total - warm_up :]]


def play(schedule, stages, microbatches, chunks, forward_s, backward_s):
    """Seconds of the step, and the most microbatches' worth of activations that device 0 holds."""
    queues = [list(order) for order in orders(schedule, stages, microbatches, chunks)]
    done, clock, last = {}, [0.0] * stages, stages * chunks - 1
    while any(queues):
        for rank, queue in enumerate(queues):
            while queue:
                forward, stage, microbatch = queue[0]
                if forward:
                    needs = [(True, stage - 1, microbatch)] if stage else []
                else:
                    needs = [(False, stage + 1, microbatch) if stage < last else (True, last, microbatch)]
                if not all(need in done for need in needs):
                    break
                start = max([clock[rank], *(done[need] for need in needs)])
                clock[rank] = start + (forward_s if forward else backward_s) / chunks
                done[queue.pop(0)] = clock[rank]
    held = itertools.accumulate(1 if forward else -1 for forward, _, _ in next(orders(schedule, stages, microbatches, chunks)))
    return max(clock), max(held) / chunks


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b", "interleaved"])
@pytest.mark.parametrize(("stages", "microbatches", "chunks"), [(1, 4, 2), (2, 2, 2), (4, 8, 2), (4, 16, 3), (8, 32, 4)])
def test_a_schedule_played_out(schedule, stages, microbatches, chunks):
    chunks = chunks if schedule == "interleaved" else 1
    seconds, held = play(schedule, stages, microbatches, chunks, forward_s=1.0, backward_s=2.0)
    assert seconds == pytest.approx(parallel.pipeline_step_s(stages, microbatches, 1.0, 2.0, chunks))
    assert held == pytest.approx(parallel.in_flight_microbatches(stages, microbatches, schedule, chunks))
    busy = 3.0 * microbatches
    assert (seconds - busy) / busy == pytest.approx(parallel.pipeline_bubble_over_compute(stages, microbatches, chunks))
    assert (seconds - busy) / seconds == pytest.approx(parallel.pipeline_bubble_share(stages, microbatches, chunks))


def test_gpipe_calls_the_bubble_negligible_from_four_microbatches_a_stage():
    # Huang et al. 2019 (arXiv:1811.06965), section 2.3: O((K-1)/(M+K-1)), negligible when M >= 4 K.
    assert all(parallel.pipeline_bubble_share(k, 4 * k) < 0.2 for k in range(1, 100))


def test_an_unknown_schedule_is_named_with_the_nearest():
    with pytest.raises(InputError, match="'1f1b'"):
        parallel.in_flight_microbatches(4, 8, "1f1")


# Experts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tokens", "n_experts", "top_k"), [(8192, 8, 2), (8192, 64, 2), (65536, 256, 8)])
def test_random_routing_played_out(tokens, n_experts, top_k):
    rng = np.random.default_rng(0)
    routed = rng.multinomial(tokens * top_k, np.full(n_experts, 1 / n_experts), size=2000)
    mean_excess = (routed.max(axis=1) / routed.mean(axis=1)).mean() - 1
    estimate = parallel.expert_imbalance(tokens, n_experts, top_k) - 1
    assert mean_excess < estimate < 1.5 * mean_excess


def test_expert_capacity_is_the_mean_with_room():
    assert parallel.expert_capacity(tokens=1000, n_experts=8, top_k=2) == 250
    assert parallel.expert_capacity(tokens=6, n_experts=3, capacity_factor=1.5) == 3  # Fedus et al. 2022, figure 3


# The whole run --------------------------------------------------------------------------------------------------------


def test_gpt3_took_the_flops_of_its_paper():
    # Brown et al. 2020 (arXiv:2005.14165), table D.1: 174,600 M parameters, 300 B tokens, 3.14e23 FLOPs.
    assert parallel.training_flops(174_600e6, 300e9) == pytest.approx(3.14e23, rel=0.002)


@pytest.mark.parametrize(
    ("params", "tokens", "devices", "achieved", "days"), [(175e9, 300e9, 1024, 140e12, 34), (1008e9, 450e9, 3072, 163e12, 84)]
)
def test_megatron_training_days(params, tokens, devices, achieved, days):
    # Narayanan et al. 2021 (arXiv:2104.04473), section 5.1: 8 T P / (n X) with full recomputation. Table 1 has 1,008 B parameters.
    flops = parallel.training_flops(params, tokens, recompute=1)
    assert parallel.training_s(flops, devices, 312e12, achieved / 312e12) / 86400 == pytest.approx(days, abs=0.6)


@pytest.mark.parametrize(("achieved", "percent"), [(430e12, 43), (400e12, 41), (380e12, 38)])
def test_llama_3_405b_mfu(achieved, percent):
    # Grattafiori et al. 2024 (arXiv:2407.21783), table 4, on H100s with a dense peak of 989 TFLOP/s in BF16.
    assert 100 * parallel.mfu(achieved, 1, 1, 989e12) == pytest.approx(percent, abs=0.6)


@given(data=st.sampled_from([1, 2, 8]), tensor=st.sampled_from([1, 2, 8]), stages=st.sampled_from([1, 2, 8]), stage=st.integers(0, 3))
def test_more_devices_on_any_axis_never_need_more_memory_each(data, tensor, stages, stage):
    def place(data, tensor, stages):
        return parallel.placement_bytes_per_device(70e9, 16e9, data, tensor, stages, microbatches=32, zero_stage=stage)

    here = place(data, tensor, stages)
    assert place(2 * data, tensor, stages) <= here
    assert place(data, 2 * tensor, stages) < here
    assert place(data, tensor, 2 * stages) < here
    assert place(1, 1, 1) == 16 * 70e9 + 16e9
