"""Plain convolutional networks: LeNet-5, AlexNet, VGG and the two-convolution classifier of every tutorial."""

from __future__ import annotations

import torch
from torch import nn

from ..specs.conv import ConvSpec, Stage


class PlainCNN(nn.Module):
    """Stages of convolutions, each ended by max pooling, then fully connected layers.

    ``[batch, in_channels, image, image]`` pixels in, ``[batch, classes]`` logits out. Dropout is left out: it does nothing at inference.
    """

    def __init__(self, spec: ConvSpec) -> None:
        super().__init__()
        channels = [spec.in_channels, *(stage.channels for stage in spec.stages)]
        self.stages = nn.ModuleList(PlainStage(d_in, stage) for d_in, stage in zip(channels, spec.stages, strict=False))
        self.average = nn.AdaptiveAvgPool2d(spec.head_pool) if spec.head_pool else nn.Identity()
        side = spec.head_pool or spec.feature_maps()[f"stage{len(spec.stages)}"][1]
        widths = [channels[-1] * side**2, *spec.hidden]
        self.hidden = nn.ModuleList(nn.Linear(d_in, d_out) for d_in, d_out in zip(widths, spec.hidden, strict=False))
        self.classifier = nn.Linear(widths[-1], spec.classes)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        x = pixel_values
        for stage in self.stages:
            x = stage(x)  # [batch, channels, height, width]
        x = self.average(x).flatten(1)
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.classifier(x)


class PlainStage(nn.Module):
    """Convolutions of one width, a ReLU behind each, and max pooling at the end."""

    def __init__(self, in_channels: int, stage: Stage) -> None:
        super().__init__()
        widths = [in_channels] + [stage.channels] * stage.blocks
        strides = [stage.stride] + [1] * (stage.blocks - 1)
        self.convs = nn.ModuleList(
            nn.Conv2d(d_in, d_out, stage.kernel, stride, stage.pad)
            for d_in, d_out, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        self.pool = nn.MaxPool2d(stage.pool, stage.pool_stride, stage.pool_padding) if stage.pool else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            x = torch.relu(conv(x))
        return self.pool(x)
