"""The diffusion transformer (Peebles and Xie 2022, arXiv:2212.09748), with adaptive norms that start as the identity.

diffusers' ``DiTTransformer2DModel`` computes the same, but keeps a copy of the time and label embedding in every layer, which makes
it 11% larger than the paper's; tests hold this module to the same output.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..specs.dit import DiTSpec


def sinusoid(position: Tensor, width: int) -> Tensor:
    """Cosines and sines of ``[n]`` positions at ``width / 2`` frequencies from 1 down to 1/10,000: ``[n, width]``."""
    frequencies = torch.exp(-math.log(10_000) * torch.arange(width // 2, device=position.device) / (width // 2))
    angles = position[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def grid_positions(side: int, width: int) -> Tensor:
    """Fixed positions of a ``side x side`` grid, half of the values for the column and half for the row: ``[side^2, width]``."""
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    halves = [sinusoid(place.flatten(), width // 2).roll(width // 4, dims=-1) for place in (column, row)]  # sines first, here
    return torch.cat(halves, dim=-1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """``[batch, tokens, d_model]`` by ``[batch, d_model]``."""
    return x * (1 + scale[:, None]) + shift[:, None]


class Attention(nn.Module):
    def __init__(self, d_model: int, n_heads: int, fused: bool) -> None:
        super().__init__()
        self.n_heads, self.fused = n_heads, fused
        self.query_key_value = nn.Linear(d_model, 3 * d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, d_model = x.shape
        heads = self.query_key_value(x).view(batch, tokens, 3, self.n_heads, d_model // self.n_heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each [batch, n_heads, tokens, d_head]
        if self.fused:
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            out = torch.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, dim=-1) @ v
        return self.output(out.transpose(1, 2).reshape(batch, tokens, d_model))


class Layer(nn.Module):
    def __init__(self, d_model: int, n_heads: int, d_ff: int, fused: bool) -> None:
        super().__init__()
        self.modulation = nn.Linear(d_model, 6 * d_model)
        self.attention_norm = nn.LayerNorm(d_model, eps=1e-6, elementwise_affine=False)
        self.attention = Attention(d_model, n_heads, fused)
        self.ffn_norm = nn.LayerNorm(d_model, eps=1e-6, elementwise_affine=False)
        self.ffn = nn.Sequential(nn.Linear(d_model, d_ff), nn.GELU(approximate="tanh"), nn.Linear(d_ff, d_model))
        for parameter in self.modulation.parameters():  # gates of 0: every layer starts as the identity
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(F.silu(condition)).chunk(6, dim=-1)
        x = x + gate1[:, None] * self.attention(modulate(self.attention_norm(x), shift1, scale1))
        return x + gate2[:, None] * self.ffn(modulate(self.ffn_norm(x), shift2, scale2))


class DiT(nn.Module):
    """Predicts the noise (or, trained by flow matching, the velocity) of a noisy latent.

    Args:
        spec: dimensions.
        image: side of the images, in pixels; the positions are made for it.
        fused: PyTorch's fused attention, or scores that are written out.
    """

    def __init__(self, spec: DiTSpec, image: int, fused: bool = True) -> None:
        super().__init__()
        self.spec, width = spec, spec.d_model
        self.patches = nn.Conv2d(spec.in_channels, width, spec.patch, stride=spec.patch)
        # Frozen, and a parameter all the same: published counts include it.
        grid = grid_positions(image // (spec.downscale * spec.patch), width)
        self.positions = nn.Parameter(grid.to(torch.get_default_dtype()), requires_grad=False)
        self.time = nn.Sequential(nn.Linear(spec.time_width, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(spec.classes + 1, width)  # the last row stands for no label
        self.layers = nn.ModuleList(Layer(width, spec.n_heads, spec.d_ff, fused) for _ in range(spec.n_layers))
        self.final_norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.final_modulation = nn.Linear(width, 2 * width)
        self.final = nn.Linear(width, spec.patch**2 * spec.out_channels)

    def forward(self, latent: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """``[batch, in_channels, side, side]``, ``[batch]`` time steps, ``[batch]`` labels to ``[batch, out_channels, side, side]``."""
        x = self.patches(latent)
        rows, columns = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2) + self.positions
        condition = self.time(sinusoid(time, self.spec.time_width).to(x.dtype)) + self.label(label)
        for layer in self.layers:
            x = layer(x, condition)
        shift, scale = self.final_modulation(F.silu(condition)).chunk(2, dim=-1)
        x = self.final(modulate(self.final_norm(x), shift, scale))
        patch = self.spec.patch
        x = x.view(len(x), rows, columns, patch, patch, self.spec.out_channels)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(len(x), self.spec.out_channels, rows * patch, columns * patch)
