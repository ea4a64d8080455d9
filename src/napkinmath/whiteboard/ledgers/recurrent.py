"""The rows of recurrent networks, in the order of execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...elementwise import FLOPS_PER_ELEMENT
from ...ledger import Ledger
from .. import recurrent as forms
from .rows import Rows

if TYPE_CHECKING:
    from ...specs.recurrent import CharacterCNN, RecurrentSpec


def recurrent_ledger(spec: RecurrentSpec, batch: int, seq: int, dtype: str) -> Ledger:
    """Rows of one forward pass; inputs are validated by :meth:`RecurrentSpec.ledger`."""
    rows = Rows(dtype)
    tokens = batch * seq
    if spec.vocab:
        rows.gather("embeddings/tokens", tokens, spec.vocab, spec.d_in)
    if spec.characters:
        character_rows(rows, spec.characters, tokens, spec.d_in)
    for number, (d_in, width) in enumerate(zip(spec.layer_inputs(), spec.widths, strict=True), start=1):
        first_row = len(rows.ops)
        recurrent_row(rows, f"layers/{spec.cell}_{number}", spec.cell, batch, seq, d_in, width, spec.projection)
        rows.repeat(spec.directions, first_row)
    if spec.separate_directions:
        rows.pointwise("layers/residual", "elementwise", "add", (len(spec.widths) - 1) * tokens * spec.d_out, inputs=2)
    if spec.vocab:
        head_rows(rows, tokens, spec.d_out, spec.vocab, tied=spec.tied_embeddings)
    return rows.ledger(f"{spec.name} batch={batch} seq={seq} {dtype}")


def character_rows(rows: Rows, cnn: CharacterCNN, words: int, d_out: int) -> None:
    """Characters of ``words`` to vectors of ``d_out``: convolutions, the maximum over each word, highways, a projection."""
    rows.gather("embeddings/characters", words * cnn.length, cnn.n_characters, cnn.d_character)
    for kernel, filters in zip(cnn.kernels, cnn.filters, strict=True):
        name = f"embeddings/conv_{kernel}"
        (places,) = rows.conv(
            name, words, (cnn.length,), cnn.d_character, filters, (kernel,), stride=(1,), padding=(0,), bias=True
        )  # fmt: skip
        rows.add(f"{name}_maximum", "reduce", other_flops=words * places * filters, read=words * places * filters, written=words * filters)
    width = cnn.d_word
    rows.pointwise("embeddings/activation", "elementwise", "relu", words * width)
    first_row = len(rows.ops)
    rows.matmul("embeddings/highway", words, width, 2 * width, bias=True)
    rows.pointwise("embeddings/highway_gate", "elementwise", "sigmoid", words * width)
    rows.pointwise("embeddings/highway_activation", "elementwise", "relu", words * width)
    rows.pointwise("embeddings/highway_mix", "elementwise", "mul", 2 * words * width, inputs=2)
    rows.repeat(cnn.highways, first_row)
    rows.matmul("embeddings/projection", words, width, d_out, bias=True)


def recurrent_row(rows: Rows, name: str, cell: str, batch: int, seq: int, d_in: int, d_hidden: int, projection: int = 0) -> None:
    """One layer and direction over ``[batch, seq, d_in]``, as one row: nothing in it can run ahead of the step before."""
    gates, d_out = forms.GATES[cell], projection or d_hidden
    if projection:
        flops, params = forms.projected_lstm_flops(batch, seq, d_in, d_hidden, d_out), forms.projected_lstm_params(d_in, d_hidden, d_out)
    else:
        flops, params = forms.recurrent_flops(batch, seq, d_in, d_hidden, gates), forms.recurrent_params(d_in, d_hidden, gates)
    weights = ((gates * d_hidden, d_in), (gates * d_hidden, d_out), *(((d_out, d_hidden),) if projection else ()))
    rows.add(
        name, "recurrent", flops=flops, other_flops=(FLOPS_PER_ELEMENT[f"{cell}_cell"] + 2 * gates) * batch * seq * d_hidden,
        read=batch * seq * d_in + params, written=batch * seq * d_out, params=params, shape=((seq, batch, d_in), *weights), op=cell,
    )  # fmt: skip


def head_rows(rows: Rows, tokens: int, d_model: int, vocab: int, *, tied: bool) -> None:
    """Logits, with a bias that a tied head has for itself."""
    rows.matmul("lm_head/logits", tokens, d_model, vocab, bias=False, tied=tied)
    rows.pointwise("lm_head/bias", "elementwise", "add", tokens * vocab, params=vocab)
