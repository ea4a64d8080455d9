"""Quantities: written for people, read as people type them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napkinmath.errors import InputError
from napkinmath.units import COUNTS, fmt, parse, table

FIXTURES = json.loads((Path(__file__).parents[1] / "fixtures" / "grading.json").read_text())

BASE_UNITS = [
    "B",
    "FLOP",
    "MAC",
    "s",
    "J",
    "$",
    "%",
    *COUNTS,
    "B/s",
    "FLOP/s",
    "MAC/s",
    "FLOP/B",
    "J/s",
    "J/tokens",
    "tokens/s",
    "requests/s",
    "B/tokens",
    "s/tokens",
    "$/s",
]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((2.147e9, "B"), "2.15 GB"),
        ((2**31, "B", 3, True), "2 GiB"),
        ((1000, "B", 3, True), "1,000 B"),
        ((0.0384, "s"), "38.4 ms"),
        ((3e-6, "s"), "3 µs"),
        ((119.6, "s"), "120 s"),
        ((7200, "s"), "2 h"),
        ((1e6, "s"), "11.6 days"),
        ((2.2e11, "FLOP"), "220 GFLOP"),
        ((0.033, "J"), "33 mJ"),
        ((4.6e-12, "J"), "4.6 pJ"),
        ((0.454, "J/s"), "454 mW"),
        ((5e4, "J"), "50 kJ"),
        ((0.26, "J/tokens"), "260 mJ/token"),
        ((3.8e25, "FLOP"), "3.8e25 FLOP"),
        ((1.2e12, "FLOP/s"), "1.2 TFLOP/s"),
        ((3.2e10, "B/s"), "32 GB/s"),
        ((109482240, "params"), "109 M params"),
        ((109482240,), "109,482,240"),
        ((1024.0,), "1,024"),
        ((4.2134,), "4.21"),
        ((12345.6,), "12,300"),
        ((1 / 3e7,), "3.33e-8"),
        ((0.27, "%"), "27%"),
        ((0.12345, "%", 4), "12.35%"),
        ((0.0021, "$"), "$0.0021"),
        ((2.1, "$"), "$2.10"),
        ((12345678, "$"), "$12.3 M"),
        ((4096, "tokens"), "4,096 tokens"),
        ((1, "tokens"), "1 token"),
        ((1234.5, "tokens/s"), "1,230 tokens/s"),
        ((208.4, "FLOP/B"), "208 FLOP/B"),
        ((999.9996e9, "B"), "1 TB"),
        ((2**30, "B", 3, True), "1 GiB"),
        ((2**30 - 1, "B", 3, True), "1 GiB"),
        ((1000 * 2**20, "B", 3, True), "1,000 MiB"),
        ((999_999.7, "tokens"), "1 M tokens"),
        ((-2e9, "B"), "-2 GB"),
        ((0, "B"), "0 B"),
        ((math.inf, "B"), "inf B"),
    ],
)
def test_fmt(arguments: tuple[Any, ...], text: str) -> None:
    assert fmt(*arguments) == text


@given(st.floats(1e-11, 1e24), st.sampled_from(BASE_UNITS), st.integers(2, 6), st.booleans())
def test_parse_reads_back_what_fmt_writes(value: float, unit: str, digits: int, binary: bool) -> None:
    read = parse(fmt(value, unit, digits, binary), unit)
    assert read.unit == unit
    assert read.value == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@given(st.integers(0, 10**18))
def test_a_whole_number_survives_in_full(value: int) -> None:
    assert parse(fmt(value), "").value == float(value)


@given(st.floats(1e-11, 1e24), st.sampled_from(["B", "FLOP/s", "s"]))
def test_a_prefix_leaves_the_number_between_1_and_1000(value: float, unit: str) -> None:
    number = float(fmt(value, unit).split(" ")[0].replace(",", ""))
    assert number < 1000 or fmt(value, unit).split(" ")[1] in ("FLOP/s", "B", "s", "days")


@pytest.mark.parametrize("case", FIXTURES["parse"], ids=lambda case: f"{case[0]!r} in {case[1]!r}")
def test_parse(case: list[Any]) -> None:
    text, unit, value, expected = case
    if value is None:
        with pytest.raises(InputError) as error:
            parse(text, unit)
        assert str(error.value) == expected
    else:
        quantity = parse(text, unit)
        assert (quantity.value, quantity.unit) == (pytest.approx(value, rel=1e-12), expected)


@pytest.mark.parametrize(("text", "unit"), [("2.1e9", ""), ("2 GB", "B"), ("7 B", "B"), ("40 ms", "s"), ("38%", "%")])
def test_without_a_unit_asked_for_any_will_do(text: str, unit: str) -> None:
    assert parse(text).unit == unit


@pytest.mark.parametrize("text", ["7B", "1.5 TFLOPS", "2 Gb"])
def test_what_could_be_two_things_is_asked_about(text: str) -> None:
    with pytest.raises(InputError, match=r"can mean .* or "):
        parse(text)


@given(st.text(max_size=30), st.sampled_from([None, "", "GB", "%", "params", "FLOP/s"]))
def test_any_text_is_read_or_refused(text: str, unit: str | None) -> None:
    said, value = "", 0.0
    try:
        value = parse(text, unit).value
    except InputError as error:
        said = str(error)
    assert not math.isnan(value)
    assert "\n" not in said


def test_fmt_refuses_what_is_no_base_unit() -> None:
    with pytest.raises(InputError, match="unit='GB': use base units"):
        fmt(1, "GB")


def test_table_is_plain_data_and_complete() -> None:
    data = json.loads(json.dumps(table()))
    assert data["atoms"]["GiB"] == [2**30, "B"]
    assert set(data) == {"atoms", "ambiguous", "scales", "counts", "says"}
    assert not set(data["atoms"]) & set(data["ambiguous"]), "a spelling is either plain or ambiguous"
