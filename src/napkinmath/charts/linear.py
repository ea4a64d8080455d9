"""What binds a linear layer: a what-if in the reader's browser, over the number of tokens that share its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from ..dtypes import bytes_per_value
from ..errors import InputError
from ..hardware import device
from ..latency import DISPATCH_S
from ..whiteboard import linear as forms
from .theme import COLOURS
from .what_if import Log2Axis, chosen, javascript, what_if

#: Machines of the selector, by default: (device, dtype).
MACHINES = (("t4", "fp16"), ("t4", "fp32"), ("cpu-2core-vm", "fp32"), ("a100-80gb", "bf16"), ("h100-sxm", "bf16"), ("h100-sxm", "fp8"))

_AXIS = Log2Axis("tokens", 1, 2**16, "tokens that share one read of the weights", [4**k for k in range(9)])


def linear_what_if(machines: Sequence[tuple[str, str]] = MACHINES, d_in: int = 768, d_out: int = 3072) -> alt.Chart:
    """Seconds that a linear layer's arithmetic, traffic and dispatch take on a device over its tokens; the highest line binds.

    Device, dtype and the layer's widths can be changed. The browser evaluates expressions that SymPy writes from
    :mod:`napkinmath.whiteboard.transformer`, at dense datasheet peaks; no formula is retyped.

    Args:
        machines: (device, dtype) pairs to choose from; the first is selected.
        d_in, d_out: widths at the start.

    Raises:
        InputError: no machine, an unknown device, or a dtype that a device has no peak for.
    """
    if not machines:
        raise InputError("machines: none to choose from; give (device, dtype) pairs such as ('t4', 'fp16')")
    table = {f"{name} {dtype}": machine_limits(name, dtype) for name, dtype in machines}
    expressions = linear_expressions()
    params = [
        alt.param(name="machine", value=next(iter(table)), bind=alt.binding_select(options=list(table), name="device")),
        alt.param(name="d_in", value=d_in, bind=alt.binding_range(min=256, max=16384, step=256, name="d_in")),
        alt.param(name="d_out", value=d_out, bind=alt.binding_range(min=256, max=16384, step=256, name="d_out")),
        *chosen("machine", table),
        alt.param(name="crossover", expr=expressions["crossover"]),
    ]
    parts = {"compute": expressions["compute"], "bandwidth": expressions["bandwidth"], "overhead": str(DISPATCH_S[1])}
    y = alt.Y(
        "seconds:Q",
        scale=alt.Scale(type="log", domain=[1e-8, 1], clamp=True),
        title="seconds",
        axis=alt.Axis(format="~s", tickCount=7),
    )
    lines = _AXIS.curves(parts, "seconds", [COLOURS[0], COLOURS[1], COLOURS[6]], name="resource").mark_line().encode(y=y)
    says = "'Compute overtakes traffic at ' + format(crossover, ',.0f') + ' tokens'"  # fits 360 px
    says = f"crossover > 0 ? {says} : 'Traffic takes longer at every size'"
    return what_if([lines, _AXIS.rule("crossover")], params, says, _rows(machines, d_in, d_out))


def linear_expressions() -> dict[str, str]:
    """The Vega expressions of :func:`linear_what_if`, written by SymPy from the closed forms."""
    import sympy

    tokens, d_in, d_out, peak, bandwidth, width = sympy.symbols(
        ["datum.tokens", "d_in", "d_out", "peak", "bandwidth", "value_bytes"], positive=True
    )
    compute = forms.linear_flops(tokens, d_in, d_out) / peak
    traffic = forms.linear_bytes(tokens, d_in, d_out, width) / bandwidth
    crossover = forms.linear_ridge_tokens(d_in, d_out, peak / bandwidth, width)
    parts = {"compute": compute, "bandwidth": traffic, "crossover": crossover}
    return javascript(parts)


def machine_limits(name: str, dtype: str) -> dict[str, float]:
    """Peak FLOP/s, bytes/s and bytes a value of a device in a dtype: what the selector of a what-if switches between."""
    machine = device(name)
    return {"peak": machine.peak_flops(dtype), "bandwidth": machine.bandwidth_bytes_per_s, "value_bytes": bytes_per_value(dtype)}


def _rows(machines: Sequence[tuple[str, str]], d_in: int, d_out: int) -> list[dict[str, Any]]:
    """The chart as a table: what binds each machine at a few numbers of tokens."""
    rows = []
    for name, dtype in machines:
        limits = machine_limits(name, dtype)
        for tokens in (1, 32, 1024):
            compute = forms.linear_flops(tokens, d_in, d_out) / limits["peak"]
            traffic = forms.linear_bytes(tokens, d_in, d_out, dtype) / limits["bandwidth"]
            seconds, binds = max((compute, "compute"), (traffic, "bandwidth"), (DISPATCH_S[1], "overhead"))
            rows.append({"device": name, "dtype": dtype, "tokens": tokens, "microseconds": round(seconds * 1e6, 2), "binds": binds})
    return rows
