"""What a round's page and the practice page are given, on a small round whose answers are known by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from napkinmath.errors import InputError
from workbook.rounds.cli import problems
from workbook.rounds.estimates import names, questions
from workbook.rounds.page import comparison, filled, leading, requirements, samples
from workbook.rounds.practice import data
from workbook.rounds.scenario import Scenario, load
from workbook.rounds.schema import GRADES, Round

from .test_rounds import POINTS, ROUND

ESTIMATE = {
    "id": "busy",
    "prompt": "{traffic}, {= busy(0.04) -> int} busy; {= offers[\"small\"][\"l4\"][\"p99_s\"]}.",
    "answer": {"expr": 'traffic * offers["middle"]["l4"]["service_s"]', "unit": ""},
    "slips": [{"factor": 3, "say": "three times"}],
    "explain": "{= best[\"say\"]} at {flip}, then {flip_to}",
    "chapter": "serving/batching",
}  # fmt: skip


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario("machines", Round.model_validate(ROUND | {"estimates": [ESTIMATE, *ROUND["estimates"][1:]]}))


def test_an_estimate_is_a_question_with_a_variant_for_each_draw(scenario: Scenario) -> None:
    question, variants = questions(scenario)[0]
    assert question.id == "machines-busy"
    assert len(variants) == len(scenario.draws)
    for draw, variant in zip(scenario.draws, variants, strict=True):
        traffic = draw.given["traffic"]
        assert variant.answer == pytest.approx(traffic * 0.04)
        assert variant.prompt == f"{traffic:,.0f} requests/s, {round(traffic * 0.04):,} busy; 15 ms."
        assert variant.slips == ((pytest.approx(traffic * 0.12), "three times"),)
        say = ROUND["candidates"][draw.best.candidate]["say"]
        turned = ROUND["candidates"][draw.flip.to]["say"] if draw.flip.to else "no candidate"
        assert re.fullmatch(rf"{say} at [\d.]+, then {turned}", variant.explain)


def test_the_last_question_asks_what_turns_the_choice(scenario: Scenario) -> None:
    assert [question.id for question, _ in questions(scenario)] == scenario.round.question_ids("machines")
    question, variants = questions(scenario)[-1]
    assert (question.id, question.level) == ("machines-flip", 3)
    assert [variant.answer for variant in variants] == [draw.flip.value for draw in scenario.draws]
    assert "**quality, at least**" in variants[0].prompt


def test_names_carry_their_units(scenario: Scenario) -> None:
    named = names(scenario, scenario.draws[0])
    assert (named["traffic"].unit, named["traffic"].text) == ("requests/s", "90 requests/s")
    assert named["offers"]["small"]["l4"]["p99_s"].text == "15 ms"
    assert named["best"]["say"] == ROUND["candidates"][scenario.draws[0].best.candidate]["say"]


def test_a_mistake_in_an_estimate_is_told_with_its_draw(scenario: Scenario) -> None:
    wrong = Scenario("machines", Round.model_validate(ROUND | {"estimates": [ESTIMATE | {"prompt": "{trafic}"}, *ROUND["estimates"][1:]]}))
    with pytest.raises(
        InputError, match=r"machines-busy: prompt: field \{trafic\}.*Did you mean 'traffic'\? \(draw 0: traffic 90 requests/s"
    ):
        questions(wrong)
    taken = Scenario("machines", Round.model_validate(ROUND | {"let": ROUND["let"] + "\nl4 = 3"}))
    with pytest.raises(InputError, match="let: 'l4' is a name of napkinmath already"):
        names(taken, taken.draws[0])


def test_the_table_leads_with_the_choice_and_marks_what_breaks(scenario: Scenario) -> None:
    draw = scenario.draws[0]
    rows = leading(scenario, draw)
    assert rows[0] == draw.best
    assert sorted(row.candidate for row in rows) == ["large", "middle", "small"]
    soup = BeautifulSoup(comparison(scenario, draw), "html.parser")
    first, everything = soup.find_all("table")
    assert [cell.text for cell in first.select_one("tr.round-best").find_all("td")][1:] == ["10 ms", "15 ms", "90", "$0.04"]
    assert len(everything.select("tbody tr")) == len(draw.offers)
    broken = {(row.th.text, cell.text) for row in first.select("tbody tr") for cell in row.select(".round-broken")}
    assert broken == {("the small one", "✗ 80 (breaks the limit)")}
    text = soup.select_one(".round-choice").text
    assert "What turns it: quality, at least" in text
    assert "quality at least 85" in text


def test_requirements_say_what_else_is_drawn(scenario: Scenario) -> None:
    rows = [
        [cell.text for cell in row.find_all(["th", "td"])]
        for row in BeautifulSoup(requirements(scenario), "html.parser").select("tbody tr")
    ]
    assert rows[1] == ["Limit", "200 ms", "100 ms, 50 ms"]
    assert filled(ROUND["prompt"], scenario, scenario.draws[0]) == "90 requests/s at the peak, 200 ms each, quality 85 at least."


def test_samples_hide_our_score_until_asked_and_quote_every_point(scenario: Scenario) -> None:
    soup = BeautifulSoup(samples(scenario), "html.parser")
    for grade, count in zip(GRADES, (2, 5, 9), strict=True):
        section = soup.select_one(f"[data-grade={grade}]")
        assert len(section.select("fieldset input")) == len(POINTS)
        ours = section.select_one(".round-ours")
        assert not ours.has_attr("open")
        assert ours.p.text.startswith(f"{count} of 10 points")
        assert [line.strong.text[0] for line in ours.select("li")] == ["✓"] * count + ["✗"] * (10 - count)


def test_practice_has_every_draw_as_the_page_would_show_it(scenario: Scenario) -> None:
    made = data(scenario)
    assert len(made["draws"]) == 20
    for draw, own in zip(scenario.draws, made["draws"], strict=True):
        best = own["offers"][own["best"]]
        assert made["candidates"][best["candidate"]] == ROUND["candidates"][draw.best.candidate]["say"]
        assert not best["breaks"]
        assert all(len(offer["cells"]) == len(made["columns"]) for offer in own["offers"])
        assert all(len(offer["breaks"]) == len(draw.offers[n].breaks) for n, offer in enumerate(own["offers"]))
    small = next(offer for offer in made["draws"][0]["offers"] if offer["candidate"] == 0)
    assert small["breaks"] == ["quality at least 85: 80"]
    assert made["estimates"][-1] == {"id": "machines-flip", "chapter": "serving/batching", "flip": True}


def test_the_check_finds_what_reads_well_and_is_wrong(tmp_path: Path, scenario: Scenario) -> None:
    path = tmp_path / "questions" / "rounds" / "machines.yml"
    path.parent.mkdir(parents=True)
    (tmp_path / "book" / "serving").mkdir(parents=True)
    (tmp_path / "book" / "serving" / "batchin.md").write_text("# Batching")
    path.write_text(yaml.safe_dump(ROUND | {"estimates": [ESTIMATE, *ROUND["estimates"][1:]]}, sort_keys=False))
    assert problems(load(path), path) == [
        "asks: nothing for the stage 'requirements'",
        *(f"rubric: nothing for the stage {stage!r}" for stage in ("requirements", "estimates", "choice", "design", "serving")),
        "chapter 'serving/batching' is not in the book. Did you mean 'serving/batchin'?",
        "book/rounds/machines.md is missing: the page that works through the first draw",
    ]
    with pytest.raises(InputError, match="no such round"):
        load(path.with_name("other.yml"))


def test_a_turn_is_found_to_the_unit(scenario: Scenario) -> None:
    """The candidates' qualities are 80, 90 and 95: the choice turns down at one of them, or at the next whole number above."""
    assert scenario.draws[0].flip.value == 80
    assert {draw.flip.value for draw in scenario.draws} <= {80, 81, 90, 91, 95, 96}


def test_a_turn_between_whole_numbers_is_found_to_a_hair() -> None:
    given = ROUND["given"] | {"floor": {"say": "quality, at least", "values": ["85.5", "75", "93"]}}
    draw = Scenario("machines", Round.model_validate(ROUND | {"given": given})).draws[0]
    assert draw.flip.value == pytest.approx(90, rel=1e-5)
