"""Convolutional GANs: their dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..dtypes import dtype_name
from ..errors import InputError
from .base import Spec
from .checks import positive_int

if TYPE_CHECKING:
    from ..ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class GANSpec(Spec):
    """Dimensions of one half of a DCGAN.

    Attributes:
        part: the ``generator`` doubles the resolution from ``start``, the ``discriminator`` halves it down to there.
        latent: values of the noise vector; the discriminator has none and keeps 1.
        channels: of the generator's feature maps from ``start`` upwards; a discriminator has them in the opposite order.
        image_channels: of the image.
        kernel: of every strided convolution; 4 or 5 double and halve exactly.
        start: side of the smallest feature map.

    Raises:
        InputError: a dimension is not a positive integer, or not one that doubles and halves exactly.
    """

    part: Literal["generator", "discriminator"]
    channels: tuple[int, ...]
    latent: int = 1
    image_channels: int = 3
    kernel: int = 4
    start: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        positive_int("image", self.image)  # which doubles with every feature map
        if self.kernel not in (4, 5):
            raise InputError(f"kernel={self.kernel}: allowed: 4, 5; nearest: {min(max(self.kernel, 4), 5)}")

    @property
    def image(self) -> int:
        """Side of the image, in pixels."""
        return self.start * 2 ** len(self.channels)

    @property
    def padding(self) -> int:
        """What makes a stride of 2 halve or double exactly."""
        return (self.kernel - 1) // 2

    def ledger(self, batch: int = 1, dtype: str = "fp32") -> Ledger:
        """The whiteboard ledger of one pass over ``batch`` noise vectors or images.

        Raises:
            InputError: ``batch`` is not a positive integer.
        """
        from ..whiteboard.ledgers.gan import gan_ledger

        return gan_ledger(self, **self.resolve(batch), dtype=dtype_name(dtype))
