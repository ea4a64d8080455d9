"""Dimensions where they are named: the first time that a section writes one as code, it says what the glossary says.

The note is the one that computed numbers have (``book.js``), reached by pointer, keyboard and tap alike.
"""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes

from napkinmath import glossary

from .reading import CHAPTER, prose

_ENTRIES = {entry.name: entry for entry in (*glossary.DIMENSIONS, *glossary.QUANTITIES)}
#: Where a button would stand inside another control, or a word is not the chapter's own.
_NOT_INSIDE = (nodes.title, nodes.reference, nodes.caption)


class glossary_term(nodes.literal):
    """A name from the glossary, as code, with its ``meaning``."""


def mark(app: Any, doctree: nodes.document, page: str) -> None:
    """Sphinx ``doctree-resolved``: on chapters, put a :class:`glossary_term` in place of the first such name of every section."""
    if not CHAPTER.fullmatch(page):
        return
    seen: set[tuple[int, str]] = set()
    for node in list(prose(doctree)):
        if not isinstance(node, nodes.literal) or node.astext() not in _ENTRIES:
            continue
        above = list(_ancestors(node))
        here = (id(next((one for one in above if isinstance(one, nodes.section)), doctree)), node.astext())
        if here in seen or any(isinstance(one, _NOT_INSIDE) for one in above):
            continue
        seen.add(here)
        node.replace_self(glossary_term(node.rawsource, node.astext(), meaning=meaning(node.astext())))


def meaning(name: str) -> str:
    """The glossary's sentence, and the unit where it has one.

    >>> meaning("patch")
    'Side of the square patch that becomes a token. In pixels.'
    """
    entry = _ENTRIES[name]
    return f"{entry.meaning} In {entry.unit}." if entry.unit else entry.meaning


def _ancestors(node: nodes.Node) -> Any:
    while (node := node.parent) is not None:
        yield node


def visit_term(self: Any, node: glossary_term) -> None:
    """A button around the code that stands there on any other page, so that nothing else looks different."""
    text = html.escape(node["meaning"])
    name = html.escape(node.astext())
    self.body.append(
        f'<button type="button" class="n term" data-meaning="{text}" title="{text}"><code class="literal">{name}</code></button>'
    )
    raise nodes.SkipNode


def setup(app: Any) -> None:
    app.add_node(glossary_term, html=(visit_term, None))
    app.connect("doctree-resolved", mark)
