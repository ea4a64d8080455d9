"""The what-if of live streams: its stacks against specs, its expressions against the closed form, its table, and that Vega draws it."""

from __future__ import annotations

import math
import re

import pytest
import torch

import napkinmath as nm
from napkinmath import charts
from napkinmath.charts.streams import (
    LAYERS,
    LSTM,
    MAMBA,
    REACH,
    TRANSFORMER,
    stream_costs,
    stream_expressions,
    stream_limits,
    stream_params,
)
from napkinmath.errors import InputError
from workbook.lab import svg

STACKS = {
    "LSTM": nm.RecurrentSpec(name="lstm", cell="lstm", widths=(LSTM["d_hidden"],) * LAYERS["LSTM"], d_in=LSTM["d_in"]),
    "transformer": nm.TransformerSpec(
        name="t", n_layers=LAYERS["transformer"], vocab=1, max_positions=4096, causal=True, lm_head=True, **TRANSFORMER
    ),
    "Mamba": nm.StateSpaceSpec(name="m", n_layers=LAYERS["Mamba"], vocab=1, **MAMBA),
}


def test_the_stacks_are_equal_within_a_tenth() -> None:
    sizes = [stream_params(name) for name in LAYERS]
    assert max(sizes) / min(sizes) < 1.1


@pytest.mark.parametrize("name", LAYERS)
def test_costs_are_those_of_the_specs(name: str) -> None:
    spec, costs = STACKS[name], stream_costs(name, frames=1, window=500)
    inside = [op for op in spec.ledger(1, 1, 500) if op.name.startswith("layers/") and not op.overhead]
    assert costs["flops"] == sum(op.flops for op in inside)
    assert costs["kept_bytes"] == (spec.kv_cache_bytes(1, 500, "fp16") if name == "transformer" else spec.state_bytes(1, "fp16"))
    weights = sum(op.params for op in inside if op.kind not in ("norm", "gather"))
    assert stream_params(name) == weights


def test_a_step_moves_the_tensors_that_it_reads_and_writes() -> None:
    x, gates, states = torch.zeros(3, 5), torch.zeros(3, 4 * 6), torch.zeros(2, 3, 6)
    assert nm.recurrent_step_bytes(3, 5, 6) == x.nbytes + 2 * gates.nbytes + 2 * states.nbytes


@pytest.mark.parametrize(("limit", "value"), [("peak_flops", 1e9), ("bandwidth_bytes_per_s", 1e6), ("memory_bytes", 1e5)])
def test_the_least_of_three_limits_binds(limit: str, value: float) -> None:
    given = {"flops": 1e3, "moved_bytes": 10.0, "kept_bytes": 100.0, "weight_bytes": 5e3}
    limits = {"peak_flops": 1e15, "bandwidth_bytes_per_s": 1e12, "memory_bytes": 1e12} | {limit: value}
    streams = nm.live_streams(0.01, **given, **limits)
    of = {"peak_flops": 0.01 * 1e9 / 1e3, "bandwidth_bytes_per_s": (1e4 - 5e3) / 10, "memory_bytes": (1e5 - 5e3) / 100}
    assert streams == math.floor(of[limit])
    assert nm.live_streams(0.01, **given, **limits | {"bandwidth_bytes_per_s": 1e5}) == 0  # the weights alone take longer


@pytest.mark.parametrize(("name", "device", "frames"), [("LSTM", "l4", 1), ("transformer", "h100-sxm", 4), ("Mamba", "t4", 16)])
def test_expressions_are_the_closed_form(name: str, device: str, frames: int) -> None:
    limits = stream_limits(device)
    names = limits | {"frame_ms": 20, "frames": frames, "n_kv_heads": 2, "window": 300, "floor": math.floor, "min": min, "max": max}
    text = re.sub(r"\((.*)\)\*\(\((.*)\)>0\?1\+1e-12:1-1e-12\)", r"\1", stream_expressions()[name].replace("datum.window", "window"))
    value = eval(text, {"__builtins__": {}}, names)
    costs = stream_costs(name, frames, 300, 2)
    expected = nm.live_streams(
        frames * 0.02, **costs, weight_bytes=2 * stream_params(name), peak_flops=REACH["peak"] * limits["peak"],
        bandwidth_bytes_per_s=REACH["bandwidth"] * limits["bandwidth"], memory_bytes=limits["memory"],
    )  # fmt: skip
    assert value == pytest.approx(expected, abs=1)


def test_the_table_says_that_only_attention_minds_the_window() -> None:
    near, far = charts.spec(charts.streams_what_if(["l4"]))["usermeta"]["table"]
    assert (near["LSTM"], near["Mamba"]) == (far["LSTM"], far["Mamba"])
    assert near["transformer"] == pytest.approx(10 * far["transformer"], rel=0.01)


def test_vega_draws_it_at_full_width() -> None:
    picture = svg(charts.spec(charts.streams_what_if()) | {"description": "live streams"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    assert "A frame waits up to 10 ms" in picture


@pytest.mark.parametrize("devices", [[], ["t5"], ["cpu-2core-vm"]])
def test_bad_devices_are_named(devices: list[str]) -> None:
    with pytest.raises(InputError):
        charts.streams_what_if(devices)
