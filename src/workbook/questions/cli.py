"""The ``workbook`` command's share of the self-check: ``questions check``, ``questions schema``, ``drill`` and ``anki``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napkinmath.errors import InputError
from napkinmath.files import write_text

from .bank import bank_files, bibliography, changed_ids, find_root, publish, read_all
from .schema import AnyQuestion, Choice, Multi, json_schema

SCHEMA, PUBLISHED = "schema.json", "published.txt"

#: What a chapter's bank should have at least; a shortfall is reported, and only invalid questions fail.
WANTED = {"items": 12, "numeric": 4, "open": 1, "find-the-error": 1}


def register(commands: Any) -> None:
    """Add ``questions``, ``drill`` and ``anki`` to the ``workbook`` command."""
    questions = commands.add_parser("questions", help="check the self-check banks").add_subparsers(required=True, metavar="COMMAND")
    check = questions.add_parser("check", help="every problem with file and line, then a report on each bank")
    check.add_argument("paths", nargs="*", type=Path, help="banks or folders of banks (default: all in questions/)")
    check.add_argument("--publish", action="store_true", help=f"when all is sound, add new ids to questions/{PUBLISHED}")
    check.set_defaults(run=run_check)
    schema = questions.add_parser("schema", help="write questions/schema.json, by which editors complete and check banks")
    schema.set_defaults(run=run_schema)

    drill = commands.add_parser("drill", help="practise the questions that are due, in the terminal")
    drill.add_argument("--part", help="only of this part, such as sequence")
    drill.add_argument("--tag", help="only with this tag")
    drill.add_argument("--level", type=int, choices=(1, 2, 3), help="1 recall, 2 apply, 3 judge")
    drill.add_argument("--when", choices=("due", "new", "missed", "all"), help="what to ask (default: what is due, then what is new)")
    drill.add_argument("--count", type=int, default=10, metavar="N", help="at most N questions (default: 10)")
    drill.add_argument("--timed", action="store_true", help="show how long each estimate took: aim at 60 s")
    drill.add_argument("--new", action="store_true", help="begin anew, though a session is unfinished")
    drill.add_argument("--import", dest="load", type=Path, metavar="FILE", help="merge progress that the website saved, and stop")
    drill.add_argument("--export", type=Path, metavar="FILE", help="save progress for the website, and stop")
    drill.set_defaults(run=run_drill)

    anki = commands.add_parser("anki", help="write the questions as an Anki deck")
    anki.add_argument("path", type=Path, metavar="OUT.apkg")
    anki.set_defaults(run=run_anki)


def run_drill(args: argparse.Namespace) -> int:
    from .drill import run

    return run(args)


def run_anki(args: argparse.Namespace) -> int:
    """Write the deck; only a name that Anki will open."""
    from .anki import write_deck

    if args.path.suffix != ".apkg":
        raise InputError(f"{args.path}: Anki opens files that end in .apkg, such as {args.path.with_suffix('.apkg').name}")
    count, left_out = write_deck(args.path, bank_paths([]))
    print(f"{args.path}: {count} notes" + (f"; left out, being about one machine: {', '.join(left_out)}" if left_out else ""))
    return 0


def run_schema(args: argparse.Namespace) -> int:
    path = find_root() / SCHEMA
    write_text(path, schema_text())
    print(path)
    return 0


def schema_text() -> str:
    """The JSON Schema of a bank, as it is checked in."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def run_check(args: argparse.Namespace) -> int:
    """Print problems and the report; 2 when a question is invalid, or one that was published has gone."""
    paths = bank_paths(args.paths)
    root = find_root(paths[0].parent) if not args.paths else None
    banks, problems = read_all(paths, bibliography(root.parent) if root else None)
    for path, questions in banks.items():
        print(f"{path}: {report(questions, page_of(path))}")
    if root:
        versions = {question.id: question.version for questions in banks.values() for question in questions} | round_versions(root)
        problems += changed_ids(root / PUBLISHED, versions, complete=not problems)
        if args.publish and not problems:
            publish(root / PUBLISHED, versions)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 2 if problems else 0


def round_versions(root: Path) -> dict[str, int]:
    """The ids of the rounds' estimates, under which readers keep progress too."""
    from ..rounds.schema import read

    rounds = {path.stem: read(path) for path in sorted((root / "rounds").glob("*.yml"))}
    return {id: own.version for name, own in rounds.items() for id in own.question_ids(name)}


def bank_paths(paths: Sequence[Path]) -> list[Path]:
    """The banks that ``paths`` name: a file, a folder with ``*.yml`` in or one below it; every bank without any.

    Raises:
        InputError: a path that does not exist or has no bank.
    """
    found = []
    for path in paths or [find_root()]:
        banks = [path] if path.is_file() else sorted({*path.glob("*.yml"), *bank_files(path)})
        if not banks:
            raise InputError(f"{path}: {'no *.yml in it' if path.is_dir() else 'no such file or folder'}")
        found += banks
    return found


def page_of(bank: Path) -> Path | None:
    """The chapter that asks a bank, ``book/<part>/<chapter>.md``, if it is there."""
    page = bank.resolve().parents[2] / "book" / bank.resolve().parent.name / f"{bank.stem}.md"
    return page if page.exists() else None


def report(questions: Sequence[AnyQuestion], page: Path | None = None) -> str:
    """One bank's mix: kinds, levels, how the right option stands out, what is short, and where the chapter asks nothing."""
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
    if page and (silent := silent_headings(page.read_text(encoding="utf-8"))):
        lines.append(f"sections of the chapter that ask nothing: {', '.join(silent)}")
    return "\n  ".join(lines)


#: Sections that every chapter has and that explain nothing new.
FRAME = {"The question", "The answer in 60 seconds", "Lab", "The question, answered", "Self-check", "Sources"}


def silent_headings(markdown: str) -> list[str]:
    """The sections of a page in which no ``{self-check}`` stands."""
    parts = re.split(r"^## +(.+?) *$", markdown, flags=re.MULTILINE)[1:]
    return [title for title, body in zip(parts[::2], parts[1::2], strict=True) if title not in FRAME and "```{self-check}" not in body]


def _options_report(questions: Sequence[Choice | Multi]) -> list[str]:
    """A reader who knows nothing can go by length and place, so neither should tell."""
    choices = [question for question in questions if isinstance(question, Choice) and question.shuffle]  # not the lines of an estimate
    if not choices:
        return []
    longest = [
        q for q in choices if all(len(q.options[q.correct[0]].text) > len(option.text) for option in q.options if not option.correct)
    ]
    places = Counter("abcdefgh"[question.correct[0]] for question in choices)
    where = ", ".join(f"{place}: {count}" for place, count in sorted(places.items()))
    names = f" ({', '.join(question.id for question in longest)})" if longest else ""
    return [f"right option: longest in {len(longest)} of {len(choices)}{names}; place in the file {where}"]
