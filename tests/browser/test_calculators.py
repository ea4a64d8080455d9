"""Calculators in a browser: the same numbers as Python, by slider, box, selector, link and keyboard, from a file."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from napkinmath import units
from workbook.site.calculator import Calculator, Input, calculator, registry

from .conftest import Watched, assert_accessible

Open = Callable[..., Watched]
PAGE = "book/calculators.html"
NAMES = list(registry()[1])


def drawn(about: Input, pick: random.Random) -> float:
    """A random value of an input, in base units."""
    if about.choices or about.step:
        return pick.choice(about.stops()) * about.factor
    low, high = max(about.low, 1 if about.whole else 0.001), about.high
    value = math.exp(pick.uniform(math.log(low), math.log(high)))
    return (round(value) if about.whole else value) * about.factor


def draws(what: Calculator, count: int) -> list[dict[str, float]]:
    pick = random.Random(what.name)
    return [{name: drawn(about, pick) for name, about in what.inputs.items()} for _ in range(count)]


@pytest.fixture
def watched(open_page: Open, built_site: Path) -> Watched:
    return open_page((built_site / PAGE).as_uri())


def test_the_browser_computes_what_python_computes(watched: Watched) -> None:
    """1,000 random inputs of every calculator, every step, to 1e-9; in one page."""
    compute = "([name, rows]) => { const { compute } = document.getElementById(`calc-${name}`); return rows.map(compute); }"
    for name in NAMES:
        what = calculator(name)
        inputs = draws(what, 1000)
        in_browser = watched.page.evaluate(compute, [name, inputs])
        for values, answer in zip(inputs, in_browser, strict=True):
            expected = what.compute(values)
            wrong = {key: (answer[key], value) for key, value in expected.items() if not math.isclose(answer[key], value, rel_tol=1e-9)}
            assert answer.keys() == expected.keys()
            assert not wrong, (name, values)
    watched.assert_clean()


def test_quantities_are_written_as_in_python(watched: Watched) -> None:
    pick = random.Random(5)
    bases = ("B", "FLOP", "s", "$", "%", "", "params", "tokens/s", "FLOP/B", "requests/s")
    cases = [(10 ** pick.uniform(-9, 18), unit) for unit in bases for _ in range(60)] + [
        (float(n), unit) for unit in bases for n in (0, 1, 999, 1e6)
    ]
    texts = watched.page.evaluate("cases => cases.map(([value, unit]) => window.figures.fmt(value, unit))", cases)
    assert texts == [units.fmt(value, unit) for value, unit in cases]


def test_the_page_says_at_first_what_python_says(watched: Watched) -> None:
    for name in NAMES:
        what = calculator(name)
        values = what.compute({})
        told = watched.page.locator(f"#calc-{name} output").inner_text()
        if told != what.say(values):  # a tie in the last digit: Python rounds it to even, browsers up
            assert len(told) == len(what.say(values))


def test_a_slider_a_box_and_a_selector_change_the_answer(watched: Watched) -> None:
    page = watched.page
    root = page.locator("#calc-kv-cache")
    root.scroll_into_view_if_needed()
    said = root.locator("output")
    expect(said).to_contain_text("17.2 GB, 131 kB a token")
    root.locator("[data-slider=batch]").focus()
    page.keyboard.press("ArrowRight")
    expect(root.locator("[data-input=batch]")).to_have_value("24")
    expect(said).to_contain_text("24 sequences")
    expect(root.locator("[data-slider=batch]")).to_have_attribute("aria-valuetext", "24")
    root.locator("[data-input=context]").fill("1000")
    expect(said).to_contain_text("1,000 tokens")
    root.locator(".calc-preset").first.select_option(label="GPT-2")
    expect(root.locator("[data-input=n_layers]")).to_have_value("12")
    expect(root.locator("[data-step=token_bytes]")).to_have_text("36.9 kB")
    root.locator("[data-input=n_layers]").fill("13")
    expect(root.locator(".calc-preset").first).to_have_value("")  # no longer the model that was chosen
    root.locator(".calc-reset").click()
    expect(said).to_contain_text("17.2 GB, 131 kB a token")
    watched.assert_clean()


def test_a_number_outside_its_range_is_refused_and_said(watched: Watched) -> None:
    root = watched.page.locator("#calc-kv-cache")
    box = root.locator("[data-input=batch]")
    before = root.locator("output").inner_text()
    box.fill("0")
    expect(root.locator(".calc-said")).to_have_text("Batch: 1 to 4,096, whole.")
    assert root.locator("output").inner_text() == before
    box.blur()
    expect(box).to_have_value("16")


def test_a_link_brings_the_numbers_back(open_page: Open, built_site: Path) -> None:
    first = open_page((built_site / PAGE).as_uri())
    root = first.page.locator("#calc-quantization")
    root.locator("[data-input=bits]").fill("3")
    root.locator(".calc-over").select_option("group")
    first.page.wait_for_function("location.hash.includes('bits=3') && location.hash.includes('over=group')")
    answer = root.locator("output").inner_text()
    second = open_page(first.page.url)
    again = second.page.locator("#calc-quantization")
    expect(again.locator("output")).to_have_text(answer)
    expect(again.locator(".calc-over")).to_have_value("group")
    expect(again).to_be_in_viewport()
    for watched in (first, second):
        watched.assert_clean()


def test_the_formula_has_the_numbers_and_the_chart_follows(watched: Watched) -> None:
    page = watched.page
    root = page.locator("#calc-kv-cache")
    root.locator("figure.chart").scroll_into_view_if_needed()
    expect(root.locator("figure.chart")).to_have_attribute("data-drawn", "")
    expect(root.locator("[data-formula=kv_cache] mjx-container")).to_have_count(1)
    marked = "root => root.querySelector('figure').view.data('here')[0].x"
    assert root.evaluate(marked) == 8192
    root.locator("[data-input=context]").fill("4096")
    page.wait_for_function(f"({marked})(document.getElementById('calc-kv-cache')) === 4096")
    root.locator("summary", has_text="Every step").click()
    expect(root.locator(".calc-steps [data-formula=fits] mjx-container")).to_have_count(1)
    root.locator(".calc-over").select_option("batch")
    page.wait_for_function(
        f"({marked.replace('.view', '.view?').replace(')[0].x', ')?.[0].x')})(document.getElementById('calc-kv-cache')) === 16"
    )
    root.locator("summary", has_text="The data").click()
    expect(root.locator("thead th").first).to_have_text("Batch")
    watched.assert_clean()


def test_without_scripts_the_default_case_is_worked(browser: object, built_site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)  # type: ignore[attr-defined]
    page: Page = context.new_page()
    page.goto((built_site / PAGE).as_uri())
    root = page.locator("#calc-kv-cache")
    expect(root.locator("output")).to_contain_text("17.2 GB, 131 kB a token")
    expect(root.locator("noscript p, p", has_text="Worked for").first).to_contain_text("KV heads 8")
    expect(root.locator(".calc-inputs")).to_be_hidden()
    expect(root.locator(".chart-static svg")).to_be_visible()
    expect(root.locator("div.math").first).to_contain_text("n_{kv}")
    context.close()


def test_open_formulas_and_data_are_open_to_everyone(watched: Watched) -> None:
    root = watched.page.locator("#calc-roofline")
    root.locator("figure.chart").scroll_into_view_if_needed()
    expect(root.locator("figure.chart")).to_have_attribute("data-drawn", "")
    for summary in root.locator("summary").all():
        summary.click()
    expect(root.locator(".calc-steps [data-formula=ridge] mjx-container")).to_have_count(1)
    assert_accessible(watched.page, context="#calc-roofline")
