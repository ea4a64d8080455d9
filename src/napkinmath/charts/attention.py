"""Where attention overtakes the rest of a transformer layer: a chart of presets, and a what-if in the reader's browser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from ..whiteboard import transformer as forms
from .theme import COLOURS, finish, inline
from .what_if import Log2Axis, javascript, what_if

if TYPE_CHECKING:
    from ..specs import TransformerSpec


def attention_share(specs: TransformerSpec | Sequence[TransformerSpec], seqs: Sequence[int] | None = None) -> alt.Chart:
    """Share of a layer's FLOPs that the attention scores take, over sequence length, with each model's crossover marked.

    The dashed line is half: there the scores cost as much as all linear maps together; a dot marks where, and the legend says it. A
    ring marks the longest sequence that the model has positions for.
    """
    models = [specs] if not isinstance(specs, Sequence) else list(specs)
    steps: Sequence[float] = seqs or [2 ** (exponent / 2) for exponent in range(14, 37)]
    low, high = min(steps), max(steps)
    rows = [_share_row(model, seq) for model in models for seq in steps]
    rings = [_share_row(model, model.max_positions) for model in models if low <= model.max_positions <= high]
    dots = [_share_row(model, crossing) for model in models if low <= (crossing := model.score_linear_crossover_seq()) <= high]
    x = alt.X("tokens:Q", scale=alt.Scale(type="log", base=2, nice=False), title="sequence length (tokens)", axis=_token_axis(low, high))
    y = alt.Y("share:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5), title="share of a layer's FLOPs")
    color = alt.Color("model:N", sort=None, legend=alt.Legend(columns=1))
    tooltip = ["model:N", alt.Tooltip("tokens:Q", format=",.0f"), alt.Tooltip("share:Q", format=".1%")]
    half = alt.Chart(inline([{"share": 0.5}])).mark_rule(strokeDash=[4, 4]).encode(y="share:Q")
    line = alt.Chart(inline(rows)).mark_line().encode(x=x, y=y, color=color, tooltip=tooltip)
    ring = alt.Chart(inline(rings)).mark_point(filled=False, strokeWidth=2.5, size=110).encode(x=x, y=y, color=color, tooltip=tooltip)
    dot = alt.Chart(inline(dots)).mark_point().encode(x=x, y=y, color=color, tooltip=tooltip)
    return finish(alt.layer(half, line, ring, dot), "modelled")


def _share_row(model: TransformerSpec, seq: float) -> dict[str, Any]:
    share = forms.score_flops_share(seq, model.d_model, model.d_ff, model.n_heads, model.n_kv_heads, model.d_head, int(model.gated))
    label = f"{model.name}: half at {model.score_linear_crossover_seq():,.0f} tokens"
    return {"model": label, "tokens": round(seq), "share": round(share, 6)}


def _token_axis(low: float, high: float) -> alt.Axis:
    return alt.Axis(values=_token_ticks(low, high), format=",")


def _token_ticks(low: float, high: float) -> list[int]:
    return [2**k for k in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1, 2)]


# What-if: the closed forms in the reader's browser --------------------------------------------------------------------

_WHAT_IF_DEFAULTS = {"d_model": 768, "ff_ratio": 4.0, "group": 1, "gated": 0}


def attention_what_if() -> alt.Chart:
    """Where a layer's FLOPs go over sequence length, with sliders for the layer's dimensions.

    The browser evaluates expressions that SymPy writes from :mod:`napkinmath.whiteboard.transformer`; no formula is retyped.
    Heads of any width give the same figures as long as ``n_heads * d_head == d_model``, which is assumed.
    """
    sliders = [
        alt.param(name="d_model", value=_WHAT_IF_DEFAULTS["d_model"], bind=alt.binding_range(min=256, max=16384, step=256, name="d_model")),
        alt.param(
            name="ff_ratio", value=_WHAT_IF_DEFAULTS["ff_ratio"], bind=alt.binding_range(min=1, max=8, step=0.25, name="d_ff / d_model")
        ),
        alt.param(
            name="group",
            value=_WHAT_IF_DEFAULTS["group"],
            bind=alt.binding_select(options=[1, 2, 4, 8, 16], name="query heads per KV head"),
        ),
        alt.param(
            name="gated",
            value=_WHAT_IF_DEFAULTS["gated"],
            bind=alt.binding_select(options=[0, 1], labels=["plain (2 matmuls)", "gated (3)"], name="FFN"),
        ),
    ]
    expressions = what_if_expressions()
    axis = Log2Axis("seq", 128, 131072, "sequence length (tokens)", _token_ticks(128, 131072))
    parts = {part: expressions[part] for part in ("FFN", "projections", "scores")}
    y = alt.Y("flops:Q", stack="normalize", axis=alt.Axis(format="%"), title="share of a layer's FLOPs")
    curves = axis.curves(parts, "flops", [COLOURS[2], COLOURS[0], COLOURS[1]]).mark_area(opacity=0.85).encode(y=y)
    rule = axis.rule("crossover", color="white")
    says = "'Scores equal all the rest at ' + format(crossover, ',.0f') + ' tokens'"
    crossover = alt.param(name="crossover", expr=expressions["crossover"])
    return what_if([curves, rule], [*sliders, crossover], says, _what_if_rows(), height=280)


def what_if_expressions() -> dict[str, str]:
    """The Vega expressions of :func:`attention_what_if`, written by SymPy from the closed forms."""
    import sympy

    # A symbol may be called anything: these names are what the Vega expression will read.
    seq, d_model, ff_ratio, group, gated = sympy.symbols(["datum.seq", "d_model", "ff_ratio", "group", "gated"], positive=True)
    d_head = sympy.Integer(1)
    heads = {"n_heads": d_model, "n_kv_heads": d_model / group, "d_head": d_head}
    parts = {
        "FFN": forms.ffn_flops(seq, d_model, ff_ratio * d_model, gated),
        "projections": forms.attention_projection_flops(seq, d_model, **heads),
        "scores": forms.attention_score_flops(1, d_model, seq, seq, d_head),
        "crossover": forms.score_linear_crossover_seq(d_model, ff_ratio * d_model, gated=gated, **heads),
    }
    return javascript(parts)


def _what_if_rows() -> list[dict[str, Any]]:
    d_model, group, gated = (int(_WHAT_IF_DEFAULTS[name]) for name in ("d_model", "group", "gated"))
    rows = []
    for seq in (128, 512, 2048, 8192, 32768, 131072):
        share = forms.score_flops_share(seq, d_model, _WHAT_IF_DEFAULTS["ff_ratio"] * d_model, d_model, d_model / group, 1, gated)
        rows.append({"d_model": d_model, "sequence length": seq, "share of the scores": f"{share:.1%}"})
    return rows
