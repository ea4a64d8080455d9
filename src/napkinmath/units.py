"""Format quantities for people, and read them as people type them.

Values are SI floats in base units: ``B``, ``FLOP``, ``MAC``, ``s``, ``J``, ``$``, the counts (``params``, ``tokens``, ...), ``%`` (a
fraction: 0.27 is 27%), ``""`` for a plain number, and quotients of two of them such as ``FLOP/s``, ``B/tokens`` or ``J/s`` (a watt).
GB is 1e9 bytes, GiB is 2**30.

Every unit that :func:`parse` knows is in :func:`table`, which the website's grader reads too: there is no second list.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from .errors import InputError

ONE = {"": 1.0}
SI = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
BINARY = {"": 1.0, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
COUNT = {"": 1.0, "M": 1e6, "B": 1e9, "T": 1e12}
SMALL = {"p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0}
CLOCK = {"min": 60.0, "h": 3600.0, "days": 86400.0}

#: Things counted: written in full below a million, then with M, B (billion) or T.
COUNTS = ("params", "tokens", "requests", "images", "samples", "pixels", "elements", "layers", "users")

#: What may stand between a number and its unit, or for it: 7B, 1.2k, 3 million tokens.
SCALES = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "bn": 1e9, "T": 1e12, "P": 1e15}
SCALES |= {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}

_LARGE = SI | {"K": 1e3, "Z": 1e21, "Y": 1e24}
_ENERGY = SMALL | SI
_SPELLINGS: list[tuple[str, float, str, dict[str, float]]] = [  # names, factor, base unit, prefixes
    ("B", 1, "B", _LARGE | BINARY),
    ("b", 1, "B", {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}),  # all in lower case, people mean bytes
    ("byte bytes", 1, "B", {"": 1.0, "kilo": 1e3, "mega": 1e6, "giga": 1e9, "tera": 1e12}),
    ("bit bits", 1 / 8, "B", SI),
    ("Bps", 1, "B/s", _LARGE),
    ("bps", 1 / 8, "B/s", SI),
    ("FLOP FLOPs", 1, "FLOP", _LARGE),
    ("MAC MACs", 1, "MAC", _LARGE),
    ("J joule joules", 1, "J", _ENERGY),
    ("W watt watts", 1, "J/s", _ENERGY),
    ("Wh", 3600, "J", _ENERGY),
    ("s", 1, "s", SMALL | {"u": 1e-6, "\N{GREEK SMALL LETTER MU}": 1e-6}),
    ("second seconds", 1, "s", {"": 1.0, "milli": 1e-3, "micro": 1e-6, "nano": 1e-9}),
    ("sec secs", 1, "s", ONE),
    ("min mins minute minutes", 60, "s", ONE),
    ("h hr hrs hour hours", 3600, "s", ONE),
    ("d day days", 86400, "s", ONE),
    ("week weeks", 7 * 86400, "s", ONE),
    *((f"{name} {name[:-1]}", 1, name, ONE) for name in COUNTS),
    ("parameter parameters weights", 1, "params", ONE),
    ("tok toks", 1, "tokens", ONE),
    ("req reqs query queries", 1, "requests", ONE),
    ("qps rps", 1, "requests/s", ONE),
    ("tps", 1, "tokens/s", ONE),
    ("% percent", 0.01, "%", ONE),
    ("x times", 1, "", ONE),
    ("$ USD dollar dollars", 1, "$", ONE),
    ("cent cents", 0.01, "$", ONE),
]

#: Every spelling of a unit without a slash: its factor and its base unit.
ATOMS: dict[str, tuple[float, str]] = {
    prefix + name: (factor * scale, base)
    for names, scale, base, prefixes in _SPELLINGS
    for name in names.split()
    for prefix, factor in prefixes.items()
}

#: Spellings with several readings. One is taken only where it alone has the unit that was asked for.
AMBIGUOUS: dict[str, list[tuple[float, str, str]]] = {
    "m": [(60.0, "s", "min"), (1e-3, "s", "ms"), (1e6, "", "M")],
    **{p + "b": [(f / 8, "B", p + "bit"), (f, "B", p + "B")] for p, f in SI.items() if p != "k"},
    **{p + name: [(f, "FLOP", p + "FLOP"), (f, "FLOP/s", p + "FLOP/s")] for p, f in SI.items() for name in ("FLOPS", "flops")},
    **{p.lower() + "flops": [(f, "FLOP", p + "FLOP"), (f, "FLOP/s", p + "FLOP/s")] for p, f in SI.items()},
}

#: What is said about text that cannot be taken as a quantity. The website says the same.
SAYS = {
    "empty": "Type a number, for example {example}.",
    "number": "'{text}' does not start with a number. Write it like {example}.",
    "separator": "'{text}': a comma groups digits in threes and a point starts the decimals. Write it like 2,100 or 2.1.",
    "range": "'{text}' is too large or too small to compute with.",
    "unit": "I read the number but not the unit '{unit}'. Write it like {example}.",
    "ambiguous": "'{unit}' can mean {readings}. Which one?",
    "dimension": "'{text}' reads as {got}; the answer is asked for in {want}.",
    "percent": "'{text}': is that {text}% or a fraction of one? Write {text}% or a fraction.",
}


@dataclass(frozen=True)
class Quantity:
    """A value in the base unit ``unit``. ``bare``: typed without a unit, so that the unit is an assumption."""

    value: float
    unit: str
    bare: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return fmt(self.value, self.unit)


def table() -> dict[str, Any]:
    """Everything :func:`parse` knows, as data for another implementation of it."""
    return {"atoms": ATOMS, "ambiguous": AMBIGUOUS, "scales": SCALES, "counts": COUNTS, "says": SAYS}


# Reading --------------------------------------------------------------------------------------------------------------

_PLAIN = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?: \d{3})+(?!\d)|\d+(?:_\d+)*)(?:\.\d*)?|\.\d+"
_FACTOR = rf"({_PLAIN})(e[-+]?\d+)?(?:\s*(?:\^|\*\*)\s*\(?([-+]?\d+)\)?)?"
_NUMBER = re.compile(rf"([-+]?)\s*(\$?)\s*((?:{_FACTOR})(?:\s*[*x]\s*(?:{_FACTOR}))*)", re.IGNORECASE | re.ASCII)
_SPACES = r"[\t\n\v\f\r \u00a0\u2009\u202f]+"
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"


def parse(text: str, unit: str | None = None) -> Quantity:
    """Read a quantity as people type it: ``2.1e9``, ``2,100 MB``, ``2^31``, ``3 x 10^8``, ``40ms``, ``1.5 TFLOP/s``, ``38%``, ``7B``.

    Args:
        text: what was typed.
        unit: the unit asked for (``B``, ``GB``, ``FLOP/s``, ``""`` for a plain number). A number without a unit is taken in
            it; ``7B`` is 7 billion where it is a count. None: any unit will do.

    Returns:
        The value in base units.

    Raises:
        InputError: no number, an unknown or ambiguous unit, or another dimension than ``unit``. The message says what was understood.

    >>> parse("2,100 MB"), parse("7B", "params").value
    (Quantity(value=2100000000.0, unit='B', bare=False), 7000000000.0)
    """
    want = _unit(" " + unit, None) if unit else (1.0, "")
    example = f"2.1 {unit}" if unit and unit != "$" else "2.1e9"
    typed = clean(str(text))
    if not typed:
        raise _ask("empty", example=example)
    plain = re.sub(rf"[{_SUPERSCRIPTS}]+", lambda run: "^" + "".join("0123456789-"[_SUPERSCRIPTS.index(c)] for c in run[0]), typed)
    plain = re.sub("[×·∗]", "*", plain.replace("\N{MINUS SIGN}", "-")).lstrip("~≈= ")
    match = _NUMBER.match(plain)
    if not match:
        raise _ask("number", text=typed, example=example)
    rest = plain[match.end() :]
    if rest[:1] in (",", ".") and rest[1:]:
        raise _ask("separator", text=typed)
    value = (-1 if match[1] == "-" else 1) * _product(match[3])
    if not math.isfinite(value):
        raise _ask("range", text=typed)
    spelled = _currency(rest.strip(" ")) if match[2] else rest
    factor, base = _unit(spelled, want[1] if unit is not None else None, example)
    if unit is not None and base != want[1] and not {base, want[1]} <= {"", "%"}:
        raise _ask("dimension", text=typed, got=base or "a plain number", want=unit or "a plain number")
    bare = not spelled.strip(" ")
    if bare and want[1] == "%":
        if abs(value) > 1:
            raise _ask("percent", text=typed)
    elif bare or (want[0] < 1 and spelled.strip(" ") in SCALES):  # 1.2k asked for in ms is 1,200 ms
        factor *= want[0]
    return Quantity(value * factor, base, bare)


def clean(text: str) -> str:
    """What was typed, every run of spaces one space."""
    return re.sub(_SPACES, " ", text).strip(" ")


def _product(text: str) -> float:
    value = 1.0
    for digits, exponent, power in re.findall(_FACTOR, text, re.IGNORECASE):
        number = float(re.sub(r"[,_ ]", "", digits) + exponent)
        try:
            value *= number ** float(power) if power else number
        except (OverflowError, ZeroDivisionError):
            return math.inf
    return value


def _currency(rest: str) -> str:
    """``$2M`` and ``$2/h`` with the sign where other units stand."""
    top, slash, bottom = rest.partition("/")
    return f"{top} $".strip(" ") + slash + bottom


def _unit(text: str, want: str | None, example: str = "2.1 GB") -> tuple[float, str]:
    """Factor and base of a unit as typed; no unit is the one wanted."""
    if not text.strip(" "):
        return 1.0, want or ""
    top, *bottoms = [part.strip(" ") for part in re.sub(" +per +", "/", text, flags=re.IGNORECASE).split("/")]
    want_top, _, want_bottom = (want or "").partition("/")
    spaceless = text[0] != " "
    if not bottoms:
        return _atom(top, want, example, spaceless)
    if len(bottoms) > 1 or not bottoms[0]:
        raise _ask("unit", unit=text.strip(" "), example=example)
    factor, base = _atom(top, want_top or None, example, spaceless) if top else (1.0, want_top)
    per, below = _atom(bottoms[0], want_bottom or None, example, False)
    if not base or "/" in base + below:
        raise _ask("unit", unit=text.strip(" "), example=example)
    return factor / per, f"{base}/{below}"


def _atom(name: str, want: str | None, example: str, spaceless: bool) -> tuple[float, str]:
    if name in ("B", "b") and (want == "" or want in COUNTS):
        return 1e9, want
    if name == "B" and want is None and spaceless:
        raise _ask("ambiguous", unit=name, readings="bytes or billion")
    readings = AMBIGUOUS.get(name)
    if readings is None:
        if name in ATOMS:
            return ATOMS[name]
        if name in SCALES:
            return SCALES[name], want or ""
        found = {atom for spelling, atom in ATOMS.items() if spelling.lower() == name.lower()}
        if len(found) == 1:
            return found.pop()
        scale, _, counted = name.partition(" ")
        if scale in SCALES and counted in ATOMS:
            factor, base = ATOMS[counted]
            return SCALES[scale] * factor, base
        raise _ask("unit", unit=name, example=example)
    fitting = [(factor, base) for factor, base, _ in readings if base == want]
    if len(fitting) == 1 and want:
        return fitting[0]
    raise _ask("ambiguous", unit=name, readings=" or ".join(spelling for *_, spelling in readings))


def _ask(says: str, **values: str) -> InputError:
    return InputError(SAYS[says].format(**values))


# Writing --------------------------------------------------------------------------------------------------------------


def fmt(value: float, unit: str = "", digits: int = 3, binary: bool = False) -> str:
    """A value in base units, with a prefix that suits its size, to ``digits`` significant digits.

    Whole plain numbers, and counts below a million, are written in full. :func:`parse` reads back what this writes.

    Raises:
        InputError: ``unit`` is not a base unit.

    >>> fmt(2.147e9, "B"), fmt(2**31, "B", binary=True), fmt(0.0384, "s"), fmt(109482240, "params"), fmt(109482240)
    ('2.15 GB', '2 GiB', '38.4 ms', '109 M params', '109,482,240')
    """
    top, slash, bottom = unit.partition("/")
    _check_base(unit, top, bottom)
    if value < 0:
        return "-" + fmt(-value, unit, digits, binary)
    per = slash + _singular(bottom)
    if top == "%":
        return f"{_figures(value * 100, digits)}%{per}"
    if top == "$":
        return f"${_money(value, digits)}{per}"
    if top == "s" and not per and value >= 120:
        name, seconds = max((pair for pair in CLOCK.items() if value >= 2 * pair[1]), key=lambda pair: pair[1])
        return f"{_figures(value / seconds, digits)} {name}"
    if not unit or unit == "FLOP/B":
        return f"{_figures(value, digits)} {unit}".strip()
    if top in COUNTS:
        if value < 1e6 and round(value) < 1e6:
            noun = _singular(top) if value == 1 else top
            return f"{_figures(value, digits)} {noun}{per}"
        number, prefix = _scaled(value, COUNT, digits)
        return " ".join(filter(None, (number, prefix, top + per)))
    if unit == "J/s":
        top, per = "W", ""
    prefixes = SMALL if top == "s" else _ENERGY if top in ("J", "W") else BINARY if binary and top == "B" else SI
    number, prefix = _scaled(value, prefixes, digits)
    return f"{number} {prefix}{top}{per}"


def _singular(name: str) -> str:
    return name[:-1] if name in COUNTS else name


def _check_base(unit: str, top: str, bottom: str) -> None:
    for part in (top, bottom) if bottom else (top,):
        if part and (part not in ATOMS or ATOMS[part] != (1.0 if part != "%" else 0.01, part)):
            raise InputError(f"unit={unit!r}: use base units: B, FLOP, MAC, s, J, $, %, {', '.join(COUNTS)}, or a quotient such as FLOP/s")


def _scaled(value: float, prefixes: dict[str, float], digits: int) -> tuple[str, str]:
    """The number and prefix that leave it between 1 and 1000 (1024) after rounding."""
    largest = max(prefixes.values())
    if not value or not float(f"{value:.{digits}g}") < 1e3 * largest:  # beyond the prefixes: 3.8e25 FLOP
        return _figures(value, digits), ""
    ordered = sorted(prefixes, key=prefixes.__getitem__)
    # In the largest prefix where it rounds to 1 or more: 999.9996 GB is 1 TB, 2**30 B is 1 GiB and not 1,020 MiB.
    numbers = {prefix: float(f"{value / prefixes[prefix]:.{digits}g}") for prefix in ordered}
    prefix = next((prefix for prefix in reversed(ordered) if numbers[prefix] >= 1), ordered[0])
    return _figures(numbers[prefix], digits), prefix


def _figures(value: float, digits: int) -> str:
    """Significant digits, thousands separated; whole numbers in full; powers of ten only where zeros would pile up."""
    if not math.isfinite(value):
        return str(float(value))
    if float(value).is_integer() and (abs(value) < 1e15 or isinstance(value, int)):
        return f"{int(value):,}"
    rounded = float(f"{value:.{digits}g}")
    if rounded and not 1e-4 <= rounded < 1e15:
        mantissa, exponent = f"{rounded:.{digits - 1}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
    decimals = max(0, digits - 1 - math.floor(math.log10(rounded))) if rounded else 0
    text = f"{rounded:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _money(value: float, digits: int) -> str:
    if value >= 1e6:
        number, prefix = _scaled(value, COUNT, digits)
        return f"{number} {prefix}".strip()
    text = _figures(float(f"{value:.{digits}g}"), digits)
    return text + "0" if value >= 1 and re.search(r"\.\d$", text) else text
