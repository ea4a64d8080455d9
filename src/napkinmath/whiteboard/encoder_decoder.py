"""Closed forms of encoder-decoders: what the encoder does once, and what each generated token costs.

After Vaswani et al. 2017 (arXiv:1706.03762), Raffel et al. 2019 (T5, arXiv:1910.10683) and Radford et al. 2022 (Whisper,
arXiv:2212.04356). ``seq`` counts source tokens, ``target`` decoder tokens, ``context`` the decoder's own keys; other symbols as in
:mod:`.transformer`. A decoder layer has two attentions: one over its own tokens, one over the encoder's output.
"""

from __future__ import annotations

from .linear import Value, linear_flops
from .transformer import attention_projection_flops, attention_score_flops, ffn_flops, kv_cache_bytes, layer_flops


def encoder_flops(
    batch: Value, seq: Value, n_layers: Value, d_model: Value, d_ff: Value, n_heads: Value, d_head: Value, gated: Value = 0
) -> Value:
    """FLOPs of encoding ``seq`` source tokens: paid once a request, however much is generated.

    >>> encoder_flops(1, 512, n_layers=12, d_model=768, d_ff=3072, n_heads=12, d_head=64) / 1e9
    96.63676416
    """
    return n_layers * layer_flops(batch, seq, seq, d_model, d_ff, n_heads, n_heads, d_head, gated)


def cross_key_value_flops(batch: Value, seq: Value, d_model: Value, n_heads: Value, d_head: Value) -> Value:
    """FLOPs of one decoder layer's keys and values of ``seq`` source tokens: computed once a request, then cached."""
    return 2 * linear_flops(batch * seq, d_model, n_heads * d_head)


def decoder_flops(
    batch: Value,
    target: Value,
    context: Value,
    seq: Value,
    n_layers: Value,
    d_model: Value,
    d_ff: Value,
    n_heads: Value,
    d_head: Value,
    vocab: Value = 0,
    gated: Value = 0,
) -> Value:
    """FLOPs of ``target`` tokens through the decoder, cross keys and values already cached; ``vocab`` adds the logits.

    A layer has self-attention, a query and an output projection for cross-attention with its scores, and an FFN.

    >>> prefill = decoder_flops(1, 128, 128, 512, 12, 768, 3072, 12, 64)
    >>> step = decoder_flops(1, 1, 128, 512, 12, 768, 3072, 12, 64)
    >>> prefill == 128 * step
    True
    """
    own = attention_projection_flops(batch * target, d_model, n_heads, n_heads, d_head)
    scores = attention_score_flops(batch, n_heads, target, context + seq, d_head)
    cross = 2 * linear_flops(batch * target, d_model, n_heads * d_head)
    layer = own + cross + scores + ffn_flops(batch * target, d_model, d_ff, gated)
    return n_layers * layer + linear_flops(batch * target, d_model, vocab)


def encoder_decoder_cache_bytes(
    n_layers: Value, n_heads: Value, d_head: Value, batch: Value, context: Value, seq: Value, dtype: Value = "bf16"
) -> Value:
    """Bytes of both caches of a decoder: its own keys and values grow with ``context``, those of the source stay at ``seq``.

    >>> encoder_decoder_cache_bytes(n_layers=32, n_heads=20, d_head=64, batch=1, context=448, seq=1500) / 2**20
    304.375
    """
    own = kv_cache_bytes(n_layers, n_heads, d_head, batch, context, dtype)
    return own + kv_cache_bytes(n_layers, n_heads, d_head, batch, seq, dtype)


def relative_bias_params(buckets: Value, n_heads: Value) -> Value:
    """Parameters of T5's positions: a number per bucket of distances and head, shared by all layers of a stack.

    >>> relative_bias_params(buckets=32, n_heads=12)
    384
    """
    return buckets * n_heads
