"""Draws ``gan.svg``: the two players and what each learns from, and a generator that chases the discriminator's maximum.

Run it after a change: ``python assets/diagrams/gan.py``. The lower half is schematic; the lab measures the real thing.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from workbook.site.diagram import box, edge, label, shape, svg

WIDTH, MIDDLE = 360, 180
ACCENT = "#d9730d"  # fakes, and what the generator learns from; reads on light and on dark

TITLE = "A GAN: two players, and how one of them collapses"
DESCRIPTION = (
    "Above: noise of shape batch, latent goes through the generator and becomes fake images; photos are the real ones. Both go through the "
    "discriminator, which gives each a score. The discriminator learns from both kinds, the generator from the scores of its fakes, "
    "through the discriminator. Below, three rings of eight modes each. In the first, covered, samples lie at all eight. In the second, "
    "collapsed, all samples lie at one mode. In the third, some rounds later, all lie at another mode."
)


def players(top: float) -> list[str]:
    """Who goes through whom, and which way the gradients take."""
    left, right = 90, 270
    return [
        box(left, top, "noise", width=100),
        shape(left + 8, top + 52, "batch, latent"),
        box(right, top, "photos", width=100),
        edge((left, top + 32), (left, top + 62)),
        box(left, top + 64, "generator", width=120, colour=ACCENT),
        edge((left, top + 95), (left, top + 123)),
        edge((right, top + 32), (right, top + 123)),
        label(left - 8, top + 113, "fake", size=12, anchor="end"),
        label(right + 8, top + 113, "real", size=12, anchor="start"),
        box(MIDDLE, top + 125, "discriminator", width=300),
        edge((MIDDLE, top + 156), (MIDDLE, top + 184)),
        box(MIDDLE, top + 186, "scores", width=100),
        shape(MIDDLE + 8, top + 176, "batch"),
        edge((130, top + 201), (12, top + 201), (12, top + 80), (28, top + 80), colour=ACCENT, dash="5 4"),
        label(18, top + 232, "to the generator: make fakes score high", size=12, anchor="start", colour=ACCENT),
        edge((230, top + 201), (300, top + 201), (300, top + 158), dash="5 4"),
        label(18, top + 249, "to the discriminator: real high, fake low", size=12, anchor="start"),
    ]


def ring(x: float, y: float, words: str, places: tuple[int, ...], seed: int) -> list[str]:
    """Eight modes as circles, and 32 samples spread over those in ``places``."""
    random, radius = np.random.default_rng(seed), 38
    modes = [(x + radius * math.cos(k * math.pi / 4), y + radius * math.sin(k * math.pi / 4)) for k in range(8)]
    parts = [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="9" fill="none" stroke="currentColor" stroke-opacity=".5"/>' for a, b in modes]
    for sample in range(32):
        a, b = modes[places[sample % len(places)]] + 3.2 * random.standard_normal(2)
        parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2" fill="{ACCENT}"/>')
    return [*parts, label(x, y + 68, words, size=12)]


def drawing() -> str:
    below = 330
    rings = [
        *ring(64, below, "covered", tuple(range(8)), 0),
        *ring(180, below, "collapsed", (6,), 1),
        *ring(296, below, "and later", (3,), 2),
    ]
    return svg("gan", TITLE, DESCRIPTION, (WIDTH, 408), [*players(8), *rings], widest=440)


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(drawing(), encoding="utf-8")
