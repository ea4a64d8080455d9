"""The rows of recurrent encoder-decoders, in the order of execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...ledger import Ledger
from .recurrent import recurrent_row
from .rows import Rows

if TYPE_CHECKING:
    from ...specs.seq2seq import Seq2SeqSpec


def seq2seq_ledger(spec: Seq2SeqSpec, batch: int, seq: int, target: int, dtype: str) -> Ledger:
    """Rows of one forward pass; inputs are validated by :meth:`Seq2SeqSpec.ledger`."""
    rows = Rows(dtype)
    hidden, tokens = spec.d_hidden, batch * target
    rows.gather("encoder/embeddings/tokens", batch * seq, spec.vocab, spec.d_embed)
    if spec.attention_between:
        _between_rows(rows, spec, batch, seq, target)
        return rows.ledger(f"{spec.name} batch={batch} seq={seq} target={target} {dtype}")
    layer_rows(rows, "encoder", spec, batch, seq, directions=2 if spec.attention_first else 1)
    rows.gather("decoder/embeddings/tokens", tokens, spec.vocab, spec.d_embed)
    if spec.attention_first:
        rows.matmul("decoder/bridge/dense", batch, hidden, hidden, bias=True)
        rows.pointwise("decoder/bridge/tanh", "elementwise", "tanh", batch * hidden)
        key_rows(rows, spec, batch, seq)
        first_row = len(rows.ops)
        query_rows(rows, spec, batch, seq, 1)
        rows.again(target, first_row)
        recurrent_row(rows, "decoder/layers/gru_1", "gru", batch, target, spec.d_embed + spec.d_key, hidden)
        rows.matmul("decoder/output/dense", tokens, hidden + spec.d_embed + spec.d_key, 2 * spec.d_maxout, bias=True)
        rows.add(
            "decoder/output/maxout",
            "reduce",
            other_flops=tokens * spec.d_maxout,
            read=2 * tokens * spec.d_maxout,
            written=tokens * spec.d_maxout,
        )
        rows.matmul("lm_head/logits", tokens, spec.d_maxout, spec.vocab, bias=True)
    else:
        layer_rows(rows, "decoder", spec, batch, target, directions=1)
        key_rows(rows, spec, batch, seq)
        query_rows(rows, spec, batch, seq, target)
        rows.matmul("decoder/output/dense", tokens, spec.d_key + hidden, hidden, bias=False)
        rows.pointwise("decoder/output/tanh", "elementwise", "tanh", tokens * hidden)
        rows.matmul("lm_head/logits", tokens, hidden, spec.vocab, bias=True)
    return rows.ledger(f"{spec.name} batch={batch} seq={seq} target={target} {dtype}")


def _between_rows(rows: Rows, spec: Seq2SeqSpec, batch: int, seq: int, target: int) -> None:
    """GNMT behind its table: a deep encoder, attention over it from the decoder's first layer, the layers that get what it found."""
    hidden, tokens = spec.d_hidden, batch * target
    recurrent_row(rows, f"encoder/layers/{spec.cell}_1", spec.cell, batch, seq, spec.d_embed, hidden)
    rows.repeat(2, len(rows.ops) - 1)
    for number in range(2, spec.n_layers + 1):
        recurrent_row(rows, f"encoder/layers/{spec.cell}_{number}", spec.cell, batch, seq, 2 * hidden if number == 2 else hidden, hidden)
    rows.pointwise("encoder/layers/residual", "elementwise", "add", (spec.n_layers - 2) * batch * seq * hidden, inputs=2)

    rows.gather("decoder/embeddings/tokens", tokens, 0, spec.d_embed)  # the same table
    recurrent_row(rows, f"decoder/layers/{spec.cell}_1", spec.cell, batch, target, spec.d_embed, hidden)
    key_rows(rows, spec, batch, seq)
    rows.pointwise("decoder/attention/normalize", "elementwise", "mul", spec.d_attention, params=spec.d_attention + 1)
    query_rows(rows, spec, batch, seq, target)
    for number in range(2, spec.n_layers + 1):
        recurrent_row(rows, f"decoder/layers/{spec.cell}_{number}", spec.cell, batch, target, hidden + spec.d_key, hidden)
    rows.pointwise("decoder/layers/residual", "elementwise", "add", (spec.n_layers - 2) * tokens * hidden, inputs=2)
    rows.matmul("lm_head/logits", tokens, hidden, spec.vocab, bias=True)


def layer_rows(rows: Rows, part: str, spec: Seq2SeqSpec, batch: int, seq: int, *, directions: int) -> None:
    """A stack of recurrent layers over the embeddings."""
    for number in range(1, spec.n_layers + 1):
        first_row = len(rows.ops)
        d_in = spec.d_embed if number == 1 else spec.d_hidden
        recurrent_row(rows, f"{part}/layers/{spec.cell}_{number}", spec.cell, batch, seq, d_in, spec.d_hidden)
        rows.repeat(directions, first_row)


def key_rows(rows: Rows, spec: Seq2SeqSpec, batch: int, seq: int) -> None:
    """What additive scores need of each source token, once."""
    if spec.score == "additive":
        rows.matmul("decoder/attention/keys", batch * seq, spec.d_key, spec.d_attention, bias=False)


def query_rows(rows: Rows, spec: Seq2SeqSpec, batch: int, seq: int, target: int) -> None:
    """Scores, softmax and weighted values of ``target`` queries."""
    tokens, pairs, values = batch * target, batch * target * seq, batch * seq * spec.d_key
    if spec.score == "additive":
        width = spec.d_attention
        rows.matmul("decoder/attention/queries", tokens, spec.d_hidden, width, bias=False)
        rows.add(
            "decoder/attention/meet",
            "elementwise",
            other_flops=2 * pairs * width,
            read=(tokens + batch * seq) * width,
            written=pairs * width,
            op="tanh",
        )
        rows.matmul("decoder/attention/energy", pairs, width, 1, bias=False)
    else:
        if spec.score == "general":
            rows.matmul("decoder/attention/queries", tokens, spec.d_hidden, spec.d_key, bias=False)
        rows.add(
            "decoder/attention/scores", "attention", flops=2 * pairs * spec.d_key, read=tokens * spec.d_key + values, written=pairs,
            shape=((batch, target, spec.d_key), (batch, spec.d_key, seq)),
        )  # fmt: skip
    rows.pointwise("decoder/attention/softmax", "softmax", "softmax", pairs)
    rows.add(
        "decoder/attention/weighted_values", "attention", flops=2 * pairs * spec.d_key, read=pairs + values, written=tokens * spec.d_key,
        shape=((batch, target, seq), (batch, seq, spec.d_key)),
    )  # fmt: skip
