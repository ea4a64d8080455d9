"""Closed forms of convolutional generators.

Symbols: ``height`` and ``width`` of the *input* of a transposed convolution, ``in_channels``, ``out_channels``, ``kernel``, ``stride``.
Shapes after Radford et al. 2015 (arXiv:1511.06434) and Dumoulin and Visin 2016 (arXiv:1603.07285).
"""

from __future__ import annotations

from .conv import conv2d_params
from .linear import Value


def conv_transpose_output_size(size: Value, kernel: Value, stride: Value = 1, padding: Value = 0, output_padding: Value = 0) -> Value:
    """Side of a transposed convolution's output.

    >>> conv_transpose_output_size(4, kernel=4, stride=2, padding=1)
    8
    """
    return (size - 1) * stride - 2 * padding + kernel + output_padding


def conv_transpose2d_flops(batch: Value, height: Value, width: Value, in_channels: Value, out_channels: Value, kernel: Value) -> Value:
    """FLOPs of a transposed convolution over an *input* of ``[batch, in_channels, height, width]``.

    Every input value is multiplied with a ``[out_channels, kernel, kernel]`` stamp; what padding then cuts off is computed as well.
    The stride decides where the stamps go, so it does not enter.

    >>> conv_transpose2d_flops(1, 4, 4, in_channels=1024, out_channels=512, kernel=5)
    419430400
    """
    return 2 * batch * height * width * conv2d_params(in_channels, out_channels, kernel)
