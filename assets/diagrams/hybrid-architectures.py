"""Draws ``hybrid-architectures.svg``: a linear trunk, a convolution over each morning, and attention from today's to those alike.

Run it after a change: ``python assets/diagrams/hybrid-architectures.py``.
"""

from __future__ import annotations

from pathlib import Path

from workbook.site.diagram import box, edge, label, shape, svg

WIDTH, HEIGHT = 446, 396
LOCAL, GLOBAL, TRUNK = "#119a86", "#d9730d", "#2f7fd6"  # read on light and on dark
DAYS, LEFT, DAY = 5, 22, 66
ALIKE = (1, 3)  # days that began as today did
TITLE = "A custom attention for time series"
DESCRIPTION = (
    "Above, four past days and the beginning of today; each day is a morning and what followed. One convolution turns every morning into a "
    "vector, relative to the morning's own mean. Today's vector is the query, those of past days are the keys; the second and the fourth "
    "day began like today and get the weight. The values are what followed on those days. Beside it, a linear trunk maps the whole history "
    "to the forecast. The sum of both is the forecast of the next twelve hours. The trunk starts from least squares, the attention's "
    "output from zero."
)


def days(top: float) -> list[str]:
    parts = [label(LEFT, top - 10, "history", anchor="start", weight=600), shape(LEFT + 58, top - 10, "batch, 344")]
    for day in range(DAYS):
        x, today = LEFT + DAY * day, day == DAYS - 1
        strong = today or day in ALIKE
        after = (
            ""
            if today
            else f'<rect x="{x + 24}" y="{top}" width="36" height="26" rx="3" fill="{GLOBAL}" fill-opacity="{0.5 if strong else 0.1}"/>'
        )
        morning = f'<rect x="{x}" y="{top}" width="22" height="26" rx="3" fill="{LOCAL}" fill-opacity="{0.75 if strong else 0.3}"/>'
        parts += [morning, after, label(x + (11 if today else 30), top + 42, "today" if today else f"day {day + 1}", size=11)]
    place = f'x="{LEFT + DAY * (DAYS - 1) + 24}" y="{top}" width="36" height="26" rx="3"'
    wanted = f'<rect {place} fill="none" stroke="{GLOBAL}" stroke-dasharray="3 3"/>'
    return [*parts, wanted, label(LEFT + DAY * DAYS + 2, top + 17, "forecast", anchor="start", size=12)]


def drawing() -> str:
    parts = days(34)
    parts += [box(118, 112, "local: convolution", width=192, colour=LOCAL), label(118, 158, "kernel 8, stride 24, minus own mean", size=11)]
    parts += [edge((118, 84), (118, 111)), shape(222, 132, "batch, 15, width")]
    parts += [edge((118, 166), (118, 189)), box(118, 190, "global: 1 query, 14 keys", width=192, colour=GLOBAL)]
    parts += [label(118, 236, "content, and a bias for each lag", size=11), shape(222, 210, "batch, 1, 14")]
    parts += [edge((118, 244), (118, 265)), box(118, 266, "what followed, weighted", width=192, colour=GLOBAL)]
    parts += [edge((118, 296), (118, 339), (178, 339)), label(30, 330, "starts at zero", anchor="start", size=11)]
    parts += [
        label(352, 104, "whole history", size=11),
        edge((352, 110), (352, 265)),
        box(352, 266, "trunk: one matrix", width=150, colour=TRUNK),
    ]
    parts += [edge((352, 296), (352, 339), (278, 339)), label(428, 330, "least squares", anchor="end", size=11)]
    return svg("hybrid-architectures", TITLE, DESCRIPTION, (WIDTH, HEIGHT), [*parts, box(228, 324, "sum", width=96), *output()], widest=520)


def output() -> list[str]:
    return [edge((228, 354), (228, 372)), shape(228, 386, "batch, 12", anchor="middle")]


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(drawing(), encoding="utf-8")
