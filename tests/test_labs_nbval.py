"""What nbval holds the labs to: it notices a changed output, and every lab gives it enough to compare."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from workbook import ROOT
from workbook.notebooks import IGNORED, code_cells, has_tag, lab_files, needed_cells, read

LABS = lab_files(ROOT / "labs")
LEAST_COMPARED = 6

pytestmark = pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)


def compared(notebook: dict) -> list[int]:
    """Positions of the cells whose output nbval compares: they have one, and no tag lets them off."""
    cells = notebook["cells"]
    return [i for i, cell in enumerate(cells) if cell["cell_type"] == "code" and cell["outputs"] and not has_tag(cell, IGNORED)]


def test_six_outputs_or_more_are_compared(path: Path) -> None:
    assert len(compared(read(path))) >= LEAST_COMPARED


def test_every_cell_was_executed_without_an_error(path: Path) -> None:
    cells = code_cells(read(path))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]


def test_outputs_are_let_off_by_tag_alone(path: Path) -> None:
    """A comment does the same for nbval, but neither the site nor the tests here would see it."""
    text = path.read_text(encoding="utf-8")
    assert "NBVAL_" not in text
    assert "nbval-skip" not in text


def test_a_corrupted_output_is_noticed(path: Path, tmp_path: Path) -> None:
    """The lab's cheapest compared output, with the cells that it needs: it passes as recorded, and fails with one character more."""
    notebook = nbformat.read(path, as_version=4)
    slices = {
        i: needed_cells(notebook, i) for i in compared(notebook) if any(o["output_type"] == "stream" for o in notebook.cells[i].outputs)
    }
    cheapest = min(slices, key=lambda i: len(slices[i]))
    for i in slices[cheapest]:
        notebook.cells[i].outputs = []
        notebook.cells[i].metadata["tags"] = [IGNORED]
    stream = next(o for o in notebook.cells[cheapest].outputs if o["output_type"] == "stream")
    notebook.cells = [notebook.cells[i] for i in (*slices[cheapest], cheapest)]
    nbformat.write(notebook, tmp_path / "recorded.ipynb")
    stream["text"] = f"{stream['text'].rstrip()}0\n"
    nbformat.write(notebook, tmp_path / "corrupted.ipynb")
    (tmp_path / "questions").symlink_to(ROOT / "questions")  # check() looks for the bank in or above the working directory
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run([*command, "recorded.ipynb", "corrupted.ipynb"], cwd=tmp_path, capture_output=True, text=True)
    assert f"1 failed, {2 * len(notebook.cells) - 1} passed" in done.stdout, done.stdout
    assert f"corrupted.ipynb::Cell {len(notebook.cells) - 1}" in done.stdout
