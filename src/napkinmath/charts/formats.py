"""What quantization buys one linear layer: a what-if in the reader's browser, over the tokens that share its weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt

from .. import serving
from ..errors import InputError
from ..whiteboard import linear as forms
from ..whiteboard.scaling import quantized_bits_per_weight
from .linear import machine_limits
from .theme import COLOURS, finish
from .what_if import javascript

#: Devices of the selector, by default, and the 8-bit dtype whose peak each has.
DEVICES = (("h100-sxm", "fp8"), ("a100-80gb", "int8"), ("l4", "fp8"), ("b200", "fp8"))

_FORMATS = ("W4A16", "W8A16", "W8A8")
_TOKENS = 2**12


def format_what_if(devices: Sequence[tuple[str, str]] = DEVICES, d_in: int = 8192, d_out: int = 28672) -> alt.Chart:
    """How many times as fast as in 16 bits a linear layer is in each format, over its tokens; device, widths and group can be changed.

    W4A16 and W8A16 store the weights in 4 bits (a 16-bit scale per group) or 8, and multiply in bf16; W8A8 multiplies at the 8-bit peak.
    Inputs and outputs are moved in 16 bits. The browser evaluates expressions that SymPy writes from :mod:`napkinmath.whiteboard.linear`
    and :mod:`napkinmath.serving`, at dense datasheet rates; no formula is retyped. Dispatch, dequantization and rounding are left out.

    Args:
        devices: (device, 8-bit dtype) pairs to choose from; the first is selected.
        d_in, d_out: widths at the start.

    Raises:
        InputError: nothing to choose from, an unknown device, or one without a bf16 peak or a peak in the dtype.
    """
    if not devices:
        raise InputError("devices: none to choose from; give (device, dtype) pairs such as ('h100-sxm', 'fp8')")
    table = {name: device_limits(name, dtype) for name, dtype in devices}
    expressions = format_expressions()
    params = [
        alt.param(name="device", value=devices[0][0], bind=alt.binding_select(options=list(table), name="device")),
        alt.param(name="d_in", value=d_in, bind=alt.binding_range(min=256, max=16384, step=256, name="d_in")),
        alt.param(name="d_out", value=d_out, bind=alt.binding_range(min=256, max=32768, step=256, name="d_out")),
        alt.param(name="group", value=128, bind=alt.binding_select(options=[32, 64, 128], name="group")),
        *(alt.param(name=limit, expr=f"({json.dumps(table)})[device].{limit}") for limit in ("peak", "peak8", "bandwidth")),
        alt.param(name="crossover", expr=expressions["crossover"]),
    ]
    x = alt.X(
        "tokens:Q",
        scale=alt.Scale(type="log", base=2, nice=False, domain=[1, _TOKENS]),
        title="tokens that share one read of the weights",
        axis=alt.Axis(values=[4**k for k in range(7)], format=","),
    )
    lines = (
        alt.Chart(alt.sequence(0, 97, 1, as_="step"))
        .transform_calculate(tokens="pow(2, datum.step / 8)")
        .transform_calculate(**{name: expressions[name] for name in _FORMATS})
        .transform_fold(list(_FORMATS), as_=["format", "speedup"])
        .mark_line()
        .encode(
            x=x,
            y=alt.Y("speedup:Q", scale=alt.Scale(domain=[0, 4]), title="times as fast as bf16"),
            color=alt.Color(
                "format:N", sort=list(_FORMATS), scale=alt.Scale(domain=list(_FORMATS), range=[COLOURS[0], COLOURS[2], COLOURS[1]])
            ),
        )
    )
    mark = alt.Chart(alt.sequence(0, 1, 1, as_="step")).transform_calculate(tokens="crossover")
    rule = mark.transform_filter(f"datum.tokens >= 1 && datum.tokens <= {_TOKENS}").mark_rule(strokeWidth=2, strokeDash=[5, 4]).encode(x=x)
    says = "'W4A16 is fastest up to ' + format(crossover, ',.0f') + ' tokens'"  # fits 360 px
    says = f"crossover > 0 ? {says} : 'W4A16 is fastest at every size'"
    chart = alt.layer(lines, rule).add_params(*params)
    return finish(chart.properties(title=alt.Title(alt.expr(says))), "modelled", table=_rows(devices, d_in, d_out), height=300)


def format_expressions() -> dict[str, str]:
    """The Vega expressions of :func:`format_what_if`, written by SymPy from the closed forms.

    ``crossover`` is where 16-bit arithmetic takes as long as the bytes of 8-bit weights: W8A8 leads from there on.
    """
    import sympy

    names = ["datum.tokens", "d_in", "d_out", "peak", "peak8", "bandwidth", "group"]
    tokens, d_in, d_out, peak, peak8, bandwidth, group = sympy.symbols(names, positive=True)
    forms_of = speedups(tokens, d_in, d_out, peak, peak8, bandwidth, group)
    forms_of["crossover"] = forms.linear_ridge_tokens(d_in, d_out, peak / bandwidth, 2, 1)
    return javascript(forms_of, simplify=False)


def speedups(tokens: Any, d_in: Any, d_out: Any, peak: Any, peak8: Any, bandwidth: Any, group: Any) -> dict[str, Any]:
    """Times as fast as bf16, by format: numbers or SymPy symbols."""
    work = forms.linear_flops(tokens, d_in, d_out)

    def seconds(bits: Any, rate: Any) -> Any:
        return serving.roofline_s(work, forms.linear_bytes(tokens, d_in, d_out, 2, bits / 8), rate, bandwidth)

    formats = {"W4A16": (quantized_bits_per_weight(4, group), peak), "W8A16": (8, peak), "W8A8": (8, peak8)}
    return {name: seconds(16, peak) / seconds(bits, rate) for name, (bits, rate) in formats.items()}


def device_limits(name: str, dtype: str) -> dict[str, float]:
    """Dense peaks in bf16 and in an 8-bit dtype, and bandwidth."""
    limits = machine_limits(name, "bf16")
    return {"peak": limits["peak"], "peak8": machine_limits(name, dtype)["peak"], "bandwidth": limits["bandwidth"]}


def _rows(devices: Sequence[tuple[str, str]], d_in: int, d_out: int) -> list[dict[str, Any]]:
    """The chart as a table: the speed-ups at a few numbers of tokens, in groups of 128."""
    rows = []
    for name, dtype in devices:
        for tokens in (1, 64, 256, 4096):
            gains = speedups(tokens, d_in, d_out, group=128, **device_limits(name, dtype))
            rows.append({"device": name, "tokens": tokens} | {form: round(gain, 2) for form, gain in gains.items()})
    return rows
