"""The rows of CLIP's ResNet, in the order of execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...specs.conv import REDUCTION
from .conv import Map, Net
from .rows import Rows

if TYPE_CHECKING:
    from ...specs.vision import ResNetTower


def resnet_tower_rows(rows: Rows, tower: ResNetTower, batch: int, d_embed: int, attention: str, prefix: str) -> None:
    """Stem, stages and the attention that pools; names start with ``prefix``, such as ``vision/``."""
    net = Net(tower.convolutions, batch, rows.dtype, folded=False)
    net.rows = rows
    x = Map(tower.channels, tower.image, tower.image)
    for number, (channels, stride) in enumerate(((tower.width // 2, 2), (tower.width // 2, 1), (tower.width, 1)), 1):
        x = net.conv(x, f"{prefix}stem/conv{number}", channels, 3, stride)
    x = halved(net, x, f"{prefix}stem/pool")
    for number, blocks in enumerate(tower.blocks, 1):
        inner = tower.width * 2 ** (number - 1)
        x = bottleneck(net, x, f"{prefix}stage{number}", inner, halve=number > 1)
        if blocks > 1:
            first = len(rows.ops)
            bottleneck(net, x, f"{prefix}stage{number}", inner, halve=False)
            rows.repeat(blocks - 1, first)
    pool_rows(rows, tower, batch, d_embed, attention, f"{prefix}pool")


def halved(net: Net, x: Map, name: str) -> Map:
    """Averages of 2 x 2."""
    y = Map(x.channels, x.height // 2, x.width // 2)
    net.rows.add(name, "pool", other_flops=net.values(x), read=net.values(x), written=net.values(y), shape=((net.batch, *x),))
    return y


def bottleneck(net: Net, x: Map, part: str, inner: int, *, halve: bool) -> Map:
    """1x1 down, 3x3 at full size, the average where it halves, 1x1 up, beside a shortcut that averages before it projects."""
    y = net.conv(net.conv(x, f"{part}/reduce", inner, 1), f"{part}/conv", inner, 3)
    y = halved(net, y, f"{part}/pool/block") if halve else y
    y = net.conv(y, f"{part}/expand", REDUCTION * inner, 1, activate=False)
    if halve or x.channels != y.channels:
        shortcut = halved(net, x, f"{part}/pool/shortcut") if halve else x
        net.conv(shortcut, f"{part}/shortcut", y.channels, 1, activate=False)
    net.add(y, f"{part}/residual/add")
    net.rows.pointwise(f"{part}/residual/activation", "elementwise", net.spec.activation, net.values(y))
    return y


def pool_rows(rows: Rows, tower: ResNetTower, batch: int, d_embed: int, attention: str, part: str) -> None:
    """The mean of all positions attends over them and itself; what it finds is the embedding."""
    width, tokens = tower.d_model, tower.tokens
    rows.add(f"{part}/mean", "reduce", other_flops=batch * (tokens - 1) * width, read=batch * (tokens - 1) * width, written=batch * width)
    rows.pointwise(f"{part}/positions", "elementwise", "add", batch * tokens * width, params=tokens * width)
    rows.matmul(f"{part}/query", batch, width, width, bias=True)
    rows.matmul(f"{part}/key", batch * tokens, width, width, bias=True)
    rows.matmul(f"{part}/value", batch * tokens, width, width, bias=True)
    rows.attention(part, batch, tower.n_heads, 1, tokens, width // tower.n_heads, how=attention)
    rows.matmul(f"{part}/output", batch, width, d_embed, bias=True)
