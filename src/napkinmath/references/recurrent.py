"""Recurrent networks of PyTorch's own layers: ours, since no library keeps the models around them."""

from __future__ import annotations

from typing import Any

import torch

from ..specs.recurrent import RecurrentSpec
from .plan import How, Plan

_NAMES = {"^embeddings/": "embeddings", "^layers/": "layers", "^lm_head/": "lm_head"}


def plan(spec: RecurrentSpec, sizes: dict[str, int], how: How) -> Plan:
    """Token ids of ``[batch, seq]``, characters of ``[batch, seq, length]`` or vectors of ``[batch, seq, d_in]``; a state where the
    context is longer.
    """
    from ..zoo.recurrent import RecurrentNetwork

    batch, seq = sizes["batch"], sizes["seq"]

    def inputs() -> dict[str, Any]:
        ids = torch.zeros((batch, seq), dtype=torch.long)
        if spec.characters:
            return {"inputs": torch.zeros((batch, seq, spec.characters.length), dtype=torch.long)}
        given: dict[str, Any] = {"inputs": ids if spec.vocab else torch.zeros((batch, seq, spec.d_in))}
        if sizes["context"] > seq:
            given["state"] = _state(spec, batch)
        return given

    return Plan(lambda: RecurrentNetwork(spec), inputs, _NAMES)


def _state(spec: RecurrentSpec, batch: int) -> list[Any]:
    """Hidden states, with the cells of LSTMs, of each module: ``[layers * directions, batch, width]``."""
    stacked = len(set(spec.widths)) == 1
    modules = [(len(spec.widths), spec.widths[0])] if stacked else [(1, width) for width in spec.widths]
    states: list[Any] = []
    for layers, width in modules:
        hidden = torch.zeros((layers * spec.directions, batch, spec.projection or width))
        states.append((hidden, torch.zeros((layers * spec.directions, batch, width))) if spec.cell == "lstm" else hidden)
    return states
