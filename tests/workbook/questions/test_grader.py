"""The Python grader against the table that the website's grader passes too (``tests/browser/test_self_check.py``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napkinmath.errors import InputError
from workbook.questions.grader import SAYS, factor_text, grade
from workbook.questions.schema import AnyQuestion, Numeric
from workbook.questions.variants import Variant, variants

FIXTURES = json.loads((Path(__file__).parents[2] / "fixtures" / "grading.json").read_text())


@pytest.mark.parametrize("case", FIXTURES["grade"], ids=lambda case: f"{case[0]} {case[1]} {case[2]}")
def test_fixtures(case: list[Any], sample: dict[str, AnyQuestion]) -> None:
    name, index, answer, expected = case
    verdict = grade(sample[name], variants(sample[name])[index], answer)
    found = {field: getattr(verdict, field) for field in expected}
    assert found == {**expected, **({"show": tuple(expected["show"])} if "show" in expected else {})}


def test_fixtures_reach_every_outcome_and_sentence() -> None:
    assert {case[3]["outcome"] for case in FIXTURES["grade"]} == {
        "exact",
        "slip",
        "good",
        "order",
        "off",
        "right",
        "partial",
        "wrong",
        "ask",
    }
    said = " ".join(case[3].get("say", "") for case in FIXTURES["grade"])
    assert all(sentence.split("{")[0] in said for sentence in SAYS.values())


NUMBER = Numeric.model_validate(
    {
        "id": "n",
        "kind": "numeric",
        "level": 2,
        "prompt": "?",
        "params": {"x": [1, 2, 3, 4, 5]},
        "answer": {"expr": "x", "unit": "s"},
        "slips": [{"factor": 1.2, "say": "near"}, {"factor": 100.0, "say": "far"}],
    }
)
VARIANT = Variant(0, "?", answer=1.0, answer_text="1 s", slips=((1.2, "near"), (100.0, "far")))


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [
        (1.0, "exact"),
        (1.0199, "exact"),
        (1.021, "good"),
        (1.19, "slip"),
        (1.23, "good"),
        (1.49, "good"),
        (1.51, "order"),
        (9.9, "order"),
        (11, "off"),
        (100, "slip"),
    ],
)
@pytest.mark.parametrize("upwards", [True, False])
def test_bands_and_slips_in_their_order(seconds: float, outcome: str, upwards: bool) -> None:
    if not upwards:
        if outcome == "slip":
            return
        seconds = 1 / seconds
    assert grade(NUMBER, VARIANT, f"{seconds!r} s").outcome == outcome


@given(st.floats(1e-9, 1e9))
def test_a_band_does_not_care_which_way_an_estimate_is_off(value: float) -> None:
    plain = Variant(0, "?", answer=1.0, answer_text="1 s")
    assert grade(NUMBER, plain, f"{value!r} s").outcome == grade(NUMBER, plain, f"{1 / value!r} s").outcome


@given(st.text(max_size=40))
def test_any_text_gets_a_verdict(text: str) -> None:
    verdict = grade(NUMBER, VARIANT, text)
    assert verdict.say
    assert not (verdict.right and verdict.outcome == "ask")


@pytest.mark.parametrize(
    ("factor", "text"), [(1.0, "1"), (1.25, "1.3"), (3.14, "3.1"), (9.96, "10"), (17.4, "17"), (4.2e5, "420000"), (1e6, "over a million")]
)
def test_factor_text(factor: float, text: str) -> None:
    assert factor_text(factor) == text


def test_a_number_is_in_base_units_and_options_are_numbers(sample: dict[str, AnyQuestion]) -> None:
    cache, mask = sample["sample-kv-cache"], sample["sample-mask"]
    assert grade(cache, variants(cache)[1], 2**30).outcome == "exact"
    assert (
        grade(cache, variants(cache)[1], 1.07).say
        == "'1.0700000000000001' without a unit reads as 1.0700000000000001 B. Type the unit that you mean."
    )
    with pytest.raises(InputError, match="a choice question takes option numbers"):
        grade(mask, variants(mask)[0], "a")
