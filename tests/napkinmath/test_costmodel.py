"""Laws recover the machine that their samples come from, and say what they do not know."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napkinmath.costmodel import COLD_BYTES, Work, cold_share, work_of
from napkinmath.dtypes import bytes_per_value
from napkinmath.grids import GRIDS
from napkinmath.laws import Law
from napkinmath.ledger import Op


def gemm(tokens, d_in, d_out, dtype="fp32"):
    return Work(
        "gemm", dtype, (tokens, d_in, d_out, 1, 2), 2.0 * tokens * d_in * d_out, 4.0 * (tokens * d_in + d_in * d_out + tokens * d_out)
    )


def seconds(work):
    return 3e-6 + work.flops / 100e9 + work.bytes / 20e9


SAMPLES = [gemm(t, k, n) for t in (1, 8, 64, 512) for k in (128, 768, 3072) for n in (128, 768, 3072)]


def test_a_law_reproduces_shapes_between_its_samples():
    law = Law(SAMPLES, [seconds(w) for w in SAMPLES])
    between = [gemm(t, k, n) for t in (3, 30, 300) for k in (300, 1500) for n in (300, 1500)]
    for work, guess in zip(between, law.price(between).seconds, strict=True):
        assert guess == pytest.approx(seconds(work), rel=0.1)


def test_dispatch_is_the_part_that_stays_as_work_shrinks():
    law = Law(SAMPLES, [seconds(w) for w in SAMPLES])
    large, small = gemm(512, 3072, 3072), gemm(1, 128, 128)
    priced = law.price([large, small])
    assert priced.overhead[0] < 0.01 * priced.seconds[0]
    assert priced.overhead[1] == pytest.approx(3e-6, rel=0.2)


def test_no_law_is_faster_than_the_samples_allow():
    """Copies that mostly did nothing once made a law of 700 TB/s, and a cache of 25 MB was copied for free."""
    works = [Work("copy", "fp32", (rows, 64), 0.0, 512.0 * rows) for rows in (2**i for i in range(4, 16))]
    times = [3e-6 + w.bytes / 20e9 if i % 3 else 2e-7 for i, w in enumerate(works)]
    far = Work("copy", "fp32", (2**19, 64), 0.0, 512.0 * 2**19)
    rates = [w.bytes / t for w, t in zip(works, times, strict=True)]
    assert Law(works, times).price([far]).seconds[0] >= far.bytes / max(rates) / 3


def test_a_strided_copy_of_the_calibration_copies():
    """An odd number of rows made a view that was contiguous already."""
    import torch

    from napkinmath.kernels import Pools

    (grid,) = (grid for grid in GRIDS if grid.law == "copy.strided")
    pools = Pools("cpu", torch.float32, 2**20, 2**22)
    for work in itertools.islice(grid.works("fp32"), 12):
        if math.prod(work.dims) <= 2**20:
            made = grid.build(pools, work.dims)()
            assert made.numel() == math.prod(work.dims)
            assert not pools.hot(1).data_ptr() <= made.data_ptr() < pools.hot(2**22)[-1:].data_ptr()


def test_a_cliff_that_the_formula_misses_is_interpolated():
    def stepped(work):
        return seconds(work) * (2.0 if work.dims[0] <= 8 else 1.0)

    law = Law(SAMPLES, [stepped(w) for w in SAMPLES])
    few, many = law.price([gemm(4, 768, 768), gemm(512, 768, 768)]).seconds
    assert few == pytest.approx(stepped(gemm(4, 768, 768)), rel=0.25)
    assert many == pytest.approx(stepped(gemm(512, 768, 768)), rel=0.25)


def test_one_wild_sample_does_not_move_its_neighbours():
    times = [seconds(w) for w in SAMPLES]
    times[13] *= 20
    law = Law(SAMPLES, times)
    neighbour = SAMPLES[12]
    assert law.price([neighbour]).seconds[0] == pytest.approx(seconds(neighbour), rel=0.35)


@pytest.mark.parametrize("wild", [4, 13, 31])
def test_one_wild_sample_is_not_believed_at_its_own_place_and_adds_no_doubt(wild):
    times = [seconds(w) for w in SAMPLES]
    times[wild] *= 20
    priced = Law(SAMPLES, times).price(SAMPLES)
    assert priced.seconds[wild] == pytest.approx(seconds(SAMPLES[wild]), rel=0.25)
    assert priced.sigma.max() < 0.1


def test_outside_the_samples_is_said_and_less_certain():
    noisy = [seconds(w) * (1.0 + 0.2 * (-1) ** i) for i, w in enumerate(SAMPLES)]
    law = Law(SAMPLES, noisy)
    priced = law.price([gemm(64, 768, 768), gemm(100_000, 20_000, 20_000)])
    assert list(priced.outside) == [False, True]
    assert priced.sigma[1] >= priced.sigma[0]
    assert priced.seconds[1] > 0 and math.isfinite(priced.seconds[1])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_few_samples_still_give_a_law(count):
    law = Law(SAMPLES[:count], [seconds(w) for w in SAMPLES[:count]])
    assert law.price([SAMPLES[0]]).seconds[0] == pytest.approx(seconds(SAMPLES[0]), rel=0.5)


def linear(weight_bytes=True, transposed=False, count=1):
    layout = ((("weight_bytes", 4 * 8 * 16),) if weight_bytes else ()) + ((("transposed", True),) if transposed else ())
    return Op("fc/addmm", "matmul", flops=count * 2 * 5 * 8 * 16, bytes_read=count * 700, bytes_written=count * 320, count=count,
              shape=((1, 5, 8), (1, 8, 16)), op="aten.addmm.default", layout=layout)  # fmt: skip


def test_rows_become_the_work_of_one_execution():
    assert work_of(linear(count=3)) == Work("gemm", "fp32", (5, 8, 16, 1, 1), 2 * 5 * 8 * 16, 1020)
    assert work_of(linear(transposed=True)).dims == (5, 8, 16, 2, 1)
    assert work_of(linear(), weights_hot=True).law == "gemm.hot"
    assert work_of(linear(weight_bytes=False)).law == "gemm.hot"
    one_token = dataclasses.replace(linear(), shape=((1, 1, 8), (1, 8, 16)))
    assert work_of(one_token).law == "gemv"
    assert work_of(one_token, weights_hot=True).law == "gemv.hot"


@pytest.mark.parametrize(
    ("op", "law", "dims"),
    [
        (Op("a", "matmul", 8, bytes_read=8, shape=((6, 2, 3), (6, 3, 4)), op="aten.bmm.default"), "bmm", (6, 2, 3, 4)),
        (Op("a", "attention", 8, bytes_read=8, shape=((2, 3, 5, 64), (2, 3, 7, 64)), op="aten._scaled_dot_product_flash_attention.default",
            layout=(("causal", True), ("masked", False))), "attention.causal", (6, 5, 7, 64)),
        (Op("a", "elementwise", bytes_read=8, shape=((2, 5, 64), (2, 5, 64)), op="aten.add.Tensor"), "add", (10, 64)),
        (Op("a", "elementwise", bytes_read=8, shape=((2, 5, 64),), op="aten.some_new_function.default"), "mul", (10, 64)),
        (Op("a", "norm", bytes_read=8, shape=((2, 5, 64), (64,), (64,)), op="aten.native_layer_norm.default"), "layer_norm", (10, 64)),
        (Op("a", "gather", bytes_read=8, shape=((30000, 64), (2, 5)), op="aten.embedding.default"), "gather", (10, 64)),
        (Op("a", "copy", bytes_read=8, shape=((2, 5, 64),), op="aten.clone.default", layout=(("contiguous", False),)),
            "copy.strided", (10, 64)),
        (Op("a", "copy", bytes_read=8, shape=((2, 5, 64),), op="aten.clone.default"), "copy", (10, 64)),
        (Op("a", "norm", bytes_read=8, shape=((2, 32, 7, 7), (32,)), op="aten.native_batch_norm.default"), "batch_norm", (64, 49)),
        (Op("a", "pool", bytes_read=8, shape=((2, 32, 8, 8),), op="aten.max_pool2d_with_indices.default"), "pool", (64, 4)),
        (Op("a", "recurrent", 8, bytes_read=8, shape=((9, 3, 16), (128, 16), (128, 32)), op="aten.mkldnn_rnn_layer.default"),
            "recurrent", (9, 3, 16, 32)),
        (Op("a", "gather", bytes_read=8, shape=((1000, 16), (20,), (4,)), op="aten._embedding_bag.default"), "gather.bag", (4, 5, 16)),
    ],
)  # fmt: skip
def test_operators_find_their_law(op, law, dims):
    work = work_of(op)
    assert work is not None
    assert (work.law, work.dims) == (law, dims)


@pytest.mark.parametrize(
    ("module", "shape", "law", "dims"),
    [
        ("Conv2d(16, 32, 3, stride=2, padding=1)", (2, 16, 32, 32), "conv", (2, 16, 16, 32, 3, 2, 2)),
        ("Conv2d(16, 24, 1)", (2, 16, 8, 8), "conv.pointwise", (2, 8, 16, 24, 1, 1, 1)),
        ("Conv2d(24, 24, 5, padding=2, groups=24)", (1, 24, 8, 8), "conv.depthwise", (1, 8, 24, 24, 5, 1, 1)),
        ("Conv2d(32, 64, 3, padding=1, groups=2)", (1, 32, 8, 8), "conv", (2, 8, 16, 32, 3, 1, 2)),
        ("ConvTranspose2d(8, 16, 4, stride=2)", (1, 8, 8, 8), "conv.transposed", (1, 8, 8, 16, 4, 2, 1)),
        ("Conv1d(8, 16, 3, stride=2)", (1, 8, 65), "conv1d", (1, 32, 8, 16, 3, 2, 1)),
    ],
)
def test_convolutions_find_the_law_that_their_grid_feeds(module, shape, law, dims):
    torch = pytest.importorskip("torch")
    from napkinmath import trace

    (op,) = trace(eval(f"torch.nn.{module}", {"torch": torch}), torch.zeros(shape)).ops
    work = work_of(op)
    assert work is not None
    assert (work.law, work.dims) == (law, dims)
    grid = next(grid for grid in GRIDS if grid.law == law)
    assert work.flops == grid.flops(*dims)
    if "groups=2" not in module and "Transpose" not in module:  # the grid pads by half the kernel
        assert work.bytes == pytest.approx(4 * grid.values(*dims), rel=0.05)


@pytest.mark.parametrize("kernel", [1, 3, 5, (1, 5)])
@pytest.mark.parametrize(("batch", "channels", "side", "groups"), [(1, 20, 32, 1), (1, 21, 32, 1), (2, 20, 32, 1), (1, 20, 32, 2)])
def test_small_maps_go_where_torch_sends_them(batch, channels, side, groups, kernel):
    """``conv.small`` is what torch multiplies itself; torch is asked for its backend (with one thread it takes its own more often)."""
    torch = pytest.importorskip("torch")
    from napkinmath import trace

    threads = torch.get_num_threads()

    if channels % groups:
        channels += 1
    module = torch.nn.Conv2d(channels, 2 * groups, kernel, groups=groups)
    x = torch.zeros(batch, channels, side, side)
    (op,) = trace(module, x).ops
    torch.set_num_threads(2)
    try:
        backend = torch._C._select_conv_backend(x, module.weight, module.bias, [1, 1], [0, 0], [1, 1], False, [0, 0], groups)
    finally:
        torch.set_num_threads(threads)
    work = work_of(op)
    assert work is not None
    assert (work.law == "conv.small") == (backend.name == "Slow2d")


def test_an_operand_that_memory_holds_takes_longer():
    """Times of a machine with a cache of 4 MB that is five times as fast as its memory."""

    def moved(rows, age):
        return Work("mul", "fp32", (rows, 1024), 0.0, 8192.0 * rows, 8192.0 * rows + age)

    def true(work):
        return 2e-6 + work.bytes / (20e9 if work.age > 4e6 else 100e9)

    samples = [moved(rows, 2.0**age) for rows in (8, 32, 64, 128, 256) for age in range(15, 27)]
    law = Law(samples, [true(w) for w in samples])
    asked = [moved(rows, age) for rows in (24, 100) for age in (2.0**16.5, 2.0**25.5)]
    for work, guess in zip(asked, law.price(asked).seconds, strict=True):
        assert guess == pytest.approx(true(work), rel=0.15)


def test_cold_code_and_cold_operands_are_told_apart():
    """A machine that dispatches in 1 microsecond, in up to 9 more when other traffic went by, and reads at one speed from anywhere."""

    def moved(rows, age, code_age=None):
        return Work("add", "fp32", (rows, 256), 0.0, 3072.0 * rows, 3072.0 * rows + age, code_age)

    def true(work):
        code_age = work.age if work.code_age is None else work.code_age
        return 1e-6 + 9e-6 * code_age / (code_age + 4e6) + work.bytes / 50e9

    samples = [moved(rows, 2.0**age) for rows in (1, 4, 16, 64, 256) for age in range(15, 27)]
    law = Law(samples, [true(w) for w in samples])
    asked = [moved(2, 2.0**24), moved(2, 2.0**24, 2.0**15), moved(100, 2.0**24, 2.0**15)]
    for work, guess in zip(asked, law.price(asked).seconds, strict=True):
        assert guess == pytest.approx(true(work), rel=0.2)


@pytest.mark.parametrize(("weights", "share"), [(0, 0.0), (1, 0.0), (2**20, 0.0), (0.4 * 2**25, 0.5), (2**25, 0.975), (2**30, 1.0)])
def test_how_much_of_the_weights_left_the_cache(weights, share):
    assert cold_share(weights, 2**25) == pytest.approx(share, abs=0.001)


@given(st.floats(0, 1e12), st.floats(0, 1e12), st.floats(1, 1e9))
def test_more_weights_are_no_warmer(some, others, cache):
    less, more = sorted((some, others))
    assert 0 <= cold_share(less, cache) <= cold_share(more, cache) <= 1


def test_without_a_cache_nothing_is_warm():
    assert cold_share(1, 0) == 1


@pytest.mark.parametrize("dtype", ["int64", "bool", "int8", "fp64"])
def test_indices_and_masks_are_priced_by_what_they_move(dtype):
    clone = Op("a", "copy", bytes_read=64, bytes_written=64, shape=((8,),), op="aten.clone.default", dtype=dtype)
    work = work_of(clone)
    assert (work.key, work.dims, work.bytes) == ("copy/fp32", (1, 8), 128)


def test_how_old_an_operand_is_comes_from_the_row():
    add = Op("a", "elementwise", bytes_read=80, bytes_written=40, shape=((2, 5), (2, 5)), op="aten.add.Tensor")
    assert work_of(dataclasses.replace(add, layout=(("age", 1000),))).age == 1000
    assert work_of(dataclasses.replace(add, layout=(("age", 10),))).age == 120, "no younger than what is moved now"
    assert work_of(dataclasses.replace(add, layout=(("age", 10**12),))).age == 120 + COLD_BYTES, "nothing is left by then"
    assert work_of(add).age == COLD_BYTES, "what no row has written"
    assert work_of(add, run_bytes=5000).age == 5000
    assert work_of(linear()).age == 0
    assert work_of(add, code_age=0).code_age == 120
    assert work_of(add, code_age=10**12).code_age == work_of(add).code_age == 120 + COLD_BYTES


def test_a_weight_read_again_is_warm_when_it_fits_the_cache():
    again = dataclasses.replace(linear(), params=0)
    assert work_of(dataclasses.replace(linear(), params=136), cache_bytes=2**20).law == "gemm"
    assert work_of(again, cache_bytes=2**20).law == "gemm.hot"
    assert work_of(again, cache_bytes=2**8).law == "gemm"


def test_rows_that_no_law_covers():
    volume = Op("a", "conv", 8, bytes_read=8, shape=((1, 3, 4, 8, 8), (4, 3, 3, 3, 3)), op="aten.convolution.default")
    assert work_of(volume) is None
    assert work_of(Op("a", "parameters", params=8)) is None


@pytest.mark.parametrize("grid", GRIDS, ids=lambda g: f"{g.law}-{g.dtypes[0]}")
def test_every_grid_covers_its_ranges_and_runs(grid):
    torch = pytest.importorskip("torch")
    from napkinmath.kernels import Pools

    dtype = grid.dtypes[0]
    works = list(itertools.islice(dataclasses.replace(grid, most_values=2**23).works(dtype), 40))
    assert len({w.dims for w in works}) > 20
    assert all(w.flops <= grid.largest and w.bytes <= 2**23 * bytes_per_value(dtype) for w in works)
    assert all((w.flops > 0) == (w.law.split(".")[0] in ("gemm", "gemv", "bmm", "attention", "conv", "conv1d", "recurrent")) for w in works)
    pools = Pools("cpu", torch.int8 if (grid.pool or dtype) == "int8" else torch.float32, 2**23, 2**23)
    smallest = min(works, key=lambda w: w.flops + w.bytes)
    with torch.inference_mode():
        assert torch.isfinite(grid.build(pools, smallest.dims)()).all()


def test_cold_operands_move_and_hot_ones_stay():
    torch = pytest.importorskip("torch")
    from napkinmath.kernels import Pools

    pools = Pools("cpu", torch.float32, 2**19, 2**19)
    cold = pools.cold(2**17)
    assert len({cold().data_ptr() for _ in range(4)}) > 1
    assert pools.hot(64).data_ptr() == pools.hot(64).data_ptr() != pools.hot(64, at=1).data_ptr()


def test_what_is_evicted_goes_through_the_pool_of_weights():
    torch = pytest.importorskip("torch")
    from napkinmath.kernels import Pools

    pools = Pools("cpu", torch.float32, 2**20, 2**18)
    before = pools.cold(1)().data_ptr()
    pools.evict(2**20)
    assert pools.cold(1)().data_ptr() - before == pytest.approx(2**20, rel=0.01)
    pools.evict(0)


def test_much_is_evicted_by_operations_as_small_as_those_of_a_network(monkeypatch):
    torch = pytest.importorskip("torch")
    from napkinmath.kernels import Pools

    read: list[int] = []
    pools = Pools("cpu", torch.float32, 2**22, 2**18)
    monkeypatch.setattr(torch, "mm", lambda left, right: read.append(right.numel() * 4))
    pools.evict(10 * 2**20)
    assert len(read) == 3 and sum(read) == pytest.approx(10 * 2**20, rel=0.01)


def test_a_cold_weight_may_be_larger_than_the_pool_of_activations():
    torch = pytest.importorskip("torch")
    from napkinmath.kernels import Pools

    vocabulary = next(grid for grid in GRIDS if grid.law == "gemm" and grid.most_values > 2**25)
    pools = Pools("cpu", torch.float32, 2**20, 2**18)
    with torch.inference_mode():
        assert vocabulary.build(pools, (1, 512, 1024, 2))().shape == (1, 1024)


def test_wild_samples_cannot_make_a_law_claim_more_than_they_show():
    # A busy machine: times scattered over a factor of a hundred. Within the sampled shapes no estimate may leave that range.
    rows = [(1 << (i % 12), 256 << (i % 4)) for i in range(12)]
    works = [Work("layer_norm", "fp32", dims, 0.0, 8.0 * dims[0] * dims[1]) for dims in rows]
    seconds = [1e-5 * (1, 100, 3, 40)[i % 4] for i in range(12)]
    priced = Law(works, seconds).price(works)
    assert (priced.seconds < 10 * max(seconds)).all()
    assert (priced.seconds > min(seconds) / 10).all()
