"""The few functions of a closed form that are not plain arithmetic, for numbers, NumPy or pandas columns and SymPy symbols alike.

``max``, ``math.ceil`` and ``if`` refuse columns and symbols; these look at the type of their arguments. Neither pandas nor SymPy is
imported until an argument of theirs arrives.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

# A number, a column or a symbol.
Value = Any


def maximum(*values: Value) -> Value:
    """The largest of ``values``, row by row for columns.

    >>> maximum(3, 2)
    3
    """
    return _extremum(max, "maximum", "Max", values)


def minimum(*values: Value) -> Value:
    """The smallest of ``values``, row by row for columns.

    >>> minimum(3, 2)
    2
    """
    return _extremum(min, "minimum", "Min", values)


def exp(value: Value) -> Value:
    """The exponential function."""
    return _elementary("exp", value)


def log(value: Value) -> Value:
    """The natural logarithm."""
    return _elementary("log", value)


def log2(value: Value) -> Value:
    """The logarithm to base 2.

    >>> log2(8)
    3.0
    """
    if _library(value) == "sympy":
        import sympy

        return sympy.log(value, 2)
    return _elementary("log2", value)


def sqrt(value: Value) -> Value:
    """The square root."""
    return _elementary("sqrt", value)


def ceil(value: Value) -> Value:
    """The least whole number not below ``value``; a quotient that rounding pushed up by less than 1e-12 of itself counts as whole.

    The browser gets the same rule, so that 2.1 / 0.7 is three replicas in Python and on the page. Infinity stays.

    >>> ceil(2.1 / 0.7), math.ceil(2.1 / 0.7)
    (3, 4)
    """
    return special(_ceil, value, latex=r"\left\lceil {0} \right\rceil", javascript="Math.ceil(({0})*(({0})>0?1-1e-12:1+1e-12))")


def floor(value: Value) -> Value:
    """The greatest whole number not above ``value``, with the tolerance of :func:`ceil`.

    >>> floor(0.3 / 0.1), math.floor(0.3 / 0.1)
    (3, 2)
    """
    return special(_floor, value, latex=r"\left\lfloor {0} \right\rfloor", javascript="Math.floor(({0})*(({0})>0?1+1e-12:1-1e-12))")


def where(condition: Value, then: Callable[[], Value], otherwise: Value) -> Value:
    """``then()`` where ``condition`` holds, else ``otherwise``.

    ``then`` is a function, so that it may divide by what the condition excludes: a number is tested before it is called.

    >>> [where(load < 1, lambda: 1 / (1 - load), math.inf) for load in (0.5, 1)]
    [2.0, inf]
    """
    library = _library(condition)
    if library == "sympy":
        import sympy

        return sympy.Piecewise((then(), condition), (sympy.sympify(otherwise), True))
    if library == "numpy":
        import numpy as np

        with np.errstate(all="ignore"):
            return _as_column(np.where(condition, then(), otherwise), condition)
    return then() if condition else otherwise


def special(function: Callable[..., Value], *values: Value, latex: str, javascript: str = "") -> Value:
    """Apply a function of plain numbers (a recursion, a search, a rounding) to numbers, columns or symbols.

    Args:
        function: takes and returns numbers.
        values: its arguments.
        latex: how a symbolic call is typeset; ``{0}``, ``{1}``, ... stand for the arguments.
        javascript: the same function as a JavaScript expression; without it, ``jscode`` refuses the formula.
    """
    library = _library(*values)
    if library == "sympy":
        return _symbolic(function, latex, javascript)(*values)
    if library == "numpy":
        import numpy as np

        return _as_column(np.vectorize(function, otypes=[float])(*values), *values)
    return function(*values)


def _library(*values: Value) -> str:
    """``sympy`` if any value is symbolic, else ``numpy`` if any is a column, else ``math``."""
    roots = {base.__module__.partition(".")[0] for value in values for base in type(value).__mro__}
    return "sympy" if "sympy" in roots else "numpy" if roots & {"numpy", "pandas"} else "math"


def _extremum(plain: Callable[..., Value], numpy_name: str, sympy_name: str, values: tuple[Value, ...]) -> Value:
    library = _library(*values)
    if library == "sympy":
        import sympy

        return getattr(sympy, sympy_name)(*values)
    if library == "numpy":
        import numpy as np

        return functools.reduce(getattr(np, numpy_name), values)
    return plain(values)


def _elementary(name: str, value: Value) -> Value:
    library = _library(value)
    if library == "sympy":
        import sympy

        return getattr(sympy, name)(value)
    if library == "numpy":
        import numpy as np

        return getattr(np, name)(value)
    return getattr(math, name)(value)


def _as_column(result: Value, *values: Value) -> Value:
    """``result`` with the index of the first pandas Series among ``values``."""
    for value in values:
        if hasattr(value, "index") and hasattr(value, "to_frame"):
            return type(value)(result, index=value.index)
    return result


def _ceil(value: float) -> float:
    return math.ceil(value * (1 - 1e-12 if value > 0 else 1 + 1e-12)) if math.isfinite(value) else value


def _floor(value: float) -> float:
    return math.floor(value * (1 + 1e-12 if value > 0 else 1 - 1e-12)) if math.isfinite(value) else value


@functools.cache
def _symbolic(function: Callable[..., Value], latex: str, javascript: str) -> Value:
    """A SymPy function that stays as it is for symbols and calls ``function`` once all its arguments are numbers."""
    import sympy

    def evaluate(cls: Value, *values: Value) -> Value:
        if all(value.is_number for value in values):
            return sympy.sympify(function(*(int(value) if value.is_Integer else float(value) for value in values)))
        return None

    def typeset(self: Value, printer: Value, exp: str | None = None) -> str:
        text = latex.format(*map(printer._print, self.args))
        return text if exp is None else f"{{{text}}}^{{{exp}}}"

    def script(self: Value, printer: Value) -> str:
        return javascript.format(*map(printer._print, self.args))

    members = {"eval": classmethod(evaluate), "_latex": typeset} | ({"_javascript": script} if javascript else {})
    return type(function.__name__.strip("_"), (sympy.Function,), members)
