"""Closed forms of a convolution.

Symbols: ``batch``, ``height`` and ``width`` (of the *output*, unless said), ``in_channels``, ``out_channels``, ``kernel``, ``stride``,
``padding``, ``dilation``, ``groups``. FLOPs are 2 per multiply-accumulate. Arithmetic after Dumoulin and Visin 2016 (arXiv:1603.07285).
"""

from __future__ import annotations

from .linear import Value


def conv_output_size(size: Value, kernel: Value, stride: Value = 1, padding: Value = 0, dilation: Value = 1) -> Value:
    """Positions that a kernel takes along one side of ``size`` pixels.

    >>> conv_output_size(224, kernel=7, stride=2, padding=3)
    112
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def conv2d_params(in_channels: Value, out_channels: Value, kernel: Value, groups: Value = 1, bias: Value = 0) -> Value:
    """Parameters of a ``[out_channels, in_channels / groups, kernel, kernel]`` convolution.

    >>> conv2d_params(3, 64, kernel=7)
    9408
    """
    return out_channels * (in_channels // groups) * kernel**2 + bias * out_channels


def conv2d_flops(
    batch: Value, height: Value, width: Value, in_channels: Value, out_channels: Value, kernel: Value, groups: Value = 1
) -> Value:
    """FLOPs of a convolution with an output of ``[batch, out_channels, height, width]``.

    Each output value takes ``in_channels / groups * kernel^2`` multiply-accumulates.

    >>> conv2d_flops(1, 112, 112, in_channels=3, out_channels=64, kernel=7)
    236027904
    """
    return 2 * batch * height * width * conv2d_params(in_channels, out_channels, kernel, groups)
