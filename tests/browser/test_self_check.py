"""The self-check in a real browser, from ``file://``: the grader's fixtures, a session by keyboard, storage, hostile mark-up, print."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from napkinmath import units
from napkinmath.errors import InputError
from workbook import ROOT
from workbook.questions import load_bank, web
from workbook.questions.grader import grade
from workbook.questions.variants import variants

FIXTURES = ROOT / "tests" / "fixtures"
SAMPLE = FIXTURES / "questions" / "sample.yml"
GRADING = json.loads((FIXTURES / "grading.json").read_text())

CONF = f"""
extensions = ["myst_parser", "sphinx-mathjax-offline", "workbook.questions.directive"]
html_theme = "sphinx_book_theme"
html_static_path = [{str(ROOT / "assets")!r}]
html_context = {{"default_mode": "light"}}
myst_enable_extensions = ["dollarmath"]
"""
PAGE = """# Sample

```{self-check}
:section: cache
```

Between.

```{self-check}
```
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of one page with every question of the sample bank; built with warnings as errors."""
    root = tmp_path_factory.mktemp("site")
    (root / "questions" / "part").mkdir(parents=True)
    (root / "part").mkdir()
    shutil.copy(SAMPLE, root / "questions" / "part" / "sample.yml")
    (root / "conf.py").write_text(CONF)
    (root / "index.md").write_text("# Home\n\n```{toctree}\npart/sample\n```\n")
    (root / "part" / "sample.md").write_text(PAGE)
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(root), str(root / "_build")], check=True)
    return root / "_build"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])


@contextmanager
def opened(browser: Browser, site: Path, formulas: bool = True) -> Iterator[Page]:
    """The sample page, freshly opened; whatever the console says or another host is asked for fails the test."""
    context = browser.new_context()
    if not formulas:  # setting them takes longer than everything else
        context.route("**/mathjax/**", lambda route: route.fulfill(body=""))
    page = context.new_page()
    bad: list[str] = []
    page.on("console", lambda message: bad.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: bad.append(str(error)))
    page.on("request", lambda request: bad.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto((site / "part" / "sample.html").as_uri())
    yield page
    context.close()
    assert not bad


@pytest.fixture
def page(browser: Browser, site: Path) -> Iterator[Page]:
    with opened(browser, site, formulas=False) as page:
        yield page


# The grader -----------------------------------------------------------------------------------------------------------

GRADE = "([question, variant, answer]) => grader.grade(question, variant, answer)"
PARSE = """([text, unit]) => {
  try { const {value, unit: base} = grader.parse(text, unit); return [value, base]; } catch (error) { return [null, error.message]; }
}"""


def run(page: Page, script: str, cases: list[Any]) -> list[Any]:
    table = "JSON.parse(document.querySelector('script.sc-table').textContent)"
    found: list[Any] = page.evaluate(
        f"(cases) => {{ const grader = window.selfCheck.makeGrader({table}); return cases.map({script}); }}", cases
    )
    return found


def as_data(question: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(web.data(question, variants(question))))
    return data


def test_fixtures_of_the_parser(page: Page) -> None:
    found = run(page, PARSE, [[text, unit] for text, unit, *_ in GRADING["parse"]])
    for (text, unit, value, rest), (got_value, got_rest) in zip(GRADING["parse"], found, strict=True):
        assert (got_value, got_rest) == (value if value is None else pytest.approx(value, rel=1e-12), rest), (text, unit)


def test_fixtures_of_the_grader(page: Page) -> None:
    questions = {question.id: question for question in load_bank(SAMPLE)}
    found = run(page, GRADE, [[as_data(questions[name]), variant, answer] for name, variant, answer, _ in GRADING["grade"]])
    for case, verdict in zip(GRADING["grade"], found, strict=True):
        assert {field: verdict[field] for field in case[3]} == case[3], case


def test_both_graders_agree_on_any_text(page: Page) -> None:
    """Random strings over what people type, and over all of Unicode."""
    draw = random.Random(4)
    pieces = [
        *"0123456789.,eE+-^*x×/ %$()_",
        "10^",
        "**",
        " per ",
        "1,000",
        "²",
        "⁻",
        "\u00a0",
        *units.ATOMS,
        *units.AMBIGUOUS,
        *units.SCALES,
    ]
    texts = ["".join(draw.choice(pieces) for _ in range(draw.randrange(1, 7))) for _ in range(2500)]
    texts += [
        "".join(chr(draw.choice([draw.randrange(32, 127), draw.randrange(1, 0xD7FF)])) for _ in range(draw.randrange(8)))
        for _ in range(500)
    ]
    texts += [f"{draw.uniform(1, 999):.3g} {unit}" for unit in units.ATOMS]
    asked = [draw.choice(["", "%", "params", "FLOP/s", "ms", "tokens/s", "$"]) for _ in texts]
    for text, unit, got in zip(texts, asked, run(page, PARSE, [[*pair] for pair in zip(texts, asked, strict=True)]), strict=True):
        assert got == read(text, unit), (text, unit)

    question = next(question for question in load_bank(SAMPLE) if question.id == "sample-kv-cache")
    own, data = variants(question), as_data(question)
    for text, verdict in zip(texts, run(page, GRADE, [[data, 1, text] for text in texts]), strict=True):
        expected = grade(question, own[1], text)
        assert (verdict["outcome"], verdict["say"], verdict["slip"]) == (expected.outcome, expected.say, expected.slip), repr(text)


def read(text: str, unit: str) -> list[Any]:
    try:
        quantity = units.parse(text, unit)
    except InputError as error:
        return [None, str(error)]
    return [pytest.approx(quantity.value, rel=1e-12), quantity.unit]


# The page -------------------------------------------------------------------------------------------------------------


def state(page: Page, name: str) -> str | None:
    return page.locator(f"#{name}").get_attribute("data-state")


def answer_mask(page: Page) -> None:
    """Answer one question right."""
    page.locator("#sample-mask").get_by_label("None: it computes every score").check()
    page.locator("#sample-mask").get_by_role("button", name="Check").click()


def test_a_session_by_keyboard(page: Page) -> None:
    """Wrong, the slip, again with other numbers, right; kept over a reload; forgotten on request."""
    item = page.locator("#sample-kv-cache")
    feedback = item.get_by_role("status")
    expect(item.locator(".sc-prompt div:visible")).to_contain_text("4,096 tokens")
    item.locator("input").focus()
    page.keyboard.type("268 MB")
    page.keyboard.press("Enter")
    expect(feedback).to_contain_text("✗ It is 2 times too low")
    expect(feedback).to_contain_text("Store both K and V.")
    assert state(page, "sample-kv-cache") == "missed"

    page.keyboard.press("Tab")  # Check
    page.keyboard.press("Tab")  # Try again
    expect(item.get_by_role("button", name="Try again")).to_be_focused()
    page.keyboard.press("Enter")
    expect(item.locator("input")).to_be_focused()
    expect(item.locator(".sc-prompt div:visible")).to_contain_text("8,192 tokens")
    expect(feedback).to_be_empty()
    page.keyboard.type("1.07")
    page.keyboard.press("Enter")
    expect(feedback).to_contain_text("✓ Right: 1.07 GB.")
    expect(feedback).to_contain_text("Two tensors a layer")
    expect(page.locator(".sc-count")).to_have_text("1 of 5 right")

    page.reload()
    assert state(page, "sample-kv-cache") == "right"
    expect(page.locator(".sc-count")).to_have_text("1 of 5 right")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Start over").press("Enter")
    expect(page.locator(".sc-count")).to_have_text("0 of 5 right")
    page.reload()
    assert state(page, "sample-kv-cache") == "new"


def test_what_cannot_be_read_is_asked_about_and_not_counted(page: Page) -> None:
    item = page.locator("#sample-kv-cache")
    item.locator("input").fill("2 s")
    item.get_by_role("button", name="Check").click()
    expect(item.get_by_role("status")).to_have_text("? '2 s' reads as s; the answer is asked for in GB.")
    assert state(page, "sample-kv-cache") == "new"


def test_options_are_shuffled_alike_until_a_retry(page: Page) -> None:
    item = page.locator("#sample-linear")
    order = item.locator(".sc-options label").all_inner_texts
    first = order()
    page.reload()
    assert order() == first
    seen = {tuple(first)}
    for _ in range(5):
        item.get_by_label("Bytes of the weights").check()
        item.get_by_role("button", name="Check").click()
        item.get_by_role("button", name="Try again").click()
        assert sorted(order()) == sorted(first)
        seen.add(tuple(order()))
    assert len(seen) > 1


def test_multi_gives_feedback_to_each_option_chosen_or_missed(page: Page) -> None:
    item = page.locator("#sample-linear")
    item.get_by_label("FLOPs of the projections").check()
    item.get_by_label("FLOPs of the scores").check()
    item.get_by_role("button", name="Check").click()
    feedback = item.get_by_role("status")
    expect(feedback).to_contain_text("3 of 4 options judged right.")
    expect(feedback).to_contain_text("One more row of context values a head.")
    expect(feedback).not_to_contain_text("Weights do not depend on tokens.")


def test_open_is_scored_by_its_rubric(page: Page) -> None:
    item = page.locator("#sample-flip")
    item.locator("textarea").fill("The scores are small at 512.")
    item.get_by_role("button", name="Compare with the rubric").click()
    point = item.get_by_label("Computes the crossover: 3,072 tokens")
    expect(point).to_be_focused()
    point.check()
    item.get_by_label("Says that projections").check()
    item.get_by_role("button", name="Score my answer").click()
    expect(item.get_by_role("status")).to_contain_text("✓ 3 of 4 points.")


def test_only_what_was_missed_is_retried(page: Page) -> None:
    retry = page.get_by_role("button", name="Retry what you missed")
    expect(retry).to_be_disabled()
    mask, linear = page.locator("#sample-mask"), page.locator("#sample-linear")
    answer_mask(page)
    linear.get_by_label("Bytes of the weights").check()
    linear.get_by_role("button", name="Check").click()
    retry.click()
    expect(mask.get_by_role("status")).to_contain_text("✓ Right.")
    expect(linear.get_by_role("status")).to_be_empty()
    expect(linear.locator("input").first).to_be_focused()


def test_progress_is_saved_and_loaded_and_a_foreign_file_changes_nothing(page: Page, tmp_path: Path) -> None:
    answer_mask(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save progress to a file").click()
    saved = tmp_path / "progress.json"
    download.value.save_as(saved)
    assert json.loads(saved.read_text())["items"] == {"sample-mask@1": {"right": True, "tries": 1, "variant": 0}}

    page.evaluate("localStorage.clear()")
    page.reload()
    assert state(page, "sample-mask") == "new"
    count, note, chooser = page.locator(".sc-count"), page.locator(".sc-note"), page.locator("input[type=file]")
    for bad in [
        "",
        "{",
        "[]",
        "null",
        '{"format": "self-check-progress", "version": 2, "items": {}}',
        saved.read_text().replace("true", '"<img>"'),
    ]:
        chooser.set_input_files({"name": "x.json", "mimeType": "application/json", "buffer": bad.encode()})
        expect(note).to_have_text("That file was not saved by this page; nothing was changed.")
        expect(count).to_have_text("0 of 5 right")
        note.evaluate("note => note.textContent = ''")
    chooser.set_input_files(saved)
    expect(note).to_have_text("Loaded 1 answer.")
    expect(count).to_have_text("1 of 5 right")
    assert state(page, "sample-mask") == "right"


def test_storage_with_something_else_in_it(page: Page) -> None:
    page.evaluate('localStorage.setItem(\'self-check/sample-mask@0\', \'{"right": true, "tries": 1, "variant": 0}\')')
    for stored in ["{", "[]", "null", '"<b>"', '{"right": 1, "tries": -1, "variant": 0}', '{"right": true, "tries": 1, "variant": 1e9}']:
        page.evaluate("stored => localStorage.setItem('self-check/sample-kv-cache@2', stored)", stored)
        page.reload()
        expect(page.locator("#sample-kv-cache .sc-prompt > div:visible")).to_have_count(1)
        assert state(page, "sample-mask") == "new", "the progress of another version counts for nothing"


@pytest.mark.parametrize(
    "broken",
    [
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('denied') }})",
        "Storage.prototype.setItem = () => { throw new Error('quota') }",
    ],
)
def test_without_storage_the_page_works_and_says_so(page: Page, broken: str) -> None:
    page.evaluate(f"() => {{ {broken} }}")
    answer_mask(page)
    expect(page.locator(".sc-count")).to_have_text("1 of 5 right")
    expect(page.locator(".sc-note")).to_have_text("This browser does not keep progress; it lasts until you leave the page.")


def test_mark_up_in_questions_and_answers_is_text(page: Page) -> None:
    expect(page.locator("#sample-mask .sc-prompt")).to_contain_text('<img src=x onerror="window.hacked=1">')
    item = page.locator("#sample-kv-cache")
    item.locator("input").fill("1 <img src=x onerror=window.hacked=1>")
    item.get_by_role("button", name="Check").click()
    expect(item.get_by_role("status")).to_contain_text("<img src=x onerror=window.hacked=1>")
    assert page.locator(".self-check img, .self-check b[onclick]").count() == 0
    assert page.evaluate("window.hacked") is None


def test_formulas_are_typeset_in_prompts_options_and_feedback(browser: Browser, site: Path) -> None:
    with opened(browser, site) as page:
        expect(page.locator("#sample-kv-cache .sc-prompt div:visible mjx-container")).to_have_count(1)
        expect(page.locator("#sample-mask label mjx-container")).to_have_count(1)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, theme: str) -> None:
    page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
    answer_mask(page)
    page.locator("#sample-kv-cache input").fill("1 GB")
    page.locator("#sample-kv-cache").get_by_role("button", name="Check").click()
    found = Axe().run(page, context="section.self-check", options={"preload": False})
    assert found.violations_count == 0, found.generate_report()


def test_it_fits_a_narrow_screen_and_prints_questions_then_answers(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    wide = "[...document.querySelectorAll('.self-check *')].filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML)"
    assert page.evaluate(wide) == []
    expect(page.locator(".sc-key").first).to_be_hidden()
    page.emulate_media(media="print")
    expect(page.locator(".sc-key-item[data-id=sample-kv-cache] div:visible")).to_have_text("0.537 GB")
    expect(page.locator(".sc-answer").first).to_be_hidden()


def test_without_javascript_answers_fold_out(browser: Browser, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "part" / "sample.html").as_uri())
    answer = page.locator("#sample-kv-cache details")
    expect(answer.get_by_text("Store both K and V.").first).to_be_hidden()
    answer.locator("summary").click()
    expect(answer.get_by_text("Store both K and V.").first).to_be_visible()
    assert page.locator(".sc-button").count() == 0
    context.close()


def test_the_scripts_stay_small() -> None:
    assert sum((ROOT / "assets" / name).stat().st_size for name in ("self-check.js", "self-check-grader.js")) < 40_000
