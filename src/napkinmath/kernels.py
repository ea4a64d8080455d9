"""What a calibration samples with: memory for the operands, and grids of shapes. The grids themselves are in :mod:`.grids`.

Weights come from a pool that is larger than the last-level cache and rotate through it, because in a model other layers'
weights evict them before they are used again. Activations come from a small pool and are written just before they are timed, by
another operation, as in a model; how much traffic lies between (:attr:`napkinmath.costmodel.Work.age`) is one of the dimensions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .costmodel import COLD_BYTES, SAMPLED_DTYPES, Work
from .dtypes import bytes_per_value

if TYPE_CHECKING:
    import torch

_EVICTING_BYTES = 2**22  # at most in one operation: what every operation uses, as PyTorch's dispatcher, stays as near as in a model
_EVICTING_TOKENS = 16  # as many as a library multiplies by blocks, so that a weight goes through the caches as it does in a model


@dataclass(frozen=True)
class Run:
    """An operation that is ready to be timed.

    Attributes:
        function: runs it once.
        operands: cuts its operands from the pools, which is not timed.
        fresh: those of them that an operation before has written.
        once: whether a second run would find weights in the cache that a model finds in memory: they are not cut from the rotating pool.
    """

    function: Callable[..., Any]
    operands: Callable[[], tuple[Any, ...]]
    fresh: tuple[torch.Tensor, ...] = ()
    once: bool = False

    def __call__(self) -> Any:
        return self.function(*self.operands())


Build = Callable[["Pools", tuple[int, ...]], Run]


class Pools:
    """Memory of one dtype from which operands are cut without allocating."""

    def __init__(self, device: str, dtype: torch.dtype, cold_elements: int, hot_elements: int = 2**25) -> None:
        import torch

        def fill(elements: int) -> torch.Tensor:
            block = torch.randn(2**18, device=device)
            block = block if dtype.is_floating_point else block * 30
            return block.to(dtype).repeat(math.ceil(elements / len(block)))

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

    def evict(self, weight_bytes: float) -> None:
        """Multiply by weights of that size in all, as the operations between an activation's writer and its reader do."""
        import torch

        d_in, products = 768, max(math.ceil(weight_bytes / _EVICTING_BYTES), 1)
        d_out = int(weight_bytes / products / self._cold.element_size() / d_in)
        for _ in range(products if d_out else 0):
            torch.mm(self.hot(_EVICTING_TOKENS, d_in, at=3), self.cold(d_out, d_in)().t())


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


def width_step(value: float) -> int:
    """How far apart the widths lie, near a value of 4 or more, that are four to seven times a power of two."""
    step: int = 2 ** (int(math.log2(value)) - 2)
    return step


@dataclass(frozen=True)
class Width:
    """Range of a layer's width, covered evenly in its logarithm, as networks choose it: four to seven times a power of two.

    Rows that lie a round number of bytes apart compete for the same places in a cache: a width between these is faster.
    """

    low: int
    high: int

    def at(self, u: float) -> int:
        value = self.low * (self.high / self.low) ** u
        step = width_step(value)
        return min(max(self.low, round(value / step) * step), self.high)


_BETWEEN = Axis(2**15, COLD_BYTES)


@dataclass(frozen=True)
class Choice:
    """The values that one dimension takes; one that is listed twice comes twice as often."""

    values: tuple[int, ...]

    def at(self, u: float) -> int:
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]


Range = Axis | Width | Choice


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
        aged: whether the traffic between writing the operands and reading them is a further dimension.
        dtypes: that the law is for.
        pool: the dtype whose pools :attr:`build` cuts from, where it is another than the law's.
        devices: where the operation exists.
    """

    law: str
    axes: tuple[Range, ...]
    build: Build
    share: float
    values: Callable[..., float]
    flops: Callable[..., float] = lambda *dims: 0.0
    dims: Callable[..., tuple[int, ...]] = lambda *dims: dims
    largest: float = 6e9
    most_values: int = 2**25
    dtypes: tuple[str, ...] = SAMPLED_DTYPES
    aged: bool = False
    pool: str = ""
    devices: tuple[str, ...] = ("cpu", "cuda", "mps")

    def works(self, dtype: str) -> Iterator[Work]:
        """Works of this grid, without end, by a low-discrepancy sequence: any prefix of it covers the grid evenly."""
        for *point, between in _low_discrepancy(len(self.axes) + 1):
            dims = self.dims(*(axis.at(u) for axis, u in zip(self.axes, point, strict=True)))
            flops, values = self.flops(*dims), self.values(*dims)
            if flops <= self.largest and values <= self.most_values:
                moved = values * bytes_per_value(dtype)
                # Who wrote the operands has moved as much as is moved now; then comes what lies between.
                yield Work(self.law, dtype, dims, flops, moved, moved + _BETWEEN.at(between) if self.aged else 0.0)


def _low_discrepancy(dimensions: int) -> Iterator[tuple[float, ...]]:
    """The R-sequence: multiples of the powers of 1/g, g the root of g**(d+1) = g + 1 (M. Roberts, 2018)."""
    g = 1.5
    for _ in range(50):
        g = (1 + g) ** (1 / (dimensions + 1))
    for index in itertools.count(1):
        yield tuple((0.5 + index / g ** (j + 1)) % 1 for j in range(dimensions))
