"""Over its draws a round has several answers: no candidate is always right, and the choice changes from one draw to the next."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from workbook import ROOT
from workbook.rounds.scenario import load

ROUNDS = sorted((ROOT / "questions" / "rounds").glob("*.yml"))


@pytest.mark.parametrize("path", ROUNDS, ids=lambda path: path.stem)
def test_the_choice_changes(path: Path) -> None:
    winners = [draw.best.candidate for draw in load(path).draws]
    assert len(set(winners)) >= 4
    assert max(winners.count(name) for name in winners) <= 2 / 3 * len(winners)
    assert sum(before != after for before, after in itertools.pairwise(winners)) >= 3
