"""The architectures that transformers has: what each fixes beside its dimensions, and what its config calls them.

One table serves both directions: :func:`.config.from_config` reads a ``config.json`` by it, and :mod:`napkinmath.references` writes
the config of a spec by it. An architecture's name is transformers' ``model_type``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """One ``model_type``.

    Attributes:
        family: what the book calls it.
        style: what it fixes, and what its config may leave out; names are fields of ``TransformerSpec``, or of ``EncoderDecoderSpec``.
        fields: the config's names of the dimensions that it leaves open, to the spec's (``moe.top_k`` for a nested one, ``?`` for one that
            may be absent). Two names may mean the same dimension, and must then agree.
        fixed: config fields that would change what is computed, and the one value of each that ours has.
        unsaid: fields of the spec that no config speaks of, and their usual values.
        ignored: config fields that change no count here, beside those that do so nowhere.
        offset: what the config adds to ``max_positions``.
    """

    family: str
    style: Mapping[str, Any]
    fields: Mapping[str, str]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    unsaid: Mapping[str, Any] = field(default_factory=dict)
    ignored: Collection[str] = ()
    offset: int = 0


_BERT = {"norm": "layernorm", "activation": "gelu", "positions": "learned", "bias": True, "embedding_norm": True}
_ROBERTA = _BERT | {"position_offset": 2}
_CAUSAL = {"causal": True, "final_norm": True, "lm_head": True}
_GPT2 = _CAUSAL | {"norm": "layernorm", "activation": "gelu_tanh", "positions": "learned", "bias": True, "tied_embeddings": True}
_LLAMA = _CAUSAL | {"norm": "rmsnorm", "activation": "silu", "positions": "rotary", "gated": True}
_GEMMA = _LLAMA | {"activation": "gelu_tanh", "tied_embeddings": True}

_COMMON = {
    "vocab_size": "vocab",
    "hidden_size": "d_model",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "d_ff",
    "max_position_embeddings": "max_positions",
}
_ENCODER = _COMMON | {"type_vocab_size": "token_types", "hidden_act": "activation?"}
_DECODER = _COMMON | {"num_key_value_heads": "n_kv_heads", "tie_word_embeddings": "tied_embeddings?"}
_LLAMA_LIKE = _DECODER | {"head_dim": "d_head?", "hidden_act": "activation?"}
_WINDOW = {"sliding_window": "window?"}

_ABSOLUTE = {"position_embedding_type": "absolute"}
_ENCODES = _ABSOLUTE | {"is_decoder": False, "add_cross_attention": False}

ARCHITECTURES: dict[str, Architecture] = {
    "bert": Architecture("encoder", _BERT, _ENCODER, _ENCODES, unsaid={"pooler": True}),
    "distilbert": Architecture(
        "encoder",
        _BERT,
        {
            "vocab_size": "vocab",
            "dim": "d_model",
            "n_layers": "n_layers",
            "n_heads": "n_heads",
            "hidden_dim": "d_ff",
            "max_position_embeddings": "max_positions",
            "activation": "activation?",
        },
        {"sinusoidal_pos_embds": False},
    ),
    "albert": Architecture(
        "encoder",
        _BERT | {"activation": "gelu_tanh", "shared_layers": True},
        _ENCODER | {"embedding_size": "d_embed"},
        _ENCODES | {"num_hidden_groups": 1, "inner_group_num": 1},
        unsaid={"pooler": True},
        ignored=("net_structure_type", "layers_to_keep", "gap_size", "num_memory_blocks", "down_scale_factor"),
    ),
    "roberta": Architecture("encoder", _ROBERTA, _ENCODER, _ENCODES, unsaid={"pooler": True}, offset=2),
    "longformer": Architecture(
        "encoder",
        _ROBERTA,
        _ENCODER | {"attention_window": "window"},
        _ABSOLUTE | {"attention_mode": "longformer"},
        unsaid={"pooler": True, "global_tokens": 1},
        offset=2,
    ),
    "gpt2": Architecture(
        "decoder",
        _GPT2,
        {
            "vocab_size": "vocab",
            "n_embd": "d_model",
            "n_layer": "n_layers",
            "n_head": "n_heads",
            "n_inner": "d_ff?",
            "n_positions": "max_positions",
            "n_ctx": "max_positions?",
            "activation_function": "activation?",
            "tie_word_embeddings": "tied_embeddings?",
        },
        {"add_cross_attention": False},
    ),
    "opt": Architecture(
        "decoder",
        _GPT2 | {"activation": "relu", "position_offset": 2},
        {
            "vocab_size": "vocab",
            "hidden_size": "d_model",
            "word_embed_proj_dim": "d_model?",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "ffn_dim": "d_ff",
            "max_position_embeddings": "max_positions",
            "activation_function": "activation?",
            "enable_bias": "bias?",
            "tie_word_embeddings": "tied_embeddings?",
        },
        {"do_layer_norm_before": True, "layer_norm_elementwise_affine": True, "_remove_final_layer_norm": False},
    ),
    "llama": Architecture(
        "decoder", _LLAMA, _LLAMA_LIKE | {"num_key_value_heads": "n_kv_heads?", "attention_bias": "bias?", "mlp_bias": "bias?"}
    ),
    "mistral": Architecture("decoder", _LLAMA | {"window": 4096}, _LLAMA_LIKE | _WINDOW),
    "qwen2": Architecture("decoder", _LLAMA | {"qkv_bias": True}, _LLAMA_LIKE, {"use_sliding_window": False}),
    "gemma": Architecture("decoder", _GEMMA, _DECODER | {"head_dim": "d_head"}, {"attention_bias": False}),
    "gemma2": Architecture(
        "decoder",
        _GEMMA | {"post_norms": True, "window": 4096, "global_every": 2},
        _DECODER | _WINDOW | {"head_dim": "d_head"},
        {"attention_bias": False},
    ),
    "starcoder2": Architecture(
        "decoder",
        _CAUSAL | {"norm": "layernorm", "activation": "gelu_tanh", "positions": "rotary", "bias": True, "tied_embeddings": True},
        _LLAMA_LIKE | _WINDOW | {"use_bias": "bias?"},
    ),
    "mixtral": Architecture(
        "mixture-of-experts", _LLAMA, _LLAMA_LIKE | _WINDOW | {"num_local_experts": "moe.n_experts", "num_experts_per_tok": "moe.top_k"}
    ),
    "deepseek_v3": Architecture(
        "mixture-of-experts",
        _LLAMA,
        _DECODER
        | {
            "hidden_act": "activation?",
            "head_dim": "mla.d_rope?",
            "n_routed_experts": "moe.n_experts",
            "num_experts_per_tok": "moe.top_k",
            "moe_intermediate_size": "moe.d_ff",
            "n_shared_experts": "moe.shared",
            "first_k_dense_replace": "moe.dense_layers",
            "kv_lora_rank": "mla.kv_rank",
            "q_lora_rank": "mla.query_rank?",
            "qk_nope_head_dim": "mla.d_nope",
            "qk_rope_head_dim": "mla.d_rope",
            "v_head_dim": "mla.d_value",
        },
        {"attention_bias": False, "moe_layer_freq": 1},
    ),
}

_T5 = {"norm": "rmsnorm", "activation": "relu", "positions": "relative", "buckets": 32, "final_norm": True}
_BART = {
    "norm": "layernorm", "activation": "gelu", "positions": "learned", "bias": True, "position_offset": 2, "embedding_norm": True
}  # fmt: skip

#: The same for encoder-decoders, whose dimensions are those of ``EncoderDecoderSpec``.
ENCODER_DECODERS: dict[str, Architecture] = {
    "t5": Architecture(
        "encoder-decoder",
        _T5,
        {
            "vocab_size": "vocab",
            "d_model": "d_model",
            "d_kv": "d_head",
            "d_ff": "d_ff",
            "num_layers": "n_layers",
            "num_decoder_layers": "n_decoder_layers?",
            "num_heads": "n_heads",
            "relative_attention_num_buckets": "buckets?",
            "feed_forward_proj": "activation?",
            "dense_act_fn": "activation?",
            "is_gated_act": "gated?",
            "tie_word_embeddings": "tied_embeddings?",
        },
        {"is_encoder_decoder": True, "is_decoder": False},
        ignored=("n_positions", "relative_attention_max_distance", "dropout_rate", "scale_decoder_outputs"),
    ),
    "bart": Architecture(
        "encoder-decoder",
        _BART,
        {
            "vocab_size": "vocab",
            "d_model": "d_model",
            "encoder_layers": "n_layers",
            "num_hidden_layers": "n_layers?",
            "decoder_layers": "n_decoder_layers",
            "encoder_attention_heads": "n_heads",
            "decoder_attention_heads": "n_heads",
            "encoder_ffn_dim": "d_ff",
            "decoder_ffn_dim": "d_ff",
            "max_position_embeddings": "max_positions",
            "activation_function": "activation?",
        },
        {
            "is_encoder_decoder": True,
            "is_decoder": False,
            "normalize_before": False,
            "normalize_embedding": True,
            "add_final_layer_norm": False,
            "add_bias_logits": False,
            "static_position_embeddings": False,
            "extra_pos_embeddings": 2,
        },
        ignored=("scale_embedding", "encoder_layerdrop", "decoder_layerdrop", "force_bos_token_to_be_generated"),
    ),
}

#: What each architecture fixes beside its dimensions.
STYLES: dict[str, dict[str, Any]] = {name: dict(architecture.style) for name, architecture in ARCHITECTURES.items()}

#: transformers' names of activations, to ours.
ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "silu": "silu", "swish": "silu", "relu": "relu"}
