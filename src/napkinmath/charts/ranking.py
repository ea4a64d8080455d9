"""When a ranking model waits for table rows and when for its layers: a what-if in the reader's browser, over the rows an example reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from ..errors import InputError
from ..whiteboard import recommender as forms
from .linear import machine_limits
from .theme import COLOURS
from .what_if import Log2Axis, chosen, javascript, what_if

#: Machines of the selector, by default: (device, dtype).
MACHINES = (("xeon-8480", "fp32"), ("cpu-2core-vm", "fp32"), ("l4", "bf16"), ("h100-sxm", "bf16"))

_AXIS = Log2Axis("lookups", 1, 2**12, "table rows that an example reads", [4**k for k in range(7)])


def ranking_what_if(
    machines: Sequence[tuple[str, str]] = MACHINES, batch: int = 512, mflop: float = 7, table_width: int = 64, share: float = 0.25
) -> alt.Chart:
    """Microseconds an example that gathers, the layers' arithmetic and the read of their weights take; the highest line binds.

    FLOPs are the same along the axis. The dashed line is :func:`~napkinmath.whiteboard.recommender.gather_bound_lookups`. The browser
    evaluates expressions that SymPy writes from the closed forms, at dense datasheet peaks; no formula is retyped.

    Args:
        machines: (device, dtype) pairs to choose from; the first is selected.
        batch: examples that share one read of the weights.
        mflop: MFLOP of the layers for one example; each weight is used once.
        table_width: values of a row.
        share: of the bandwidth, which rows at random addresses get.

    Raises:
        InputError: no machine, an unknown device, or a dtype that a device has no peak for.
    """
    if not machines:
        raise InputError("machines: none to choose from; give (device, dtype) pairs such as ('xeon-8480', 'fp32')")
    table = {f"{name} {dtype}": machine_limits(name, dtype) for name, dtype in machines}
    controls = (
        ("batch", batch, 1, 4096, 1, "batch"),
        ("mflop", mflop, 1, 64, 1, "layers (MFLOP)"),
        ("table_width", table_width, 8, 256, 8, "row width"),
        ("share", share, 0.05, 1, 0.05, "bandwidth share"),
    )
    expressions = ranking_expressions()
    params = [
        alt.param(name="machine", value=next(iter(table)), bind=alt.binding_select(options=list(table), name="device")),
        *(alt.param(name=n, value=v, bind=alt.binding_range(min=a, max=b, step=by, name=title)) for n, v, a, b, by, title in controls),
        *chosen("machine", table),
        alt.param(name="crossover", expr=expressions.pop("crossover")),
    ]
    y = alt.Y(
        "microseconds:Q",
        scale=alt.Scale(type="log", domain=[1e-3, 1e3], clamp=True),
        title="microseconds an example",
        axis=alt.Axis(format="~g", tickCount=6),
    )
    lines = _AXIS.curves(expressions, "microseconds", COLOURS[:3]).mark_line().encode(y=y)
    says = "'Gathers overtake arithmetic at ' + format(crossover, ',.0f') + ' rows'"  # fits 360 px
    return what_if([lines, _AXIS.rule("crossover")], params, says, _rows(machines, batch, mflop, table_width, share))


def ranking_expressions() -> dict[str, str]:
    """The Vega expressions of :func:`ranking_what_if`, in microseconds, written by SymPy from the closed forms."""
    import sympy

    names = ["datum.lookups", "batch", "mflop", "table_width", "share", "peak", "bandwidth", "value_bytes"]
    return javascript(_parts(*sympy.symbols(names, positive=True)))


def _parts(
    lookups: Any, batch: Any, mflop: Any, table_width: Any, share: Any, peak: Any, bandwidth: Any, value_bytes: Any
) -> dict[str, Any]:  # fmt: skip
    """Microseconds of one example by what it waits for, and the rows from which gathers take longer than arithmetic."""
    flops = mflop * 10**6
    seconds = {
        "gathers": forms.table_gather_bytes(1, lookups, table_width, value_bytes) / (share * bandwidth),
        "arithmetic": flops / peak,
        "weights": flops / 2 * value_bytes / bandwidth / batch,
    }
    crossover = forms.gather_bound_lookups(flops, table_width, peak, share * bandwidth, value_bytes)
    return {name: value * 10**6 for name, value in seconds.items()} | {"crossover": crossover}


def _rows(machines: Sequence[tuple[str, str]], batch: int, mflop: float, table_width: int, share: float) -> list[dict[str, Any]]:
    """The chart as a table: what each machine waits for, at a few numbers of rows."""
    rows = []
    for name, dtype in machines:
        for lookups in (1, 26, 214, 2048):
            parts = _parts(lookups, batch, mflop, table_width, share, **machine_limits(name, dtype))
            del parts["crossover"]
            binds = max(parts, key=lambda part: parts[part])
            rows.append({"device": name, "dtype": dtype, "rows": lookups, "microseconds": round(parts[binds], 4), "waits for": binds})
    return rows
