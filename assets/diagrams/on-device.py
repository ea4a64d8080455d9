"""Draws ``on-device.svg``: a frame on its way through four budgets, and how heat comes back as latency.

Run it after a change: ``python assets/diagrams/on-device.py``.
"""

from __future__ import annotations

from pathlib import Path

from workbook.site.diagram import box, edge, label, svg

WIDTH, HEIGHT = 440, 250
FILE, UNIT, HEAT = "#2f7fd6", "#a855c7", "#d9730d"  # read on light and on dark
TITLE = "Four budgets of a network on a phone"
DESCRIPTION = (
    "A model file of so many megabytes is downloaded. Its graph is cut into pieces: what the accelerator has kernels for runs on the NPU, "
    "the rest on the CPU, and tensors are handed over at each cut. Both take milliseconds for a frame and joules from the battery. Joules "
    "times frames a second are watts, which warm the case; the case sheds so many watts to the air, and when it is as warm as it may be a "
    "governor lowers the clock, which makes a frame take longer."
)


def drawing() -> str:
    parts = [
        box(62, 16, "model file", width=108, colour=FILE),
        label(62, 64, "MB to download", size=11),
        edge((116, 31), (152, 31)),
        box(220, 8, "NPU", "what it covers", width=132, colour=UNIT),
        box(220, 84, "CPU", "everything else", width=132, colour=UNIT),
        edge((204, 56), (204, 82)),
        edge((236, 84), (236, 58)),
        label(244, 73, "hand-overs", anchor="start", size=11),
        edge((286, 31), (322, 31)),
        box(380, 16, "a frame", width=108, colour=FILE),
        label(380, 64, "ms, and joules", size=11),
        edge((380, 74), (380, 160)),
        label(374, 148, "× frames a second", anchor="end", size=11),
        box(380, 164, "watts", width=108, colour=HEAT),
        edge((326, 179), (290, 179)),
        box(220, 156, "warm case", "battery", width=132, colour=HEAT),
        label(220, 222, "sheds so many watts", size=11),
        edge((154, 179), (118, 179)),
        box(62, 164, "governor", width=108, colour=HEAT),
        edge((62, 164), (62, 107), (150, 107)),
        label(68, 101, "lower clock", anchor="start", size=11),
    ]
    return svg("on-device", TITLE, DESCRIPTION, (WIDTH, HEIGHT), parts, widest=560)


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(drawing(), encoding="utf-8")
