"""The tick of a chapter, and what a name of the glossary says, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from .conftest import Watched

CHAPTER = "book/sequence/transformer"
Open = Callable[..., Watched]


def test_a_tick_is_kept_and_shows_in_the_list_of_pages_and_only_there(open_page: Open, built_site: Path) -> None:
    watched = open_page((built_site / f"{CHAPTER}.html").as_uri())
    page = watched.page
    box, marks = page.get_by_label("I have read it"), page.locator(".bd-sidebar-primary .read-mark")
    expect(box).not_to_be_checked()
    box.focus()
    page.keyboard.press("Space")
    expect(marks).to_have_count(1)
    page.goto((built_site / "book/index.html").as_uri())
    expect(page.locator(".bd-sidebar-primary a:has(.read-mark)")).to_have_text("Transformer ✓")
    page.goto((built_site / f"{CHAPTER}.html").as_uri())
    expect(box).to_be_checked()
    expect(marks).to_have_count(1)
    box.uncheck()
    page.reload()
    expect(box).not_to_be_checked()
    expect(marks).to_have_count(0)
    watched.assert_clean()


def test_a_name_says_what_it_means_by_keyboard_and_tap(open_page: Open, built_site: Path) -> None:
    watched = open_page((built_site / f"{CHAPTER}.html").as_uri(), width=360)
    page = watched.page
    name, tip = page.locator("button.term", has_text="context").first, page.locator("#n-tip")
    name.focus()
    expect(tip).to_contain_text("Key and value tokens that a query may look at")
    assert name.get_attribute("aria-describedby") == "n-tip"
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    name.click()
    expect(tip).to_be_visible()
    box = tip.bounding_box()
    assert box
    assert 0 <= box["x"] <= box["x"] + box["width"] <= 360
    watched.assert_clean()


def test_search_finds_terms_from_a_file(open_page: Open, built_site: Path) -> None:
    watched = open_page((built_site / "search.html").as_uri() + "?q=n_kv_heads")
    results = watched.page.locator("#search-results li a")
    expect(results.filter(has_text="Glossary")).to_have_count(1)
    expect(results.filter(has_text="Transformer")).not_to_have_count(0)
    watched.assert_clean()
