"""``{study-plan}``: a diagnostic drawn across the chapters' banks, and one to three weeks laid out from what it finds.

The draw is made here, when the book is built, and is the same on every machine; ``study-plan.js`` asks, scores and lays out the days.
Questions are those of the self-check, loaded as the review page loads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ..questions.review import address, links, place_index, rewrite_with_any_page, script_of
from ..questions.web import script
from .reading import CHAPTER, MINUTES

QUESTIONS = 25
TIME_S = 20 * 60
SCRIPTS = ("self-check-grader.js", "self-check-progress.js", "self-check.js", "study-plan.js")
STYLES = ("self-check.css", "study-plan.css")
INDEX = "<!-- study plan index -->"
#: Applying comes first: who can recall may not be able to use it, and who cannot apply need not be asked to judge.
_LEVELS = {2: 0, 3: 1, 1: 2}

Entry = Mapping[str, Any]


class StudyPlan(SphinxDirective):
    """The frame that ``study-plan.js`` fills; without scripts, the chapters in the book's order."""

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["study_plan"] = True
        return [nodes.raw("", f'<div class="self-check study-plan">{INDEX}<div class="sp-stage"></div></div>', format="html")]


def diagnostic(banks: Mapping[str, Sequence[Entry]], count: int = QUESTIONS) -> list[tuple[str, Entry]]:
    """``count`` questions as ``(page, question)``, fewer if there are not so many, in the order in which they are asked.

    Parts of the book take turns, and so do the chapters of a part, so that each topic has about as many. Within a chapter estimates and
    other kinds take turns. Left out: rounds, which are practised as a whole, answers in words, which readers score themselves, and
    questions about the machine at hand.

    Args:
        banks: the questions of each page ``book/<part>/<chapter>``, as :func:`workbook.questions.web.entry` lists them.
    """
    parts: dict[str, list[list[tuple[str, Entry]]]] = {}
    banks = {page: entries for page, entries in banks.items() if page.split("/")[-2] != "rounds"}
    for number, (page, entries) in enumerate(banks.items()):
        asked = [one for one in entries if one["kind"] != "open" and not one.get("machine")]
        asked.sort(key=lambda one: _LEVELS[one["level"]])
        estimates, others = ([one for one in asked if (one["kind"] == "numeric") is wanted] for wanted in (True, False))
        turns = (estimates, others) if number % 2 else (others, estimates)
        parts.setdefault(page.split("/")[-2], []).append([(page, one) for one in _in_turn(turns)])
    return list(_in_turn([list(_in_turn(chapters)) for chapters in parts.values()]))[:count]


def _in_turn(queues: Sequence[Sequence[Any]]) -> Iterator[Any]:
    """One from each queue, then the next one from each, until all are empty."""
    for row in zip_longest(*queues):
        yield from (one for one in row if one is not None)


def index(app: Sphinx, context: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's script needs: the chapters in the book's order, and the questions of the diagnostic."""
    env, link = app.env, context["pathto"]
    chapters = []
    banks: dict[str, Sequence[Entry]] = {}
    for page in env.collect_relations():
        if not CHAPTER.fullmatch(page):
            continue
        banks[page] = env.metadata[page].get("self_check", ())
        lab = page.replace("book/", "labs/", 1)
        chapters.append(
            {
                "page": page,
                "part": page.split("/")[-2].capitalize(),
                "title": env.titles[page].astext(),
                "href": link(page),
                "minutes": env.metadata[page][MINUTES],
                "lab": link(lab) if lab in env.titles else "",
                "questions": len(banks[page]),
                "script": link(f"_static/{script_of(page)}", 1),
            }
        )
    asked = [{"page": page, "id": one["id"], "version": one["version"], "kind": one["kind"]} for page, one in diagnostic(banks)]
    return {"chapters": chapters, "asked": asked, "time_s": TIME_S, "review": address(env, link)}


def fill_in(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Sphinx ``html-page-context``: the index, when all pages have been read, with the script and its style."""
    if "study_plan" not in app.env.metadata.get(page, {}):
        return
    found = index(app, context)
    without = f"<p>Without JavaScript, take the chapters in the book's order:</p><ol>{links(found['chapters'])}</ol>"
    place_index(app, context, INDEX, without, script(found, "sp-index"), SCRIPTS, STYLES)


def setup(app: Sphinx) -> None:
    app.add_directive("study-plan", StudyPlan)
    rewrite_with_any_page(app, "study_plan")
    app.connect("html-page-context", fill_in)
