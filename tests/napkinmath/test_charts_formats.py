"""The what-if of number formats: its expressions against the closed forms, where its lines cross, and that Vega draws it."""

from __future__ import annotations

import re

import pytest

import napkinmath as nm
from napkinmath import charts
from napkinmath.charts.formats import device_limits, format_expressions, speedups
from napkinmath.errors import InputError
from workbook.lab import svg


@pytest.mark.parametrize("tokens", [1, 100, 200, 4000])
def test_expressions_are_the_closed_forms(tokens: int) -> None:
    sizes: dict[str, float] = {"d_in": 8192, "d_out": 1024, **device_limits("h100-sxm", "fp8"), "group": 128}
    expected = speedups(tokens, **sizes)
    value = {
        key: eval(text.replace("datum.tokens", "tokens"), {"__builtins__": {}, "max": max}, sizes | {"tokens": tokens})
        for key, text in format_expressions().items()
    }
    assert {key: value[key] for key in expected} == pytest.approx(expected)
    there = speedups(value["crossover"], **sizes)
    assert there["W4A16"] == pytest.approx(there["W8A8"])


def test_few_tokens_gain_by_bytes_and_many_by_the_peak() -> None:
    """At one token the gain is the ratio of the bits, far right of the ridge that of the peaks."""
    limits = device_limits("a100-80gb", "int8")
    few, many = (speedups(tokens, 8192, 8192, group=128, **limits) for tokens in (1, 100_000))
    assert few == pytest.approx({"W4A16": 16 / 4.125, "W8A16": 2, "W8A8": 2}, rel=1e-3)
    assert many == pytest.approx({"W4A16": 1, "W8A16": 1, "W8A8": 2})


def test_narrow_weights_move_the_ridge() -> None:
    """Weights of half the bytes turn compute-bound at half the tokens, activations aside; both sides of the roofline are equal there."""
    ridge, sizes = nm.h100_sxm.ridge_intensity("bf16"), (8192, 8192)
    tokens = nm.linear_ridge_tokens(*sizes, ridge, "bf16", weight_dtype="int8")
    assert nm.linear_flops(tokens, *sizes) / nm.linear_bytes(tokens, *sizes, "bf16", weight_dtype="int8") == pytest.approx(ridge)
    assert tokens == pytest.approx(nm.linear_ridge_tokens(*sizes, ridge, "bf16") / 2)


def test_vega_draws_it_at_full_width() -> None:
    picture = svg(charts.spec(charts.format_what_if()) | {"description": "what a number format buys"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    assert "fastest up to 155 tokens" in picture


@pytest.mark.parametrize("devices", [[], [("h100-sxm", "int4")], [("t4", "int8")], [("t5", "int8")]])
def test_bad_devices_are_named(devices: list[tuple[str, str]]) -> None:
    with pytest.raises(InputError):
        charts.format_what_if(devices)
