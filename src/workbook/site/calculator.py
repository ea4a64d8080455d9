"""Calculators: what-ifs that the reader changes, out of closed forms.

A calculator is a list of inputs and of steps; each step is one expression over its inputs, earlier steps and napkinmath's closed forms,
which take numbers and symbols alike. So the same line serves four times: with numbers it works the default case, which the page shows
without JavaScript; with SymPy symbols it becomes the formula in LaTeX, that formula with numbers in it, and the JavaScript that
``calculator.js`` evaluates. The book's calculators are in ``calculators.toml``; :mod:`workbook.site.what_if` puts them into pages.
"""

from __future__ import annotations

import ast
import functools
import math
import operator
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import napkinmath
from napkinmath import glossary, scalar, units
from napkinmath.errors import InputError, did_you_mean

from . import presets

Value = Any


@dataclass(frozen=True)
class Input:
    """What the reader may change.

    Attributes:
        label: what it is called beside its slider.
        start: where nothing else says otherwise; in ``unit``, as are ``low`` and ``high``.
        low, high: what it may be.
        unit: that the page shows; closed forms get base units.
        decades: the slider stops at ten values a decade, not at powers of two and halfway between.
        step: the slider stops every ``step``.
        choices: in place of a number, a few values by name.
        whole: a whole number.
        symbol: in formulas, in LaTeX; by default the glossary's, else the label.
    """

    label: str
    start: float
    low: float = 0
    high: float = 0
    unit: str = ""
    decades: bool = False
    step: float = 0
    choices: Mapping[str, float] | None = None
    whole: bool = False
    symbol: str = ""

    @property
    def factor(self) -> float:
        """Base units in one ``unit``."""
        return units.parse(f"1 {self.unit}").value if self.unit and self.base_unit else SCALES.get(self.unit, 1)

    @property
    def base_unit(self) -> str:
        """What :func:`napkinmath.fmt` calls the unit of the value; none for a price by the hour, which forms take as it is."""
        return "" if self.unit in ("", "$/h", *SCALES) else units.parse(f"1 {self.unit}").unit

    def stops(self) -> list[float]:
        """Where the slider stops, which are also the points of a chart."""
        if self.choices:
            return list(self.choices.values())
        if self.step:
            return [_plain(round(self.low + i * self.step, 9)) for i in range(round((self.high - self.low) / self.step) + 1)]
        low = self.low or (1 if self.whole else 0.001)
        nice = [part * 2.0**k for k in range(41) for part in (1, 1.5)]
        if self.decades:
            nice = [float(f"{part}e{k}") for k in range(-3, 7) for part in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)]
        return [_plain(stop) for stop in nice if low <= stop <= self.high and not (self.whole and stop % 1)]


#: Words that scale a plain number.
SCALES = {"million": 1e6}


@dataclass(frozen=True)
class Step:
    """One line of a calculation: its name, what the page calls it, its base unit, and its expression.

    ``words`` say what 0, 1, ... mean, where the result is a verdict.
    """

    name: str
    label: str
    unit: str
    expression: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calculator:
    """A what-if, ready for a page.

    Attributes:
        name, title: by which it is placed, and the question that it answers.
        inputs, starts: in the page's order; the starts in base units.
        steps: in order.
        says: the answer in words; ``{name}`` stands for an input or a step, with its unit.
        lines, over: what the chart draws, and over which input at first.
        headline: the step whose formula shows first.
        presets: selectors: label, options with values in base units, and the one that is chosen at first.
        ignores: what the model leaves out, in a sentence.
        javascript, symbolic, numeric: each step's expression for the browser, its formula, and the formula with ``@name@`` for numbers.
    """

    name: str
    title: str
    inputs: Mapping[str, Input]
    starts: Mapping[str, float]
    steps: tuple[Step, ...]
    says: str
    lines: tuple[str, ...]
    over: str
    headline: str
    presets: tuple[tuple[str, presets.Options, str], ...]
    ignores: str
    javascript: Mapping[str, str]
    symbolic: Mapping[str, str]
    numeric: Mapping[str, str]

    def compute(self, values: Mapping[str, float]) -> dict[str, float]:
        """Inputs and steps in base units; ``values`` are those of inputs that differ from their start."""
        known: dict[str, Any] = {**self.starts, **values}
        for step in self.steps:
            known[step.name] = evaluate(step.expression, known)
        return known

    def say(self, values: Mapping[str, float]) -> str:
        """The answer in words, for what :meth:`compute` gave."""
        return re.sub(r"\{(\w+)\}", lambda found: self.shown(found[1], values[found[1]]), self.says)

    def shown(self, name: str, value: float) -> str:
        """A value as the page writes it."""
        step = next((step for step in self.steps if step.name == name), None)
        if step is None:
            given = self.inputs[name]
            if given.choices:
                return next(label for label, choice in given.choices.items() if choice == value)
            if given.unit in SCALES:
                return f"{units.fmt(value / given.factor)} {given.unit}"
            return f"${value:,.2f}/h" if given.unit == "$/h" else units.fmt(value, given.base_unit)
        if step.words:
            return step.words[int(value)]
        return units.fmt(value, step.unit) if math.isfinite(value) else "\N{INFINITY}"

    def label(self, name: str) -> str:
        """What the page calls an input or a step."""
        return next((step.label for step in self.steps if step.name == name), "") or self.inputs[name].label


# From the registry ----------------------------------------------------------------------------------------------------


@functools.cache
def registry() -> tuple[dict[str, Input], dict[str, dict[str, Any]]]:
    """The inputs that calculators share, and the calculators, as their file has them."""
    rows = tomllib.loads((resources.files("workbook") / "site" / "calculators.toml").read_text(encoding="utf-8"))
    return {name: Input(**row) for name, row in rows.pop("input").items()}, rows


@functools.cache
def calculator(name: str) -> Calculator:
    """The calculator of that name.

    Raises:
        InputError: there is none, or its definition has a name that is unknown or a form that JavaScript cannot express.
    """
    shared, rows = registry()
    if name not in rows:
        raise InputError(f"no calculator is called {name!r}.{did_you_mean(name, rows)}")
    row = rows[name]
    inputs, starts = {}, {}
    for entry in row["inputs"]:
        given, _, start = (part.strip() for part in entry.partition("="))
        if given not in shared:
            raise InputError(f"calculator {name}: no input is called {given!r}.{did_you_mean(given, shared)}")
        inputs[given] = shared[given]
        starts[given] = _plain((float(start) if start else shared[given].start) * shared[given].factor)
    steps = tuple(Step(key, label, unit, expression, *map(tuple, words)) for key, (label, unit, expression, *words) in row["steps"].items())
    known = [*inputs, *(step.name for step in steps)]
    for mentioned in (*re.findall(r"\{(\w+)\}", row["says"]), *row["lines"], row["over"], row.get("headline", known[-1])):
        if mentioned not in known:
            raise InputError(f"calculator {name}: {mentioned!r} is neither an input nor a step.{did_you_mean(mentioned, known)}")
    selectors = []
    for entry in row["presets"]:
        group, _, title = (part.strip() for part in entry.partition("="))
        label, options = presets.options(group, tuple(inputs))
        if title and title not in options:
            raise InputError(f"calculator {name}: {group} have no {title!r}.{did_you_mean(title, options)}")
        selectors.append((label, options, title))
        starts |= options.get(title, {})
    try:
        written = _written(inputs, steps)
    except InputError as error:
        raise InputError(f"calculator {name}: {error}") from None
    texts = row["title"], inputs, starts, steps, row["says"], tuple(row["lines"]), row["over"]
    headline = row.get("headline", steps[-1].name)
    return Calculator(name, *texts, headline, tuple(selectors), row["ignores"], *written)


def _written(inputs: Mapping[str, Input], steps: Sequence[Step]) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Each step as JavaScript, as LaTeX with symbols, and as LaTeX with ``@name@`` in place of numbers."""
    import sympy

    symbols = {name: sympy.Symbol(f"v.{name}", positive=given.low > 0 or None, real=True) for name, given in inputs.items()}
    typeset = {name: given.symbol or symbol_of(name, given.label) for name, given in inputs.items()}
    javascript, symbolic, numeric = {}, {}, {}
    for step in steps:
        formula = sympy.sympify(evaluate(step.expression, symbols))
        javascript[step.name] = sympy.jscode(formula, strict=False)
        if "Not supported" in javascript[step.name]:
            raise InputError(f"{step.name}: `{step.expression}` has no expression in JavaScript")
        used = {name: symbol for name, symbol in symbols.items() if symbol in formula.free_symbols}
        symbols[step.name] = sympy.Symbol(f"v.{step.name}", real=True)
        typeset[step.name] = rf"\text{{{_small(step.label)}}}"
        right = sympy.latex(formula, symbol_names={symbol: typeset[name] for name, symbol in used.items()}, mul_symbol=r" \, ")
        symbolic[step.name] = f"{typeset[step.name]} = {right}"
        marks = {symbol: f"{{@{name}@}}" for name, symbol in used.items()}
        numeric[step.name] = f"{typeset[step.name]} = " + sympy.latex(formula, symbol_names=marks, mul_symbol=r" \cdot ")
    return javascript, symbolic, numeric


def symbol_of(name: str, label: str) -> str:
    """The glossary's symbol of a dimension; other inputs are words."""
    entry = next((entry for entry in (*glossary.DIMENSIONS, *glossary.QUANTITIES) if entry.name == name and entry.symbol), None)
    if entry is None:
        return rf"\text{{{_small(label)}}}"
    return rf"\mathit{{{entry.symbol}}}" if re.fullmatch(r"[a-z]{2,}", entry.symbol) else entry.symbol


def _small(label: str) -> str:
    """A label inside a formula: without its capital, unless it is an abbreviation."""
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def _plain(value: float) -> float:
    return int(value) if value == int(value) else value


# Expressions ----------------------------------------------------------------------------------------------------------

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_HELPERS = {name: getattr(scalar, name) for name in ("ceil", "floor", "maximum", "minimum", "log", "log2", "exp", "sqrt")}


def evaluate(expression: str, known: Mapping[str, Value]) -> Value:
    """An expression with numbers or symbols: arithmetic, comparisons, ``a if condition else b``, closed forms and scalar helpers.

    Raises:
        InputError: it does not parse, is not of that kind, or names something unknown; the message names the expression.
    """
    try:
        return _walk(_parsed(expression), known)
    except (InputError, SyntaxError, TypeError) as error:
        raise InputError(f"`{expression}`: {error}") from None


@functools.cache
def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


def _walk(node: ast.expr, known: Mapping[str, Value]) -> Value:
    match node:
        case ast.Constant(value=int() | float()):
            return node.value
        case ast.Name(id=name):
            if name not in known and name != "inf":
                raise InputError(f"{name!r} is neither an input nor an earlier step.{did_you_mean(name, known)}")
            return known.get(name, math.inf)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_walk(left, known), _walk(right, known))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            return _COMPARE[type(op)](_walk(left, known), _walk(right, known))
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            return scalar.where(_walk(test, known), lambda: _walk(body, known), _walk(otherwise, known))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return _function(name)(*(_walk(argument, known) for argument in args))
    raise InputError(f"`{ast.unparse(node)}`: write arithmetic, comparisons, `a if condition else b`, or a closed form of plain arguments")


@functools.cache
def _function(name: str) -> Callable[..., Value]:
    if name in _HELPERS:
        return _HELPERS[name]
    forms = napkinmath.closed_form_names()
    if name not in forms:
        raise InputError(f"{name!r} is no closed form of napkinmath.{did_you_mean(name, [*forms, *_HELPERS])}")
    return napkinmath.namespace()[name]


# For a page -----------------------------------------------------------------------------------------------------------


def payload(what: Calculator, starts: Mapping[str, float], over: str) -> dict[str, Any]:
    """Everything that ``calculator.js`` needs; numbers in base units, except the sliders' stops."""
    inputs = [
        {
            "name": name,
            "unit": given.unit,
            "base": given.base_unit,
            "factor": given.factor,
            "start": starts[name],
            "stops": given.stops(),
            "low": given.low,
            "high": given.high,
            "even": bool(given.step),
            "choices": list(given.choices.items()) if given.choices else None,
        }
        for name, given in what.inputs.items()
    ]
    steps = [
        {"name": s.name, "unit": s.unit, "words": s.words or None, "js": what.javascript[s.name], "tex": what.numeric[s.name]}
        for s in what.steps
    ]
    options = [list(options.items()) for _, options, _ in what.presets]
    labels = {name: what.label(name) for name in (*what.inputs, *what.lines)}
    return {"inputs": inputs, "steps": steps, "says": what.says, "lines": what.lines, "over": over, "presets": options, "labels": labels}


def parse_starts(text: str, what: Calculator) -> dict[str, float]:
    """``batch=8, context=32768`` in base units; each number in its input's unit, a choice by its label.

    Raises:
        InputError: an input that the calculator does not have, or a value that it does not take.
    """
    starts = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if name not in what.inputs:
            raise InputError(f"start: {what.name} has no input {name!r}.{did_you_mean(name, what.inputs)}")
        given = what.inputs[name]
        if given.choices:
            if number not in given.choices:
                raise InputError(f"start: {name}={number}; choose one of {', '.join(given.choices)}")
            starts[name] = given.choices[number]
            continue
        try:
            value = float(number)
        except ValueError:
            raise InputError(f"start: {part!r}; write {name}=number, {given.unit and f'in {given.unit}'}") from None
        if not given.low <= value <= given.high:
            raise InputError(f"start: {name}={number} is outside its slider, {given.low:g} to {given.high:g} {given.unit}".rstrip())
        starts[name] = _plain(value * given.factor)
    return starts
