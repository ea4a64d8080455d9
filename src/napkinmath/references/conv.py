"""transformers' ResNet, MobileNet-V2, EfficientNet and ConvNeXt; our plain networks, which no library here has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import unset_fake_temporarily

from ..errors import InputError
from ..specs.conv import ConvSpec, Stage, round_channels
from .plan import How, Plan, require

#: The names of a module's parts, as patterns of its traced rows: what a builder returns beside the module.
Names = dict[str, str]


def plan(spec: ConvSpec, sizes: dict[str, int], how: How) -> Plan:
    """An image of ``[batch, in_channels, image, image]`` through the module that ``spec.reference`` names."""
    batch, image = sizes["batch"], sizes["image"]
    module, names = BUILDERS[spec.reference](spec, image)
    return Plan(module, lambda: {"pixel_values": torch.zeros(batch, spec.in_channels, image, image)}, names)


def _plain(spec: ConvSpec, image: int) -> tuple[Callable[[], torch.nn.Module], Names]:
    from ..zoo.conv import PlainCNN

    require(spec, block="plain", norm="none", stem=None, head_channels=0, squeeze=0, activation="relu")
    require(spec, width_coefficient=1.0, depth_coefficient=1.0)
    names = {}
    for number in range(len(spec.stages)):
        names[f"^stages/{number}/convs/"] = f"stage{number + 1}/conv"
        names[f"^stages/{number}/"] = f"stage{number + 1}/pool"
    names |= {f"^hidden/{number}/": f"head/fc{number + 1}" for number in range(len(spec.hidden))}
    return lambda: PlainCNN(spec), names | {"^classifier/": "head/classifier", "^average/": "head/pool"}


def _resnet(spec: ConvSpec, image: int) -> tuple[Callable[[], torch.nn.Module], Names]:
    import transformers as hf

    if spec.block not in ("basic", "bottleneck"):
        raise InputError(f"block={spec.block!r}: the resnet architecture has basic or bottleneck blocks")
    stem = spec.stem.channels if spec.stem else 0
    require(spec, norm="batchnorm", head_channels=0, squeeze=0, head_pool=1, hidden=(), activation="relu")
    require(spec, width_coefficient=1.0, depth_coefficient=1.0)
    require(spec, stem=Stage(channels=max(stem, 1), kernel=7, stride=2, pool=3, pool_stride=2, pool_padding=1))
    _require_stages(spec, kernel=3, strides=[spec.stages[0].stride] + [2] * (len(spec.stages) - 1))
    if spec.stages[0].stride > 2:
        raise InputError(f"stride={spec.stages[0].stride}: the resnet architecture's first stage has stride 1 or 2; nearest: 2")
    config = hf.ResNetConfig(
        num_channels=spec.in_channels,
        embedding_size=stem,
        hidden_sizes=[stage.channels for stage in spec.stages],
        depths=[stage.blocks for stage in spec.stages],
        layer_type=spec.block,
        downsample_in_first_stage=spec.stages[0].stride == 2,
        num_labels=spec.classes,
    )
    inner = ("conv1", "conv2") if spec.block == "basic" else ("reduce", "conv", "expand")
    names = {"embedder/embedder/": "stem/conv", "embedder/pooler/": "stem/pool"}
    for number in range(len(spec.stages)):
        part, block = f"stage{number + 1}", rf"encoder/stages/{number}/layers/\d+/"
        names[f"{block}shortcut/"] = f"{part}/shortcut"
        names |= {f"{block}layer/{place}/": f"{part}/{name}" for place, name in enumerate(inner)}
        names[block] = f"{part}/residual"
    return lambda: hf.ResNetForImageClassification(config), names | {"classifier/": "head/classifier", "pooler/": "head/pool"}


def _mobilenet_v2(spec: ConvSpec, image: int) -> tuple[Callable[[], torch.nn.Module], Names]:
    import transformers as hf

    require(spec, block="inverted", norm="batchnorm", squeeze=0, head_channels=1280, head_pool=1, hidden=(), activation="relu6")
    require(spec, width_coefficient=1.0, depth_coefficient=1.0, stem=Stage(channels=32, stride=2))
    columns = zip((16, 24, 32, 64, 96, 160, 320), (1, 2, 3, 4, 3, 3, 1), (1, 2, 2, 2, 1, 2, 1), (1, 6, 6, 6, 6, 6, 6), strict=True)
    require(spec, stages=tuple(Stage(channels=c, blocks=n, stride=s, expand=t) for c, n, s, t in columns))
    # Torch's symmetric padding, as in torchvision. Its count is TensorFlow's: both leave ceil(size / stride) positions.
    config = hf.MobileNetV2Config(num_channels=spec.in_channels, image_size=image, tf_padding=False, num_labels=spec.classes)
    names = {
        "conv_stem/first_conv/": "stem/conv",
        "conv_stem/conv_3x3/": "stage1/depthwise",
        "conv_stem/reduce_1x1/": "stage1/project",
    }
    block = 0
    for number, stage in enumerate(spec.stages[1:], 2):
        blocks = "|".join(str(block + place) for place in range(stage.blocks))
        for theirs, ours in (("expand_1x1", "expand"), ("conv_3x3", "depthwise"), ("reduce_1x1", "project")):
            names[f"layer/({blocks})/{theirs}/"] = f"stage{number}/{ours}"
        names[f"layer/({blocks})/"] = f"stage{number}/residual"
        block += stage.blocks
    names |= {"conv_1x1/": "head/conv", "pooler/": "head/pool", "classifier/": "head/classifier"}
    return lambda: hf.MobileNetV2ForImageClassification(config), names


def _efficientnet(spec: ConvSpec, image: int) -> tuple[Callable[[], torch.nn.Module], Names]:
    import transformers as hf

    require(spec, block="inverted", norm="batchnorm", squeeze=4, head_channels=1280, head_pool=1, hidden=(), activation="silu")
    require(spec, stem=Stage(channels=32, stride=2))
    if image % 2:
        raise InputError(f"image={image}: transformers' EfficientNet pads its stem on one side only, for even images; nearest: {image + 1}")
    if any(stage.stride > 2 for stage in spec.stages):
        raise InputError("stride: the efficientnet architecture has strides of 1 and 2; nearest: 2")
    for stage in spec.stages:
        if spec.width_coefficient == 1 and round_channels(stage.channels) != stage.channels:
            nearest = round_channels(stage.channels)
            raise InputError(f"channels={stage.channels}: the efficientnet architecture has multiples of 8; nearest: {nearest}")
    built = spec.scaled()
    config = hf.EfficientNetConfig(
        num_channels=spec.in_channels,
        image_size=image,
        width_coefficient=spec.width_coefficient,
        depth_coefficient=spec.depth_coefficient,
        in_channels=[32, *(stage.channels for stage in spec.stages[:-1])],
        out_channels=[stage.channels for stage in spec.stages],
        num_block_repeats=[stage.blocks for stage in spec.stages],
        kernel_sizes=[stage.kernel for stage in spec.stages],
        strides=[stage.stride for stage in spec.stages],
        expand_ratios=[stage.expand for stage in spec.stages],
        depthwise_padding=_square_padded(built, image),
        hidden_dim=built.head_channels,
        num_labels=spec.classes,
    )
    names = {"embeddings/": "stem/conv"}
    block = 0
    for number, stage in enumerate(built.stages, 1):
        blocks = "|".join(str(block + place) for place in range(stage.blocks))
        for theirs, ours in (("expansion", "expand"), ("depthwise_conv", "depthwise"), ("squeeze_excite", "squeeze_excite")):
            names[f"blocks/({blocks})/{theirs}/"] = f"stage{number}/{ours}"
        names[f"blocks/({blocks})/projection/project"] = f"stage{number}/project"
        names[f"blocks/({blocks})/"] = f"stage{number}/residual"
        block += stage.blocks
    names |= {"encoder/top_": "head/conv", "pooler/": "head/pool", "classifier/": "head/classifier"}
    return lambda: hf.EfficientNetForImageClassification(config), names


def _square_padded(spec: ConvSpec, image: int) -> list[int]:
    """Blocks that halve an odd map: transformers wants to be told, and pads these on all four sides."""
    found, block = [], 0
    size = spec.stem.output_size(image) if spec.stem else image
    for stage in spec.stages:
        if stage.stride == 2 and size % 2:
            found.append(block)
        size, block = stage.output_size(size), block + stage.blocks
    return found


def _convnext(spec: ConvSpec, image: int) -> tuple[Callable[[], torch.nn.Module], Names]:
    import transformers as hf

    patch = spec.stem.kernel if spec.stem else 1
    first = spec.stages[0].channels
    require(spec, block="convnext", norm="layernorm", squeeze=0, head_channels=0, head_pool=1, hidden=(), activation="gelu")
    require(spec, width_coefficient=1.0, depth_coefficient=1.0, stem=Stage(channels=first, kernel=patch, stride=patch, padding=0))
    _require_stages(spec, kernel=7, strides=[1] + [2] * (len(spec.stages) - 1))
    config = hf.ConvNextConfig(
        num_channels=spec.in_channels,
        patch_size=patch,
        num_stages=len(spec.stages),
        hidden_sizes=[stage.channels for stage in spec.stages],
        depths=[stage.blocks for stage in spec.stages],
        image_size=image,
        num_labels=spec.classes,
    )
    names = {"embeddings/": "stem/conv"}
    for number in range(len(spec.stages)):
        part, stage = f"stage{number + 1}", f"encoder/stages/{number}/"
        names[f"{stage}downsampling_layer/"] = f"{part}/downsample"
        names[rf"{stage}layers/\d+/(dwconv|layernorm)/"] = f"{part}/depthwise"
        names[rf"{stage}layers/\d+/(pwconv1|act)/"] = f"{part}/expand"
        names[rf"{stage}layers/\d+/pwconv2/"] = f"{part}/project"
        names[rf"{stage}layers/\d+/"] = f"{part}/residual"
    names |= {"^convnext/layernorm/": "head/norm", "^convnext/": "head/pool", "^classifier/": "head/classifier"}
    return lambda: _built_off_fake_mode(lambda: hf.ConvNextForImageClassification(config)), names


def _built_off_fake_mode(module: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """A module whose constructor reads tensor values (ConvNeXt's drop rates), which fake tensors do not have.

    Under ``FakeTensorMode`` it is built on ``meta``, and its tensors are made anew inside the mode.
    """
    with unset_fake_temporarily() as fake_mode:
        if fake_mode is None:
            return module()
        with torch.device("meta"):
            built = module()
    for child in built.modules():
        for name, parameter in child.named_parameters(recurse=False):
            setattr(child, name, torch.nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype)))
    return built


def _require_stages(spec: ConvSpec, *, kernel: int, strides: list[int]) -> None:
    """Refuse stages whose kernels or strides the architecture cannot express."""
    expected = tuple(
        Stage(channels=stage.channels, blocks=stage.blocks, kernel=kernel, stride=stride)
        for stage, stride in zip(spec.stages, strides, strict=True)
    )
    require(spec, stages=expected)


BUILDERS: dict[str, Callable[[ConvSpec, int], tuple[Callable[[], Any], Names]]] = {
    "plain": _plain,
    "resnet": _resnet,
    "mobilenet_v2": _mobilenet_v2,
    "efficientnet": _efficientnet,
    "convnext": _convnext,
}
