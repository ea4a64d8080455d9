"""Closed forms of generating an image by diffusion: latents, steps, guidance, and what they cost together.

Symbols: ``image`` (side of the image in pixels), ``downscale`` (pixels per latent along a side), ``steps`` (denoising steps), ``passes``
(network passes a step: 2 under classifier-free guidance, Ho and Salimans 2022, arXiv:2207.12598), ``pass_flops`` of one network pass.
"""

from __future__ import annotations

from .linear import Value


def latent_values(image: Value, downscale: Value = 8, latent_channels: Value = 4) -> Value:
    """Values of the latent of a square image: ``[latent_channels, image / downscale, image / downscale]``.

    >>> latent_values(512)
    16384
    """
    return latent_channels * (image // downscale) ** 2


def latent_compression(downscale: Value = 8, latent_channels: Value = 4, image_channels: Value = 3) -> Value:
    """How many times fewer values the latent has than the image. The compute saved is another number.

    >>> latent_compression()
    48.0
    """
    return image_channels * downscale**2 / latent_channels


def spacetime_tokens(
    frames: Value,
    height: Value,
    width: Value,
    downscale: Value = 8,
    patch: Value = 2,
    frames_per_latent: Value = 1,
    patch_frames: Value = 1,
) -> Value:
    """Tokens of a video transformer: latent frames times latent patches.

    An autoencoder that folds ``frames_per_latent`` frames into one latent, then patches of ``patch_frames * patch * patch`` latents.

    >>> spacetime_tokens(frames=1, height=256, width=256)  # DiT at 256 pixels
    256
    """
    return (frames // (frames_per_latent * patch_frames)) * (height // (downscale * patch)) * (width // (downscale * patch))


def sampling_flops(pass_flops: Value, steps: Value, passes: Value = 1, once_flops: Value = 0) -> Value:
    """FLOPs of one image: every step runs the denoiser ``passes`` times; ``once_flops`` holds text encoder and decoder.

    >>> sampling_flops(pass_flops=10, steps=50, passes=2, once_flops=7)
    1007
    """
    return steps * passes * pass_flops + once_flops


def sampling_break_even_steps(pass_flops: Value, once_flops: Value, passes: Value = 1) -> Value:
    """Steps at which the denoiser costs as much as what runs once: below it, distilling away more steps buys little."""
    return once_flops / (passes * pass_flops)


def images_per_s(image_flops: Value, peak_flops: Value, utilization: Value = 0.4) -> Value:
    """Images a second when compute binds: ``peak_flops`` times the share of it that is reached, over the FLOPs of an image."""
    return peak_flops * utilization / image_flops


def cost_per_image(price_per_hour: Value, rate_per_s: Value) -> Value:
    """Price of one image on a device that costs ``price_per_hour`` and makes ``rate_per_s`` images a second.

    >>> cost_per_image(price_per_hour=3.6, rate_per_s=2)
    0.0005
    """
    return price_per_hour / 3600 / rate_per_s
