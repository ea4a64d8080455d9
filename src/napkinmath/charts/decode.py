"""What binds a decode step: a what-if in the reader's browser, over the sequences that share one read of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from .. import serving
from ..errors import InputError
from ..hardware import device
from ..specs import preset
from .theme import COLOURS
from .what_if import Log2Axis, chosen, javascript, what_if

#: Decoders and devices of the selectors, by default; the first of each is selected.
MODELS = ("llama-3-8b", "llama-2-7b", "qwen2.5-7b", "gemma-2b")
DEVICES = ("h100-sxm", "a100-80gb", "h200", "l4")

_AXIS = Log2Axis("batch", 1, 2**10, "batch: sequences in the step", [4**k for k in range(6)])
_CONTEXT = 4096


def decode_what_if(models: Sequence[str] = MODELS, devices: Sequence[str] = DEVICES) -> alt.Chart:
    """Seconds that a decode step spends on weights, KV cache and arithmetic over its batch; the cache comes after the weights.

    Model, device, context and the widths of weights and cache can be changed; arithmetic is in bf16. The browser evaluates expressions
    that SymPy writes from :mod:`napkinmath.serving`, at datasheet rates; no formula is retyped. The dashed line is where memory is full.

    Args:
        models: names of decoders whose layers all see all keys.
        devices: names of devices with a bf16 peak.

    Raises:
        InputError: nothing to choose from, an unknown name, an encoder, or a device without a bf16 peak.
    """
    if not (models and devices):
        raise InputError("models, devices: give at least one of each, such as ('llama-3-8b',) and ('h100-sxm',)")
    tables = {"model": {name: model_values(name) for name in models}, "device": {name: device_limits(name) for name in devices}}
    expressions = decode_expressions()
    widths = alt.binding_select(options=[2, 1, 0.5], labels=["16 bits", "8 bits", "4 bits"], name="weights")
    cache_widths = alt.binding_select(options=[2, 1], labels=["16 bits", "8 bits"], name="cache")
    contexts = alt.binding_select(options=[2**k for k in range(8, 18)], name="context (tokens)")
    params = [
        alt.param(name="model", value=models[0], bind=alt.binding_select(options=list(models), name="model")),
        alt.param(name="device", value=devices[0], bind=alt.binding_select(options=list(devices), name="device")),
        alt.param(name="context", value=_CONTEXT, bind=contexts),
        alt.param(name="weight_bytes", value=2, bind=widths),
        alt.param(name="cache_bytes", value=2, bind=cache_widths),
        *(param for choice, table in tables.items() for param in chosen(choice, table)),
        *(alt.param(name=name, expr=expressions[name]) for name in ("fits", "gain", "crossover")),
    ]
    parts = {part: expressions[part] for part in ("weights", "cache", "arithmetic")}
    y = alt.Y(
        "seconds:Q",
        scale=alt.Scale(type="log", domain=[1e-5, 1], clamp=True),
        title="seconds of a step",
        axis=alt.Axis(format="~s", tickCount=5),
    )
    lines = _AXIS.curves(parts, "seconds", [COLOURS[0], COLOURS[2], COLOURS[1]]).mark_line().encode(y=y)
    fits = "'Memory holds ' + format(fits, ',') + '; '"
    says = f"{fits} + (gain > 0 ? 'compute binds from ' + format(crossover, ',.0f') : 'compute never binds')"  # fits 360 px
    return what_if([lines, _AXIS.rule("fits")], params, says, _rows(models, devices))


def decode_expressions() -> dict[str, str]:
    """The Vega expressions of :func:`decode_what_if`, written by SymPy from the closed forms.

    ``arithmetic`` is the left side of :func:`napkinmath.serving.decode_step_s`, ``weights`` and ``cache`` add up to its right side.
    """
    import sympy

    names = ["datum.batch", "context", "weight_bytes", "cache_bytes", "weights", "stored", "values", "flops", "score_flops"]
    batch, context, weight_bytes, cache_bytes, weights, stored, values, flops, score_flops = sympy.symbols(names, positive=True)
    peak, bandwidth, memory = sympy.symbols(["peak", "bandwidth", "memory"], positive=True)
    cache, work = values * cache_bytes * context, flops + score_flops * context
    arithmetic, traffic = serving.decode_step_s(batch, weights * weight_bytes, cache, work, peak, bandwidth).args
    if traffic.has(peak):  # SymPy sorts the arguments of a maximum as it likes
        arithmetic, traffic = traffic, arithmetic
    crossover, gain = serving.compute_bound_batch(weights * weight_bytes, cache, work, peak, bandwidth).args[0]
    parts = {
        "weights": traffic.subs(batch, 0),
        "cache": sympy.expand(traffic) - traffic.subs(batch, 0),
        "arithmetic": arithmetic,
        "gain": gain.lhs - gain.rhs if gain.rel_op == ">" else gain.rhs - gain.lhs,
        "crossover": crossover,
        "fits": serving.max_batch(memory, stored * weight_bytes, cache),
    }
    return javascript(parts)


def model_values(name: str) -> dict[str, float]:
    """Of a decoder: weights read by a step, and ``stored``; cached ``values``, FLOPs per token, and FLOPs per token of context."""
    spec = preset(name)
    score_flops = spec.decode_flops(1, 2) - spec.decode_flops(1, 1)
    return {
        "weights": spec.multiplied_params(),
        "stored": spec.params(),
        "values": spec.kv_cache_bytes(1, 1, "int8"),
        "flops": spec.decode_flops(1, 1) - score_flops,
        "score_flops": score_flops,
    }


def device_limits(name: str) -> dict[str, float]:
    """Dense bf16 peak, bandwidth and memory of a device."""
    machine = device(name)
    return {"peak": machine.peak_flops("bf16"), "bandwidth": machine.bandwidth_bytes_per_s, "memory": machine.memory_bytes}


def _rows(models: Sequence[str], devices: Sequence[str]) -> list[dict[str, Any]]:
    """The chart as a table: what binds each model on each device at a few batches, 16 bits and the context at the start."""
    rows = []
    for name in models:
        spec = preset(name)
        weights, cache, flops = spec.decode_weight_bytes(), spec.kv_cache_bytes(1, _CONTEXT), spec.decode_flops(1, _CONTEXT)
        for machine in devices:
            peak, bandwidth, memory = device_limits(machine).values()
            step = {batch: serving.decode_step_s(batch, weights, cache, flops, peak, bandwidth) for batch in (1, 32)}
            rows.append(
                {
                    "model": name,
                    "device": machine,
                    "ms, batch 1": round(1e3 * step[1], 2),
                    "ms, batch 32": round(1e3 * step[32], 2),
                    "memory holds": serving.max_batch(memory, spec.weight_bytes("bf16"), cache),
                }
            )
    return rows
