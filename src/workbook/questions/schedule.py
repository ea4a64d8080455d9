"""When a question comes again. One schedule for the website and the terminal, held to ``tests/fixtures/schedule.json`` in both languages.

Boxes after Leitner, with fixed intervals (:data:`INTERVALS`, days). The first answer of a day counts, later ones are practice:

- wrong: into box 0, due tomorrow;
- right, when it is due or new: up one box, due after that box's interval;
- right before it is due: nothing changes, for an answer that one still remembers says little.

The state is a function of the log of such first answers, so nothing else is stored, and two logs can be merged.
Days count from 1970-01-01 in the reader's own time zone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

#: Days until a question comes again, for each box.
INTERVALS = (1, 3, 7, 14, 30, 60)

When = Literal["due", "new", "missed", "all"]


class Answered(NamedTuple):
    """The first answer of a day: whether it was right, and for an estimate log10 of estimate over answer."""

    day: int
    right: bool
    log_ratio: float | None = None


class Due(NamedTuple):
    """Where a question stands: its box, and the day from which it is due. A new question has no day."""

    box: int
    day: int | None


def today() -> int:
    """The day's number, here."""
    return date.today().toordinal() - date(1970, 1, 1).toordinal()


def due(log: Sequence[Answered]) -> Due:
    """Box and day of a question with this log, oldest answer first.

    >>> due([]), due([Answered(100, True)]), due([Answered(100, True), Answered(103, True), Answered(110, False)])
    (Due(box=0, day=None), Due(box=1, day=103), Due(box=0, day=111))
    """
    box, day = 0, None
    for answer in log:
        if not answer.right:
            box, day = 0, answer.day + INTERVALS[0]
        elif day is None or answer.day >= day:
            box = min(box + 1, len(INTERVALS) - 1)
            day = answer.day + INTERVALS[box]
    return Due(box, day)


def add(log: Sequence[Answered], answer: Answered) -> tuple[Answered, ...]:
    """The log with one more answer, unless that day has one already."""
    return (*log, answer) if not log or log[-1].day < answer.day else tuple(log)


def choose(logs: Mapping[str, Sequence[Answered]], day: int, when: When) -> list[str]:
    """The questions to ask on a day, most overdue first, then in the order of ``logs``.

    Args:
        logs: of every question that may be asked; an empty log where it never was.
        day: today.
        when: ``due``; ``new``; ``missed`` the last time; or ``all``, of which due ones come first, then new ones.
    """
    state = {name: due(log).day for name, log in logs.items()}

    def wanted(name: str) -> bool:
        asked, log = state[name], logs[name]
        if when == "due":
            return asked is not None and asked <= day
        return when == "all" or (asked is None if when == "new" else bool(log) and not log[-1].right)

    def urgency(name: str) -> int:
        """A day, doubled: new questions stand after everything that is due today, before all that is not."""
        asked = state[name]
        return 2 * day + 1 if asked is None else 2 * asked

    return sorted(filter(wanted, logs), key=urgency)
