"""How many live streams a device keeps up with: a what-if in the reader's browser, over the frames that attention looks back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt

from ..dtypes import bytes_per_value
from ..errors import InputError
from ..hardware import device
from ..whiteboard import recurrent, state_space, transformer
from .theme import COLOURS, finish
from .what_if import javascript

#: Devices of the selector, by default; the first is selected.
DEVICES = ("l4", "t4", "a100-80gb", "h100-sxm", "h200")
#: Shares of a datasheet's peak and bandwidth that the chart plans with.
REACH = {"peak": 0.6, "bandwidth": 0.7}

#: Three stacks of about three million parameters: two LSTM layers, four of a transformer, seven of Mamba.
LSTM = {"d_in": 80, "d_hidden": 512}
TRANSFORMER = {"d_model": 256, "d_ff": 1024, "n_heads": 4, "d_head": 64}
MAMBA = {"d_model": 256, "d_inner": 512, "d_state": 16, "dt_rank": 16}
LAYERS = {"LSTM": 2, "transformer": 4, "Mamba": 7}

_DTYPE = "fp16"
_WINDOWS = (2**4, 2**13)
_STREAMS = (10, 10**6)


def streams_what_if(devices: Sequence[str] = DEVICES) -> alt.Chart:
    """Streams that a device keeps up with, for an LSTM, Mamba and a windowed transformer of about three million parameters each.

    Device, the time between frames, the frames that wait for a common pass, and KV heads can be changed. The browser evaluates expressions
    that SymPy writes from the closed forms, at :data:`REACH` of datasheet rates in fp16; no formula is retyped.

    Args:
        devices: names of devices with an fp16 peak.

    Raises:
        InputError: nothing to choose from, an unknown name, or a device without an fp16 peak.
    """
    if not devices:
        raise InputError("devices: give at least one, such as ('l4',)")
    table = {name: stream_limits(name) for name in devices}
    params = [
        alt.param(name="device", value=devices[0], bind=alt.binding_select(options=list(devices), name="device")),
        alt.param(name="frame_ms", value=10, bind=alt.binding_range(min=5, max=80, step=5, name="frame every (ms)")),
        alt.param(name="frames", value=1, bind=alt.binding_range(min=1, max=16, step=1, name="frames per pass")),
        alt.param(name="n_kv_heads", value=4, bind=alt.binding_select(options=[4, 2, 1], name="KV heads (of 4)")),
        *(alt.param(name=limit, expr=f"({json.dumps(table)})[device].{limit}") for limit in ("peak", "bandwidth", "memory")),
    ]
    expressions = stream_expressions()
    x = alt.X(
        "window:Q",
        scale=alt.Scale(type="log", base=2, nice=False, domain=list(_WINDOWS)),
        title="frames that attention looks back",
        axis=alt.Axis(values=[4**k for k in range(2, 7)], format=","),
    )
    y = alt.Y(
        "streams:Q",
        scale=alt.Scale(type="log", domain=list(_STREAMS), clamp=True),
        title="live streams",
        axis=alt.Axis(values=[10**k for k in range(1, 7)], format="~s"),
    )
    order = list(LAYERS)
    color = alt.Color("model:N", sort=order, scale=alt.Scale(domain=order, range=COLOURS[:3]))
    lines = (
        alt.Chart(alt.sequence(0, 37, 1, as_="step"))
        .transform_calculate(window=f"{_WINDOWS[0]} * pow(2, datum.step / 4)")
        .transform_calculate(**{name: expressions[name] for name in order})
        .transform_fold(order, as_=["model", "streams"])
        .mark_line()
        .encode(x=x, y=y, color=color)
    )
    says = "'A frame waits up to ' + format(frames * frame_ms, ',') + ' ms for its pass'"  # fits 360 px
    chart = alt.layer(lines).add_params(*params).properties(title=alt.Title(alt.expr(says)))
    return finish(chart, "modelled", table=_rows(devices), height=300)


def stream_costs(name: str, frames: Any, window: Any, n_kv_heads: Any = 4) -> dict[str, Any]:
    """Of one stream and pass over ``frames``: FLOPs, bytes moved and bytes kept, in fp16.

    Of a transformer the cache is counted and activations are left out, of Mamba its states alone; of the LSTM its gates as well.

    Args:
        name: ``LSTM``, ``transformer`` or ``Mamba``.
        frames: frames in the pass.
        window: frames that attention looks back, these included.
        n_kv_heads: key and value heads of the transformer.
    """
    layers = LAYERS[name]
    if name == "LSTM":
        d_in, d_hidden = LSTM.values()
        flops = sum(recurrent.recurrent_flops(1, frames, width, d_hidden) for width in (d_in, d_hidden))
        moved = sum(recurrent.recurrent_step_bytes(frames, width, d_hidden, dtype=_DTYPE) for width in (d_in, d_hidden))
        return {"flops": flops, "moved_bytes": moved, "kept_bytes": recurrent.recurrent_state_bytes(layers, d_hidden, 1, dtype=_DTYPE)}
    if name == "Mamba":
        state = state_space.mamba_state_bytes(layers, MAMBA["d_inner"], MAMBA["d_state"], 4, 1, _DTYPE)
        return {"flops": layers * state_space.mamba_block_flops(1, frames, **MAMBA), "moved_bytes": 2 * state, "kept_bytes": state}
    cache = transformer.kv_cache_bytes(layers, n_kv_heads, TRANSFORMER["d_head"], 1, window, _DTYPE)
    flops = layers * transformer.layer_flops(1, frames, window, n_kv_heads=n_kv_heads, **TRANSFORMER)
    return {"flops": flops, "moved_bytes": cache, "kept_bytes": cache}


def stream_params(name: str) -> int:
    """Parameters of one of the three stacks; biases of the transformer and norms are left out."""
    if name == "LSTM":
        d_in, d_hidden = LSTM.values()
        return sum(recurrent.recurrent_params(width, d_hidden) for width in (d_in, d_hidden))
    if name == "Mamba":
        return LAYERS[name] * state_space.mamba_block_params(**MAMBA)
    attention = transformer.attention_projection_params(TRANSFORMER["d_model"], 4, 4, TRANSFORMER["d_head"])
    return LAYERS[name] * (attention + transformer.ffn_params(TRANSFORMER["d_model"], TRANSFORMER["d_ff"]))


def streams_on(name: str, limits: dict[str, Any], interval_s: Any, frames: Any, window: Any, n_kv_heads: Any = 4) -> Any:
    """Streams of the model ``name`` that a device with ``limits`` keeps up with; ``interval_s`` lies between two passes."""
    costs = stream_costs(name, frames, window, n_kv_heads)
    weights = stream_params(name) * bytes_per_value(_DTYPE)
    peak, bandwidth = REACH["peak"] * limits["peak"], REACH["bandwidth"] * limits["bandwidth"]
    return recurrent.live_streams(
        interval_s, **costs, weight_bytes=weights, peak_flops=peak, bandwidth_bytes_per_s=bandwidth, memory_bytes=limits["memory"]
    )


def stream_expressions() -> dict[str, str]:
    """The Vega expressions of :func:`streams_what_if`, written by SymPy from the closed forms."""
    import sympy

    names = ["frame_ms", "frames", "datum.window", "n_kv_heads", "peak", "bandwidth", "memory"]
    frame_ms, frames, window, n_kv_heads, peak, bandwidth, memory = sympy.symbols(names, positive=True)
    limits = {"peak": peak, "bandwidth": bandwidth, "memory": memory}
    forms = {name: streams_on(name, limits, frames * frame_ms / 1000, frames, window, n_kv_heads) for name in LAYERS}
    return javascript(forms, simplify=False)


def stream_limits(name: str) -> dict[str, float]:
    """Dense fp16 peak, bandwidth and memory of a device."""
    machine = device(name)
    return {"peak": machine.peak_flops(_DTYPE), "bandwidth": machine.bandwidth_bytes_per_s, "memory": machine.memory_bytes}


def _rows(devices: Sequence[str]) -> list[dict[str, Any]]:
    """The chart as a table: streams of each model on each device, a frame every 10 ms and a pass for each."""
    return [
        {"device": name, "window": window, **{model: streams_on(model, stream_limits(name), 0.01, 1, window) for model in LAYERS}}
        for name in devices
        for window in (100, 1000)
    ]
