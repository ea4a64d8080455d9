"""transformers' own encoder-decoders with their language-model heads."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import InputError
from ..specs.blocks import Experts
from ..specs.encoder_decoder import STYLES, EncoderDecoderSpec
from .plan import How, Plan, require

_T5 = {
    "{stack}/embed_tokens/": "embeddings",
    "{stack}/.*SelfAttention/": "attention",
    "{stack}/.*EncDecAttention/": "cross_attention",
    "{stack}/final_layer_norm/": "final_norm",
    "{stack}/.*/layer_norm/": "norm",
    "{stack}/.*mlp/router/": "router",
    "{stack}/.*mlp/experts/": "experts",
    "{stack}/.*(DenseReluDense|mlp)/": "ffn",
}
_BART = {
    "{stack}/(embed_tokens|embed_positions|layernorm_embedding)/": "embeddings",
    "{stack}/embed_positions": "embeddings",
    "{stack}/conv": "stem",
    "{stack}/.*/self_attn/": "attention",
    "{stack}/.*/encoder_attn/": "cross_attention",
    "{stack}/layers/.*_layer_norm/": "norm",
    "{stack}/layer_norm/": "final_norm",
    "{stack}/.*/(fc1|fc2|activation_fn)/": "ffn",
}

#: transformers' config and class of each architecture, and the names of the parts of a stack.
_CLASSES: dict[str, tuple[str, str, dict[str, str]]] = {
    "t5": ("T5Config", "T5ForConditionalGeneration", _T5),
    "switch_transformers": ("SwitchTransformersConfig", "SwitchTransformersForConditionalGeneration", _T5),
    "bart": ("BartConfig", "BartForConditionalGeneration", _BART),
    "marian": ("MarianConfig", "MarianMTModel", _BART),
    "whisper": ("WhisperConfig", "WhisperForConditionalGeneration", _BART),
}

_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu"}


def plan(spec: EncoderDecoderSpec, sizes: dict[str, int], how: How) -> Plan:
    """Source and decoder inputs; with full caches and a finished encoder where the context is longer than the target.

    Raises:
        InputError: the spec has something that it cannot express, or has experts and no real device.
    """
    import transformers as hf

    if spec.moe and not how.real:
        raise InputError(
            f"{spec.name} asks which tokens each expert got, so it runs on a real device only: give device='cpu', without fake"
        )
    config_class, model_class, parts = _CLASSES[spec.reference]
    config = getattr(hf, config_class)(**_config_fields(spec, sizes))
    config._attn_implementation = "eager" if spec.moe else how.attention  # transformers has no fused attention for Switch
    names = {f"^(model/)?{p.format(stack=stack)}": f"{stack}/{part}" for stack in ("encoder", "decoder") for p, part in parts.items()}
    names |= {"^(lm_head|proj_out)/": "lm_head"}

    def module() -> torch.nn.Module:
        config.tie_word_embeddings = spec.tied_embeddings  # T5's config says yes to everyone who asks
        model: Any = getattr(hf, model_class)(config)
        if spec.positions == "sinusoidal":  # transformers keeps the sines as parameters that it never trains
            for table in (model.model.encoder.embed_positions, model.model.decoder.embed_positions):
                sines = table.weight.detach()
                del table.weight
                table.register_buffer("weight", sines)
        if not spec.tied_embeddings:  # the config unties the tables of encoder and decoder too, which the checkpoints share
            for stack in (model.encoder, model.decoder):
                stack.embed_tokens.weight = model.shared.weight
        return model

    return Plan(module, lambda: _inputs(spec, sizes, how), names)


def _inputs(spec: EncoderDecoderSpec, sizes: dict[str, int], how: How) -> dict[str, Any]:
    from transformers.modeling_outputs import MoEModelOutput

    batch, target, context, source = sizes["batch"], sizes["target"], sizes["context"], spec.source_tokens(sizes)
    given: dict[str, Any] = {"decoder_input_ids": torch.zeros((batch, target), dtype=torch.long), "use_cache": context > target}
    if context > target:
        given["past_key_values"] = _caches(spec, batch, context - target, source)
        given["encoder_outputs"] = MoEModelOutput(last_hidden_state=torch.zeros((batch, source, spec.d_model)))
    elif spec.mels:
        given["input_features"] = torch.zeros((batch, spec.mels, sizes["frames"]))
    else:
        given["input_ids"] = torch.zeros((batch, source), dtype=torch.long)
    if not how.real:  # transformers would look into a mask of its own to see whether it can be dropped
        given["decoder_attention_mask"] = torch.zeros((batch, 1, target, context))
        if not spec.mels:
            given["attention_mask"] = torch.zeros((batch, 1, 1, source))
    return given


def _caches(spec: EncoderDecoderSpec, batch: int, tokens: int, source: int) -> Any:
    """Per decoder layer ``[batch, n_heads, tokens, d_head]`` keys and values of its own, and as many of the source."""
    from transformers import DynamicCache, EncoderDecoderCache

    caches = DynamicCache(), DynamicCache()
    for layer in range(spec.n_decoder_layers):
        for cache, length in zip(caches, (tokens, source), strict=True):
            keys, values = (torch.zeros((batch, spec.n_heads, length, spec.d_head)) for _ in range(2))
            cache.update(keys, values, layer)
    return EncoderDecoderCache(*caches)


def _config_fields(spec: EncoderDecoderSpec, sizes: dict[str, int]) -> dict[str, Any]:
    """What transformers' config class takes.

    Raises:
        InputError: the spec has something that the architecture cannot express.
    """
    style = STYLES[spec.reference]
    free = ("activation", "buckets")
    require(spec, **{field: value for field, value in style.items() if field not in free})
    require(
        spec,
        **{field: style.get(field, default) for field, default in (("position_offset", 0), ("embedding_norm", False), ("bias", False))},
    )
    common = {
        "vocab_size": spec.vocab,
        "d_model": spec.d_model,
        "tie_word_embeddings": spec.tied_embeddings,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    if spec.positions == "relative":
        require(spec, mels=0, key_bias=True)
        activation = _ACTIVATIONS[spec.activation]
        fields = {
            **common,
            "d_kv": spec.d_head,
            "d_ff": spec.d_ff,
            "num_layers": spec.n_layers,
            "num_decoder_layers": spec.n_decoder_layers,
            "num_heads": spec.n_heads,
            "relative_attention_num_buckets": spec.buckets,
            **({} if spec.moe else {"feed_forward_proj": f"gated-{activation}" if spec.gated else activation}),
        }
        return fields | _expert_fields(spec, sizes)
    require(
        spec, moe=None, gated=False, final_norm=style.get("final_norm", False), d_head=spec.d_model // spec.n_heads, tied_embeddings=True
    )
    fields = {
        **common,
        "encoder_layers": spec.n_layers,
        "decoder_layers": spec.n_decoder_layers,
        "activation_function": _ACTIVATIONS[spec.activation],
        **{f"{stack}_attention_heads": spec.n_heads for stack in ("encoder", "decoder")},
        **{f"{stack}_ffn_dim": spec.d_ff for stack in ("encoder", "decoder")},
    }
    if spec.reference == "marian":
        require(spec, mels=0)
        longest = max(sizes["seq"], sizes["context"])
        return fields | {"max_position_embeddings": longest, "forced_eos_token_id": None, "scale_embedding": True}
    if spec.reference == "bart":
        require(spec, mels=0, max_source=spec.max_positions)
        return fields | {"max_position_embeddings": spec.max_positions, "forced_eos_token_id": None}
    if spec.d_model < 4 or spec.d_model % 2:
        nearest = max(4, spec.d_model + spec.d_model % 2)
        raise InputError(
            f"d_model={spec.d_model}: the whisper architecture starts from pairs of sine and cosine, two or more; nearest: {nearest}"
        )
    return fields | {"num_mel_bins": spec.mels, "max_source_positions": spec.max_source, "max_target_positions": spec.max_positions}


def _expert_fields(spec: EncoderDecoderSpec, sizes: dict[str, int]) -> dict[str, Any]:
    """Switch layers in each stack, and experts with room for every token: what is dropped would depend on the weights."""
    if spec.reference == "t5":
        require(spec, moe=None)
        return {}
    moe = spec.moe
    if moe is None or moe != Experts(n_experts=moe.n_experts, top_k=1, d_ff=spec.d_ff) or spec.gated:
        raise InputError(f"moe={moe}: the switch_transformers architecture has moe.top_k=1, moe.d_ff={spec.d_ff}, none shared, no gate")
    return {
        "num_experts": moe.n_experts,
        "num_sparse_encoder_layers": spec.n_layers // spec.expert_every,
        "num_sparse_decoder_layers": spec.n_decoder_layers // spec.expert_every,
        "expert_capacity": max(spec.source_tokens(sizes), sizes["target"]),
        "dense_act_fn": _ACTIVATIONS[spec.activation],
    }
