"""The book's sources: a chapter is one stem in three folders, no number with a unit is typed by hand, every lab was run."""

from __future__ import annotations

import itertools
from pathlib import Path

import nbformat
import pytest
import yaml

from workbook import ROOT
from workbook.prose import Finding, bare_numbers
from workbook.rounds.cli import problems
from workbook.rounds.scenario import load

PAGES = sorted((ROOT / "book").rglob("*.md"))
ROUNDS = [path for path in PAGES if path.parent == ROOT / "book" / "rounds"]
CHAPTERS = [path for path in PAGES if path.parent != ROOT / "book" and path not in ROUNDS]
LABS = sorted(path for path in (ROOT / "labs").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_is_a_book() -> None:
    assert CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_a_chapter_has_its_lab_and_its_bank_and_asks_it(chapter: Path) -> None:
    stem = chapter.relative_to(ROOT / "book").with_suffix("")
    assert (ROOT / "labs" / stem.with_suffix(".ipynb")).exists()
    assert (ROOT / "questions" / stem.with_suffix(".yml")).exists()
    assert "```{self-check}" in chapter.read_text()


@pytest.mark.parametrize("page", ROUNDS, ids=name)
def test_a_round_has_its_scenario_and_its_test_and_shows_every_part(page: Path) -> None:
    assert not problems(load(ROOT / "questions" / "rounds" / f"{page.stem}.yml"), ROOT / "questions" / "rounds" / f"{page.stem}.yml")
    assert (ROOT / "tests" / "rounds" / f"test_{page.stem.replace('-', '_')}.py").exists()
    shown = [line.split()[1] for line in page.read_text().splitlines() if line.startswith("```{round}")]
    assert shown == ["define", "prompt", "requirements", "comparison", "estimates", "samples"]


@pytest.mark.parametrize("lab", LABS, ids=name)
def test_a_lab_belongs_to_a_chapter(lab: Path) -> None:
    assert (ROOT / "book" / lab.relative_to(ROOT / "labs").with_suffix(".md")).exists()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_number_with_a_unit_is_typed_by_hand(page: Path) -> None:
    assert not report(page, bare_numbers(page.read_text()))


@pytest.mark.parametrize("lab", LABS, ids=name)
def test_no_number_with_a_unit_is_typed_by_hand_in_a_lab(lab: Path) -> None:
    cells = nbformat.read(lab, as_version=4).cells
    found = [
        (number, finding) for number, cell in enumerate(cells, 1) if cell.cell_type == "markdown" for finding in bare_numbers(cell.source)
    ]
    assert not [f"{name(lab)}, cell {number}: {finding.text!r} in {finding.sentence!r}" for number, finding in found]


@pytest.mark.parametrize("lab", LABS, ids=name)
def test_every_code_cell_was_executed_in_order(lab: Path) -> None:
    cells = [cell for cell in nbformat.read(lab, as_version=4).cells if cell.cell_type == "code" and cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_every_page_is_in_the_table_of_contents() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [entry for part in toc["parts"] for entry in part["chapters"]]
    listed = {
        toc["root"],
        *(entry["file"] for entry in chapters),
        *(section["file"] for entry in chapters for section in entry.get("sections", ())),
    }
    assert listed == {path.relative_to(ROOT).with_suffix("").as_posix() for path in [*PAGES, *LABS]}


def report(page: Path, findings: list[Finding]) -> list[str]:
    return [f"{name(page)}:{finding.line}: {finding.text!r} in {finding.sentence!r}" for finding in findings]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_column_of_a_table_has_a_heading(page: Path) -> None:
    """A screen reader announces the heading with each cell; the browser tests would find an empty one too, minutes later."""
    lines = page.read_text(encoding="utf-8").splitlines()
    headings = [line for line, rule in itertools.pairwise(lines) if rule.startswith(("|--", "| --"))]
    assert not [line for line in headings if any(not cell.strip() for cell in line.strip().strip("|").split("|"))]
