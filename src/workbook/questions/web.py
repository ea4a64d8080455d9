"""The bank as a web page: plain HTML that works by itself, and data with which ``assets/self-check.js`` grades.

A block is a list of pieces: strings are HTML, :class:`Text` is Markdown that the caller renders (Sphinx does it, so that formulas
and code look as everywhere else). Nothing of a question's text is pasted into HTML here.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napkinmath import units
from napkinmath.errors import InputError

from . import grader, progress, schedule
from .machine import NoProfile
from .progress import MAX_TEXT
from .schema import AnyQuestion, Choice, Multi, Numeric, Open, Order
from .variants import Variant, shown_order, variants


@dataclass(frozen=True)
class Text:
    """Markdown to render in place: ``inline`` without a paragraph around it."""

    markdown: str
    inline: bool = False


Piece = str | Text

KIND_NAMES = {
    "choice": "Choose one",
    "multi": "Choose all that apply",
    "numeric": "Estimate",
    "order": "Put in order",
    "open": "In your own words",
}
LEVEL_NAMES = {1: "recall", 2: "apply", 3: "judge"}


def table() -> dict[str, Any]:
    """What the website's scripts need once per page: units, sentences, the schedule's intervals, the format of saved progress."""
    return {
        "units": units.table(),
        "says": grader.SAYS,
        "open_pass": grader.OPEN_PASS,
        "intervals": schedule.INTERVALS,
        "progress": {"format": progress.FORMAT, "version": progress.VERSION, "says": progress.SAYS},
    }


def data(question: AnyQuestion, drawn: Sequence[Variant]) -> dict[str, Any]:
    """What the website's grader needs of one question."""
    common = {"id": question.id, "version": question.version, "kind": question.kind}
    if isinstance(question, Numeric):
        found = [{"answer": v.answer, "text": v.answer_text, "slips": [value for value, _ in v.slips]} for v in drawn]
        unit = {"unit": question.answer.unit, "whole": question.answer.whole}
        return {**common, **unit, "bands": question.grade.model_dump(), "variants": found}
    if isinstance(question, Open):
        return {**common, "points": [point.worth for point in question.rubric]}
    if isinstance(question, Order):
        return {**common, "options": len(question.options)}
    return {**common, "options": len(question.options), "correct": question.correct, "shuffle": question.shuffle}


def as_script(value: Any) -> str:
    """JSON that cannot end the script that holds it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def script(value: Any, css_class: str) -> str:
    """Data inside a page, which no text in it can end early."""
    return element(as_script(value), css_class)


def element(text: str, css_class: str) -> str:
    """The element around what :func:`as_script` wrote."""
    return f'<script type="application/json" class="{css_class}">{text}</script>'


@dataclass(frozen=True)
class Drawn:
    """A question with its variants, or with the reason why this machine's readers are not asked it."""

    question: AnyQuestion
    variants: Sequence[Variant] = ()
    why_not: str = ""


def draw(questions: Sequence[AnyQuestion]) -> list[Drawn]:
    """Every question made concrete; one about this machine is left out where there is no profile, or where it does not work out."""
    drawn = []
    for question in questions:
        try:
            drawn.append(Drawn(question, variants(question)))
        except InputError as error:
            if not (isinstance(question, Numeric) and question.machine):
                raise
            why = str(error) if isinstance(error, NoProfile) else f"This question does not work out on your machine: {error}."
            drawn.append(Drawn(question, why_not=why))
    return drawn


def entry(drawn: Drawn) -> dict[str, Any]:
    """What the review page needs to choose a question, before its text is loaded."""
    question = drawn.question
    known: dict[str, Any] = {
        "id": question.id,
        "version": question.version,
        "kind": question.kind,
        "level": question.level,
        "tags": list(question.tags),
    }
    if isinstance(question, Numeric) and question.machine:
        known["machine"] = True
    return known | ({"why_not": drawn.why_not} if drawn.why_not else {})


def block(drawn: Sequence[Drawn], *, first: int = 1, with_table: bool = True) -> list[Piece]:
    """A set of questions: each with its form and its folded answer, then the answer key that print shows.

    Args:
        drawn: at least one.
        first: the number of the first question.
        with_table: emit :func:`table` too; once per page.
    """
    name = f"Self-check, questions {first} to {first + len(drawn) - 1}"
    pieces: list[Piece] = [f'<section class="self-check" aria-label="{name}">']
    numbered = list(enumerate(drawn, first))
    for number, one in numbered:
        pieces += _skipped(one.question, number, one.why_not) if one.why_not else _item(one.question, one.variants, number)
    pieces += ['<div class="sc-key"><p class="sc-key-title">Answer key</p>']
    asked = [(number, one.question, one.variants) for number, one in numbered if not one.why_not]
    for number, question, own in asked:
        pieces += [
            f'<div class="sc-key-item" data-id="{question.id}"><span class="sc-number">{number}.</span>',
            *_key(question, own),
            "</div>",
        ]
    pieces += ["</div>", script([data(question, own) for _, question, own in asked], "sc-data")]
    return [*pieces, *([script(table(), "sc-table")] if with_table else []), "</section>"]


def _label(question: AnyQuestion, number: int) -> str:
    label = f"{KIND_NAMES[question.kind]} · {LEVEL_NAMES[question.level]}"
    return f'<span class="sc-number">{number}.</span> {label}'


def _skipped(question: AnyQuestion, number: int, why: str) -> list[Piece]:
    return [
        f'<div class="sc-skipped" id="{question.id}"><p class="sc-legend">{_label(question, number)} · skipped</p>',
        f"<p>{html.escape(why)} The next build of the book asks it here.</p></div>",
    ]


def _item(question: AnyQuestion, drawn: Sequence[Variant], number: int) -> list[Piece]:
    name = question.id
    return [
        f'<div class="sc-item" id="{name}" data-id="{name}" data-kind="{question.kind}">',
        f'<fieldset aria-describedby="{name}-prompt"><legend>{_label(question, number)}'
        f' <span class="sc-state"></span></legend><div class="sc-prompt" id="{name}-prompt">',
        *_each(drawn, lambda variant: [Text(variant.prompt)]),
        "</div>",
        *_controls(question, drawn[0]),
        "</fieldset>",
        f'<details class="sc-answer"><summary>Answer{" and rubric" if question.kind == "open" else ""}'
        f'<span class="sc-hidden"> to question {number}</span></summary>',
        *_answer(question, drawn),
        "</details></div>",
    ]


def _controls(question: AnyQuestion, variant: Variant) -> list[Piece]:
    name = question.id
    if isinstance(question, Choice | Multi):
        kind = "radio" if isinstance(question, Choice) else "checkbox"
        pieces: list[Piece] = ['<div class="sc-options">']
        for n, (text, _) in enumerate(variant.options):
            control = f'<input type="{kind}" name="{name}" id="{name}-{n}" value="{n}">'
            pieces += [f'<div class="sc-option" data-n="{n}">{control}<label for="{name}-{n}">', Text(text, inline=True), "</label></div>"]
        return [*pieces, "</div>"]
    if isinstance(question, Order):
        pieces = ['<ol class="sc-order">']
        for n in shown_order(question):
            pieces += [f'<li data-n="{n}"><span id="{name}-{n}">', Text(variant.options[n][0], inline=True), "</span>"]
            pieces += ['<span class="sc-moves">', _move(name, n, -1, "up", "↑"), _move(name, n, 1, "down", "↓"), "</span></li>"]
        return [*pieces, "</ol>"]
    if isinstance(question, Numeric):
        unit = html.escape(question.answer.unit)
        asked = f"Your estimate in {unit}" if unit else "Your estimate, a number"
        control = f'<input type="text" id="{name}-answer" autocomplete="off" autocapitalize="off" spellcheck="false">'
    else:
        asked, control = "Your answer, for yourself", f'<textarea id="{name}-answer" rows="4" maxlength="{MAX_TEXT}"></textarea>'
    return [f'<p class="sc-typed"><label for="{name}-answer">{asked}</label> {control}</p>']


def _move(name: str, n: int, by: int, way: str, sign: str) -> str:
    """A button that moves a line; it is named after the line. Shown where there is a script."""
    own = f"{name}-{n}-{way}"
    return (
        f'<button type="button" class="sc-button" value="{by}" id="{own}" aria-label="Move {way}:" '
        f'aria-labelledby="{own} {name}-{n}">{sign}</button>'
    )


def _answer(question: AnyQuestion, drawn: Sequence[Variant]) -> list[Piece]:
    """What folds out. The script copies single parts of it into the feedback, by their ``data-`` attributes."""
    if isinstance(question, Choice | Multi):
        pieces: list[Piece] = ["<ul>"]
        for n, (text, feedback) in enumerate(drawn[0].options):
            mark = "Right" if question.options[n].correct else "Not this"
            pieces += [
                f'<li data-option="{n}"><strong>{mark}:</strong> <em>',
                Text(text, inline=True),
                f"</em>{_stop(text)} ",
                Text(feedback, inline=True),
                "</li>",
            ]
        return [*pieces, "</ul>", *_explain(drawn)]
    if isinstance(question, Order):
        pieces = ["<ol>"]
        for n, (text, feedback) in enumerate(drawn[0].options):
            pieces += [f'<li data-option="{n}"><em>', Text(text, inline=True), f"</em>{_stop(text)} ", Text(feedback, inline=True), "</li>"]
        return [*pieces, "</ol>", *_explain(drawn)]
    if isinstance(question, Open):
        return [*_rubric(question, drawn[0]), '<p class="sc-model">A model answer:</p>', Text(drawn[0].model_answer), *_explain(drawn)]

    def one(variant: Variant) -> list[Piece]:
        pieces: list[Piece] = [f"<p><strong>{html.escape(variant.answer_text)}</strong></p>"]
        if variant.explain:
            pieces += ["<div data-explain>", Text(variant.explain), "</div>"]
        if variant.slips:
            pieces += ["<p>If you came out at</p><ul>"]
        for n, (value, say) in enumerate(variant.slips):
            wrong = html.escape(units.fmt(value, units.parse(f"1 {question.answer.unit}").unit))
            pieces += [f'<li>{wrong}: <span data-slip="{n}">', Text(say, inline=True), "</span></li>"]
        return [*pieces, "</ul>"] if variant.slips else pieces

    return _each(drawn, one)


def _stop(text: str) -> str:
    """What ends an option before its feedback, unless it is a sentence already."""
    return "" if text.rstrip()[-1:] in (".", "!", "?") else "."


def _rubric(question: Open, variant: Variant) -> list[Piece]:
    pieces: list[Piece] = ['<fieldset class="sc-rubric"><legend>What did your answer say?</legend>']
    for n, (point, text) in enumerate(zip(question.rubric, variant.rubric, strict=True)):
        control = f'<input type="checkbox" id="{question.id}-point-{n}" value="{n}">'
        worth = f' <span class="sc-worth">({point.worth} point{"s" if point.worth > 1 else ""})</span>'
        pieces += [
            f'<div class="sc-option">{control}<label for="{question.id}-point-{n}">',
            Text(text, inline=True),
            f"{worth}</label></div>",
        ]
    return [*pieces, "</fieldset>"]


def _explain(drawn: Sequence[Variant]) -> list[Piece]:
    return ["<div data-explain>", Text(drawn[0].explain), "</div>"] if drawn[0].explain else []


def _key(question: AnyQuestion, drawn: Sequence[Variant]) -> list[Piece]:
    if isinstance(question, Numeric):
        return _each(drawn, lambda variant: [html.escape(variant.answer_text)])
    if isinstance(question, Open):
        return [Text(drawn[0].model_answer)]
    pieces: list[Piece] = []
    if isinstance(question, Order):
        for n, (text, _) in enumerate(drawn[0].options, 1):
            pieces += [f"<div>{n}. ", Text(text, inline=True), "</div>"]
        return pieces
    for n in question.correct:
        pieces += ["<div>", Text(drawn[0].options[n][0], inline=True), "</div>"]
    return pieces


def _each(drawn: Sequence[Variant], render: Any) -> list[Piece]:
    """Every variant's rendering, all but one hidden; the script shows another on a retry."""
    pieces: list[Piece] = []
    for variant in drawn:
        pieces += [f'<div data-variant="{variant.index}"{" hidden" if variant.index else ""}>', *render(variant), "</div>"]
    return pieces
