"""Calibrating this machine: the samples are what the laws need, and the conditions are recorded. No time is asserted."""

import dataclasses
import itertools
import json

import pytest

torch = pytest.importorskip("torch")

from napkinmath import calibration  # noqa: E402
from napkinmath.calibration import calibrate  # noqa: E402
from napkinmath.costmodel import Work  # noqa: E402
from napkinmath.errors import InputError  # noqa: E402
from napkinmath.grids import GRIDS  # noqa: E402
from napkinmath.profile import Profile, load_profile  # noqa: E402


@pytest.fixture(scope="module")
def calibrated():
    seen: list[tuple[float, str]] = []
    threads = torch.get_num_threads()
    profile = calibrate(6, device="cpu", threads=threads, progress=lambda fraction, what: seen.append((fraction, what)))
    return profile, seen


def test_every_class_has_samples_and_plausible_rates(calibrated):
    profile, _ = calibrated
    for dtype in profile.peaks:
        expected = {grid.law for grid in GRIDS if dtype in grid.dtypes}
        assert {key.split("/")[0] for key in profile.samples if key.endswith(f"/{dtype}")} == expected
    assert "fp32" in profile.peaks
    assert all(seconds > 0 for rows in profile.samples.values() for *_, seconds in rows)
    assert 1e8 < profile.peak_flops("fp32") < 1e15
    assert 1e8 < profile.bandwidth_bytes_per_s < 1e14
    assert 0 < profile.module_s < 1e-3 and 0 < profile.view_s < 1e-3
    assert profile.noise >= 0 and 0 <= profile.drift < 1


def test_conditions_are_recorded(calibrated):
    profile, _ = calibrated
    assert profile.threads == torch.get_num_threads()
    assert profile.torch == str(torch.__version__)
    assert profile.machine["cpu"] and profile.allocator and profile.cache_bytes > 2**16
    assert profile.created.endswith("+00:00")


def test_the_profile_survives_json_and_is_accepted_here(calibrated, napkinmath_home):
    profile, _ = calibrated
    assert Profile.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile
    profile.save()
    assert load_profile("cpu") == profile


def test_progress_goes_from_nothing_to_done(calibrated):
    _, seen = calibrated
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0 and seen[-1] == (1.0, "done")


def test_a_calibration_can_be_spent_in_parts():
    seen: list[float] = []
    parts = calibration.Calibration(6, "cpu", progress=lambda fraction, what: seen.append(fraction))
    with pytest.raises(InputError, match="nothing was timed yet"):
        parts.profile()
    parts.spend(5 / 6)
    before = parts.profile()
    parts.spend(1 / 6)
    after = parts.profile()
    assert before.samples.keys() == after.samples.keys()
    assert (len(before.bandwidths), len(after.bandwidths)) == (2, 3)
    assert before.duration_s < after.duration_s
    assert seen[: seen.index(1.0)] == sorted(seen[: seen.index(1.0)])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"budget_s": 1}, "budget_s=1: a calibration takes 5 to 3600 seconds"),
        ({"threads": 0}, "threads=0: use 1 or more"),
        ({"device": "npu"}, "device='npu' cannot be calibrated here; this machine has cpu"),
    ],
)
def test_bad_input_is_one_line(arguments, says):
    with pytest.raises(InputError, match=says):
        calibrate(**arguments)


@dataclasses.dataclass
class Between:
    """Pools that only note what was evicted."""

    seen: list[str]

    def evict(self, count):
        self.seen.append(f"{count:.0f} bytes")


def test_an_operation_is_timed_after_its_operands_were_written(monkeypatch):
    from napkinmath.kernels import Run

    seen: list[str] = []

    class Written(torch.Tensor):
        def mul_(self, _):  # type: ignore[override]
            seen.append("written")
            return self

    def operands():
        seen.append("cut")
        return ()

    monkeypatch.setattr(calibration, "_SHORT_S", 0.0)
    run = Run(lambda: seen.append("run"), operands, (torch.zeros(2).as_subclass(Written),))
    calibration._time_in_context(run, Between(seen), Work("add", "fp32", (1, 2), 0.0, 24.0, 1024.0))
    assert seen == ["written", "1000 bytes", "cut", "run"] * 2, "a brief one runs once before it is timed"
    seen.clear()
    monkeypatch.setattr(calibration, "_BRIEF_S", 0.0)
    calibration._time_in_context(run, Between(seen), Work("add", "fp32", (1, 2), 0.0, 24.0, 1024.0))
    assert seen == ["written", "1000 bytes", "cut", "run"], "of a long one the first run is as good as any"


def test_the_first_run_of_a_brief_operation_is_not_timed(monkeypatch):
    from napkinmath.kernels import Run

    ticks = iter([0.0, 5e-4, 1.0, 2.0, 2.0 + 1e-4, 3.0])  # a first run, the beginning, a second run, and the time is over

    class Clock:
        @staticmethod
        def perf_counter():
            return next(ticks)

    monkeypatch.setattr(calibration, "time", Clock)
    seconds = calibration._time_in_context(Run(lambda: None, tuple), Between([]), Work("add", "fp32", (1, 2), 0.0, 24.0, 1024.0))
    assert seconds == pytest.approx(1e-4)


def test_a_compiled_kernel_is_settled_and_its_memory_left_the_caches(monkeypatch):
    from napkinmath.kernels import Run

    seen: list[str] = []

    monkeypatch.setattr(calibration, "_SHORT_S", 0.0)
    monkeypatch.setattr(calibration, "_COMPILED_S", 60.0)
    monkeypatch.setattr(calibration, "_WARM_S", 60.0)
    run = Run(lambda: seen.append("run"), tuple)
    calibration._time_in_context(run, Between(seen), Work("conv", "fp32", (1, 2, 3, 4, 1, 1, 1), 48.0, 24.0))
    assert seen == ["run"] * 8 + ["4194304 bytes", "0 bytes", "run"]
    seen.clear()
    calibration._time_in_context(run, Between(seen), Work("gemm.hot", "fp32", (1, 2, 3, 2, 1), 12.0, 24.0))
    assert seen == ["run"] * 8 + ["0 bytes", "run"]  # the weights are in the cache, and trusted to be read again
    seen.clear()
    calibration._time_in_context(run, Between(seen), Work("gemm", "fp32", (1, 2, 3, 2, 1), 12.0, 24.0))
    assert seen == ["0 bytes", "run"] * 2


def test_a_weight_that_a_second_run_would_find_in_the_cache_is_timed_once(monkeypatch):
    from napkinmath.kernels import Run

    seen: list[str] = []

    monkeypatch.setattr(calibration, "_SHORT_S", 60.0)
    run = Run(lambda: seen.append("run"), tuple, once=True)
    calibration._time_in_context(run, Between(seen), Work("gemm.packed", "int8", (1, 2, 3, 1, 1), 12.0, 24.0))
    assert seen == ["0 bytes", "run"]


def test_a_run_that_settles_slowly_is_stopped(monkeypatch):
    from napkinmath.kernels import Run

    seen: list[str] = []
    monkeypatch.setattr(calibration, "_WARM_S", 0.0)
    monkeypatch.setattr(calibration, "_SHORT_S", 0.0)

    calibration._time_in_context(
        Run(lambda: seen.append("run"), tuple), Between(seen), Work("gemv.hot", "fp32", (1, 2, 3, 2, 1), 12.0, 24.0)
    )
    assert seen == ["run", "0 bytes", "run"]


def test_samples_of_a_class_come_some_in_a_row_and_each_once_a_round():
    measuring = calibration.Calibration(5, "cpu")
    works = [Work(law, "fp32", (i, 1), 0.0, 8.0) for law in ("add", "mul") for i in range(40)]
    measuring._cases = [calibration._Case(work, None, None) for work in works]
    visits = measuring._endless()
    for _ in range(2):
        order = [next(visits).work for _ in works]
        assert sorted(order, key=works.index) == works != order
        assert sum(a.law != b.law for a, b in itertools.pairwise(order)) <= 5  # of 16, 16 and 8 each


def test_the_lower_quartile_of_runs_is_kept(monkeypatch):
    # Two runs to warm up, the start of the slice, runs of 9, 2 and 3 seconds, and the slice is over.
    ticks = iter([0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 9.0, 0.0, 2.0, 0.0, 3.0, 1.0])

    class Clock:
        @staticmethod
        def perf_counter():
            return next(ticks)

    monkeypatch.setattr(calibration, "time", Clock)
    assert calibration._time(lambda: None, "cpu", slice_s=0.5) == 2.0
