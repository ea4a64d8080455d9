"""A round's estimates, and the number that turns its choice, as questions of the self-check: a variant for each draw.

Expressions see the requirements and definitions by their names, with units, and what was computed from them: ``offers`` (a column of a
candidate on a device: ``offers["distilbert"]["l4"]["fleet"]``), ``best`` (its columns, ``best["say"]``, ``best["candidate"]``,
``best["device"]``), ``flip`` (the requirement's value there) and ``flip_to`` (who is chosen beyond it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import napkinmath
from napkinmath import units
from napkinmath.errors import InputError

from ..evaluate import Evaluated, Formula, evaluate
from ..questions.schema import Answer, Numeric
from ..questions.variants import Variant, computed
from .scenario import Draw, Offer, Scenario

#: What is said of a turn beyond which nobody holds the limits.
NOBODY = "no candidate"


def shown(value: float, unit: str) -> Evaluated:
    """A figure in base units with the text that readers see."""
    return Evaluated(value, unit, units.fmt(value, unit))


def names(scenario: Scenario, draw: Draw) -> dict[str, Any]:
    """Every name that an expression about a draw may use, with its unit.

    Raises:
        InputError: a definition that mixes units, or that napkinmath or a requirement has the name of.
    """
    found: dict[str, Any] = {name: shown(value, scenario.unit(name)) for name, value in draw.given.items()}
    for one in scenario.definitions:
        if one.name in found or one.name in napkinmath.namespace():
            raise InputError(f"let: {one.name!r} is a name of {'this round' if one.name in found else 'napkinmath'} already")
        if one.name not in scenario.drawn:
            found[one.name] = _constant(scenario, one.name, found)
        elif one.parameters is None:
            found[one.name] = evaluate(one.source, found)
        else:
            found[one.name] = Formula(one.name, one.parameters, one.source, found)
    offers: dict[str, dict[str, Any]] = {}
    for offer in draw.offers:
        offers.setdefault(offer.candidate, {})[offer.device] = _figures(scenario, offer)
    best = {"candidate": draw.best.candidate, "device": draw.best.device, "say": scenario.round.candidates[draw.best.candidate].say}
    flip, flip_to = turn(scenario, draw)
    return found | {"offers": offers, "best": _figures(scenario, draw.best) | best, "flip": flip, "flip_to": flip_to}


def turn(scenario: Scenario, draw: Draw) -> tuple[Evaluated, str]:
    """Where a draw's choice turns, and who is chosen beyond it, as readers see them."""
    own = scenario.round
    return shown(draw.flip.value, scenario.unit(own.flip.given)), own.candidates[draw.flip.to].say if draw.flip.to else NOBODY


def _constant(scenario: Scenario, name: str, found: Mapping[str, Any]) -> Any:
    """What does not depend on the requirements is computed once, and a formula remembers over all draws."""
    if name not in scenario.constants:
        one = next(one for one in scenario.definitions if one.name == name)
        named = {key: found[key] for key in scenario.constants}
        formula = Formula(one.name, one.parameters or (), one.source, named)
        scenario.constants[name] = evaluate(one.source, named) if one.parameters is None else formula
    return scenario.constants[name]


def _figures(scenario: Scenario, offer: Offer) -> dict[str, Any]:
    return {name: shown(value, scenario.round.columns[name].unit) for name, value in offer.figures.items()}


def questions(scenario: Scenario) -> list[tuple[Numeric, list[Variant]]]:
    """The round's estimates, then its turn, each with a variant for every draw.

    Raises:
        InputError: as :func:`workbook.questions.variants.variants` does, with the question and the draw.
    """
    named = [names(scenario, draw) for draw in scenario.draws]
    return [(question, _variants(scenario, question, named)) for question in _numerics(scenario)]


def _numerics(scenario: Scenario) -> list[Numeric]:
    own = scenario.round
    *ids, turn_id = own.question_ids(scenario.name)
    common: dict[str, Any] = {"version": own.version, "kind": "numeric", "params": {}}
    taken = ("prompt", "answer", "grade", "slips", "explain")
    estimates = [
        Numeric(id=id, level=2, **{name: getattr(one, name) for name in taken}, **common)
        for id, one in zip(ids, own.estimates, strict=True)
    ]
    say = own.given[own.flip.given].say
    turns = f"All else as it is: which value of **{say}**, the nearest in either direction, makes another candidate the choice?"
    prompt = f"{own.prompt.strip()}\n\n{turns}"
    answer = Answer(expr="flip", unit=own.flip.unit)
    last = Numeric(id=turn_id, level=3, prompt=prompt, answer=answer, grade=own.flip.grade, explain=own.flip.explain, **common)
    return [*estimates, last]


def _variants(scenario: Scenario, question: Numeric, named: Sequence[Mapping[str, Any]]) -> list[Variant]:
    found = []
    for index, fields in enumerate(named):
        try:
            found.append(computed(question, index, fields))
        except InputError as error:
            drawn = ", ".join(f"{name} {fields[name].text}" for name in scenario.round.given)
            raise InputError(f"{question.id}: {error} (draw {index}: {drawn})") from error
    return found
