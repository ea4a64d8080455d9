"""The what-if of a ranking model: its expressions against the closed forms, its table, and that Vega draws it."""

from __future__ import annotations

import re

import pytest

import napkinmath as nm
from napkinmath import charts
from napkinmath.charts.ranking import ranking_expressions
from napkinmath.errors import InputError
from workbook.lab import svg


@pytest.mark.parametrize(("name", "dtype"), [("xeon-8480", "fp32"), ("h100-sxm", "bf16")])
def test_expressions_are_the_closed_forms(name: str, dtype: str) -> None:
    device, spec = nm.device(name), nm.mlp_criteo
    names = {"lookups": 214, "batch": 100, "mflop": spec.flops() / 1e6, "table_width": 39, "share": 0.5}
    names |= {"peak": device.peak_flops(dtype), "bandwidth": device.bandwidth_bytes_per_s, "value_bytes": nm.bytes_per_value(dtype)}
    value = {
        key: eval(text.replace("datum.lookups", "lookups"), {"__builtins__": {}}, names) for key, text in ranking_expressions().items()
    }
    rows_s = nm.table_gather_bytes(1, 214, 39, dtype) / (0.5 * device.bandwidth_bytes_per_s)
    assert value["gathers"] == pytest.approx(1e6 * rows_s)
    assert value["arithmetic"] == pytest.approx(1e6 * spec.flops() / device.peak_flops(dtype))
    matrices = spec.dense_params() - 3 * 1024 - 1  # all but the biases
    assert value["weights"] == pytest.approx(1e6 * matrices * nm.bytes_per_value(dtype) / device.bandwidth_bytes_per_s / 100)
    assert value["crossover"] * value["gathers"] / 214 == pytest.approx(value["arithmetic"])


def test_the_table_counts_by_hand() -> None:
    rows = charts.spec(charts.ranking_what_if([("h100-sxm", "bf16")], mflop=7, table_width=64))["usermeta"]["table"]
    assert [row["waits for"] for row in rows] == ["arithmetic", "arithmetic", "gathers", "gathers"]
    assert rows[2]["microseconds"] == round(214 * 64 * 2 / (0.25 * 3350e9) * 1e6, 4)


def test_vega_draws_it_at_full_width() -> None:
    picture = svg(charts.spec(charts.ranking_what_if()) | {"description": "what a ranking model waits for"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    assert "at 293 rows" in picture


@pytest.mark.parametrize("machines", [[], [("xeon-8481", "fp32")]])
def test_bad_machines_are_named(machines: list[tuple[str, str]]) -> None:
    with pytest.raises(InputError):
        charts.ranking_what_if(machines)
