"""What one operation costs on a measured machine: one law per class of operation, fitted to a calibration.

A law says how long an operation takes from what the whiteboard knows of it::

    seconds = a + flops / peak * (1 + c1/dim1) * (1 + c2/dim2) ... + bytes / bandwidth

``a`` is the cost of dispatching it, ``c`` says which dimensions are too small to fill the machine. The constants are
fitted to the calibration's samples, robustly and on the logarithm, because a prediction is judged by its ratio. What the
formula misses (cache levels, a library's switch of algorithm) is smooth in the logarithm of the dimensions: a Gaussian
process interpolates the remaining ratio and says how far it may be off, which becomes the prediction's interval. Far from
every sample the process knows nothing and the formula alone is left.

A calibration sample and a ledger row go through the same :class:`Work`, so that they cannot drift apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .ledger import Op

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

#: Bandwidth-bound laws and the operators that they price. An operator that is not listed is priced as its ledger kind.
_OPERATORS = {
    "add": "add sub rsub",
    "mul": "mul div where maximum minimum neg relu clamp masked_fill eq ne lt le gt ge",
    "pow": "pow rsqrt sqrt",
    "tanh": "tanh exp sin cos",
    "gelu": "gelu erf",
    "silu": "silu sigmoid",
    "layer_norm": "layer_norm native_layer_norm rms_norm _fused_rms_norm",
    "softmax": "softmax _softmax _safe_softmax",
    "reduce": "sum mean amax argmax var",
    "copy": "clone copy _to_copy contiguous cat repeat reshape",
    "batch_norm": "native_batch_norm batch_norm",
    "pool": "max_pool2d_with_indices",
    "gather": "embedding index_select gather index",
}
_LAW_OF_OPERATOR = {operator: law for law, operators in _OPERATORS.items() for operator in operators.split()}
_LAW_OF_KIND = {"norm": "layer_norm", "elementwise": "mul", "pool": "reduce"} | {
    law: law for law in ("softmax", "reduce", "gather", "copy")
}


@dataclass(frozen=True, slots=True)
class Work:
    """One execution of an operation, as a law sees it.

    Attributes:
        law: class of operation: ``gemm`` (tokens, d_in, d_out, and 2 where the weight is stored [d_out, d_in], else 1), ``gemm.hot``
            (the same with the weights in cache), ``bmm`` (batch, m, k, n), ``attention``, ``attention.causal`` or ``attention.masked``
            (batch * heads, seq, context, d_head), ``conv``, ``conv.pointwise``, ``conv.depthwise``, ``conv.transposed`` or ``conv1d``
            (batch, side of the output, in and out channels of a group, kernel, stride, :func:`aligned`), ``recurrent`` (steps, batch,
            d_in, d_hidden), ``gather.bag`` (bags, rows in a bag, values in a row), or a bandwidth-bound class (rows, values in a row).
        dtype: element type of the operands.
        dims: the sizes above.
        flops: matrix FLOPs; 0 for the bandwidth-bound classes.
        bytes: bytes read and written.
    """

    law: str
    dtype: str
    dims: tuple[int, ...]
    flops: float
    bytes: float

    @property
    def key(self) -> str:
        return f"{self.law}/{self.dtype}"


def aligned(d_in: int, d_out: int) -> int:
    """2 where both channel counts are multiples of 16, the values of a wide vector register, else 1: libraries switch algorithm there."""
    return 1 if d_in % 16 or d_out % 16 else 2


def work_of(op: Op, weights_hot: bool = False, cache_bytes: int = 0) -> Work | None:
    """The work of one execution of a ledger row, or ``None`` where no law covers the operation.

    Args:
        op: a row of a ledger traced on the device that is to be predicted.
        weights_hot: whether all weights of the model stay in the last-level cache between two runs.
        cache_bytes: of the last-level cache: a weight that an earlier row has read (a recurrent layer's steps) stays there if it fits.
    """
    operator = op.op.removeprefix("aten.").split(".")[0].rstrip("_")
    flops, moved = op.flops / op.count, op.bytes_moved / op.count
    layout = dict(op.layout)
    if op.kind == "attention" and len(op.shape) >= 2:
        (*batch, seq, d_head), (*_, context, _) = op.shape[:2]
        variant = ".causal" if layout.get("causal") else ".masked" if layout.get("masked") else ""
        return Work("attention" + variant, op.dtype, (math.prod(batch), seq, context, d_head), flops, moved)
    if op.kind == "matmul" and len(op.shape) == 2:
        (matrices, tokens, d_in), (_, _, d_out) = op.shape
        if matrices > 1:
            return Work("bmm", op.dtype, (matrices, tokens, d_in, d_out), flops, moved)
        read_before = op.params == 0 and layout.get("weight_bytes", 0) <= cache_bytes / 2
        cold = "weight_bytes" in layout and not (weights_hot or read_before)
        stored = 2 if layout.get("transposed") else 1
        return Work("gemm" if cold else "gemm.hot", op.dtype, (tokens, d_in, d_out, stored), flops, moved)
    if op.kind == "conv" and len(op.shape) == 2:
        return _conv_work(op, layout, flops, moved)
    if op.kind == "recurrent" and len(op.shape) == 3:
        (steps, sequences, d_in), (_, _), (_, d_hidden) = op.shape
        return Work("recurrent", op.dtype, (steps, sequences, d_in, d_hidden), flops, moved)
    if operator == "_embedding_bag" and len(op.shape) >= 3:
        (_, row), (looked_up,), (bags,) = op.shape[:3]
        return Work("gather.bag", op.dtype, (bags, max(looked_up // max(bags, 1), 1), row), 0.0, moved)
    law = _LAW_OF_OPERATOR.get(operator) or _LAW_OF_KIND.get(op.kind)
    if law is None or not op.bytes_moved:
        return None
    if law == "copy" and layout.get("contiguous") is False:
        law = "copy.strided"
    if law in ("batch_norm", "pool"):
        planes, positions = math.prod(op.shape[0][:2]), max(math.prod(op.shape[0][2:]), 1)
        size = positions if law == "batch_norm" else max(round(math.sqrt(positions) / 2), 1)  # side of the pooled map
        return Work(law, op.dtype, (planes, size), 0.0, moved)
    row = max((shape[-1] for shape in op.shape if shape), default=1)
    values = max((math.prod(shape) for shape in op.shape), default=1)
    if law == "gather" and len(op.shape) >= 2:
        values = row * math.prod(op.shape[-1])  # the rows that are looked up, however large the table is
    return Work(law, op.dtype, (max(values // max(row, 1), 1), max(row, 1)), 0.0, moved)


def _conv_work(op: Op, layout: dict[str, Any], flops: float, moved: float) -> Work | None:
    """A convolution as its law sees it; None for three dimensions and for transposed ones in one."""
    (batch, _, *spatial), weight = op.shape
    if len(spatial) > 2:
        return None
    transposed, groups = bool(layout.get("transposed")), layout.get("groups", 1)
    d_out, d_in, *taps = weight
    if transposed:
        d_in, d_out = d_out, d_in
    stride = max(layout.get("stride", (1,)))
    positions = op.flops / op.count / (2 * batch * math.prod(weight))  # of the output; of the input where transposed
    side = max(round(positions if len(spatial) == 1 else math.sqrt(positions)), 1)
    kernel = max(round(math.prod(taps) ** (1 / len(taps))), 1)
    if groups > 1 and d_in == 1 and len(spatial) == 2 and not transposed:
        law, d_in = "conv.depthwise", d_out
    else:
        law = "conv1d" if len(spatial) == 1 else "conv.transposed" if transposed else "conv.pointwise" if kernel == 1 else "conv"
        batch, d_out = batch * groups, max(d_out // groups, 1)  # groups run one beside another, as a batch does
    return Work(law, op.dtype, (batch, side, d_in, d_out, kernel, stride, aligned(d_in, d_out)), flops, moved)


@dataclass(frozen=True)
class Priced:
    """What a law says of several works: arrays of one length.

    Attributes:
        seconds: best estimate (median) of each.
        sigma: standard deviation of its natural logarithm.
        compute, bandwidth, overhead: the law's three terms in seconds, which say what binds.
        outside: whether a dimension lies outside the calibrated range.
    """

    seconds: Floats
    sigma: Floats
    compute: Floats
    bandwidth: Floats
    overhead: Floats
    outside: npt.NDArray[np.bool_]


class Law:
    """The fitted cost of one class of operation."""

    #: Length scales (in doublings of a dimension), amplitudes and noises (natural log of seconds) that the fit chooses from.
    _SCALES = (1.0, 1.5, 2.5, 4.0, 7.0)
    _AMPLITUDES = (0.05, 0.1, 0.2, 0.4)
    _NOISES = (0.02, 0.05, 0.1, 0.2)

    def __init__(self, works: Sequence[Work], seconds: Sequence[float]) -> None:
        """Fit the law to measured works of one class.

        Args:
            works: at least one, all with the same :attr:`Work.key`.
            seconds: how long each took.
        """
        import numpy as np
        from scipy.optimize import least_squares

        self._has_flops = works[0].flops > 0
        dims, flops, moved = self._columns(works)
        log_seconds = np.log(np.asarray(seconds, dtype=float))
        # Constants are fitted as logarithms and so stay positive. They start at the best rates seen, and none may claim more than
        # the samples allow: no dispatch slower than the fastest sample, no rate below the slowest, however noisy the machine.
        per_byte = log_seconds - np.log(moved)
        start, most = [log_seconds.min() - math.log(2), per_byte.min()], [log_seconds.min(), per_byte.max()]
        if self._has_flops:
            per_flop = log_seconds - np.log(flops)
            start += [per_flop.min()] + [0.0] * dims.shape[1]
            most += [per_flop.max()] + [math.log(1024.0)] * dims.shape[1]
        fit = least_squares(
            lambda c: self._log_formula(c, dims, flops, moved) - log_seconds,
            start,
            bounds=(-np.inf, np.asarray(most) + 1e-6),
            loss="soft_l1",
            f_scale=0.1,
            max_nfev=200,
        )
        self._constants = fit.x
        self._points = np.log2(dims)
        self._low, self._high = dims.min(axis=0), dims.max(axis=0)
        self._fit_residual(log_seconds - self._log_formula(self._constants, dims, flops, moved))

    def price(self, works: Sequence[Work]) -> Priced:
        """Estimate works of this law's class."""
        import numpy as np

        dims, flops, moved = self._columns(works)
        overhead, bandwidth, compute = self._terms(self._constants, dims, flops, moved)
        near = self._kernel(np.log2(dims), self._points)
        ratio = near @ self._weights
        sigma = np.sqrt(np.maximum(self._amplitude**2 - np.einsum("ij,ij->i", near, near @ self._inverse), 0.0) + self._noise**2)
        outside = ((dims < self._low / 1.1) | (dims > self._high * 1.1)).any(axis=1)
        scale = np.exp(ratio)
        return Priced((overhead + bandwidth + compute) * scale, sigma, compute * scale, bandwidth * scale, overhead * scale, outside)

    def _columns(self, works: Sequence[Work]) -> tuple[Floats, Floats, Floats]:
        import numpy as np

        columns: tuple[Any, ...] = tuple(np.asarray([getattr(w, name) for w in works], dtype=float) for name in ("dims", "flops", "bytes"))
        return columns[0], columns[1], columns[2]

    def _terms(self, constants: Floats, dims: Floats, flops: Floats, moved: Floats) -> tuple[Floats, Floats, Floats]:
        import numpy as np

        overhead = np.full(len(dims), np.exp(constants[0]))
        bandwidth = moved * np.exp(constants[1])
        compute = flops * np.exp(constants[2]) * (1 + np.exp(constants[3:]) / dims).prod(axis=1) if self._has_flops else np.zeros(len(dims))
        return overhead, bandwidth, compute

    def _log_formula(self, constants: Floats, dims: Floats, flops: Floats, moved: Floats) -> Floats:
        import numpy as np

        return np.log(sum(self._terms(constants, dims, flops, moved)))

    def _kernel(self, left: Floats, right: Floats) -> Floats:
        import numpy as np

        squared = ((left[:, None, :] - right[None, :, :]) / self._scale) ** 2
        return self._amplitude**2 * np.exp(-0.5 * squared.sum(axis=2))

    def _fit_residual(self, residual: Floats) -> None:
        """Choose the process's scale, amplitude and noise by the likelihood of the residuals, then solve for its weights."""
        import itertools

        import numpy as np

        # A stray sample (another process woke up) must not bend the surface around it.
        spread = 1.4826 * float(np.median(np.abs(residual - np.median(residual)))) + 0.02
        residual = np.clip(residual, -4 * spread, 4 * spread)
        best, self._amplitude = -math.inf, 1.0
        for scale in self._SCALES:
            self._scale = scale
            values, vectors = np.linalg.eigh(self._kernel(self._points, self._points))
            rotated = vectors.T @ residual
            for amplitude, noise in itertools.product(self._AMPLITUDES, self._NOISES):
                variance = amplitude**2 * np.maximum(values, 0.0) + noise**2
                likelihood = -0.5 * float((rotated**2 / variance + np.log(variance)).sum())
                if likelihood > best:
                    best, chosen, inverse = likelihood, (scale, amplitude, noise), (vectors / variance) @ vectors.T
        self._scale, self._amplitude, self._noise = chosen
        self._inverse, self._weights = inverse, inverse @ residual
