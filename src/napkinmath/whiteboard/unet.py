"""Closed forms of the diffusion UNet's blocks.

Symbols: ``batch``, ``height`` and ``width`` of the feature map, ``positions = height * width``, ``in_channels``, ``out_channels``,
``channels``, ``context`` (text tokens) and ``context_width`` (values per text token), ``depth`` (transformer blocks in a row). FLOPs are
2 per multiply-accumulate and cover convolutions, matmuls and attention. Shapes after Ho et al. 2020 (arXiv:2006.11239) and Rombach et
al. 2022 (arXiv:2112.10752).
"""

from __future__ import annotations

from .conv import conv2d_flops, conv2d_params
from .linear import Value, linear_flops, linear_params
from .transformer import attention_score_flops

# Residual block -------------------------------------------------------------------------------------------------------


def resnet_block_params(in_channels: Value, out_channels: Value, shortcut: Value = 0) -> Value:
    """Parameters of norm, 3x3 convolution, norm, 3x3 convolution, all with biases.

    ``shortcut`` is 1 where the channels change, which takes a 1x1 convolution around the block. A denoiser's block also maps the time
    embedding to its channels: ``linear_params(time_width, out_channels, bias=1)`` more. An autoencoder's has no time.

    >>> resnet_block_params(512, 512)
    4721664
    """
    norms = 2 * in_channels + 2 * out_channels
    convolutions = conv2d_params(in_channels, out_channels, 3, bias=1) + conv2d_params(out_channels, out_channels, 3, bias=1)
    return norms + convolutions + shortcut * conv2d_params(in_channels, out_channels, 1, bias=1)


def resnet_block_flops(batch: Value, height: Value, width: Value, in_channels: Value, out_channels: Value, shortcut: Value = 0) -> Value:
    """FLOPs of a residual block at ``[batch, channels, height, width]``, without the time: it is mapped once an image, not once a pixel.

    >>> resnet_block_flops(1, 64, 64, 320, 320) == 2 * 64 * 64 * 2 * 9 * 320**2
    True
    """
    convolutions = conv2d_flops(batch, height, width, in_channels, out_channels, 3)
    convolutions += conv2d_flops(batch, height, width, out_channels, out_channels, 3)
    return convolutions + shortcut * conv2d_flops(batch, height, width, in_channels, out_channels, 1)


# Spatial transformer: every position of the feature map is a token ------------------------------------------------------


def spatial_transformer_params(channels: Value, context_width: Value, depth: Value = 1) -> Value:
    """Parameters of norm, projection in, ``depth`` blocks of self-attention, cross-attention and gated FFN, projection out.

    Query, key and value have no bias; the FFN is GEGLU with ``d_ff = 4 * channels``, so its up projection is ``8 * channels`` wide.
    """
    norms = 3 * 2 * channels
    self_attention = 3 * linear_params(channels, channels) + linear_params(channels, channels, bias=1)
    cross_attention = (
        linear_params(channels, channels) + 2 * linear_params(context_width, channels) + linear_params(channels, channels, bias=1)
    )
    ffn = linear_params(channels, 8 * channels, bias=1) + linear_params(4 * channels, channels, bias=1)
    around = 2 * channels + 2 * linear_params(channels, channels, bias=1)
    return around + depth * (norms + self_attention + cross_attention + ffn)


def spatial_transformer_flops(
    batch: Value, positions: Value, channels: Value, context: Value, context_width: Value, depth: Value = 1
) -> Value:
    """FLOPs of a spatial transformer over ``positions`` pixels and ``context`` text tokens.

    Linear maps: 2 projections around, and per block 4 (self-attention), 2 (query and output of cross-attention) and ``3 * 4`` (GEGLU)
    products of ``channels^2``; keys and values of the text once an image. Scores: quadratic in positions, and positions times text.
    """
    square = linear_flops(batch * positions, channels, channels)
    text = 2 * linear_flops(batch * context, context_width, channels)
    scores = attention_score_flops(batch, 1, positions, positions, channels) + attention_score_flops(batch, 1, positions, context, channels)
    return 2 * square + depth * ((4 + 2 + 12) * square + text + scores)


def spatial_score_crossover_positions(channels: Value) -> Value:
    """Positions at which self-attention's scores cost as much as all linear maps of a spatial transformer block.

    ``4 positions^2 channels = 2 * 18 positions channels^2``; the text's part is left out.

    >>> spatial_score_crossover_positions(320)  # SD-1.5's first level has 64 * 64 = 4,096 positions
    2880
    """
    return 9 * channels
