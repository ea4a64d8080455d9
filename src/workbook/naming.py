"""Units by name: what a function or attribute is called says its unit, and arithmetic carries units along."""

from __future__ import annotations

from typing import Any

from napkinmath import units
from napkinmath.errors import InputError

#: A unit as powers of base units: FLOP/s is {"FLOP": 1, "s": -1}.
Powers = dict[str, int]


def unit_of(name: str) -> str:
    """The unit that a function's or attribute's name says, or ``""``.

    >>> unit_of("kv_cache_bytes"), unit_of("memory_bandwidth_bytes_per_s"), unit_of("bytes_moved"), unit_of("d_model")
    ('B', 'B/s', 'B', '')
    """
    return spell(powers_of(name))


_UNIT_OF_WORD = {
    "bytes": "B",
    "flops": "FLOP",
    "flop": "FLOP",
    "macs": "MAC",
    "s": "s",
    "seconds": "s",
    "j": "J",
    "w": "J/s",
    "params": "params",
    "usd": "$",
    "share": "%",
    "fraction": "%",
    "tokens": "tokens",
    "token": "tokens",
    "seq": "tokens",
    "requests": "requests",
    "request": "requests",
    "images": "images",
    "image": "images",
    "samples": "samples",
    "sample": "samples",
}

#: Things counted. Beside a physical unit they drop out, so that ``2 * params * tokens`` may be shown as FLOP.
COUNTS = {*units.COUNTS, "%"}

#: Names whose unit is not their last word.
_UNIT_OF_NAME = {
    "intensity": "FLOP/B",
    "arithmetic_intensity": "FLOP/B",
    "ridge_intensity": "FLOP/B",
    "bytes_moved": "B",
    "bytes_read": "B",
    "bytes_written": "B",
    "useful_causal_flops": "FLOP",
    "peak_flops": "FLOP/s",
    "seq": "",
    "s": "",
}


def powers_of(name: str) -> Powers:
    if name in _UNIT_OF_NAME:
        return parse_unit(_UNIT_OF_NAME[name])
    if name.endswith("_intensity"):
        return parse_unit("FLOP/B")
    top, per, bottom = name.partition("_per_")
    powers = parse_unit(_UNIT_OF_WORD.get(top.rsplit("_", 1)[-1], ""))
    if per and powers:
        powers = combine(powers, parse_unit(_UNIT_OF_WORD.get(bottom, "")), -1)
    return powers


def parse_unit(unit: str) -> Powers:
    top, _, bottom = unit.partition("/")
    return {name: power for name, power in ((top, 1), (bottom, -1)) if name}


def combine(left: Powers, right: Powers, sign: int) -> Powers:
    """The unit of a product (``sign=1``) or a quotient (``sign=-1``). A percentage is a plain factor."""
    powers = {unit: power for unit, power in left.items() if unit != "%"}
    for unit, power in right.items():
        if unit != "%":
            powers[unit] = powers.get(unit, 0) + sign * power
    return {unit: power for unit, power in powers.items() if power}


def physical_part(powers: Powers) -> Powers:
    return {unit: power for unit, power in powers.items() if unit not in COUNTS}


def spell(powers: Powers) -> str:
    """``{"B": 1, "s": -1}`` as ``B/s``; a product as ``B*s``."""

    def side(sign: int) -> list[str]:
        return [unit if power * sign == 1 else f"{unit}^{power * sign}" for unit, power in powers.items() if power * sign > 0]

    top, bottom = side(1), side(-1)
    return "*".join(top or ["1"]) + "".join("/" + unit for unit in bottom) if powers else ""


def same_unit(quantities: list[tuple[Any, Powers]], where: str) -> Powers:
    """The unit that all share; one without a unit goes with any, a count with any other."""
    named = [powers for _, powers in quantities if powers]
    physical = [physical_part(powers) for powers in named if physical_part(powers)]
    if any(powers != physical[0] for powers in physical):
        raise InputError(f"`{where}` mixes {' and '.join(dict.fromkeys(map(spell, physical)))}")
    return next((powers for powers in named if physical_part(powers)), named[0] if named else {})
