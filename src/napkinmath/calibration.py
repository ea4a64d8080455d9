"""Measure this machine, in a minute: how fast it multiplies, moves memory and dispatches, over a grid of shapes."""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from . import environment
from .costmodel import Work
from .errors import InputError
from .grids import GRIDS
from .kernels import Grid, Pools, Run
from .profile import Profile

_PASSES = 3  # each sample is timed in every pass, far apart in time, so that a disturbance hits one of them only
_SLICE_S = 0.012  # of timing one sample in one pass
_TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_LEAST = 3  # samples of every grid, however short the budget
_OTHER_DTYPES_SHARE = 0.3  # of a grid's time, for each dtype beside fp32


@dataclass
class _Case:
    work: Work
    grid: Grid
    seconds: list[float] = field(default_factory=list)


def calibrate(
    budget_s: float = 60.0,
    *,
    quick: bool = False,
    device: str | None = None,
    threads: int | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Profile:
    """Time operations until the budget is spent, and return the profile (not saved; see :meth:`Profile.save`).

    Args:
        budget_s: seconds to spend, at least 5.
        quick: spend 15 seconds: fewer samples, wider intervals.
        device: ``cpu``, ``cuda`` or ``mps``; where not given, the accelerator if there is one.
        threads: CPU threads; where not given, what torch uses now. Stays set afterwards, because the profile holds for it only.
        progress: called with the fraction done and what is being timed.

    Raises:
        InputError: a budget below 5 s, no such device, or fewer than one thread.
    """
    import torch

    if not quick and not 5 <= budget_s <= 3600:
        raise InputError(f"budget_s={budget_s}: a calibration takes 5 to 3600 seconds; 60 is usual")
    if threads is not None and threads < 1:
        raise InputError(f"threads={threads}: use 1 or more")
    device = device or environment.default_device()
    if device not in ("cpu", "cuda", "mps") or (device != "cpu" and environment.default_device() != device):
        raise InputError(f"device={device!r} cannot be calibrated here; this machine has cpu" + _accelerator())
    begin = time.perf_counter()
    budget_s = 15.0 if quick else budget_s
    report = progress or (lambda fraction, what: None)
    allocator = environment.steady_allocator()
    if threads:
        torch.set_num_threads(threads)
    cache = environment.last_level_cache_bytes() if device == "cpu" else 64 * 2**20
    dtypes = environment.native_dtypes(device)
    with torch.inference_mode():
        report(0.0, "memory pools")
        cold_elements = min(max(3 * cache, 2**28), 2**29) // 4  # larger than the cache, and than any one weight of the grids
        pools = {dtype: Pools(device, getattr(torch, _TORCH_NAMES[dtype]), cold_elements) for dtype in dtypes}
        rates = [_rates(pools, device)]
        module_s, view_s = _overheads(pools["fp32"])
        deadline = begin + budget_s * 0.97
        cases = _first_pass(pools, device, max(deadline - time.perf_counter(), 0.3) / _PASSES, report)
        for number in range(1, _PASSES):
            for index, case in enumerate(cases):
                if time.perf_counter() > deadline:
                    break
                case.seconds.append(_time(case.grid.build(pools[case.work.dtype], case.work.dims), device))
                report((number + index / len(cases)) / _PASSES, case.work.key)
        rates.append(_rates(pools, device))
    samples: dict[str, list[list[object]]] = {}
    for case in cases:
        samples.setdefault(case.work.key, []).append(
            [list(case.work.dims), case.work.flops, case.work.bytes, statistics.median(case.seconds)]
        )
    report(1.0, "done")
    return Profile(
        device=device,
        machine=environment.machine(device),
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        allocator=allocator,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        duration_s=time.perf_counter() - begin,
        cache_bytes=cache,
        peaks={dtype: [rate[dtype] for rate in rates] for dtype in dtypes},
        bandwidths=[rate["bandwidth"] for rate in rates],
        module_s=module_s,
        view_s=view_s,
        noise=statistics.median([max(c.seconds) / min(c.seconds) - 1 for c in cases if len(c.seconds) > 1] or [0.0]),
        samples=samples,
    )


def _accelerator() -> str:
    found = environment.default_device()
    return "" if found == "cpu" else f" and {found}"


def _first_pass(pools: dict[str, Pools], device: str, budget_s: float, report: Callable[[float, str], None]) -> list[_Case]:
    """Draw and time samples, a few of every grid and then of the one that has had the least of its share, until the pass's time is over."""
    streams: list[tuple[Grid, Iterator[Work], float]] = []
    for dtype in pools:
        for grid in GRIDS:
            if dtype in grid.dtypes:
                streams.append((grid, grid.works(dtype), grid.share * (1.0 if dtype == "fp32" else _OTHER_DTYPES_SHARE)))
    spent, drawn = [0.0] * len(streams), [0] * len(streams)
    cases: list[_Case] = []
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + budget_s or min(drawn) < _LEAST:
        index = min(range(len(streams)), key=lambda i: (drawn[i] >= _LEAST, spent[i] / streams[i][2]))
        grid, works, _ = streams[index]
        case = _Case(next(works), grid)
        case.seconds.append(_time(grid.build(pools[case.work.dtype], case.work.dims), device))
        spent[index] += time.perf_counter() - now
        drawn[index] += 1
        cases.append(case)
        report(min((now - begin) / budget_s, 1.0) / _PASSES, case.work.key)
    return cases


def _time(run: Run, device: str, slice_s: float = _SLICE_S) -> float:
    """Seconds of one run, the lower quartile of several; short ones in bursts, so that the clock or the device's queue costs little."""

    def burst(runs: int) -> float:
        start = time.perf_counter()
        for _ in range(runs):
            run()
        environment.synchronize(device)
        return (time.perf_counter() - start) / runs

    burst(1)
    once = burst(1)
    runs = max(1, min(int(2e-4 / once), 200))
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < slice_s:
        times.append(burst(runs))
    return sorted(times)[len(times) // 4]


def _rates(pools: dict[str, Pools], device: str) -> dict[str, float]:
    """Peak matmul rate by dtype, FLOP/s, and memory bandwidth, bytes/s: the best of a few runs."""
    import torch

    side = 2048 if device == "cpu" else 8192
    rates = {}
    for dtype, pool in pools.items():
        left, right = pool.hot(side, side) if side <= 2048 else pool.cold(side, side)(), pool.cold(side, side)()
        rates[dtype] = 2.0 * side**3 / min(_time(lambda: torch.mm(left, right), device, 0.05) for _ in range(2))  # noqa: B023
    pool = pools["fp32"]
    rows, row = 2**13, 2**12
    vector, matrix = pool.hot(row), pool.cold(rows, row)
    rates["bandwidth"] = 4.0 * rows * row / min(_time(lambda: torch.mv(matrix(), vector), device, 0.05) for _ in range(2))
    return rates


def _overheads(pool: Pools) -> tuple[float, float]:
    """Seconds of a module call and of a view: what a model does between its operators."""
    import torch

    x, identity = pool.hot(8, 8), torch.nn.Identity()
    return _time(lambda: identity(x), "cpu"), _time(lambda: x.view(4, 16), "cpu")
