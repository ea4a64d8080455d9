"""Closed forms of vision transformers: images as tokens, windows, merging.

Symbols: ``image`` (side of a square image, pixels), ``patch`` (side of a patch), ``channels``, ``special`` (class and distillation
tokens), ``tokens``, ``window`` (side of an attention window, tokens), ``height`` and ``width`` of a token grid; the rest as in
:mod:`napkinmath.whiteboard.transformer`. FLOPs are 2 per multiply-accumulate.

Patches and class token are those of Dosovitskiy et al. 2020 (arXiv:2010.11929), the distillation token of Touvron et al. 2020
(arXiv:2012.12877), windows, relative positions and patch merging of Liu et al. 2021 (arXiv:2103.14030), token merging of Bolya et al. 2022
(arXiv:2210.09461).
"""

from __future__ import annotations

from ..scalar import sqrt
from .linear import Value, linear_flops, linear_params
from .transformer import attention_projection_params, ffn_params, layer_flops, score_linear_crossover_seq

# Images as tokens -----------------------------------------------------------------------------------------------------


def patch_tokens(image: Value, patch: Value, special: Value = 0) -> Value:
    """Tokens of a square image: whole patches (pixels that fill none are dropped), and the special ones.

    >>> patch_tokens(224, patch=16, special=1), patch_tokens(384, patch=14)
    (197, 729)
    """
    return (image // patch) ** 2 + special


def patch_embedding_params(channels: Value, patch: Value, d_model: Value, bias: Value = 1) -> Value:
    """Parameters of the convolution that turns a ``[channels, patch, patch]`` square into ``d_model`` values: a linear layer.

    >>> patch_embedding_params(channels=3, patch=16, d_model=768)
    590592
    """
    return linear_params(channels * patch**2, d_model, bias)


def patch_embedding_flops(batch: Value, tokens: Value, channels: Value, patch: Value, d_model: Value) -> Value:
    """FLOPs of the patch embedding; ``tokens`` without the special ones. Every pixel meets every output once, whatever the patch.

    >>> patch_embedding_flops(1, 196, 3, 16, 768) == patch_embedding_flops(1, 49, 3, 32, 768) == 2 * 224**2 * 3 * 768
    True
    """
    return linear_flops(batch * tokens, channels * patch**2, d_model)


def vit_layer_params(d_model: Value, d_ff: Value) -> Value:
    """Parameters of one ViT layer: four projections and the FFN, all with biases, and two layer norms.

    >>> vit_layer_params(768, 3072)
    7087872
    """
    return attention_projection_params(d_model, 1, 1, d_model, 1, 1) + ffn_params(d_model, d_ff, bias=1) + 4 * d_model


def vit_params(
    n_layers: Value, d_model: Value, d_ff: Value, image: Value, patch: Value, channels: Value = 3, classes: Value = 1000, special: Value = 1
) -> Value:
    """Parameters of a ViT classifier: patches, special tokens and positions, layers, final norm, one linear head.

    >>> vit_params(12, 768, 3072, image=224, patch=16)
    86567656
    """
    positions = (special + patch_tokens(image, patch, special)) * d_model
    layers = n_layers * vit_layer_params(d_model, d_ff)
    return patch_embedding_params(channels, patch, d_model) + positions + layers + 2 * d_model + linear_params(d_model, classes, 1)


def vit_flops(
    batch: Value,
    image: Value,
    n_layers: Value,
    d_model: Value,
    d_ff: Value,
    patch: Value,
    channels: Value = 3,
    classes: Value = 1000,
    special: Value = 1,
) -> Value:
    """FLOPs of a ViT classifier on ``[batch, channels, image, image]``.

    >>> round(vit_flops(1, 224, 12, 768, 3072, patch=16) / 2e9, 2)  # GMACs
    17.56
    """
    tokens = patch_tokens(image, patch, special)
    layers = n_layers * layer_flops(batch, tokens, tokens, d_model, d_ff, 1, 1, d_model)
    patches = patch_embedding_flops(batch, patch_tokens(image, patch), channels, patch, d_model)
    return patches + layers + linear_flops(batch, d_model, classes)


def score_crossover_image(patch: Value, d_model: Value, d_ff: Value) -> Value:
    """Side of the image at which the scores cost as much as all linear maps of a layer; special tokens are ignored.

    Far above the usual sizes: a ViT is bound by its linear layers, so its cost grows with the *area* of the image.

    >>> round(score_crossover_image(16, 768, 3072))
    1086
    """
    return patch * sqrt(score_linear_crossover_seq(d_model, d_ff, 1, 1, d_model))


# Windows and stages ---------------------------------------------------------------------------------------------------


def padded_to_window(size: Value, window: Value) -> Value:
    """The next multiple of ``window``: what a side of ``size`` tokens is padded to.

    >>> padded_to_window(56, 7), padded_to_window(50, 7)
    (56, 56)
    """
    return -(-size // window) * window


def window_score_flops(batch: Value, height: Value, width: Value, window: Value, d_model: Value) -> Value:
    """FLOPs of attention scores when each token sees the ``window^2`` tokens of its own window: linear in the image's area.

    >>> window_score_flops(1, 56, 56, 7, 96) == 64 * window_score_flops(1, 7, 7, 7, 96)
    True
    """
    return 4 * batch * height * width * window**2 * d_model


def window_score_saving(height: Value, width: Value, window: Value) -> Value:
    """How many times fewer score FLOPs windows take than attention over the whole grid.

    >>> window_score_saving(56, 56, 7)
    64.0
    """
    return height * width / window**2


def relative_position_params(window: Value, n_heads: Value) -> Value:
    """Parameters of one layer's table of relative position biases: one per offset and head.

    >>> relative_position_params(7, 3)
    507
    """
    return (2 * window - 1) ** 2 * n_heads


def patch_merging_params(d_model: Value) -> Value:
    """Parameters of a patch merging, ``[*, 4 d_model] -> [*, 2 d_model]`` without bias, and its norm.

    >>> patch_merging_params(96)
    74496
    """
    return linear_params(4 * d_model, 2 * d_model) + 8 * d_model


def patch_merging_flops(batch: Value, height: Value, width: Value, d_model: Value) -> Value:
    """FLOPs of a patch merging of an even ``[height, width]`` grid: a quarter of the tokens, twice as wide."""
    return linear_flops(batch * height * width // 4, 4 * d_model, 2 * d_model)


# Token merging --------------------------------------------------------------------------------------------------------


def tokens_after_merging(tokens: Value, merged: Value, n_layers: Value) -> Value:
    """Tokens left when every layer merges ``merged`` pairs; needs more tokens than it merges.

    >>> tokens_after_merging(197, merged=8, n_layers=24)
    5
    """
    return tokens - merged * n_layers


def token_merging_flops(batch: Value, tokens: Value, merged: Value, n_layers: Value, d_model: Value, d_ff: Value) -> Value:
    """FLOPs of ``n_layers`` ViT layers that each merge ``merged`` tokens between attention and FFN.

    Layer ``i`` attends over ``tokens - i merged`` tokens, and its FFN runs over ``merged`` fewer. The matching that chooses the pairs is
    left out: below one percent. ``merged=0`` is the plain encoder.

    >>> round((token_merging_flops(1, 197, 8, 24, 1024, 4096) + patch_embedding_flops(1, 196, 3, 16, 1024)) / 2e9, 1)  # GMACs of ViT-L/16
    30.9
    """
    attended = n_layers * tokens - merged * n_layers * (n_layers - 1) // 2
    squared = (
        n_layers * tokens**2 - tokens * merged * n_layers * (n_layers - 1) + merged**2 * n_layers * (n_layers - 1) * (2 * n_layers - 1) // 6
    )
    projections = 8 * attended * d_model**2
    return batch * (projections + 4 * squared * d_model + 4 * (attended - n_layers * merged) * d_model * d_ff)
