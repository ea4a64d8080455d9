"""Variants: a question made concrete, every text filled and every number computed.

A numeric question has several, drawn from its params by a seed that depends on its id alone; every other kind has one.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from napkinmath import units
from napkinmath.errors import InputError

from ..evaluate import Evaluated, evaluate
from .machine import NoProfile, this_machine
from .schema import Answer, AnyQuestion, Choice, Multi, Numeric, Order, Slip, Value
from .template import fill

#: Fewer draws than this and a reader learns the answer instead of the method.
MIN_VARIANTS = 5
#: Things to put in order that differ by less than this factor are no question about judgement.
MIN_STEP = 1.1
_INTERNAL_LINK = re.compile(r"\]\((?!https?://)[^)]*\)")


@dataclass(frozen=True)
class Variant:
    """One concrete question. All texts are Markdown.

    Attributes:
        index: its number among the question's variants.
        prompt: what is asked.
        explain: why the answer is what it is; empty when there is nothing to add.
        options: (text, feedback) of each option of a choice, or of each thing to put in order.
        rubric: the points of an open question.
        model_answer: of an open question.
        answer: of a numeric question, in base units.
        answer_text: the same as shown, ``2.15 GB``.
        slips: (value in base units, what to say) of each slip.
    """

    index: int
    prompt: str
    explain: str = ""
    options: tuple[tuple[str, str], ...] = ()
    rubric: tuple[str, ...] = ()
    model_answer: str = ""
    answer: float = math.nan
    answer_text: str = ""
    slips: tuple[tuple[float, str], ...] = ()


def variants(question: AnyQuestion) -> tuple[Variant, ...]:
    """Every variant of a question.

    Raises:
        NoProfile: the question is about this machine, which has no profile.
        InputError: a template that does not fill, too few draws, an answer that is not finite and positive, slips that
            cannot be told from the answer or from one another, or things in another order than their values.
    """
    if isinstance(question, Numeric):
        return tuple(_numeric(question, index, fields) for index, fields in enumerate(draws(question)))
    base = Variant(0, prompt=_fill("prompt", question.prompt, {}), explain=_fill("explain", question.explain or "", {}))
    if isinstance(question, Choice | Multi | Order):
        options = tuple((_fill("options", option.text, {}), _fill("options", option.feedback, {})) for option in question.options)
        if isinstance(question, Order):
            _check_order(question)
        return (replace(base, options=options),)
    rubric = tuple(_fill("rubric", point.point, {}) for point in question.rubric)
    return (replace(base, rubric=rubric, model_answer=_fill("model_answer", question.model_answer, {})),)


def shown_order(question: Order) -> tuple[int, ...]:
    """The order in which a notebook, a terminal and paper show an ``order`` question: by its id alone, and never the right one."""
    order = list(range(len(question.options)))
    random.Random(question.id).shuffle(order)
    return tuple(order if order != sorted(order) else [*order[1:], order[0]])


def draws(question: Numeric) -> list[dict[str, Value]]:
    """The params of each variant: all of the grid, or as many of it as ``variants`` says, the same at every build."""
    params = question.params
    if isinstance(params, list):
        table = params
    else:
        table = [dict(zip(params, values, strict=True)) for values in itertools.product(*params.values())]
    if len(table) < MIN_VARIANTS:
        raise InputError(f"params: {len(table)} draws are possible; {MIN_VARIANTS} or more are needed, so list more values")
    if len(table) <= question.variants:
        return table
    chosen = random.Random(question.id).sample(range(len(table)), question.variants)
    return [table[index] for index in sorted(chosen)]


def _numeric(question: Numeric, index: int, fields: dict[str, Value]) -> Variant:
    try:
        return computed(question, index, fields)
    except NoProfile:
        raise
    except InputError as error:
        drawn = ", ".join(f"{name}={value}" for name, value in fields.items())
        raise InputError(f"{error} (variant {index}: {drawn})") from error


def computed(question: Numeric, index: int, fields: Mapping[str, Any]) -> Variant:
    """The variant of an estimate that these fields make.

    Args:
        question: its ``params`` are not looked at.
        index: the variant's number.
        fields: values by name; an :class:`~workbook.evaluate.Evaluated` brings its unit and its text.

    Raises:
        InputError: as :func:`variants` does.
    """
    here = {**fields, "this_machine": this_machine()} if question.machine else fields
    answer = _answer(question.answer, here, fields)
    known = {**here, "answer": answer}
    slips = tuple((_slip(n, slip, answer, known), _fill(f"slips[{n}].say", slip.say, known)) for n, slip in enumerate(question.slips))
    _check_distinct(question, answer, slips)
    return Variant(
        index,
        prompt=_fill("prompt", question.prompt, here),
        explain=_fill("explain", question.explain or "", known),
        answer=float(answer.value),
        answer_text=answer.text,
        slips=slips,
    )


def _answer(answer: Answer, known: Mapping[str, Any], params: Iterable[str]) -> Evaluated:
    """The answer as computed, shown in the unit asked for, with a prefix when that is a base unit."""
    expression = answer.expr
    if answer.call is not None:
        arguments = {**{name: name for name in params}, **{name: repr(value) for name, value in answer.args.items()}}
        expression = f"{answer.call}({', '.join(f'{name}={value}' for name, value in arguments.items())})"
    try:
        one = units.parse(f"1 {answer.unit}")
        computed = evaluate(f"{expression} -> {answer.unit or 'number'}", known)
    except InputError as error:
        raise InputError(f"answer: {error}") from error
    value = _positive("answer", computed.value)
    if answer.whole and not value.is_integer():
        raise InputError(f"answer: {value:g} is not a whole number, and 'whole' says that the answer is")
    is_base = answer.unit == one.unit and answer.unit != ""
    return Evaluated(value, one.unit, units.fmt(value, one.unit) if is_base else computed.text)


def _slip(number: int, slip: Slip, answer: Evaluated, known: dict[str, Any]) -> float:
    name = f"slips[{number}]"
    if slip.factor is not None:
        return _positive(name, slip.factor * answer.value)
    return _value(name, str(slip.expr), known)


def _value(name: str, expression: str, known: Mapping[str, Any] | None = None) -> float:
    try:
        value = evaluate(expression, known).value
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return _positive(name, value)


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{name}: {value!r} is not a finite number above zero")
    return float(value)


def _check_order(question: Order) -> None:
    """The values, where they are given, must rise or fall in the order of the file."""
    if question.options[0].value is None:
        return
    values = [_value(f"options[{n}].value", str(option.value)) for n, option in enumerate(question.options)]
    rising = values[-1] > values[0]
    for n, (left, right) in enumerate(itertools.pairwise(values)):
        if (right / left if rising else left / right) < MIN_STEP:
            way = "above" if rising else "below"
            raise InputError(f"options[{n + 1}].value: {right:.6g} is not {MIN_STEP - 1:.0%} or more {way} options[{n}] ({left:.6g})")


def _check_distinct(question: Numeric, answer: Evaluated, slips: tuple[tuple[float, str], ...]) -> None:
    """Every slip's band, as wide as the exact one, must lie clear of the answer's and of every other slip's."""
    named = [("the exact answer", float(answer.value)), *((f"slips[{n}]", value) for n, (value, _) in enumerate(slips))]
    for (left_name, left), (right_name, right) in itertools.combinations(named, 2):
        if max(left / right, right / left) <= question.grade.exact**2:
            raise InputError(f"{right_name} ({right:.6g}) cannot be told from {left_name} ({left:.6g}) with exact={question.grade.exact:g}")


def _fill(name: str, text: str, fields: Mapping[str, Any]) -> str:
    if link := _INTERNAL_LINK.search(re.sub(r"`[^`]*`", "", text)):
        raise InputError(f"{name}: the link {link[0]!r} leads nowhere in a notebook, a terminal or Anki; write an address")
    try:
        return fill(text, fields)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
