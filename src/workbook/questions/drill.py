"""``workbook drill``: the questions that are due, in a terminal. Progress and an unfinished session are kept after every answer."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from napkinmath.errors import InputError, did_you_mean

from . import progress, schedule
from .bank import bank_files, find_root, load_bank
from .grader import Verdict, grade
from .machine import NoProfile
from .notebook import LETTERS, numbers, shown
from .progress import Record, key
from .schema import AnyQuestion, Choice, Multi, Numeric, Open, Order
from .variants import Variant, variants
from .web import KIND_NAMES, LEVEL_NAMES

SECONDS = 60  # for an estimate, with --timed
QUIT, SKIP = {"q", "quit"}, {"s", "skip"}


class Stop(Exception):
    """The reader leaves; what was answered is saved."""


@dataclass
class Session:
    """What is still to be asked, and how the first answers went; it can be taken up again."""

    left: list[str]
    first: dict[str, bool] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return len(self.left) + len(self.first)


@dataclass
class Drill:
    """One reader at one terminal.

    Attributes:
        questions: all that may be asked, by ``id@version``.
        records: what is known of each; saved in ``file`` with the session.
        read: asks for a line of text.
    """

    console: Console
    questions: dict[str, AnyQuestion]
    records: dict[str, Record]
    file: Path
    read: Callable[[str], str]
    timed: bool = False

    def run(self, session: Session) -> None:
        """Ask everything that is left, then what was missed, if the reader wants to."""
        try:
            while session.left:
                name = session.left[0]
                self.console.rule(f"[dim]{len(session.first) + 1} of {session.total}")
                right = self.ask(name)
                session.left.pop(0)
                if right is not None:
                    session.first[name] = right
                self.save(session)
            self.finish(session)
        except (EOFError, KeyboardInterrupt, Stop):
            self.save(session)
            self.console.print("\nStopped. 'workbook drill' goes on from here." if session.left else "\nStopped.")

    def save(self, session: Session) -> None:
        more = {"session": {"left": session.left, "first": session.first}} if session.left else {}
        progress.save(self.file, self.records, **more)

    def finish(self, session: Session) -> None:
        missed = [name for name, right in session.first.items() if not right]
        if session.first:
            self.console.print(f"[bold]{len(session.first) - len(missed)} of {len(session.first)} right at the first answer.")
        if missed and self.read("Retry what you missed? [y/N] ").strip().lower() in ("y", "yes"):
            self.run(Session(missed))

    def ask(self, name: str) -> bool | None:
        """Ask until the answer can be graded; whether it was right, or None for a question that is skipped."""
        question = self.questions[name]
        record = self.records.get(name, Record())
        if record.tries:  # other numbers than the last time
            record = replace(record, variant=record.variant + 1)
        try:
            drawn = variants(question)
        except InputError as error:
            if not isinstance(error, NoProfile) and not (isinstance(question, Numeric) and question.machine):
                raise
            self.console.print(Text(f"Skipped: {error}", style="dim"))
            return None
        variant = drawn[record.variant % len(drawn)]
        self.console.print(_question(question, variant))
        verdict = self.answer(question, variant)
        if verdict is None:
            return None
        self.records[name] = record.graded(verdict, schedule.today())
        self.console.print(_verdict(question, variant, verdict))
        return verdict.right

    def answer(self, question: AnyQuestion, variant: Variant) -> Verdict | None:
        began = time.monotonic()
        while True:
            typed = self.read(f"{_form(question)}, 'skip' or 'quit': ").strip()
            if typed.lower() in QUIT:
                raise Stop
            if typed.lower() in SKIP:
                return None
            if self.timed and isinstance(question, Numeric):
                took = round(time.monotonic() - began)
                self.console.print(Text(f"{took} s" + (f", {took - SECONDS} s over" if took > SECONDS else ""), style="dim"))
            verdict = self.graded(question, variant, typed)
            if isinstance(verdict, Verdict) and verdict.outcome != "ask":
                return verdict
            self.console.print(Text(f"? {verdict.say if isinstance(verdict, Verdict) else verdict}", style="yellow"))

    def graded(self, question: AnyQuestion, variant: Variant, typed: str) -> Verdict | str:
        """The verdict, or what to say about an answer of the wrong form."""
        try:
            if isinstance(question, Open):
                self.console.print(_rubric(question, variant))
                made = self.read("Which points does your answer make? Their numbers, or nothing: ")
                return grade(question, variant, numbers(question, made))
            return grade(question, variant, typed if isinstance(question, Numeric) else numbers(question, typed))
        except InputError as error:
            return str(error)


# What is shown --------------------------------------------------------------------------------------------------------


def _question(question: AnyQuestion, variant: Variant) -> RenderableType:
    lines: list[RenderableType] = [Text(f"{KIND_NAMES[question.kind]} · {LEVEL_NAMES[question.level]} · {question.id}", style="dim")]
    lines.append(_markdown(variant.prompt))
    lines += [_hanging(f"{letter})", variant.options[n][0]) for letter, n in zip(LETTERS, shown(question), strict=False)]
    return Group(*lines, "")


def _verdict(question: AnyQuestion, variant: Variant, verdict: Verdict) -> RenderableType:
    mark, style = ("✓", "bold green") if verdict.right else ("✗", "bold red")
    lines: list[RenderableType] = [Text(f"{mark} {verdict.say}", style=style)]
    if verdict.slip is not None:
        lines.append(_markdown(variant.slips[verdict.slip][1]))
    order = list(shown(question))
    lines += [_hanging(f"{LETTERS[order.index(n)]})", variant.options[n][1]) for n in verdict.show]
    if isinstance(question, Choice | Multi | Order) and not verdict.right:
        right = question.correct if not isinstance(question, Order) else range(len(question.options))
        lines.append(Text(f"Right: {', '.join(LETTERS[order.index(n)] for n in right)}", style="dim"))
    if isinstance(question, Numeric) and not verdict.right:
        lines.append(Text(f"Computed: {variant.answer_text}", style="dim"))
    if variant.explain:
        lines.append(_markdown(variant.explain))
    return Group(*lines, "")


def _rubric(question: Open, variant: Variant) -> RenderableType:
    points = zip(question.rubric, variant.rubric, strict=True)
    lines = [_hanging(f"{n}.", f"{text} ({point.worth})") for n, (point, text) in enumerate(points, 1)]
    return Group(Text("A model answer:", style="dim"), _markdown(variant.model_answer), Text("Points:", style="dim"), *lines)


def _form(question: AnyQuestion) -> str:
    if isinstance(question, Numeric):
        return f"Your estimate in {question.answer.unit}" if question.answer.unit else "Your estimate, a number"
    if isinstance(question, Open):
        return "Say it aloud, then Enter"
    return {"choice": "A letter", "multi": "Letters", "order": "All letters in your order"}[question.kind]


def _hanging(lead: str, markdown: str) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_row(Text(f"  {lead}", style="bold"), _markdown(markdown))
    return table


def _markdown(markdown: str) -> Markdown:
    return Markdown(readable(markdown))


_CODE = re.compile(r"(`+)(?:.+?)\1", re.DOTALL)
_MATH = re.compile(r"(?<!\\)(\$\$?)(.+?)(?<!\\)\1", re.DOTALL)


def readable(markdown: str) -> str:
    """Markdown for a terminal: formulas as Unicode text, mark-up as the text that it is. Code stays.

    >>> print(readable("$x_{kv}$ <b> `a<b`").replace(chr(92), "/"))
    `x_kv` /<b> `a<b`
    """
    parts, end = [], 0
    for code in _CODE.finditer(markdown):
        parts += [_plain_part(markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _plain_part(markdown[end:])])


def _plain_part(text: str) -> str:
    from pylatexenc.latex2text import LatexNodes2Text

    converter = LatexNodes2Text(math_mode="text")
    pieces, end = [], 0
    for math in _MATH.finditer(text):
        formula = re.sub(" *· *", " · ", converter.latex_to_text(math[2])).strip()
        pieces += [text[end : math.start()].replace("<", "\\<"), f"`{formula}`"]
        end = math.end()
    return "".join([*pieces, text[end:].replace("<", "\\<")])


# The command ----------------------------------------------------------------------------------------------------------


def run(args: argparse.Namespace) -> int:
    """Import, export or practise."""
    console = Console(highlight=False)
    if args.count < 1:
        raise InputError(f"--count {args.count}: ask at least 1 question")
    file = progress.path()
    records = progress.read_file(file)
    if args.load:
        loaded = progress.load(_text_of(args.load))
        merged = {name: records.get(name, Record()).merged(record) for name, record in loaded.items()}
        progress.save(file, records | merged, **_unfinished(file))
        console.print(f"Merged {len(loaded)} answers.")
        return 0
    if args.export:
        progress.save(args.export, records)
        console.print(f"Saved as {args.export}.")
        return 0
    questions: dict[str, AnyQuestion] = {}
    parts: dict[str, str] = {}
    for path in bank_files(find_root()):
        for question in load_bank(path):
            questions[key(question)], parts[key(question)] = question, path.parent.name
    drill = Drill(console, questions, records, file, lambda text: console.input(text, markup=False), args.timed)
    filtered = any((args.part, args.tag, args.level, args.when, args.new))
    session = None if filtered else _resumed(_unfinished(file), questions)
    if session:
        console.print(f"Going on where you stopped: {len(session.left)} of {session.total} left. ('--new' begins anew.)")
    else:
        session = Session(_chosen(args, questions, parts, records))
        if not session.left:
            console.print("Nothing to ask. '--when all' asks what is not due yet.")
            return 0
    drill.run(session)
    return 0


def _chosen(args: argparse.Namespace, questions: dict[str, AnyQuestion], parts: dict[str, str], records: dict[str, Record]) -> list[str]:
    """The names that fit the filters, in the order of the schedule.

    Raises:
        InputError: no question has this part or tag.
    """
    tags = {tag for question in questions.values() for tag in question.tags}
    for given, option, known in ((args.part, "--part", set(parts.values())), (args.tag, "--tag", tags)):
        if given is not None and given not in known:
            raise InputError(f"{option} {given!r}: no question has it.{did_you_mean(given, known)}")
    logs: dict[str, Sequence[schedule.Answered]] = {
        name: records.get(name, Record()).log
        for name, question in questions.items()
        if args.part in (None, parts[name]) and (args.tag is None or args.tag in question.tags) and args.level in (None, question.level)
    }
    today = schedule.today()
    if args.when:
        found = schedule.choose(logs, today, args.when)
    else:
        found = [*schedule.choose(logs, today, "due"), *schedule.choose(logs, today, "new")]
    return found[: args.count]


def _unfinished(file: Path) -> dict[str, object]:
    """The session in a progress file that was read before, as :meth:`Drill.save` wrote it."""
    saved = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {"session": saved["session"]} if "session" in saved else {}


def _resumed(saved: dict[str, object], questions: dict[str, AnyQuestion]) -> Session | None:
    """The unfinished session, without questions that have gone since."""
    session = saved.get("session")
    if not isinstance(session, dict) or not isinstance(session.get("left"), list) or not isinstance(session.get("first"), dict):
        return None
    left = [name for name in session["left"] if name in questions]
    first = {str(name): bool(right) for name, right in session["first"].items() if name in questions}
    return Session(left, first) if left else None


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not text'}; nothing was changed") from error
