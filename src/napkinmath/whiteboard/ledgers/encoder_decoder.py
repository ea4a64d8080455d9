"""The encoder-decoder's rows, in the order of execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...elementwise import FLOPS_PER_ELEMENT
from ...ledger import Ledger
from .rows import Rows
from .transformer import expert_rows, ffn_rows, norm_row

if TYPE_CHECKING:
    from ...specs.encoder_decoder import EncoderDecoderSpec


def encoder_decoder_ledger(spec: EncoderDecoderSpec, sizes: Mapping[str, int], dtype: str, attention: str) -> Ledger:
    """Rows of one forward pass, or of a decode step; inputs are validated by :meth:`EncoderDecoderSpec.ledger`."""
    rows = Rows(dtype)
    batch, target, context, source = sizes["batch"], sizes["target"], sizes["context"], spec.source_tokens(sizes)
    encoded = context > target
    encoder = Rows(dtype)
    encoder_rows(encoder, spec, batch, source, attention)
    if encoded:
        unread(rows, encoder, without="encoder/embeddings/tokens")
    else:
        rows.ops += encoder.ops
    shared_table = not spec.mels and not encoded  # the encoder has read it already
    decoder_rows(rows, spec, batch, source, target, context, attention, encoded=encoded, shared_table=shared_table)

    if spec.tied_embeddings and spec.positions == "relative":
        rows.pointwise("lm_head/scale", "elementwise", "mul", batch * target * spec.d_model)
    rows.matmul("lm_head/logits", batch * target, spec.d_model, spec.vocab, bias=False, tied=spec.tied_embeddings)
    in_words = " ".join(f"{size}={value}" for size, value in sizes.items())
    return rows.ledger(f"{spec.name} {in_words} {dtype}")


def unread(rows: Rows, others: Rows, without: str = "") -> None:
    """Weights of rows that do not run in this pass."""
    for op in others.ops:
        if op.params and op.name != without:
            rows.add(op.name, "parameters", params=op.params, count=op.count)


def encoder_rows(rows: Rows, spec: EncoderDecoderSpec, batch: int, seq: int, attention: str) -> None:
    """Embeddings or convolutions, layers and final norm over ``seq`` source tokens."""
    layers, tokens = spec.layers, batch * seq
    if spec.mels:
        frames, d_model = 2 * seq, spec.d_model
        extent = rows.conv("encoder/stem/conv1", batch, (frames,), spec.mels, d_model, (3,), stride=(1,), padding=(1,), bias=True)
        rows.pointwise("encoder/stem/gelu1", "elementwise", "gelu", batch * frames * d_model)
        rows.conv("encoder/stem/conv2", batch, extent, d_model, d_model, (3,), stride=(2,), padding=(1,), bias=True)
        rows.pointwise("encoder/stem/gelu2", "elementwise", "gelu", tokens * d_model)
    else:
        rows.gather("encoder/embeddings/tokens", tokens, spec.vocab, spec.d_model)
    position_rows(rows, "encoder", spec, batch, seq, spec.max_source)
    position_bias_row(rows, "encoder", spec, seq, seq)

    first_row = len(rows.ops)
    norm_row(rows, "encoder/norm/attention", layers, tokens)
    attention_rows(rows, "encoder/attention", spec, batch, seq, seq, attention, new_keys=seq, causal=False)
    rows.pointwise("encoder/residual/attention", "elementwise", "add", tokens * spec.d_model, inputs=2)
    rows.repeat(spec.n_layers, first_row)
    feed_forward_layers(rows, "encoder", spec, spec.n_layers, tokens)
    if spec.final_norm:
        norm_row(rows, "encoder/final_norm/norm", layers, tokens)


def decoder_rows(
    rows: Rows, spec: EncoderDecoderSpec, batch: int, source: int, target: int, context: int, attention: str, *,
    encoded: bool, shared_table: bool,
) -> None:  # fmt: skip
    """Embeddings, layers and final norm over ``target`` tokens; ``encoded``: keys and values of the source are cached."""
    layers, tokens = spec.layers, batch * target
    rows.gather("decoder/embeddings/tokens", tokens, 0 if shared_table else spec.vocab, spec.d_model)
    position_rows(rows, "decoder", spec, batch, target, spec.max_positions)
    position_bias_row(rows, "decoder", spec, target, context)

    first_row = len(rows.ops)
    norm_row(rows, "decoder/norm/attention", layers, tokens)
    attention_rows(rows, "decoder/attention", spec, batch, target, context, attention, new_keys=target, causal=True)
    rows.pointwise("decoder/residual/attention", "elementwise", "add", tokens * spec.d_model, inputs=2)
    norm_row(rows, "decoder/norm/cross_attention", layers, tokens)
    new_keys = 0 if encoded else source
    attention_rows(rows, "decoder/cross_attention", spec, batch, target, source, attention, new_keys=new_keys, causal=False)
    rows.pointwise("decoder/residual/cross_attention", "elementwise", "add", tokens * spec.d_model, inputs=2)
    rows.repeat(spec.n_decoder_layers, first_row)
    feed_forward_layers(rows, "decoder", spec, spec.n_decoder_layers, tokens)
    if spec.final_norm:
        norm_row(rows, "decoder/final_norm/norm", layers, tokens)


def position_rows(rows: Rows, part: str, spec: EncoderDecoderSpec, batch: int, seq: int, table: int) -> None:
    """A table of positions, added to the tokens, and the norm behind it, where there are any."""
    if spec.positions == "sinusoidal":
        rows.pointwise(f"{part}/embeddings/scale", "elementwise", "mul", batch * seq * spec.d_model)
    if spec.positions != "relative":
        rows.gather(f"{part}/embeddings/positions", seq, table + spec.position_offset, spec.d_model)
        rows.pointwise(f"{part}/embeddings/add_positions", "elementwise", "add", batch * seq * spec.d_model, inputs=2)
    if spec.embedding_norm:
        norm_row(rows, f"{part}/embeddings/norm", spec.layers, batch * seq)


def position_bias_row(rows: Rows, part: str, spec: EncoderDecoderSpec, seq: int, context: int) -> None:
    """A bias for each pair of positions and head, looked up by distance in the first layer and used by all."""
    if spec.positions == "relative":
        rows.gather(f"{part}/attention/position_bias", seq * context, spec.buckets, spec.n_heads)


def attention_rows(
    rows: Rows, name: str, spec: EncoderDecoderSpec, batch: int, seq: int, context: int, how: str, *, new_keys: int, causal: bool
) -> None:  # fmt: skip
    """One attention: queries of ``seq`` tokens over ``context`` keys, of which ``new_keys`` are computed here and the others cached."""
    tokens, width, key_bias = batch * seq, spec.n_heads * spec.d_head, spec.bias and spec.key_bias
    rows.matmul(f"{name}/query", tokens, spec.d_model, width, spec.bias)
    projections = Rows(rows.dtype)
    projections.matmul(f"{name}/key", batch * new_keys, spec.d_model, width, key_bias)
    projections.matmul(f"{name}/value", batch * new_keys, spec.d_model, width, spec.bias)
    if new_keys:
        rows.ops += projections.ops
        if name.startswith("decoder"):
            written = 2 * batch * new_keys * width
            rows.add(f"{name}/cache_write", "copy", read=written, written=written)
    else:
        unread(rows, projections)
    if spec.positions == "relative" and not name.endswith("cross_attention"):
        scores, bias = batch * spec.n_heads * seq * context, spec.n_heads * seq * context
        through_memory = scores if how == "eager" else 0
        rows.add(
            f"{name}/add_position_bias", "elementwise", other_flops=FLOPS_PER_ELEMENT["add"] * scores,
            read=bias + through_memory, written=through_memory, op="add", shape=((scores,), (bias,)),
        )  # fmt: skip
    rows.attention(name, batch, spec.n_heads, seq, context, spec.d_head, causal=causal, how=how)
    rows.matmul(f"{name}/output", tokens, width, spec.d_model, spec.bias)


def feed_forward_layers(rows: Rows, part: str, spec: EncoderDecoderSpec, count: int, tokens: int) -> None:
    """The FFNs of a stack's ``count`` layers: those with one network, then those with experts."""
    sparse = count // spec.expert_every if spec.expert_every else 0
    for number, block_rows in ((count - sparse, ffn_rows), (sparse, expert_rows)):
        if number:
            first_row = len(rows.ops)
            norm_row(rows, f"{part}/norm/ffn", spec.layers, tokens)
            block_rows(rows, part, spec.layers, tokens)
            rows.pointwise(f"{part}/residual/ffn", "elementwise", "add", tokens * spec.d_model, inputs=2)
            rows.repeat(number, first_row)
