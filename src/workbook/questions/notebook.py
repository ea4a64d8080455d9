"""The bank in a notebook: ``check("kv-cache-01", "2.1 GB")``. What it prints is the same at every run."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence

from napkinmath.errors import InputError

from .bank import find
from .grader import Verdict, grade
from .schema import AnyQuestion, Choice, Multi, Numeric, Open, Order
from .template import plain
from .variants import Variant, shown_order, variants

LETTERS = "abcdefgh"


def check(id: str, answer: str | float | Collection[str] | None = None) -> None:
    """Print a question, or the verdict on an answer to it. Notebooks use the bank's first variant and its order of options.

    Args:
        id: the question's id.
        answer: a quantity (``2.1e9``, ``"2.1 GB"``), a letter (``"b"``), letters (``"a, c"``), to put in order all letters in your
            order (``"c, a, b"``), or for an open question the numbers of the rubric points that your own answer makes
            (``"1, 3"``). None prints the question.

    Raises:
        InputError: no such question, no bank in or above the working directory, or an answer of the wrong form.
    """
    question = find(id)
    variant = variants(question)[0]
    if answer is None:
        print(_question_text(question, variant))
    elif isinstance(question, Open):
        print(_open_text(question, variant, answer))
    else:
        taken = answer if isinstance(question, Numeric) and isinstance(answer, str | float | int) else numbers(question, answer)
        print(_verdict_text(question, variant, grade(question, variant, taken)))


def _question_text(question: AnyQuestion, variant: Variant) -> str:
    lines = [_wrap(plain(variant.prompt))]
    lines += [_wrap(plain(variant.options[n][0]), f"  {letter}) ") for letter, n in zip(LETTERS, shown(question), strict=False)]
    if isinstance(question, Open):
        lines.append(f'Say it aloud or write it down, then score yourself: check("{question.id}", "").')
    else:
        lines.append(f'Answer: check("{question.id}", ...) with {_form(question)}.')
    return "\n".join(lines)


def shown(question: AnyQuestion) -> Sequence[int]:
    """The options in the order of their letters: the file's, which for an ``order`` question would be the answer."""
    if isinstance(question, Order):
        return shown_order(question)
    return range(len(question.options)) if isinstance(question, Choice | Multi) else ()


def _form(question: AnyQuestion) -> str:
    if isinstance(question, Numeric):
        return f"a quantity in {question.answer.unit}" if question.answer.unit else "a number"
    if isinstance(question, Order):
        return "all letters in your order"
    return "a letter" if isinstance(question, Choice) else "letters"


def _verdict_text(question: AnyQuestion, variant: Variant, verdict: Verdict) -> str:
    lines = [_wrap(verdict.say)]
    if verdict.slip is not None:
        lines.append(_wrap(plain(variant.slips[verdict.slip][1])))
    order = list(shown(question))
    lines += [_wrap(plain(variant.options[n][1]), f"  {LETTERS[order.index(n)]}) ") for n in verdict.show]
    if verdict.right and variant.explain:
        lines.append(_wrap(plain(variant.explain)))
    return "\n".join(lines)


def _open_text(question: Open, variant: Variant, answer: str | float | Collection[str]) -> str:
    lines = ["A model answer:", _wrap(plain(variant.model_answer), "  "), "The rubric:"]
    points = zip(question.rubric, variant.rubric, strict=True)
    lines += [_wrap(plain(text), f"  {n}. ") + f" [{point.worth}]" for n, (point, text) in enumerate(points, 1)]
    if answer != "":
        lines.append(grade(question, variant, numbers(question, answer)).say)
    return "\n".join(lines)


def numbers(question: AnyQuestion, answer: str | float | Collection[str]) -> list[int]:
    """Option numbers from 0, of letters for a choice and of rubric numbers from 1 for an open question."""
    if isinstance(question, Choice | Multi | Order):
        names = list(LETTERS[: len(question.options)])
    else:
        names = [str(n) for n in range(1, len(question.rubric) + 1)] if isinstance(question, Open) else []
    if isinstance(answer, str | float | int):
        text = str(answer).replace(",", " ")
        typed = list(text.replace(" ", "")) if names[:1] == ["a"] and text.replace(" ", "").isalpha() else text.split()  # "cab" is c, a, b
    else:
        typed = [str(part) for part in answer]
    for part in typed:
        if part.lower() not in names:
            raise InputError(f"answer {part!r} to {question.id}: choose from {', '.join(names) or 'a quantity such as 2.1e9 or 2.1 GB'}")
    found = [names.index(part.lower()) for part in typed]
    return [shown(question)[number] for number in found] if isinstance(question, Order) else found


def _wrap(text: str, lead: str = "") -> str:
    """Paragraphs of 100 columns, hanging under ``lead``; lines of code stay as they are."""
    indent = " " * len(lead)
    paragraphs = [textwrap.fill(part, 100, initial_indent=indent, subsequent_indent=indent) for part in text.split("\n\n")]
    return lead + "\n".join(paragraphs).lstrip()
