"""The convolutional network's rows, in the order of execution.

A block is a function from the map that enters to the map that leaves. :class:`Net` knows what the spec says of every convolution
(its norm, bias and activation), so that a block reads as its paper draws it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...ledger import Ledger
from .. import conv as forms
from .rows import Rows

if TYPE_CHECKING:
    from ...specs.conv import ConvSpec, Stage


class Map(NamedTuple):
    """Shape of one image's feature map."""

    channels: int
    height: int
    width: int


def conv_ledger(spec: ConvSpec, batch: int, image: int, dtype: str, folded: bool) -> Ledger:
    """Rows of one forward pass of ``spec``; inputs are validated by :meth:`ConvSpec.ledger`."""
    net = Net(spec.scaled(), batch, dtype, folded)
    x = Map(spec.in_channels, image, image)
    if net.spec.stem:
        x = plain(net, x, "stem", net.spec.stem, net.spec.stem.stride)
        x = net.pool(x, "stem", net.spec.stem)
    for number, stage in enumerate(net.spec.stages, 1):
        x = stage_rows(net, x, f"stage{number}", stage)
    head_rows(net, x)
    return net.rows.ledger(f"{spec.name} batch={batch} image={image} {dtype}{' folded' if folded else ''}")


def stage_rows(net: Net, x: Map, part: str, stage: Stage) -> Map:
    """The first block with the stage's stride, the others alike, then pooling."""
    block, stride = BLOCKS[net.spec.block], stage.stride
    if net.spec.block == "convnext" and (stride > 1 or x.channels != stage.channels):
        x = downsample(net, x, part, stage)
        stride = 1
    x = block(net, x, part, stage, stride)
    if stage.blocks > 1:
        first = len(net.rows.ops)
        x = block(net, x, part, stage, 1)
        net.rows.repeat(stage.blocks - 1, first)
    return net.pool(x, part, stage)


def head_rows(net: Net, x: Map) -> None:
    """A 1x1 convolution where there is one, pooling, and fully connected layers."""
    spec = net.spec
    if spec.head_channels:
        x = net.conv(x, "head/conv", spec.head_channels, 1)
    if spec.head_pool:
        x = net.average(x, "head/pool/average", spec.head_pool)
    if spec.norm == "layernorm":
        net.norm(x, "head/norm/layernorm")
    width = x.channels * x.height * x.width
    for number, d_out in enumerate(spec.hidden, 1):
        net.rows.matmul(f"head/fc{number}/linear", net.batch, width, d_out, bias=True)
        net.rows.pointwise(f"head/fc{number}/activation", "elementwise", spec.activation, net.batch * d_out)
        width = d_out
    net.rows.matmul("head/classifier/linear", net.batch, width, spec.classes, bias=True)


# Blocks -----------------------------------------------------------------------------------------------------------------


def plain(net: Net, x: Map, part: str, stage: Stage, stride: int) -> Map:
    """One convolution, with what the spec puts behind each; a ConvNeXt stem has no activation."""
    return net.conv(x, f"{part}/conv", stage.channels, stage.kernel, stride, stage.pad, activate=net.spec.block != "convnext")


def basic(net: Net, x: Map, part: str, stage: Stage, stride: int) -> Map:
    """ResNet-18 and 34: two 3x3 convolutions beside a shortcut."""
    y = net.conv(x, f"{part}/conv1", stage.channels, stage.kernel, stride)
    y = net.conv(y, f"{part}/conv2", stage.channels, stage.kernel, activate=False)
    return net.join(x, y, part, stride)


def bottleneck(net: Net, x: Map, part: str, stage: Stage, stride: int) -> Map:
    """ResNet-50 and deeper: 1x1 down, 3x3 with the stride (as torchvision places it), 1x1 up, beside a shortcut."""
    from ...specs.conv import REDUCTION

    inner = stage.channels // REDUCTION
    y = net.conv(x, f"{part}/reduce", inner, 1)
    y = net.conv(y, f"{part}/conv", inner, stage.kernel, stride)
    y = net.conv(y, f"{part}/expand", stage.channels, 1, activate=False)
    return net.join(x, y, part, stride)


def inverted(net: Net, x: Map, part: str, stage: Stage, stride: int) -> Map:
    """MobileNet-V2 and EfficientNet: 1x1 up, depthwise with the stride, squeeze-and-excitation, 1x1 down."""
    hidden = stage.expand * x.channels
    y = net.conv(x, f"{part}/expand", hidden, 1) if stage.expand > 1 else x
    y = net.conv(y, f"{part}/depthwise", hidden, stage.kernel, stride, groups=hidden)
    if net.spec.squeeze:
        net.squeeze_excite(y, f"{part}/squeeze_excite", max(1, x.channels // net.spec.squeeze))
    y = net.conv(y, f"{part}/project", stage.channels, 1, activate=False)
    if y == x:
        net.add(y, f"{part}/residual/add")
    return y


def convnext(net: Net, x: Map, part: str, stage: Stage, stride: int) -> Map:
    """ConvNeXt: 7x7 depthwise, LayerNorm, an FFN at every position, layer scale, beside the identity."""
    net.conv(x, f"{part}/depthwise", x.channels, stage.kernel, groups=x.channels, activate=False)
    positions, wide = net.batch * x.height * x.width, 4 * x.channels
    net.rows.matmul(f"{part}/expand/linear", positions, x.channels, wide, bias=True)
    net.rows.pointwise(f"{part}/expand/activation", "elementwise", net.spec.activation, positions * wide)
    net.rows.matmul(f"{part}/project/linear", positions, wide, x.channels, bias=True)
    net.rows.pointwise(f"{part}/residual/layer_scale", "elementwise", "mul", net.values(x), params=x.channels)
    net.add(x, f"{part}/residual/add")
    return x


def downsample(net: Net, x: Map, part: str, stage: Stage) -> Map:
    """ConvNeXt between two stages: LayerNorm, then a convolution as large as its stride."""
    net.norm(x, f"{part}/downsample/norm")
    height, width = net.rows.conv2d(
        f"{part}/downsample/conv", net.batch, x.height, x.width, x.channels, stage.channels, stage.stride,
        stride=stage.stride, padding=0, bias=True,
    )  # fmt: skip
    return Map(stage.channels, height, width)


BLOCKS = {"plain": plain, "basic": basic, "bottleneck": bottleneck, "inverted": inverted, "convnext": convnext}


# What blocks are made of ------------------------------------------------------------------------------------------------


class Net:
    """The rows of a network, and what is alike in all its convolutions."""

    def __init__(self, spec: ConvSpec, batch: int, dtype: str, folded: bool) -> None:
        self.spec = spec
        self.batch = batch
        self.rows = Rows(dtype)
        self.batchnorm = spec.norm == "batchnorm" and not folded

    def values(self, x: Map) -> int:
        """Values of the batch's maps."""
        return self.batch * x.channels * x.height * x.width

    def conv(
        self, x: Map, name: str, channels: int, kernel: int, stride: int = 1, padding: int | None = None, *,
        groups: int = 1, activate: bool = True,
    ) -> Map:  # fmt: skip
        """A convolution, its norm and its activation. It has a bias unless a batch norm behind it has one."""
        height, width = self.rows.conv2d(
            f"{name}/conv", self.batch, x.height, x.width, x.channels, channels, kernel,
            stride=stride, padding=padding, groups=groups, bias=not self.batchnorm,
        )  # fmt: skip
        y = Map(channels, height, width)
        if self.batchnorm or self.spec.norm == "layernorm":
            self.norm(y, f"{name}/norm")
        if activate:
            self.rows.pointwise(f"{name}/activation", "elementwise", self.spec.activation, self.values(y))
        return y

    def norm(self, x: Map, name: str) -> None:
        """Batch norm by running statistics, or LayerNorm over the channels of each position: a scale and a shift per channel."""
        self.rows.pointwise(name, "norm", self.spec.norm, self.values(x), params=forms.batchnorm_params(x.channels))

    def add(self, x: Map, name: str) -> None:
        """The residual: two maps into one."""
        self.rows.pointwise(name, "elementwise", "add", self.values(x), inputs=2)

    def join(self, x: Map, y: Map, part: str, stride: int) -> Map:
        """ResNet's end of a block: the shortcut (projected where the shapes differ), the sum, the activation."""
        if stride > 1 or x.channels != y.channels:
            self.conv(x, f"{part}/shortcut", y.channels, 1, stride, activate=False)
        self.add(y, f"{part}/residual/add")
        self.rows.pointwise(f"{part}/residual/activation", "elementwise", self.spec.activation, self.values(y))
        return y

    def squeeze_excite(self, x: Map, name: str, hidden: int) -> None:
        """Average every channel, two 1x1 convolutions on the averages, rescale the channels."""
        pooled = self.average(x, f"{name}/average", 1)
        self.rows.conv2d(f"{name}/reduce", self.batch, 1, 1, x.channels, hidden, 1, bias=True)
        self.rows.pointwise(f"{name}/activation", "elementwise", self.spec.activation, self.batch * hidden)
        self.rows.conv2d(f"{name}/expand", self.batch, 1, 1, hidden, x.channels, 1, bias=True)
        self.rows.pointwise(f"{name}/sigmoid", "elementwise", "sigmoid", self.values(pooled))
        values = self.values(x)
        self.rows.add(f"{name}/rescale", "elementwise", other_flops=values, read=values + self.values(pooled), written=values, op="mul")

    def pool(self, x: Map, part: str, stage: Stage) -> Map:
        """The stage's max pooling, where it has one."""
        if not stage.pool:
            return x
        kernel, stride, padding = stage.pool, stage.pool_stride, stage.pool_padding
        height, width = (forms.conv_output_size(side, kernel, stride, padding) for side in (x.height, x.width))
        y = Map(x.channels, height, width)
        self.rows.add(
            f"{part}/pool/max", "pool", other_flops=kernel**2 * self.values(y), read=self.values(x), written=self.values(y),
            shape=((self.batch, *x),), layout=(("kernel", kernel), ("stride", (stride, stride)), ("padding", (padding, padding))),
        )  # fmt: skip
        return y

    def average(self, x: Map, name: str, side: int) -> Map:
        """Adaptive average pooling to ``[side, side]``."""
        y = Map(x.channels, side, side)
        self.rows.add(name, "pool", other_flops=self.values(x), read=self.values(x), written=self.values(y), shape=((self.batch, *x),))
        return y
