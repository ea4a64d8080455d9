"""Convolutional networks: their dimensions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..dtypes import dtype_name
from ..errors import InputError, shown
from ..whiteboard import conv as forms
from .base import Spec
from .checks import check_fields

if TYPE_CHECKING:
    from ..ledger import Ledger

Block = Literal["plain", "basic", "bottleneck", "inverted", "convnext"]

#: What each reference architecture fixes beside its dimensions. Field names are those of ConvSpec.
STYLES: dict[str, dict[str, Any]] = {
    "plain": {"block": "plain", "norm": "none", "activation": "relu"},
    "resnet": {"norm": "batchnorm", "activation": "relu"},
    "mobilenet_v2": {"block": "inverted", "norm": "batchnorm", "activation": "relu6"},
    "efficientnet": {"block": "inverted", "norm": "batchnorm", "activation": "silu", "squeeze": 4},
    "convnext": {"block": "convnext", "norm": "layernorm", "activation": "gelu"},
}

#: The kinds of block, and the fields of a stage that only they read.
BLOCKS: dict[str, tuple[str, ...]] = {
    "plain": ("padding", "pool", "pool_stride", "pool_padding"),
    "basic": (),
    "bottleneck": (),
    "inverted": ("expand",),
    "convnext": (),
}

#: Width of a bottleneck over the width of its 3x3 convolution.
REDUCTION = 4


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks of one width in a row; the first takes the input's channels to ``channels`` and has the stride.

    Attributes:
        channels: of each block's output.
        blocks: how many.
        kernel: of the block's spatial convolution.
        stride: of the first block; the others keep the size.
        padding: half the kernel when not given, which keeps the size at stride 1.
        expand: an inverted residual's hidden width over its input's.
        pool, pool_stride, pool_padding: max pooling behind the last block; 0 for none; the stride is ``pool`` when not given.
    """

    channels: int
    blocks: int = 1
    kernel: int = 3
    stride: int = 1
    padding: int | None = None
    expand: int = 1
    pool: int = 0
    pool_stride: int = 0
    pool_padding: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "pool_stride", self.pool_stride or self.pool)
        if self.pool_padding > self.pool // 2:
            raise InputError(f"pool_padding={self.pool_padding} is more than half of pool={self.pool}; nearest: {self.pool // 2}")
        if self.blocks > 1 and (self.padding is not None or self.kernel % 2 == 0):
            raise InputError(f"blocks={self.blocks} keep their size: they need an odd kernel and no padding; nearest: blocks=1")

    @property
    def pad(self) -> int:
        """Pixels of padding on each side of the spatial convolution."""
        return self.kernel // 2 if self.padding is None else self.padding

    def output_size(self, size: int) -> int:
        """Side of the map behind the stage; below 1 where nothing is left."""
        size = forms.conv_output_size(size, self.kernel, self.stride, self.pad)
        return forms.conv_output_size(size, self.pool, self.pool_stride, self.pool_padding) if self.pool and size > 0 else size


@dataclass(frozen=True, kw_only=True)
class ConvSpec(Spec):
    """Dimensions of a convolutional image classifier: a stem, stages of blocks, a head.

    Attributes:
        block: what the stages are made of. ``plain``: convolutions, then max pooling. ``basic`` and ``bottleneck``: ResNet's.
            ``inverted``: MobileNet-V2's inverted residual, EfficientNet's with ``squeeze``. ``convnext``: ConvNeXt's.
        image: side of the square input in pixels, unless a pass says otherwise.
        stages: in order; see :class:`Stage`.
        stem: convolution (and pooling) before the stages; a plain network needs none.
        in_channels, classes: of the input and the output.
        squeeze: squeeze-and-excitation of one ``squeeze``-th of the block's input channels; 0 for none.
        head_channels: of a 1x1 convolution behind the last stage; 0 for none.
        head_pool: side to which the last map is averaged before it is flattened; 0 leaves it as it is, which ties the network to ``image``.
        hidden: widths of fully connected layers before the classifier.
        norm, activation: what follows from the architecture's paper.
        width_coefficient, depth_coefficient: EfficientNet's compound scaling of the channels and blocks given here; see :meth:`scaled`.

    Raises:
        InputError: a dimension is not a positive integer, or two of them do not fit together.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"image": None}
    REFERENCES: ClassVar[Collection[str]] = tuple(STYLES)
    MAY_BE_ZERO: ClassVar[Collection[str]] = ("head_pool",)

    block: Block
    image: int
    stages: tuple[Stage, ...]
    stem: Stage | None = None
    in_channels: int = 3
    classes: int = 1000
    squeeze: int = 0
    head_channels: int = 0
    head_pool: int = 1
    hidden: tuple[int, ...] = ()
    norm: Literal["batchnorm", "layernorm", "none"] = "none"
    activation: Literal["relu", "relu6", "silu", "gelu"] = "relu"
    width_coefficient: float = 1.0
    depth_coefficient: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("width_coefficient", "depth_coefficient"):
            value = getattr(self, field)
            if not 0.01 <= value <= 100:
                raise InputError(f"{field}={shown(value)} is out of range; allowed: 0.01 to 100; nearest: 1.0")
        for stage in self.stages:
            self._check(stage)
        empty = self._first_empty(self.image)
        if empty:
            raise InputError(f"image={self.image} is too small: no pixel is left behind {empty}; use a larger image or fewer strides")

    def _check(self, stage: Stage) -> None:
        """Refuse a stage that the block cannot express."""
        foreign = [field for kind, fields in BLOCKS.items() for field in fields if field not in BLOCKS[self.block]]
        default = Stage(channels=stage.channels)
        for field in foreign:
            if getattr(stage, field) != getattr(default, field):
                raise InputError(
                    f"{field}={getattr(stage, field)}: {self.block} blocks have no such field; nearest: {field}={getattr(default, field)}"
                )
        if self.block != "plain" and stage.kernel % 2 == 0:
            raise InputError(
                f"kernel={stage.kernel}: {self.block} blocks keep the size, so the kernel must be odd; nearest: {stage.kernel + 1}"
            )
        if self.block == "bottleneck" and stage.channels % REDUCTION:
            nearest = max(1, round(stage.channels / REDUCTION)) * REDUCTION
            raise InputError(f"channels={stage.channels}: a bottleneck's channels are a multiple of {REDUCTION}; nearest: {nearest}")

    @classmethod
    def from_row(cls, name: str, row: Mapping[str, Any]) -> Self:
        """A preset: the architecture's :data:`STYLES` and the row's figures."""
        row = {**STYLES[row["reference"]], **row}
        if "stem" in row:
            row["stem"] = Stage(**row["stem"])
        return super().from_row(
            name, {**row, "stages": tuple(Stage(**stage) for stage in row["stages"]), "hidden": tuple(row.get("hidden", ()))}
        )

    def scaled(self) -> Self:
        """The network as it is built: channels times ``width_coefficient`` and blocks times ``depth_coefficient``, both rounded.

        >>> from napkinmath import preset
        >>> [(stage.channels, stage.blocks) for stage in preset("efficientnet-b1").scaled().stages][:3]
        [(16, 2), (24, 3), (40, 3)]
        """
        if self.width_coefficient == self.depth_coefficient == 1:
            return self
        width, depth = self.width_coefficient, self.depth_coefficient
        stages = tuple(
            replace(stage, channels=round_channels(stage.channels * width), blocks=math.ceil(stage.blocks * depth)) for stage in self.stages
        )
        stem = self.stem and replace(self.stem, channels=round_channels(self.stem.channels * width))
        head = self.head_channels and round_channels(self.head_channels * width)
        return replace(self, stages=stages, stem=stem, head_channels=head, width_coefficient=1.0, depth_coefficient=1.0)

    # Shapes ---------------------------------------------------------------------------------------------------------------

    def feature_maps(self, image: int | None = None) -> dict[str, tuple[int, int, int]]:
        """Shape ``(channels, height, width)`` behind the stem and behind each stage: what a detector or a decoder builds on.

        >>> from napkinmath import preset
        >>> preset("resnet-50").feature_maps()["stage4"]
        (2048, 7, 7)
        """
        sides = self._sides(self.resolve(image=image)["image"])
        return {part: (stage.channels, sides[part], sides[part]) for part, stage in self.scaled().parts().items()}

    def parts(self) -> dict[str, Stage]:
        """Stem and stages by name, in order."""
        stem = {"stem": self.stem} if self.stem else {}
        return stem | {f"stage{number}": stage for number, stage in enumerate(self.stages, 1)}

    def receptive_field(self) -> int:
        """Side, in pixels, of the square of the image that one position of the last map can depend on.

        Counts every convolution and pooling on the longest path. Global averaging comes after it and sees the whole image.

        >>> from napkinmath import preset
        >>> preset("vgg-16").receptive_field()
        212
        """
        field, jump = 1, 1
        for op in self.ledger():
            layout = dict(op.layout)
            if "stride" in layout and "/shortcut/" not in op.name:
                kernel = layout["kernel"] if op.kind == "pool" else op.shape[1][-1]
                field += op.count * forms.receptive_field_growth(kernel, jump)
                jump *= layout["stride"][0]  # a row that stands for several blocks has stride 1
        return field

    def _sides(self, image: int) -> dict[str, int]:
        """Side of the map behind the stem and behind each stage; below 1 in the first part that leaves nothing."""
        sides, size = {}, image
        for part, stage in self.parts().items():
            # Between ConvNeXt's stages stands a convolution as large as its stride, without padding.
            between = self.block == "convnext" and part != "stem"
            size = size // stage.stride if between else stage.output_size(size)
            sides[part] = size
        return sides

    def _first_empty(self, image: int) -> str:
        """The first part that leaves no pixel of such an image; empty where all do."""
        return next((part for part, size in self._sides(image).items() if size < 1), "")

    # Cost -----------------------------------------------------------------------------------------------------------------

    def ledger(self, batch: int = 1, image: int | None = None, dtype: str = "fp32", folded: bool = False) -> Ledger:
        """The whiteboard ledger of a forward pass.

        Args:
            batch, image: an input of ``[batch, in_channels, image, image]``.
            dtype: of weights and activations.
            folded: each batch norm is folded into the convolution before it, which gains a bias, as deployed models have it.

        Raises:
            InputError: sizes that are not positive integers, or an image that does not fit the network.
        """
        from ..whiteboard.ledgers.conv import conv_ledger

        return conv_ledger(self, **self.resolve(batch, image), dtype=dtype_name(dtype), folded=folded)

    def activation_bytes(self, batch: int = 1, image: int | None = None, dtype: str = "fp32") -> int:
        """Bytes that all operations of a forward pass write: what training keeps, if it keeps everything."""
        return self.ledger(batch, image, dtype).totals().bytes_written

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """The image defaults to the preset's; it must leave a pixel at the end, and be the preset's where the head is flattened."""
        image = sizes.setdefault("image", self.image)
        if self.head_pool == 0 and image != self.image:
            raise InputError(f"image={image}: the head of {self.name} fits a flattened image of {self.image} only; nearest: {self.image}")
        empty = self._first_empty(image)
        if empty:
            raise InputError(f"image={image} is too small: no pixel is left behind {empty} of {self.name}; its own: {self.image}")
        return sizes


def round_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` nearest to ``channels``, one more where that lost over a tenth: MobileNet's and EfficientNet's rule.

    >>> round_channels(32 * 1.4), round_channels(24 * 0.5)
    (48, 16)
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
