"""Running labs: one at a time, resumable, the sources untouched, and the site told whose outputs it shows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from napkinmath.errors import InputError
from workbook import ROOT, cli, labs, notebooks

GOOD = ["count = 6 * 7", "print(count)"]
BAD = ["ready = True", "\n".join(["a = 1", "b = 2", "c = 3", "d = 4", "raise ValueError('no such shape')"]), "print('never')"]


@pytest.fixture
def book(tmp_path: Path, own_home: Path) -> Path:
    """A repository in small: two labs, one of which fails, a source file and the requirements."""
    for name, sources in {"a/bad": BAD, "b/good": GOOD}.items():
        path = tmp_path / "labs" / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        notebook = new_notebook(cells=[new_markdown_cell("# Title"), *(new_code_cell(source) for source in sources)])
        notebook.metadata["napkinmath"] = {"machine": "the authors' machine", "date": "2026-01-01", "torch": "2"}
        nbformat.write(notebook, path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "package.py").write_text("x = 1\n")
    (tmp_path / "requirements.txt").write_text("torch==1\n")
    return tmp_path


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the labs that ran, in order, without a kernel; those called bad fail."""
    ran: list[str] = []

    def execute(path: Path) -> notebooks.Notebook:
        ran.append(path.stem)
        if path.stem == "bad":
            raise labs.LabError("code cell 2:\n    a = 1\n  ValueError: no")
        result = notebooks.normalised(nbformat.read(path, as_version=4), path.stem)
        result["metadata"]["napkinmath"] = {"machine": "here", "date": "2026-02-02", "torch": "2"}
        return result

    monkeypatch.setattr(labs, "execute", execute)
    return ran


def test_a_real_run_keeps_the_source_and_names_the_cell_that_failed(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = labs.chosen([], book)
    before = [path.read_bytes() for path in paths]
    failed = labs.run_all(paths, book)
    assert [path.read_bytes() for path in paths] == before
    assert list(failed) == ["a/bad"]
    lines = failed["a/bad"].splitlines()
    assert lines[0] == "code cell 2:"
    assert lines[-1].strip() == "ValueError: no such shape"
    assert len(lines) <= 8
    run = notebooks.read(labs.staged_notebook(book / "labs/b/good.ipynb", book))
    assert notebooks.code_cells(run)[1]["outputs"][0]["text"] == "42\n"
    assert run["metadata"]["napkinmath"]["torch"]
    assert not list(book.rglob("*.part"))


def test_a_second_run_repeats_only_what_failed(book: Path, executed: list[str]) -> None:
    labs.run_all(labs.chosen([], book), book)
    labs.run_all(labs.chosen([], book), book)
    assert executed == ["bad", "good", "bad"]


@pytest.mark.parametrize("change", ["src/package.py", "requirements.txt", "profile", "source", "tags"])
def test_a_run_is_dropped_when_what_it_depends_on_changes(book: Path, own_home: Path, executed: list[str], change: str) -> None:
    good = book / "labs/b/good.ipynb"
    labs.run_all([good], book)
    assert labs.staged_notebook(good, book) != good
    if change == "profile":
        own_home.mkdir(exist_ok=True)
        (own_home / "profile-cpu.json").write_text("{}")
    elif change in ("source", "tags"):
        notebook = nbformat.read(good, as_version=4)
        if change == "source":
            notebook.cells[1].source += " + 1"
        else:
            notebook.cells[1].metadata["tags"] = ["nbval-ignore-output"]
        nbformat.write(notebook, good)
    else:
        (book / change).write_text("changed")
    assert labs.staged_notebook(good, book) == good


def test_a_run_is_kept_when_only_recorded_outputs_change(book: Path, executed: list[str]) -> None:
    good = book / "labs/b/good.ipynb"
    labs.run_all([good], book)
    notebook = nbformat.read(good, as_version=4)
    notebook.cells[1].execution_count = 9
    nbformat.write(notebook, good)
    assert labs.staged_notebook(good, book) != good


def test_half_a_file_is_no_run(book: Path, executed: list[str]) -> None:
    good = book / "labs/b/good.ipynb"
    labs.run_all([good], book)
    labs.staged_notebook(good, book).write_text('{"cells": [')
    assert labs.staged_notebook(good, book) == good


def test_record_writes_the_source_in_normal_form(book: Path, executed: list[str]) -> None:
    good = book / "labs/b/good.ipynb"
    labs.run_all([good], book, record=True)
    text = good.read_text()
    assert text == notebooks.normalise_text(text, "good")
    assert notebooks.read(good)["metadata"]["napkinmath"] == {"machine": "here", "date": "2026-02-02", "torch": "2"}
    assert not labs.runs_folder(book).exists()


def test_an_unknown_lab_is_met_with_the_nearest(capsys: pytest.CaptureFixture[str], book: Path) -> None:
    with pytest.raises(InputError, match="'b/god' is unknown. Did you mean 'b/good'"):
        labs.chosen(["b/god"], book)
    assert cli.main(["labs", "no/such-lab"]) == 2
    assert "no/such-lab" in capsys.readouterr().err


def test_the_page_says_whose_outputs_it_shows(book: Path, executed: list[str]) -> None:
    good = book / "labs/b/good.ipynb"
    env = SimpleNamespace(found_docs={"labs/b/good", "book/index"}, doc2path=lambda name: str(book / f"{name}.ipynb"))
    app = SimpleNamespace(srcdir=str(book), env=env)

    def page() -> tuple[list[str], str]:
        outdated, source = labs._outdated_labs(app, env, set(), set(), set()), [good.read_text()]  # type: ignore[arg-type]
        labs._read_lab(app, "labs/b/good", source)
        return outdated, nbformat.reads(source[0], as_version=4).cells[1].source

    outdated, note = page()
    assert outdated == ["labs/b/good"]
    assert "the authors' machine, 2026-01-01" in note
    assert "make labs" in note
    assert page()[0] == []
    labs.run_all([good], book)
    outdated, note = page()
    assert outdated == ["labs/b/good"]
    assert "as it ran here: here, 2026-02-02" in note


@pytest.mark.parametrize("path", notebooks.lab_files(ROOT / "labs"), ids=lambda path: path.stem)
def test_recorded_labs_say_where_they_ran(path: Path) -> None:
    assert set(notebooks.read(path)["metadata"]["napkinmath"]) == {"machine", "date", "torch"}
