"""diffusers' own UNets: ``UNet2DModel`` without text, ``UNet2DConditionModel`` with it."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import InputError
from ..specs.unet import UNetSpec
from .plan import How, Plan


def plan(spec: UNetSpec, sizes: dict[str, int], how: How) -> Plan:
    """Noise of ``[batch, in_channels, side, side]``, one time step, and text of ``[batch, context, context_width]``."""
    batch, side = sizes["batch"], sizes["image"] // spec.downscale

    def module() -> torch.nn.Module:
        built: Any = _conditional(spec, side) if spec.context_width else _unconditional(spec, side)
        set_attention(built, how)
        return built

    def inputs() -> dict[str, Any]:
        given: dict[str, Any] = {"sample": torch.zeros(batch, spec.in_channels, side, side), "timestep": torch.zeros(1)}
        if spec.context_width:
            given["encoder_hidden_states"] = torch.zeros(batch, sizes["context"], spec.context_width)
        if spec.added_width:
            given["added_cond_kwargs"] = {
                "text_embeds": torch.zeros(batch, spec.added_width - _SIZE_CONDITIONS * _SIZE_WIDTH),
                "time_ids": torch.zeros(batch, _SIZE_CONDITIONS),
            }
        return given

    return Plan(module, inputs, _names(spec))


#: SDXL is told the original size, the crop and the target size (two numbers each), each as a sinusoid of this width.
_SIZE_CONDITIONS, _SIZE_WIDTH = 6, 256


def set_attention(module: Any, how: How) -> None:
    """``eager`` picks diffusers' processor that writes the scores out; its default calls PyTorch's fused attention."""
    if how.attention == "eager":
        from diffusers.models.attention_processor import AttnProcessor

        for part in module.modules():
            if hasattr(part, "set_processor"):
                part.set_processor(AttnProcessor())


def _shared(spec: UNetSpec, side: int) -> dict[str, Any]:
    return {
        "sample_size": side,
        "in_channels": spec.in_channels,
        "out_channels": spec.out_channels,
        "block_out_channels": spec.channels,
        "layers_per_block": spec.blocks_per_level,
        "norm_num_groups": spec.norm_groups,
    }


def _unconditional(spec: UNetSpec, side: int) -> Any:
    from diffusers import UNet2DModel

    if set(spec.n_heads) != {1} or spec.added_width or spec.linear_projection:
        raise InputError(f"n_heads={spec.n_heads}: the {spec.reference} architecture has one head at every level, and no text")
    return UNet2DModel(
        **_shared(spec, side),
        down_block_types=["AttnDownBlock2D" if depth else "DownBlock2D" for depth in spec.depth],
        up_block_types=["AttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(spec.depth)],
        add_attention=bool(spec.mid_depth),
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
    )


def _conditional(spec: UNetSpec, side: int) -> Any:
    from diffusers import UNet2DConditionModel

    if spec.mid_depth < 1 or spec.depth[-1] not in (0, spec.mid_depth):
        raise InputError(f"mid_depth={spec.mid_depth}: the {spec.reference} architecture has the last level's depth there, and at least 1")
    added = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": _SIZE_WIDTH,
        "projection_class_embeddings_input_dim": spec.added_width,
    }
    return UNet2DConditionModel(
        **_shared(spec, side),
        **(added if spec.added_width else {}),
        down_block_types=["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in spec.depth],
        up_block_types=["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(spec.depth)],
        transformer_layers_per_block=[depth or 1 for depth in spec.depth[:-1]] + [spec.mid_depth],
        attention_head_dim=spec.n_heads,  # diffusers' name for what it reads as the number of heads
        cross_attention_dim=spec.context_width,
        use_linear_projection=spec.linear_projection,
    )


def _names(spec: UNetSpec) -> dict[str, str]:
    """Patterns of diffusers' paths. It counts ``up_blocks`` from the lowest resolution; the whiteboard's levels from the highest."""
    last = len(spec.channels) - 1
    blocks = {"^mid_block/": "mid"}
    for level in range(last + 1):
        blocks |= {f"^down_blocks/{level}/": f"down_{level}", f"^up_blocks/{last - level}/": f"up_{level}"}
    parts = {
        "resnets/": "resnet",
        "samplers/": "resample",
        "/(attn1|norm1)/": "self_attention",
        "/(attn2|norm2)/": "cross_attention",
        "/(ff|norm3)/": "ffn",
        "attentions/": "projection" if spec.context_width else "self_attention",
    }
    inside = {f"{block}.*{part}": f"{where}/{name}" for block, where in blocks.items() for part, name in parts.items()}
    return {
        "^time_embedding/": "time/embedding",
        "^add_embedding/": "time/added",
        "^conv_in/": "input",
        "^conv_(norm_)?out/": "output",
        **inside,
    }
