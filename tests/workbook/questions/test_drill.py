"""``workbook drill``: a session typed at the terminal, interrupted, taken up again; its progress file is the website's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from workbook.cli import main
from workbook.questions import progress, schedule
from workbook.questions.drill import readable
from workbook.questions.progress import Record
from workbook.questions.schedule import Answered

SAMPLE = (Path(__file__).parents[2] / "fixtures" / "questions" / "sample.yml").read_text()
Type = Callable[..., str]


@pytest.fixture
def type_in(repository: Callable[[str], Path], own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Run ``workbook drill`` with options, typing lines; returns what was printed."""
    repository(SAMPLE)
    monkeypatch.setenv("COLUMNS", "200")

    def type_in(*lines: str, options: str = "", code: int = 0) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        assert main(["drill", *options.split()]) == code
        captured = capsys.readouterr()
        return captured.out + captured.err

    return type_in


def records() -> dict[str, Record]:
    return progress.read_file(progress.path())


def test_a_session_with_every_kind(type_in: Type) -> None:
    said = type_in("268 MB", "b", "a b d", "", "1, 2", "skip", "acbd", "b", "9.5", "10", "n", options="--when all")
    for part in [
        "✗ It is 2 times too low",
        "Store both K and V.",
        "Computed: 0.537 GB",
        "✗ Not this one.",
        "b) Half of the scores are useful",
        "Right: a",
        "<img src=x",  # mark-up is text
        "✓ 3 of 4 points.",
        "pairs are in the right order.",
        "? '9.5' is not a whole number",
        "✓ Right: 10.",
        "Skipped: This question is about your machine",
        "4 of 7 right at the first answer.",
    ]:
        assert part in said, part
    known = records()
    assert known["sample-kv-cache@2"].log == (Answered(schedule.today(), False, -0.302),)
    assert known["sample-replicas@1"] == Record(True, 1, 0, (Answered(schedule.today(), True, 0.0),))
    assert "sample-share@1" not in known


def test_an_interrupted_session_goes_on(type_in: Type) -> None:
    assert "goes on from here" in type_in("0.537", "quit", options="--count 3")
    said = type_in("a", "abd")
    assert "Going on where you stopped: 2 of 3 left." in said
    assert "2 of 3" in said and "3 of 3 right at the first answer." in said
    assert "session" not in json.loads(progress.path().read_text())
    assert "goes on from here" in type_in()  # the end of the input leaves too
    assert "Going on" not in type_in("quit", options="--new")


def test_what_was_missed_comes_again_with_other_numbers(type_in: Type) -> None:
    said = type_in("1 B", "y", "1.07 GB", options="--tag decode")
    assert "4,096 tokens" in said and "8,192 tokens" in said
    assert "0 of 1 right at the first answer." in said and "1 of 1 right" in said
    assert records()["sample-kv-cache@2"] == Record(True, 2, 1, (Answered(schedule.today(), False, -8.73),))


def test_the_schedule_and_the_filters_choose(type_in: Type) -> None:
    day = schedule.today()
    progress.save(
        progress.path(),
        {
            "sample-mask@1": Record(True, 1, 0, (Answered(day - 3, True),)),
            "sample-linear@1": Record(True, 1, 0, (Answered(day - 2, True),)),
        },
    )
    assert "1 of 1" in type_in("a", options="--when due")
    assert "Nothing to ask." in type_in(options="--when due")
    assert "sample-linear" not in type_in("quit", options="--count 1")
    assert "1 of 2" in type_in("quit", options="--level 3")
    assert "no question has it. Did you mean 'memory'?" in type_in(options="--tag memroy", code=2)
    assert "--part 'sequence': no question has it" in type_in(options="--part sequence", code=2)


def test_progress_travels_between_terminal_and_website(type_in: Type, tmp_path: Path) -> None:
    type_in("a", options="--level 1")
    type_in(options=f"--export {tmp_path / 'out.json'}")
    progress.path().unlink()
    assert "Merged 1 answers." in type_in(options=f"--import {tmp_path / 'out.json'}")
    assert records()["sample-mask@1"].right
    before = progress.path().read_text()
    (tmp_path / "bad.json").write_text("[]")
    assert "That file does not hold progress" in type_in(options=f"--import {tmp_path / 'bad.json'}", code=2)
    assert "none.json cannot be read: No such file" in type_in(options=f"--import {tmp_path / 'none.json'}", code=2)
    assert progress.path().read_text() == before


def test_a_spoilt_progress_file_stops_the_command_and_stays(type_in: Type) -> None:
    progress.path().parent.mkdir(parents=True)
    progress.path().write_text("{")
    assert "self-check.json: That file does not hold progress" in type_in(code=2)
    assert progress.path().read_text() == "{"


@pytest.mark.parametrize(
    ("markdown", "text"),
    [(r"$2 \cdot n_{kv}$", "`2 · n_kv`"), (r"`$x$` costs \$5", r"`$x$` costs \$5"), ("<b> `<b>`", r"\<b> `<b>`"), ("$$x^2$$", "`x^2`")],
)
def test_formulas_are_readable(markdown: str, text: str) -> None:
    assert readable(markdown) == text
