"""The what-if of a decode step: its expressions against the closed forms, its table, and that Vega draws it."""

from __future__ import annotations

import math
import re

import pytest

import napkinmath as nm
from napkinmath import charts, serving
from napkinmath.charts.decode import decode_expressions, device_limits, model_values
from napkinmath.errors import InputError
from workbook.lab import svg


@pytest.mark.parametrize(("model", "device", "context"), [("llama-3-8b", "h100-sxm", 256), ("llama-2-7b", "a100-80gb", 4096)])
def test_expressions_are_the_closed_forms(model: str, device: str, context: int) -> None:
    spec, limits, batch = nm.preset(model), device_limits(device), 24
    names = {"context": context, "weight_bytes": 2, "cache_bytes": 2, "batch": batch}
    names |= model_values(model) | limits
    js = {key: text.replace("datum.batch", "batch") for key, text in decode_expressions().items() if key != "fits"}  # that has a ?:
    value = {key: eval(text, {"__builtins__": {}}, names) for key, text in js.items()}
    sizes = spec.decode_weight_bytes(), spec.kv_cache_bytes(1, context), spec.decode_flops(1, context)
    step = serving.decode_step_s(batch, *sizes, limits["peak"], limits["bandwidth"])
    assert max(value["arithmetic"], value["weights"] + value["cache"]) == pytest.approx(step)
    assert value["weights"] == pytest.approx(sizes[0] / limits["bandwidth"])
    crossover = serving.compute_bound_batch(*sizes, limits["peak"], limits["bandwidth"])
    assert (value["gain"] > 0) == math.isfinite(crossover)
    if value["gain"] > 0:
        assert value["crossover"] == pytest.approx(crossover)


def test_the_table_says_what_fits() -> None:
    (row,) = charts.spec(charts.decode_what_if(["llama-3-8b"], ["a100-80gb"]))["usermeta"]["table"]
    assert row["memory holds"] == math.floor((80e9 - 2 * 8_030_261_248) / (4096 * 131_072)) == 119
    assert row["ms, batch 1"] == round(1e3 * (nm.llama_3_8b.decode_weight_bytes() + 4096 * 131_072) / 2039e9, 2)


def test_vega_draws_it_at_full_width() -> None:
    picture = svg(charts.spec(charts.decode_what_if()) | {"description": "what binds a decode step"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    assert "Memory holds 119; compute never binds" in picture


@pytest.mark.parametrize(("models", "devices"), [([], ["l4"]), (["bert-base"], ["l4"]), (["llama-3-8b"], ["t4"]), (["llama-3-9b"], ["l4"])])
def test_bad_choices_are_named(models: list[str], devices: list[str]) -> None:
    with pytest.raises(InputError):
        charts.decode_what_if(models, devices)
