"""diffusers' own ``AutoencoderKL``, or the half of it that a pass runs."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch

from ..specs.autoencoder import AutoencoderSpec
from .plan import How, Plan
from .unet import set_attention


def plan(spec: AutoencoderSpec, sizes: dict[str, int], how: How) -> Plan:
    """An image of ``[batch, image_channels, image, image]``, or for the decoder its latent."""
    batch, side = sizes["batch"], sizes["image"]

    def module() -> torch.nn.Module:
        from diffusers import AutoencoderKL

        levels = len(spec.channels)
        whole: Any = AutoencoderKL(
            in_channels=spec.image_channels,
            out_channels=spec.image_channels,
            latent_channels=spec.latent_channels,
            down_block_types=["DownEncoderBlock2D"] * levels,
            up_block_types=["UpDecoderBlock2D"] * levels,
            block_out_channels=spec.channels,
            layers_per_block=spec.blocks_per_level,
            norm_num_groups=spec.norm_groups,
            sample_size=side,
        )
        set_attention(whole, how)
        if spec.part == "encoder":
            return torch.nn.Sequential(OrderedDict(encoder=whole.encoder, quant_conv=whole.quant_conv))
        if spec.part == "decoder":
            return torch.nn.Sequential(OrderedDict(post_quant_conv=whole.post_quant_conv, decoder=whole.decoder))
        return whole

    def inputs() -> dict[str, Any]:
        image = torch.zeros(batch, spec.image_channels, side, side)
        if spec.part == "both":
            return {"sample": image}
        latent_side = side // spec.downscale
        return {"input": image if spec.part == "encoder" else torch.zeros(batch, spec.latent_channels, latent_side, latent_side)}

    last = len(spec.channels) - 1
    names = {"^quant_conv/": "encoder/latent", "^post_quant_conv/": "decoder/latent"}
    for half in ("encoder", "decoder"):
        names |= {f"^{half}/conv_in/": f"{half}/input", f"^{half}/conv_(norm_)?out/": f"{half}/output", f"^{half}/mid": f"{half}/mid"}
    for level in range(last + 1):
        names |= {f"^encoder/down_blocks/{level}/": f"encoder/down_{level}", f"^decoder/up_blocks/{last - level}/": f"decoder/up_{level}"}
    return Plan(module, inputs, names)
