"""Draws ``interview-method.svg``: the six moves of a round, their minutes, and what each leaves on the board.

Run it after a change: ``python assets/diagrams/interview-method.py``.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from workbook.site.diagram import svg

WIDTH, ROW, TOP = 440, 84, 24
ACCENT = "#d9730d"  # the move that most candidates skip; reads on light and on dark
MOVES = (
    (5, "Requirements", ("traffic, percentile, length, budget;", "what does a mistake cost?")),
    (5, "Scale", ("mean and peak requests a second,", "tokens, bytes stored")),
    (8, "Options", ("three that differ in kind;", "buying is one of them")),
    (12, "Numbers", ("latency, throughput, bandwidth, memory,", "complexity, quality, cost: one table")),
    (5, "Decision", ("a choice, a 'because',", "and the number that flips it")),
    (10, "Risks", ("metrics, failure, rollback,", "the interviewer's curveballs")),
)
TITLE = "The six moves of an interview round"
DESCRIPTION = (
    "From top to bottom: "
    + " ".join(f"{name}, {minutes} minutes: {' '.join(lines)}." for minutes, name, lines in MOVES)
    + f" Together {sum(minutes for minutes, *_ in MOVES)} minutes."
)


def move(position: int, minutes: int, name: str, lines: tuple[str, str]) -> str:
    """One row: the minutes, the move's box, and what it leaves on the board."""
    y, colour = TOP + position * ROW, ACCENT if name == "Decision" else "currentColor"
    parts = [
        f'<text x="34" y="{y + 26}" text-anchor="end" font-size="15" font-weight="600">{minutes}</text>',
        f'<rect x="44" y="{y}" width="118" height="42" rx="6" fill="{colour}" fill-opacity=".08" stroke="{colour}"/>',
        f'<text x="103" y="{y + 26}" text-anchor="middle" font-weight="600">{escape(name)}</text>',
        *(f'<text x="178" y="{y + 18 + 17 * n}" font-size="12">{escape(line)}</text>' for n, line in enumerate(lines)),
    ]
    if position + 1 < len(MOVES):
        arrow = f"M103 {y + 42} L103 {y + ROW - 2}"
        parts.append(f'<path d="{arrow}" fill="none" stroke="currentColor" marker-end="url(#interview-method-arrow)"/>')
    return "".join(parts)


def drawing() -> str:
    body = ['<text x="34" y="14" text-anchor="end" font-size="11">min</text>']
    body += [move(position, *row) for position, row in enumerate(MOVES)]
    return svg("interview-method", TITLE, DESCRIPTION, (WIDTH, TOP + 5 * ROW + 50), body, widest=520)


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(drawing(), encoding="utf-8")
