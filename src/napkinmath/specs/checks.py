"""The check that every field of a spec goes through, by its annotation."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Collection
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import InputError, did_you_mean, shown

#: Beyond any model: larger sizes are typing errors.
LARGEST = 10**12

#: Most repetitions of what is laid out one by one: more is no network, and would take for ever.
MOST_REPEATED = 1000


def positive_int(name: str, value: object, *, least: int = 1, most: int = LARGEST) -> int:
    """Return ``value`` if it is an integer from ``least`` to ``most``.

    Raises:
        InputError: names the input, and the nearest allowed value.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        nearest = max(least, round(value)) if isinstance(value, float) and math.isfinite(value) and abs(value) < 1e18 else least
        raise InputError(f"{name}={shown(value)} is not a whole number; allowed: integers from {least}; nearest: {nearest}")
    if not least <= value <= most:
        nearest = min(max(value, least), most)
        raise InputError(f"{name}={shown(value)} is out of range; allowed: {least} to {most:,}; nearest: {nearest:,}")
    return value


def divisors(number: int) -> list[int]:
    """All whole numbers that divide ``number``, in about its square root of steps.

    >>> sorted(divisors(12))
    [1, 2, 3, 4, 6, 12]
    """
    low = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    return [*low, *(number // n for n in low if n * n != number)]


def check_fields(spec: Any, *, may_be_zero: Collection[str] = (), repeated: Collection[str] = (), prefix: str = "") -> None:
    """Hold each field of a dataclass against its annotation; lists, and single values where several may stand, become tuples.

    Args:
        spec: the instance, frozen or not.
        may_be_zero: whole numbers that may be 0. Those whose default is 0 or None may as well; all others are positive.
        repeated: whole numbers that a ledger goes through one by one: at most :data:`MOST_REPEATED`.
        prefix: stands before the fields' names in messages.

    Raises:
        InputError: names the field and what is allowed.
    """
    cls: Any = type(spec)
    for field in _annotated(cls):
        value = getattr(spec, field.name)
        if value is None and field.optional:
            continue
        if field.required and isinstance(value, tuple | list) and not value:
            raise InputError(f"{prefix}{field.name} is empty; give at least one")
        limits = {
            "least": 0 if field.zero or field.name in may_be_zero else 1,
            "most": MOST_REPEATED if field.name in repeated else LARGEST,
        }
        object.__setattr__(spec, field.name, _checked(prefix + field.name, value, field.kind, limits))


@dataclass(frozen=True, slots=True)
class _Field:
    """A field's name and what its annotation and default say."""

    name: str
    kind: Any
    optional: bool
    zero: bool
    required: bool


@functools.cache
def _annotated(cls: Any) -> tuple[_Field, ...]:
    hints, found = get_type_hints(cls), []
    for field in fields(cls):
        union = get_origin(hints[field.name]) in (Union, types.UnionType)
        parts = get_args(hints[field.name]) if union else (hints[field.name],)
        kind = next(part for part in parts if part is not types.NoneType)
        zero = field.default is None or (field.default == 0 and field.default is not False)
        found.append(_Field(field.name, kind, types.NoneType in parts, zero, field.default is MISSING))
    return tuple(found)


def _checked(name: str, value: Any, kind: Any, limits: dict[str, int]) -> Any:
    """``value`` as its annotation has it."""
    if kind is int:
        return positive_int(name, value, **limits)
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{name}={shown(value)} is not a number")
        return value
    origin = get_origin(kind)
    if origin is Literal:
        if not isinstance(value, str) or value not in get_args(kind):
            near = did_you_mean(value if isinstance(value, str) else shown(value), get_args(kind))
            raise InputError(f"{name}={shown(value)} is not known.{near}")
        return value
    if origin is tuple:
        parts = value if isinstance(value, tuple | list) else (value,)
        one = get_args(kind)[0]
        return tuple(_checked(name if len(parts) == 1 else f"{name}[{i}]", part, one, limits) for i, part in enumerate(parts))
    if kind is str and isinstance(value, str) and not value.isprintable():
        raise InputError(f"{name}={shown(value)} has characters that cannot be printed on a line")
    if not isinstance(value, origin or kind):
        allowed = {bool: "neither true nor false; use one of them", str: "not text"}.get(kind, f"no {kind.__name__}")
        raise InputError(f"{name}={shown(value)} is {allowed}")
    return value
