"""Predictions beside measurements."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt

from ..errors import InputError
from .theme import MEASURED, MODELLED, finish, inline, require, short


def predicted_vs_measured(rows: Iterable[Mapping[str, Any]]) -> alt.Chart:
    """Per row, the predicted interval as a bar and the measured time as a point, on one logarithmic time axis.

    Args:
        rows: mappings with ``name``, ``predicted_s``, ``measured_s`` and optionally ``low_s`` and ``high_s``.

    Raises:
        InputError: no rows, or a row without one of the three.
    """
    table: list[dict[str, Any]] = []
    for row in rows:
        require(row, "name", "predicted_s", "measured_s")
        predicted, measured = float(row["predicted_s"]), float(row["measured_s"])
        table.append(
            {
                "name": str(row["name"]),
                "predicted (ms)": short(predicted * 1e3),
                "from (ms)": short(float(row.get("low_s") or predicted) * 1e3),
                "to (ms)": short(float(row.get("high_s") or predicted) * 1e3),
                "measured (ms)": short(measured * 1e3),
                "measured / predicted": short(measured / predicted),
            }
        )
    if not table:
        raise InputError("rows: none to draw; expected mappings with name, predicted_s and measured_s")
    lines = {row["name"]: _label(row["name"]) for row in table}
    base = alt.Chart(inline(table)).encode(
        y=alt.Y(
            "name:N",
            sort=None,
            title=None,
            axis=alt.Axis(labelLimit=160, labelOverlap=False, labelExpr=f"{json.dumps(lines)}[datum.label]"),
        ),
        tooltip=[f"{key}:N" for key in table[0]],
    )
    scale = alt.Scale(type="log", nice=False, padding=12)
    axis = alt.Axis(tickCount=6, format="~g", gridOpacity=0.15, labelFlush=20)  # a number at the edge stays inside
    color = alt.Color("series:N", scale=alt.Scale(domain=["modelled", "measured"], range=[MODELLED, MEASURED]))
    interval = base.mark_rule(strokeWidth=9, opacity=0.3, strokeCap="round", color=MODELLED).encode(
        x=alt.X("from (ms):Q", scale=scale, axis=axis, title="milliseconds"), x2="to (ms):Q"
    )
    modelled = (
        base.transform_calculate(series="'modelled'").mark_tick(thickness=3, size=18, opacity=1).encode(x="predicted (ms):Q", color=color)
    )
    measured = base.transform_calculate(series="'measured'").mark_point(size=90).encode(x="measured (ms):Q", color=color)
    height = sum(max(34, 17 * len(lines[row["name"]])) for row in table)
    return finish(alt.layer(interval, modelled, measured), "measured", height=max(90, height))


def _label(name: str) -> list[str]:
    """What ran, and its sizes (``batch=8``) on lines of their own."""
    words = name.split()
    sizes = next((index for index, word in enumerate(words) if "=" in word), len(words))
    return [line for part in (words[:sizes], words[sizes:]) for line in textwrap.wrap(" ".join(part), 24)]


def sweep(
    rows: Iterable[Mapping[str, Any]],
    x: str,
    modelled: str = "predicted_s",
    measured: str = "measured_s",
    *,
    x_title: str | None = None,
    y_title: str = "seconds",
) -> alt.Chart:
    """A line for what the model says over ``x`` and points for what was measured, both axes logarithmic.

    Args:
        rows: mappings with the columns ``x``, ``modelled`` and ``measured``; a row may lack ``measured`` (or hold None).
        x, modelled, measured: names of columns.

    Raises:
        InputError: no rows, or a row without ``x`` or ``modelled``.
    """
    line, points = [], []
    for row in rows:
        require(row, x, modelled)
        line.append({x: row[x], "value": short(float(row[modelled])), "series": "modelled"})
        if row.get(measured) is not None:
            points.append({x: row[x], "value": short(float(row[measured])), "series": "measured"})
    if not line:
        raise InputError(f"rows: none to draw; expected mappings with {x}, {modelled} and {measured}")
    ticks = sorted({row[x] for row in line})
    across = alt.X(
        f"{x}:Q", scale=alt.Scale(type="log", base=2, nice=False, padding=12), title=x_title or x, axis=alt.Axis(values=ticks, format=",")
    )
    up = alt.Y("value:Q", scale=alt.Scale(type="log"), title=y_title, axis=alt.Axis(tickCount=4, format="~g", gridOpacity=0.15))
    color = alt.Color("series:N", scale=alt.Scale(domain=["modelled", "measured"], range=[MODELLED, MEASURED]))
    tooltip = [f"{x}:Q", "series:N", alt.Tooltip("value:Q", title=y_title)]
    layers = [alt.Chart(inline(line)).mark_line().encode(x=across, y=up, color=color, tooltip=tooltip)]
    if points:
        layers.append(alt.Chart(inline(points)).mark_point(size=90).encode(x=across, y=up, color=color, tooltip=tooltip))
    return finish(alt.layer(*layers), "measured" if points else "modelled")
