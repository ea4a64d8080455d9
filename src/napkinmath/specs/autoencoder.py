"""Image autoencoders of latent diffusion: their dimensions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ..dtypes import dtype_name
from ..errors import InputError
from .base import Spec

if TYPE_CHECKING:
    from ..ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class AutoencoderSpec(Spec):
    """Dimensions of a convolutional autoencoder with self-attention at its lowest resolution, as Stable Diffusion uses it.

    Attributes:
        image: side of the square image that the model was made for, in pixels.
        image_channels, latent_channels: of ``[batch, image_channels, image, image]`` and its latent.
        channels: width of each level, the highest resolution first; every further level halves the resolution.
        blocks_per_level: residual blocks in the encoder; the decoder has one more.
        part: what a pass runs: generating runs the ``decoder`` alone, training the denoiser the ``encoder``.
        norm_groups: of every group normalisation.

    Raises:
        InputError: a dimension is not a positive integer, or they do not fit together.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"image": None}
    ATTENTION: ClassVar[bool] = True
    REPEATED: ClassVar[Collection[str]] = ("blocks_per_level",)

    image: int
    latent_channels: int
    channels: tuple[int, ...]
    image_channels: int = 3
    blocks_per_level: int = 2
    part: Literal["both", "encoder", "decoder"] = "both"
    norm_groups: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        for level, channels in enumerate(self.channels):
            if channels % self.norm_groups:
                nearest = max(1, round(channels / self.norm_groups)) * self.norm_groups
                raise InputError(f"channels[{level}]={channels} is not a multiple of norm_groups={self.norm_groups}; nearest: {nearest}")
        self.complete({"batch": 1})

    @property
    def downscale(self) -> int:
        """Pixels per latent along a side."""
        return 2 ** (len(self.channels) - 1)

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """The image is as large as the model was made for, unless given; it must halve at every level."""
        image = sizes.setdefault("image", self.image)
        if image % self.downscale:
            nearest = max(1, round(image / self.downscale)) * self.downscale
            raise InputError(f"image={image} is not a multiple of {self.downscale}, which {self.name} needs; nearest: {nearest}")
        return sizes

    def ledger(
        self, batch: int = 1, image: int | None = None, dtype: str = "fp32", attention: Literal["fused", "eager"] = "fused"
    ) -> Ledger:
        """The whiteboard ledger of one pass of :attr:`part`; ``image`` is the side in pixels, for the decoder too.

        Raises:
            InputError: sizes that are no positive integers or do not fit the levels.
        """
        from ..whiteboard.ledgers.autoencoder import autoencoder_ledger

        return autoencoder_ledger(self, **self.resolve(batch, image), dtype=dtype_name(dtype), attention=attention)
