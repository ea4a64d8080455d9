"""The one evaluator of napkinmath expressions: ``{n}`` in prose, ``{chart}``, and the answers of questions.

An expression is a small, side-effect-free part of Python, walked as a syntax tree (there is no ``eval``): names from
:func:`napkinmath.namespace`, attributes without a leading underscore, subscripts, calls, arithmetic, comparisons,
conditional expressions, literals, lists, tuples and dictionaries. No lambda, comprehension, assignment or import. (What is computed a
thousand times is :func:`compiled`, of the same syntax.)

**The unit follows from the names.** A function or attribute says its unit in its name, and arithmetic carries it along::

    bert_base.params()                                109 M params
    bert_base.flops(batch=8, seq=128)                 179 GFLOP
    llama_3_8b.weight_bytes("bf16") / a100_80gb.bandwidth_bytes_per_s            B / (B/s): 7.88 ms
    bert_base.flops(batch=1, seq=512) / bert_base.flops(batch=1, seq=128)        4.21

Adding FLOPs to bytes is an error. ``params``, ``tokens`` and the like are counts: they drop out beside a physical unit.

**To choose how it is shown**, end the expression with an arrow::

    ... -> GFLOP     in that unit (any unit that napkinmath.units parses: GiB, ms, GB/s, requests/s ...)
    ... -> %         a share, 0.27 as 27%
    ... -> x         a ratio, 3.2 as 3.2x
    ... -> int       a whole number in full, 109,482,240
    ... -> number    a plain number, without its unit
    ... -> GB:4      four significant digits; ':4' alone keeps the inferred unit

Showing bytes in seconds, or MACs as FLOPs, is an error: the arrow converts prefixes, never meaning.
"""

from __future__ import annotations

import ast
import functools
import math
import operator
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, cast

import napkinmath
from napkinmath import units
from napkinmath.errors import InputError, did_you_mean

from .naming import Powers, combine, parse_unit, physical_part, powers_of, same_unit, spell


@dataclass(frozen=True)
class Evaluated:
    """A value, its base unit (``B``, ``FLOP/s``, ``params``, ``""``) and the text that a page shows.

    ``value`` is in base units whatever the text shows: ``-> GiB`` changes ``text`` alone. A value that is not a number
    (a ledger, a chart) has an empty unit.
    """

    value: Any
    unit: str
    text: str


@dataclass(frozen=True)
class Formula:
    """A function that a page defines, ``replicas(spec, batch) = ...``: evaluated where it is called, units carried through.

    ``scope`` holds the page's other names; it is looked at when the formula is called.
    """

    name: str
    parameters: tuple[str, ...]
    source: str
    scope: Mapping[str, Any]
    known: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)  # its values so far, by arguments


def evaluate(expression: str, extra: Mapping[str, Any] | None = None) -> Evaluated:
    """Evaluate ``expression`` in napkinmath's namespace.

    Args:
        expression: an expression, optionally with ``-> unit``.
        extra: further names. An :class:`Evaluated` or a :class:`napkinmath.units.Quantity` brings its unit along.

    Raises:
        InputError: the expression does not parse, uses syntax that is not allowed, names something unknown, mixes
            units, or fails when it is computed. The message names the expression.
    """
    _, shown, digits = _split(expression)
    tree = parsed(expression)
    try:
        value, powers = _Walk(extra or {}).visit(tree)
        text = _text(value, powers, shown, digits)
    except InputError as error:
        raise InputError(f"`{expression}`: {error}") from error
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"`{expression}`: {type(error).__name__}: {error}") from error
    return Evaluated(value, spell(powers) if _is_number(value) else "", text)


@functools.cache
def parsed(expression: str) -> ast.expr:
    """The syntax tree of what stands before the arrow.

    Raises:
        InputError: it does not parse.
    """
    try:
        return ast.parse(_split(expression)[0], mode="eval").body
    except SyntaxError as error:
        raise InputError(f"`{expression}`: not an expression ({error.msg})") from None


def compiled(expression: str) -> Callable[[Mapping[str, Any]], Any]:
    """An expression to compute many times, with plain numbers and without units: a thousand of these cost what one walk does.

    Only what :func:`evaluate` allows is compiled, and only the given names and this module's functions are seen.

    Raises:
        InputError: it does not parse, or uses syntax or names with an underscore that are not allowed.
    """
    tree = parsed(expression)
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and not hasattr(_Walk, f"visit_{type(node).__name__}"):
            raise InputError(f"`{expression}`: {type(node).__name__} is not allowed")
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name.startswith("_"):
            raise InputError(f"`{expression}`: the name {name!r} starts with an underscore")
    code = compile(ast.Expression(tree), expression, "eval")
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    # Looked up once, and only what the expression names: the names that are given come first all the same.
    known: dict[str, Any] = {"__builtins__": {}} | {name: _FUNCTIONS[name] for name in own if name in _FUNCTIONS}
    known |= {name: napkinmath.namespace()[name] for name in own - _FUNCTIONS.keys() if name in napkinmath.namespace()}

    def compute(names: Mapping[str, Any]) -> Any:
        try:
            return eval(code, known, names)
        except NameError as error:
            raise InputError(f"`{expression}`: {error}") from None
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"`{expression}`: {type(error).__name__}: {error}") from error

    return compute


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _split(expression: str) -> tuple[str, str, int]:
    """``"f(x) -> GB:4"`` as its source, unit and digits."""
    source, arrow, shown = expression.rpartition("->")
    if not arrow:
        return expression.strip(), "", 3
    unit, colon, digits = shown.strip().partition(":")
    if colon and not (digits.isdigit() and 1 <= int(digits) <= 15):
        raise InputError(f"`{expression}`: digits {digits!r}: write a whole number from 1 to 15, as in '-> GB:4'")
    return source.strip(), unit.strip(), int(digits) if colon else 3


def _text(value: Any, powers: Powers, shown: str, digits: int) -> str:
    if not _is_number(value):
        if shown:
            raise InputError(f"'-> {shown}' needs a number; this is a {type(value).__name__}")
        return str(value)
    if not math.isfinite(value):
        raise InputError(f"the result is {value}")
    if shown == "int":
        return f"{round(value):,}"
    if shown == "number":
        return units.fmt(value, digits=digits)
    if shown in ("x", "%"):
        if physical_part(powers):
            raise InputError(f"'-> {shown}' needs a ratio; this has the unit {spell(powers)}")
        return units.fmt(value, "%", digits=digits) if shown == "%" else f"{units.fmt(float(value), digits=digits)}\N{MULTIPLICATION SIGN}"
    if shown:
        return _in_unit(value, powers, shown, digits)
    return _in_base_unit(value, powers, digits)


def _in_unit(value: float, powers: Powers, shown: str, digits: int) -> str:
    one = units.parse(f"1 {shown}")
    physical = physical_part(powers)
    if physical and physical != physical_part(parse_unit(one.unit)):
        raise InputError(f"'-> {shown}' is a unit of {one.unit or 'nothing'}; this has the unit {spell(powers)}")
    number = units.fmt(float(value / one.value), digits=digits)
    return f"${number}" if shown == "$" else f"{number} {shown}"


def _in_base_unit(value: float, powers: Powers, digits: int) -> str:
    """In the unit that the names gave, with a prefix that suits the size."""
    unit = spell(powers)
    try:
        return units.fmt(value, unit, digits=digits)
    except InputError:
        raise InputError(f"the unit works out as {unit}; say what to show, as in '-> GFLOP' or '-> number'") from None


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": round,
    "sqrt": math.sqrt,
    "sum": sum,
}
#: Functions that return what they are given, and so keep its unit.
_KEEP_UNIT = {"abs", "ceil", "floor", "max", "min", "round", "sum"}


def _identity(value: object) -> object:
    """What tells an argument from others: itself, or for a device or a ledger, which have no hash, where it is."""
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value


def _is_public(owner: object, name: str) -> bool:
    """Without an underscore; of a module, its own functions and not what it imports."""
    if name.startswith("_") or not hasattr(owner, name):
        return False
    return not isinstance(owner, types.ModuleType) or getattr(getattr(owner, name), "__module__", "").startswith(owner.__name__)


class _Walk:
    """Evaluates a syntax tree; every method returns a value and its unit."""

    def __init__(self, extra: Mapping[str, Any]) -> None:
        self.extra = extra

    def visit(self, node: ast.expr) -> tuple[Any, Powers]:
        method = getattr(self, f"visit_{type(node).__name__}", None)
        if method is None:
            raise InputError(f"{type(node).__name__} is not allowed; use names, attributes, calls, arithmetic, comparisons and literals")
        result: tuple[Any, Powers] = method(node)
        return result

    def visit_Constant(self, node: ast.Constant) -> tuple[Any, Powers]:
        if isinstance(node.value, bytes | complex) or node.value is Ellipsis:
            raise InputError(f"the literal {node.value!r} is not allowed")
        return node.value, {}

    def visit_Name(self, node: ast.Name) -> tuple[Any, Powers]:
        if node.id.startswith("_"):
            raise InputError(f"the name {node.id!r} starts with an underscore")
        names = napkinmath.namespace()
        for scope in (self.extra, _FUNCTIONS, names):
            if node.id in scope:
                value = scope[node.id]
                if isinstance(value, Evaluated | units.Quantity):
                    return value.value, parse_unit(value.unit)
                if isinstance(value, types.ModuleType) and not value.__name__.startswith("napkinmath."):
                    raise InputError(f"{node.id!r} is a module")
                return value, {}
        raise InputError(f"unknown name {node.id!r}.{did_you_mean(node.id, [*self.extra, *names, *_FUNCTIONS])}")

    def visit_Attribute(self, node: ast.Attribute) -> tuple[Any, Powers]:
        owner, _ = self.visit(node.value)
        if isinstance(owner, str | types.FunctionType):
            raise InputError(f"the attribute {node.attr!r} of a {type(owner).__name__} is not allowed")
        if not _is_public(owner, node.attr):
            public = [name for name in dir(owner) if _is_public(owner, name)]
            raise InputError(f"{ast.unparse(node.value)} has no {node.attr!r}.{did_you_mean(node.attr, public)}")
        return getattr(owner, node.attr), powers_of(node.attr)

    def visit_Subscript(self, node: ast.Subscript) -> tuple[Any, Powers]:
        owner, powers = self.visit(node.value)
        item = owner[self.visit(node.slice)[0]]
        return (item.value, parse_unit(item.unit)) if isinstance(item, Evaluated | units.Quantity) else (item, powers)

    def visit_Call(self, node: ast.Call) -> tuple[Any, Powers]:
        function, powers = self.visit(node.func)
        if not (callable(function) or isinstance(function, Formula)) or isinstance(function, type):
            raise InputError(f"{ast.unparse(node.func)} is not a function")
        if any(isinstance(argument, ast.Starred) for argument in node.args) or any(keyword.arg is None for keyword in node.keywords):
            raise InputError("* and ** are not allowed in a call")
        args = [self.visit(argument) for argument in node.args]
        if isinstance(function, Formula):
            return self.apply(function, args, {str(keyword.arg): self.visit(keyword.value) for keyword in node.keywords})
        kwargs = {str(keyword.arg): self.visit(keyword.value)[0] for keyword in node.keywords}
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _KEEP_UNIT and args:
            powers = same_unit(args, name)
        elif name:
            powers = powers_of(name)
        return function(*(value for value, _ in args), **kwargs), powers

    def apply(self, formula: Formula, args: list[tuple[Any, Powers]], kwargs: dict[str, tuple[Any, Powers]]) -> tuple[Any, Powers]:
        named = dict(zip(formula.parameters, args, strict=False)) | kwargs
        if len(args) > len(formula.parameters) or named.keys() != set(formula.parameters):
            raise InputError(f"{formula.name} takes ({', '.join(formula.parameters)})")
        bound = {name: Evaluated(value, spell(powers), "") for name, (value, powers) in named.items()}
        key = tuple((name, type(one.value), _identity(one.value), one.unit) for name, one in sorted(bound.items()))
        if key not in formula.known:  # with its arguments, so that none of them makes room for another with its identity
            formula.known[key] = _Walk({**formula.scope, **bound}).visit(parsed(formula.source)), bound
        found, _ = formula.known[key]
        return cast(tuple[Any, Powers], found)

    def visit_BinOp(self, node: ast.BinOp) -> tuple[Any, Powers]:
        function = _BINARY.get(type(node.op))
        if function is None:
            raise InputError(f"the operator in `{ast.unparse(node)}` is not allowed")
        (left, left_unit), (right, right_unit) = self.visit(node.left), self.visit(node.right)
        if not (_is_number(left) and _is_number(right)):
            raise InputError(f"`{ast.unparse(node)}`: arithmetic needs numbers, not {type(left).__name__} and {type(right).__name__}")
        if isinstance(node.op, ast.Pow):
            if abs(right) > 1024:
                raise InputError(f"`{ast.unparse(node)}`: the exponent is beyond 1024")
            powers = {unit: power * int(right) for unit, power in left_unit.items() if right}
        elif isinstance(node.op, ast.Add | ast.Sub | ast.Mod):
            powers = same_unit([(left, left_unit), (right, right_unit)], ast.unparse(node))
        else:
            powers = combine(left_unit, right_unit, 1 if isinstance(node.op, ast.Mult) else -1)
        return function(left, right), powers

    def visit_UnaryOp(self, node: ast.UnaryOp) -> tuple[Any, Powers]:
        value, powers = self.visit(node.operand)
        if type(node.op) not in _UNARY:
            raise InputError(f"the operator in `{ast.unparse(node)}` is not allowed")
        return _UNARY[type(node.op)](value), powers

    def visit_Compare(self, node: ast.Compare) -> tuple[Any, Powers]:
        left = self.visit(node.left)
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.visit(comparator)
            if type(op) not in _COMPARE:
                raise InputError(f"the comparison in `{ast.unparse(node)}` is not allowed")
            same_unit([left, right], ast.unparse(node))
            if not _COMPARE[type(op)](left[0], right[0]):
                return False, {}
            left = right
        return True, {}

    def visit_IfExp(self, node: ast.IfExp) -> tuple[Any, Powers]:
        return self.visit(node.body if self.visit(node.test)[0] else node.orelse)

    def visit_List(self, node: ast.List) -> tuple[Any, Powers]:
        return [self.visit(item)[0] for item in node.elts], {}

    def visit_Tuple(self, node: ast.Tuple) -> tuple[Any, Powers]:
        return tuple(self.visit(item)[0] for item in node.elts), {}

    def visit_Dict(self, node: ast.Dict) -> tuple[Any, Powers]:
        if any(key is None for key in node.keys):
            raise InputError("** is not allowed in a dictionary")
        return {self.visit(key)[0]: self.visit(value)[0] for key, value in zip(node.keys, node.values, strict=True) if key is not None}, {}
