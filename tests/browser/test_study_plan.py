"""The study plan in a real browser: the diagnostic by keyboard, the plan it gives, what is kept, and the layout of the days."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .conftest import Watched, assert_accessible

Open = Callable[..., Watched]
CHAPTERS = [
    {"page": f"book/{part}/{n}", "part": part, "title": f"{part} {n}", "href": "x", "minutes": 10, "lab": "y", "questions": 12}
    for part in ("Ground", "Weak", "Strong")
    for n in (1, 2)
]
INDEX = {"chapters": CHAPTERS, "review": "review.html"}


@pytest.fixture
def watched(open_page: Open, built_site: Path) -> Iterator[Watched]:
    watched = open_page((built_site / "book" / "study-plan.html").as_uri())
    yield watched
    watched.assert_clean()


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page


def lay_out(page: Page, right: dict[str, int], index: dict[str, Any] = INDEX, **state: Any) -> dict[str, Any]:
    """The plan for two questions a part, of which so many were right."""
    asked = [{"page": f"book/{part}/1", "id": f"{part}{n}"} for part in right for n in (0, 1)]
    answers = {f"{part}{n}": n < count for part, count in right.items() for n in (0, 1)}
    plan: dict[str, Any] = page.evaluate(
        "([index, asked, answers, state]) => studyPlan.layOut(index, studyPlan.scores(index.chapters, asked, answers), state)",
        [index, asked, answers, {"weeks": 1, "days": 5, "minutes": 90} | state],
    )
    return plan


def keys(plan: dict[str, Any]) -> list[str]:
    return [task["key"] for day in plan["days"] for task in day if task["key"].startswith("book/")]


def test_days_take_the_weak_first_refresh_the_strong_and_hold_what_they_can(page: Page) -> None:
    right = {"Weak": 0, "Strong": 2, "Ground": 1}
    plan = lay_out(page, right)
    order = keys(plan) + [task["key"] for task in plan["left"]]
    assert order[:4] == ["book/Ground/1", "book/Ground/1#lab", "book/Weak/1", "book/Weak/1#lab"]
    assert order.index("book/Ground/2") > order.index("book/Weak/2#lab")
    assert order[-2:] == ["book/Strong/1#check", "book/Strong/2#check"]
    assert len(plan["days"]) == 5
    assert all(sum(task["minutes"] for task in day) <= 90 for day in plan["days"])
    assert plan["days"][-1][0]["text"].startswith("Review the week")
    assert lay_out(page, right) == plan
    short = lay_out(page, right, minutes=60, days=3)
    assert short["left"]
    assert sorted(keys(short) + [task["key"] for task in short["left"]]) == sorted(order)
    assert [len(lay_out(page, right, weeks=weeks)["days"]) for weeks in (1, 2, 3)] == [5, 10, 15]


def test_rounds_end_the_weeks(page: Page) -> None:
    index = INDEX | {"chapters": [*CHAPTERS, {**CHAPTERS[0], "page": "book/rounds/feed", "part": "Rounds", "title": "Feed"}]}
    plan = lay_out(page, {"Weak": 1}, index, weeks=2)
    assert [day[0]["text"] for day in plan["days"][4::5]] == ["Round: Feed", "Round: Feed"]


def test_the_diagnostic_by_keyboard_and_the_plan_is_kept(page: Page) -> None:
    start = page.get_by_role("button", name="Start the diagnostic")
    start.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".sc-where")).to_contain_text("Question 1 of 25")
    expect(page.locator(".sc-clock")).to_have_text("20 min left")
    page.get_by_role("button", name="I don’t know").press("Enter")
    expect(page.locator(".sc-where")).to_contain_text("Question 2 of 25")
    page.reload()
    page.get_by_role("button", name="Go on with the diagnostic (1 of 25 answered)").press("Enter")
    expect(page.locator(".sc-where")).to_contain_text("Question 2 of 25")
    page.get_by_role("button", name="End here").press("Enter")
    expect(page.get_by_role("heading", name="Your plan")).to_be_focused()
    expect(page.locator(".sp-scores")).to_contain_text("0 of 1")
    page.get_by_label("Length").select_option("3")
    expect(page.get_by_role("heading", name="Week 3")).to_be_visible()
    page.get_by_label("First day").fill("2026-03-02")
    expect(page.locator(".sp-day").first).to_contain_text("Monday, March 2")

    first = page.locator(".sp-days > li").first.locator("[data-task]").first
    key = first.get_attribute("data-task") or ""
    first.get_by_role("button", name="Later").press("Enter")
    expect(page.locator(".sp-days > li").nth(1).locator(f"[data-task='{key}']")).to_be_visible()
    expect(page.locator(f"[data-task='{key}'] button", has_text="Later")).to_be_focused()
    page.locator(f"[data-task='{key}'] input").press("Space")
    expect(page.locator(f"[data-task='{key}']")).to_have_class("done")
    assert_accessible(page)
    page.reload()
    expect(page.locator(".sp-days > li").nth(1).locator(f"[data-task='{key}'].done")).to_be_visible()
    expect(page.locator(".sp-day").first).to_contain_text("Monday, March 2")
    expect(page.locator(".bd-sidebar-primary .read-mark")).to_have_count(1)  # a chapter that is done is read
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Start again").press("Enter")
    expect(page.get_by_role("button", name="Start the diagnostic")).to_be_visible()


@pytest.mark.parametrize("kept", ["", "{", "[]", json.dumps({"weeks": 99, "answers": {"a": 1}, "moved": {"b": "c"}, "start": "soon"})])
def test_what_is_kept_is_checked(page: Page, kept: str) -> None:
    fresh = page.evaluate("studyPlan.restored(null)")
    assert page.evaluate("text => studyPlan.restored(text)", kept) == fresh
