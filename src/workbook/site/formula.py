"""``{formula}``: a closed form as the code holds it, in LaTeX.

The expression is made of napkinmath's closed forms over plain names: ``linear_flops(tokens, d_in, d_out)``. The names become symbols,
the function computes with them, and SymPy writes what comes out, so that a formula in prose cannot differ from the code.
"""

from __future__ import annotations

import ast
from typing import Any

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from napkinmath.errors import InputError

from .calculator import evaluate, registry, symbol_of

logger = logging.getLogger(__name__)


def latex(expression: str) -> str:
    r"""The formula of an expression, without its left side.

    >>> print(latex("linear_flops(tokens, d_in, d_out)"))
    2 \, d_{in} \, d_{out} \, \text{tokens}

    Raises:
        InputError: the expression does not parse, or calls what is no closed form.
    """
    import sympy

    inputs, _ = registry()
    whole = {name for name, given in inputs.items() if given.whole}
    symbols = {name: sympy.Symbol(name, positive=True, integer=name in whole or None) for name in _names(expression)}
    written = {symbol: typeset(name) for name, symbol in symbols.items()}
    formula = sympy.factor_terms(sympy.nsimplify(evaluate(expression, symbols), rational=True))
    return str(sympy.latex(formula, symbol_names=written, mul_symbol=r" \, "))


def typeset(name: str) -> str:
    """A name in a formula: as calculators and the glossary write it; other names are widths (``d_in``) or words."""
    inputs, _ = registry()
    if name in inputs and inputs[name].symbol:
        return inputs[name].symbol
    if name.startswith("d_") and "_" not in name[2:]:
        return f"d_{{{name[2:]}}}"
    words = name if name.endswith("_per_s") else name.removesuffix("_s")  # that a time is in seconds is for the code to say
    return symbol_of(name, words.replace("_per_", "/").replace("_", " "))


def _names(expression: str) -> list[str]:
    """The names that an expression computes from, which are not those that it calls."""
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError as error:
        raise InputError(f"`{expression}`: {error.msg}") from None
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called})


class FormulaRole(SphinxRole):
    """``{formula}`` + expression."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            text = latex(self.text)
        except InputError as error:
            logger.error("formula: %s", error, location=self.get_location())
            self.env.app.statuscode = 1
            return [nodes.problematic(self.rawtext, self.rawtext)], []
        return [nodes.math(self.text, rf"\displaystyle {text}")], []


def setup(app: Any) -> None:
    app.add_role("formula", FormulaRole())
