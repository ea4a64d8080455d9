"""``{round}``: what a round's page shows of ``questions/rounds/<round>.yml``, which is found by the page's own name.

``{round} define`` gives the page's numbers the names of the requirements, the definitions, ``offers``, ``best``, ``flip`` and ``flip_to``
(see :mod:`workbook.rounds.estimates`), all for the round's first draw. ``{round} prompt`` is what the interviewer says,
``{round} requirements`` a table of it, ``{round} comparison`` every candidate on its best device and then all of them, with the choice
and what turns it, ``{round} estimates`` the estimates as self-check, and ``{round} samples`` the rubric with three answers to score.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import napkinmath
from napkinmath.errors import InputError, did_you_mean

from ..questions import bank
from ..questions.directive import SelfCheck
from ..questions.template import fill, plain
from ..questions.web import Drawn, block, entry, script
from ..site.let import define
from ..site.machine import scrolling
from .estimates import names, questions, shown, turn
from .scenario import Draw, Offer, Scenario, load
from .schema import GRADES, RubricPoint

SCRIPT, STYLE = "round.js", "round.css"
SAMPLE_NAMES = {"weak": "Answer A", "hire": "Answer B", "strong": "Answer C"}
GRADE_SAYS = {"weak": "a weak answer", "hire": "an answer that is hired", "strong": "a strong answer"}


def folder(start: Path) -> Path:
    """Where the rounds' files are."""
    return bank.find_root(start) / "rounds"


def path_of(env: BuildEnvironment) -> Path:
    """The round's file of the page that is being read."""
    page = Path(env.doc2path(env.docname))
    return folder(page.parent) / f"{page.stem}.yml"


class RoundDirective(SelfCheck):
    """One part of a round."""

    required_arguments = 1
    option_spec: ClassVar[Any] = {}

    def run(self) -> list[nodes.Node]:
        parts: dict[str, Callable[[Scenario], list[nodes.Node]]] = {
            "define": self.define,
            "prompt": lambda one: [html_node(prompt(one, one.draws[0]))],
            "requirements": lambda one: [html_node(requirements(one))],
            "comparison": lambda one: [html_node(comparison(one, one.draws[0]))],
            "estimates": self.estimates,
            "samples": self.samples,
        }
        part = self.arguments[0]
        path = path_of(self.env)
        self.env.note_dependency(str(path))
        try:
            if part not in parts:
                raise InputError(f"{part!r} is no part of a round.{did_you_mean(part, parts)}")
            return parts[part](load(path))
        except InputError as error:
            raise self.error(f"round: {error}") from error

    def define(self, scenario: Scenario) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["round"] = scenario.name
        for name, value in names(scenario, scenario.draws[0]).items():
            define(self.env, name, value)
        return []

    def estimates(self, scenario: Scenario) -> list[nodes.Node]:
        drawn = [Drawn(question, variants) for question, variants in questions(scenario)]
        self.env.metadata[self.env.docname].setdefault("self_check", []).extend(entry(one) for one in drawn)
        return self._nodes(block(drawn))

    def samples(self, scenario: Scenario) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["round_samples"] = True
        return [html_node(samples(scenario))]


def html_node(text: str) -> nodes.Node:
    return nodes.raw("", text, format="html")


# What it shows ----------------------------------------------------------------------------------------------------------


def filled(text: str, scenario: Scenario, draw: Draw) -> str:
    """A text with a draw's requirements in it."""
    return " ".join(plain(fill(text, {name: shown(draw.given[name], scenario.unit(name)) for name in draw.given})).split())


def prompt(scenario: Scenario, draw: Draw) -> str:
    return f'<blockquote class="round-prompt"><p>{html.escape(filled(scenario.round.prompt, scenario, draw))}</p></blockquote>'


def requirements(scenario: Scenario) -> str:
    """Each requirement on this page, and what else it is in practice."""
    rows = []
    for name, given in scenario.round.given.items():
        first, *others = (shown(one.value, one.unit).text for one in scenario.quantities[name])
        rows.append([given.say[:1].upper() + given.say[1:], first, ", ".join(others) or "always"])
    head = "".join(f'<th scope="col">{title}</th>' for title in ("Requirement", "Here", "In practice also"))
    return scrolling(f"<thead><tr>{head}</tr></thead><tbody>{''.join(row(*cells) for cells in rows)}</tbody>")


def row(first: str, *rest: str) -> str:
    return f'<tr><th scope="row">{html.escape(first)}</th>' + "".join(f"<td>{html.escape(cell)}</td>" for cell in rest) + "</tr>"


def device_name(key: str) -> str:
    """A device's name, as a table has room for it: without its vendor, and what stands in brackets behind it."""
    return str(napkinmath.device(key).title).partition(" (")[0].removeprefix("NVIDIA ").removeprefix("Intel ")


def columns(scenario: Scenario) -> list[str]:
    """The columns that readers see."""
    return [name for name, column in scenario.round.columns.items() if not column.hidden]


def cells(scenario: Scenario, offer: Offer) -> list[str]:
    """An offer's figures as readers see them in a table, whose heads say of what a rate is."""
    texts = (shown(offer.figures[name], scenario.round.columns[name].unit).text for name in columns(scenario))
    return [text.replace(" requests/s", "/s") for text in texts]


def leading(scenario: Scenario, draw: Draw) -> list[Offer]:
    """Each candidate on the device where it costs least, or where nothing holds the limits, breaks fewest; the choice first."""
    least = scenario.round.least

    def key(offer: Offer) -> tuple[int, float]:
        return len(offer.breaks), offer.figures[least]

    best = [min((one for one in draw.offers if one.candidate == name), key=key) for name in scenario.round.candidates]
    return sorted(best, key=key)


def comparison(scenario: Scenario, draw: Draw) -> str:
    """The table of the round, the sentence that follows from it, and all pairs folded below."""
    own = scenario.round
    titles = ["Candidate", "Device", *(own.columns[name].say for name in columns(scenario))]
    asked = own.given[own.flip.given].say
    flip, flip_to = turn(scenario, draw)
    way = "above" if draw.flip.value > draw.given[own.flip.given] else "below"
    limits = "; ".join(f"{own.columns[limit.column].say} {filled(limit.say, scenario, draw)}" for limit in own.limits)
    return (
        table(titles, scenario, draw, leading(scenario, draw))
        + f'<p class="round-choice"><strong>The choice:</strong> {html.escape(own.candidates[draw.best.candidate].say)} on '
        f"{html.escape(device_name(draw.best.device))}. <strong>What turns it:</strong> "
        f"{html.escape(asked)} {way} {html.escape(flip.text)}, "
        f"where {html.escape(flip_to)} {'is the choice' if draw.flip.to else 'holds the limits'}. "
        f"Limits (✗ where broken): {html.escape(limits)}.</p>"
        f"<details class='round-all'><summary>All {len(draw.offers)} pairs of candidate and device</summary>"
        + table(titles, scenario, draw, sorted(draw.offers, key=lambda one: (len(one.breaks), one.figures[own.least])))
        + "</details>"
    )


def table(titles: list[str], scenario: Scenario, draw: Draw, offers: list[Offer]) -> str:
    body = []
    for offer in offers:
        mark = ' class="round-best"' if offer == draw.best else ""
        shown_cells = zip(columns(scenario), cells(scenario, offer), strict=True)
        figures = "".join(cell(text, name in offer.breaks) for name, text in shown_cells)
        say = html.escape(scenario.round.candidates[offer.candidate].say)
        body.append(f'<tr{mark}><th scope="row">{say}</th><td>{html.escape(device_name(offer.device))}</td>{figures}</tr>')
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in titles)
    return scrolling(f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>", "round-table")


def cell(text: str, broken: bool) -> str:
    if not broken:
        return f"<td>{html.escape(text)}</td>"
    mark, spoken = '<span aria-hidden="true">✗ </span>', '<span class="visually-hidden"> (breaks the limit)</span>'
    return f'<td class="round-broken">{mark}{html.escape(text)}{spoken}</td>'


# Three answers to score --------------------------------------------------------------------------------------------------


def samples(scenario: Scenario) -> str:
    """The answers in turn: read, tick what it says, then compare with how we scored it. Without scripts, our scores fold out."""
    own = scenario.round
    parts = []
    for grade in GRADES:
        name = SAMPLE_NAMES[grade]
        ticks = "".join(tick(point, f"{grade}-{point.id}") for point in own.rubric)
        text = "".join(f"<p>{html.escape(' '.join(part.split()))}</p>" for part in own.samples[grade].answer.strip().split("\n\n"))
        said = f'<span class="sc-hidden"> ({name})</span>'
        parts.append(
            f'<section class="round-sample" aria-labelledby="{grade}-title" data-grade="{grade}">'
            f'<h3 id="{grade}-title">{name}</h3><blockquote>{text}</blockquote>'
            f'<details class="round-rubric"><summary>Score it: the rubric{said}</summary>'
            f"<fieldset><legend>What does {name} say?</legend>{ticks}</fieldset></details>"
            f'<details class="round-ours"><summary>How we scored it{said}</summary>{ours(scenario, grade)}</details></section>'
        )
    data = {
        "worth": {point.id: point.worth for point in own.rubric},
        "samples": {grade: {"earns": list(own.samples[grade].earns), "is": GRADE_SAYS[grade]} for grade in GRADES},
    }
    return f'<div class="self-check round-samples">{"".join(parts)}{script(data, "round-data")}</div>'


def tick(point: RubricPoint, id: str) -> str:
    """A point of the rubric with its box."""
    box = f'<input type="checkbox" autocomplete="off" id="{id}" value="{point.id}">'
    worth = f'<span class="sc-worth">({points(point.worth)})</span>'
    return f'<div class="sc-option">{box}<label for="{id}">{html.escape(point.point)} {worth}</label></div>'


def points(worth: int) -> str:
    return f"{worth} point{'s' if worth > 1 else ''}"


def ours(scenario: Scenario, grade: str) -> str:
    """Each point with the words that earned it, or why it was missed."""
    own = scenario.round
    sample = own.samples[grade]
    lines = []
    for point in own.rubric:
        earned = point.id in sample.earns
        why = f"“{sample.earns[point.id]}”" if earned else sample.misses[point.id]
        mark = f'{"✓" if earned else "✗"}<span class="visually-hidden"> {"earned" if earned else "missed"}:</span>'
        text = f"<strong>{mark} {html.escape(point.point)}</strong> {html.escape(' '.join(why.split()))}"
        lines.append(f'<li data-point="{point.id}">{text}</li>')
    return f"<p>{own.score(grade)} of {own.worth} points: {GRADE_SAYS[grade]}.</p><ul>{''.join(lines)}</ul>"


def add_assets(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Style and script on the pages of rounds and on no other."""
    known = app.env.metadata.get(page, {})
    if "round" in known:
        app.add_css_file("self-check.css")
        app.add_css_file(STYLE)
        app.add_js_file(SCRIPT, loading_method="defer")


def setup(app: Sphinx) -> None:
    app.add_directive("round", RoundDirective)
    app.connect("html-page-context", add_assets)
