"""``{self-check}``: a chapter's questions in its page.

Without options it asks every question of the chapter that the page has not asked before it; ``:section: masks`` asks those of one
section, ``:ids: kv-cache-01, kv-cache-02`` those named. The bank is found by the page's own path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from napkinmath.errors import InputError, did_you_mean

from . import review
from .bank import find_root, load_bank
from .schema import AnyQuestion
from .web import Piece, Text, block, draw, entry

SCRIPTS = ("self-check-grader.js", "self-check-progress.js", "self-check.js")
STYLE = "self-check.css"


class SelfCheck(SphinxDirective):
    """Places questions, numbered through the page."""

    option_spec: ClassVar[Any] = {"section": directives.unchanged_required, "ids": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        asked: list[str] = self.env.temp_data.setdefault("self_check_asked", [])
        try:
            path = self._bank()
            chosen = self._choose(load_bank(path), asked)
            drawn = draw(chosen)
            pieces = block(drawn, first=len(asked) + 1, with_table=not asked)
        except InputError as error:
            raise self.error(f"self-check: {error}") from error
        self.env.note_dependency(str(path))
        self.env.metadata[self.env.docname].setdefault("self_check", []).extend(entry(one) for one in drawn)
        asked += [question.id for question in chosen]
        return self._nodes(pieces)

    def _bank(self) -> Path:
        """``questions/<part>/<chapter>.yml`` for a page ``.../<part>/<chapter>``."""
        page = Path(self.env.doc2path(self.env.docname))
        path = find_root(page.parent) / page.parent.name / f"{page.stem}.yml"
        if not path.is_file():
            raise InputError(f"no bank {path.parent.name}/{path.name} in {path.parents[1]}")
        return path

    def _choose(self, questions: tuple[AnyQuestion, ...], asked: list[str]) -> list[AnyQuestion]:
        by_id = {question.id: question for question in questions}
        if "ids" in self.options:
            ids = [id.strip() for id in self.options["ids"].replace("\n", ",").split(",") if id.strip()]
            for id in ids:
                if id not in by_id or id in asked:
                    raise InputError(
                        f"question {id!r} is asked twice in this page" if id in asked else f"no question {id!r}.{did_you_mean(id, by_id)}"
                    )
            return [by_id[id] for id in ids]
        section = self.options.get("section")
        sections = {question.section for question in questions if question.section}
        if section and section not in sections:
            raise InputError(f"no question has section {section!r}.{did_you_mean(section, sections)}")
        chosen = [question for question in questions if question.id not in asked and section in (None, question.section)]
        if not chosen:
            raise InputError("every question that belongs here has been asked earlier in this page")
        return chosen

    def _nodes(self, pieces: list[Piece]) -> list[nodes.Node]:
        """Raw HTML around Markdown that MyST parses, formulas included."""
        found: list[nodes.Node] = []
        for piece in pieces:
            if isinstance(piece, Text):
                found += self._parse(piece)
            elif found and isinstance(found[-1], nodes.raw):
                found[-1] = nodes.raw("", found[-1].astext() + piece, format="html")
            else:
                found.append(nodes.raw("", piece, format="html"))
        return found

    def _parse(self, text: Text) -> list[nodes.Node]:
        found = self.parse_text_to_nodes(text.markdown)
        holder = nodes.container("", *found)
        for raw in list(holder.findall(nodes.raw)):  # mark-up in a question is text, whatever it says
            raw.parent.replace(raw, nodes.literal(raw.astext(), raw.astext()))
        children = list(holder.children)
        if text.inline and len(children) == 1 and isinstance(children[0], nodes.paragraph):
            return [nodes.inline("", "", *children[0].children)]  # a link needs a parent that holds text
        return children


def _add_assets(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Scripts and style, from ``assets/``, on the pages that ask something and on no other."""
    if app.env.metadata.get(page, {}).get("self_check"):
        for script in SCRIPTS:
            app.add_js_file(script, loading_method="defer")
        app.add_css_file(STYLE)
        review.write_chapter(app, page, context["body"])


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("self-check", SelfCheck)
    app.connect("html-page-context", _add_assets)
    review.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
