"""The what-if of a linear layer: its expressions against the closed forms, its table, and that Vega draws it."""

from __future__ import annotations

import re

import pytest

import napkinmath as nm
from napkinmath import charts
from napkinmath.charts.linear import linear_expressions
from napkinmath.errors import InputError
from workbook.lab import svg


@pytest.mark.parametrize(("name", "dtype"), [("t4", "fp16"), ("cpu-2core-vm", "fp32"), ("h100-sxm", "fp8")])
def test_expressions_are_the_closed_forms(name: str, dtype: str) -> None:
    device, tokens, d_in, d_out = nm.device(name), 96, 768, 3072
    names = {"d_in": d_in, "d_out": d_out, "peak": device.peak_flops(dtype), "bandwidth": device.bandwidth_bytes_per_s}
    names["value_bytes"] = nm.bytes_per_value(dtype)
    value = {
        key: eval(text.replace("datum.tokens", "tokens"), {"__builtins__": {}}, names | {"tokens": tokens})
        for key, text in linear_expressions().items()
    }
    assert value["compute"] == pytest.approx(nm.linear_flops(tokens, d_in, d_out) / device.peak_flops(dtype))
    assert value["bandwidth"] == pytest.approx(nm.linear_bytes(tokens, d_in, d_out, dtype) / device.bandwidth_bytes_per_s)
    assert nm.linear_intensity(value["crossover"], d_in, d_out, dtype) == pytest.approx(device.ridge_intensity(dtype))


def test_the_table_says_what_binds() -> None:
    rows = charts.spec(charts.linear_what_if([("t4", "fp16")]))["usermeta"]["table"]
    assert {row["tokens"]: row["binds"] for row in rows} == {1: "bandwidth", 32: "bandwidth", 1024: "compute"}


def test_vega_draws_it_at_full_width() -> None:
    """A parameter that shadows one of Vega's own signals, such as ``width``, gives a chart of no width."""
    picture = svg(charts.spec(charts.linear_what_if()) | {"description": "what binds a linear layer"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    assert "at 303 tokens" in picture


@pytest.mark.parametrize("machines", [[], [("t4", "bf16")], [("t5", "fp16")]])
def test_bad_machines_are_named(machines: list[tuple[str, str]]) -> None:
    with pytest.raises(InputError):
        charts.linear_what_if(machines)
