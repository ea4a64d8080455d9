"""Draws ``transformer.svg``: one encoder layer (post-norm, as in BERT), with the tensor's shape on every edge.

Run it after a change: ``python assets/diagrams/transformer.py``.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from workbook.site.diagram import svg

WIDTH, MIDDLE = 440, 205
QUADRATIC = "#d9730d"  # the part that grows with seq * context; reads on light and on dark
TITLE = "One transformer encoder layer"
DESCRIPTION = (
    "Token ids of shape batch, seq become embeddings of shape batch, seq, d_model. In each layer, query, key and value projections "
    "split them into heads of width d_head; query times key transposed gives scores of shape batch, n_heads, seq, context, which are "
    "divided by the square root of d_head, masked and put through softmax; multiplied with value they return to batch, n_heads, seq, "
    "d_head, and the output projection to batch, seq, d_model. The layer's input is added and normalised. The FFN widens each token "
    "to d_ff and back; its input is added and normalised. A classifier reads the first token. Only the scores, softmax and weighted "
    "values, drawn in orange, grow with seq times context."
)


def box(y: float, text: str, *, x: float = MIDDLE, width: float = 150, colour: str = "currentColor") -> str:
    """A rounded box 30 high around ``text``, its top at ``y``, centred on ``x``."""
    place = f'x="{x - width / 2:g}" y="{y:g}" width="{width:g}" height="30" rx="6"'
    rect = f'<rect {place} fill="{colour}" fill-opacity=".08" stroke="{colour}"/>'
    return f'{rect}<text x="{x:g}" y="{y + 20:g}" text-anchor="middle">{escape(text)}</text>'


def edge(*points: tuple[float, float], shape: str = "", arrow: bool = True) -> str:
    """A line through ``points`` with an arrow at its end, and the tensor's shape to the right of its first segment."""
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
    line = f'<path d="{path}" fill="none" stroke="currentColor"' + (' marker-end="url(#transformer-arrow)"/>' if arrow else "/>")
    (x, y), (_, below) = points[:2]
    return line + (shape_at(x + 8, (y + below) / 2 + 4, shape) if shape else "")


def shape_at(x: float, y: float, shape: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-family="ui-monospace, monospace" font-size="11">[{escape(shape)}]</text>'


def residual(top: float, bottom: float) -> str:
    """The path around a sublayer, on the left, from ``top`` to the box whose middle is at ``bottom``."""
    return edge((MIDDLE, top), (34, top), (34, bottom), (MIDDLE - 75, bottom))


def layer(y: float) -> str:
    """The dashed frame and everything in it; ``y`` is the frame's top."""
    query, value = MIDDLE - 105, MIDDLE + 105
    heads = "batch, n_heads, seq, d_head"
    parts = [
        f'<rect x="10" y="{y:g}" width="420" height="552" rx="10" fill="none" stroke="currentColor" stroke-dasharray="5 5"/>',
        f'<text x="420" y="{y + 20:g}" text-anchor="end" font-weight="600">layer, n_layers times</text>',
        residual(y + 32, y + 375),
        edge((query, y + 45), (query, y + 58)), edge((value, y + 45), (value, y + 58)), edge((MIDDLE, y), (MIDDLE, y + 58)),
        edge((query, y + 45), (value, y + 45), arrow=False),
        box(y + 60, "query", x=query, width=92), box(y + 60, "key", x=MIDDLE, width=92), box(y + 60, "value", x=value, width=92),
        edge((query, y + 90), (query, y + 118), (MIDDLE - 40, y + 118), (MIDDLE - 40, y + 133)), edge((MIDDLE, y + 90), (MIDDLE, y + 133)),
        shape_at(MIDDLE + 8, y + 115, heads),
        box(y + 135, "Q @ Kᵀ / √d_head", colour=QUADRATIC),
        edge((MIDDLE, y + 165), (MIDDLE, y + 193), shape="batch, n_heads, seq, context"),
        box(y + 195, "mask, softmax", colour=QUADRATIC),
        edge((MIDDLE, y + 225), (MIDDLE, y + 253), shape="batch, n_heads, seq, context"),
        edge((value + 46, y + 75), (424, y + 75), (424, y + 270), (MIDDLE + 77, y + 270)),
        box(y + 255, "weights @ V", colour=QUADRATIC),
        edge((MIDDLE, y + 285), (MIDDLE, y + 308), shape=heads),
        box(y + 310, "output"),
        edge((MIDDLE, y + 340), (MIDDLE, y + 358), shape="batch, seq, d_model"),
        box(y + 360, "add, norm"),
        edge((MIDDLE, y + 390), (MIDDLE, y + 418), shape="batch, seq, d_model"), residual(y + 398, y + 525),
        box(y + 420, "FFN up, GELU"),
        edge((MIDDLE, y + 450), (MIDDLE, y + 468), shape="batch, seq, d_ff"),
        box(y + 470, "FFN down"),
        edge((MIDDLE, y + 500), (MIDDLE, y + 508)),
        box(y + 510, "add, norm"),
    ]  # fmt: skip
    return "\n".join(parts)


def drawing() -> str:
    body = [
        edge((MIDDLE, 22), (MIDDLE, 48), shape="batch, seq"),
        f'<text x="{MIDDLE}" y="16" text-anchor="middle">token ids</text>',
        box(50, "embeddings + positions", width=190),
        edge((MIDDLE, 80), (MIDDLE, 104), shape="batch, seq, d_model", arrow=False),
        layer(104),
        edge((MIDDLE, 644), (MIDDLE, 684), shape="batch, seq, d_model"),
        box(686, "first token, classifier", width=190),
        edge((MIDDLE, 716), (MIDDLE, 738), shape="batch, classes"),
    ]
    return svg("transformer", TITLE, DESCRIPTION, (WIDTH, 745), body, widest=480)


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(drawing(), encoding="utf-8")
