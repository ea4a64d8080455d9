"""The what-if of depthwise separable layers: its expressions against the closed forms, its table, and that Vega draws it."""

from __future__ import annotations

import re

import pytest

import napkinmath as nm
from napkinmath import charts
from napkinmath.charts.depthwise import saving_expressions, separable_savings
from napkinmath.charts.linear import machine_limits
from napkinmath.errors import InputError
from workbook.lab import svg


@pytest.mark.parametrize(("name", "dtype", "channels", "kernel"), [("cpu-2core-vm", "fp32", 64, 3), ("t4", "fp16", 512, 7)])
def test_expressions_are_the_closed_forms(name: str, dtype: str, channels: int, kernel: int) -> None:
    device, side, batch = nm.device(name), 28, 4

    def seconds(size: int, groups: int) -> float:
        flops = nm.conv2d_flops(batch, side, side, channels, channels, size, groups)
        moved = nm.conv2d_bytes(batch, side, side, channels, channels, size, groups=groups, dtype=dtype)
        return max(flops / device.peak_flops(dtype), moved / device.bandwidth_bytes_per_s)

    names = {"channels": channels, "side": side, "kernel": kernel, "batch": batch, "max": max, "pow": pow}
    names |= {"peak": device.peak_flops(dtype), "bandwidth": device.bandwidth_bytes_per_s, "value_bytes": nm.bytes_per_value(dtype)}
    value = {of: eval(text, {"__builtins__": {}}, names) for of, text in saving_expressions("channels").items()}
    separable = nm.depthwise_separable_flops(batch, side, side, channels, channels, kernel)
    assert value["FLOPs"] == pytest.approx(nm.conv2d_flops(batch, side, side, channels, channels, kernel) / separable)
    assert value["time"] == pytest.approx(seconds(kernel, 1) / (seconds(kernel, channels) + seconds(1, 1)))


def test_time_falls_less_than_flops() -> None:
    for row in charts.spec(charts.separable_what_if())["usermeta"]["table"]:
        assert row["times less time"] <= row["times less FLOPs"]


@pytest.mark.parametrize(("name", "dtype", "kernel"), [("t4", "fp16", 3), ("a100-80gb", "bf16", 5), ("l4", "fp16", 3)])
def test_break_even_is_where_the_times_are_equal(name: str, dtype: str, kernel: int) -> None:
    channels = nm.depthwise_break_even_channels(nm.device(name).ridge_intensity(dtype), kernel, dtype)
    large_maps = {"side": 56, "kernel": kernel, "batch": 64} | machine_limits(name, dtype)
    assert separable_savings(channels, **large_maps)["time"] == pytest.approx(1, rel=0.05)
    assert separable_savings(2 * channels, **large_maps)["time"] > 1.5


def test_vega_draws_it_at_full_width() -> None:
    picture = svg(charts.spec(charts.separable_what_if()) | {"description": "what a depthwise separable layer saves"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    assert "8.4 times fewer FLOPs" in picture


@pytest.mark.parametrize("machines", [[], [("t4", "bf16")], [("t5", "fp16")]])
def test_bad_machines_are_named(machines: list[tuple[str, str]]) -> None:
    with pytest.raises(InputError):
        charts.separable_what_if(machines)
