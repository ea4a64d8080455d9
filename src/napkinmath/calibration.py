"""Measure this machine, in a minute: how fast it multiplies, moves memory and dispatches, over a grid of shapes."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from . import environment
from .costmodel import Work
from .dtypes import bytes_per_value
from .errors import InputError
from .grids import GRIDS
from .kernels import Grid, Pools, Run
from .measurement import middle_mean
from .profile import Profile

_ROUNDS = 10  # over all samples: each is timed once a round, between others, so that a disturbance of seconds hits few of its times
_SHORT_S = 3e-4  # of timing a sample in a round: short operations several times
_SLICE_S = 0.004  # the same on an accelerator, where operations are timed in bursts
_TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "int8"}
_SINCE_BYTES = 2**22  # that other operations move between two runs of a kernel of the same shape
_SETTLED_RUNS = 8  # after which a compiled kernel, the code that calls it, and weights that the cache holds are as fast as in a network
_COMPILED_S, _WARM_S = 1e-3, 2e-3  # or after this time
_BRIEF_S = 1e-3  # an operation that takes less runs once untimed: its code, and where its results go, have to come back first
_IN_A_ROW = 16  # samples of a class
_LEAST = 3  # samples of every grid, however short the budget
_FITTING_SHARE = 0.07  # of the budget: measuring the peaks once more, and fitting the laws
_RATED_SHARE = 0.125  # of the budget, after which a part ends with measuring the peaks
_BURST, _TURNS = 100, 30  # calls in a row, and how often, of what takes a microsecond
_OTHER_DTYPES_SHARE = 0.2  # of a grid's time, for each dtype beside fp32


@dataclass
class _Case:
    work: Work
    pools: Pools
    run: Run
    seconds: list[float] = field(default_factory=list)

    def time(self, device: str) -> None:
        """Once more, under the conditions of a model: the operands are as old as :attr:`Work.age` says."""
        if device == "cpu":
            self.seconds.append(_time_in_context(self.run, self.pools, self.work))
        else:
            self.seconds.append(_time(self.run, device, _SLICE_S))


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
    if not quick and not 5 <= budget_s <= 3600:
        raise InputError(f"budget_s={budget_s}: a calibration takes 5 to 3600 seconds; 60 is usual")
    budget_s = 15.0 if quick else budget_s
    calibration = Calibration(budget_s, device, threads, progress)
    calibration.spend()
    return calibration.profile()


class Calibration:
    """A calibration that may be spent in parts, with other work between them.

    What is measured beside it over many minutes then meets the same moods of the machine, and a difference tells of the law, not of
    the hour: ``benchmarks/predictor.py`` does so.
    """

    def __init__(
        self,
        budget_s: float = 60.0,
        device: str | None = None,
        threads: int | None = None,
        progress: Callable[[float, str], None] | None = None,
    ) -> None:
        """Arguments, and what they may be, are :func:`calibrate`'s; nothing is timed yet."""
        import torch

        if threads is not None and threads < 1:
            raise InputError(f"threads={threads}: use 1 or more")
        self.device = device or environment.default_device()
        if self.device not in ("cpu", "cuda", "mps") or (self.device != "cpu" and environment.default_device() != self.device):
            raise InputError(f"device={self.device!r} cannot be calibrated here; this machine has cpu" + _accelerator())
        self._allocator = environment.steady_allocator()
        environment.keep_kernels(2**14)
        if threads:
            torch.set_num_threads(threads)
        self._budget_s, self._given_s, self._spent_s, self._rated_s = budget_s, 0.0, 0.0, 0.0
        self._report = progress or (lambda fraction, what: None)
        self._cache = environment.last_level_cache_bytes() if self.device == "cpu" else 64 * 2**20
        self._rates: list[dict[str, float]] = []
        self._overheads: list[tuple[float, float]] = []
        self._cases: list[_Case] = []
        self._visits = self._endless()

    def spend(self, share: float = 1.0) -> None:
        """Spend a share of the budget. The first part draws the samples as well; where that takes longer, later parts make up for it."""
        import torch

        begin = time.perf_counter()
        self._given_s += share * self._budget_s
        with torch.inference_mode():
            if not self._cases:
                self._start(begin)
            while self._spent_s + (now := time.perf_counter()) - begin < (1 - _FITTING_SHARE) * self._given_s:
                case = next(self._visits)
                case.time(self.device)
                self._report(min(max((self._spent_s + now - begin) / self._budget_s, 1 / _ROUNDS), 1 - _FITTING_SHARE), case.work.key)
            if self._given_s >= self._rated_s + _RATED_SHARE * self._budget_s:
                self._rate()
                self._rated_s = self._given_s
        self._spent_s += time.perf_counter() - begin

    def profile(self) -> Profile:
        """What was found so far.

        Raises:
            InputError: no part was spent yet.
        """
        import torch

        if not self._cases:
            raise InputError("nothing was timed yet: spend() some of the budget before asking for the profile")
        self._report(1 - _FITTING_SHARE, "fitting the laws")
        begin = time.perf_counter()
        samples: dict[str, list[list[object]]] = {}
        for case in self._cases:
            work = case.work
            samples.setdefault(work.key, []).append([list(work.dims), work.flops, work.bytes, work.age, middle_mean(case.seconds)])
        found = Profile(
            device=self.device,
            machine=environment.machine(self.device),
            threads=torch.get_num_threads(),
            torch=str(torch.__version__),
            allocator=self._allocator,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            duration_s=self._spent_s,
            cache_bytes=self._cache,
            peaks={dtype: [rates[dtype] for rates in self._rates] for dtype in self._pools},
            bandwidths=[rates["bandwidth"] for rates in self._rates],
            module_s=statistics.median(module_s for module_s, _ in self._overheads),
            view_s=statistics.median(view_s for _, view_s in self._overheads),
            noise=statistics.median(_spread(case.seconds) for case in self._cases),
            samples=samples,
        ).fitted()
        self._report(1.0, "done")
        return dataclasses.replace(found, duration_s=self._spent_s + time.perf_counter() - begin)

    def _start(self, begin: float) -> None:
        import torch

        self._report(0.0, "memory pools")
        dtypes = environment.native_dtypes(self.device)
        cold_bytes = min(max(3 * self._cache, 2**28), 2**29)  # larger than the cache, and than any one weight of the grids
        self._pools = {
            dtype: Pools(self.device, getattr(torch, _TORCH_NAMES[dtype]), cold_bytes // int(bytes_per_value(dtype))) for dtype in dtypes
        }
        torch.zeros(2**26, device=self.device)  # memory for all results: the system gives it once, page by page
        self._rate()
        left = max((1 - _FITTING_SHARE) * self._budget_s - (time.perf_counter() - begin), 0.3)
        self._cases = _first_round(self._pools, self.device, left / _ROUNDS, self._report)

    def _rate(self) -> None:
        self._rates.append(_rates(self._pools, self.device))
        self._overheads.append(_overheads(self._pools["fp32"]))

    def _endless(self) -> Iterator[_Case]:
        """Round after round over all cases, in random order, but some of a class after one another: a model too has few classes."""
        shuffle = random.Random(0).shuffle
        of_class: dict[str, list[_Case]] = {}
        for case in self._cases:
            of_class.setdefault(case.work.key, []).append(case)
        while True:
            groups = []
            for cases in of_class.values():
                shuffle(cases)
                groups += [cases[i : i + _IN_A_ROW] for i in range(0, len(cases), _IN_A_ROW)]
            shuffle(groups)
            yield from itertools.chain.from_iterable(groups)


def _accelerator() -> str:
    found = environment.default_device()
    return "" if found == "cpu" else f" and {found}"


def _first_round(pools: dict[str, Pools], device: str, budget_s: float, report: Callable[[float, str], None]) -> list[_Case]:
    """Draw and time samples until a round over them takes the budget: a few of every grid, then of the one that has least of its share."""
    streams: list[tuple[Grid, Iterator[Work], float]] = []
    for dtype in pools:
        for grid in GRIDS:
            if dtype in grid.dtypes and device in grid.devices and (".packed" not in grid.law or environment.packs_int8()):
                streams.append((grid, grid.works(dtype), grid.share * (1.0 if dtype == "fp32" else _OTHER_DTYPES_SHARE)))
    spent, drawn = [0.0] * len(streams), [0] * len(streams)
    cases: list[_Case] = []
    while (total := sum(spent)) < budget_s or min(drawn) < _LEAST:
        index = min(range(len(streams)), key=lambda i: (drawn[i] >= _LEAST, spent[i] / streams[i][2]))
        grid, works, _ = streams[index]
        work = next(works)
        case = _Case(work, pools["fp32"], grid.build(pools[grid.pool or work.dtype], work.dims))
        case.run()  # the first time, kernels are compiled
        begin = time.perf_counter()
        case.time(device)
        spent[index] += time.perf_counter() - begin
        drawn[index] += 1
        cases.append(case)
        report(min(total / budget_s, 1.0) / _ROUNDS, case.work.key)
    return cases


def _time_in_context(run: Run, pools: Pools, work: Work) -> float:
    """Seconds of one run after its operands were written and :attr:`Work.between` went by; of a short one, the median of a few.

    A brief one runs once before, untimed: in a model its like ran some layers before, here quite other operations did.

    Where a model would find weights in the cache, they are put there: a cache that only takes what a nearer one gives up, or that does
    not trust what is read once, needs several runs. Kernels that a library compiles for their shape are run before, because a model
    runs them again and again, and their results and scratch memory leave the nearest caches, because a model runs others in between.
    """
    compiled = _is_compiled(work)

    def once() -> float:
        if compiled:
            pools.evict(_SINCE_BYTES)
        for operand in run.fresh:
            operand.mul_(1)
        pools.evict(work.between)
        operands = run.operands()
        start = time.perf_counter()
        out = run.function(*operands)
        seconds = time.perf_counter() - start
        del out
        return seconds

    if compiled or work.weights_hot:
        _settle(run, _COMPILED_S if compiled else _WARM_S)
    elif (first := once()) > _BRIEF_S or run.once:
        return first
    times: list[float] = []
    begin = time.perf_counter()
    while not times or (len(times) < 5 and time.perf_counter() - begin < _SHORT_S):
        times.append(once())
    return statistics.median(times)


def _is_compiled(work: Work) -> bool:
    """Whether the library compiles a kernel for the very shape."""
    return work.law.startswith("conv")


def _settle(run: Run, most_s: float) -> None:
    begin = time.perf_counter()
    for _ in range(_SETTLED_RUNS):
        run()
        if time.perf_counter() - begin > most_s:
            break


def _time(run: Callable[[], object], device: str, slice_s: float) -> float:
    """Seconds of one run, the lower quartile of several; short ones in bursts, so that the clock or the device's queue costs little."""
    _burst(run, 1, device)
    once = _burst(run, 1, device)
    runs = max(1, min(int(2e-4 / once), 200))
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < slice_s:
        times.append(_burst(run, runs, device))
    return sorted(times)[len(times) // 4]


def _burst(run: Callable[[], object], runs: int, device: str) -> float:
    """Mean seconds of runs in a row."""
    start = time.perf_counter()
    for _ in range(runs):
        run()
    environment.synchronize(device)
    return (time.perf_counter() - start) / runs


def _spread(times: list[float]) -> float:
    """Half the distance between the quartiles, relative to the median."""
    ordered = sorted(times)
    return (ordered[3 * len(times) // 4] - ordered[len(times) // 4]) / 2 / statistics.median(times)


def _rates(pools: dict[str, Pools], device: str) -> dict[str, float]:
    """Peak matmul rate by dtype, FLOP/s, and memory bandwidth, bytes/s: the best of a few runs."""
    import torch

    side = 2048 if device == "cpu" else 8192
    rates = {}
    for dtype, pool in pools.items():
        left, right = pool.hot(side, side) if side <= 2048 else pool.cold(side, side)(), pool.cold(side, side)()
        product = torch._int_mm if dtype == "int8" else torch.mm
        rates[dtype] = 2.0 * side**3 / min(_time(lambda: product(left, right), device, 0.05) for _ in range(2))  # noqa: B023
    pool = pools["fp32"]
    rows, row = 2**13, 2**12
    vector, matrix = pool.hot(row), pool.cold(rows, row)
    readers: tuple[Run | Callable[[], object], ...] = (lambda: torch.mv(matrix(), vector), lambda: matrix().sum())
    rates["bandwidth"] = 4.0 * rows * row / min(_time(read, device, 0.05) for read in readers)
    return rates


def _overheads(pool: Pools) -> tuple[float, float]:
    """Seconds of a module's own Python, which calls an operator with its parameters, and of a view: what is between operators.

    The first is a small difference of two times, so both are taken by turns: the machine's mood moves them together.
    """
    import torch

    x, linear = pool.hot(8, 8), torch.nn.Linear(8, 8, device=pool.device)
    parameters = linear.weight, linear.bias

    def burst(run: Callable[[], object]) -> float:
        return _burst(run, _BURST, "cpu")  # of an accelerator too only the Python is wanted

    called = [burst(lambda: linear(x)) - burst(lambda: torch.nn.functional.linear(x, *parameters)) for _ in range(_TURNS)]
    views = (lambda: x.view(4, 16), lambda: x.transpose(0, 1), lambda: x[:4])
    viewed = [sum(map(burst, views)) / len(views) for _ in range(_TURNS)]
    return max(statistics.median(called), 0.0), statistics.median(viewed)
