"""An operation as the predictor sees it: the class of operation whose law (:mod:`napkinmath.laws`) prices it, and its sizes.

A calibration sample and a ledger row go through the same :class:`Work`, so that they cannot drift apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .ledger import Op

#: Bandwidth-bound laws and the operators that they price. An operator that is not listed is priced as its ledger kind.
_OPERATORS = {
    "add": "add sub rsub",
    "mul": "mul div where maximum minimum neg relu clamp masked_fill eq ne lt le gt ge quantize_per_tensor dequantize",
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

#: Part of the last-level cache of which half is still there when it is read again: the rest goes to what is read once, and to neighbours.
_HELD = 0.4

#: What a calibration multiplies and moves. Where a device has int8, products of matrices are sampled in it as well.
SAMPLED_DTYPES = ("fp32", "bf16", "fp16")

#: Values of a map up to which PyTorch, on a CPU with several threads, multiplies a lone one itself and does not ask oneDNN
#: (``ConvParams::use_mkldnn``).
SMALL_MAP = 20480

#: Once so many bytes have gone through the caches, nothing of what was there before is left.
COLD_BYTES = 2**26


@dataclass(frozen=True, slots=True)
class Work:
    """One execution of an operation, as a law sees it.

    Attributes:
        law: class of operation: ``gemm`` (tokens, d_in, d_out, 2 where the weight is stored [d_out, d_in], else 1, and :func:`aligned`),
            ``gemv`` (the same with one token: libraries have other kernels for it; not in int8), ``gemm.packed`` (the same with fp32
            inputs that are rounded to int8 on the way, and int8 weights that were packed for it), each with ``.hot`` behind where the
            weights are in cache,
            ``bmm`` (batch, m, k, n), ``attention``, ``attention.causal`` or ``attention.masked`` (batch * heads, seq, context, d_head),
            ``conv``, ``conv.pointwise``, ``conv.small`` (one map, no larger than :data:`SMALL_MAP`), ``conv.depthwise``,
            ``conv.transposed`` or ``conv1d`` (batch, side of the output, in and out channels of a group, kernel, stride, :func:`aligned`),
            ``recurrent`` (steps, batch, d_in, d_hidden), ``gather.bag`` (bags, rows in a bag, values in a row), or a bandwidth-bound
            class (rows, values in a row).
        dtype: element type of the operands.
        dims: the sizes above.
        flops: matrix FLOPs; 0 for the bandwidth-bound classes.
        bytes: bytes read and written.
        age: bytes moved since the operation began that wrote the operands, which says in which cache they still are; 0 where a class
            does not ask.
        code_age: the same since the code of such an operation last ran, ``None`` where that is as long ago: a calibration drives both out
            of the caches at once, in a model the same operation may just have run on other operands.
    """

    law: str
    dtype: str
    dims: tuple[int, ...]
    flops: float
    bytes: float
    age: float = 0.0
    code_age: float | None = None

    @property
    def key(self) -> str:
        return f"{self.law}/{self.dtype}"

    @property
    def weights_hot(self) -> bool:
        """Whether the class is one whose weights are in the cache when it begins."""
        return self.law.endswith(".hot") or self.law == "recurrent"

    @property
    def between(self) -> float:
        """Bytes moved between the operation that wrote the operands and this one, if the writer moved as much as this one moves."""
        return max(self.age - self.bytes, 0.0)


def aligned(d_in: int, d_out: int) -> int:
    """2 where both widths are multiples of 16, the values of a wide vector register, else 1: libraries are slower or switch there."""
    return 1 if d_in % 16 or d_out % 16 else 2


def cold_share(weight_bytes: float, cache_bytes: float) -> float:
    """How much of all the weights of a model has left the last-level cache when it runs again; 0 or 1 where nearly none or all.

    From alternating one to sixteen matrices, 4 to 67 MB in all, with 100 microseconds of other work between, on a shared 32 MB cache.
    """
    if not cache_bytes:
        return float(weight_bytes > 0)
    share = weight_bytes**4 / (weight_bytes**4 + (_HELD * cache_bytes) ** 4)
    return float(round(share)) if abs(share - 0.5) > 0.48 else share


def work_of(
    op: Op, weights_hot: bool = False, cache_bytes: int = 0, run_bytes: float = COLD_BYTES, code_age: float = COLD_BYTES
) -> Work | None:
    """The work of one execution of a ledger row, or ``None`` where no law covers the operation.

    Args:
        op: a row of a ledger traced on the device that is to be predicted.
        weights_hot: whether all weights of the model stay in the last-level cache between two runs.
        cache_bytes: of the last-level cache: a weight that an earlier row has read (a recurrent layer's steps) stays there if it fits.
        run_bytes: moved by a whole run: the age of what no operation of the run has written, such as its input or a KV cache, when
            the same is run again and again.
        code_age: bytes moved since an operation like this one ran: see :class:`Work`. Of no account in a loop of PyTorch's own.
    """
    operator = op.op.removeprefix("aten.").split(".")[0].rstrip("_")
    flops, moved = op.flops / op.count, op.bytes_moved / op.count
    layout = dict(op.layout)
    since = max(layout.get("age", run_bytes) - moved, 0.0)
    age = moved + min(since, COLD_BYTES)
    code_age = moved + (0.0 if layout.get("inner") else min(code_age, COLD_BYTES))
    if op.kind == "attention" and len(op.shape) >= 2:
        (*batch, seq, d_head), (*_, context, _) = op.shape[:2]
        variant = ".causal" if layout.get("causal") else ".masked" if layout.get("masked") else ""
        return Work("attention" + variant, op.dtype, (math.prod(batch), seq, context, d_head), flops, moved, age, code_age)
    if op.kind == "matmul" and len(op.shape) == 2:
        packed = op.dtype == "int8" and op.op.startswith("quantized.")
        (matrices, tokens, d_in), (_, _, d_out) = op.shape
        if matrices > 1:
            return Work("bmm", op.dtype, (matrices, tokens, d_in, d_out), flops, moved, age, code_age)
        read_before = op.params == 0 and layout.get("weight_bytes", 0) <= _HELD * cache_bytes
        cold = "weight_bytes" in layout and not (weights_hot or read_before)
        stored = 2 if layout.get("transposed") else 1
        law = "gemm.packed" if packed else "gemv" if tokens == 1 and op.dtype != "int8" else "gemm"
        return Work(law + ("" if cold else ".hot"), op.dtype, (tokens, d_in, d_out, stored, aligned(d_in, d_out)), flops, moved)
    if op.kind == "conv" and len(op.shape) == 2:
        return _conv_work(op, layout, flops, moved)
    if op.kind == "recurrent" and len(op.shape) == 3:
        (steps, sequences, d_in), (_, _), (_, d_hidden) = op.shape
        return Work("recurrent", op.dtype, (steps, sequences, d_in, d_hidden), flops, moved)
    if operator == "_embedding_bag" and len(op.shape) >= 3:
        (_, row), (looked_up,), (bags,) = op.shape[:3]
        return Work("gather.bag", op.dtype, (bags, max(looked_up // max(bags, 1), 1), row), 0.0, moved)
    return _bandwidth_work(op, operator, moved, age, code_age)


def _bandwidth_work(op: Op, operator: str, moved: float, age: float, code_age: float) -> Work | None:
    """An operation that moves more than it computes, as rows of values; None where no law covers it."""
    law = _LAW_OF_OPERATOR.get(operator) or _LAW_OF_KIND.get(op.kind)
    if law is None or not op.bytes_moved:
        return None
    if law == "copy" and ("contiguous", False) in op.layout:
        law = "copy.strided"
    if law in ("batch_norm", "pool"):
        planes, positions = math.prod(op.shape[0][:2]), max(math.prod(op.shape[0][2:]), 1)
        size = positions if law == "batch_norm" else max(round(math.sqrt(positions) / 2), 1)  # side of the pooled map
        return Work(law, op.dtype, (planes, size), 0.0, moved, age, code_age)
    row = max((shape[-1] for shape in op.shape if shape), default=1)
    values = max((math.prod(shape) for shape in op.shape), default=1)
    if law == "gather" and len(op.shape) >= 2:
        values, age = row * math.prod(op.shape[-1]), 0.0  # the rows that are looked up, however large the table is
    dtype = op.dtype if op.dtype in SAMPLED_DTYPES else "fp32"  # of indices and masks: how much is moved counts, not what it means
    return Work(law, dtype, (max(values // max(row, 1), 1), max(row, 1)), 0.0, moved, age, code_age)


def _conv_work(op: Op, layout: dict[str, Any], flops: float, moved: float) -> Work | None:
    """A convolution as its law sees it; None for three dimensions and for transposed ones in one."""
    (batch, channels, *spatial), weight = op.shape
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
        if law in ("conv", "conv.pointwise") and batch == groups == 1 and op.dtype == "fp32" and min(taps) <= 3:
            law = "conv.small" if channels * math.prod(spatial) <= SMALL_MAP else law
        batch, d_out = batch * groups, max(d_out // groups, 1)  # groups run one beside another, as a batch does
    return Work(law, op.dtype, (batch, side, d_in, d_out, kernel, stride, aligned(d_in, d_out)), flops, moved)
