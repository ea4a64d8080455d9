"""How long a chapter takes to read, and a box to tick when it is read. ``reading.js`` keeps the ticks, and shows them beside the titles."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes

#: A page that explains something: ``book/<part>/<chapter>``.
CHAPTER = re.compile(r"book/[\w-]+/[\w-]+")
#: Of technical prose with formulas, unhurried.
WORDS_PER_MINUTE = 200
MINUTES = "reading_minutes"
_SELF_CHECK = re.compile(r'<section class="self-check"|</section>')


def prose(parent: nodes.Element) -> Iterator[nodes.Node]:
    """Everything below ``parent`` that explains, in order: no self-check (raw HTML around parsed questions) and no other raw HTML."""
    asked = False
    for child in parent.children:
        if isinstance(child, nodes.raw):
            marks = _SELF_CHECK.findall(child.astext())
            asked = marks[-1] != "</section>" if marks else asked
        elif not asked and not isinstance(child, nodes.comment):
            yield child
            if isinstance(child, nodes.Element):
                yield from prose(child)


def minutes(doctree: nodes.document) -> int:
    """Whole minutes that a page's prose takes, at least one."""
    words = sum(len(node.split()) for node in prose(doctree) if isinstance(node, nodes.Text))
    return max(1, math.ceil(words / WORDS_PER_MINUTE))


def note_minutes(app: Any, doctree: nodes.document) -> None:
    """Sphinx ``doctree-read``: remembered by page, since the study plan adds them up."""
    page = app.env.docname
    if CHAPTER.fullmatch(page):
        app.env.metadata[page][MINUTES] = minutes(doctree)


def show(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Sphinx ``html-page-context``: below a chapter's title, its minutes and its box."""
    time = app.env.metadata.get(pagename, {}).get(MINUTES)
    if doctree is None or time is None:
        return
    line = (
        f'<p class="reading"><span>{time} min to read</span>'
        f'<label><input type="checkbox" autocomplete="off" data-read="{html.escape(pagename)}"> I have read it</label></p>'
        "<noscript><style>.reading label { display: none }</style></noscript>"
    )
    context["body"] = context["body"].replace("</h1>", "</h1>\n" + line, 1)


def setup(app: Any) -> None:
    app.connect("doctree-read", note_minutes)
    app.connect("html-page-context", show)
    app.add_js_file("reading.js", loading_method="defer")
