"""The autoencoder's rows, in the order of execution; its blocks are the UNet's, without time and without skips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...ledger import Ledger
from .rows import Rows
from .unet import output_head, pixel_attention, resample, resnet_block

if TYPE_CHECKING:
    from ...specs.autoencoder import AutoencoderSpec


def autoencoder_ledger(spec: AutoencoderSpec, batch: int, image: int, dtype: str, attention: str) -> Ledger:
    """Rows of one pass of ``spec``; inputs are validated by :meth:`AutoencoderSpec.ledger`."""
    rows = Rows(dtype)
    last, widest, latent_side = len(spec.channels) - 1, spec.channels[-1], image // spec.downscale

    def middle(name: str) -> None:
        resnet_block(rows, f"{name}/resnet", batch, latent_side, widest, widest)
        pixel_attention(rows, f"{name}/self_attention", batch, latent_side, widest, 1, attention)
        resnet_block(rows, f"{name}/resnet", batch, latent_side, widest, widest)

    if spec.part != "decoder":
        side, channels = image, spec.channels[0]
        rows.conv2d("encoder/input/conv", batch, side, side, spec.image_channels, channels, 3, bias=True)
        for level, width in enumerate(spec.channels):
            for _ in range(spec.blocks_per_level):
                resnet_block(rows, f"encoder/down_{level}/resnet", batch, side, channels, width)
                channels = width
            if level < last:
                side = resample(rows, f"encoder/down_{level}/resample", batch, side, channels, up=False)
        middle("encoder/mid")
        moments = 2 * spec.latent_channels  # a mean and a log variance for each latent value
        output_head(rows, "encoder/output", batch, side, channels, moments)
        rows.conv2d("encoder/latent/conv", batch, side, side, moments, moments, 1, bias=True)

    if spec.part != "encoder":
        side, channels = latent_side, widest
        rows.conv2d("decoder/latent/conv", batch, side, side, spec.latent_channels, spec.latent_channels, 1, bias=True)
        rows.conv2d("decoder/input/conv", batch, side, side, spec.latent_channels, channels, 3, bias=True)
        middle("decoder/mid")
        for level in range(last, -1, -1):
            for _ in range(spec.blocks_per_level + 1):
                resnet_block(rows, f"decoder/up_{level}/resnet", batch, side, channels, spec.channels[level])
                channels = spec.channels[level]
            if level:
                side = resample(rows, f"decoder/up_{level}/resample", batch, side, channels, up=True)
        output_head(rows, "decoder/output", batch, side, channels, spec.image_channels)

    return rows.ledger(f"{spec.name} batch={batch} image={image} {dtype}")
