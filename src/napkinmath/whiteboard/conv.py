"""Closed forms of convolutions, and of the blocks that convolutional networks are made of.

Symbols: ``batch``, ``height`` and ``width`` (of the *output*, unless said), ``in_channels``, ``out_channels``, ``kernel``, ``stride``,
``padding``, ``dilation``, ``groups``. FLOPs are 2 per multiply-accumulate and leave out biases, norms and activations, which move more
than they compute. Arithmetic after Dumoulin and Visin 2016 (arXiv:1603.07285).
"""

from __future__ import annotations

from ..dtypes import bytes_per_value
from .linear import Value, linear_flops, linear_params

# One convolution --------------------------------------------------------------------------------------------------------


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


def feature_map_bytes(batch: Value, channels: Value, height: Value, width: Value, dtype: Value = "fp32") -> Value:
    """Bytes of a ``[batch, channels, height, width]`` feature map.

    >>> feature_map_bytes(batch=1, channels=64, height=224, width=224, dtype="fp32")
    12845056
    """
    return batch * channels * height * width * bytes_per_value(dtype)


def conv2d_bytes(
    batch: Value,
    height: Value,
    width: Value,
    in_channels: Value,
    out_channels: Value,
    kernel: Value,
    stride: Value = 1,
    groups: Value = 1,
    dtype: Value = "fp32",
) -> Value:
    """Bytes that a convolution must move once: an input of ``stride`` times the output's sides, the weights, the output.

    Ignores caches, the bias and what the border lacks.
    """
    values = feature_map_bytes(batch, in_channels, stride * height, stride * width, dtype)
    weights = conv2d_params(in_channels, out_channels, kernel, groups) * bytes_per_value(dtype)
    return values + weights + feature_map_bytes(batch, out_channels, height, width, dtype)


def conv2d_intensity(
    batch: Value,
    height: Value,
    width: Value,
    in_channels: Value,
    out_channels: Value,
    kernel: Value,
    stride: Value = 1,
    groups: Value = 1,
    dtype: Value = "fp32",
) -> Value:
    """FLOPs per byte of a convolution. A depthwise one (``groups == in_channels``) stays below ``kernel^2`` over the bytes of a value.

    >>> full = conv2d_intensity(1, 56, 56, in_channels=128, out_channels=128, kernel=3, dtype="fp32")
    >>> depthwise = conv2d_intensity(1, 56, 56, in_channels=128, out_channels=128, kernel=3, groups=128, dtype="fp32")
    >>> round(full), round(depthwise, 2)
    (243, 2.25)
    """
    flops = conv2d_flops(batch, height, width, in_channels, out_channels, kernel, groups)
    return flops / conv2d_bytes(batch, height, width, in_channels, out_channels, kernel, stride, groups, dtype)


# What a unit sees -------------------------------------------------------------------------------------------------------


def receptive_field_growth(kernel: Value, jump: Value, dilation: Value = 1) -> Value:
    """Pixels by which one layer widens the receptive field, where ``jump`` is the product of all strides before it.

    The recurrence of Araujo, Norris and Sim 2019 (doi:10.23915/distill.00021). The *theoretical* field: what can matter, not what does.

    >>> 1 + receptive_field_growth(kernel=7, jump=1) + receptive_field_growth(kernel=3, jump=2)
    11
    """
    return dilation * (kernel - 1) * jump


def stacked_receptive_field(n_layers: Value, kernel: Value = 3, dilation: Value = 1) -> Value:
    """Receptive field of ``n_layers`` layers of stride 1, in pixels a side.

    >>> stacked_receptive_field(3, kernel=3)
    7
    """
    return 1 + n_layers * receptive_field_growth(kernel, 1, dilation)


# How it is computed -----------------------------------------------------------------------------------------------------


def im2col_bytes(
    batch: Value, height: Value, width: Value, in_channels: Value, kernel: Value, dtype: Value = "fp32", groups: Value = 1
) -> Value:
    """Bytes of the ``[batch * height * width, in_channels * kernel^2]`` matrix that turns a convolution into a matrix product.

    With stride 1 that is ``kernel^2`` copies of the input. ``groups`` only splits its columns: each group's product takes its share.

    >>> im2col_bytes(1, 56, 56, in_channels=64, kernel=3) / feature_map_bytes(1, 64, 56, 56)
    9.0
    """
    columns = groups * (in_channels // groups) * kernel**2
    return batch * height * width * columns * bytes_per_value(dtype)


def winograd_multiply_saving(outputs: Value = 2, kernel: Value = 3) -> Value:
    """Times fewer multiplications of Winograd's ``F(outputs x outputs, kernel x kernel)`` than of the direct convolution.

    ``outputs^2 kernel^2`` become ``(outputs + kernel - 1)^2``: Lavin and Gray 2015 (arXiv:1509.09308). The transforms' additions are
    left out. Counters, ours too, go by the direct convolution: a kernel that uses this can seem to beat the peak.

    >>> winograd_multiply_saving(2, 3), winograd_multiply_saving(4, 3)
    (2.25, 4.0)
    """
    return outputs**2 * kernel**2 / (outputs + kernel - 1) ** 2


def winograd_weight_growth(outputs: Value = 2, kernel: Value = 3) -> Value:
    """Times more values that a transformed kernel holds: ``(outputs + kernel - 1)^2`` instead of ``kernel^2``.

    >>> winograd_weight_growth(4, 3)
    4.0
    """
    return (outputs + kernel - 1) ** 2 / kernel**2


# Blocks -----------------------------------------------------------------------------------------------------------------


def batchnorm_params(channels: Value, folded: Value = 0) -> Value:
    """Trainable scale and shift of a batch norm. Folded into the convolution before it, only a bias is left.

    The running mean and variance are as many values again, stored and not trained, and no parameters.

    >>> batchnorm_params(64), batchnorm_params(64, folded=1)
    (128, 64)
    """
    return (2 - folded) * channels


def depthwise_separable_params(in_channels: Value, out_channels: Value, kernel: Value = 3) -> Value:
    """Weights of a depthwise convolution and the 1x1 convolution after it: Howard et al. 2017 (arXiv:1704.04861).

    >>> depthwise_separable_params(512, 512), conv2d_params(512, 512, kernel=3)
    (266752, 2359296)
    """
    return conv2d_params(in_channels, in_channels, kernel, groups=in_channels) + conv2d_params(in_channels, out_channels, 1)


def depthwise_separable_flops(
    batch: Value, height: Value, width: Value, in_channels: Value, out_channels: Value, kernel: Value = 3
) -> Value:
    """FLOPs of a depthwise convolution and the 1x1 convolution after it."""
    return 2 * batch * height * width * depthwise_separable_params(in_channels, out_channels, kernel)


def depthwise_separable_saving(out_channels: Value, kernel: Value = 3) -> Value:
    """Times fewer FLOPs than the full convolution: ``1 / (1 / out_channels + 1 / kernel^2)``, at most ``kernel^2``.

    >>> round(depthwise_separable_saving(512, kernel=3), 2)
    8.84
    """
    return 1 / (1 / out_channels + 1 / kernel**2)


def depthwise_break_even_channels(ridge: Value, kernel: Value = 3, dtype: Value = "fp32") -> Value:
    """Channels, in and out, from which a depthwise and a 1x1 convolution take less roofline time than one full convolution.

    With few channels all three wait for memory, and the pair moves a map twice more. It pays off once the full convolution's
    arithmetic takes twice as long as its traffic: ``channels * kernel^2 / bytes`` FLOPs a byte are twice the ``ridge``. Weights are left
    out (large maps), and the pair is taken to wait for memory at that width.

    Args:
        ridge: FLOPs per byte at which the device's arithmetic and traffic take equally long.

    >>> round(depthwise_break_even_channels(ridge=203, kernel=3, dtype="fp16"))
    90
    """
    return 2 * ridge * bytes_per_value(dtype) / kernel**2


def squeeze_excite_params(channels: Value, hidden: Value) -> Value:
    """Parameters of squeeze-and-excitation: ``channels -> hidden -> channels``, with biases. Hu et al. 2017 (arXiv:1709.01507)."""
    return linear_params(channels, hidden, bias=1) + linear_params(hidden, channels, bias=1)


def squeeze_excite_flops(batch: Value, channels: Value, hidden: Value) -> Value:
    """FLOPs of squeeze-and-excitation's two layers; pooling and rescaling touch the whole map and are not among them."""
    return linear_flops(batch, channels, hidden) + linear_flops(batch, hidden, channels)


def basic_block_params(channels: Value, kernel: Value = 3) -> Value:
    """Parameters of ResNet's basic block ``channels -> channels``: two convolutions and their batch norms, no projection.

    He et al. 2015 (arXiv:1512.03385).

    >>> basic_block_params(64)
    73984
    """
    return 2 * (conv2d_params(channels, channels, kernel) + batchnorm_params(channels))


def bottleneck_params(channels: Value, reduction: Value = 4, kernel: Value = 3) -> Value:
    """Parameters of ResNet's bottleneck ``channels -> channels / reduction -> channels``, with batch norms, without a projection.

    He et al. 2015 (arXiv:1512.03385): with ``reduction = 4`` it has about as many weights as a basic block a quarter as wide.

    >>> bottleneck_params(256), basic_block_params(64)
    (70400, 73984)
    """
    inner = channels // reduction
    weights = conv2d_params(channels, inner, 1) + conv2d_params(inner, inner, kernel) + conv2d_params(inner, channels, 1)
    return weights + 2 * batchnorm_params(inner) + batchnorm_params(channels)


def inverted_residual_params(in_channels: Value, out_channels: Value, expand: Value = 6, kernel: Value = 3) -> Value:
    """Parameters of an inverted residual block: 1x1 up to ``expand * in_channels`` (``expand`` over 1), depthwise, 1x1 down; batch norms.

    Sandler et al. 2018 (arXiv:1801.04381). EfficientNet's block adds :func:`squeeze_excite_params` of the expanded width.

    >>> inverted_residual_params(24, 24)
    8832
    """
    hidden = expand * in_channels
    convs = conv2d_params(in_channels, hidden, 1) + depthwise_separable_params(hidden, out_channels, kernel)
    return convs + 2 * batchnorm_params(hidden) + batchnorm_params(out_channels)


def convnext_block_params(channels: Value, kernel: Value = 7, expand: Value = 4) -> Value:
    """Parameters of ConvNeXt's block: depthwise convolution, LayerNorm, FFN ``channels -> expand * channels -> channels``, layer scale.

    Liu et al. 2022 (arXiv:2201.03545).

    >>> convnext_block_params(96)
    79296
    """
    depthwise = conv2d_params(channels, channels, kernel, groups=channels, bias=1)
    ffn = linear_params(channels, expand * channels, bias=1) + linear_params(expand * channels, channels, bias=1)
    return depthwise + 2 * channels + ffn + channels


# Heads and scaling ------------------------------------------------------------------------------------------------------


def flatten_linear_params(channels: Value, height: Value, width: Value, d_out: Value, bias: Value = 1) -> Value:
    """Parameters of a fully connected layer on a flattened ``[channels, height, width]`` map: the classifier head that holds most weights.

    >>> flatten_linear_params(64, 56, 56, d_out=128), flatten_linear_params(64, 7, 7, d_out=128)
    (25690240, 401536)
    """
    return linear_params(channels * height * width, d_out, bias)


def compound_scaling_flops(phi: Value, alpha: Value = 1.2, beta: Value = 1.1, gamma: Value = 1.15) -> Value:
    """Times more FLOPs when depth grows by ``alpha^phi``, width by ``beta^phi`` and the image's side by ``gamma^phi``.

    FLOPs go with depth, width squared and side squared: Tan and Le 2019 (arXiv:1905.11946), whose defaults make that about ``2^phi``.

    >>> round(compound_scaling_flops(1), 2)
    1.92
    """
    return (alpha * beta**2 * gamma**2) ** phi
