"""What a depthwise separable layer saves: a what-if in the reader's browser, FLOPs against time over the channels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt

from ..errors import InputError
from ..whiteboard import conv as forms
from .linear import MACHINES, machine_limits
from .theme import COLOURS, finish
from .what_if import javascript

_LARGEST = 2048
_ORDER = ["FLOPs", "time"]


def separable_what_if(machines: Sequence[tuple[str, str]] = (MACHINES[0], *MACHINES[2:5], MACHINES[1])) -> alt.Chart:
    """Times fewer FLOPs, and times less roofline time, of a depthwise and a 1x1 convolution in place of one full convolution.

    Over the channels, as many out as in, stride 1. Device, side of the map, kernel and batch can be changed. Each of the three
    convolutions takes the longer of its arithmetic and its traffic at dense datasheet peaks; dispatch, batch norms and activations are
    left out, and the depthwise kernel is assumed to reach the bandwidth, which real ones seldom do. The browser evaluates expressions
    that SymPy writes from :mod:`napkinmath.whiteboard.conv`; no formula is retyped.

    Args:
        machines: (device, dtype) pairs to choose from; the first is selected.

    Raises:
        InputError: no machine, an unknown device, or a dtype that a device has no peak for.
    """
    if not machines:
        raise InputError("machines: none to choose from; give (device, dtype) pairs such as ('t4', 'fp16')")
    table = {f"{name} {dtype}": machine_limits(name, dtype) for name, dtype in machines}
    savings = saving_expressions("datum.channels")
    chosen = saving_expressions("chosen")
    params = [
        alt.param(name="machine", value=next(iter(table)), bind=alt.binding_select(options=list(table), name="device")),
        alt.param(name="chosen", value=128, bind=alt.binding_range(min=16, max=_LARGEST, step=16, name="channels")),
        alt.param(name="side", value=28, bind=alt.binding_range(min=7, max=112, step=7, name="side of the map")),
        alt.param(name="kernel", value=3, bind=alt.binding_select(options=[3, 5, 7], name="kernel")),
        alt.param(name="batch", value=8, bind=alt.binding_range(min=1, max=64, step=1, name="batch")),
        *(alt.param(name=limit, expr=f"({json.dumps(table)})[machine].{limit}") for limit in ("peak", "bandwidth", "value_bytes")),
    ]
    x = alt.X(
        "channels:Q",
        scale=alt.Scale(type="log", base=2, nice=False, domain=[16, _LARGEST]),
        title="channels, in and out",
        axis=alt.Axis(values=[16 * 4**k for k in range(4)], format=","),
    )
    lines = (
        alt.Chart(alt.sequence(0, 29, 1, as_="step"))
        .transform_calculate(channels="16 * pow(2, datum.step / 4)")
        .transform_calculate(**{name: savings[name] for name in _ORDER})
        .transform_fold(_ORDER, as_=["of", "saving"])
        .mark_line()
        .encode(
            x=x,
            y=alt.Y("saving:Q", scale=alt.Scale(type="log", domain=[0.5, 50], clamp=True), title="times less"),
            color=alt.Color("of:N", sort=_ORDER, scale=alt.Scale(domain=_ORDER, range=[COLOURS[0], COLOURS[1]]), title=None),
        )
    )
    at = alt.Chart(alt.sequence(0, 1, 1, as_="step")).transform_calculate(channels="chosen").mark_rule(strokeWidth=2, strokeDash=[5, 4])
    says = f"format({chosen['FLOPs']}, '.1f') + ' times fewer FLOPs, ' + format({chosen['time']}, '.1f') + ' times less time'"
    chart = alt.layer(lines, at.encode(x=x)).add_params(*params)
    return finish(chart.properties(title=alt.Title(alt.expr(says))), "modelled", table=_rows(machines), height=300)


def separable_savings(channels: Any, side: Any, kernel: Any, batch: Any, peak: Any, bandwidth: Any, value_bytes: Any) -> dict[str, Any]:
    """Times fewer ``FLOPs`` and times less ``time`` than a full convolution ``channels -> channels``; numbers or SymPy symbols."""
    from sympy import Max

    def seconds(size: Any, groups: Any) -> Any:
        flops = forms.conv2d_flops(batch, side, side, channels, channels, size, groups)
        moved = forms.conv2d_bytes(batch, side, side, channels, channels, size, groups=groups, dtype=value_bytes)
        return Max(flops / peak, moved / bandwidth)

    return {
        "FLOPs": forms.depthwise_separable_saving(channels, kernel),
        "time": seconds(kernel, 1) / (seconds(kernel, channels) + seconds(1, 1)),
    }


def saving_expressions(channels: str) -> dict[str, str]:
    """The Vega expressions of :func:`separable_what_if`, written by SymPy from the closed forms, over a signal named ``channels``."""
    import sympy

    names = [channels, "side", "kernel", "batch", "peak", "bandwidth", "value_bytes"]
    forms_of = separable_savings(*sympy.symbols(names, positive=True, integer=True))
    return javascript(forms_of, simplify=False)


def _rows(machines: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The chart as a table: both savings at three widths on each machine, for a 3x3 kernel, side 28, batch 8."""
    rows = []
    for name, dtype in machines:
        limits = machine_limits(name, dtype)
        for channels in (32, 128, 512):
            savings = separable_savings(channels, 28, 3, 8, **limits)
            times = {f"times less {of}": round(float(savings[of]), 1) for of in _ORDER}
            rows.append({"device": name, "dtype": dtype, "channels": channels, **times})
    return rows
