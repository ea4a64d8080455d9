"""CLIP with a ResNet for its eyes (Radford et al. 2021, arXiv:2103.00020, section 2.4), beside transformers' own text tower.

transformers has no ResNet CLIP; these are the blocks of https://github.com/openai/CLIP, from their description: strides become averages,
and the last map is pooled by the attention of its mean.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..specs.conv import REDUCTION
from ..specs.vision import ResNetTower


def conv_norm(d_in: int, d_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size at stride 1, and batch norm."""
    return nn.Sequential(nn.Conv2d(d_in, d_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(d_out))


class Bottleneck(nn.Module):
    """``[batch, d_in, h, w]`` to ``[batch, 4 * inner, h, w]``, half as high and wide where it halves."""

    def __init__(self, d_in: int, inner: int, *, halve: bool) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2) if halve else nn.Identity()
        self.reduce = conv_norm(d_in, inner, 1)
        self.conv = conv_norm(inner, inner, 3)
        self.expand = conv_norm(inner, REDUCTION * inner, 1)
        self.shortcut = conv_norm(d_in, REDUCTION * inner, 1) if halve or d_in != REDUCTION * inner else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(F.relu(self.reduce(x))))
        y = self.expand(self.pool(y))
        return F.relu(y + (x if self.shortcut is None else self.shortcut(self.pool(x))))


class AttentionPool(nn.Module):
    """``[batch, width, h, w]`` to ``[batch, d_out]``: the mean of all positions asks them, and itself, what they saw."""

    def __init__(self, tokens: int, width: int, n_heads: int, d_out: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.positions = nn.Parameter(torch.randn(tokens, width) / width**0.5)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, d_out)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat((x.mean(dim=1, keepdim=True), x), dim=1) + self.positions
        projected = (self.query(x[:, :1]), self.key(x), self.value(x))
        query, key, value = (t.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for t in projected)
        attended = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.output(attended.transpose(1, 2).flatten(1))
        return out


class ModifiedResNet(nn.Module):
    """Pixels ``[batch, channels, image, image]`` to embeddings ``[batch, d_embed]``."""

    def __init__(self, tower: ResNetTower, d_embed: int) -> None:
        super().__init__()
        half, width = tower.width // 2, tower.width
        self.stem = nn.ModuleList([conv_norm(tower.channels, half, 3, 2), conv_norm(half, half, 3), conv_norm(half, width, 3)])
        stages = []
        for number, blocks in enumerate(tower.blocks):
            inner, before = tower.width * 2**number, width
            width = REDUCTION * inner
            rest = [Bottleneck(width, inner, halve=False) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(Bottleneck(before, inner, halve=number > 0), *rest))
        self.stages = nn.ModuleList(stages)
        self.pool = AttentionPool(tower.tokens, width, tower.n_heads, d_embed)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.stem:
            x = F.relu(conv(x))
        x = F.avg_pool2d(x, 2)
        for stage in self.stages:
            x = stage(x)
        embedding: Tensor = self.pool(x)
        return embedding


class ResNetCLIP(nn.Module):
    """Similarities ``[batch, batch]`` of every image with every text; ``text`` is transformers' ``CLIPTextModelWithProjection``."""

    def __init__(self, tower: ResNetTower, text: nn.Module, d_embed: int) -> None:
        super().__init__()
        self.vision = ModifiedResNet(tower, d_embed)
        self.text = text
        self.log_scale = nn.Parameter(torch.tensor(2.6592))  # of a temperature of 0.07

    def forward(self, pixel_values: Tensor, **words: Any) -> Tensor:
        images = F.normalize(self.vision(pixel_values), dim=-1)
        texts = F.normalize(self.text(**words).text_embeds, dim=-1)
        return self.log_scale.exp() * images @ texts.T
