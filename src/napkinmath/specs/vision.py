"""Vision transformers: their dimensions, and the towers that multimodal models have: patches, or CLIP's ResNet."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ..dtypes import dtype_name
from ..errors import InputError
from ..whiteboard import vision as forms
from ..whiteboard.conv import conv_output_size
from .base import Spec
from .checks import check_fields, positive_int
from .conv import REDUCTION, ConvSpec, Stage
from .transformer import Attention, TransformerSpec

if TYPE_CHECKING:
    from ..ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Tower:
    """Patches of an image, a clip or a spectrogram as tokens, through a transformer encoder.

    Attributes:
        extent: of the input that the position table is made for: ``(height, width)``, ``(frames, height, width)``, ``(mels, frames)``.
        patch: of a token, along each of them; ``stride`` from one token to the next, ``patch`` when not given.
        channels: values per pixel.
        special_tokens: learned ones in front of the patches: class, distillation.
        patch_bias: the patch embedding has a bias.
        pre_norm: a norm between embeddings and layers (CLIP).
        final_norm: after the layers, over every token, over the first alone (all that CLIP goes on with), or none.
        pool: what stands for the whole input: a special token, or a learned query's attention over all of them (SigLIP).
        divided: each layer attends along time at each place, then within each frame (TimeSformer), in place of over all tokens.
    """

    n_layers: int
    d_model: int
    n_heads: int
    d_ff: int
    extent: tuple[int, ...]
    patch: tuple[int, ...]
    stride: tuple[int, ...] = ()
    channels: int = 3
    special_tokens: int = 1
    activation: Literal["gelu", "gelu_tanh", "quick_gelu"] = "gelu"
    patch_bias: bool = True
    pre_norm: bool = False
    final_norm: Literal["all", "first", "none"] = "all"
    pool: Literal["special", "attention"] = "special"
    divided: bool = False

    def __post_init__(self) -> None:
        check_fields(self, may_be_zero=("special_tokens",))
        object.__setattr__(self, "stride", self.stride or self.patch)
        if not len(self.extent) == len(self.patch) == len(self.stride):
            raise InputError(
                f"extent={self.extent}, patch={self.patch} and stride={self.stride} differ in length; give one value per axis each"
            )
        if self.divided and (len(self.extent) != 3 or self.special_tokens != 1):
            raise InputError(
                f"divided attention takes clips, an extent such as (8, 224, 224), and 1 special token; got extent={self.extent} and "
                f"special_tokens={self.special_tokens}"
            )
        self.grid(self.extent)
        _ = self.layers  # checks the rest

    @property
    def layers(self) -> TransformerSpec:
        """The encoder's layers: a transformer without a vocabulary."""
        return TransformerSpec(
            name="tower", n_layers=self.n_layers, d_model=self.d_model, n_heads=self.n_heads, d_ff=self.d_ff,
            activation=self.activation, bias=True, vocab=1, max_positions=self.tokens(self.extent),
        )  # fmt: skip

    def grid(self, extent: tuple[int, ...]) -> tuple[int, ...]:
        """Tokens along each axis of an input of ``extent``; what fills no patch is dropped.

        Raises:
            InputError: the input is smaller than one patch.
        """
        for size, patch in zip(extent, self.patch, strict=True):
            if size < patch:
                raise InputError(f"an input of {size} along one axis holds no patch of {patch}; nearest: {patch}")
        return tuple(conv_output_size(size, patch, step) for size, patch, step in zip(extent, self.patch, self.stride, strict=True))

    def tokens(self, extent: tuple[int, ...]) -> int:
        """Patches and special tokens of an input of ``extent``."""
        return math.prod(self.grid(extent)) + self.special_tokens


@dataclass(frozen=True, kw_only=True)
class ResNetTower:
    """CLIP's ResNet: three convolutions, stages of bottlenecks, and attention of their mean over all positions instead of an average.

    Strides are averages of 2 x 2, before a block's last convolution and in front of its shortcut.

    Attributes:
        blocks: bottlenecks of each stage; every stage but the first halves the map.
        width: channels behind the stem, and inside the bottlenecks of the first stage; each stage doubles them.
        n_heads: of the attention that pools.
        image: side in pixels, for which its positions are made.
    """

    blocks: tuple[int, ...]
    width: int
    n_heads: int
    image: int
    channels: int = 3

    def __post_init__(self) -> None:
        check_fields(self)
        if self.width % 2:
            raise InputError(f"width={self.width}: the stem starts with half of it; nearest: {self.width + 1}")
        if self.d_model % self.n_heads:
            raise InputError(f"n_heads={self.n_heads} does not divide the last stage's {self.d_model} channels; nearest: 1")
        if self.image % self.reduction:
            nearest = max(1, round(self.image / self.reduction)) * self.reduction
            raise InputError(f"image={self.image}: the map is halved to a {self.reduction}th; nearest: {nearest}")

    @property
    def d_model(self) -> int:
        """Channels behind the last stage."""
        return int(REDUCTION * self.width * 2 ** (len(self.blocks) - 1))

    @property
    def reduction(self) -> int:
        """Pixels along a side for one position of the last map: stride and pooling of the stem, and a halving per further stage."""
        return int(4 * 2 ** (len(self.blocks) - 1))

    @property
    def tokens(self) -> int:
        """Positions that the attention looks at, and their mean."""
        return (self.image // self.reduction) ** 2 + 1

    @property
    def convolutions(self) -> ConvSpec:
        """Norm and activation of every convolution, as a convolutional network has them."""
        stages = tuple(Stage(channels=REDUCTION * self.width * 2**i, blocks=blocks) for i, blocks in enumerate(self.blocks))
        return ConvSpec(name="tower", block="bottleneck", image=self.image, stages=stages, norm="batchnorm", activation="relu")


@dataclass(frozen=True, kw_only=True)
class VisionSpec(Spec):
    """Dimensions of a vision transformer: one stage of global attention (ViT, DeiT), or several of windows (Swin).

    Attributes:
        image: side of the images that the position table is made for, in pixels.
        patch, channels, classes: side of a patch, values per pixel, outputs of the head.
        n_layers, n_heads: per stage; a single number where there is one stage.
        d_model, d_ff: of the first stage; each patch merging doubles both and halves the grid.
        window: side of the attention window in tokens; 0 where every token sees every other.
        special_tokens: 1 with a class token, 2 with a distillation token (and its own head) as well, 0 where the mean stands for the image.

    Raises:
        InputError: a dimension is not a positive integer, or two of them do not fit together.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"image": None}
    ATTENTION: ClassVar[bool] = True
    REFERENCES: ClassVar[Collection[str]] = ("vit", "deit", "swin")
    MAY_BE_ZERO: ClassVar[Collection[str]] = ("special_tokens",)

    image: int
    patch: int
    n_layers: tuple[int, ...]
    n_heads: tuple[int, ...]
    d_model: int
    d_ff: int
    channels: int = 3
    classes: int = 1000
    window: int = 0
    special_tokens: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.n_layers) != len(self.n_heads):
            raise InputError(f"n_layers={self.n_layers} and n_heads={self.n_heads} differ in length; give one of each per stage")
        if self.window:
            if self.special_tokens:
                raise InputError(f"special_tokens={self.special_tokens}: windows have no class token, the mean is used; nearest: 0")
        else:
            if len(self.n_layers) > 1:
                raise InputError(f"n_layers={self.n_layers}: several stages need a window, such as 7; or give one number of layers")
            if self.special_tokens not in (1, 2):
                raise InputError(f"special_tokens={self.special_tokens!r}; allowed: 1 (class), 2 (class and distillation); nearest: 1")
        _ = self.stages  # checks layers and heads
        self.complete({"image": self.image})

    @property
    def tower(self) -> Tower:
        """The single stage of a ViT, with what stands before and after it."""
        return Tower(
            n_layers=self.n_layers[0], d_model=self.d_model, n_heads=self.n_heads[0], d_ff=self.d_ff, channels=self.channels,
            extent=(self.image, self.image), patch=(self.patch, self.patch), special_tokens=self.special_tokens,
        )  # fmt: skip

    @property
    def stages(self) -> tuple[TransformerSpec, ...]:
        """The layers of each stage; the grid halves and the width doubles from one to the next."""
        return tuple(
            TransformerSpec(
                name=f"stage{i + 1}", n_layers=layers, d_model=self.d_model * 2**i, n_heads=heads, d_ff=self.d_ff * 2**i,
                bias=True, vocab=1, max_positions=max(self.window**2, 1),
            )
            for i, (layers, heads) in enumerate(zip(self.n_layers, self.n_heads, strict=True))
        )  # fmt: skip

    def grids(self, image: int | None = None) -> tuple[int, ...]:
        """Side of the token grid in each stage; odd grids are padded before they are halved, and so is the image.

        >>> from napkinmath import preset
        >>> preset("swin-t").grids(), preset("vit-b-16").grids()
        ((56, 28, 14, 7), (14,))
        """
        image = image or self.image
        grids = [-(-image // self.patch) if self.window else image // self.patch]
        for _ in self.n_layers[1:]:
            grids.append(-(-grids[-1] // 2))
        return tuple(grids)

    def tokens(self, image: int | None = None) -> int:
        """Tokens that enter the first layer, special ones included."""
        return self.grids(image)[0] ** 2 + self.special_tokens

    def ledger(self, batch: int = 1, image: int | None = None, dtype: str = "fp32", attention: Attention = "fused") -> Ledger:
        """The whiteboard ledger of a forward pass.

        Args:
            batch, image: ``[batch, channels, image, image]``; the spec's own image when not given.
            dtype: of weights and activations.
            attention: ``fused`` keeps the scores on chip, ``eager`` writes and reads them. FLOPs are the same.

        Raises:
            InputError: sizes that are not positive integers, or an image too small for the patches or windows.
        """
        from ..whiteboard.ledgers.vision import vision_ledger

        return vision_ledger(self, **self.resolve(batch, image), dtype=dtype_name(dtype), attention=attention)

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """The image defaults to the spec's; it holds a patch, and in every stage a window."""
        image = sizes.setdefault("image", self.image)
        smallest = self.patch * (self.window - 1) * 2 ** (len(self.n_layers) - 1) + 1 if self.window > 1 else self.patch
        if self.grids(image)[-1] < max(self.window, 1):
            what = f"{self.window} x {self.window} windows in its last stage" if self.window else f"one patch of {self.patch}"
            raise InputError(f"image={image} is too small for {what}; nearest: {smallest}")
        return sizes

    def token_merging_flops(self, merged: int, batch: int = 1, image: int | None = None) -> int:
        """:meth:`flops` when each layer merges ``merged`` tokens (ToMe).

        Raises:
            InputError: the model has windows, or the layers would merge more tokens than there are.
        """
        positive_int("merged", merged)
        if self.window:
            raise InputError(f"{self.name} has windows: token merging needs global attention, as in vit-b-16")
        sizes, tokens = self.resolve(batch, image), self.tokens(image)
        most = (tokens - self.special_tokens) // self.n_layers[0]
        if merged > most:
            raise InputError(f"merged={merged} a layer: {self.n_layers[0]} layers would merge more than {tokens} tokens; nearest: {most}")
        plain, merging = (forms.token_merging_flops(batch, tokens, each, self.n_layers[0], self.d_model, self.d_ff) for each in (0, merged))
        return self.flops(**sizes) - plain + merging
