"""Recurrent encoder-decoders: ours, since no library keeps them."""

from __future__ import annotations

from typing import Any

import torch

from ..specs.seq2seq import Seq2SeqSpec
from .plan import How, Plan

_NAMES = {
    "^(source_)?embeddings/": "encoder/embeddings",
    "^encoder/": "encoder/layers",
    "^target_embeddings/": "decoder/embeddings",
    "^bridge/": "decoder/bridge",
    "^attention/": "decoder/attention",
    "^(cell|decoder)/": "decoder/layers",
    "^output/": "decoder/output",
    "^lm_head/": "lm_head",
}


def plan(spec: Seq2SeqSpec, sizes: dict[str, int], how: How) -> Plan:
    """Source ids of ``[batch, seq]`` and target ids of ``[batch, target]``."""
    from ..zoo.seq2seq import GNMT, Bahdanau, Luong

    module = GNMT if spec.attention_between else Bahdanau if spec.attention_first else Luong

    def inputs() -> dict[str, Any]:
        lengths = {"source": sizes["seq"], "target": sizes["target"]}
        return {name: torch.zeros((sizes["batch"], length), dtype=torch.long) for name, length in lengths.items()}

    return Plan(lambda: module(spec), inputs, _NAMES)
