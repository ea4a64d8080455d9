"""transformers' own encoders and decoders."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import InputError
from ..specs import TransformerSpec
from .plan import How, Plan, require


def plan(spec: TransformerSpec, sizes: dict[str, int], how: How) -> Plan:
    """Token ids of ``[batch, seq]``, and a filled cache where the context is longer."""
    batch, seq, context = sizes["batch"], sizes["seq"], sizes["context"]
    config, model_class, names = _config(spec)
    config._attn_implementation = how.attention

    def inputs() -> dict[str, Any]:
        given: dict[str, Any] = {"input_ids": torch.zeros((batch, seq), dtype=torch.long)}
        if spec.causal:
            given["use_cache"] = context > seq
            if context > seq:
                given["past_key_values"] = _cache(spec, batch, context - seq)
        if not how.real:
            # transformers looks into a mask to see whether it can be dropped; a ready-made additive one is taken as it is.
            given["attention_mask"] = torch.zeros((batch, 1, seq, context))
        return given

    return Plan(lambda: model_class(config), inputs, names)


def _cache(spec: TransformerSpec, batch: int, tokens: int) -> Any:
    """A filled KV cache: per layer ``[batch, n_kv_heads, tokens, d_head]`` keys and values."""
    from transformers import DynamicCache

    cache = DynamicCache()
    for layer in range(spec.n_layers):
        keys = torch.zeros((batch, spec.n_kv_heads, tokens, spec.d_head))
        cache.update(keys, torch.zeros_like(keys), layer)
    return cache


def _config(spec: TransformerSpec) -> tuple[Any, Any, dict[str, str]]:
    """The transformers config and class of a spec, and patterns from traced names to whiteboard parts."""
    import transformers as hf

    d_model = spec.n_heads * spec.d_head
    no_special = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}  # the defaults may lie outside a small vocabulary
    if spec.reference == "bert":
        require(spec, d_model=d_model, n_kv_heads=spec.n_heads, token_types=max(spec.token_types, 1))
        config = hf.BertConfig(
            vocab_size=spec.vocab,
            hidden_size=spec.d_model,
            num_hidden_layers=spec.n_layers,
            num_attention_heads=spec.n_heads,
            intermediate_size=spec.d_ff,
            max_position_embeddings=spec.max_positions,
            type_vocab_size=spec.token_types,
        )
        return (
            config,
            _with(hf.BertModel, add_pooling_layer=spec.pooler),
            {
                "^embeddings/": "embeddings",
                "LayerNorm/": "layers/norm",
                "attention/": "layers/attention",
                "(intermediate|output)/": "layers/ffn",
                "^pooler/": "pooler",
            },
        )
    if spec.reference == "distilbert":
        require(spec, d_model=d_model, n_kv_heads=spec.n_heads, token_types=0, pooler=False)
        config = hf.DistilBertConfig(
            vocab_size=spec.vocab,
            dim=spec.d_model,
            n_layers=spec.n_layers,
            n_heads=spec.n_heads,
            hidden_dim=spec.d_ff,
            max_position_embeddings=spec.max_positions,
        )
        return (
            config,
            hf.DistilBertModel,
            {
                "^embeddings/": "embeddings",
                "layer_norm/": "layers/norm",
                "attention/": "layers/attention",
                "ffn/": "layers/ffn",
            },
        )
    if spec.reference == "gpt2":
        require(spec, d_model=d_model, n_kv_heads=spec.n_heads, tied_embeddings=True)
        config = hf.GPT2Config(
            vocab_size=spec.vocab,
            n_positions=spec.max_positions,
            n_embd=spec.d_model,
            n_layer=spec.n_layers,
            n_head=spec.n_heads,
            n_inner=spec.d_ff,
            **no_special,
        )
        return (
            config,
            hf.GPT2LMHeadModel,
            {
                "/(wte|wpe)/": "embeddings",
                r"/ln_[12]/": "layers/norm",
                "/ln_f/": "final_norm",
                "/attn/": "layers/attention",
                "/mlp/": "layers/ffn",
                "^lm_head/": "lm_head",
            },
        )
    decoder = {
        "vocab_size": spec.vocab,
        "hidden_size": spec.d_model,
        "num_hidden_layers": spec.n_layers,
        "num_attention_heads": spec.n_heads,
        "num_key_value_heads": spec.n_kv_heads,
        "head_dim": spec.d_head,
        "intermediate_size": spec.d_ff,
        "max_position_embeddings": spec.max_positions,
        "tie_word_embeddings": spec.tied_embeddings,
        **no_special,
    }
    names = {
        "embed_tokens/": "embeddings",
        "layernorm/": "layers/norm",
        "^model/norm/": "final_norm",
        "self_attn/": "layers/attention",
        "mlp/": "layers/ffn",
        "^lm_head/": "lm_head",
    }
    if spec.reference == "llama":
        require(spec, gated=True, norm="rmsnorm")
        return hf.LlamaConfig(**decoder, attention_bias=spec.bias, mlp_bias=spec.bias), hf.LlamaForCausalLM, names
    if spec.reference == "starcoder2":
        require(spec, gated=False, norm="layernorm")
        return hf.Starcoder2Config(**decoder, use_bias=spec.bias, sliding_window=None), hf.Starcoder2ForCausalLM, names
    raise InputError(f"{spec.name} names no architecture that transformers can build; its reference is {spec.reference!r}")


def _with(model_class: Any, **arguments: Any) -> Any:
    return lambda config: model_class(config, **arguments)
