"""The comparison in a browser: the same rows as :func:`napkinmath.compare`, and a page that answers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

import napkinmath
from napkinmath import device
from workbook.site import compare as comparison

from .conftest import Watched, assert_accessible

Open = Callable[..., Watched]
PAGE = "book/compare.html"
COLUMNS = {
    "low": "low_s", "p50": "p50_s", "high": "high_s", "memory": "memory_bytes", "perSecond": "per_s", "usd": "usd_per_1k", "binds": "binds",
    "fits": "fits",
}  # fmt: skip


@pytest.fixture
def watched(open_page: Open, built_site: Path) -> Watched:
    return open_page((built_site / PAGE).as_uri())


def picks() -> list[dict[str, object]]:
    """Random choices: every task several times, lengths and limits included."""
    pick = random.Random(3)
    chosen = []
    for task in comparison.data()["tasks"] * 6:
        dtype = pick.choice(["fp32", "bf16", "fp16"])
        machines = [sheet["name"] for sheet in comparison.data()["devices"] if dtype in sheet["peaks"]]
        names = pick.sample(list(task["presets"]), min(2, len(task["presets"])))
        longest = min(task["presets"][name]["longest"] for name in names)
        limits = {"latency": pick.choice([0, 0.01]), "memory": pick.choice([0, 24e9]), "price": pick.choice([0, 0.01])}
        chosen.append(
            {
                "task": task["name"],
                "dtype": dtype,
                "batch": pick.choice([1, 2, 7, 64]),
                "length": pick.randint(1, longest),
                "presets": names,
                "devices": pick.sample(machines, 2),
                "limits": limits,
            }
        )
    return chosen


def in_python(choice: dict) -> list[dict]:
    task = comparison.TASKS[choice["task"]]
    limits = choice["limits"]
    asked = napkinmath.Constraints(
        latency_s=limits["latency"] or None, memory_bytes=limits["memory"] or None, usd_per_1k=limits["price"] or None
    )
    sizes = {task.size: choice["length"]} if task.size else {}
    frame = napkinmath.compare(
        choice["presets"], choice["devices"], choice["batch"], dtype=choice["dtype"], mode=task.mode, constraints=asked, **sizes
    )
    return frame.to_dict("records")


def test_the_browser_ranks_as_python_does(watched: Watched) -> None:
    choices = picks()
    answers = watched.page.evaluate("choices => choices.map(document.getElementById('comparison').compare)", choices)
    for choice, rows in zip(choices, answers, strict=True):
        expected = in_python(choice)
        assert [(row["preset"], row["device"]) for row in rows] == [(row["preset"], row["device"]) for row in expected], choice
        for row, other in zip(rows, expected, strict=True):
            for mine, theirs in COLUMNS.items():
                wanted = other[theirs]
                if isinstance(wanted, float) and math.isnan(wanted):
                    assert row[mine] is None or math.isnan(row[mine])
                elif isinstance(wanted, float):
                    assert row[mine] == pytest.approx(wanted, rel=1e-9), (choice, mine)
                else:
                    assert row[mine] == wanted, (choice, mine)
            assert ", ".join(row["fails"]) == other["fails"]
    watched.assert_clean()


def test_the_page_ranks_explains_and_comes_back_from_a_link(open_page: Open, built_site: Path) -> None:
    first = open_page((built_site / PAGE).as_uri())
    root = first.page.locator("#comparison")
    expect(root.locator("output")).to_contain_text("of 15 fit. Cheapest: ")
    expect(root.locator(".flips li").first).to_be_visible()
    before = root.locator("tbody").first.inner_text()
    root.locator("[data-limit=latency]").fill("0.5")
    expect(root.locator("tbody").first).to_contain_text("no: latency")
    root.locator("[data-choice=task]").select_option("write-text")
    root.locator("[data-choice=length]").fill("8192")
    expect(root.locator("output")).to_contain_text("None of the 9 fits.")
    expect(root.locator(".flips")).to_contain_text("were fast enough")
    first.page.wait_for_function("location.hash.includes('length=8192')")
    second = open_page(first.page.url)
    expect(second.page.locator("#comparison output")).to_have_text(root.locator("output").inner_text())
    expect(second.page.locator("#comparison tbody").first).to_have_text(root.locator("tbody").first.inner_text(), use_inner_text=True)
    assert before != root.locator("tbody").first.inner_text()
    for watched in (first, second):
        watched.assert_clean()


def test_a_device_without_the_precision_and_a_context_that_is_too_long_say_so(watched: Watched) -> None:
    root = watched.page.locator("#comparison")
    root.locator("[data-choice=dtype]").select_option("fp8")
    expect(root.locator("tbody").first).to_contain_text("no: no fp8")
    assert "fp8" not in device("a100-80gb").peaks
    root.locator("[data-choice=dtype]").select_option("bf16")
    root.locator("[data-choice=task]").select_option("read-text")
    root.locator("[data-choice=length]").fill("512")
    expect(root.locator("output")).to_contain_text("fit")
    assert_accessible(watched.page, context="#comparison")
    watched.assert_clean()


def test_most_presets_are_offered_and_the_others_named(watched: Watched) -> None:
    assert len(comparison.left_out()) <= 5
    for name in comparison.left_out():
        expect(watched.page.locator("#comparison .calc-ignores")).to_contain_text(name)
