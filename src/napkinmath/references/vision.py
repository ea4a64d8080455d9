"""transformers' own vision transformers."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import InputError
from ..specs.vision import VisionSpec
from .plan import How, Plan

_STAGE_PARTS = {
    "/layernorm_(before|after)/": "norm",
    "/attention/": "attention",
    "/mlp/": "ffn",
}


def plan(spec: VisionSpec, sizes: dict[str, int], how: How) -> Plan:
    """Pixels of ``[batch, channels, image, image]``."""
    batch, image = sizes["batch"], sizes["image"]
    model_class, config, names = _config(spec)
    config._attn_implementation = how.attention

    def inputs() -> dict[str, Any]:
        given: dict[str, Any] = {"pixel_values": torch.zeros((batch, spec.channels, image, image))}
        if not spec.window and image != spec.image:
            given["interpolate_pos_encoding"] = True
        return given

    return Plan(lambda: build(model_class, config, how), inputs, names)


def build(model_class: Any, config: Any, how: How) -> torch.nn.Module:
    """The module where the caller set the device. Only real weights are initialised: some initialisers look at what they drew."""
    if how.real:
        module: torch.nn.Module = model_class(config)
        return module
    from transformers.initialization import no_init_weights

    with no_init_weights():
        module = model_class(config)
    # A parameter that a legacy constructor made is on the CPU, whatever the default device.
    return module.to("meta") if torch.empty(0).is_meta else module


def _config(spec: VisionSpec) -> tuple[Any, Any, dict[str, str]]:
    """The transformers class and config of a spec, and patterns from traced names to whiteboard parts."""
    import transformers as hf

    common = {"image_size": spec.image, "patch_size": spec.patch, "num_channels": spec.channels, "num_labels": spec.classes}
    if spec.reference == "swin":
        ratio = spec.d_ff / spec.d_model
        if any(int(ratio * stage.d_model) != stage.d_ff for stage in spec.stages):
            raise InputError(
                f"d_ff={spec.d_ff}: the swin architecture takes a multiple of d_model={spec.d_model}; nearest: {4 * spec.d_model}"
            )
        config = hf.SwinConfig(
            **common,
            embed_dim=spec.d_model,
            depths=list(spec.n_layers),
            num_heads=list(spec.n_heads),
            window_size=spec.window,
            mlp_ratio=ratio,
        )
        stages = {
            f"/layers/{i}/.*{pattern}": f"{stage.name}/{part}"
            for i, stage in enumerate(spec.stages)
            for pattern, part in {**_STAGE_PARTS, "downsample/": "merging", "": "residual"}.items()
        }
        names = {"/embeddings/": "embeddings", **stages, "^swin/layernorm/": "final_norm", "^classifier/|^swin/": "head"}
        return hf.SwinForImageClassification, config, names
    if spec.reference in ("vit", "deit"):
        tokens = {"vit": 1, "deit": 2}[spec.reference]
        if spec.window or spec.special_tokens != tokens:
            raise InputError(f"special_tokens={spec.special_tokens}: the {spec.reference} architecture has {tokens}, and no window")
        dimensions = {
            "hidden_size": spec.d_model, "num_hidden_layers": spec.n_layers[0], "num_attention_heads": spec.n_heads[0],
            "intermediate_size": spec.d_ff,
        }  # fmt: skip
        names = {
            "/embeddings/": "embeddings",
            **{pattern: f"layers/{part}" for pattern, part in _STAGE_PARTS.items()},
            "/layers/": "layers/residual",
            "^(vit|deit)/layernorm/": "final_norm",
            "classifier/": "head",
        }
        if spec.reference == "vit":
            return hf.ViTForImageClassification, hf.ViTConfig(**common, **dimensions), names
        return hf.DeiTForImageClassificationWithTeacher, hf.DeiTConfig(**common, **dimensions), names
    raise InputError(f"{spec.name} names no vision transformer that transformers can build; its reference is {spec.reference!r}")
