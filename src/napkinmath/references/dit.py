"""Our diffusion transformer: diffusers' has more parameters than the paper's (see :mod:`napkinmath.zoo.dit`)."""

from __future__ import annotations

from typing import Any

import torch

from ..specs.dit import DiTSpec
from ..zoo.dit import DiT
from .plan import How, Plan


def plan(spec: DiTSpec, sizes: dict[str, int], how: How) -> Plan:
    """A noisy latent of ``[batch, in_channels, side, side]``, a time step and a label for each image."""
    batch, side = sizes["batch"], sizes["image"] // spec.downscale

    def inputs() -> dict[str, Any]:
        return {
            "latent": torch.zeros(batch, spec.in_channels, side, side),
            "time": torch.zeros(batch),
            "label": torch.zeros(batch, dtype=torch.long),
        }

    names = {
        "^(patches/|add$)": "patches",
        "^time/": "time",
        "^label/": "label",
        "/modulation/": "layers/modulation",
        "/attention": "layers/attention",
        "/ffn": "layers/ffn",
        "^final": "final",
    }
    return Plan(lambda: DiT(spec, sizes["image"], fused=how.attention == "sdpa"), inputs, names)
