"""The names of a page: figures that ``{given}`` marks, and what ``{let}`` defines, so that a chapter's numbers read as what they mean.

One definition a line; an indented line continues the one before. Nothing shows: the reader sees a definition beside the numbers
that use it::

    ```{let}
    batch_time(spec, batch) = predict(spec.ledger(batch=batch, seq=128, dtype="fp16"), l4).high_s
    replicas(spec, batch) = ceil(qps / (load * batch / batch_time(spec, batch))) + 1
    fleet = replicas(bert_base, 16)
    ```
"""

from __future__ import annotations

import ast
import functools
import json
import keyword
from collections.abc import Mapping
from typing import Any

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import napkinmath
from napkinmath.errors import InputError

from .. import ROOT
from ..definitions import Definition, joined
from ..evaluate import Formula, evaluate, parsed

logger = logging.getLogger(__name__)
RESULTS = ROOT / "benchmarks" / "results"


class LetDirective(SphinxDirective):
    """``{let}``: each line defines a value (computed now) or a formula (computed where it is used)."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        for offset, line in joined(list(self.content)):
            try:
                self.define(line)
            except InputError as error:
                logger.error("%s", error, location=(self.env.docname, self.content_offset + offset + 1))
                self.env.app.statuscode = 1
        return []

    def define(self, line: str) -> None:
        made = Definition.read(line)
        named = givens(self.env)
        if made.parameters is None:
            define(self.env, made.name, evaluate(made.source, named))
        else:
            define(self.env, made.name, Formula(made.name, made.parameters, made.source, named))
        sources(self.env)[made.name] = " ".join(line.split())


def define(env: Any, name: str, value: Any) -> None:
    """Keep a page's name for the expressions that follow.

    Raises:
        InputError: not a name, or one that the page or napkinmath has already.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise InputError(f"{name!r} is not a name; write it like qps or p99_budget")
    if name in givens(env):
        raise InputError(f"{name!r} is given twice on this page; refer to it by {{n}}`{name}`")
    if name in napkinmath.namespace():
        raise InputError(f"{name!r} is a name of napkinmath; choose another")
    givens(env)[name] = value


def givens(env: Any) -> dict[str, Any]:
    """The names of the page that is being read: figures that the author gave, definitions, and ``benchmarks``."""
    named: dict[str, Any] = env.temp_data.setdefault("workbook_givens", {"benchmarks": benchmarks()})
    return named


@functools.cache
def benchmarks() -> dict[str, Any]:
    """What the scripts in ``benchmarks/`` last wrote, by file: ``benchmarks["predictor"]["summary"]``; of a log, its last line."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(RESULTS.glob("*.json*"))}
    return {path.stem: json.loads(text.splitlines()[-1] if path.suffix == ".jsonl" else text) for path, text in texts.items()}


def sources(env: Any) -> dict[str, str]:
    """The text of the page's definitions, by name."""
    texts: dict[str, str] = env.temp_data.setdefault("workbook_definitions", {})
    return texts


def where(expression: str, texts: Mapping[str, str]) -> list[str]:
    """The definitions that an expression leans on, directly or through another, in the order of use."""
    found: dict[str, str] = {}
    queue = [expression]
    while queue:
        for node in ast.walk(parsed(queue.pop(0))):
            if isinstance(node, ast.Name) and node.id in texts and node.id not in found:
                found[node.id] = texts[node.id]
                queue.append(Definition.read(texts[node.id]).source)
    return list(found.values())


def setup(app: Any) -> None:
    app.add_directive("let", LetDirective)
