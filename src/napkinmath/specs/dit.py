"""Diffusion transformers: their dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ..dtypes import dtype_name
from ..errors import InputError
from ..whiteboard import diffusion as pipeline
from ..whiteboard import dit as forms
from .base import Spec
from .checks import positive_int

if TYPE_CHECKING:
    from ..ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class DiTSpec(Spec):
    """Dimensions of a class-conditional diffusion transformer with adaptive norms (adaLN-Zero).

    Flow matching trains the same network with another target, so its cost per pass is the same.

    Attributes:
        n_layers, d_model, n_heads, d_ff, patch: as everywhere in the book; ``d_head = d_model / n_heads``.
        image: side of the square image that the model was made for, in pixels.
        downscale: pixels per latent along a side.
        in_channels, out_channels: of the latent and of the prediction, which holds a variance too where it is learned.
        classes: labels; the table has one more row, for guidance without a label.
        time_width: values of the sinusoid that the time step becomes.

    Raises:
        InputError: a dimension is not a positive integer, or they do not fit together.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"image": None}
    ATTENTION: ClassVar[bool] = True

    n_layers: int
    d_model: int
    n_heads: int
    d_ff: int
    patch: int
    image: int
    downscale: int = 8
    in_channels: int = 4
    out_channels: int = 8
    classes: int = 1000
    time_width: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.d_model % self.n_heads:
            nearest = max(1, round(self.d_model / self.n_heads)) * self.n_heads
            raise InputError(f"d_model={self.d_model} is not a multiple of n_heads={self.n_heads}; nearest: {nearest}")
        if self.d_model % 4 or self.time_width % 2:
            raise InputError(
                f"d_model={self.d_model}, time_width={self.time_width}: sines and cosines of two directions need a d_model that is a "
                f"multiple of 4 and an even time_width; nearest: {max(1, round(self.d_model / 4)) * 4}, {self.time_width // 2 * 2 + 2}"
            )
        self.complete({"batch": 1})

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """The image is as large as the model was made for, unless given; it must divide into patches."""
        image, step = sizes.setdefault("image", self.image), self.downscale * self.patch
        if image % step:
            nearest = max(1, round(image / step)) * step
            raise InputError(f"image={image} is not a multiple of {step}, the side of a patch of {self.name}; nearest: {nearest}")
        return sizes

    def tokens(self, image: int | None = None) -> int:
        """Tokens of one image."""
        return forms.latent_patches(self.resolve(1, image)["image"], self.downscale, self.patch)

    def sampling_flops(self, steps: int, passes: int = 1, image: int | None = None) -> int:
        """FLOPs of the denoiser for one image; two passes a step under classifier-free guidance."""
        return pipeline.sampling_flops(self.flops(1, image), positive_int("steps", steps), positive_int("passes", passes))

    def ledger(
        self, batch: int = 1, image: int | None = None, dtype: str = "fp32", attention: Literal["fused", "eager"] = "fused"
    ) -> Ledger:
        """The whiteboard ledger of one denoising pass.

        Args:
            batch: images; under classifier-free guidance each counts twice.
            image: side of the image to be generated, in pixels.
            dtype: of weights and activations.
            attention: ``fused`` keeps the scores on chip, ``eager`` writes and reads them. FLOPs are the same.

        Raises:
            InputError: sizes that are no positive integers or do not divide into patches.
        """
        from ..whiteboard.ledgers.dit import dit_ledger

        return dit_ledger(self, **self.resolve(batch, image), dtype=dtype_name(dtype), attention=attention)
