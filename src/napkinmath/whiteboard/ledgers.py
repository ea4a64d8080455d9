"""Whiteboard ledgers: the closed forms laid out as rows, in the order of execution."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..dtypes import bytes_per_value
from ..elementwise import FLOPS_PER_ELEMENT
from ..ledger import SUMMED, Ledger, Op
from . import transformer as forms

if TYPE_CHECKING:
    from ..specs import TransformerSpec


class Rows:
    """Collects rows of one dtype; each method appends one :class:`Op` for one execution."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.width = bytes_per_value(dtype)
        self.ops: list[Op] = []

    def add(self, name: str, kind: str, *, read: float = 0, written: float = 0, **fields: object) -> None:
        """Append a row; ``read`` and ``written`` are in values, not bytes."""
        row = Op(name, kind, bytes_read=int(read * self.width), bytes_written=int(written * self.width), dtype=self.dtype, **fields)  # type: ignore[arg-type]
        self.ops.append(row)

    def matmul(self, name: str, tokens: int, d_in: int, d_out: int, bias: bool, *, tied: bool = False) -> None:
        weight = d_in * d_out
        self.add(
            name,
            "matmul",
            flops=forms.linear_flops(tokens, d_in, d_out),
            other_flops=bias * tokens * d_out,
            read=tokens * d_in + weight + bias * d_out,
            written=tokens * d_out,
            params=0 if tied else forms.linear_params(d_in, d_out, bias),
            shape=((1, tokens, d_in), (1, d_in, d_out)),
        )

    def pointwise(self, name: str, kind: str, function: str, values: int, *, inputs: int = 1, params: int = 0) -> None:
        self.add(
            name,
            kind,
            other_flops=FLOPS_PER_ELEMENT[function] * values,
            read=inputs * values + params,
            written=values,
            params=params,
            op=function,
            shape=((values,),) * inputs,
        )

    def gather(self, name: str, rows: int, table_rows: int, width: int) -> None:
        self.add(name, "gather", read=rows * width, written=rows * width, params=table_rows * width, shape=((table_rows, width), (rows,)))

    def repeat(self, count: int, since: int) -> None:
        """Turn the rows added after index ``since`` into rows executed ``count`` times."""
        self.ops[since:] = [times(op, count) for op in self.ops[since:]]


def times(op: Op, count: int) -> Op:
    """The row of ``count`` executions, each with weights of its own."""
    return replace(op, count=op.count * count, **{column: getattr(op, column) * count for column in SUMMED})


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
    score_rows(rows, spec, batch, seq, context, attention)
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

    ledger = Ledger(f"{spec.name} batch={batch} seq={seq} context={context} {dtype}", "whiteboard", tuple(rows.ops), notes=NOTES)
    return replace(ledger, weight_bytes=int(ledger.params * rows.width))


def score_rows(rows: Rows, spec: TransformerSpec, batch: int, seq: int, context: int, attention: str) -> None:
    """Scores, softmax and weighted values: one row when fused, three when every intermediate goes through memory."""
    flops = forms.attention_score_flops(batch, spec.n_heads, seq, context, spec.d_head)
    useful = forms.causal_score_flops(batch, spec.n_heads, seq, context, spec.d_head) if spec.causal else flops
    scores = batch * spec.n_heads * seq * context
    query, keys = batch * spec.n_heads * seq * spec.d_head, batch * spec.n_kv_heads * context * spec.d_head
    softmax = (FLOPS_PER_ELEMENT["softmax"] + FLOPS_PER_ELEMENT["mul"]) * scores
    heads = (batch, spec.n_heads, seq, spec.d_head)
    cache = (batch, spec.n_kv_heads, context, spec.d_head)
    if attention == "fused":
        rows.add(
            "layers/attention/scores",
            "attention",
            flops=flops,
            useful_causal_flops=useful,
            other_flops=softmax,
            read=query + 2 * keys,
            written=query,
            shape=(heads, cache, cache),
            layout=(("causal", spec.causal),),
        )
        return
    half = {"flops": flops // 2, "useful_causal_flops": useful // 2}
    rows.add("layers/attention/scores", "attention", **half, read=query + keys, written=scores, shape=(heads, cache))
    rows.add("layers/attention/softmax", "softmax", other_flops=softmax, read=scores, written=scores, shape=((*heads[:3], context),))
    rows.add(
        "layers/attention/weighted_values", "attention", **half, read=scores + keys, written=query, shape=((*heads[:3], context), cache)
    )


NOTES = (
    "FLOPs are matmuls and attention, every (query, key) pair counted; softmax, norms, activations and biases are in other_flops.",
    "Bytes count every operand once per operation and ignore caches.",
)
