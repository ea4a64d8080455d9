"""``workbook questions check``: problems with file and line, and what a bank is short of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workbook.cli import main
from workbook.questions.cli import report
from workbook.questions.schema import AnyQuestion

SAMPLE = (Path(__file__).parents[2] / "fixtures" / "questions" / "sample.yml").read_text()


def test_a_sound_bank_is_reported(repository: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = repository(SAMPLE)
    assert main(["questions", "check"]) == 0
    out = capsys.readouterr().out
    assert f"{path}: 5 questions: 2 numeric, 1 choice, 1 multi, 1 open\n  levels 1: 1, 2: 3, 3: 1\n" in out
    assert "short of items: 5 of 12" in out
    assert "in no section: sample-linear, sample-flip, sample-share" in out


def test_an_invalid_bank_exits_with_2(repository: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = repository(SAMPLE.replace("  level: 1\n", ""))
    assert main(["questions", "check", str(path.parent)]) == 2
    captured = capsys.readouterr()
    line = SAMPLE.splitlines().index("- id: sample-mask") + 1
    assert captured.err == f"{path}:{line}: sample-mask: missing field 'level'\n"


def test_a_path_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["questions", "check", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"workbook: {tmp_path / 'none'}: no such file or folder\n"


def test_the_report_sees_what_gives_the_right_option_away(sample: dict[str, AnyQuestion]) -> None:
    mask = sample["sample-mask"]
    long = mask.model_copy(update={"id": "long", "options": (mask.options[0].model_copy(update={"text": "x" * 90}), *mask.options[1:])})
    assert "right option: longest in 1 of 2 (long); place in the file a: 2" in report([mask, long])
    assert "fewer than half of the questions are level 2 or 3" in report([mask])
