"""The rows of multimodal models, in the order of execution: each tower, then what joins them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...ledger import Ledger
from .clip_resnet import resnet_tower_rows
from .rows import Rows
from .transformer import embedding_rows, layer_rows, norm_row
from .vision import embedding_rows as patch_rows
from .vision import tower_rows, without_padding

if TYPE_CHECKING:
    from ...specs import TransformerSpec
    from ...specs.connectors import QueryFormer, Resampler
    from ...specs.multimodal import MultimodalSpec, Waveform
    from ...specs.vision import Tower


def multimodal_ledger(spec: MultimodalSpec, sizes: dict[str, int], dtype: str, attention: str) -> Ledger:
    """Rows of one forward pass of ``spec``; sizes are validated by :meth:`MultimodalSpec.ledger`."""
    rows = Rows(dtype)
    fuse = {
        "contrastive": _contrastive,
        "prefix": _prefix,
        "gated": _gated,
        "single_stream": _single_stream,
        "none": _single_tower,
    }[spec.fusion]
    fuse(rows, spec, sizes, attention)
    return rows.ledger(f"{spec.name} {' '.join(f'{size}={value}' for size, value in sizes.items())} {dtype}")


def _contrastive(rows: Rows, spec: MultimodalSpec, sizes: dict[str, int], attention: str) -> None:
    """Two encoders into one space, and the similarities of every image with every text."""
    assert spec.text
    batch, width = sizes["batch"], spec.d_embed
    if spec.vision:
        tower_rows(rows, spec.vision, batch, spec.extent(sizes), attention, "vision/")
    elif spec.resnet:
        resnet_tower_rows(rows, spec.resnet, batch, width, attention, "vision/")
    if spec.vision and spec.vision.pool == "special":
        rows.matmul("vision/projection/matmul", batch, spec.vision.d_model, width, bias=False)
    _text_rows(rows, spec.text, batch, sizes["seq"], attention)
    rows.gather("text/projection/last_token", batch, 0, spec.text.d_model)
    rows.matmul("text/projection/matmul", batch, spec.text.d_model, width, bias=spec.logit_bias)
    for modality in ("image", "text"):
        rows.add(f"contrastive/normalize_{modality}", "norm", other_flops=3 * batch * width, read=batch * width, written=batch * width)
    rows.matmul("contrastive/logits", batch, width, batch, bias=False, tied=True)
    rows.pointwise("contrastive/scale", "elementwise", "mul", batch * batch, params=1)
    if spec.logit_bias:
        rows.pointwise("contrastive/bias", "elementwise", "add", batch * batch, params=1)


def _prefix(rows: Rows, spec: MultimodalSpec, sizes: dict[str, int], attention: str) -> None:
    """Projected image tokens, or a Q-Former's outputs, stand among the words of a decoder."""
    assert spec.vision and spec.text
    batch, image_seq, text = sizes["batch"], spec.image_tokens(sizes["image"]), spec.text
    if spec.qformer:
        tower_rows(rows, spec.vision, batch, spec.extent(sizes), attention, "vision/")
        _query_rows(rows, spec.qformer, spec.vision.d_model, batch, spec.vision.tokens(spec.extent(sizes)), attention)
        rows.matmul("projector/out", batch * image_seq, spec.qformer.d_model, text.d_model, bias=True)
    else:
        _feature_rows(rows, spec.vision, spec.unused_layers, batch, spec.extent(sizes), attention)
        rows.matmul("projector/in", batch * image_seq, spec.vision.d_model, text.d_model, bias=True)
        rows.pointwise("projector/activation", "elementwise", "gelu", batch * image_seq * text.d_model)
        rows.matmul("projector/out", batch * image_seq, text.d_model, text.d_model, bias=True)
    seq = sizes["seq"] + image_seq
    _text_rows(rows, text, batch, seq, attention)
    rows.add("text/embeddings/insert_images", "copy", read=batch * seq * text.d_model, written=batch * seq * text.d_model)
    rows.matmul("text/lm_head/logits", batch * seq, text.d_model, text.vocab, bias=False, tied=text.tied_embeddings)


def _gated(rows: Rows, spec: MultimodalSpec, sizes: dict[str, int], attention: str) -> None:
    """A resampler makes a few tokens of the image; blocks between a decoder's layers look at them."""
    assert spec.vision and spec.text and spec.resampler
    batch, seq, text, resampler = sizes["batch"], sizes["seq"], spec.text, spec.resampler
    patches = spec.vision.tokens(spec.extent(sizes)) - spec.vision.special_tokens
    _feature_rows(rows, spec.vision, spec.unused_layers, batch, spec.extent(sizes), attention)
    _resampler_rows(rows, resampler, spec.vision.d_model, batch, patches, attention)
    _text_rows(rows, text, batch, seq, attention)
    rows.matmul("text/lm_head/logits", batch * seq, text.d_model, text.vocab, bias=False, tied=text.tied_embeddings)
    _cross_rows(rows, resampler, text, spec.vision.d_model, batch, seq, attention)


def _single_stream(rows: Rows, spec: MultimodalSpec, sizes: dict[str, int], attention: str) -> None:
    """One encoder reads words and patches; a small classifier answers."""
    assert spec.vision and spec.text
    batch, text, width = sizes["batch"], spec.text, spec.text.d_model
    image_seq = spec.vision.tokens(spec.extent(sizes))
    embedding_rows(rows, "text/embeddings", text, batch, sizes["seq"])
    patch_rows(rows, spec.vision, batch, spec.extent(sizes), "vision/embeddings")
    rows.gather("stream/embeddings/modalities", image_seq + sizes["seq"], 2, width)
    seq = image_seq + sizes["seq"]
    rows.pointwise("stream/embeddings/add_modalities", "elementwise", "add", batch * seq * width, inputs=2)
    layer_rows(rows, "stream", text, batch, seq, seq, attention)
    norm_row(rows, "stream/final_norm/norm", text, batch * seq)
    rows.matmul("head/pooler", batch, width, width, bias=True)
    rows.pointwise("head/tanh", "elementwise", "tanh", batch * width)
    rows.matmul("head/up", batch, width, 2 * width, bias=True)
    rows.pointwise("head/norm", "norm", "layernorm", batch * 2 * width, params=4 * width)
    rows.pointwise("head/activation", "elementwise", "gelu", batch * 2 * width)
    rows.matmul("head/answers", batch, 2 * width, spec.classes, bias=True)


def _single_tower(rows: Rows, spec: MultimodalSpec, sizes: dict[str, int], attention: str) -> None:
    """One tower, and a classifier on what stands for the whole input."""
    if spec.waveform:
        _waveform_rows(rows, spec.waveform, sizes["batch"], sizes["samples"], attention)
        return
    tower, prefix = (spec.vision, "vision/") if spec.vision else (spec.audio, "audio/")
    assert tower
    tower_rows(rows, tower, sizes["batch"], spec.extent(sizes), attention, prefix)
    if spec.head_norm:
        norm_row(rows, "head/norm", tower.layers, sizes["batch"])
    if spec.classes:
        rows.matmul("head/classes", sizes["batch"], tower.d_model, spec.classes, bias=True)


def _text_rows(rows: Rows, text: TransformerSpec, batch: int, seq: int, attention: str) -> None:
    """Embeddings, layers and final norm of the text."""
    embedding_rows(rows, "text/embeddings", text, batch, seq)
    layer_rows(rows, "text", text, batch, seq, seq, attention, cache=text.lm_head)
    if text.final_norm:
        norm_row(rows, "text/final_norm/norm", text, batch * seq)


def _feature_rows(rows: Rows, tower: Tower, unused_layers: int, batch: int, extent: tuple[int, ...], attention: str) -> None:
    """The tower's tokens before its last layers; those and the final norm run in the published module and nobody reads them."""
    tower_rows(rows, replace(tower, n_layers=tower.n_layers - unused_layers, final_norm="none"), batch, extent, attention, "vision/")
    tokens, since = tower.tokens(extent), len(rows.ops)
    if unused_layers:
        layer_rows(rows, "vision", replace(tower.layers, n_layers=unused_layers), batch, tokens, tokens, attention)
    if tower.final_norm != "none":
        norm_row(rows, "vision/final_norm/norm", tower.layers, batch * (tokens if tower.final_norm == "all" else 1))
    rows.ops[since:] = [replace(op, overhead=True, layout=(*op.layout, ("unread", True))) for op in rows.ops[since:]]


def _query_rows(rows: Rows, former: QueryFormer, d_vision: int, batch: int, image_seq: int, attention: str) -> None:
    """Learned queries through the layers of a BERT; in every so many of them they also look at the image's tokens."""
    layers, queries, width = former.layers, batch * former.queries, former.d_model
    rows.add("qformer/embeddings/queries", "copy", read=queries * width, written=queries * width, params=former.queries * width)
    norm_row(rows, "qformer/embeddings/norm", layers, queries)
    layer_rows(rows, "qformer", layers, batch, former.queries, former.queries, attention)
    first = len(rows.ops)
    rows.matmul("qformer/cross/query", queries, width, width, bias=True)
    rows.matmul("qformer/cross/key", batch * image_seq, d_vision, width, bias=True)
    rows.matmul("qformer/cross/value", batch * image_seq, d_vision, width, bias=True)
    rows.attention("qformer/cross", batch, former.n_heads, former.queries, image_seq, layers.d_head, how=attention)
    rows.matmul("qformer/cross/output", queries, width, width, bias=True)
    rows.pointwise("qformer/residual/cross", "elementwise", "add", queries * width, inputs=2)
    norm_row(rows, "qformer/norm/cross", layers, queries)
    rows.repeat(former.cross_layers, first)


def _resampler_rows(rows: Rows, resampler: Resampler, width: int, batch: int, patches: int, attention: str) -> None:
    """Latents attend over the image's tokens and themselves, layer after layer."""
    heads, latents, keys = resampler.n_heads * resampler.d_head, batch * resampler.latents, batch * (patches + resampler.latents)
    rows.add("resampler/embeddings/latents", "copy", read=latents * width, written=latents * width, params=resampler.latents * width)
    first = len(rows.ops)
    rows.pointwise("resampler/norm/image", "norm", "layernorm", batch * patches * width, params=2 * width)
    rows.pointwise("resampler/norm/latents", "norm", "layernorm", latents * width, params=2 * width)
    rows.matmul("resampler/attention/query", latents, width, heads, bias=False)
    rows.matmul("resampler/attention/key", keys, width, heads, bias=False)
    rows.matmul("resampler/attention/value", keys, width, heads, bias=False)
    rows.attention(
        "resampler/attention", batch, resampler.n_heads, resampler.latents, patches + resampler.latents, resampler.d_head, how=attention
    )
    rows.matmul("resampler/attention/output", latents, heads, width, bias=False)
    _ffn_rows(rows, "resampler", latents, width)
    rows.repeat(resampler.n_layers, first)
    rows.pointwise("resampler/final_norm/norm", "norm", "layernorm", latents * width, params=2 * width)


def _cross_rows(rows: Rows, resampler: Resampler, text: TransformerSpec, d_vision: int, batch: int, seq: int, attention: str) -> None:
    """Every so many layers, words look at the latents; a gate that starts at zero lets the answer in."""
    heads, tokens, latents, width = resampler.n_heads * resampler.d_head, batch * seq, batch * resampler.latents, text.d_model
    first = len(rows.ops)
    rows.pointwise("cross/norm/attention", "norm", "layernorm", tokens * width, params=2 * width)
    rows.matmul("cross/attention/query", tokens, width, heads, bias=False)
    rows.matmul("cross/attention/key", latents, d_vision, heads, bias=False)
    rows.matmul("cross/attention/value", latents, d_vision, heads, bias=False)
    rows.attention("cross/attention", batch, resampler.n_heads, seq, resampler.latents, resampler.d_head, how=attention)
    rows.matmul("cross/attention/output", tokens, heads, width, bias=False)
    rows.pointwise("cross/gate/attention", "elementwise", "mul", tokens * width, params=1)
    _ffn_rows(rows, "cross", tokens, width)
    rows.pointwise("cross/gate/ffn", "elementwise", "mul", tokens * width, params=1)
    rows.repeat(text.n_layers // resampler.every, first)


def _ffn_rows(rows: Rows, part: str, tokens: int, width: int) -> None:
    """The FFN of resampler and cross-attention: four times the width, no biases."""
    rows.pointwise(f"{part}/norm/ffn", "norm", "layernorm", tokens * width, params=2 * width)
    rows.matmul(f"{part}/ffn/up", tokens, width, 4 * width, bias=False)
    rows.pointwise(f"{part}/ffn/activation", "elementwise", "gelu", tokens * 4 * width)
    rows.matmul(f"{part}/ffn/down", tokens, 4 * width, width, bias=False)
    rows.pointwise(f"{part}/residual/add", "elementwise", "add", 2 * tokens * width, inputs=2)


def _waveform_rows(rows: Rows, tower: Waveform, batch: int, samples: int, attention: str) -> None:
    """Convolutions from samples to tokens, a grouped convolution for positions, layers."""
    channels, width, layers = 1, tower.d_model, tower.layers
    for i, (out, kernel, stride) in enumerate(zip(tower.channels, tower.kernels, tower.strides, strict=True)):
        (samples,) = rows.conv(f"audio/convolutions/{i + 1}", batch, (samples,), channels, out, (kernel,), stride=(stride,), padding=(0,))
        if i == 0:
            rows.pointwise("audio/convolutions/norm", "norm", "layernorm", batch * samples * out, params=2 * out)
        rows.pointwise(f"audio/convolutions/activation_{i + 1}", "elementwise", "gelu", batch * samples * out)
        channels = out
    tokens = batch * samples
    rows.pointwise("audio/embeddings/norm", "norm", "layernorm", tokens * channels, params=2 * channels)
    rows.matmul("audio/embeddings/projection", tokens, channels, width, bias=True)
    # Learned for masked spans; only pretraining reads it.
    rows.add("audio/embeddings/mask", "parameters", params=width)
    weights = width * (width // tower.position_groups) * tower.position_kernel
    rows.add("audio/embeddings/weight_norm", "norm", other_flops=4 * weights, read=weights, written=weights, params=tower.position_kernel)
    (computed,) = rows.conv(
        "audio/embeddings/positions", batch, (samples,), width, width, (tower.position_kernel,),
        stride=(1,), padding=(tower.position_kernel // 2,), groups=tower.position_groups, bias=True,
    )  # fmt: skip
    # An even kernel makes one position too many, which is computed and cut off.
    rows.ops[-1:] = without_padding(rows.ops[-1], samples, computed)
    rows.pointwise("audio/embeddings/position_activation", "elementwise", "gelu", tokens * width)
    rows.pointwise("audio/embeddings/add_positions", "elementwise", "add", tokens * width, inputs=2)
    norm_row(rows, "audio/embeddings/final_norm", layers, tokens)
    layer_rows(rows, "audio", layers, batch, samples, samples, attention)
