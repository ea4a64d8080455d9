"""The transformer's rows, in the order of execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...ledger import Ledger
from .rows import Rows

if TYPE_CHECKING:
    from ...specs import TransformerSpec


def transformer_ledger(spec: TransformerSpec, batch: int, seq: int, context: int, dtype: str, attention: str, logits: str) -> Ledger:
    """Rows of one forward pass of ``spec``; inputs are validated by :meth:`TransformerSpec.ledger`."""
    rows = Rows(dtype)
    tokens = batch * seq
    norm_params = spec.d_model * (2 if spec.norm == "layernorm" else 1)

    def norm(name: str) -> None:
        rows.pointwise(name, "norm", spec.norm, tokens * spec.d_model, params=norm_params)

    def residual(name: str) -> None:
        rows.pointwise(name, "elementwise", "add", tokens * spec.d_model, inputs=2)

    rows.gather("embeddings/tokens", tokens, spec.vocab, spec.d_model)
    if spec.positions == "learned":
        rows.gather("embeddings/positions", seq, spec.max_positions, spec.d_model)
        rows.pointwise("embeddings/add_positions", "elementwise", "add", tokens * spec.d_model, inputs=2)
    if spec.token_types:
        rows.gather("embeddings/token_types", seq, spec.token_types, spec.d_model)
        rows.pointwise("embeddings/add_token_types", "elementwise", "add", tokens * spec.d_model, inputs=2)
    if spec.embedding_norm:
        norm("embeddings/norm")

    first_layer_row = len(rows.ops)
    norm("layers/norm/attention")
    q_width, kv_width = spec.n_heads * spec.d_head, spec.n_kv_heads * spec.d_head
    rows.matmul("layers/attention/query", tokens, spec.d_model, q_width, spec.bias)
    rows.matmul("layers/attention/key", tokens, spec.d_model, kv_width, spec.bias)
    rows.matmul("layers/attention/value", tokens, spec.d_model, kv_width, spec.bias)
    if spec.positions == "rotary":
        rows.pointwise("layers/attention/rotary", "elementwise", "rotary", tokens * (q_width + kv_width))
    if spec.causal:
        rows.add("layers/attention/cache_write", "copy", read=2 * tokens * kv_width, written=2 * tokens * kv_width)
    rows.attention(
        "layers/attention", batch, spec.n_heads, seq, context, spec.d_head, n_kv_heads=spec.n_kv_heads, causal=spec.causal, how=attention
    )
    rows.matmul("layers/attention/output", tokens, q_width, spec.d_model, spec.bias)
    residual("layers/residual/attention")
    norm("layers/norm/ffn")
    if spec.gated:
        rows.matmul("layers/ffn/gate", tokens, spec.d_model, spec.d_ff, spec.bias)
    rows.matmul("layers/ffn/up", tokens, spec.d_model, spec.d_ff, spec.bias)
    rows.pointwise("layers/ffn/activation", "elementwise", spec.activation, tokens * spec.d_ff)
    if spec.gated:
        rows.pointwise("layers/ffn/multiply", "elementwise", "mul", tokens * spec.d_ff, inputs=2)
    rows.matmul("layers/ffn/down", tokens, spec.d_ff, spec.d_model, spec.bias)
    residual("layers/residual/ffn")
    rows.repeat(spec.n_layers, first_layer_row)

    if spec.final_norm:
        norm("final_norm/norm")
    if spec.pooler:
        rows.matmul("pooler/dense", batch, spec.d_model, spec.d_model, bias=True)
        rows.pointwise("pooler/tanh", "elementwise", "tanh", batch * spec.d_model)
    if spec.lm_head:
        rows.matmul("lm_head/logits", tokens if logits == "all" else batch, spec.d_model, spec.vocab, bias=False, tied=spec.tied_embeddings)

    return rows.ledger(f"{spec.name} batch={batch} seq={seq} context={context} {dtype}")
