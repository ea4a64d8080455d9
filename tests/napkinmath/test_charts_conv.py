"""The what-if of a flattened head: its expressions against the ledger of the preset, its table, and that Vega draws it."""

from __future__ import annotations

import re

import pytest

import napkinmath as nm
from napkinmath import charts
from napkinmath.charts.conv import head_costs, head_expressions
from napkinmath.errors import InputError
from workbook.lab import svg


def test_costs_are_those_of_the_ledger() -> None:
    ledger, costs = nm.two_conv_224.ledger(), head_costs(224, 56, 128, 4)
    head = ledger.by("module", 2)["head/fc1"]
    body = ledger.filter(lambda op: op.name.startswith("stage")).totals()
    assert costs["head_params"] == head.params
    assert costs["conv_params"] == body.params
    assert costs["flops"] == body.flops + head.flops
    # A ledger's row of a convolution reads its weights, and its bias, with the maps.
    assert costs["map_bytes"] == body.bytes_moved - 4 * body.params


@pytest.mark.parametrize(("name", "dtype", "grid"), [("cpu-2core-vm", "fp32", 56), ("t4", "fp16", 7), ("a100-80gb", "bf16", 1)])
def test_expressions_are_the_closed_forms(name: str, dtype: str, grid: int) -> None:
    device, batch, costs = nm.device(name), 8, head_costs(224, grid, 256, nm.bytes_per_value(dtype))
    names = {"side": 224, "grid": grid, "hidden": 256, "peak": device.peak_flops(dtype), "bandwidth": device.bandwidth_bytes_per_s}
    names |= {"value_bytes": nm.bytes_per_value(dtype), "batch": batch, "max": max}
    js = {key: text.replace("datum.batch", "batch") for key, text in head_expressions().items()}
    value = {key: eval(re.sub(r"pow\((\w+), 2\)", r"(\1**2)", text), {"__builtins__": {}}, names) for key, text in js.items()}
    arithmetic, traffic = costs["flops"] / device.peak_flops(dtype), costs["map_bytes"] / device.bandwidth_bytes_per_s
    head = costs["head_bytes"] / device.bandwidth_bytes_per_s
    assert value["arithmetic"] == pytest.approx(arithmetic)
    assert value["feature maps"] == pytest.approx(traffic)
    assert value["head weights"] == pytest.approx(head / batch)
    assert value["share"] == pytest.approx(costs["head_params"] / (costs["head_params"] + costs["conv_params"]))
    assert head / value["crossover"] == pytest.approx(max(arithmetic, traffic))


def test_the_table_says_what_takes_longest() -> None:
    rows = charts.spec(charts.head_what_if([("t4", "fp16")]))["usermeta"]["table"]
    assert {row["batch"]: row["takes longest"] for row in rows} == {1: "head weights", 16: "feature maps", 256: "feature maps"}


def test_vega_draws_it_at_full_width() -> None:
    picture = svg(charts.spec(charts.head_what_if()) | {"description": "what binds a network with a flattened head"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    assert "The head holds 99.9% of the parameters" in picture


@pytest.mark.parametrize("machines", [[], [("t4", "bf16")], [("t5", "fp16")]])
def test_bad_machines_are_named(machines: list[tuple[str, str]]) -> None:
    with pytest.raises(InputError):
        charts.head_what_if(machines)
