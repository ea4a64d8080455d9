"""Find, read and check question banks, with the file and line of every problem."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napkinmath.errors import InputError, did_you_mean
from napkinmath.files import write_text

from ..yaml_lines import Lines, Unreadable
from .machine import NoProfile
from .schema import ADAPTER, KINDS, TEMPLATES, AnyQuestion, Numeric, Question
from .variants import variants


@dataclass(frozen=True)
class Problem:
    """What is wrong with a bank, and where; ``str()`` is one line that editors can jump to."""

    path: Path
    line: int
    id: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.id}: {self.message}" if self.id else f"{self.path}:{self.line}: {self.message}"


def find_root(start: Path | None = None) -> Path:
    """The folder ``questions/`` of the repository, searched upwards from ``start`` (default: the working directory).

    Raises:
        InputError: no such folder here or above.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "questions").is_dir() and bank_files(folder / "questions"):
            return folder / "questions"
    raise InputError(f"questions: no folder 'questions' with a bank in it in {start} or above; run this inside the workbook's repository")


def bank_files(root: Path) -> list[Path]:
    """Every bank below ``questions/``. The files of ``questions/rounds/`` are no banks but scenarios, see :mod:`workbook.rounds.schema`."""
    return sorted(path for path in root.glob("*/*.yml") if path.parent.name != "rounds")


def load_bank(path: str | Path) -> tuple[AnyQuestion, ...]:
    """The questions of one chapter, checked.

    Raises:
        InputError: the file is missing or has problems; the message names file, line and id of the first.
    """
    questions, problems = _unchanged(Path(path), _stamp(Path(path)))
    # What this machine's profile makes of a question is no fault of the bank: the question is skipped where it would be shown.
    about_machine = {question.id for question in questions if isinstance(question, Numeric) and question.machine}
    problems = [problem for problem in problems if problem.id not in about_machine]
    if problems:
        more = f" ({len(problems) - 1} more: run 'workbook questions check')" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}")
    return questions


def _stamp(path: Path) -> tuple[float, int]:
    """What changes when a file does; nothing of it when it cannot be read, which reading it will say."""
    try:
        about = path.stat()
    except OSError:
        return 0.0, 0
    return about.st_mtime, about.st_size


@cache
def _unchanged(path: Path, stamp: tuple[float, int]) -> tuple[tuple[AnyQuestion, ...], list[Problem]]:
    return read(path)


def read(path: Path, keys: frozenset[str] | None = None) -> tuple[tuple[AnyQuestion, ...], list[Problem]]:
    """All sound questions of a bank, and every problem of the others.

    Args:
        path: the bank.
        keys: known bibliography keys; a question's ``sources`` must be among them or be an address or a sentence. None: not checked.
    """
    try:
        lines = Lines.read(path)
    except Unreadable as error:
        return (), [Problem(path, error.line, "", error.why)]
    items = lines.data
    if not isinstance(items, list) or not items:
        return (), [Problem(path, 1, "", "expected a list of questions, each beginning with '- id: ...'")]

    questions: list[AnyQuestion] = []
    problems = [Problem(path, lines.at(where), "", message) for where, message in lines.twice]
    first_line: dict[str, int] = {}
    for number, item in enumerate(items):
        question, found = _check(item, keys)
        name = str(item.get("id", f"question {number + 1}")) if isinstance(item, dict) else f"question {number + 1}"
        line = lines.at((number,))
        problems += [Problem(path, lines.at((number, *where)), name, message) for where, message in found]
        if name in first_line:
            problems.append(Problem(path, line, name, f"id is taken by the question in line {first_line[name]}"))
        elif question:
            questions.append(question)
        first_line.setdefault(name, line)
    return tuple(questions), sorted(problems, key=lambda problem: problem.line)


def read_all(paths: Iterable[Path], keys: frozenset[str] | None = None) -> tuple[dict[Path, tuple[AnyQuestion, ...]], list[Problem]]:
    """Several banks; an id must be unique over all of them."""
    banks: dict[Path, tuple[AnyQuestion, ...]] = {}
    problems: list[Problem] = []
    owner: dict[str, Path] = {}
    for path in paths:
        banks[path], found = read(path, keys)
        problems += found
        for question in banks[path]:
            if owner.setdefault(question.id, path) != path:
                message = f"id is taken by a question in {owner[question.id]}"
                problems.append(Problem(path, _line_of(path, question.id), question.id, message))
    return banks, problems


def bibliography(root: Path) -> frozenset[str]:
    """The keys of ``book/references.bib``; none where the book has no such file, and then every key is dead."""
    path = root / "book" / "references.bib"
    return frozenset(re.findall(r"^@\w+\{([^,\s]+),", path.read_text(encoding="utf-8"), re.MULTILINE) if path.exists() else ())


_PUBLISHED = """# Every id under which readers may have progress or Anki notes, with its version.
# 'workbook questions check --publish' adds new ones. Ids are permanent: to take a question away for good, remove its line by hand,
# and never use the id again.
"""


def changed_ids(path: Path, versions: Mapping[str, int], complete: bool = True) -> list[Problem]:
    """Problems with ids that were published: gone from all banks (looked for only when those are ``complete``), or an older version."""
    problems = []
    for line, id, published in _published(path):
        if id not in versions and complete:
            hint = did_you_mean(id, versions)
            problems.append(Problem(path, line, id, f"was published and is in no bank: ids are permanent.{hint}"))
        elif versions.get(id, published) < published:
            problems.append(Problem(path, line, id, f"version {versions[id]} is older than version {published}, which was published"))
    return problems


def publish(path: Path, versions: Mapping[str, int]) -> None:
    """Write the ids and versions that are in use now; what was published stays."""
    known = {id: version for _, id, version in _published(path)}
    write_text(path, _PUBLISHED + "".join(f"{id}@{version}\n" for id, version in sorted((known | dict(versions)).items())))


def _published(path: Path) -> Iterator[tuple[int, str, int]]:
    """Line, id and version of everything in the list."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#"):
            id, _, version = line.partition("@")
            yield number, id, int(version)


@cache
def _index(root: Path, stamps: tuple[tuple[Path, float], ...]) -> dict[str, AnyQuestion]:
    return {question.id: question for path, _ in stamps for question in load_bank(path)}


def find(id: str, root: Path | None = None) -> AnyQuestion:
    """The question with this id, from any bank below ``root``.

    Raises:
        InputError: no such id (with a near miss), or a bank that names it does not load.
    """
    root = root or find_root()
    # Loading checks every variant: a lab loads the bank that it asks from, not all of them. A near miss is looked for in all.
    item = re.compile(rf"^- id: {re.escape(id)}$", re.MULTILINE)
    banks = bank_files(root)
    banks = [path for path in banks if item.search(path.read_text(encoding="utf-8"))] or banks
    questions = _index(root, tuple((path, path.stat().st_mtime) for path in banks))
    if id not in questions:
        raise InputError(f"question {id!r} is not in any bank.{did_you_mean(id, questions)}")
    return questions[id]


# Checking one question ------------------------------------------------------------------------------------------------

Found = list[tuple[tuple[Any, ...], str]]


def _check(item: Any, keys: frozenset[str] | None) -> tuple[AnyQuestion | None, Found]:
    """The question, or what is wrong with it and at which key of it."""
    if not isinstance(item, dict):
        return None, [((), "expected a mapping with id, kind, level, prompt, ...")]
    by = "template" if "template" in item else "kind"
    kind, known = item.get(by), TEMPLATES if by == "template" else KINDS
    if not isinstance(kind, str) or kind not in known:
        said = "missing field 'kind'." if kind is None else f"{by}: {kind!r} is unknown."
        return None, [((by,), said + did_you_mean(str(kind), known))]
    question: AnyQuestion
    written_as: dict[str, str] = {}
    try:
        if by == "template":
            written = TEMPLATES[kind].model_validate(item)
            question, written_as = written.question(), written.written_as
        else:
            question = ADAPTER.validate_python(item)
    except ValidationError as error:
        return None, [_translate(problem, by, set(known[kind].model_fields)) for problem in error.errors()]
    try:
        variants(question)
    except NoProfile:
        pass
    except InputError as error:
        field, rest = re.match(r"(\w*)(.*)", str(error), re.DOTALL).groups()  # type: ignore[union-attr]
        field = written_as.get(field, field)
        return question if isinstance(question, Numeric) and question.machine else None, [((field,), field + rest)]
    dead = _dead(question, keys or frozenset()) if keys is not None else []
    return question, [(("sources",), f"sources: {key!r} is not in the bibliography.{did_you_mean(key, keys or ())}") for key in dead]


def _dead(question: Question, keys: frozenset[str]) -> list[str]:
    """Sources that look like a bibliography key and are none. An address or a sentence is no key."""
    return [key for key in question.sources if " " not in key and "://" not in key and key not in keys]


def _translate(problem: Any, by: str, fields: set[str]) -> tuple[tuple[Any, ...], str]:
    """One of pydantic's errors as a line of ours: the field's path and what to do."""
    inside = problem["loc"][1:] if by == "kind" else problem["loc"]  # the union of kinds comes first
    where = tuple(part for part in inside if isinstance(part, int) or part.isidentifier())  # not the members of a union
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
    if problem["type"] == "missing":
        return where, f"missing field '{path}'"
    if problem["type"] == "extra_forbidden":
        return where, f"unknown field '{path}'" + (f".{did_you_mean(path, fields)}" if len(where) == 1 else "")
    if problem["type"] == "string_type":
        return where, f"{path}: YAML reads {problem['input']!r} as a {type(problem['input']).__name__}; put it in quotes"
    message = problem["msg"].removeprefix("Value error, ")
    return where, f"{path}: {message}" if path else message


def _line_of(path: Path, id: str) -> int:
    return next((number for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if f"id: {id}" in line), 1)
