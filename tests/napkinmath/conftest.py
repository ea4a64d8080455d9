"""A machine whose speed is known, so that what the predictor says of it can be checked."""

import importlib
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napkinmath.costmodel import Work
from napkinmath.grids import GRIDS
from napkinmath.profile import Profile

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PEAK, BANDWIDTH, DISPATCH_S = 100e9, 20e9, 3e-6
PEAKS = {"fp32": PEAK, "int8": 4 * PEAK}


def true_seconds(work: Work) -> float:
    """What an operation costs on the synthetic machine: arithmetic, traffic and dispatch, one after the other."""
    return DISPATCH_S + work.flops / PEAKS[work.dtype] + work.bytes / BANDWIDTH


@pytest.fixture(scope="session")
def benchmark() -> Callable[[str], Any]:
    """A script of ``benchmarks/`` by its name, as a module; scripts import each other by name, as when they are run."""

    def load(name: str) -> Any:
        if str(BENCHMARKS) not in sys.path:
            sys.path.append(str(BENCHMARKS))
        return importlib.import_module(name)

    return load


@pytest.fixture(scope="session")
def synthetic_profile() -> Profile:
    import torch

    from napkinmath import environment

    samples: dict[str, list[list[object]]] = {}
    for grid in GRIDS:
        for work in itertools.islice(grid.works("fp32" if "fp32" in grid.dtypes else "int8"), 25):
            samples.setdefault(work.key, []).append([list(work.dims), work.flops, work.bytes, work.age, true_seconds(work)])
    return Profile(
        device="cpu",
        machine=environment.machine("cpu"),
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        allocator="none",
        created="2026-01-01T00:00:00+00:00",
        duration_s=60.0,
        cache_bytes=2**20,
        peaks={dtype: [peak, peak] for dtype, peak in PEAKS.items()},
        bandwidths=[BANDWIDTH, BANDWIDTH],
        module_s=1e-6,
        view_s=1e-6,
        noise=0.02,
        samples=samples,
    )


@pytest.fixture
def napkinmath_home(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "NAPKINMATH_HOME", str(tmp_path))
    return tmp_path
