"""Grading: one behaviour, here and in ``assets/self-check-grader.js``; ``tests/fixtures/grading.json`` holds both to it.

An estimate ``x`` of the answer ``a`` is off by ``max(x/a, a/x)``. The exact band comes first, then the slips (each as wide as the exact
band), then the wider bands. What cannot be read, or could mean several things, is asked about and never marked wrong.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from napkinmath import units
from napkinmath.errors import InputError

from .schema import AnyQuestion, Choice, Multi, Numeric, Open, Order
from .variants import Variant

Outcome = Literal["exact", "slip", "good", "order", "off", "right", "partial", "wrong", "ask"]

#: Every sentence that a grader says; the website's grader reads them from here.
SAYS = {
    "exact": "Right: {answer}.",
    "good": "Good estimate, {factor} times too {direction}. Computed: {answer}.",
    "order": "The order of magnitude is right, but it is {factor} times too {direction}.",
    "off": "It is {factor} times too {direction}.",
    "slip": "It is {factor} times too {direction}, and there is a likely reason.",
    "positive": "'{text}' is not above zero, and the answer is.",
    "bare": "'{text}' without a unit reads as {text} {unit}. Type the unit that you mean.",
    "right": "Right.",
    "wrong": "Not this one.",
    "whole": "'{text}' is not a whole number, and the answer counts whole things. Round it the way that you would build it.",
    "pairs": "{hits} of {total} pairs are in the right order.",
    "sequence": "Name each of the {total} once, in your order.",
    "partial": "{hits} of {total} options judged right.",
    "none": "Choose an option first.",
    "points": "{score} of {worth} points.",
    "huge": "over a million",
}

#: A self-graded answer in words counts as right from this share of its rubric's points.
OPEN_PASS = 0.7


@dataclass(frozen=True)
class Verdict:
    """What an answer is worth, and what to say about it.

    Attributes:
        outcome: ``ask`` is no grade: the answer could not be read and nothing is held against it.
        right: whether the question counts as answered.
        say: one plain sentence.
        slip: which of the variant's slips explains the answer, if one does.
        show: the options whose feedback the reader should see.
        log_ratio: of an estimate that was graded, the decimal logarithm of estimate over answer.
    """

    outcome: Outcome
    right: bool
    say: str
    slip: int | None = None
    show: tuple[int, ...] = ()
    log_ratio: float | None = None


def grade(question: AnyQuestion, variant: Variant, answer: str | float | Collection[int]) -> Verdict:
    """Grade one answer to one variant.

    Args:
        question: the question.
        variant: the variant that was shown.
        answer: for a numeric question what was typed, taken in the unit asked for, or a number in base units; for the
            others the numbers of the chosen options, of all of them in the reader's order, or of the rubric points that the
            reader's own answer made.

    >>> from .schema import Choice, Option
    >>> pair = (Option(text="yes", feedback="so it is", correct=True), Option(text="no", feedback="it is"))
    >>> grade(Choice(id="x", kind="choice", level=1, prompt="?", options=pair), Variant(0, "?"), [1])
    Verdict(outcome='wrong', right=False, say='Not this one.', slip=None, show=(1,), log_ratio=None)
    """
    if isinstance(question, Numeric):
        unit = question.answer.unit
        if not isinstance(answer, str):
            answer, unit = f"{answer:.17g}", units.parse(f"1 {unit}").unit
        return _grade_number(question, variant, answer, unit)
    if isinstance(answer, str | float):
        raise InputError(f"{question.id}: a {question.kind} question takes option numbers, not {answer!r}")
    if isinstance(question, Order):
        return _grade_order(question, list(answer))
    chosen = set(answer)
    if isinstance(question, Open):
        return _grade_points(question, chosen)
    return _grade_options(question, chosen)


def _grade_number(question: Numeric, variant: Variant, text: str, unit: str) -> Verdict:
    bands, truth = question.grade, variant.answer
    try:
        quantity = units.parse(text, unit)
    except InputError as error:
        return Verdict("ask", False, str(error))
    if quantity.value <= 0:
        return _ask("positive", text=units.clean(text))
    if question.answer.whole and abs(quantity.value - math.floor(quantity.value + 0.5)) > 1e-9 * quantity.value:
        return _ask("whole", text=units.clean(text))
    off = _ratio(quantity.value, truth)
    words = {"factor": factor_text(off), "direction": "high" if quantity.value > truth else "low", "answer": variant.answer_text}
    outcome: Outcome
    slip = next((number for number, (value, _) in enumerate(variant.slips) if _ratio(quantity.value, value) <= bands.exact), None)
    if off <= bands.exact:
        outcome, slip = "exact", None
    elif slip is not None:
        outcome = "slip"
    elif off <= bands.good:
        outcome = "good"
    elif quantity.bare and quantity.unit not in ("", "%", "$") and _off_by_thousands(quantity.value, truth, bands.good):
        return _ask("bare", text=units.clean(text), unit=unit)
    else:
        outcome = "order" if off <= bands.order else "off"
    log_ratio = round(math.log10(quantity.value) - math.log10(truth), 3)
    return Verdict(outcome, outcome in ("exact", "good"), SAYS[outcome].format(**words), slip, log_ratio=log_ratio)


def _off_by_thousands(value: float, truth: float, band: float) -> bool:
    """Whether another prefix would make it right: then the reader forgot the unit."""
    return any(_ratio(value * 10.0 ** (3 * n), truth) <= band for n in range(-5, 6))


def _grade_options(question: Choice | Multi, chosen: set[int]) -> Verdict:
    total, correct = len(question.options), set(question.correct)
    if not chosen:
        return _ask("none")
    show = tuple(n for n in range(total) if n in chosen or (n in correct and isinstance(question, Multi)))
    hits = sum((n in chosen) == (n in correct) for n in range(total))
    if hits == total:
        return Verdict("right", True, SAYS["right"], show=show)
    if isinstance(question, Choice):
        return Verdict("wrong", False, SAYS["wrong"], show=show)
    return Verdict("partial", False, SAYS["partial"].format(hits=hits, total=total), show=show)


def _grade_order(question: Order, order: list[int]) -> Verdict:
    """By pairs; the feedback is that of neighbours who should change places."""
    count = len(question.options)
    if sorted(order) != list(range(count)):
        return _ask("sequence", total=str(count))
    pairs = list(itertools.combinations(order, 2))
    hits = sum(left < right for left, right in pairs)
    if hits == len(pairs):
        return Verdict("right", True, SAYS["right"], show=tuple(order))
    swapped = {place for left, right in itertools.pairwise(order) if left > right for place in (left, right)}
    return Verdict("partial", False, SAYS["pairs"].format(hits=hits, total=len(pairs)), show=tuple(sorted(swapped)))


def _grade_points(question: Open, made: set[int]) -> Verdict:
    score = sum(point.worth for number, point in enumerate(question.rubric) if number in made)
    right = score >= OPEN_PASS * question.worth
    return Verdict("right" if right else "partial", right, SAYS["points"].format(score=score, worth=question.worth))


def _ask(says: str, **words: str) -> Verdict:
    return Verdict("ask", False, SAYS[says].format(**words))


def _ratio(left: float, right: float) -> float:
    return max(left / right, right / left)


def factor_text(factor: float) -> str:
    """A factor for a sentence: 3.2, 17, 'over a million'."""
    if factor >= 1e6:
        return SAYS["huge"]
    if factor < 1.1:  # "1 times too high" would say nothing
        return f"{math.floor(factor * 100 + 0.5) / 100:g}"
    return f"{math.floor(factor * 10 + 0.5) / 10:g}" if factor < 10 else str(math.floor(factor + 0.5))
