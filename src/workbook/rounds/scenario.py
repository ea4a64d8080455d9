"""A round made concrete: requirements drawn, every candidate costed on every device, the choice, and the number that turns it.

Nothing here knows a formula. A choice is made by looking at every candidate on every device; what turns it is found by making the choice
anew at each stop of a requirement.
"""

from __future__ import annotations

import ast
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import napkinmath
from napkinmath import units
from napkinmath.errors import InputError

from ..definitions import Definition, joined
from ..evaluate import compiled, parsed
from .schema import Round, read

#: Where a turn of the choice is looked for: this many stops, evenly in the logarithm.
STOPS = 61
#: And between two of them, by halving this often.
_HALVINGS = 12
#: Draws that are tried before too few of them can be answered.
_TRIES = 2000

Values = Mapping[str, Any]
_PLAIN = {int, float, str, bool}


@dataclass(frozen=True)
class Offer:
    """A candidate on a device: its figures in base units, and the limits that it breaks, as columns."""

    candidate: str
    device: str
    figures: Mapping[str, float]
    breaks: tuple[str, ...]


@dataclass(frozen=True)
class Flip:
    """Where the choice turns: the requirement's value in base units, and who is chosen beyond it; None when nobody holds the limits."""

    value: float
    to: str | None


@dataclass(frozen=True)
class Draw:
    """Requirements in base units, what every candidate makes of them, the best, and what would turn that."""

    given: Mapping[str, float]
    offers: tuple[Offer, ...]
    best: Offer
    flip: Flip


def best(offers: Sequence[Offer], least: str) -> Offer | None:
    """The offer with the least of a column among those that hold every limit."""
    return min((offer for offer in offers if not offer.breaks), key=lambda offer: offer.figures[least], default=None)


@dataclass(frozen=True)
class Scenario:
    """A round's arithmetic, compiled once."""

    name: str
    round: Round
    constants: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Definitions that no requirement enters, with units, as :mod:`workbook.rounds.estimates` finds them."""
    _known: dict[str, dict[Any, Any]] = field(default_factory=dict, compare=False, repr=False)  # what formulas gave, by arguments

    # What the author wrote ---------------------------------------------------------------------------------------------

    @cached_property
    def quantities(self) -> dict[str, tuple[units.Quantity, ...]]:
        """The values that each requirement may have.

        Raises:
            InputError: one does not parse, or they have more than one unit.
        """
        found = {}
        for name, given in self.round.given.items():
            found[name] = tuple(units.parse(value) for value in given.values)
            if len({quantity.unit for quantity in found[name]}) > 1:
                raise InputError(f"given.{name}: {', '.join(given.values)} have more than one unit")
        return found

    def unit(self, name: str) -> str:
        """The base unit of a requirement."""
        return self.quantities[name][0].unit

    @cached_property
    def definitions(self) -> list[Definition]:
        """The round's ``let``, in its order."""
        return [Definition.read(line) for _, line in joined(self.round.let.splitlines())]

    @cached_property
    def drawn(self) -> set[str]:
        """Names that depend on the requirements, directly or through another."""
        found = set(self.round.given)
        for definition in self.definitions:
            used = {node.id for node in ast.walk(parsed(definition.source)) if isinstance(node, ast.Name)}
            if used - set(definition.parameters or ()) & found:
                found.add(definition.name)
        return found

    @cached_property
    def _compiled(self) -> dict[str, Callable[[Values], Any]]:
        """Every expression of the round, by its text."""
        own = self.round
        facts = (text for candidate in own.candidates.values() for text in candidate.facts.values())
        bounds = (limit.at_most or limit.at_least or "" for limit in own.limits)
        columns = (column.value for column in own.columns.values())
        return {text: compiled(text) for text in {*facts, *bounds, *columns, *(one.source for one in self.definitions)}}

    # Its arithmetic ----------------------------------------------------------------------------------------------------

    def scope(self, given: Values) -> dict[str, Any]:
        """Every name that the requirements and the definitions give, in base units."""
        names = dict(given)
        for one in self.definitions:
            names[one.name] = self._compiled[one.source](names) if one.parameters is None else self._formula(one, names)
        return names

    def _formula(self, one: Definition, names: Values) -> Callable[..., Any]:
        """A definition with parameters, as a function that remembers; beyond this draw where no requirement enters."""
        known: dict[Any, Any] = {} if one.name in self.drawn else self._known.setdefault(one.name, {})
        compute, parameters = self._compiled[one.source], one.parameters or ()

        def formula(*args: Any) -> Any:
            if len(args) != len(parameters):
                raise InputError(f"{one.name} takes ({', '.join(parameters)})")
            key = tuple([arg if type(arg) in _PLAIN else id(arg) for arg in args])
            found = known.get(key)
            if found is None:  # kept with its arguments, so that none of them makes room for another with its identity
                found = known[key] = compute({**names, **dict(zip(parameters, args, strict=True))}), args
            return found[0]

        return formula

    def offers(self, given: Values) -> tuple[Offer, ...]:
        """Every candidate on every device that it may run on."""
        names = self.scope(given)
        return tuple(self._offer(names, *pair) for pair in self._pairs())

    def _pairs(self) -> Iterator[tuple[str, str]]:
        for name, candidate in self.round.candidates.items():
            yield from ((name, device) for device in candidate.devices or self.round.devices)

    def _offer(self, names: Values, candidate: str, device: str) -> Offer:
        own = {**names, "device": napkinmath.device(device), "dtype": self.round.devices[device]}
        for name, text in self.round.candidates[candidate].facts.items():
            own[name] = self._compiled[text](own)
        for name, column in self.round.columns.items():
            own[name] = self._compiled[column.value](own)
        figures = {name: own[name] for name in self.round.columns}
        breaks = []
        for limit in self.round.limits:
            bound = self._compiled[limit.at_most or limit.at_least or ""](own)
            if not (figures[limit.column] <= bound if limit.at_most else figures[limit.column] >= bound):
                breaks.append(limit.column)
        return Offer(candidate, device, figures, tuple(breaks))

    def choice(self, given: Values) -> Offer | None:
        return best(self.offers(given), self.round.least)

    # What turns the choice ---------------------------------------------------------------------------------------------

    @cached_property
    def stops(self) -> tuple[float, ...]:
        """The values at which a turn is looked for; whole ones of a requirement whose values are whole."""
        low, high = (units.parse(text).value for text in (self.round.flip.low, self.round.flip.high))
        even = [low * (high / low) ** (step / (STOPS - 1)) for step in range(STOPS)]
        return tuple(dict.fromkeys(round(stop) for stop in even)) if self._whole else tuple(even)

    @cached_property
    def _whole(self) -> bool:
        """Whether the flip's requirement is counted in whole things."""
        values = [*(one.value for one in self.quantities[self.round.flip.given]), units.parse(self.round.flip.low).value]
        return all(value == int(value) >= 1 for value in values)

    def flip(self, given: Values, chosen: str) -> Flip | None:
        """The nearest value of the round's requirement at which another candidate is chosen; None where there is none."""
        name = self.round.flip.given
        here = float(given[name])
        ways = ([stop for stop in self.stops if stop > here], [stop for stop in reversed(self.stops) if stop < here])
        found = [flip for way in ways if (flip := self._turn(given, chosen, [here, *way]))]
        return min(found, key=lambda flip: abs(math.log(flip.value / here)), default=None)

    def _turn(self, given: Values, chosen: str, stops: Sequence[float]) -> Flip | None:
        for before, after in itertools.pairwise(stops):
            if self._chosen(given, after) != chosen:
                return self._narrowed(given, chosen, before, after)
        return None

    def _narrowed(self, given: Values, chosen: str, before: float, after: float) -> Flip:
        """A turn between two stops, by halving; between whole ones where the requirement's values are whole."""
        for _ in range(_HALVINGS):
            middle = math.sqrt(before * after)
            if self._whole:
                middle = round(middle)
                if middle in (before, after):
                    break
            if self._chosen(given, middle) == chosen:
                before = middle
            else:
                after = middle
        return Flip(after if self._whole else math.sqrt(before * after), self._chosen(given, after))

    def _chosen(self, given: Values, value: float) -> str | None:
        offer = self.choice({**given, self.round.flip.given: value})
        return offer.candidate if offer else None

    # Draws -------------------------------------------------------------------------------------------------------------

    @cached_property
    def draws(self) -> tuple[Draw, ...]:
        """The requirements that readers meet, the page's own first; the same at every build.

        Requirements that no candidate holds, or that nothing between the flip's ends turns, are nobody's round.

        Raises:
            InputError: the first values of all requirements are such, or too few others are not.
        """
        own = self.quantities
        first = self._draw({name: values[0].value for name, values in own.items()})
        if first is None:
            raise InputError("given: with the first value of each, no candidate holds the limits, or nothing turns the choice")
        found = [first]
        random_ = random.Random(self.name)
        seen = {tuple(first.given.values())}
        for _ in range(_TRIES):
            given = {name: random_.choice(values).value for name, values in own.items()}
            if tuple(given.values()) in seen:
                continue
            seen.add(tuple(given.values()))
            if draw := self._draw(given):
                found.append(draw)
            if len(found) == self.round.draws:
                return tuple(found)
        raise InputError(f"given: only {len(found)} of {self.round.draws} draws have an answer; list more values, or other limits")

    def _draw(self, given: Values) -> Draw | None:
        offers = self.offers(given)
        chosen = best(offers, self.round.least)
        flip = self.flip(given, chosen.candidate) if chosen else None
        return Draw(given, offers, chosen, flip) if chosen and flip else None


def load(path: Path) -> Scenario:
    """The round of a file, computed once as long as the file stays as it is.

    Raises:
        InputError: with file and line.
    """
    try:
        about = path.stat()
    except OSError:
        raise InputError(f"{path}: no such round; questions/rounds/README.md says how one is written") from None
    return _unchanged(path, about.st_mtime, about.st_size)


@cache
def _unchanged(path: Path, modified: float, size: int) -> Scenario:
    return Scenario(path.stem, read(path))
