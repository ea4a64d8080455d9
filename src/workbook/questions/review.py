"""``{review}``: the page that asks questions of every chapter, when they are due.

The page holds an index of all questions (id, kind, level, tags) and none of their texts. Those stand, as HTML, in one script for each
chapter, ``_static/self-check/<page>.js``, which is written with the chapter's page and loaded when one of its questions is asked: so
the page stays light with thousands of questions, and works from a file.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from napkinmath.files import write_text

from ..site.chart import chart, render
from .calibration import ALT, calibration
from .schedule import INTERVALS
from .web import LEVEL_NAMES, script, table

SCRIPTS = ("self-check-grader.js", "self-check-progress.js", "self-check.js", "self-check-review.js")
STYLES = ("self-check.css",)
INDEX = "<!-- self-check index -->"
_ITEM = re.compile(r'<div class="sc-item" id="([^"]+)".*?</details></div>', re.DOTALL)
_DATA = re.compile(r'<script type="application/json" class="sc-data">(.*?)</script>', re.DOTALL)


class Review(SphinxDirective):
    """The frame that ``self-check-review.js`` fills; without scripts, links to the chapters' own questions."""

    def run(self) -> list[nodes.Node]:
        from napkinmath import charts

        self.env.metadata[self.env.docname]["self_check_review"] = True
        head, tail = render(charts.spec(calibration([])) | {"description": ALT}, "chart-calibration")
        days = ", ".join(map(str, INTERVALS[1:-1]))
        rule = nodes.paragraph(
            "",
            f"A question that you answer right comes again after {days} and then every {INTERVALS[-1]} days, if you answer right each time "
            "that it is due. A wrong answer brings it back tomorrow. The first answer of a day counts, all later ones are practice. "
            "An estimate is judged by ",
        )
        ratio = r"\log_{10}(\text{estimate} / \text{computed})"
        rule += [nodes.math(ratio, ratio), nodes.Text(": zero is right, one is ten times too high.")]
        return [
            _html(f'<div class="self-check review">{INDEX}<div class="sc-report"></div><div class="sc-calibration" hidden><template>'),
            chart("", head + tail, format="html"),
            _html('</template></div><div class="sc-toolbar sc-files"></div><details class="sc-rule">'),
            _html("<summary>When does a question come again?</summary>"),
            rule,
            _html("</details></div>"),
        ]


def _html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def write_chapter(app: Sphinx, page: str, body: str) -> None:
    """The questions of a page, as the page shows them, into the script from which the review page takes them."""
    data = {one["id"]: one for found in _DATA.findall(body) for one in json.loads(found)}
    items = [{"data": data[item[1]], "html": item[0]} for item in _ITEM.finditer(body)]
    text = json.dumps(items, ensure_ascii=False, separators=(",", ":"))
    write_text(Path(app.outdir) / "_static" / script_of(page), f"window.selfCheck.loaded({json.dumps(page)}, {text});\n")


def script_of(page: str) -> str:
    """Where the questions of a page stand, below ``_static``."""
    return f"self-check/{page.replace('/', '-')}.js"


def _fill_in(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Sphinx ``html-page-context``: the index of every chapter's questions, in the order of the book, when all pages have been read."""
    if "self_check_review" not in app.env.metadata.get(page, {}):
        return
    chapters = [
        {
            "page": name,
            "title": app.env.titles[name].astext(),
            "part": name.split("/")[-2].capitalize() if "/" in name else "",
            "href": context["pathto"](name),
            "script": context["pathto"](f"_static/{script_of(name)}", 1),
            "questions": app.env.metadata[name]["self_check"],
        }
        for name in app.env.collect_relations()
        if app.env.metadata.get(name, {}).get("self_check")
    ]
    without = f"<p>This page needs JavaScript. The chapters ask the same questions without it:</p><ul>{links(chapters)}</ul>"
    place_index(app, context, INDEX, without, _filters(chapters) + script(chapters, "sc-index"), SCRIPTS, STYLES)


def links(pages: Iterable[Mapping[str, Any]]) -> str:
    """Items of a list that lead to pages, of which each has an ``href`` and a ``title``."""
    return "".join(f'<li><a href="{html.escape(one["href"])}">{html.escape(one["title"])}</a></li>' for one in pages)


def place_index(
    app: Sphinx, context: dict[str, Any], place: str, without: str, index: str, scripts: Iterable[str], styles: Iterable[str]
) -> None:
    """Put an index of all pages, and the grader's table, in the ``place`` that a page's frame left; ``without`` scripts, a text."""
    context["body"] = context["body"].replace(place, f"<noscript>{without}</noscript>{index}{script(table(), 'sc-table')}")
    for name in scripts:
        app.add_js_file(name, loading_method="defer")
    for name in styles:
        app.add_css_file(name)


def address(env: BuildEnvironment, link: Callable[[str], str]) -> str:
    """Where the review page stands, as a page's ``link`` writes it; nothing in a book without one."""
    page = next((page for page, known in env.metadata.items() if "self_check_review" in known), None)
    return link(page) if page else ""


def _filters(chapters: list[dict[str, Any]]) -> str:
    """What a reader can choose; the script shows it and listens."""
    tags = sorted({tag for chapter in chapters for one in chapter["questions"] for tag in one["tags"]})
    levels = {str(level): name for level, name in LEVEL_NAMES.items()}
    choices = {
        "when": ("Ask what is", {"due": "due today", "new": "new", "missed": "missed the last time", "all": "everything"}),
        "part": ("Part", {"": "any"} | {chapter["part"]: chapter["part"] for chapter in chapters}),
        "level": ("Level", {"": "any"} | levels),
        "tag": ("Topic", {"": "any"} | {tag: tag for tag in tags}),
        "count": ("How many", {count: f"up to {count}" for count in ("10", "25", "50")}),
    }
    selects = "".join(
        f'<label class="sc-filter">{label}<select name="{name}" autocomplete="off">'
        + "".join(f'<option value="{html.escape(value)}">{html.escape(text)}</option>' for value, text in options.items())
        + "</select></label>"
        for name, (label, options) in choices.items()
    )
    return (
        f'<div class="sc-session"><div class="sc-home" hidden><div class="sc-filters">{selects}'
        '<label class="sc-filter sc-timed"><input type="checkbox" name="timed" autocomplete="off">60 s for each estimate</label>'
        '<button type="button" class="sc-button sc-primary">Start</button></div>'
        '<p class="sc-count"></p><div class="sc-note" role="status"></div></div></div>'
    )


def rewrite_with_any_page(app: Sphinx, mark: str) -> None:
    """Write the pages whose metadata has ``mark``, which hold an index of all pages, anew when any page was read anew."""
    changed = f"{mark}_changed"
    app.connect("env-purge-doc", lambda app, env, page: setattr(env, changed, True))

    def outdated(app: Sphinx, env: Any) -> list[str]:
        if not env.__dict__.pop(changed, False):
            return []
        return [page for page, known in env.metadata.items() if mark in known]

    app.connect("env-updated", outdated)


def setup(app: Sphinx) -> None:
    app.add_directive("review", Review)
    rewrite_with_any_page(app, "self_check_review")
    app.connect("html-page-context", _fill_in)
