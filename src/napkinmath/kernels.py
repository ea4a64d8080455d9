"""What a calibration runs: the operations that transformers, and most other networks, spend their time in, over a grid of shapes.

Weights come from a pool that is larger than the last-level cache and rotate through it, because in a model other layers'
weights evict them before they are used again. Activations come from a small pool, because the operation before has just
written them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .costmodel import Work
from .dtypes import bytes_per_value

if TYPE_CHECKING:
    import torch

Run = Callable[[], object]
Build = Callable[["Pools", tuple[int, ...]], Run]


class Pools:
    """Memory of one dtype from which operands are cut without allocating."""

    def __init__(self, device: str, dtype: torch.dtype, cold_elements: int, hot_elements: int = 2**25) -> None:
        import torch

        def fill(elements: int) -> torch.Tensor:
            block = torch.randn(2**18, device=device).to(dtype)
            return block.repeat(math.ceil(elements / len(block)))

        self._cold, self._hot = fill(cold_elements), fill(hot_elements)
        self._next_cold = 0
        self.device = device

    def hot(self, *shape: int, at: int = 0) -> torch.Tensor:
        """An activation; ``at`` picks another place where two operands of one operation must differ."""
        size = math.prod(shape)
        start = at * (len(self._hot) // 4) if size <= len(self._hot) // 4 else 0
        return self._hot[start : start + size].view(shape)

    def cold(self, *shape: int) -> Callable[[], torch.Tensor]:
        """A weight that is somewhere else in memory at each call."""
        size = math.prod(shape)

        def following() -> torch.Tensor:
            if self._next_cold + size > len(self._cold):
                self._next_cold = 0
            start, self._next_cold = self._next_cold, self._next_cold + size
            return self._cold[start : start + size].view(shape)

        return following


@dataclass(frozen=True)
class Axis:
    """Range of one dimension, covered evenly in its logarithm, rounded to a multiple."""

    low: int
    high: int
    multiple: int = 1

    def at(self, u: float) -> int:
        value = self.low * (self.high / self.low) ** u
        multiple = self.multiple if value >= self.multiple else 1
        return max(self.low, round(value / multiple) * multiple)


@dataclass(frozen=True)
class Grid:
    """Shapes of one law and how to run them.

    Attributes:
        law: the law that the samples feed (see :class:`napkinmath.costmodel.Work`).
        axes: ranges of its dimensions; :attr:`dims` may derive further ones.
        build: makes a callable that runs the operation once.
        share: part of the calibration's time, relative to the other grids.
        flops, values: matrix FLOPs, and values read and written, of given dimensions.
        largest, most_values: no sample has more FLOPs, or touches more values, so that none takes a large part of the time.
    """

    law: str
    axes: tuple[Axis, ...]
    build: Build
    share: float
    values: Callable[..., float]
    flops: Callable[..., float] = lambda *dims: 0.0
    dims: Callable[..., tuple[int, ...]] = lambda *dims: dims
    largest: float = 6e9
    most_values: int = 2**25
    dtypes: tuple[str, ...] = field(default=("fp32", "bf16", "fp16"))

    def works(self, dtype: str) -> Iterator[Work]:
        """Works of this grid, without end, by a low-discrepancy sequence: any prefix of it covers the grid evenly."""
        for point in _low_discrepancy(len(self.axes)):
            dims = self.dims(*(axis.at(u) for axis, u in zip(self.axes, point, strict=True)))
            flops, values = self.flops(*dims), self.values(*dims)
            if flops <= self.largest and values <= self.most_values:
                yield Work(self.law, dtype, dims, flops, values * bytes_per_value(dtype))


def _low_discrepancy(dimensions: int) -> Iterator[tuple[float, ...]]:
    """The R-sequence: multiples of the powers of 1/g, g the root of g**(d+1) = g + 1 (M. Roberts, 2018)."""
    g = 1.5
    for _ in range(50):
        g = (1 + g) ** (1 / (dimensions + 1))
    for index in itertools.count(1):
        yield tuple((0.5 + index / g ** (j + 1)) % 1 for j in range(dimensions))


def _gemm(pools: Pools, dims: tuple[int, ...], hot: bool = False) -> Run:
    import torch

    tokens, d_in, d_out, stored = dims
    x, bias = pools.hot(tokens, d_in), pools.hot(d_out, at=3)
    shape = (d_out, d_in) if stored == 2 else (d_in, d_out)
    weight = functools.partial(pools.hot, *shape, at=1) if hot else pools.cold(*shape)
    return lambda: torch.addmm(bias, x, weight().t() if stored == 2 else weight())


def _gemm_hot(pools: Pools, dims: tuple[int, ...]) -> Run:
    return _gemm(pools, dims, hot=True)


def _bmm(pools: Pools, dims: tuple[int, ...]) -> Run:
    import torch

    batch, m, k, n = dims
    left, right = pools.hot(batch, m, k), pools.hot(batch, k, n, at=1)
    return lambda: torch.bmm(left, right)


def _attention(causal: bool = False, masked: bool = False) -> Build:
    def build(pools: Pools, dims: tuple[int, ...]) -> Run:
        import torch

        heads, seq, context, d_head = dims
        # As models lay them out: [batch, seq, heads, d_head] seen as [batch, heads, seq, d_head].
        q = pools.hot(1, seq, heads, d_head).transpose(1, 2)
        k, v = (pools.hot(1, context, heads, d_head, at=at).transpose(1, 2) for at in (1, 2))
        mask = pools.hot(1, 1, seq, context, at=3) if masked else None
        return lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)

    return build


def _rowwise(name: str) -> Build:
    def build(pools: Pools, dims: tuple[int, ...]) -> Run:
        import torch
        import torch.nn.functional as F

        x, y, scale = pools.hot(*dims), pools.hot(*dims, at=1), pools.hot(dims[1], at=3)
        run: dict[str, Run] = {
            "add": lambda: x + y,
            "mul": lambda: x * 0.5,
            "pow": lambda: torch.pow(x, 3.0),
            "tanh": lambda: torch.tanh(x),
            "gelu": lambda: F.gelu(x),
            "silu": lambda: F.silu(x),
            "softmax": lambda: torch.softmax(x, -1),
            "layer_norm": lambda: F.layer_norm(x, (dims[1],), scale, scale),
            "reduce": lambda: x.sum(-1),
            "copy": lambda: x.clone(),
        }
        return run[name]

    return build


def _strided_copy(pools: Pools, dims: tuple[int, ...]) -> Run:
    rows, row = dims
    heads = math.gcd(12, rows)
    swapped = pools.hot(rows // heads, heads, row).transpose(0, 1)
    return lambda: swapped.contiguous()


def _gather(pools: Pools, dims: tuple[int, ...]) -> Run:
    import torch

    rows, row = dims
    table = pools.cold(2**14, row)
    ids = torch.arange(rows, device=pools.device) * 7919 % 2**14
    return lambda: torch.nn.functional.embedding(ids, table())


_TOKENS, _WIDTH, _STORED = Axis(1, 8192), Axis(64, 8192, 64), Axis(1, 2)
_ROWS, _ROW = Axis(1, 2**15), Axis(32, 4096, 32)
_HEADS, _D_HEAD = Axis(1, 256), Axis(32, 128, 32)


def _gemm_flops(tokens: int, d_in: int, d_out: int, stored: int) -> float:
    return 2.0 * tokens * d_in * d_out


def _gemm_values(tokens: int, d_in: int, d_out: int, stored: int) -> float:
    return tokens * d_in + d_in * d_out + d_out + tokens * d_out


def _attention_grid(suffix: str, axes: tuple[Axis, ...], share: float, dims: Callable[..., tuple[int, ...]], **kind: bool) -> Grid:
    return Grid(
        "attention" + suffix, axes, _attention(**kind), share, dims=dims, largest=3e9,
        flops=lambda heads, seq, context, d_head: 4.0 * heads * seq * context * d_head,
        values=lambda heads, seq, context, d_head: 2.0 * heads * d_head * (seq + context),
    )  # fmt: skip


def _rowwise_grid(name: str, share: float, values_per_value: float = 2, build: Build | None = None) -> Grid:
    return Grid(
        name, (_ROWS, _ROW), build or _rowwise(name), share, values=lambda rows, row: values_per_value * rows * row, dtypes=("fp32", "bf16")
    )


_PREFILL = (_HEADS, Axis(4, 2048), _D_HEAD)
GRIDS = (
    Grid("gemm", (_TOKENS, _WIDTH, _WIDTH, _STORED), _gemm, 9, flops=_gemm_flops, values=_gemm_values),
    # A decode step, and the output layer over a vocabulary: few tokens, wide weights.
    Grid("gemm", (Axis(1, 512), Axis(256, 4096, 64), Axis(1024, 131072, 64), _STORED), _gemm, 5,
         flops=_gemm_flops, values=_gemm_values, most_values=2**26),
    Grid("gemm.hot", (_TOKENS, _WIDTH, _WIDTH, _STORED), _gemm_hot, 4, flops=_gemm_flops, values=_gemm_values),
    Grid("bmm", (_HEADS, Axis(1, 1024), Axis(16, 1024), Axis(16, 1024)), _bmm, 3, largest=2e9,
         flops=lambda b, m, k, n: 2.0 * b * m * k * n, values=lambda b, m, k, n: b * (m * k + k * n + m * n)),
    _attention_grid("", _PREFILL, 4, lambda heads, seq, d_head: (heads, seq, seq, d_head)),
    _attention_grid("", (_HEADS, Axis(16, 4096), _D_HEAD), 1.5, lambda heads, context, d_head: (heads, 1, context, d_head)),
    _attention_grid(".causal", _PREFILL, 3, lambda heads, seq, d_head: (heads, seq, seq, d_head), causal=True),
    _attention_grid(".masked", _PREFILL, 1.5, lambda heads, seq, d_head: (heads, seq, seq, d_head), masked=True),
    _rowwise_grid("add", 1, 3), _rowwise_grid("mul", 1), _rowwise_grid("pow", 1), _rowwise_grid("tanh", 1), _rowwise_grid("gelu", 1),
    _rowwise_grid("silu", 0.5), _rowwise_grid("softmax", 1), _rowwise_grid("layer_norm", 1), _rowwise_grid("reduce", 0.5, 1),
    _rowwise_grid("copy", 0.7),
    _rowwise_grid("copy.strided", 0.7, build=_strided_copy), _rowwise_grid("gather", 0.5, build=_gather),
)  # fmt: skip
