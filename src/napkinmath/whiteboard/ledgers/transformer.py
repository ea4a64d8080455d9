"""The transformer's rows, in the order of execution."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...ledger import SUMMED, Ledger, Op
from .. import experts, windows
from ..linear import linear_flops
from ..vision import padded_to_window
from .rows import Rows
from .variants import band_rows, latent_rows

if TYPE_CHECKING:
    from ...specs import TransformerSpec


def transformer_ledger(
    spec: TransformerSpec, batch: int, seq: int, context: int, dtype: str, attention: str, logits: str, latents: str
) -> Ledger:  # fmt: skip
    """Rows of one forward pass of ``spec``; inputs are validated by :meth:`TransformerSpec.ledger`."""
    rows = Rows(dtype)
    tokens = batch * seq
    embedding_rows(rows, "embeddings", spec, batch, seq)
    layer_rows(rows, "layers", spec, batch, seq, context, attention, cache=spec.causal, latents=latents)
    if spec.window and not spec.causal and seq % spec.window:
        padded, longer = Rows(dtype), padded_to_window(seq, spec.window)
        embedding_rows(padded, "embeddings", spec, batch, longer)
        layer_rows(padded, "layers", spec, batch, longer, longer, attention)
        rows.ops = with_padding(rows.ops, padded.ops)

    if spec.final_norm:
        norm_row(rows, "final_norm/norm", spec, tokens)
    if spec.pooler:
        rows.matmul("pooler/dense", batch, spec.d_model, spec.d_model, bias=True)
        rows.pointwise("pooler/tanh", "elementwise", "tanh", batch * spec.d_model)
    if spec.lm_head:
        rows.matmul("lm_head/logits", tokens if logits == "all" else batch, spec.d_model, spec.vocab, bias=False, tied=spec.tied_embeddings)

    return rows.ledger(f"{spec.name} batch={batch} seq={seq} context={context} {dtype}")


def embedding_rows(rows: Rows, part: str, spec: TransformerSpec, batch: int, seq: int) -> None:
    """Token, position and token-type embeddings of ``[batch, seq]`` ids, and the map to ``d_model`` where there is one; ``part/...``."""
    tokens, width = batch * seq, spec.embedding_width
    rows.gather(f"{part}/tokens", tokens, spec.vocab, width)
    if spec.positions == "learned":
        rows.gather(f"{part}/positions", seq, spec.max_positions + spec.position_offset, width)
        rows.pointwise(f"{part}/add_positions", "elementwise", "add", tokens * width, inputs=2)
    if spec.token_types:
        rows.gather(f"{part}/token_types", seq, spec.token_types, width)
        rows.pointwise(f"{part}/add_token_types", "elementwise", "add", tokens * width, inputs=2)
    if spec.embedding_norm:
        norm_row(rows, f"{part}/norm", spec, tokens, width)
    if spec.d_embed:
        rows.matmul(f"{part}/projection", tokens, width, spec.d_model, bias=True)


def with_padding(plain: list[Op], padded: list[Op]) -> list[Op]:
    """The rows of the sequence as it is, each followed by what padding adds to it; of overhead, what the padded sequence has."""
    ops: list[Op] = []
    for op, longer in zip(plain, padded, strict=True):
        more = {column: getattr(longer, column) - getattr(op, column) for column in SUMMED}
        if op.overhead:
            ops.append(longer)
        elif any(more.values()):
            ops += [op, replace(longer, name=f"{op.name}_of_padding", overhead=True, **more)]
        else:
            ops.append(op)
    return ops


def layer_rows(
    rows: Rows, part: str, spec: TransformerSpec, batch: int, seq: int, context: int, attention: str, *,
    cache: bool = False, latents: str = "rebuilt",
) -> None:  # fmt: skip
    """Rows of all ``spec.n_layers`` layers, named ``part/...``; ``cache``: keys and values are kept for later tokens.

    Layers that differ (some see a window, some have experts) come one kind after the other.
    """
    tokens, repeat = batch * seq, rows.again if spec.shared_layers else rows.repeat
    windowed, dense = spec.n_layers - spec.full_layers, spec.n_layers - spec.expert_layers
    for count, window in ((windowed, spec.window), (spec.full_layers, 0)):
        if count == 0:
            continue
        first_row = len(rows.ops)
        norm_row(rows, f"{part}/norm/attention", spec, tokens)
        if spec.mla:
            latent_rows(rows, part, spec, batch, seq, context, attention, latents)
        elif window and not spec.causal:
            band_rows(rows, part, spec, batch, seq, window)
        else:
            attention_rows(rows, part, spec, batch, seq, context, attention, cache=cache, window=window)
        residual_rows(rows, part, "attention", spec, tokens)
        repeat(count, first_row)
    for count, block_rows in ((dense, ffn_rows), (spec.expert_layers, expert_rows)):
        if count == 0:
            continue
        first_row = len(rows.ops)
        norm_row(rows, f"{part}/norm/ffn", spec, tokens)
        block_rows(rows, part, spec, tokens)
        residual_rows(rows, part, "ffn", spec, tokens)
        repeat(count, first_row)


def residual_rows(rows: Rows, part: str, block: str, spec: TransformerSpec, tokens: int) -> None:
    """What follows attention or FFN: a second norm where there is one, and the addition to the residual stream."""
    if spec.post_norms:
        norm_row(rows, f"{part}/norm/{block}_output", spec, tokens)
    rows.pointwise(f"{part}/residual/{block}", "elementwise", "add", tokens * spec.d_model, inputs=2)


def norm_row(rows: Rows, name: str, spec: TransformerSpec, tokens: int, width: int = 0) -> None:
    """One layer norm or RMS norm over ``tokens`` of ``width`` values, ``d_model`` when not given."""
    width = width or spec.d_model
    rows.pointwise(name, "norm", spec.norm, tokens * width, params=width * (2 if spec.norm == "layernorm" else 1))


def attention_rows(
    rows: Rows, part: str, spec: TransformerSpec, batch: int, seq: int, context: int, attention: str, *,
    cache: bool = False, window: int = 0,
) -> None:  # fmt: skip
    """Projections, rotary positions, scores and output of one layer; of a cached context only what the window can still see."""
    tokens, q_width, kv_width = batch * seq, spec.n_heads * spec.d_head, spec.n_kv_heads * spec.d_head
    if window:
        context = windows.window_cached_context(seq, context, window)
    rows.matmul(f"{part}/attention/query", tokens, spec.d_model, q_width, spec.bias or spec.qkv_bias)
    rows.matmul(f"{part}/attention/key", tokens, spec.d_model, kv_width, spec.bias or spec.qkv_bias)
    rows.matmul(f"{part}/attention/value", tokens, spec.d_model, kv_width, spec.bias or spec.qkv_bias)
    if spec.positions == "rotary":
        rows.pointwise(f"{part}/attention/rotary", "elementwise", "rotary", tokens * (q_width + kv_width))
    if cache:
        rows.add(f"{part}/attention/cache_write", "copy", read=2 * tokens * kv_width, written=2 * tokens * kv_width)
    rows.attention(
        f"{part}/attention", batch, spec.n_heads, seq, context, spec.d_head,
        n_kv_heads=spec.n_kv_heads, causal=spec.causal, window=window, how=attention,
    )  # fmt: skip
    rows.matmul(f"{part}/attention/output", tokens, q_width, spec.d_model, spec.bias)


def ffn_rows(rows: Rows, part: str, spec: TransformerSpec, tokens: int) -> None:
    """The feed-forward network of one layer."""
    feed_forward_rows(rows, f"{part}/ffn", spec, tokens, spec.d_ff)


def expert_rows(rows: Rows, part: str, spec: TransformerSpec, tokens: int) -> None:
    """Router, routed and shared experts of one layer; of the routed ones, as many are read as ``tokens`` can expect to reach."""
    assert spec.moe is not None
    moe, routed = spec.moe, tokens * spec.moe.top_k
    rows.matmul(f"{part}/router/logits", tokens, spec.d_model, moe.n_experts, bias=False)
    rows.pointwise(f"{part}/router/softmax", "softmax", "softmax", tokens * moe.n_experts)
    reached = experts.experts_touched(moe.n_experts, moe.top_k, tokens)
    feed_forward_rows(rows, f"{part}/experts", spec, routed, moe.d_ff, copies=moe.n_experts, reached=reached)
    rows.pointwise(f"{part}/experts/weigh", "elementwise", "mul", routed * spec.d_model)
    if moe.shared:
        feed_forward_rows(rows, f"{part}/shared_expert", spec, tokens, moe.shared * moe.d_ff)


def feed_forward_rows(
    rows: Rows, name: str, spec: TransformerSpec, tokens: int, width: int, *, copies: int = 1, reached: float = 1
) -> None:  # fmt: skip
    """A feed-forward network of ``width``; with ``copies`` of its weights, ``reached`` are read and each token meets one."""

    def linear(part: str, d_in: int, d_out: int) -> None:
        if copies == 1:
            rows.matmul(f"{name}/{part}", tokens, d_in, d_out, spec.bias)
            return
        rows.add(
            f"{name}/{part}", "matmul", flops=linear_flops(tokens, d_in, d_out), read=tokens * d_in + reached * d_in * d_out,
            written=tokens * d_out, params=copies * d_in * d_out, shape=((1, tokens, d_in), (copies, d_in, d_out)),
        )  # fmt: skip

    if spec.gated:
        linear("gate", spec.d_model, width)
    linear("up", spec.d_model, width)
    rows.pointwise(f"{name}/activation", "elementwise", spec.activation, tokens * width)
    if spec.gated:
        rows.pointwise(f"{name}/multiply", "elementwise", "mul", tokens * width, inputs=2)
    linear("down", width, spec.d_model)
