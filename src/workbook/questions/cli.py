"""``workbook questions check``: is every bank valid, and is it the mix that AUTHORING asks for?"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napkinmath.errors import InputError

from .bank import find_root, read_all
from .schema import AnyQuestion, Choice, Multi

#: What a chapter's bank should have at least; a shortfall is reported, and only invalid questions fail.
WANTED = {"items": 12, "numeric": 4, "open": 1, "find-the-error": 1}


def register(commands: Any) -> None:
    """Add ``questions check`` to the ``workbook`` command."""
    questions = commands.add_parser("questions", help="check the self-check banks").add_subparsers(required=True, metavar="COMMAND")
    check = questions.add_parser("check", help="every problem with file and line, then a report on each bank")
    check.add_argument("paths", nargs="*", type=Path, help="banks or folders of banks (default: all in questions/)")
    check.set_defaults(run=run_check)


def run_check(args: argparse.Namespace) -> int:
    """Print problems and the report; 2 when a question is invalid."""
    banks, problems = read_all(bank_paths(args.paths))
    for path, questions in banks.items():
        print(f"{path}: {report(questions)}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 2 if problems else 0


def bank_paths(paths: Sequence[Path]) -> list[Path]:
    """The banks that ``paths`` name: a file, a folder with ``*.yml`` in or one below it; every bank without any.

    Raises:
        InputError: a path that does not exist or has no bank.
    """
    found = []
    for path in paths or [find_root()]:
        banks = [path] if path.is_file() else sorted({*path.glob("*.yml"), *path.glob("*/*.yml")})
        if not banks:
            raise InputError(f"{path}: {'no *.yml in it' if path.is_dir() else 'no such file or folder'}")
        found += banks
    return found


def report(questions: Sequence[AnyQuestion]) -> str:
    """One bank's mix: kinds, levels, how the right option stands out, and what is short."""
    kinds = Counter(question.kind for question in questions)
    levels = Counter(question.level for question in questions)
    have = {"items": len(questions), "numeric": kinds["numeric"], "open": kinds["open"]}
    have["find-the-error"] = sum("find-the-error" in question.tags for question in questions)
    lines = [
        f"{len(questions)} questions: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}",
        f"levels {', '.join(f'{level}: {levels[level]}' for level in (1, 2, 3))}",
        *_options_report([question for question in questions if isinstance(question, Choice | Multi)]),
        *(f"short of {name}: {have[name]} of {wanted}" for name, wanted in WANTED.items() if have[name] < wanted),
    ]
    if 2 * (levels[2] + levels[3]) < len(questions):
        lines.append("fewer than half of the questions are level 2 or 3")
    if unplaced := [question.id for question in questions if question.section is None]:
        lines.append(f"in no section: {', '.join(unplaced)}")
    return "\n  ".join(lines)


def _options_report(questions: Sequence[Choice | Multi]) -> list[str]:
    """A reader who knows nothing can go by length and place, so neither should tell."""
    choices = [question for question in questions if isinstance(question, Choice)]
    if not choices:
        return []
    longest = [
        q for q in choices if all(len(q.options[q.correct[0]].text) > len(option.text) for option in q.options if not option.correct)
    ]
    places = Counter("abcdefgh"[question.correct[0]] for question in choices)
    where = ", ".join(f"{place}: {count}" for place, count in sorted(places.items()))
    names = f" ({', '.join(question.id for question in longest)})" if longest else ""
    return [f"right option: longest in {len(longest)} of {len(choices)}{names}; place in the file {where}"]
