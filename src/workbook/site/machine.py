"""``{this-machine}``: what was measured on the reader's machine, as a section of a page."""

from __future__ import annotations

import functools
import html
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from napkinmath.errors import InputError
from napkinmath.profile import Profile, load_profile
from napkinmath.units import fmt

from ..records import load_records


@functools.cache
def profile() -> Profile | None:
    """The reader's profile, or None where there is none that holds here."""
    try:
        return load_profile()
    except InputError:
        return None


class ThisMachine(SphinxDirective):
    """Tables of the profile and of what the labs recorded, with their charts."""

    def run(self) -> list[nodes.Node]:
        from napkinmath import bert_base, charts

        from .chart import chart, render

        def figure(altair_chart: Any, alt: str) -> nodes.Node:
            spec = charts.spec(altair_chart) | {"description": alt}
            return chart("", "".join(render(spec, f"chart-{self.env.new_serialno('chart') + 1}")), format="html")

        here, rows = profile(), load_records()
        if here is None:
            remedy = "<code>napkinmath calibrate</code> makes one in a minute, and the next <code>make book</code> shows it here."
            return [_html(f"<p>There is no profile of this machine yet: {remedy}</p>")]
        ledger = bert_base.ledger(batch=8, seq=128)
        alt = f"Roofline of {here.name} in fp32, with the operations of BERT-base at batch 8 and sequence length 128 on it."
        out: list[nodes.Node] = [
            _html(table(["", "Measured"], profile_rows(here))),
            figure(charts.roofline([], ledger, profile=here, dtype="fp32"), alt),
        ]
        if rows:
            titles = ["What ran", "Measured / predicted", "Measured", "Predicted"]  # a narrow screen shows the first two
            out.append(_html(table(titles, [record_row(row) for row in rows])))
            out.append(figure(charts.predicted_vs_measured(rows), "Predicted interval and measured time of each recorded run."))
        else:
            out.append(_html("<p>No lab has recorded a measurement here yet: <code>make labs</code> runs them.</p>"))
        return out


def profile_rows(here: Profile) -> list[list[str]]:
    """What a profile says, as rows of a table: name and value."""
    peaks = [[f"Best matmul rate, {dtype}", fmt(here.peak_flops(dtype), "FLOP/s")] for dtype in here.peaks]
    return [
        ["Machine", here.name],
        *peaks,
        ["Memory bandwidth", fmt(here.bandwidth_bytes_per_s, "B/s")],
        ["Ridge, fp32", fmt(here.ridge_intensity("fp32"), "FLOP/B")] if "fp32" in here.peaks else ["Ridge", ""],
        ["Last-level cache", fmt(here.cache_bytes, "B")],
        ["Cost of a module call", fmt(here.module_s, "s")],
        ["Noise of repeats (half the interquartile range)", fmt(here.noise, "%", digits=2)],
        ["Drift during the calibration", fmt(here.drift, "%", digits=2)],
        ["Calibrated", f"{here.created[:10]}, in {fmt(here.duration_s, 's', digits=2)}, torch {here.torch}"],
    ]


def record_row(row: dict[str, Any]) -> list[str]:
    """One recorded run as a row of a table."""
    interval = f" ({fmt(row['low_s'], 's')} to {fmt(row['high_s'], 's')})" if row.get("low_s") is not None else ""
    ratio = f"{row['measured_s'] / row['predicted_s']:.2f}"
    return [row["name"], ratio, fmt(row["measured_s"], "s"), fmt(row["predicted_s"], "s") + interval]


def table(titles: list[str], rows: list[list[str]]) -> str:
    """HTML of a table that scrolls inside itself; the first column names its row."""
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' if title else "<td></td>" for title in titles)
    body = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>' + "".join(f"<td>{html.escape(cell)}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    return scrolling(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>")


def scrolling(content: str, css_class: str = "") -> str:
    """A table in a box that scrolls, also by keyboard."""
    return f'<div class="pst-scrollable-table-container" tabindex="0"><table class="{f"table {css_class}".strip()}">{content}</table></div>'


def _html(text: str) -> nodes.Node:
    return nodes.raw("", text, format="html")


def setup(app: Any) -> None:
    app.add_directive("this-machine", ThisMachine)
