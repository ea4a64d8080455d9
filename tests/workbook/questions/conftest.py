"""A sample bank with one question of each kind, and a way to make a bank from text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workbook.questions import load_bank
from workbook.questions.schema import AnyQuestion

SAMPLE = Path(__file__).parents[2] / "fixtures" / "questions" / "sample.yml"


@pytest.fixture(scope="session")
def sample() -> dict[str, AnyQuestion]:
    return {question.id: question for question in load_bank(SAMPLE)}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes ``questions/part/chapter.yml`` into a fresh working directory; returns its path."""

    def write(text: str) -> Path:
        path = tmp_path / "questions" / "part" / "chapter.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        monkeypatch.chdir(tmp_path)
        return path

    return write
