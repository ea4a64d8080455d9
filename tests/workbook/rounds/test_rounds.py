"""A small round: machines to hire, whose right answers are counted by hand and by brute force here."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from napkinmath.errors import InputError
from workbook.evaluate import compiled, evaluate
from workbook.rounds.scenario import Scenario
from workbook.rounds.schema import GRADES, STAGES, Round, read

POINTS = [f"point-{n}" for n in range(10)]
#: One L4 answers a request in 10, 40 or 160 ms, at a quality of 80, 90 or 95 of 100; more of them share the traffic.
ROUND: dict[str, Any] = {
    "title": "Machines to hire",
    "prompt": "{traffic} at the peak, {limit} each, quality {floor} at least.",
    "given": {
        "traffic": {
            "say": "peak traffic",
            "values": ["90 requests/s", "400 requests/s", "2000 requests/s", "9 requests/s", "31 requests/s"],
        },
        "limit": {"say": "limit", "values": ["200 ms", "100 ms", "50 ms"]},
        "floor": {"say": "quality, at least", "values": ["85", "75", "93"]},
        "own_gpus": {"say": "what we have", "values": ["2", "4", "1"]},
    },
    "let": "busy(seconds) = traffic * seconds\nrented(seconds) = max(0, ceil(busy(seconds)) - own_gpus)\nslow(seconds) = 1.5 * seconds",
    "devices": {"l4": "fp16", "h100-sxm": "fp8"},
    "candidates": {
        "small": {"say": "the small one", "facts": {"seconds": "0.01", "quality": "80"}},
        "middle": {"say": "the one between", "facts": {"seconds": "0.04", "quality": "90"}},
        "large": {"say": "the large one", "facts": {"seconds": "0.16", "quality": "95"}, "devices": ["h100-sxm"]},
    },
    "columns": {
        "service_s": {"say": "service", "value": "seconds / (4 if dtype == 'fp8' else 1)", "unit": "s"},
        "p99_s": {"say": "p99", "value": "slow(service_s)", "unit": "s"},
        "score": {"say": "quality", "value": "quality"},
        "usd_per_hour": {"say": "rent", "value": "rented(service_s) * device.price_usd_per_hour + seconds", "unit": "$"},
    },
    "limits": [
        {"column": "p99_s", "say": "within {limit}", "at_most": "limit"},
        {"column": "score", "say": "at least {floor}", "at_least": "floor"},
    ],
    "least": "usd_per_hour",
    "flip": {"given": "floor", "low": "60", "high": "99", "unit": "", "explain": "{flip_to}", "chapter": "serving/batching"},
    "draws": 20,
    "estimates": [
        {"id": f"estimate-{n}", "prompt": "p", "answer": {"expr": "busy(0.04)", "unit": ""}, "explain": "e", "chapter": "serving/batching"}
        for n in range(3)
    ],
    "asks": [{"stage": stage, "prompt": "p"} for stage in ("design", "serving", "risks")],
    "rubric": [{"id": id, "stage": "risks", "point": "p", "chapter": "serving/batching"} for id in POINTS],
    "samples": {
        name: {
            "answer": "  ".join(POINTS[:count]),
            "earns": {id: id for id in POINTS[:count]},
            "misses": dict.fromkeys(POINTS[count:], "unsaid"),
        }
        for name, count in zip(GRADES, (2, 5, 9), strict=True)
    },
}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario("machines", Round.model_validate(ROUND))


def by_hand(given: dict[str, float]) -> dict[tuple[str, str], tuple[bool, float]]:
    """Whether each holds the limits, and its rent, without an expression."""
    prices = {"l4": 0.8048, "h100-sxm": evaluate("h100_sxm.price_usd_per_hour").value}
    found = {}
    for name, seconds, quality, devices in (("small", 0.01, 80, prices), ("middle", 0.04, 90, prices), ("large", 0.16, 95, ["h100-sxm"])):
        for device in devices:
            service = seconds / 4 if device == "h100-sxm" else seconds
            holds = 1.5 * service <= given["limit"] and quality >= given["floor"]
            machines = max(0, math.ceil(given["traffic"] * service) - given["own_gpus"])
            found[name, device] = holds, machines * prices[device] + seconds
    return found


def test_every_draw_is_solved_as_by_hand(scenario: Scenario) -> None:
    assert len(scenario.draws) == 20
    for draw in scenario.draws:
        hand = by_hand(dict(draw.given))
        for offer in draw.offers:
            holds, rent = hand[offer.candidate, offer.device]
            assert (not offer.breaks) == holds
            assert offer.figures["usd_per_hour"] == pytest.approx(rent)
        assert draw.best.figures["usd_per_hour"] == pytest.approx(min(rent for holds, rent in hand.values() if holds))


def test_what_turns_the_choice_turns_it_and_nothing_nearer_does(scenario: Scenario) -> None:
    for draw in scenario.draws:
        here, low, high = draw.given["floor"], 60, 99
        chosen = {}
        for stop in range(low, high + 1):
            hand = by_hand({**draw.given, "floor": stop})
            holding = [(rent, name) for (name, _), (holds, rent) in hand.items() if holds]
            chosen[stop] = min(holding)[1] if holding else None
        turned = [stop for stop in chosen if chosen[stop] != draw.best.candidate]
        nearest = min(turned, key=lambda stop: abs(math.log(stop / here)))
        assert draw.flip.value == pytest.approx(nearest, rel=0.02)
        assert chosen[nearest] == draw.flip.to


def test_draws_differ_begin_with_the_pages_own_and_stay_the_same(scenario: Scenario) -> None:
    assert dict(scenario.draws[0].given) == {"traffic": 90, "limit": 0.2, "floor": 85, "own_gpus": 2}
    assert len({tuple(draw.given.values()) for draw in scenario.draws}) == 20
    assert [draw.given for draw in Scenario("machines", scenario.round).draws] == [draw.given for draw in scenario.draws]
    assert len({draw.best.candidate for draw in scenario.draws}) == 3
    assert sum(STAGES.values()) == 45


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"least": "usd"}, "'usd' is no column. Choose from: p99_s, score, service_s, usd_per_hour."),
        ({"flip": ROUND["flip"] | {"given": "flor"}}, "Did you mean 'floor'?"),
        ({"limits": [{"column": "p99_s", "say": "x"}]}, "give either 'at_most' or 'at_least'"),
        ({"rubric": ROUND["rubric"][:9]}, "at least 10"),
        ({"samples": {**ROUND["samples"], "weak": ROUND["samples"]["strong"]}}, "a better answer earns more"),
        (
            {"samples": {**ROUND["samples"], "weak": {**ROUND["samples"]["weak"], "answer": "point-0"}}},
            "the words that earn 'point-1' are not in",
        ),
        ({"samples": {**ROUND["samples"], "weak": {**ROUND["samples"]["weak"], "misses": {}}}}, "neither earned nor missed: point-2"),
        ({"candidates": {**ROUND["candidates"], "x": {"say": "x", "devices": ["l5"]}}}, "'l5' is none of the devices. Did you mean 'l4'?"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = tmp_path / "round.yml"
    path.write_text(yaml.safe_dump(ROUND | change, sort_keys=False))
    with pytest.raises(InputError) as error:
        read(path)
    assert says in str(error.value)
    assert str(error.value).startswith(f"{path}:")


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "round.yml"
    path.write_text(yaml.safe_dump(ROUND, sort_keys=False))
    made = read(path)
    assert [made.score(name) for name in GRADES] == [2, 5, 9]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"floor": {"say": "quality", "values": ["99.5"]}}, "no candidate holds the limits"),
        ({"floor": {"say": "quality", "values": ["85"]}, "limit": {"say": "limit", "values": ["200 ms"]}}, "of 20 draws have an answer"),
        ({"limit": {"say": "limit", "values": ["200 ms", "3 requests/s"]}}, "have more than one unit"),
    ],
)
def test_requirements_that_make_no_round_are_refused(change: dict[str, Any], says: str) -> None:
    made = Round.model_validate(ROUND | {"given": ROUND["given"] | change})
    with pytest.raises(InputError, match=says):
        _ = Scenario("machines", made).draws


def test_compiled_expressions_are_as_narrow_as_walked_ones() -> None:
    assert compiled("x if x > 1 else ceil(x)")({"x": 0.3}) == 1
    for expression, says in (("(lambda: 1)()", "Lambda is not allowed"), ("x.__class__", "underscore"), ("__import__('os')", "underscore")):
        with pytest.raises(InputError, match=says):
            compiled(expression)
    with pytest.raises(InputError, match=r"`y \+ 1`: name 'y' is not defined"):
        compiled("y + 1")({})
    with pytest.raises(InputError, match="open"):
        compiled("open('x')")({})
