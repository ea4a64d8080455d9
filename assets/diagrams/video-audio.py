"""Draws ``video-audio.svg``: which tokens of a clip look at which, four ways.

Run it after a change: ``python assets/diagrams/video-audio.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workbook.site.diagram import label, svg

FRAMES, SIDE, CELL = 4, 3, 15
LOOKS, TIME = "#2f7fd6", "#d9730d"  # within the frame and along time: both read on light and on dark
TITLE = "Four ways to read a clip"
DESCRIPTION = (
    "Four columns, each a clip of four frames of three by three patches, one below the other; the middle patch of the second frame looks, "
    "outlined. Each frame for itself: it looks at the nine patches of its own frame, and one token a frame is read over time afterwards. "
    "Divided: it looks along time at the middle patch of all four frames, orange, then within its own frame, blue. Joint: it looks at all "
    "patches of all frames. Tubelets: two frames are one slice, so that there are two slices of nine, and it looks at all of them."
)
Looks = Callable[[int, int, int], str]
WAYS: tuple[tuple[str, str, int, Looks], ...] = (
    ("frame by frame", "then over time", 1, lambda frame, row, column: LOOKS if frame == 1 else ""),
    ("divided", "time, then space", 1, lambda frame, row, column: TIME if row == column == 1 else LOOKS if frame == 1 else ""),
    ("joint", "all at all", 1, lambda frame, row, column: LOOKS),
    ("tubelets", "all at all, half as many", 2, lambda frame, row, column: LOOKS),
)


def clip(left: float, top: float, tubelet: int, looks: Looks) -> list[str]:
    """One clip, its slices below each other; the patch that looks is outlined."""
    parts, height = [], SIDE * CELL
    for frame in range(FRAMES // tubelet):
        y = top + frame * tubelet * (height + 9) + (tubelet - 1) * (height + 9) / 2
        for depth in reversed(range(tubelet)):  # a second square behind the first: the slice is thick
            shift = 5 * depth
            for row in range(SIDE):
                for column in range(SIDE):
                    colour = looks(frame, row, column)
                    fill = f'fill="{colour}" fill-opacity=".6"' if colour else 'fill="currentColor" fill-opacity=".05"'
                    place = f'x="{left + column * CELL + shift:g}" y="{y + row * CELL - shift:g}" width="{CELL}" height="{CELL}"'
                    parts.append(f'<rect {place} {fill} stroke="currentColor" stroke-opacity=".35"/>')
        if frame == 1 // tubelet:
            place = f'x="{left + CELL:g}" y="{y + CELL:g}" width="{CELL}" height="{CELL}"'
            parts.append(f'<rect {place} fill="none" stroke="currentColor" stroke-width="2.4"/>')
    return parts


def drawing() -> str:
    wide, gap, top = SIDE * CELL, 84, 50
    body = [label(24, top + (FRAMES * (wide + 9)) / 2, "time", size=12), label(24, top + (FRAMES * (wide + 9)) / 2 + 18, "↓", size=14)]
    for index, (name, says, tubelet, looks) in enumerate(WAYS):
        left = 76 + index * (wide + gap)
        body.append(label(left + wide / 2, 16, name, weight=600))
        body.append(label(left + wide / 2, 34, says, size=11))
        body += clip(left, top, tubelet, looks)
    return svg("video-audio", TITLE, DESCRIPTION, (76 + 4 * wide + 3 * gap + 44, top + FRAMES * (wide + 9) + 4), body, widest=600)


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(drawing(), encoding="utf-8")
