"""The published implementation of a preset: transformers' own module, unmodified, from a config, with random weights.

Nothing is downloaded. On ``meta`` nothing is allocated either. ``fake=True`` builds the module under ``FakeTensorMode``, whose trace has
the operators that the real device would dispatch.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Any

import torch

from .errors import InputError, did_you_mean
from .ledger import Op
from .specs import TransformerSpec, preset

#: Dtypes that a module's weights can have.
TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "fp64": torch.float64}


class SameCache(torch.nn.Module):
    """A model whose KV cache is as long after a call as before it."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, **inputs: Any) -> Any:
        out = self.module(**inputs)
        if "past_key_values" in inputs:
            inputs["past_key_values"].crop(-inputs["input_ids"].shape[1])
        return out


@dataclass
class Reference:
    """A module, the inputs of one forward pass, and the spec both follow."""

    spec: TransformerSpec
    module: torch.nn.Module
    inputs: dict[str, Any]
    module_names: dict[str, str]

    def repeatable(self) -> torch.nn.Module:
        """The module, made to forget what a call appends to the cache: every run with the same inputs is the same decode step."""
        return SameCache(self.module)

    def group(self, op: Op) -> str:
        """The whiteboard's name for the part of the model that a traced row belongs to."""
        for pattern, group in self.module_names.items():
            if re.search(pattern, op.name):
                return group
        return "rest"


def reference(
    spec: TransformerSpec | str,
    batch: int = 1,
    seq: int = 128,
    context: int | None = None,
    *,
    device: str = "meta",
    dtype: str = "fp32",
    attention: str = "eager",
    fake: bool = False,
) -> Reference:
    """Build transformers' module for ``spec`` and the inputs of one forward pass.

    Args:
        spec: a preset's name, or a spec whose ``reference`` names an architecture.
        batch, seq: token ids of shape ``[batch, seq]``.
        context: key/value tokens; when longer than ``seq``, the cache holds the first ``context - seq``.
        device: where the weights live; ``meta`` allocates nothing.
        dtype: of weights and activations.
        attention: ``eager`` (scores written out) or ``sdpa`` (PyTorch's fused attention).
        fake: build under ``FakeTensorMode``: the given device's operators, without its memory.

    Raises:
        InputError: sizes that do not fit, or a spec that the named architecture cannot express.
    """
    spec = preset(spec) if isinstance(spec, str) else spec
    context = spec.check_input(batch, seq, context)
    if dtype not in TORCH_DTYPES:
        raise InputError(f"dtype={dtype!r}: a module's weights can be {', '.join(TORCH_DTYPES)}.{did_you_mean(dtype, TORCH_DTYPES)}")
    if attention not in ("eager", "sdpa"):
        raise InputError(f"attention={attention!r}: use 'eager' or 'sdpa'")
    try:
        config, model_class, module_names = _config(spec)
    except InputError:
        raise
    except Exception as error:  # transformers checks its configs, among others that heads divide d_model, with errors of its own
        reason = str(error.__cause__ or error).splitlines()[0]
        raise InputError(f"transformers cannot build {spec.name} as {spec.reference}: {reason}") from error
    config._attn_implementation = attention
    with _fake_mode(fake), torch.device(device), _default_dtype(TORCH_DTYPES[dtype]):
        module = model_class(config).eval()
        inputs: dict[str, Any] = {"input_ids": torch.zeros((batch, seq), dtype=torch.long)}
        if spec.causal:
            inputs["use_cache"] = context > seq
            if context > seq:
                inputs["past_key_values"] = _cache(spec, batch, context - seq, TORCH_DTYPES[dtype])
        if device == "meta" or fake:
            # transformers looks into a mask to see whether it can be dropped; a ready-made additive one is taken as it is.
            inputs["attention_mask"] = torch.zeros((batch, 1, seq, context))
    return Reference(spec, module, inputs, module_names)


def _fake_mode(fake: bool) -> Any:
    if not fake:
        return contextlib.nullcontext()
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode()


@contextlib.contextmanager
def _default_dtype(dtype: torch.dtype) -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _cache(spec: TransformerSpec, batch: int, tokens: int, dtype: torch.dtype) -> Any:
    """A filled KV cache: per layer ``[batch, n_kv_heads, tokens, d_head]`` keys and values."""
    from transformers import DynamicCache

    cache = DynamicCache()
    for layer in range(spec.n_layers):
        keys = torch.zeros((batch, spec.n_kv_heads, tokens, spec.d_head), dtype=dtype)
        cache.update(keys, torch.zeros_like(keys), layer)
    return cache


def _require(spec: TransformerSpec, **expected: Any) -> None:
    for field, value in expected.items():
        if getattr(spec, field) != value:
            raise InputError(f"{field}={getattr(spec, field)!r}: the {spec.reference} architecture has {field}={value!r}")


def _config(spec: TransformerSpec) -> tuple[Any, Any, dict[str, str]]:
    """The transformers config and class of a spec, and patterns from traced names to whiteboard parts."""
    import transformers as hf

    d_model = spec.n_heads * spec.d_head
    no_special = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}  # the defaults may lie outside a small vocabulary
    if spec.reference == "bert":
        _require(spec, d_model=d_model, n_kv_heads=spec.n_heads, token_types=max(spec.token_types, 1))
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
        _require(spec, d_model=d_model, n_kv_heads=spec.n_heads, token_types=0, pooler=False)
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
        _require(spec, d_model=d_model, n_kv_heads=spec.n_heads, tied_embeddings=True)
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
        _require(spec, gated=True, norm="rmsnorm")
        return hf.LlamaConfig(**decoder, attention_bias=spec.bias, mlp_bias=spec.bias), hf.LlamaForCausalLM, names
    if spec.reference == "starcoder2":
        _require(spec, gated=False, norm="layernorm")
        return hf.Starcoder2Config(**decoder, use_bias=spec.bias, sliding_window=None), hf.Starcoder2ForCausalLM, names
    raise InputError(f"{spec.name} names no architecture that transformers can build; its reference is {spec.reference!r}")


def _with(model_class: Any, **arguments: Any) -> Any:
    return lambda config: model_class(config, **arguments)
