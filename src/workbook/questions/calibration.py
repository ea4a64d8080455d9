"""The chart of a reader's estimates over time: how far off, and on which side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from napkinmath.charts import INK
from napkinmath.charts.theme import MEASURED, MODELLED, finish, inline

ALT = "Your estimates over time: each point is the first estimate of a day, as a multiple of the computed answer, on a logarithmic axis."
GOOD = 1.5
#: The name of the chart's data, which the page replaces by the reader's.
DATA = "estimates"


def calibration(rows: Sequence[dict[str, Any]]) -> alt.Chart:
    """Estimate over answer, against the day.

    Args:
        rows: ``day`` (ISO 8601), ``ratio`` (estimate over answer), ``question`` (its id), ``median`` (of the latest estimates).
    """
    data = alt.Data(values=list(rows), name=DATA)
    x = alt.X("day:T", title=None, axis=alt.Axis(tickCount=6, format="%-d %b", grid=False), scale=alt.Scale(padding=10))
    scale = alt.Scale(type="log", domain=[0.1, 10], clamp=True, nice=False)
    axis = alt.Axis(values=[0.1, 0.2, 0.5, 1, 2, 5, 10], format="~g", gridOpacity=0.2)
    y = alt.Y("ratio:Q", scale=scale, axis=axis, title="estimate / computed")
    band = alt.Chart(inline([{"low": 1 / GOOD, "high": GOOD}])).mark_rect(color=MODELLED, opacity=0.15)
    exact = alt.Chart(inline([{"ratio": 1}])).mark_rule(color=INK, strokeWidth=1)
    points = alt.Chart(data).mark_point(color=MEASURED)
    line = alt.Chart(data).mark_line(color=MEASURED, strokeWidth=1.5, opacity=0.6, interpolate="monotone")
    layers = (
        band.encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        exact.encode(y=y),
        line.encode(x=x, y=alt.Y("median:Q", scale=scale)),
        points.encode(x=x, y=y, tooltip=["question:N", alt.Tooltip("ratio:Q", format=".2~g"), "day:T"]),
    )
    return finish(alt.layer(*layers), "measured", height=260)
