"""Real architectures and devices that fill a calculator's inputs: selectors by name, each option with values in base units."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from napkinmath import preset
from napkinmath.errors import InputError
from napkinmath.footprint import OPTIMIZERS, RECIPES
from napkinmath.hardware import device

Options = Mapping[str, Mapping[str, float]]

_ENCODERS = {"BERT-base": "bert-base", "BERT-large": "bert-large"}
_DECODERS = {
    "GPT-2": "gpt2",
    "Gemma-7B": "gemma-7b",
    "Qwen2.5-7B": "qwen2.5-7b",
    "Llama-2-7B": "llama-2-7b",
    "Llama-3-8B": "llama-3-8b",
    "Llama-3-70B": "llama-3-70b",
    "Llama-3.1-405B": "llama-3.1-405b",
}
_VISION = {"ViT-B/16": "vit-b-16", "ViT-L/16": "vit-l-16"}
_MACHINES = (
    ("cpu-2core-vm", "fp32"),
    ("xeon-8480", "bf16"),
    ("t4", "fp16"),
    ("l4", "bf16"),
    ("a10g", "bf16"),
    ("a100-80gb", "bf16"),
    ("h100-sxm", "bf16"),
    ("h100-sxm", "fp8"),
    ("h200", "bf16"),
    ("b200", "bf16"),
    ("tpu-v5e", "bf16"),
)
_CONV = ("image", "in_channels", "out_channels", "kernel", "stride", "padding", "groups")
_CONVOLUTIONS = {
    "ResNet-50, first": (224, 3, 64, 7, 2, 3, 1),
    "ResNet-50, 3 × 3 at 28 pixels": (28, 128, 128, 3, 1, 1, 1),
    "VGG-16, second": (224, 64, 64, 3, 1, 1, 1),
    "MobileNet-V2, depthwise at 28": (28, 192, 192, 3, 1, 1, 192),
    "MobileNet-V2, pointwise at 28": (28, 192, 32, 1, 1, 0, 1),
}
_FORMATS = {
    "8 bits, groups of 128": (8, 128, 16, 0),
    "4 bits, groups of 128": (4, 128, 16, 0),
    "4 bits, groups of 32, zero points": (4, 32, 16, 4),
}


def decoders() -> Options:
    """Decoders; ``vocab`` is that of the output layer."""
    return {title: _transformer(preset(name)) for title, name in _DECODERS.items()}


def transformers() -> Options:
    """Encoders, decoders and vision transformers; ``vocab`` is 0 where a token has no logits."""
    return {title: _transformer(preset(name)) for title, name in (_ENCODERS | _DECODERS | _VISION).items()}


def _transformer(spec: Any) -> dict[str, float]:
    image = hasattr(spec, "patch")
    n_layers, n_heads = (value[0] if isinstance(value, tuple) else value for value in (spec.n_layers, spec.n_heads))
    return {
        "n_layers": n_layers,
        "d_model": spec.d_model,
        "d_ff": spec.d_ff,
        "n_heads": n_heads,
        "n_kv_heads": getattr(spec, "n_kv_heads", n_heads),
        "d_head": getattr(spec, "d_head", spec.d_model // n_heads),
        "gated": int(getattr(spec, "gated", False)),
        "vocab": spec.vocab if getattr(spec, "lm_head", False) else 0,
        "params": spec.params(),
    } | ({"seq": (spec.image // spec.patch) ** 2 + spec.special_tokens} if image else {})


def mixtures() -> Options:
    """Mixtures of experts: one layer's."""
    found = {}
    for title, name in {"Mixtral-8x7B": "mixtral-8x7b", "DeepSeek-V3": "deepseek-v3"}.items():
        spec = preset(name)
        experts = {"n_experts": spec.moe.n_experts, "top_k": spec.moe.top_k, "d_ff": spec.moe.d_ff}
        found[title] = {"d_model": spec.d_model, **experts, "gated": int(spec.gated)}
    return found


def denoisers() -> Options:
    """Diffusion models at their own resolution, with their image decoder."""
    pairs = {
        "Stable Diffusion 1.5": ("sd-1.5", "sd-vae-decoder"),
        "SDXL": ("sdxl", "sdxl-vae-decoder"),
        "DiT-XL/2, 256 pixels": ("dit-xl-2", "sd-vae-decoder"),
    }
    return {
        title: {"pass_flops": preset(denoiser).flops(), "once_flops": preset(decoder).flops(image=preset(denoiser).image), "passes": 2}
        for title, (denoiser, decoder) in pairs.items()
    }


def linear_layers() -> Options:
    """One linear layer of BERT-base and some of Llama-3-8B."""
    bert, llama = preset("bert-base"), preset("llama-3-8b")
    return {
        "BERT-base, FFN up": {"d_in": bert.d_model, "d_out": bert.d_ff},
        "Llama-3-8B, key": {"d_in": llama.d_model, "d_out": llama.n_kv_heads * llama.d_head},
        "Llama-3-8B, FFN up": {"d_in": llama.d_model, "d_out": llama.d_ff},
        "Llama-3-8B, logits": {"d_in": llama.d_model, "d_out": llama.vocab},
    }


def convolutions() -> Options:
    """Layers of well-known networks."""
    return {title: dict(zip(_CONV, values, strict=True)) for title, values in _CONVOLUTIONS.items()}


def formats() -> Options:
    """How weights are quantized."""
    names = ("bits", "group", "scale_bits", "zero_bits")
    return {title: dict(zip(names, values, strict=True)) for title, values in _FORMATS.items()}


def recipes() -> Options:
    """Bytes of a parameter: :data:`napkinmath.footprint.RECIPES` with two optimizers."""
    return {
        f"{recipe}, {optimizer}": {
            "bytes_per_weight": cost.weights,
            "bytes_per_gradient": cost.gradients,
            "bytes_per_optimizer_state": cost.master + cost.state * OPTIMIZERS[optimizer].state_values,
        }
        for recipe, cost in RECIPES.items()
        for optimizer in ("adamw", "momentum")
    }


def machines() -> Options:
    """Devices at their datasheet rates in a dtype, and this machine as it was measured, where it has a profile."""
    from . import machine

    table = {}
    for name, dtype in _MACHINES:
        sheet = device(name)
        rates = {"peak_flops": sheet.peak_flops(dtype), "bandwidth_bytes_per_s": sheet.bandwidth_bytes_per_s}
        price = {"usd_per_hour": sheet.price.usd_per_hour} if sheet.price else {}
        table[f"{sheet.title}, {dtype}"] = {**rates, "memory_bytes": sheet.memory_bytes, **price}
    here = machine.profile()
    if here is not None and "fp32" in here.peaks:
        table["This machine, fp32, measured"] = {
            "peak_flops": here.peak_flops("fp32"),
            "bandwidth_bytes_per_s": here.bandwidth_bytes_per_s,
        }
    return table


#: Selectors by the name that calculators know: what the page calls them, and their options.
GROUPS: Mapping[str, tuple[str, Callable[[], Options]]] = {
    "transformers": ("Model", transformers),
    "decoders": ("Model", decoders),
    "mixtures": ("Model", mixtures),
    "denoisers": ("Model", denoisers),
    "linear-layers": ("Layer", linear_layers),
    "convolutions": ("Layer", convolutions),
    "formats": ("Format", formats),
    "recipes": ("Recipe", recipes),
    "machines": ("Device", machines),
}


@functools.cache
def options(group: str, inputs: tuple[str, ...]) -> tuple[str, Options]:
    """A selector's label and options, each with the values that these inputs take; devices that lack one (a price) are left out.

    Raises:
        InputError: there is no such group.
    """
    if group not in GROUPS:
        raise InputError(f"presets {group!r}; choose from {', '.join(GROUPS)}")
    label, made = GROUPS[group]
    taken: dict[str, Mapping[str, float]] = {}
    for title, values in made().items():
        filled = {name: values[name] for name in inputs if name in values}
        if group == "machines" and "peak_flops" not in filled:
            title = title.rpartition(", ")[0]  # memory and price are those of any dtype
        taken[title] = filled
    most = max(map(len, taken.values()))
    return label, {title: values for title, values in taken.items() if group != "machines" or len(values) == most}
