"""What fills a device's memory in training: a what-if in the reader's browser, over the tokens of a microbatch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt

from ..errors import InputError
from ..footprint import OPTIMIZERS, RECIPES
from ..hardware import device
from ..parallel import zero_bytes_per_device
from ..specs import TransformerSpec, preset
from ..whiteboard import memory as forms
from .theme import COLOURS, finish
from .what_if import javascript

#: Transformers, precision recipes and devices of the selectors, by default; the first of each is selected.
MODELS = ("llama-3-8b", "gpt2-xl", "bert-large", "llama-3-70b")
CHOICES = ("mixed_bf16", "megatron", "bf16", "fp32")
DEVICES = ("h100-sxm", "a100-40gb", "h200", "l4")

_PARTS = ("states", "layers", "logits")
_TOKENS = 2**16
_SEQ = 8192


def training_memory_what_if(
    models: Sequence[str] = MODELS, recipes: Sequence[str] = CHOICES, devices: Sequence[str] = DEVICES, sharded: int = 8
) -> alt.Chart:
    """Bytes of model states, layers' activations and logits on a device over the tokens of its microbatch, under the device's memory.

    Model, recipe (with AdamW), device, checkpointing and the devices that states are sharded over can be changed. The browser evaluates
    expressions that SymPy writes from :mod:`napkinmath.whiteboard.memory` and :mod:`napkinmath.parallel`; no formula is retyped.

    Args:
        models: names of transformers; attention is fused, so that no scores are kept.
        recipes: names of :data:`napkinmath.footprint.RECIPES`.
        devices: names of devices.
        sharded: devices at the start, a power of two up to 64.

    Raises:
        InputError: nothing to choose from, an unknown name, or a model that is no transformer.
    """
    if not (models and recipes and devices):
        raise InputError("models, recipes, devices: give at least one of each, such as ('llama-3-8b',), ('mixed_bf16',) and ('h100-sxm',)")
    tables = {
        "model": {name: model_values(name) for name in models},
        "recipe": {name: recipe_values(name) for name in recipes},
        "device": {name: {"memory": device(name).memory_bytes} for name in devices},
    }
    expressions = memory_expressions()
    checkpointing = alt.binding_select(options=[0, 1], labels=["none", "every layer"], name="checkpointing")
    params = [
        *(
            alt.param(name=choice, value=next(iter(table)), bind=alt.binding_select(options=list(table), name=choice))
            for choice, table in tables.items()
        ),
        alt.param(name="full", value=0, bind=checkpointing),
        alt.param(name="sharded", value=sharded, bind=alt.binding_select(options=[2**k for k in range(7)], name="states sharded over")),
        *(
            alt.param(name=value, expr=f"({json.dumps(table)})[{choice}].{value}")
            for choice, table in tables.items()
            for value in next(iter(table.values()))
        ),
        alt.param(name="fits", expr=expressions["fits"]),
    ]
    x = alt.X(
        "tokens:Q",
        scale=alt.Scale(type="log", base=2, nice=False, domain=[2**9, _TOKENS]),
        title="tokens in a microbatch",
        axis=alt.Axis(values=[2**k for k in range(9, 17)], format=","),
    )
    y = alt.Y("gigabytes:Q", title="GB on each device", axis=alt.Axis(format="~s", tickCount=5))
    areas = (
        alt.Chart(alt.sequence(0, 57, 1, as_="step"))
        .transform_calculate(tokens="512 * pow(2, datum.step / 8)")
        .transform_calculate(**{part: f"({expressions[part]}) / 1e9" for part in _PARTS})
        .transform_fold(list(_PARTS), as_=["part", "gigabytes"])
        .transform_calculate(order=f"indexof({json.dumps(_PARTS)}, datum.part)")
        .mark_area()
        .encode(
            x=x,
            y=y.stack("zero"),
            color=alt.Color("part:N", sort=list(_PARTS), scale=alt.Scale(domain=list(_PARTS), range=[COLOURS[0], COLOURS[2], COLOURS[1]])),
            order="order:Q",
        )
    )
    mark = alt.Chart(alt.sequence(0, 1, 1, as_="step")).transform_calculate(gigabytes="memory / 1e9")
    rule = mark.mark_rule(strokeWidth=2, strokeDash=[5, 4]).encode(y=y)
    says = "fits > 0 ? 'Room for ' + format(fits, ',.0f') + ' tokens in a microbatch' : 'The states alone do not fit'"  # fits 360 px
    chart = alt.layer(areas, rule).add_params(*params)
    return finish(chart.properties(title=alt.Title(alt.expr(says))), "modelled", table=_rows(models, recipes, sharded), height=300)


def memory_expressions() -> dict[str, str]:
    """The Vega expressions of :func:`training_memory_what_if`, written by SymPy from the closed forms; ``fits`` is in tokens."""
    import sympy

    names = ["params", "n_layers", "d_model", "d_ff", "n_heads", "n_kv_heads", "d_head", "gated", "logits_wide", "vocab"]
    params, n_layers, d_model, d_ff, n_heads, n_kv_heads, d_head, gated, wide, vocab = sympy.symbols(names, nonnegative=True)
    tokens, sharded, weights, gradients, state, width, full, memory = sympy.symbols(
        ["datum.tokens", "sharded", "weights", "gradients", "state", "value_bytes", "full", "memory"], nonnegative=True
    )
    layer = forms.layer_saved_bytes(1, tokens, d_model, d_ff, n_heads, n_kv_heads, d_head, gated, keep_scores=0, dtype=width)
    recomputed = forms.checkpoint_bytes(1, tokens, d_model, n_layers, layer, width)
    states = zero_bytes_per_device(params, sharded, 3, weights, gradients, state)
    layers = n_layers * layer + full * (recomputed - n_layers * layer)
    logits = forms.logits_saved_bytes(1, tokens, wide, vocab, width)
    parts = {"states": states, "layers": layers, "logits": logits, "fits": (memory - states) / sympy.diff(layers + logits, tokens)}
    return javascript(parts, simplify=False)


def model_values(name: str) -> dict[str, float]:
    """A transformer's dimensions; ``logits_wide`` and ``vocab`` are 0 where it has no LM head."""
    spec = preset(name)
    if not isinstance(spec, TransformerSpec):
        raise InputError(f"{name} is no transformer; use one such as llama-3-8b")
    dims = {dim: float(getattr(spec, dim)) for dim in ("n_layers", "d_model", "d_ff", "n_heads", "n_kv_heads", "d_head", "gated")}
    head = float(spec.lm_head)
    return {"params": float(spec.params()), **dims, "logits_wide": head * spec.d_model, "vocab": head * spec.vocab}


def recipe_values(name: str) -> dict[str, float]:
    """Bytes per parameter of weights, gradients and the rest (master copy and AdamW's state), and of an activation."""
    if name not in RECIPES:
        raise InputError(f"recipe={name!r}: use one of {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    state = recipe.master + OPTIMIZERS["adamw"].state_values * recipe.state
    return {"weights": recipe.weights, "gradients": recipe.gradients, "state": state, "value_bytes": recipe.activations}


def _rows(models: Sequence[str], recipes: Sequence[str], sharded: int) -> list[dict[str, Any]]:
    """The chart as a table: GB per device at one sequence of 8,192 tokens."""
    rows = []
    for name in models:
        spec, dims = preset(name), model_values(name)
        for recipe in recipes:
            weights, gradients, state, width = recipe_values(recipe).values()
            sizes = (spec.d_model, spec.d_ff, spec.n_heads, spec.n_kv_heads, spec.d_head, spec.gated)
            layer = forms.layer_saved_bytes(1, _SEQ, *sizes, keep_scores=0, dtype=width)
            logits = forms.logits_saved_bytes(1, _SEQ, dims["logits_wide"], dims["vocab"], width)
            recomputed = forms.checkpoint_bytes(1, _SEQ, spec.d_model, spec.n_layers, layer, width)
            rows.append(
                {
                    "model": name,
                    "recipe": recipe,
                    f"states over {sharded}, GB": round(
                        zero_bytes_per_device(spec.params(), sharded, 3, weights, gradients, state) / 1e9, 1
                    ),
                    "activations, GB": round((spec.n_layers * layer + logits) / 1e9, 1),
                    "checkpointed, GB": round((recomputed + logits) / 1e9, 1),
                }
            )
    return rows
