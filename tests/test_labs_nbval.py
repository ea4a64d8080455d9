"""What nbval holds the labs to: it notices a changed output, and every lab gives it enough to compare."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbFile

from workbook import ROOT
from workbook.notebooks import IGNORED, Cell, code_cells, has_tag, lab_files, needed_cells, read

LABS = lab_files(ROOT / "labs")
LEAST_COMPARED = 6

each_lab = pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)


def compared(cells: list[Cell]) -> list[int]:
    """Positions of the cells whose output nbval compares: they have one, and no tag lets them off."""
    return [i for i, cell in enumerate(cells) if cell["cell_type"] == "code" and cell["outputs"] and not has_tag(cell, IGNORED)]


def corrupt(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs with one character more in the first."""
    changed = copy.deepcopy(outputs)
    text = changed[0]["data"] if "data" in changed[0] else changed[0]
    key = "text/plain" if "data" in changed[0] else "text"
    text[key] = f"{text[key].rstrip()}0\n"
    return changed


@each_lab
def test_six_outputs_or_more_are_compared(path: Path) -> None:
    assert len(compared(read(path)["cells"])) >= LEAST_COMPARED


@each_lab
def test_every_cell_was_executed_without_an_error(path: Path) -> None:
    cells = code_cells(read(path))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]


@each_lab
def test_outputs_are_let_off_by_tag_alone(path: Path) -> None:
    """A comment does the same for nbval, but neither the site nor the tests here would see it."""
    text = path.read_text(encoding="utf-8")
    assert "NBVAL_" not in text
    assert "nbval-skip" not in text


@each_lab
def test_one_character_more_is_another_output(path: Path, request: pytest.FixtureRequest) -> None:
    """Every compared cell, in nbval's own comparison: it takes the recorded outputs and refuses them with one character more."""
    items = list(IPyNbFile.from_parent(request.session, path=path).collect())
    code = code_cells(read(path))
    assert len(items) == len(code)
    for position in compared(code):
        item = items[position]
        assert item.options["check"]
        outputs = item.cell.outputs
        assert item.compare_outputs(outputs, outputs)
        assert not item.compare_outputs(outputs, corrupt(outputs))


def test_a_corrupted_output_fails_the_run(tmp_path: Path) -> None:
    """From end to end, with the compared cell that needs the fewest others: it passes as recorded, then it does not."""
    slices = {(path, i): needed_cells(nb, i) for path in LABS for nb in (read(path),) for i in compared(nb["cells"])}
    path, cheapest = min(slices, key=lambda found: len(slices[found]))
    notebook = nbformat.read(path, as_version=4)
    before = [notebook.cells[i] for i in slices[path, cheapest]]
    for cell in before:
        cell.outputs, cell.metadata["tags"] = [], [IGNORED]
    recorded = notebook.cells[cheapest]
    corrupted = copy.deepcopy(recorded)
    corrupted.update(id="corrupted", outputs=corrupt(recorded.outputs))
    notebook.cells = [*before, recorded, corrupted]
    nbformat.write(notebook, tmp_path / "lab.ipynb")
    (tmp_path / "questions").symlink_to(ROOT / "questions")  # check() looks for the bank in or above the working directory
    command = [sys.executable, "-m", "pytest", "-p", "nbval.plugin", "--nbval", "--nbval-current-env", "-q", "--rootdir", str(tmp_path)]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([*command, "-p", "no:cacheprovider", "lab.ipynb"], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert f"1 failed, {len(notebook.cells) - 1} passed" in done.stdout, done.stdout
    assert f"lab.ipynb::Cell {len(notebook.cells) - 1}" in done.stdout
