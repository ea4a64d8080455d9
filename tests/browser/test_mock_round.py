"""The mock round in a real browser: a whole round by keyboard, what it grades, what it keeps, and the samples of a round's page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from workbook import ROOT
from workbook.rounds.estimates import questions
from workbook.rounds.practice import data
from workbook.rounds.scenario import Scenario, load
from workbook.rounds.schema import GRADES, STAGES

from .conftest import Watched, assert_accessible

Open = Callable[..., Watched]
ROUND = "document-classification"
STAGE_NAMES = list(STAGES)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load(ROOT / "questions" / "rounds" / f"{ROUND}.yml")


@pytest.fixture
def watched(open_page: Open, built_site: Path) -> Iterator[Watched]:
    watched = open_page((built_site / "book" / "mock-round.html").as_uri())
    watched.page.on("dialog", lambda dialog: dialog.accept())
    yield watched
    watched.assert_clean()


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=False).first.press("Enter")


def start(page: Page) -> None:
    page.locator("select[name=round]").select_option(ROUND)
    press(page, "Start a round")
    expect(page.locator(".mr-stages [aria-current]")).to_have_text("Requirements")


def answer(page: Page, number: int, text: str) -> None:
    item = page.locator(".sc-item").nth(number)
    item.locator("input[type=text]").fill(text)
    item.locator("input[type=text]").press("Enter")


def test_a_whole_round_by_keyboard_is_graded_as_computed(page: Page, scenario: Scenario) -> None:
    draw = scenario.draws[1]  # the page's own, the first, comes last
    made = questions(scenario)
    start(page)
    expect(page.locator(".mr-task blockquote")).to_contain_text(data(scenario)["draws"][1]["prompt"])
    page.locator("textarea").first.fill("What does an error cost?")
    press(page, "Next stage")
    for number, (_, variants) in enumerate(made[:-1]):
        answer(page, number, variants[1].answer_text if number else "1 GFLOP")
    expect(page.locator(".sc-feedback[data-outcome=right]")).to_have_count(len(made) - 2)
    expect(page.locator(".sc-feedback[data-outcome=wrong]")).to_have_count(1)
    expect(page.locator(".sc-item .sc-button:visible")).to_have_count(0)  # the first answer counts
    press(page, "Next stage")
    page.get_by_label("Architecture").select_option(str(list(scenario.round.candidates).index(draw.best.candidate)))
    page.get_by_label("Device").select_option(str(list(scenario.round.devices).index(draw.best.device)))
    press(page, "Commit")
    expect(page.locator(".mr-verdict")).to_contain_text("✓ Right: it holds every limit")
    expect(page.locator(".mr-verdict")).to_be_focused()
    answer(page, 0, made[-1][1][1].answer_text)
    expect(page.locator(".sc-feedback[data-outcome=right]")).to_have_count(1)
    for _ in range(3):
        press(page, "Next stage")
    assert_accessible(page, ".mock-round")
    press(page, "Score it")
    expect(page.locator(".mr-rubric blockquote")).to_have_text("What does an error cost?")
    ticked = scenario.round.rubric[:3]
    for point in ticked:
        page.locator(f"#mr-{point.id}").press("Space")
    assert_accessible(page, ".mock-round")
    page.reload()
    press(page, "Go on with")
    expect(page.locator(".mr-rubric input:checked")).to_have_count(3)
    press(page, "See the scorecard")
    estimates = 2 * (len(made) - 2)
    got = estimates + 2 + 3 + sum(point.worth for point in ticked)
    worth = 2 * len(made) + 3 + scenario.round.worth
    expect(page.locator(".mr-total")).to_contain_text(f"{got} of {worth} points")
    expect(page.locator(".mr-study a").first).to_be_visible()
    for link in page.locator(".mr-study a, .mr-stage p a").all():
        path = (link.get_attribute("href") or "").split("#")[0]
        assert (Path(page.url.removeprefix("file://")).parent / path).exists()
    assert_accessible(page, ".mock-round")
    press(page, "Another round")
    expect(page.locator(".mr-history li")).to_have_count(1)
    kept: list[dict[str, Any]] = json.loads(page.evaluate("localStorage.getItem('mock-rounds')"))
    assert [(one["round"], one["draw"], one["got"], one["worth"]) for one in kept] == [(ROUND, 1, got, worth)]


def test_the_scorecard_is_a_function_of_the_answers_and_fits_on_one_page(page: Page, scenario: Scenario) -> None:
    start(page)
    for _ in range(5):
        press(page, "Next stage")
    press(page, "Score it")
    made = data(scenario)
    state = {"draw": 3, "estimates": {made["estimates"][0]["id"]: "order"}, "choice": None, "ticks": [scenario.round.rubric[0].id]}
    script = "([data, state]) => mockRound.score(data, mockRound.page.index.stages, mockRound.page.index.points, state)"
    card = page.evaluate(script, [made, state])
    assert card == page.evaluate(script, [made, state])
    assert card["got"] == 1 + scenario.round.rubric[0].worth
    assert [stage for stage, (got, _) in card["card"].items() if got] == ["requirements", "estimates"]
    assert [lost for _, lost in card["study"]] == sorted((lost for _, lost in card["study"]), reverse=True)
    press(page, "See the scorecard")
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) == 1  # with every point missed, which is the longest that it gets


def test_every_choice_is_judged_by_the_computed_table(page: Page, scenario: Scenario) -> None:
    made = data(scenario)
    devices, candidates = list(scenario.round.devices), list(scenario.round.candidates)
    script = "([data, draw, choice]) => mockRound.judged(data, draw, choice, mockRound.page.index.points)"
    for number in (0, 1, 9):
        draw = scenario.draws[number]
        for offer in draw.offers:
            verdict = page.evaluate(script, [made, number, [candidates.index(offer.candidate), devices.index(offer.device)]])
            if offer == draw.best:
                assert verdict["points"] == 3
            elif offer.breaks:
                assert verdict["points"] == 0
                assert "breaks a limit" in verdict["say"]
            else:
                same_price = offer.figures[scenario.round.least] == draw.best.figures[scenario.round.least]
                assert verdict["points"] == (3 if same_price else 2 if offer.candidate == draw.best.candidate else 1)
    nowhere = page.evaluate(script, [made, 0, [0, devices.index("l4")]])  # a bag of words on a GPU
    assert "does not run on" in nowhere["say"]


def test_draws_come_in_turn_and_the_page_s_own_last(page: Page) -> None:
    assert page.evaluate("[0, 1, 22, 23, 24].map((times) => mockRound.drawOf(times, 24))") == [1, 2, 23, 0, 1]


def test_what_is_kept_and_broken_is_left_alone(open_page: Open, built_site: Path) -> None:
    watched = open_page((built_site / "book" / "mock-round.html").as_uri())
    for state in (
        '{"round": 3}',
        "nonsense",
        '{"round": "gone", "draw": 1, "stage": 0, "texts": {}, "used": {}, "estimates": {}, "ticks": [], "choice": null}',
    ):
        watched.page.evaluate("(text) => { localStorage.setItem('mock-round', text); localStorage.setItem('mock-rounds', text); }", state)
        watched.page.reload()
        expect(watched.page.get_by_role("button", name="Start a round")).to_be_visible()
        expect(watched.page.locator(".mr-stage button")).to_have_count(1)
    watched.assert_clean()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(open_page: Open, built_site: Path, width: int) -> None:
    watched = open_page((built_site / "book" / "mock-round.html").as_uri(), width=width)
    page = watched.page
    start(page)
    for stage in STAGE_NAMES[1:]:
        press(page, "Next stage")
        if stage == "choice":
            press(page, "Commit")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    watched.assert_clean()


def test_three_answers_are_scored_before_ours_is_seen(open_page: Open, built_site: Path, scenario: Scenario) -> None:
    watched = open_page((built_site / "book" / "rounds" / f"{ROUND}.html").as_uri())
    page = watched.page
    for grade in GRADES:
        section = page.locator(f".round-sample[data-grade={grade}]")
        ours = section.locator(".round-ours")
        expect(ours).to_be_hidden()
        section.locator(".round-rubric summary").press("Enter")
        first = scenario.round.rubric[0]
        section.locator("fieldset input").first.press("Space")
        section.get_by_role("button", name="Compare").press("Enter")
        expect(ours).to_be_visible()
        earned = first.id in scenario.round.samples[grade].earns
        expect(section.locator(".sc-note")).to_contain_text(
            f"You gave {first.worth}, we gave {scenario.round.score(grade)} of {scenario.round.worth} points"
        )
        expect(section.locator(".round-differs")).to_have_count(
            len(scenario.round.samples[grade].earns) - 1 if earned else len(scenario.round.samples[grade].earns) + 1
        )
    assert_accessible(page, ".round-samples")
    watched.assert_clean()
