"""What a calibration runs: the operations that networks spend their time in, each over a grid of shapes."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from .costmodel import SMALL_MAP, aligned
from .kernels import Axis, Build, Choice, Grid, Pools, Range, Run, Width, width_step


def _gemm(pools: Pools, dims: tuple[int, ...], hot: bool = False) -> Run:
    import torch

    x, bias, weight = pools.hot(dims[0], dims[1]), pools.hot(dims[2], at=3), _weight(pools, dims, hot)
    return Run(torch.addmm, lambda: (bias, x, weight()), (x,))


def _int8_gemm(pools: Pools, dims: tuple[int, ...], hot: bool = False) -> Run:
    import torch

    x, weight = pools.hot(dims[0], dims[1]), _weight(pools, dims, hot)
    return Run(torch._int_mm, lambda: (x, weight()), (x,))


def _weight(pools: Pools, dims: tuple[int, ...], hot: bool) -> Callable[[], Any]:
    """Cuts a weight ``[d_in, d_out]``, stored that way or as ``[d_out, d_in]``."""
    _, d_in, d_out, stored = dims[:4]
    shape = (d_out, d_in) if stored == 2 else (d_in, d_out)
    cut = functools.partial(pools.hot, *shape, at=1) if hot else pools.cold(*shape)
    return (lambda: cut().t()) if stored == 2 else cut


def _packed_gemm(pools: Pools, dims: tuple[int, ...], hot: bool = False) -> Run:
    """A linear layer as PyTorch's dynamic quantization makes it: fp32 in and out, int8 weights in the library's own order.

    Packing takes longer than a run, so each sample has one weight. It has left the cache when a calibration comes back to the sample;
    what must not be cold is the code, so a small layer runs before.
    """
    import torch

    tokens, d_in, d_out = dims[:3]
    multiply = torch.ops.quantized.linear_dynamic
    x, weight = pools.hot(tokens, d_in), _packed(pools, d_in, d_out)
    small = pools.hot(16, 64, at=2), _packed(pools, 64, 64)

    def operands() -> tuple[Any, ...]:
        if not hot:
            multiply(*small)
        return x, weight

    return Run(multiply, operands, (x,), once=not hot)


def _packed(pools: Pools, d_in: int, d_out: int) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a later PyTorch will have no tensors of this type
        codes = torch.quantize_per_tensor(pools.hot(d_out, d_in, at=1), 0.02, 0, torch.qint8)
        return torch.ops.quantized.linear_prepack(codes, pools.hot(d_out, at=3))


def _bmm(pools: Pools, dims: tuple[int, ...]) -> Run:
    import torch

    batch, m, k, n = dims
    left, right = pools.hot(batch, m, k), pools.hot(batch, k, n, at=1)
    return Run(torch.bmm, lambda: (left, right), (left, right))


def _attention(causal: bool = False, masked: bool = False) -> Build:
    def build(pools: Pools, dims: tuple[int, ...]) -> Run:
        import torch

        heads, seq, context, d_head = dims
        # As models lay them out: [batch, seq, heads, d_head] seen as [batch, heads, seq, d_head].
        q = pools.hot(1, seq, heads, d_head).transpose(1, 2)
        k, v = (pools.hot(1, context, heads, d_head, at=at).transpose(1, 2) for at in (1, 2))
        mask = pools.hot(1, 1, seq, context, at=3) if masked else None
        attend = functools.partial(torch.nn.functional.scaled_dot_product_attention, attn_mask=mask, is_causal=causal)
        return Run(attend, lambda: (q, k, v), (q, k, v))

    return build


def _rowwise(name: str) -> Build:
    def build(pools: Pools, dims: tuple[int, ...]) -> Run:
        import torch
        import torch.nn.functional as F

        x, y, scale = pools.hot(*dims), pools.hot(*dims, at=1), pools.hot(dims[1], at=3)
        functions: dict[str, tuple[Any, ...]] = {
            "add": (torch.add, x, y),
            "mul": (torch.relu, x),  # the usual one of its class; to multiply by a Python number takes a microsecond more
            "pow": (torch.pow, x, 3.0),
            "tanh": (torch.tanh, x),
            "gelu": (F.gelu, x),
            "silu": (F.silu, x),
            "softmax": (torch.softmax, x, -1),
            "layer_norm": (F.layer_norm, x, (dims[1],), scale, scale),
            "reduce": (torch.sum, x, -1),
            "copy": (torch.clone, x),
        }
        function, *operands = functions[name]
        return Run(function, lambda: tuple(operands), (x, y) if name == "add" else (x,))

    return build


def _strided_copy(pools: Pools, dims: tuple[int, ...]) -> Run:
    import torch

    rows, row = dims
    swapped = pools.hot(rows // _SWAPPED, _SWAPPED, row).transpose(0, 1)  # as heads and positions are
    return Run(torch.Tensor.contiguous, lambda: (swapped,), (swapped,))


def _gather(pools: Pools, dims: tuple[int, ...]) -> Run:
    import torch

    rows, row = dims
    table = pools.cold(2**14, row)
    ids = torch.arange(rows, device=pools.device) * 7919 % 2**14
    return Run(torch.nn.functional.embedding, lambda: (ids, table()))


def _conv(groups: Callable[[int], int] = lambda d_in: 1, sides: int = 2, transposed: bool = False) -> Build:
    def build(pools: Pools, dims: tuple[int, ...]) -> Run:
        import torch.nn.functional as F

        batch, side, d_in, d_out, kernel, stride = dims[:6]
        ours = groups(d_in)
        shape = (d_in, d_out // ours) if transposed else (d_out, d_in // ours)
        weight, bias = pools.cold(*shape, *(kernel,) * sides), pools.hot(d_out, at=3)
        x = pools.hot(batch, d_in, *(side if transposed else side * stride,) * sides)
        function = F.conv1d if sides == 1 else F.conv_transpose2d if transposed else F.conv2d
        call = functools.partial(function, stride=stride, padding=0 if transposed else kernel // 2, groups=ours)
        return Run(call, lambda: (x, weight(), bias), (x,))

    return build


def _recurrent(pools: Pools, dims: tuple[int, ...]) -> Run:
    import torch

    steps, batch, d_in, d_hidden = dims
    x, state = pools.hot(steps, batch, d_in), pools.hot(1, batch, d_hidden, at=1)
    weights = [
        pools.hot(4 * d_hidden, d_in, at=2),
        pools.hot(4 * d_hidden, d_hidden, at=3),
        *(pools.hot(4 * d_hidden, at=at) for at in (1, 2)),
    ]
    return Run(lambda: torch.lstm(x, (state, state), weights, True, 1, 0.0, False, False, False)[0], tuple, (x,))


def _batch_norm(pools: Pools, dims: tuple[int, ...]) -> Run:
    import torch.nn.functional as F

    channels, row = dims
    x, scale = pools.hot(1, channels, row), pools.hot(channels, at=3).abs()
    return Run(F.batch_norm, lambda: (x, scale, scale, scale, scale), (x,))


def _max_pool(pools: Pools, dims: tuple[int, ...]) -> Run:
    import torch.nn.functional as F

    channels, side = dims
    # After a ReLU, as in networks: half of the values are equal, and the search for the largest branches on them.
    x = pools.hot(1, channels, 2 * side, 2 * side).relu()
    return Run(F.max_pool2d, lambda: (x, 3, 2, 1), (x,))


def _embedding_bag(pools: Pools, dims: tuple[int, ...]) -> Run:
    import torch

    bags, per_bag, row = dims
    table = pools.cold(2**14, row)
    ids = torch.arange(bags * per_bag, device=pools.device) * 7919 % 2**14
    begins = torch.arange(0, bags * per_bag, per_bag, device=pools.device)
    return Run(lambda *operands: torch.embedding_bag(*operands)[0], lambda: (table(), ids, begins))


_SWAPPED = 8
_TOKENS, _WIDTH, _STORED = Axis(2, 8192), Width(64, 9216), Axis(1, 2)
_RAGGED = Choice((0, 0, 0, 0, 7))  # values that a row lacks to its round number, as a vocabulary of 50257 does
_ROWS, _ROW = Axis(1, 2**15), Axis(32, 4096, 32)
_HEADS, _D_HEAD = Axis(1, 256), Axis(32, 128, 32)


def _gemm_dims(tokens: int, d_in: int, d_out: int, stored: int, ragged: int) -> tuple[int, ...]:
    return tokens, d_in, d_out - ragged, stored, aligned(d_in, d_out - ragged)


def _gemm_flops(tokens: int, d_in: int, d_out: int, *_: int) -> float:
    return 2.0 * tokens * d_in * d_out


def _gemm_values(tokens: int, d_in: int, d_out: int, *_: int) -> float:
    return tokens * d_in + d_in * d_out + d_out + tokens * d_out


def _gemm_grid(law: str, axes: tuple[Range, ...], share: float, most_values: int = 2**25, largest: float = 6e9) -> Grid:
    return Grid(
        law, (*axes, _STORED, _RAGGED), functools.partial(_gemm, hot=law.endswith(".hot")), share,
        flops=_gemm_flops, values=_gemm_values, dims=_gemm_dims, most_values=most_values, largest=largest,
    )  # fmt: skip


def _int8_grid(law: str, axes: tuple[Range, ...], share: float, devices: tuple[str, ...] = ("cpu", "cuda")) -> Grid:
    """Products of int8 matrices with int32 results. On CUDA all sides are multiples of 16, which every version of its library takes."""
    hot = law.endswith(".hot")
    return Grid(
        law, (*axes, _STORED, Choice((0,))), functools.partial(_int8_gemm, hot=hot), share,
        flops=_gemm_flops, values=lambda tokens, d_in, d_out, *_: tokens * d_in + d_in * d_out + 4 * tokens * d_out, dims=_gemm_dims,
        most_values=2**24 if hot else 2**25, largest=2.4e10, dtypes=("int8",), devices=devices,
    )  # fmt: skip


def _packed_grid(law: str, axes: tuple[Range, ...], share: float) -> Grid:
    """Linear layers with packed int8 weights; ``values`` are bytes: inputs, results and biases are fp32."""
    hot = law.endswith(".hot")
    return Grid(
        law, (*axes, Choice((1,)), _RAGGED), functools.partial(_packed_gemm, hot=hot), share,
        flops=_gemm_flops, values=lambda tokens, d_in, d_out, *_: 4 * tokens * (d_in + d_out) + d_in * d_out + 4 * d_out, dims=_gemm_dims,
        most_values=2**24 if hot else 2**25, largest=2.4e10, dtypes=("int8",), pool="fp32", devices=("cpu",),
    )  # fmt: skip


def _attention_grid(suffix: str, axes: tuple[Range, ...], share: float, dims: Callable[..., tuple[int, ...]], **kind: bool) -> Grid:
    return Grid(
        "attention" + suffix, axes, _attention(**kind), share, dims=dims, largest=3e9,
        flops=lambda heads, seq, context, d_head: 4.0 * heads * seq * context * d_head,
        values=lambda heads, seq, context, d_head: 2.0 * heads * d_head * (seq + context), aged=True,
    )  # fmt: skip


def _rowwise_grid(name: str, share: float, values_per_value: float = 2, build: Build | None = None) -> Grid:
    return Grid(
        name, (_ROWS, _ROW), build or _rowwise(name), share, values=lambda rows, row: values_per_value * rows * row,
        dtypes=("fp32", "bf16"), aged=build is None, most_values=2**24,
    )  # fmt: skip


_CHANNELS = Axis(3, 1536, 8)
# Maps as networks have them: libraries have kernels for round numbers, and a shape between two of them may be slower than both.
_BATCH = Choice((1, 1, 1, 2, 4, 8, 8, 16))
_SIDE = Choice((4, 6, 7, 7, 8, 10, 12, 13, 14, 14, 16, 19, 20, 24, 27, 28, 28, 32, 38, 40, 48, 55, 56, 56, 64, 80, 112, 112, 224))
_SMALL_SIDE = Choice((1, 1, 2, 4, 7, 7, 8, 10, 14, 14, 16, 28))
_WIDE = Axis(336, 61440)  # channels times side: a network that halves the side doubles the channels, so this stays within a range
_RATIO = Axis(17, 600)  # of the channels after a convolution to those before, in hundredths
_MULTIPLE = Choice((8, 16, 0, 0, 0))  # of the channels; 0: as networks choose them, see Width


def _channels(wide: float, side: int, multiple: int) -> int:
    """Of a map with that side: few of a large one, many of a small one; 3 of an image."""
    channels = max(wide / side, 3)
    if channels < 8:
        return 3 if channels < 5 and side >= 28 else 8
    step = max(width_step(channels), 8)
    multiple = multiple if multiple and channels > multiple else step
    return round(channels / multiple) * multiple


def _conv_flops(batch: int, side: int, d_in: int, d_out: int, kernel: int, stride: int, *_: int) -> float:
    return 2.0 * batch * side**2 * d_in * d_out * kernel**2


def _conv_values(batch: int, side: int, d_in: int, d_out: int, kernel: int, stride: int, *_: int) -> float:
    return batch * side**2 * (d_in * stride**2 + d_out) + d_in * d_out * kernel**2 + d_out


def _conv_dims(batch: int, side: int, d_in: int, d_out: int, kernel: int, stride: int) -> tuple[int, ...]:
    return batch, side, d_in, d_out, kernel, stride, aligned(d_in, d_out)


def _map_dims(batch: int, side: int, wide: int, ratio: int, multiple: int, kernel: int, stride: int) -> tuple[int, ...]:
    d_in = _channels(wide, side * stride, multiple)
    return _conv_dims(batch, side, d_in, _channels(max(d_in, 32) * ratio, 100, multiple), kernel, stride)


def _small_dims(values: int, side: int, d_out: int, multiple: int, kernel: int, stride: int) -> tuple[int, ...]:
    most = SMALL_MAP // (side * stride) ** 2
    d_in = min(_channels(values / (side * stride), side * stride, multiple), most, 2048)
    return _conv_dims(1, side, d_in, _channels(d_out, 1, multiple), kernel, stride)


def _depthwise_dims(batch: int, side: int, wide: int, multiple: int, kernel: int, stride: int) -> tuple[int, ...]:
    channels = _channels(wide, side, multiple)
    return _conv_dims(batch, side, channels, channels, kernel, stride)


# Sequences as models see them: kernels work in blocks, and a length between two round ones wastes part of the last.
_SEQ = Choice((4, 8, 16, 24, 32, 49, 50, 64, 64, 77, 96, 128, 128, 128, 160, 196, 197, 256, 256, 320, 384, 512, 512, 768, 1024, 1500, 2048))
_PREFILL, _DECODE = (_HEADS, _SEQ, _D_HEAD), (_HEADS, Axis(16, 4096), _D_HEAD)
GRIDS = (
    _gemm_grid("gemm", (_TOKENS, _WIDTH, _WIDTH), 8),
    # A decode step, then the output layer over a vocabulary: few tokens, wide weights.
    _gemm_grid("gemm", (Axis(2, 512), Width(256, 4096), Axis(1024, 131072, 64)), 4, most_values=2**26),
    _gemm_grid("gemm", (Axis(32, 1024), Width(384, 2048), Axis(16384, 131072, 64)), 2.5, most_values=2**26, largest=1.2e10),
    _gemm_grid("gemm.hot", (_TOKENS, Width(64, 3072), Width(64, 3072)), 3, most_values=2**22),  # what fits a cache
    _gemm_grid("gemv", (Choice((1,)), Width(16, 16384), Axis(16, 131072, 16)), 2.5, most_values=2**26),
    _gemm_grid("gemv.hot", (Choice((1,)), Width(16, 4096), Width(16, 8192)), 0.2, most_values=2**21),
    _int8_grid("gemm", (Axis(32, 8192, 16), _WIDTH, _WIDTH), 4),
    _int8_grid("gemm", (Axis(1, 31), _WIDTH, _WIDTH), 2, devices=("cpu",)),
    _int8_grid("gemm.hot", (Axis(32, 8192, 16), Width(64, 3072), Width(64, 3072)), 2),
    _int8_grid("gemm.hot", (Axis(1, 31), Width(64, 3072), Width(64, 3072)), 0.5, devices=("cpu",)),
    _packed_grid("gemm.packed", (Axis(1, 8192), Width(64, 8192), Width(64, 8192)), 6),
    _packed_grid("gemm.packed", (Axis(1, 512), Width(256, 1024), Axis(8192, 65536, 64)), 1.5),
    _packed_grid("gemm.packed.hot", (Axis(1, 8192), Width(64, 3072), Width(64, 3072)), 3),
    Grid("bmm", (_HEADS, Axis(1, 1024), Axis(16, 1024), Axis(16, 1024)), _bmm, 3, largest=2e9,
         flops=lambda b, m, k, n: 2.0 * b * m * k * n, values=lambda b, m, k, n: b * (m * k + k * n + m * n), aged=True),
    _attention_grid("", _PREFILL, 4, lambda heads, seq, d_head: (heads, seq, seq, d_head)),
    _attention_grid("", _DECODE, 1, lambda heads, context, d_head: (heads, 1, context, d_head)),
    _attention_grid(".causal", _PREFILL, 3, lambda heads, seq, d_head: (heads, seq, seq, d_head), causal=True),
    _attention_grid(".masked", _PREFILL, 1.5, lambda heads, seq, d_head: (heads, seq, seq, d_head), masked=True),
    _attention_grid(".masked", _DECODE, 0.7, lambda heads, context, d_head: (heads, 1, context, d_head), masked=True),
    _rowwise_grid("add", 2, 3), _rowwise_grid("mul", 2), _rowwise_grid("pow", 1.2), _rowwise_grid("tanh", 1.5), _rowwise_grid("gelu", 2),
    _rowwise_grid("silu", 0.8), _rowwise_grid("softmax", 1.5), _rowwise_grid("layer_norm", 2), _rowwise_grid("reduce", 0.8, 1),
    _rowwise_grid("copy", 1.2),
    Grid("copy.strided", (Axis(2 * _SWAPPED, 2**15, _SWAPPED), _ROW), _strided_copy, 1.2, values=lambda rows, row: 2.0 * rows * row,
         dtypes=("fp32", "bf16"), aged=True),
    _rowwise_grid("gather", 0.25, build=_gather),
    Grid("conv", (_BATCH, _SIDE, _WIDE, _RATIO, _MULTIPLE, Choice((3, 3, 3, 3, 5, 7)), Choice((1, 1, 1, 2))), _conv(), 12,
         flops=_conv_flops, values=_conv_values, dims=_map_dims, largest=4e9),
    Grid("conv.pointwise", (_BATCH, _SIDE, _WIDE, _RATIO, _MULTIPLE, Choice((1,)), Choice((1, 1, 1, 1, 2))), _conv(), 10,
         flops=_conv_flops, values=_conv_values, dims=_map_dims, largest=4e9),
    Grid("conv.small", (Axis(64, SMALL_MAP), _SMALL_SIDE, Axis(8, 1536), _MULTIPLE, Choice((1, 1, 3)), Choice((1, 1, 1, 2))), _conv(), 1,
         flops=_conv_flops, values=_conv_values, dims=_small_dims, dtypes=("fp32",)),
    Grid("conv.depthwise", (_BATCH, _SIDE, _WIDE, _MULTIPLE, Choice((3, 3, 5, 7)), Choice((1, 1, 2))), _conv(groups=lambda d_in: d_in), 3.5,
         flops=lambda batch, side, channels, _, kernel, stride, __: 2.0 * batch * side**2 * channels * kernel**2,
         values=lambda batch, side, channels, _, kernel, stride, __: channels * (batch * side**2 * (stride**2 + 1) + kernel**2 + 1),
         dims=_depthwise_dims),
    Grid("conv.transposed", (_BATCH, Axis(4, 64), _CHANNELS, _CHANNELS, Choice((2, 4)), Choice((2,))), _conv(transposed=True), 0.7,
         flops=_conv_flops, dims=_conv_dims, largest=2e9,
         values=lambda batch, side, d_in, d_out, kernel, stride, _: (
             batch * (side**2 * d_in + ((side - 1) * stride + kernel) ** 2 * d_out) + d_in * d_out * kernel**2 + d_out)),
    Grid("conv1d", (Axis(1, 8), Axis(64, 8192), _CHANNELS, _CHANNELS, Choice((2, 3, 3, 10)), Choice((1, 2, 2, 5))), _conv(sides=1), 1,
         flops=lambda batch, length, d_in, d_out, kernel, stride, _: 2.0 * batch * length * d_in * d_out * kernel,
         values=lambda batch, length, d_in, d_out, kernel, stride, _: (
             batch * length * (d_in * stride + d_out) + d_in * d_out * kernel + d_out),
         dims=_conv_dims, largest=2e9),
    Grid("recurrent", (Axis(4, 256), Axis(1, 64), Axis(32, 1440, 32), Axis(32, 1440, 32)), _recurrent, 2, largest=2e9,
         flops=lambda steps, batch, d_in, d_hidden: 8.0 * steps * batch * d_hidden * (d_in + d_hidden),
         values=lambda steps, batch, d_in, d_hidden: steps * batch * (d_in + d_hidden) + 4 * d_hidden * (d_in + d_hidden + 2)),
    Grid("batch_norm", (Axis(8, 4096, 8), Axis(16, 12544)), _batch_norm, 1,
         values=lambda channels, row: 2 * channels * row + 4 * channels, aged=True),
    Grid("pool", (Axis(8, 1024, 8), Axis(4, 56)), _max_pool, 1,
         # max_pool2d writes the place of each maximum beside its value, in 8 bytes
         values=lambda channels, side: channels * side**2 * 7, aged=True),
    Grid("gather.bag", (Axis(1, 2048), Axis(1, 64), Axis(16, 256, 16)), _embedding_bag, 0.2,
         values=lambda bags, per_bag, row: bags * row * (per_bag + 1)),
)  # fmt: skip
