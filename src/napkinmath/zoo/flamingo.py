"""Flamingo (Alayrac et al. 2022, arXiv:2204.14198) around any CLIP tower and decoder of transformers.

No library has it with open weights' dimensions; these are OpenFlamingo's blocks: a Perceiver resampler, and tanh-gated cross-attention
before every few layers of a language model that is left as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def feed_forward(width: int) -> nn.Sequential:
    """``[*, width] -> [*, width]``, four times as wide inside, no biases."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False))


class CrossAttention(nn.Module):
    """Queries ``[batch, n, width]`` over keys ``[batch, m, d_context]``, to ``[batch, n, width]``; no biases."""

    def __init__(self, width: int, d_context: int, n_heads: int, d_head: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, n_heads * d_head, bias=False)
        self.key = nn.Linear(d_context, n_heads * d_head, bias=False)
        self.value = nn.Linear(d_context, n_heads * d_head, bias=False)
        self.output = nn.Linear(n_heads * d_head, width, bias=False)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        projected = (self.query(x), self.key(context), self.value(context))
        query, key, value = (t.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for t in projected)
        attended = F.scaled_dot_product_attention(query, key, value)
        out: torch.Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return out


class ResamplerLayer(nn.Module):
    """Latents look at the image and at themselves, then pass an FFN."""

    def __init__(self, width: int, n_heads: int, d_head: int) -> None:
        super().__init__()
        self.norm_image, self.norm_latents = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(width, width, n_heads, d_head)
        self.ffn = feed_forward(width)

    def forward(self, image: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        normed = self.norm_latents(latents)
        latents = latents + self.attention(normed, torch.cat((self.norm_image(image), normed), dim=1))
        out: torch.Tensor = latents + self.ffn(latents)
        return out


class PerceiverResampler(nn.Module):
    """Image tokens ``[batch, any, width]`` to ``[batch, n_latents, width]``."""

    def __init__(self, width: int, n_layers: int, n_heads: int, d_head: int, n_latents: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(n_latents, width))
        self.layers = nn.ModuleList(ResamplerLayer(width, n_heads, d_head) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        latents = self.latents.repeat(image.shape[0], 1, 1)
        for layer in self.layers:
            latents = layer(image, latents)
        out: torch.Tensor = self.norm(latents)
        return out


class GatedCrossAttention(nn.Module):
    """Words look at the image. The gates start at zero, so that training starts from the language model as it was."""

    def __init__(self, width: int, d_vision: int, n_heads: int, d_head: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = CrossAttention(width, d_vision, n_heads, d_head)
        self.ffn = feed_forward(width)
        self.attention_gate = nn.Parameter(torch.zeros(1))
        self.ffn_gate = nn.Parameter(torch.zeros(1))

    def forward(self, words: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        words = words + self.attention(self.norm(words), image) * self.attention_gate.tanh()
        out: torch.Tensor = words + self.ffn(words) * self.ffn_gate.tanh()
        return out


class FlamingoLayer(nn.Module):
    """A decoder layer with a gated cross-attention block before it; ``image`` is set before each pass."""

    def __init__(self, cross: GatedCrossAttention, decoder_layer: nn.Module) -> None:
        super().__init__()
        self.cross, self.decoder_layer = cross, decoder_layer
        self.image: torch.Tensor | None = None

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        assert self.image is not None
        return self.decoder_layer(self.cross(hidden_states, self.image), *args, **kwargs)


class Flamingo(nn.Module):
    """``pixel_values [batch, 3, image, image]`` and ``input_ids [batch, seq]`` to logits ``[batch, seq, vocab]``.

    One image per sequence, which every word may look at; with several, OpenFlamingo masks all but the latest before a word, which costs
    the same. ``vision`` is a ``CLIPVisionModel``, ``language`` a ``LlamaForCausalLM``; both are used unmodified.
    """

    def __init__(self, vision: Any, language: Any, n_layers: int, n_heads: int, d_head: int, n_latents: int, every: int) -> None:
        super().__init__()
        d_vision, width = vision.config.hidden_size, language.config.hidden_size
        self.vision, self.language = vision, language
        self.resampler = PerceiverResampler(d_vision, n_layers, n_heads, d_head, n_latents)
        layers = language.model.layers
        for i in range(every - 1, len(layers), every):
            layers[i] = FlamingoLayer(GatedCrossAttention(width, d_vision, n_heads, d_head), layers[i])

    def forward(self, pixel_values: torch.Tensor, input_ids: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        patches = self.vision(pixel_values).last_hidden_state[:, 1:]  # without the class token
        image = self.resampler(patches)
        for layer in self.language.model.layers:
            if isinstance(layer, FlamingoLayer):
                layer.image = image
        logits: torch.Tensor = self.language(input_ids=input_ids, **kwargs).logits
        return logits
