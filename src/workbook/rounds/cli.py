"""The ``workbook`` command's share of the rounds: ``rounds check``."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from napkinmath.errors import InputError, did_you_mean

from ..questions.bank import find_root
from .estimates import questions
from .scenario import Scenario, load
from .schema import GRADES, STAGES

#: Over a round's draws the choice changes this often at least, or readers learn the answer.
CHANGES = 3
#: Stages that nothing grades but the rubric: each has something to answer in words.
OPEN_STAGES = ("requirements", "design", "serving", "risks")


def register(commands: Any) -> None:
    """Add ``rounds`` to the ``workbook`` command."""
    rounds = commands.add_parser("rounds", help="check the interview rounds").add_subparsers(required=True, metavar="COMMAND")
    check = rounds.add_parser("check", help="every problem with its file, and what each round's draws come to")
    check.add_argument("paths", nargs="*", type=Path, help="rounds (default: all in questions/rounds/)")
    check.set_defaults(run=run_check)


def run_check(args: argparse.Namespace) -> int:
    """Print a line on each round, and what is wrong; 2 when anything is."""
    paths = args.paths or sorted((find_root() / "rounds").glob("*.yml"))
    wrong = []
    for path in paths:
        try:
            scenario = load(path)
            wrong += [f"{path}: {problem}" for problem in problems(scenario, path)]
            print(f"{path}: {report(scenario)}")
        except InputError as error:
            wrong.append(str(error) if str(error).startswith(str(path)) else f"{path}: {error}")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 2 if wrong else 0


def problems(scenario: Scenario, path: Path) -> list[str]:
    """What is wrong with a round that reads well.

    Raises:
        InputError: it cannot be drawn, or a question of it cannot be computed.
    """
    own = scenario.round
    questions(scenario)
    chosen = [draw.best.candidate for draw in scenario.draws]
    changes = sum(left != right for left, right in itertools.pairwise(chosen))
    found = []
    if changes < CHANGES:
        found.append(f"the choice changes {changes} times over {len(chosen)} draws; {CHANGES} are needed: list other values")
    found += [f"asks: nothing for the stage {stage!r}" for stage in OPEN_STAGES if stage not in {ask.stage for ask in own.asks}]
    found += [f"rubric: nothing for the stage {stage!r}" for stage in STAGES if stage not in {point.stage for point in own.rubric}]
    book = path.resolve().parents[2] / "book"
    chapters = sorted({*(one.chapter for one in own.estimates), *(one.chapter for one in own.rubric), own.flip.chapter})
    known = [f"{page.parent.name}/{page.stem}" for page in book.glob("*/*.md")]
    found += [f"chapter {name!r} is not in the book.{did_you_mean(name, known)}" for name in chapters if name not in known]
    if not (book / "rounds" / f"{scenario.name}.md").is_file():
        found.append(f"book/rounds/{scenario.name}.md is missing: the page that works through the first draw")
    return found


def report(scenario: Scenario) -> str:
    """``24 draws: bert-chunks 9, ...; 5 estimates; 14 points for 20, samples 0, 12, 20``."""
    own = scenario.round
    won = ", ".join(f"{name} {count}" for name, count in Counter(draw.best.candidate for draw in scenario.draws).most_common())
    samples = ", ".join(str(own.score(name)) for name in GRADES)
    asked = f"{len(own.estimates) + 1} estimates; {len(own.rubric)} points worth {own.worth}, samples {samples}"
    return f"{len(scenario.draws)} draws: {won}; {asked}"
