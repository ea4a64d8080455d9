"""transformers' own encoders and decoders."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import InputError
from ..specs import TransformerSpec
from ..specs.config import config_fields
from .plan import How, Plan

# Patterns of traced rows' names, in order, and the whiteboard's part; then the same for each architecture.
_BERT = {
    "^embeddings/": "embeddings",
    "LayerNorm/": "layers/norm",
    "attention/": "layers/attention",
    "(intermediate|output)/": "layers/ffn",
    "^pooler/": "pooler",
}
_ALBERT = {
    "^embeddings/|embedding_hidden_mapping_in/": "embeddings",
    "layer_norm/|LayerNorm/": "layers/norm",
    "attention/": "layers/attention",
    "ffn": "layers/ffn",
    "^pooler/": "pooler",
}
_LLAMA = {
    "embed_tokens/": "embeddings",
    r"^model/layers/\d+/\w+layernorm/": "layers/norm",
    "^model/norm/": "final_norm",
    "self_attn/": "layers/attention",
    "mlp/gate/": "layers/router",
    "mlp/experts/": "layers/experts",
    "mlp/shared_experts/": "layers/shared_expert",
    "mlp/": "layers/ffn",
    "^lm_head/": "lm_head",
}
_GPT2 = {
    "/(wte|wpe)/": "embeddings",
    r"/ln_[12]/": "layers/norm",
    "/ln_f/": "final_norm",
    "/attn/": "layers/attention",
    "/mlp/": "layers/ffn",
    "^lm_head/": "lm_head",
}
_OPT = {
    "/embed_(tokens|positions)/": "embeddings",
    r"layers/\d+/\w*layer_norm/": "layers/norm",
    "decoder/final_layer_norm/": "final_norm",
    "/self_attn/": "layers/attention",
    "/(fc1|fc2|activation_fn)/": "layers/ffn",
    "^lm_head/": "lm_head",
}
_DISTILBERT = {"^embeddings/": "embeddings", "layer_norm/": "layers/norm", "attention/": "layers/attention", "ffn/": "layers/ffn"}

#: transformers' config and class of each architecture, and the names of its parts.
_CLASSES: dict[str, tuple[str, str, dict[str, str]]] = {
    "bert": ("BertConfig", "BertModel", _BERT),
    "distilbert": ("DistilBertConfig", "DistilBertModel", _DISTILBERT),
    "albert": ("AlbertConfig", "AlbertModel", _ALBERT),
    "roberta": ("RobertaConfig", "RobertaModel", _BERT),
    "longformer": ("LongformerConfig", "LongformerModel", _BERT),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", _GPT2),
    "opt": ("OPTConfig", "OPTForCausalLM", _OPT),
    "llama": ("LlamaConfig", "LlamaForCausalLM", _LLAMA),
    "mistral": ("MistralConfig", "MistralForCausalLM", _LLAMA),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", _LLAMA),
    "gemma": ("GemmaConfig", "GemmaForCausalLM", _LLAMA),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", _LLAMA),
    "starcoder2": ("Starcoder2Config", "Starcoder2ForCausalLM", _LLAMA),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", _LLAMA),
    "deepseek_v3": ("DeepseekV3Config", "DeepseekV3ForCausalLM", _LLAMA),
}

#: transformers runs these with scores written out, whatever is asked for: chunks, and a tanh around each score.
_EAGER_ONLY = ("longformer", "gemma2")


def plan(spec: TransformerSpec, sizes: dict[str, int], how: How) -> Plan:
    """Token ids of ``[batch, seq]``, and a filled cache where the context is longer.

    Raises:
        InputError: the spec has something that the architecture cannot express, or is a Longformer on ``meta``.
    """
    import transformers as hf

    if spec.reference == "longformer" and not how.real:
        raise InputError(f"{spec.name} looks at values while it runs, so it runs on a real device only: give device='cpu', without fake")
    batch, seq, context = sizes["batch"], sizes["seq"], sizes["context"]
    config_class, model_class, names = _CLASSES[spec.reference]
    config = getattr(hf, config_class)(**config_fields(spec), **_not_dimensions(spec))
    if spec.reference not in _EAGER_ONLY:
        config._attn_implementation = how.attention
    if spec.moe and not how.real:
        config._experts_implementation = "batched_mm"  # the default asks which tokens each expert got, which has no answer without values
    pooler = {"add_pooling_layer": spec.pooler} if spec.reference in ("bert", "albert", "roberta", "longformer") else {}

    def inputs() -> dict[str, Any]:
        given: dict[str, Any] = {"input_ids": torch.zeros((batch, seq), dtype=torch.long)}
        if spec.causal:
            given["use_cache"] = context > seq
            if context > seq:
                given["past_key_values"] = _cache(spec, config, batch, context - seq)
        if spec.reference == "longformer":
            given["global_attention_mask"] = (torch.arange(seq) < spec.global_tokens).long().expand(batch, seq)
        elif not how.real:
            given["attention_mask"] = _mask(spec, batch, seq, context)
        if spec.reference == "opt":
            given["position_ids"] = torch.arange(context - seq, context).expand(batch, seq)  # else it counts them in the mask
        return given

    return Plan(lambda: getattr(hf, model_class)(config, **pooler), inputs, names)


def _not_dimensions(spec: TransformerSpec) -> dict[str, Any]:
    """What a config needs beside dimensions: special tokens inside a small vocabulary, and one group of experts, however many there are."""
    special = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if spec.reference in ("bert", "distilbert"):
        return {}
    if spec.reference in ("roberta", "longformer"):
        return special | {"pad_token_id": 1}  # positions are counted from behind it
    return special | ({"n_group": 1, "topk_group": 1} if spec.mla else {})


def _mask(spec: TransformerSpec, batch: int, seq: int, context: int) -> Any:
    """An additive mask per kind of layer: transformers would look into one of its own to see whether it can be dropped."""
    from ..whiteboard.windows import window_cached_context

    full = torch.zeros((batch, 1, seq, context))
    if not spec.window:
        return full
    windowed = torch.zeros((batch, 1, seq, window_cached_context(seq, context, spec.window)))
    return {"full_attention": full, "sliding_attention": windowed} if spec.global_every else windowed


def _cache(spec: TransformerSpec, config: Any, batch: int, tokens: int) -> Any:
    """A filled KV cache: per layer ``[batch, n_kv_heads, tokens, d_head]`` keys and values, or latents and rotary keys."""
    from transformers import DynamicCache

    cache = DynamicCache(config=config)
    shapes = [(spec.n_kv_heads, spec.d_head)] * 2 if spec.mla is None else [(1, spec.mla.kv_rank), (1, spec.mla.d_rope)]
    for layer in range(spec.n_layers):
        first, second = (torch.zeros((batch, heads, tokens, width)) for heads, width in shapes)
        cache.update(first, second, layer)
    return cache
