"""The review page in a real browser, from ``file://``: a session by keyboard, the schedule, a thousand questions, nothing that moves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from workbook import ROOT
from workbook.questions import progress

from .conftest import Watched, assert_accessible

CONF = f"""
extensions = ["myst_parser", "sphinx-mathjax-offline", "workbook.questions.directive", "workbook.site.chart"]
html_theme = "sphinx_book_theme"
html_static_path = [{str(ROOT / "assets")!r}]
html_css_files = ["book.css"]
html_context = {{"default_mode": "light"}}
myst_enable_extensions = ["dollarmath"]
"""
Open = Callable[..., Watched]
TOP = "item => Math.round(item.getBoundingClientRect().top + scrollY)"  # in the page: a click may scroll it


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chapter with the sample bank, and the review page; built with warnings as errors, on a machine without a profile."""
    root = tmp_path_factory.mktemp("site")
    for folder in ("questions/part", "book/part"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "fixtures" / "questions" / "sample.yml", root / "questions" / "part" / "sample.yml")
    shutil.copy(ROOT / "book" / "review.md", root / "book" / "review.md")
    (root / "conf.py").write_text(CONF)
    (root / "index.md").write_text("# Home\n\n```{toctree}\nbook/review\nbook/part/sample\n```\n")
    (root / "book" / "part" / "sample.md").write_text("# Sample <chapter>\n\n```{self-check}\n```\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(root), str(root / "_build")]
    subprocess.run(command, check=True, env=os.environ | {"NAPKINMATH_HOME": str(root / "home")})
    return root / "_build"


@pytest.fixture
def watched(open_page: Open, site: Path) -> Iterator[Watched]:
    watched = open_page((site / "book" / "review.html").as_uri())
    yield watched
    watched.assert_clean()


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page


def today(page: Page) -> int:
    number: int = page.evaluate("selfCheck.Progress.today()")
    return number


def store(page: Page, **logs: list[list[Any]]) -> None:
    """Progress of earlier days, by id with _ for -; then the page anew."""
    for name, log in logs.items():
        version = 2 if name == "sample_kv_cache" else 1
        record = {"right": any(right for _, right, _ in log), "tries": len(log), "variant": 0, "log": log}
        page.evaluate(
            "([name, record]) => localStorage.setItem(`self-check/${name}`, record)",
            [f"{name.replace('_', '-')}@{version}", json.dumps(record)],
        )
    page.reload()


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until a control with this name has the focus."""
    named = "(({name, ariaLabel, innerText}) => name || ariaLabel || innerText || '')(document.activeElement)"
    for _ in range(60):
        page.keyboard.press("Tab")
        if re.match(name, str(page.evaluate(named))):
            return
    raise AssertionError(f"no Tab leads to {name}")


def test_a_complete_session_by_keyboard_alone(page: Page, tmp_path: Path) -> None:
    """Wrong, the slip, again, right; reload; progress still there; export; clear; import."""
    expect(page.locator(".sc-note").first).to_contain_text("0 due today, 8 new, 0 missed the last time.")
    expect(page.locator(".sc-note").first).to_contain_text("Left out: 1 question. This question is about your machine")
    expect(page.locator("select[name=when]")).to_have_value("new")
    tab_to(page, "tag")
    press(page, *"dec")  # picks decode
    tab_to(page, "Start")
    press(page, "Enter")
    feedback = page.locator(".sc-feedback")
    expect(page.locator("#sample-kv-cache input")).to_be_focused()
    expect(page.locator(".sc-where")).to_have_text("Question 1 of 1 · Sample <chapter>")
    page.keyboard.type("268 MB")
    press(page, "Enter")
    expect(feedback).to_contain_text("Store both K and V.")
    tab_to(page, "Try again")
    press(page, "Enter")
    expect(page.locator(".sc-prompt > div:visible")).to_contain_text("8,192 tokens")
    page.keyboard.type("1.07")
    press(page, "Enter")
    expect(feedback).to_contain_text("✓ Right: 1.07 GB.")
    tab_to(page, "Finish")
    press(page, "Enter")
    expect(page.locator(".sc-verdict")).to_have_text("0 of 1 right at the first answer.")
    expect(page.locator(".sc-verdict")).to_be_focused()

    page.reload()
    expect(page.locator(".sc-report")).to_contain_text("1 of 8 questions answered, 1 of them right.")
    with page.expect_download() as download:
        tab_to(page, "Save progress")
        press(page, "Enter")
    saved = tmp_path / "progress.json"
    download.value.save_as(saved)
    assert progress.load(saved.read_text())["sample-kv-cache@2"].log[0].day == today(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.on("filechooser", lambda chooser: None)  # stands for the whole test: taken on and off between two, the browser cancels some
    tab_to(page, "Forget everything")
    press(page, "Enter")
    expect(page.locator(".sc-report")).to_contain_text("0 of 8 questions answered")
    assert page.evaluate("localStorage.length - Object.keys(localStorage).filter(key => !key.startsWith('self-check/')).length") == 0
    with page.expect_file_chooser() as chooser:
        press(page, "Shift+Tab")
        press(page, "Enter")
    chooser.value.set_files({"name": "x.json", "mimeType": "application/json", "buffer": b'{"items": "<img src=x onerror=alert(1)>"}'})
    expect(page.locator(".sc-note").first).to_have_text(progress.SAYS["foreign"])
    with page.expect_file_chooser() as chooser:
        press(page, "Enter")
    chooser.value.set_files(saved)
    expect(page.locator(".sc-note").first).to_have_text("Loaded 1 answer.")
    expect(page.locator(".sc-report")).to_contain_text("1 of 8 questions answered, 1 of them right.")


def test_what_is_due_is_asked_first_and_filters_narrow_it(page: Page) -> None:
    day = today(page)
    store(page, sample_mask=[[day - 3, True, None]], sample_linear=[[day - 30, True, None]], sample_flip=[[day - 1, True, None]])
    expect(page.locator(".sc-note").first).to_contain_text("2 due today, 5 new")
    expect(page.locator("select[name=when]")).to_have_value("due")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#sample-linear")).to_be_visible()
    page.get_by_role("button", name="Skip").click()
    expect(page.locator("#sample-mask")).to_be_visible()
    page.get_by_role("button", name="End here").click()
    count = page.locator(".sc-count")
    for filters, found in [
        ({"when": "all"}, 8),
        ({"level": "3"}, 2),
        ({"tag": "memory"}, 1),
        ({"tag": "", "level": "", "part": "Part"}, 8),
        ({"when": "missed"}, 0),
    ]:
        for name, value in filters.items():
            page.locator(f"select[name={name}]").select_option(value)
        expect(count).to_have_text(f"{found} question{'' if found == 1 else 's'} to ask")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()


def test_what_was_missed_in_a_session_is_asked_again(page: Page) -> None:
    page.locator("select[name=tag]").select_option("capacity")
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator("#sample-replicas input").fill("1000")
    page.get_by_role("button", name="Check").click()
    page.get_by_role("button", name="Finish").click()
    page.get_by_role("button", name="Retry the 1 question you missed").click()
    expect(page.locator(".sc-prompt > div:visible")).to_contain_text("190 requests")
    page.locator("#sample-replicas input").fill("19")
    page.get_by_role("button", name="Check").click()
    page.get_by_role("button", name="Finish").click()
    expect(page.locator(".sc-verdict")).to_have_text("1 of 1 right at the first answer.")
    expect(page.locator(".sc-note").first).to_contain_text("1 missed the last time")  # the schedule saw the first answer of the day


def test_an_estimate_against_the_clock(page: Page) -> None:
    page.clock.install(time="2026-03-01T10:00:00")
    page.clock.pause_at("2026-03-01T10:00:01")
    page.get_by_label("60 s for each estimate").check()
    page.locator("select[name=tag]").select_option("decode")
    page.get_by_role("button", name="Start", exact=True).click()
    clock = page.locator(".sc-clock")
    expect(clock).to_have_text("60 s")
    page.clock.run_for(20_000)
    expect(clock).to_have_text("40 s")
    up = page.locator(".sc-where [role=status]")
    expect(up).to_be_empty()
    page.clock.run_for(50_000)
    expect(clock).to_have_text("10 s over")
    expect(up).to_have_text("Time is up. Which number would you say now?")
    page.locator("#sample-kv-cache input").fill("0.6")
    page.get_by_role("button", name="Check").click()
    expect(clock).to_have_text("answered in 70 s")
    expect(page.locator(".sc-feedback")).to_contain_text("✓ Good estimate")


def seed_estimates(page: Page) -> None:
    day = today(page)
    missed = {name: [[day - 1, False, None]] for name in ("sample_mask", "sample_sizes", "sample_line")}
    store(page, sample_kv_cache=[[day - 9, False, 0.6], [day - 2, True, 0.1]], sample_share=[[day - 5, True, 0.3]], **missed)


def test_the_dashboard_shows_estimates_and_weak_topics(page: Page) -> None:
    seed_estimates(page)
    report = page.locator(".sc-report")
    expect(report).to_contain_text("5 of 8 questions answered, 2 of them right.")
    expect(report).to_contain_text("Of your latest 3 estimates, half are within a factor of 2.0; on the whole they are 2.0 times too high.")
    expect(report.locator(".sc-topics li")).to_have_text(re.compile("memory: 2 of 3 missed the last time"))
    figure = page.locator("#chart-calibration")
    figure.scroll_into_view_if_needed()
    expect(figure).to_have_attribute("data-drawn", "")
    expect(figure.locator(".chart-live .mark-symbol path")).to_have_count(3)
    report.locator("summary").click()
    expect(report.locator("details li").first).to_contain_text("sample-kv-cache: 1.3 times too high")
    report.get_by_role("button", name="Practise: memory").click()
    expect(page.locator(".sc-where")).to_contain_text("Question 1 of 3")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Open, site: Path, theme: str) -> None:
    page = open_page((site / "book" / "review.html").as_uri(), theme=theme, width=360).page
    page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
    seed_estimates(page)
    page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
    page.locator("#chart-calibration").scroll_into_view_if_needed()
    expect(page.locator("#chart-calibration")).to_have_attribute("data-drawn", "")

    def clean() -> None:
        assert_accessible(page, context=".review")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    clean()
    page.get_by_role("button", name="Practise: memory").click()
    page.locator(".sc-item").wait_for()
    page.get_by_role("button", name="Check").click()
    clean()


def test_without_a_script_the_chapters_are_named(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "book" / "review.html").as_uri())
    link = page.locator("noscript a")
    expect(link).to_have_text("Sample <chapter>")
    assert link.get_attribute("href") == "part/sample.html"
    expect(page.locator(".sc-filters")).to_be_hidden()
    context.close()


@pytest.mark.parametrize(
    "broken",
    [
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('denied') }})",
        "Storage.prototype.setItem = () => { throw new Error('quota') }",
    ],
)
def test_without_storage_the_session_works_and_says_so(page: Page, broken: str) -> None:
    page.evaluate(f"() => {{ {broken} }}")
    page.locator("select[name=tag]").select_option("capacity")
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator("#sample-replicas input").fill("10")
    page.get_by_role("button", name="Check").click()
    page.get_by_role("button", name="Finish").click()
    expect(page.locator(".sc-note").first).to_have_text("This browser does not keep progress; it lasts until you leave the page.")
    expect(page.locator(".sc-report")).to_contain_text("1 of 8 questions answered, 1 of them right.")


#: The items of a chapter five times, with the chapter's and the copy's number in their ids.
RENAMED = """(chapter, page, items) => {
  const copy = (item, n) => {
    const id = `${item.data.id}-${chapter}-${n}`;
    return {data: {...item.data, id}, html: item.html.replaceAll(item.data.id, id)};
  };
  selfCheck.loaded(page, [0, 1, 2, 3, 4].flatMap((n) => items.map((item) => copy(item, n))));
}"""


@pytest.fixture(scope="module")
def thousand(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with 25 chapters of 40 questions: the sample's, under other ids."""
    root = tmp_path_factory.mktemp("thousand") / "site"
    shutil.copytree(site, root)
    page = root / "book" / "review.html"
    found = re.search(r'(<script type="application/json" class="sc-index">)(.*?)(</script>)', page.read_text(), re.DOTALL)
    assert found
    (chapter,) = json.loads(found[2])
    asked = [one for one in chapter["questions"] if "why_not" not in one]
    source = (root / "_static" / "self-check" / "book-part-sample.js").read_text()
    chapters = []
    for number in range(25):
        script = source.replace("window.selfCheck.loaded(", f"({RENAMED})({number}, ", 1).replace(
            "book/part/sample", f"book/part/{number}", 1
        )
        (root / "_static" / "self-check" / f"{number}.js").write_text(script)
        questions = [{**one, "id": f"{one['id']}-{number}-{copy}"} for copy in range(5) for one in asked]
        chapters.append(
            {
                **chapter,
                "page": f"book/part/{number}",
                "title": f"Chapter {number}",
                "script": f"../_static/self-check/{number}.js",
                "questions": questions,
            }
        )
    page.write_text(page.read_text().replace(found[0], found[1] + json.dumps(chapters).replace("<", "\\u003c") + found[3]))
    return root


def test_a_thousand_questions_load_one_chapter_and_move_nothing(open_page: Open, thousand: Path) -> None:
    watched = open_page((thousand / "book" / "review.html").as_uri())
    page, loaded = watched.page, []
    page.on("request", lambda request: loaded.append(request.url) if "/self-check/" in request.url else None)
    expect(page.locator(".sc-note").first).to_contain_text("0 due today, 1000 new")
    day = today(page)
    page.evaluate(
        """day => document.querySelector(".review").review.questions.forEach(({name}, n) => {
          const log = [[day - 40, n % 3 > 0, 0.2], [day - 20, n % 2 > 0, 0.1], [day - n % 9, true, 0]];
          localStorage.setItem("self-check/" + name, JSON.stringify({right: true, tries: 3, variant: 2, log}));
        })""",
        day,
    )
    page.reload()
    expect(page.locator(".sc-report")).to_contain_text("1000 of 1000 questions answered")
    page.locator("select[name=when]").select_option("all")
    page.evaluate(
        """() => {
          window.shift = 0;
          const add = list => list.getEntries().forEach(entry => { if (!entry.hadRecentInput) window.shift += entry.value; });
          new PerformanceObserver(add).observe({type: "layout-shift"});
        }"""
    )
    page.get_by_role("button", name="Start", exact=True).click()
    for number in range(1, 4):
        item = page.locator(".sc-item")
        expect(page.locator(".sc-where")).to_contain_text(f"Question {number} of 10")
        expect(item).to_be_visible()
        top = item.evaluate(TOP)
        item.get_by_role("button", name=re.compile("Check|Compare")).first.click()
        assert item.evaluate(TOP) == top
        page.get_by_role("button", name=re.compile("Skip|Next")).click()
    expect(page.locator(".sc-where")).to_contain_text("Question 4 of 10")
    assert page.evaluate("window.shift") <= 0.01
    assert 1 <= len(loaded) <= 3
    watched.assert_clean()
