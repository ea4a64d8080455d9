"""Closed forms of the diffusion transformer.

Symbols: ``image`` (pixels), ``downscale`` (pixels per latent), ``patch`` (latents per patch along a side), ``tokens = batch * patches``,
``d_model``, ``d_ff``, ``n_heads``, ``d_head``. FLOPs are 2 per multiply-accumulate. Shapes after Peebles and Xie 2022 (arXiv:2212.09748).
"""

from __future__ import annotations

from .linear import Value, linear_flops, linear_params
from .transformer import attention_projection_params, ffn_params, layer_flops


def latent_patches(image: Value, downscale: Value = 8, patch: Value = 2) -> Value:
    """Tokens of one square image: patches of its latent.

    >>> latent_patches(256), latent_patches(512)
    (256, 1024)
    """
    return (image // (downscale * patch)) ** 2


def adaptive_norm_params(d_model: Value, chunks: Value = 6) -> Value:
    """Parameters of the map from the condition to shifts, scales and gates: a third of a layer when ``d_ff = 4 d_model``.

    The norms themselves have none: ``[d_model] -> [chunks * d_model]``, with a bias.
    """
    return linear_params(d_model, chunks * d_model, bias=1)


def dit_layer_params(d_model: Value, d_ff: Value, n_heads: Value, d_head: Value) -> Value:
    """Parameters of one layer: modulation, attention and FFN, all with biases.

    >>> round(adaptive_norm_params(1152) / dit_layer_params(1152, 4608, 16, 72), 3)
    0.333
    """
    attention = attention_projection_params(d_model, n_heads, n_heads, d_head, bias=1, output_bias=1)
    return adaptive_norm_params(d_model) + attention + ffn_params(d_model, d_ff, bias=1)


def dit_layer_flops(batch: Value, patches: Value, d_model: Value, d_ff: Value, n_heads: Value, d_head: Value) -> Value:
    """FLOPs of one layer: a transformer layer, and the modulation once an image, not once a token.

    A third of the parameters, and next to none of the FLOPs: that is why adaptive norms were the cheapest way to condition.
    """
    layer = layer_flops(batch, patches, patches, d_model, d_ff, n_heads, n_heads, d_head)
    return layer + linear_flops(batch, d_model, 6 * d_model)
