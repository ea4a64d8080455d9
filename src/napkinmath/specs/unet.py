"""Diffusion UNets: their dimensions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ..dtypes import dtype_name
from ..errors import InputError
from ..whiteboard import diffusion as pipeline
from .base import Spec
from .checks import positive_int

if TYPE_CHECKING:
    from ..ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class UNetSpec(Spec):
    """Dimensions of a diffusion UNet: residual blocks at several resolutions, attention at some of them.

    Attributes:
        image: side of the square image that the model was made for, in pixels.
        downscale: pixels per latent along a side; 1 for a model that denoises pixels.
        in_channels, out_channels: of the latent, or of the pixels.
        channels: width of each level, the highest resolution first; every further level halves the resolution.
        blocks_per_level: residual blocks on the way down; one more on the way up.
        depth: transformer blocks after each residual block of each level. Without text, 1 is a plain self-attention layer.
        mid_depth: the same, at the bottom between the two residual blocks.
        n_heads: heads at each level. Their width follows from the level's channels.
        context_width, text_tokens: width and usual number of the text tokens that are attended to; 0 for an unconditional model.
        linear_projection: maps into and out of the transformer are linear layers, not 1x1 convolutions (the same arithmetic).
        added_width: values of pooled text, sizes and crops that join the time embedding (SDXL); 0 for none.
        norm_groups: of every group normalisation.

    Raises:
        InputError: a dimension is not a positive integer, or they do not fit together.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"image": None, "context": None}
    ATTENTION: ClassVar[bool] = True
    MAY_BE_ZERO: ClassVar[Collection[str]] = ("depth", "mid_depth")
    REPEATED: ClassVar[Collection[str]] = ("blocks_per_level",)

    image: int
    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    depth: tuple[int, ...]
    n_heads: tuple[int, ...]
    mid_depth: int = 1
    downscale: int = 1
    blocks_per_level: int = 2
    context_width: int = 0
    text_tokens: int = 0
    linear_projection: bool = False
    added_width: int = 0
    norm_groups: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("depth", "n_heads"):
            if len(getattr(self, field)) != len(self.channels):
                raise InputError(
                    f"{field}={getattr(self, field)} has not one entry for each of the {len(self.channels)} levels of channels"
                )
        for level, (channels, heads) in enumerate(zip(self.channels, self.n_heads, strict=True)):
            step = self.norm_groups
            if channels % step:
                nearest = max(1, round(channels / step)) * step
                raise InputError(f"channels[{level}]={channels} is not a multiple of norm_groups={step}; nearest: {nearest}")
            if channels % heads:
                raise InputError(f"channels[{level}]={channels} is not a multiple of n_heads[{level}]={heads}")
        if bool(self.context_width) != bool(self.text_tokens):
            raise InputError(f"context_width={self.context_width} and text_tokens={self.text_tokens}: give both, or neither")
        if not self.context_width and max(*self.depth, self.mid_depth) > 1:
            raise InputError(f"depth={self.depth}, mid_depth={self.mid_depth}: without text, attention is one layer; allowed: 0 or 1")
        self.complete({"batch": 1})

    @property
    def multiple(self) -> int:
        """Sides that the model takes are multiples of this: every level but the last halves the latent."""
        return self.downscale * 2 ** (len(self.channels) - 1)

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """The image and the text are as long as the model was made for, unless given; the image must halve at every level."""
        image = sizes.setdefault("image", self.image)
        if image % self.multiple:
            nearest = max(1, round(image / self.multiple)) * self.multiple
            raise InputError(f"image={image} is not a multiple of {self.multiple}, which {self.name} needs; nearest: {nearest}")
        if self.context_width:
            sizes.setdefault("context", self.text_tokens)
        elif "context" in sizes:
            raise InputError(f"context={sizes['context']}: {self.name} attends to no text; it takes batch and image")
        return sizes

    def latent_values(self, image: int | None = None) -> int:
        """Values that one pass denoises: ``[in_channels, image / downscale, image / downscale]``."""
        return pipeline.latent_values(self.resolve(1, image)["image"], self.downscale, self.in_channels)

    def score_flops_share(self, image: int | None = None, context: int | None = None) -> float:
        """Share of a pass's FLOPs that the attention scores take, self- and cross-attention; it grows with resolution."""
        ledger = self.ledger(1, image, context)
        return ledger.by("kind")["attention"].flops / ledger.flops if "attention" in ledger.by("kind") else 0.0

    def sampling_flops(self, steps: int, passes: int = 1, image: int | None = None, context: int | None = None) -> int:
        """FLOPs of the denoiser for one image; two passes a step under classifier-free guidance."""
        return pipeline.sampling_flops(self.flops(1, image, context), positive_int("steps", steps), positive_int("passes", passes))

    def ledger(
        self,
        batch: int = 1,
        image: int | None = None,
        context: int | None = None,
        dtype: str = "fp32",
        attention: Literal["fused", "eager"] = "fused",
    ) -> Ledger:
        """The whiteboard ledger of one denoising pass.

        Args:
            batch: images; under classifier-free guidance each counts twice.
            image: side of the image to be generated, in pixels.
            context: text tokens, padding included.
            dtype: of weights and activations.
            attention: ``fused`` keeps the scores on chip, ``eager`` writes and reads them. FLOPs are the same.

        Raises:
            InputError: sizes that are no positive integers or do not fit the levels.
        """
        from ..whiteboard.ledgers.unet import unet_ledger

        return unet_ledger(self, **self.resolve(batch, image, context), dtype=dtype_name(dtype), attention=attention)
