"""``{mock-round}``: the page on which readers practise. ``mock-round.js`` draws a round, keeps the clock, grades and keeps the score.

Everything that it says is computed here, when the book is built: each round's draws with their comparison stand in
``_static/rounds/<round>.js``, written with the round's own page and loaded when the round is practised, so that the page stays light and
works from a file. Estimates are the self-check's questions, loaded as the review page loads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from napkinmath.files import write_text

from ..questions.review import address, links, place_index, rewrite_with_any_page, script_of
from ..questions.web import script
from ..site.reading import CHAPTER
from .estimates import shown, turn
from .page import cells, columns, device_name, filled, html_node, path_of
from .scenario import Draw, Scenario, load
from .schema import STAGES

INDEX = "<!-- rounds index -->"
SCRIPTS = ("self-check-grader.js", "self-check-progress.js", "self-check.js", "mock-round.js")
STYLES = ("self-check.css", "round.css", "mock-round.css")
#: What each stage is for, as its heading says it.
STAGE_TITLES = {
    "requirements": "Requirements",
    "estimates": "Estimates",
    "choice": "The choice, and what turns it",
    "design": "Data and training",
    "serving": "Serving",
    "risks": "Risks and curveballs",
}
#: Points for an estimate, by how near it is, and for the choice.
POINTS = {"exact": 2, "good": 2, "order": 1, "choice": 3, "device": 2, "holds": 1}


class MockRound(SphinxDirective):
    """The frame that ``mock-round.js`` fills; without scripts, links to the rounds' own pages."""

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["mock_round"] = True
        return [html_node(f'<div class="self-check mock-round">{INDEX}<div class="mr-stage"></div></div>')]


def data(scenario: Scenario) -> dict[str, Any]:
    """A round as the page's script needs it; texts are plain, candidates and devices stand as their numbers."""
    own = scenario.round
    return {
        "version": own.version,
        "candidates": [candidate.say for candidate in own.candidates.values()],
        "devices": [device_name(key) for key in own.devices],
        "columns": [own.columns[name].say for name in columns(scenario)],
        "asks": [ask.model_dump() for ask in own.asks],
        "estimates": [
            *({"id": f"{scenario.name}-{one.id}", "chapter": one.chapter} for one in own.estimates),
            {"id": f"{scenario.name}-flip", "chapter": own.flip.chapter, "flip": True},
        ],
        "rubric": [point.model_dump() for point in own.rubric],
        "draws": [_draw(scenario, draw) for draw in scenario.draws],
    }


def _draw(scenario: Scenario, draw: Draw) -> dict[str, Any]:
    own = scenario.round
    number = {key: n for n, key in enumerate((*own.candidates, *own.devices))}
    say = {limit.column: f"{own.columns[limit.column].say} {filled(limit.say, scenario, draw)}" for limit in own.limits}
    first_device = len(own.candidates)
    visible = columns(scenario)
    offers = [
        {
            "candidate": number[offer.candidate],
            "device": number[offer.device] - first_device,
            "cells": cells(scenario, offer),
            "broken": [visible.index(name) for name in offer.breaks if name in visible],
            "breaks": [f"{say[name]}: {_figure(scenario, name, offer.figures[name])}" for name in offer.breaks],
            "costs": _figure(scenario, own.least, offer.figures[own.least]),
        }
        for offer in draw.offers
    ]
    requirements = [
        [one.say[:1].upper() + one.say[1:], shown(draw.given[name], scenario.unit(name)).text] for name, one in own.given.items()
    ]
    flip, flip_to = turn(scenario, draw)
    return {
        "prompt": filled(own.prompt, scenario, draw),
        "given": requirements,
        "offers": offers,
        "best": draw.offers.index(draw.best),
        "flip": f"{own.given[own.flip.given].say} {flip.text}: {flip_to}",
    }


def _figure(scenario: Scenario, name: str, value: float) -> str:
    return shown(value, scenario.round.columns[name].unit).text


def script_path(name: str) -> str:
    """Where a round's draws stand, below ``_static``."""
    return f"rounds/{name}.js"


def index(app: Sphinx, context: Mapping[str, Any]) -> dict[str, Any]:
    """What the script needs before a round is chosen: rounds and chapters, with the addresses of their pages and scripts."""
    env, link = app.env, context["pathto"]
    pages = [page for page in env.collect_relations() if CHAPTER.fullmatch(page)]
    rounds = [
        {
            "name": env.metadata[page]["round"],
            "title": env.titles[page].astext(),
            "href": link(page),
            "page": page,
            "data": link(f"_static/{script_path(env.metadata[page]['round'])}", 1),
            "questions": link(f"_static/{script_of(page)}", 1),
        }
        for page in pages
        if "round" in env.metadata[page]
    ]
    chapters = {
        page.removeprefix("book/"): {
            "title": env.titles[page].astext(),
            "href": link(page),
            "questions": [f"{one['id']}@{one['version']}" for one in env.metadata[page].get("self_check", ())],
        }
        for page in pages
        if "round" not in env.metadata[page]
    }
    stages = [{"key": key, "title": STAGE_TITLES[key], "minutes": minutes} for key, minutes in STAGES.items()]
    return {"rounds": rounds, "chapters": chapters, "stages": stages, "points": POINTS, "review": address(env, link)}


def keep_draws(app: Sphinx, doctree: nodes.document) -> None:
    """Sphinx ``doctree-read``: a round's draws, computed for its page already, as the script that :func:`fill_in` writes with the page."""
    known = app.env.metadata[app.env.docname]
    if "round" in known:
        scenario = load(path_of(app.env))
        text = json.dumps(data(scenario), ensure_ascii=False, separators=(",", ":"))
        known["round_draws"] = f"window.mockRound.loaded({json.dumps(scenario.name)}, {text});\n"


def fill_in(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Sphinx ``html-page-context``: a round's draws with its page; on the practice page the index, its scripts and style."""
    known = app.env.metadata.get(page, {})
    if "round_draws" in known:
        path = Path(app.outdir) / "_static" / script_path(known["round"])
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, known["round_draws"])
    if "mock_round" not in known:
        return
    found = index(app, context)
    without = f"<p>Without JavaScript, take a round's page, its rubric and its three answers:</p><ul>{links(found['rounds'])}</ul>"
    place_index(app, context, INDEX, without, script(found, "mr-index"), SCRIPTS, STYLES)


def setup(app: Sphinx) -> None:
    app.add_directive("mock-round", MockRound)
    rewrite_with_any_page(app, "mock_round")
    app.connect("doctree-read", keep_draws)
    app.connect("html-page-context", fill_in)
