"""Rows of the attentions that are not plain: latent (MLA), and a two-sided window with global tokens (Longformer)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import windows
from .rows import Rows

if TYPE_CHECKING:
    from ...specs import TransformerSpec


def latent_rows(
    rows: Rows, part: str, spec: TransformerSpec, batch: int, seq: int, context: int, attention: str, latents: str
) -> None:  # fmt: skip
    """One layer's latent attention over keys and values that are ``rebuilt`` from the latents, or over the latents, with both ``absorbed``.

    Rebuilding those of earlier tokens is overhead; absorbing has none: the keys' up-projection moves into the queries and the values'
    behind the attention, in which all heads then share the cached vectors (:mod:`~napkinmath.whiteboard.latent`).
    """
    assert spec.mla is not None
    mla, name, tokens, cached = spec.mla, f"{part}/attention", batch * seq, batch * (context - seq)
    q_width = spec.n_heads * spec.d_head
    if mla.query_rank:
        rows.matmul(f"{name}/query_down", tokens, spec.d_model, mla.query_rank, bias=False)
        rows.pointwise(f"{name}/query_norm", "norm", "rmsnorm", tokens * mla.query_rank, params=mla.query_rank)
    rows.matmul(f"{name}/query", tokens, mla.query_rank or spec.d_model, q_width, bias=False)
    rows.matmul(f"{name}/latent", tokens, spec.d_model, mla.kv_rank + mla.d_rope, bias=False)
    rows.pointwise(f"{name}/latent_norm", "norm", "rmsnorm", tokens * mla.kv_rank, params=mla.kv_rank)
    rows.pointwise(f"{name}/rotary", "elementwise", "rotary", tokens * (spec.n_heads + 1) * mla.d_rope)
    cache_values = tokens * (mla.kv_rank + mla.d_rope)
    rows.add(f"{name}/cache_write", "copy", read=cache_values, written=cache_values)
    if latents == "absorbed":
        rows.matmul_of_each(f"{name}/absorbed_key", spec.n_heads, tokens, mla.d_nope, mla.kv_rank)
        rows.attention(
            name, batch, spec.n_heads, seq, context, mla.kv_rank + mla.d_rope,
            n_kv_heads=1, d_value=mla.kv_rank, causal=True, how=attention, values_in_keys=True,
        )  # fmt: skip
        rows.matmul_of_each(f"{name}/absorbed_value", spec.n_heads, tokens, mla.kv_rank, mla.d_value)
    else:
        kv_width = spec.n_heads * (mla.d_nope + mla.d_value)
        rows.matmul(f"{name}/key_value", tokens, mla.kv_rank, kv_width, bias=False)
        if cached:
            rows.matmul(f"{name}/key_value_of_cache", cached, mla.kv_rank, kv_width, bias=False, tied=True, overhead=True)
        rows.attention(name, batch, spec.n_heads, seq, context, spec.d_head, d_value=mla.d_value, causal=True, how=attention)
    rows.matmul(f"{name}/output", tokens, spec.n_heads * mla.d_value, spec.d_model, bias=False)


def band_rows(rows: Rows, part: str, spec: TransformerSpec, batch: int, seq: int, window: int) -> None:
    """One layer's attention over a two-sided window in chunks, and of a few global tokens, which have projections of their own.

    What the chunks compute outside the window is overhead. ``seq`` is a multiple of the window.
    """
    name, tokens, globals_ = f"{part}/attention", batch * seq, spec.global_tokens
    width = spec.n_heads * spec.d_head
    values, scores = tokens * width, batch * spec.n_heads * windows.band_pairs(seq, window)
    for projection in ("query", "key", "value"):
        rows.matmul(f"{name}/{projection}", tokens, spec.d_model, width, spec.bias)
    work = 4 * spec.d_head * scores
    rows.add(f"{name}/window", "attention", flops=work, other_flops=6 * scores, read=3 * values, written=values)
    executed = windows.chunked_score_flops(batch, spec.n_heads, seq, window, spec.d_head)
    rows.add(f"{name}/chunk_overlap", "attention", flops=executed - work, overhead=True)
    rows.matmul(f"{name}/global_query", batch * globals_, spec.d_model, width, spec.bias)
    rows.matmul(f"{name}/global_key", tokens, spec.d_model, width, spec.bias)
    rows.matmul(f"{name}/global_value", tokens, spec.d_model, width, spec.bias)
    rows.add(
        f"{name}/global", "attention",
        flops=windows.global_score_flops(batch, spec.n_heads, seq, globals_, spec.d_head), read=6 * values, written=values,
    )  # fmt: skip
    rows.matmul(f"{name}/output", tokens, width, spec.d_model, spec.bias)
