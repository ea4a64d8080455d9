"""The diffusion UNet's rows, in the order of execution, and the blocks that an autoencoder shares with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...ledger import Ledger
from .rows import Rows

if TYPE_CHECKING:
    from ...specs.unet import UNetSpec


def resnet_block(rows: Rows, name: str, batch: int, side: int, in_channels: int, out_channels: int, time_width: int = 0) -> None:
    """Norm, convolution, time, norm, convolution, and the way around them."""
    values_in, values_out = batch * in_channels * side**2, batch * out_channels * side**2
    rows.pointwise(f"{name}/norm1", "norm", "layernorm", values_in, params=2 * in_channels)
    rows.pointwise(f"{name}/activation1", "elementwise", "silu", values_in)
    rows.conv2d(f"{name}/conv1", batch, side, side, in_channels, out_channels, 3, bias=True)
    if time_width:
        rows.pointwise(f"{name}/time_activation", "elementwise", "silu", batch * time_width)
        rows.matmul(f"{name}/time", batch, time_width, out_channels, bias=True)
        rows.pointwise(f"{name}/add_time", "elementwise", "add", values_out)
    rows.pointwise(f"{name}/norm2", "norm", "layernorm", values_out, params=2 * out_channels)
    rows.pointwise(f"{name}/activation2", "elementwise", "silu", values_out)
    rows.conv2d(f"{name}/conv2", batch, side, side, out_channels, out_channels, 3, bias=True)
    if in_channels != out_channels:
        rows.conv2d(f"{name}/shortcut", batch, side, side, in_channels, out_channels, 1, bias=True)
    rows.pointwise(f"{name}/residual", "elementwise", "add", values_out, inputs=2)


def pixel_attention(rows: Rows, name: str, batch: int, side: int, channels: int, n_heads: int, how: str) -> None:
    """One self-attention layer in which every position of the feature map is a token."""
    tokens = batch * side**2
    rows.pointwise(f"{name}/norm", "norm", "layernorm", tokens * channels, params=2 * channels)
    for part in ("query", "key", "value"):
        rows.matmul(f"{name}/{part}", tokens, channels, channels, bias=True)
    rows.attention(name, batch, n_heads, side**2, side**2, channels // n_heads, how=how)
    rows.matmul(f"{name}/output", tokens, channels, channels, bias=True)
    rows.pointwise(f"{name}/residual", "elementwise", "add", tokens * channels, inputs=2)


def resample(rows: Rows, name: str, batch: int, side: int, channels: int, *, up: bool) -> int:
    """Halve the side by a convolution of stride 2, or double it by repetition and a convolution; returns the new side."""
    if up:
        values = batch * channels * side**2
        rows.add(f"{name}/repeat", "copy", read=values, written=4 * values, shape=((batch, channels, side, side),))
        side *= 2
    stride = 1 if up else 2
    rows.conv2d(f"{name}/conv", batch, side, side, channels, channels, 3, stride=stride, bias=True)
    return side // stride


def output_head(rows: Rows, name: str, batch: int, side: int, in_channels: int, out_channels: int) -> None:
    """Norm, activation and the last convolution."""
    values = batch * in_channels * side**2
    rows.pointwise(f"{name}/norm", "norm", "layernorm", values, params=2 * in_channels)
    rows.pointwise(f"{name}/activation", "elementwise", "silu", values)
    rows.conv2d(f"{name}/conv", batch, side, side, in_channels, out_channels, 3, bias=True)


def unet_ledger(spec: UNetSpec, batch: int, image: int, dtype: str, attention: str, context: int = 0) -> Ledger:
    """Rows of one denoising pass of ``spec``; inputs are validated by :meth:`UNetSpec.ledger`."""
    rows = Rows(dtype)
    side, time_width, last = image // spec.downscale, 4 * spec.channels[0], len(spec.channels) - 1

    def block(where: str, level: int, in_channels: int, depth: int) -> None:
        channels, n_heads = spec.channels[level], spec.n_heads[level]
        resnet_block(rows, f"{where}/resnet", batch, side, in_channels, channels, time_width)
        if depth and spec.context_width:
            spatial_transformer(rows, where, spec, batch, side, channels, n_heads, depth, context, attention)
        elif depth:
            pixel_attention(rows, f"{where}/self_attention", batch, side, channels, n_heads, attention)

    for name, width in (("embedding", spec.channels[0]), ("added", spec.added_width)):
        if width:
            rows.matmul(f"time/{name}/linear1", batch, width, time_width, bias=True)
            rows.pointwise(f"time/{name}/activation", "elementwise", "silu", batch * time_width)
            rows.matmul(f"time/{name}/linear2", batch, time_width, time_width, bias=True)

    channels = spec.channels[0]
    rows.conv2d("input/conv", batch, side, side, spec.in_channels, channels, 3, bias=True)
    skips = [channels]  # what the way up will be given, as a stack of channel counts
    for level, width in enumerate(spec.channels):
        for _ in range(spec.blocks_per_level):
            block(f"down_{level}", level, channels, spec.depth[level])
            channels = width
            skips.append(channels)
        if level < last:
            side = resample(rows, f"down_{level}/resample", batch, side, channels, up=False)
            skips.append(channels)

    block("mid", last, channels, spec.mid_depth)
    block("mid", last, channels, 0)

    for level in range(last, -1, -1):
        for _ in range(spec.blocks_per_level + 1):
            joined = channels + skips.pop()
            values = batch * joined * side**2
            rows.add(f"up_{level}/skip/concat", "copy", read=values, written=values, shape=((batch, joined, side, side),))
            block(f"up_{level}", level, joined, spec.depth[level])
            channels = spec.channels[level]
        if level:
            side = resample(rows, f"up_{level}/resample", batch, side, channels, up=True)

    output_head(rows, "output", batch, side, channels, spec.out_channels)
    sizes = f"image={image}" + (f" context={context}" if context else "")
    return rows.ledger(f"{spec.name} batch={batch} {sizes} {dtype}")


def spatial_transformer(
    rows: Rows, where: str, spec: UNetSpec, batch: int, side: int, channels: int, n_heads: int, depth: int, context: int, how: str
) -> None:
    """Projection in, ``depth`` blocks of self-attention, cross-attention to the text and a gated FFN, projection out."""
    positions, tokens, d_head = side**2, batch * side**2, channels // n_heads
    values = tokens * channels

    def projection(name: str) -> None:
        if spec.linear_projection:
            rows.matmul(f"{where}/projection/{name}", tokens, channels, channels, bias=True)
        else:
            rows.conv2d(f"{where}/projection/{name}", batch, side, side, channels, channels, 1, bias=True)

    def norm(part: str) -> None:
        rows.pointwise(f"{where}/{part}/norm", "norm", "layernorm", values, params=2 * channels)

    def residual(part: str) -> None:
        rows.pointwise(f"{where}/{part}/residual", "elementwise", "add", values, inputs=2)

    norm("projection")
    projection("in")
    first = len(rows.ops)
    for part, keys, key_width in (("self_attention", positions, channels), ("cross_attention", context, spec.context_width)):
        norm(part)
        rows.matmul(f"{where}/{part}/query", tokens, channels, channels, bias=False)
        rows.matmul(f"{where}/{part}/key", batch * keys, key_width, channels, bias=False)
        rows.matmul(f"{where}/{part}/value", batch * keys, key_width, channels, bias=False)
        rows.attention(f"{where}/{part}", batch, n_heads, positions, keys, d_head, how=how)
        rows.matmul(f"{where}/{part}/output", tokens, channels, channels, bias=True)
        residual(part)
    norm("ffn")
    rows.matmul(f"{where}/ffn/up_and_gate", tokens, channels, 8 * channels, bias=True)
    rows.pointwise(f"{where}/ffn/activation", "elementwise", "gelu", 4 * values)
    rows.pointwise(f"{where}/ffn/multiply", "elementwise", "mul", 4 * values, inputs=2)
    rows.matmul(f"{where}/ffn/down", tokens, 4 * channels, channels, bias=True)
    residual("ffn")
    rows.repeat(depth, first)
    projection("out")
    residual("projection")
