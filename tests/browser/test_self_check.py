"""The self-check in a real browser, from ``file://``: the grader's fixtures, a session by keyboard, storage, hostile mark-up, print."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from napkinmath import units
from napkinmath.errors import InputError
from workbook import ROOT
from workbook.questions import directive, load_bank, progress, review, web
from workbook.questions.grader import grade
from workbook.questions.variants import Variant, variants

from .conftest import assert_accessible

FIXTURES = ROOT / "tests" / "fixtures"
SAMPLE = FIXTURES / "questions" / "sample.yml"
GRADING = json.loads((FIXTURES / "grading.json").read_text())
SCHEDULE = json.loads((FIXTURES / "schedule.json").read_text())
ASKED = 8  # of the sample bank; there is no profile for the ninth, which is about this machine

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
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(root), str(root / "_build")]
    subprocess.run(command, check=True, env=os.environ | {"NAPKINMATH_HOME": str(root / "home")})
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

GRADE = """([question, variant, answer]) => {
  const {logRatio, ...verdict} = grader.grade(question, variant, answer);
  return {...verdict, log_ratio: logRatio};
}"""
PARSE = """([text, unit]) => {
  try { const {value, unit: base} = grader.parse(text, unit); return [value, base]; } catch (error) { return [null, error.message]; }
}"""


def run(page: Page, script: str, cases: list[Any]) -> list[Any]:
    table = "JSON.parse(document.querySelector('script.sc-table').textContent)"
    found: list[Any] = page.evaluate(
        f"(cases) => {{ const grader = window.selfCheck.makeGrader({table}); return cases.map({script}); }}", cases
    )
    return found


def run_on(page: Page, data: dict[str, Any], answers: list[str]) -> list[Any]:
    """Grade many answers to variant 1 of one question, whose data goes to the browser once."""
    page.evaluate("data => { window.asked = data; }", data)
    return run(page, f"answer => ({GRADE})([window.asked, 1, answer])", answers)


def as_data(question: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(web.data(question, variants(question))))
    return data


def test_fixtures_of_the_parser(page: Page) -> None:
    found = run(page, PARSE, [[text, unit] for text, unit, *_ in GRADING["parse"]])
    for (text, unit, value, rest), (got_value, got_rest) in zip(GRADING["parse"], found, strict=True):
        assert (got_value, got_rest) == (value if value is None else pytest.approx(value, rel=1e-12), rest), (text, unit)


def test_fixtures_of_the_grader(page: Page) -> None:
    questions = {question.id: question for question in load_bank(SAMPLE)}
    data = {name: as_data(question) for name, question in questions.items() if name != "sample-machine"}
    found = run(page, GRADE, [[data[name], variant, answer] for name, variant, answer, _ in GRADING["grade"]])
    for case, verdict in zip(GRADING["grade"], found, strict=True):
        assert {field: verdict[field] for field in case[3]} == case[3], case


def test_both_graders_agree_on_any_text(page: Page) -> None:
    """Random strings over what people type, and over all of Unicode."""
    draw = random.Random(4)
    wanted = 10_000
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
    texts = ["".join(draw.choice(pieces) for _ in range(draw.randrange(1, 7))) for _ in range(wanted - 2500)]
    texts += [
        "".join(chr(draw.choice([draw.randrange(32, 127), draw.randrange(1, 0xD7FF)])) for _ in range(draw.randrange(8)))
        for _ in range(2500)
    ]
    assert len(texts) == wanted
    texts += [f"{draw.uniform(1, 999):.3g} {unit}" for unit in units.ATOMS]
    asked = [draw.choice(["", "%", "params", "FLOP/s", "ms", "tokens/s", "$"]) for _ in texts]
    for text, unit, got in zip(texts, asked, run(page, PARSE, [[*pair] for pair in zip(texts, asked, strict=True)]), strict=True):
        assert got == read(text, unit), (text, unit)

    question = next(question for question in load_bank(SAMPLE) if question.id == "sample-kv-cache")
    own, data = variants(question), as_data(question)
    for text, verdict in zip(texts, run_on(page, data, texts), strict=True):
        expected = grade(question, own[1], text)
        assert (verdict["outcome"], verdict["say"], verdict["slip"]) == (expected.outcome, expected.say, expected.slip), repr(text)
        assert verdict["log_ratio"] == (None if expected.log_ratio is None else pytest.approx(expected.log_ratio, abs=0.0011)), repr(text)


def test_both_graders_agree_on_any_choice(page: Page) -> None:
    """Random options, orders and points, whatever their number."""
    draw = random.Random(5)
    questions = [question for question in load_bank(SAMPLE) if question.kind != "numeric"]
    cases = [(draw.choice(questions), [draw.randrange(5) for _ in range(draw.randrange(6))]) for _ in range(500)]
    cases += [(question, draw.sample(range(4), 4)) for question in questions if question.kind == "order" for _ in range(50)]
    data = {question.id: as_data(question) for question in questions}
    for (question, answer), verdict in zip(cases, run(page, GRADE, [[data[q.id], 0, answer] for q, answer in cases]), strict=True):
        expected = dataclasses.asdict(grade(question, Variant(0, "?"), answer))
        assert verdict == {**expected, "show": list(expected["show"])}, (question.id, answer)


def test_fixtures_of_the_schedule(page: Page) -> None:
    """The cases of ``tests/workbook/questions/test_schedule.py``."""
    found = page.evaluate(
        """given => {
          const progress = new selfCheck.Progress(JSON.parse(document.querySelector("script.sc-table").textContent));
          const record = (log) => ({right: false, tries: 0, variant: 0, log});
          const answered = (log, day, right) => progress.graded(record(log), {right, logRatio: 0.25}, day).log;
          const {day, logs} = given.choose;
          return {
            due: given.due.map(([log]) => [log, progress.due(log).box, progress.due(log).day]),
            graded: given.graded.map(([log, day, right]) => [log, day, right, answered(log, day, right)]),
            choose: Object.fromEntries(["due", "new", "missed", "all"].map(when => [when, progress.choose(logs, day, when)])),
            merge: given.merge.map(([one, other]) => selfCheck.merged(one, other)),
            refused: given.refused.map(text => { try { progress.load(text); return "loaded"; } catch (error) { return error.message; } }),
            kept: Object.keys(progress.all()),
          };
        }""",
        SCHEDULE,
    )
    assert found["due"] == SCHEDULE["due"]
    assert found["graded"] == SCHEDULE["graded"]
    assert found["choose"] == {when: SCHEDULE["choose"][when] for when in ("due", "new", "missed", "all")}
    assert found["merge"] == [both for *_, both in SCHEDULE["merge"]]
    assert set(found["refused"]) == set(progress.SAYS.values())
    assert found["kept"] == []


def read(text: str, unit: str) -> list[Any]:
    try:
        quantity = units.parse(text, unit)
    except InputError as error:
        return [None, str(error)]
    return [pytest.approx(quantity.value, rel=1e-12), quantity.unit]


# The page -------------------------------------------------------------------------------------------------------------


def state(page: Page, name: str) -> str | None:
    return page.locator(f"#{name}").get_attribute("data-state")


def today(page: Page) -> int:
    number: int = page.evaluate("selfCheck.Progress.today()")
    return number


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
    expect(page.locator(".sc-count")).to_have_text(f"1 of {ASKED} right")

    page.reload()
    assert state(page, "sample-kv-cache") == "right"
    expect(page.locator(".sc-count")).to_have_text(f"1 of {ASKED} right")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Start over").press("Enter")
    expect(page.locator(".sc-count")).to_have_text(f"0 of {ASKED} right")
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


def test_an_order_is_made_by_keyboard(page: Page) -> None:
    item = page.locator("#sample-sizes")
    lines = item.locator(".sc-order > li > span:first-child")
    first = lines.all_inner_texts()
    assert first != sorted(first, key=first.index) or len(set(first)) == 4
    item.get_by_role("button", name="Check").click()
    expect(item.locator(".sc-feedback")).to_contain_text("pairs are in the right order.")
    wanted = ["DistilBERT", "BERT-base", "BERT-large", "Llama-3-8B"]
    for place, name in enumerate(wanted):
        up = item.get_by_role("button", name=re.compile(f"Move up: {name}"))
        for _ in range(4):
            at = next(n for n, text in enumerate(lines.all_inner_texts()) if text.startswith(name))
            if at == place:
                break
            up.focus()
            page.keyboard.press("ArrowUp" if at % 2 else "Enter")
            expect(item.locator(".sc-hidden[role=status]")).to_contain_text(f"place {at} of 4")
            beside = item.get_by_role("button", name=re.compile(f"Move down: {name}")) if at == 1 else up
            expect(beside).to_be_focused()  # the focus stays with the line, on its other button at the end
    assert [text.split(",")[0].split(" ")[0] for text in lines.all_inner_texts()] == wanted
    item.get_by_role("button", name="Check").press("Enter")
    expect(item.locator(".sc-feedback")).to_contain_text("✓ Right.")
    expect(item.locator(".sc-feedback")).to_contain_text("wider, and twice as deep")


def test_a_retry_never_shows_the_right_order(page: Page) -> None:
    item = page.locator("#sample-sizes")
    for _ in range(12):
        order = [int(line.get_attribute("data-n") or "") for line in item.locator(".sc-order > li").all()]
        assert order != [0, 1, 2, 3]
        item.get_by_role("button", name="Check").click()
        item.get_by_role("button", name="Try again").click()


def test_a_part_of_a_thing_is_asked_about(page: Page) -> None:
    item = page.locator("#sample-replicas")
    item.locator("input").fill("9.5")
    item.get_by_role("button", name="Check").click()
    expect(item.get_by_role("status")).to_contain_text("? '9.5' is not a whole number")
    assert state(page, "sample-replicas") == "new"


def test_an_emptied_box_takes_its_message_along(page: Page) -> None:
    item = page.locator("#sample-kv-cache")
    item.locator("input").fill("2 s")
    item.get_by_role("button", name="Check").click()
    item.locator("input").fill("2")
    expect(item.get_by_role("status")).to_contain_text("reads as s")
    item.locator("input").fill("")
    expect(item.get_by_role("status")).to_be_empty()


def test_words_are_kept_over_a_reload_and_not_over_a_retry(page: Page) -> None:
    words = "The <b>scores</b> are small at 512."
    text = page.locator("#sample-flip textarea")
    text.fill(words)
    page.reload()
    expect(text).to_have_value(words)
    assert state(page, "sample-flip") == "new"
    page.locator("#sample-flip summary").click()
    page.locator("#sample-flip").get_by_role("button", name="Score my answer").click()
    page.reload()
    expect(text).to_have_value(words)
    page.locator("#sample-flip").get_by_role("button", name="Try again").click()
    expect(text).to_have_value("")


def test_a_miss_after_a_right_answer_leaves_it_right_and_the_first_of_a_day_counts(page: Page) -> None:
    item = page.locator("#sample-kv-cache")
    for typed in ("1 B", "1.07", "1 B"):
        item.locator("input").fill(typed)
        if typed == "1.07":
            item.get_by_role("button", name="Try again").click()
            item.locator("input").fill(typed)
        item.get_by_role("button", name="Check").click()
    assert state(page, "sample-kv-cache") == "right"
    expect(page.locator(".sc-count")).to_have_text(f"1 of {ASKED} right")
    expect(page.get_by_role("button", name="Retry what you missed")).to_be_disabled()
    record = page.evaluate("JSON.parse(localStorage.getItem('self-check/sample-kv-cache@2'))")
    assert record == {"right": True, "tries": 3, "variant": 1, "log": [[today(page), False, -8.73]]}


def test_a_question_about_this_machine_says_why_it_is_skipped(page: Page) -> None:
    skipped = page.locator("#sample-machine")
    expect(skipped).to_contain_text("skipped")
    expect(skipped).to_contain_text("'napkinmath calibrate' makes one in a minute.")
    assert skipped.locator("input, button").count() == 0


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
    record = {"right": True, "tries": 1, "variant": 0, "log": [[today(page), True, None]]}
    assert json.loads(saved.read_text())["items"] == {"sample-mask@1": record}
    assert list(progress.load(saved.read_text())) == ["sample-mask@1"], "the terminal reads it"

    page.evaluate("localStorage.clear()")
    page.reload()
    assert state(page, "sample-mask") == "new"
    count, note, chooser = page.locator(".sc-count"), page.locator(".sc-note"), page.locator("input[type=file]")
    for bad in [
        "",
        "{",
        "[]",
        "null",
        '{"format": "self-check-progress", "version": 1, "items": {}}',
        saved.read_text().replace("true", '"<img>"'),
    ]:
        chooser.set_input_files({"name": "x.json", "mimeType": "application/json", "buffer": bad.encode()})
        expect(note).to_have_text(progress.SAYS["version" if '"version": 1' in bad else "foreign"])
        expect(count).to_have_text(f"0 of {ASKED} right")
        note.evaluate("note => note.textContent = ''")
    chooser.set_input_files(saved)
    expect(note).to_have_text("Loaded 1 answer.")
    expect(count).to_have_text(f"1 of {ASKED} right")
    assert state(page, "sample-mask") == "right"


def test_storage_with_something_else_in_it(page: Page) -> None:
    page.evaluate('localStorage.setItem(\'self-check/sample-mask@0\', \'{"right": true, "tries": 1, "variant": 0, "log": []}\')')
    counts = '"tries": 1, "variant": 0'
    logs = ["[]", "1", "[[1, true]]", "[[2, true, null], [1, true, null]]"]
    records = [f'{{"right": true, {counts}, "log": {log}}}' for log in logs] + [f'{{"right": 1, {counts}, "log": []}}']
    records += ['{"right": true, "tries": 1, "variant": 0}', '{"right": true, "tries": 1, "variant": 1e9, "log": []}']
    for stored in ["{", "[]", "null", '"<b>"', *records]:
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
    expect(page.locator(".sc-count")).to_have_text(f"1 of {ASKED} right")
    expect(page.locator(".sc-note")).to_have_text("This browser does not keep progress; it lasts until you leave the page.")


def test_mark_up_in_questions_and_answers_is_text(page: Page) -> None:
    expect(page.locator("#sample-mask .sc-prompt")).to_contain_text('<img src=x onerror="window.hacked=1">')
    item = page.locator("#sample-kv-cache")
    item.locator("input").fill("1 <img src=x onerror=window.hacked=1>")
    item.get_by_role("button", name="Check").click()
    expect(item.get_by_role("status")).to_contain_text("<img src=x onerror=window.hacked=1>")
    assert page.locator(".self-check img, .self-check b[onclick], .self-check .sc-item script").count() == 0
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
    assert_accessible(page, context="section.self-check")


def test_it_fits_a_narrow_screen_and_prints_questions_then_answers(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    wide = "[...document.querySelectorAll('.self-check *')].filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML)"
    assert page.evaluate(wide) == []
    expect(page.locator(".sc-key").first).to_be_hidden()
    page.emulate_media(media="print")
    expect(page.locator(".sc-key-item[data-id=sample-kv-cache] div:visible")).to_have_text("0.537 GB")
    expect(page.locator(".sc-key-item[data-id=sample-sizes]")).to_contain_text("1. DistilBERT")
    expect(page.locator(".sc-answer").first).to_be_hidden()
    expect(page.locator(".sc-moves").first).to_be_hidden()


def test_without_javascript_answers_fold_out(browser: Browser, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "part" / "sample.html").as_uri())
    answer = page.locator("#sample-kv-cache details")
    expect(answer.get_by_text("Store both K and V.").first).to_be_hidden()
    answer.locator("summary").click()
    expect(answer.get_by_text("Store both K and V.").first).to_be_visible()
    assert page.locator(".sc-button:visible").count() == 0
    order = page.locator("#sample-sizes")
    assert order.locator(".sc-order > li").count() == 4
    order.locator("summary").click()
    expect(order.locator("details li").first).to_contain_text("DistilBERT. It has 66.4 M params")
    context.close()


def test_the_scripts_stay_small() -> None:
    """All of them together, the review page's too, as they are read and not minified."""
    scripts = {*directive.SCRIPTS, *review.SCRIPTS}
    assert len(scripts) == 4
    assert sum((ROOT / "assets" / name).stat().st_size for name in scripts) < 40_000
