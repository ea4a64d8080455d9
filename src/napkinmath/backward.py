"""The training step of a whiteboard ledger, by rule: what each forward row costs backward, and what the optimizer does.

A matrix product ``Y = X W`` has two gradients, ``dX = dY W^T`` and ``dW = X^T dY``, each as much work as ``Y`` itself. So
backward is twice forward, except:

* where the input needs no gradient (the first layer, when no embedding comes before it) it is once forward;
* fused attention computes its scores again, five products for two: 2.5 times forward where keys and values are equally wide.
"""

from __future__ import annotations

import dataclasses

from .dtypes import DTYPE_BYTES
from .errors import InputError, did_you_mean
from .footprint import OPTIMIZERS, state_bytes_of
from .ledger import COMPUTE_KINDS, Ledger, Op

#: What the optimizer's row assumes of embedding tables.
DENSE_GRADIENTS = (
    "The optimizer updates every row of every embedding table, as with dense gradients, PyTorch's default; with sparse ones it would "
    "touch only the rows that the batch reads."
)

#: Kinds of row that a backward pass has nothing of.
_NO_BACKWARD = ("parameters", "uncounted", "collective")

#: Kinds whose gradient goes through every step of their arithmetic and needs about as much again.
_TWICE = ("norm", "softmax")


def training_ledger(ledger: Ledger, optimizer: str | None = "adamw") -> Ledger:
    """Forward rows, their backward rows in reverse, and one optimizer row.

    Args:
        ledger: of a forward pass without gradients: a whiteboard's, or :func:`napkinmath.trace`'s.
        optimizer: one of :data:`napkinmath.footprint.OPTIMIZERS`, or None for no step.

    Returns:
        A ledger whose rows carry their phase. ``flops`` are exact; bytes and ``other_flops`` are estimates: a row's backward pass
        reads what forward read and the gradient of what it wrote, and writes a gradient of each operand. The optimizer's row is for
        dense gradients: of a recommender's tables a real step, with sparse ones, moves a small part of those bytes, and a note says so.

    Raises:
        InputError: the ledger has other phases already, or no such optimizer.
    """
    if any(op.phase != "forward" for op in ledger):
        raise InputError(f"{ledger.name} has {', '.join(sorted({op.phase for op in ledger}))} rows already; give a forward pass")
    first = _first_layer(ledger)
    backward = [_backward(op, op is first) for op in reversed(ledger.ops) if op.kind not in _NO_BACKWARD]
    step = [_step(ledger, optimizer)] if optimizer is not None else []
    notes = (DENSE_GRADIENTS,) if step and any(op.kind == "gather" and op.params for op in ledger) else ()
    ops = (*ledger.ops, *backward, *step)
    return dataclasses.replace(ledger, name=f"{ledger.name} training step", ops=ops, notes=(*ledger.notes, *notes))


def _first_layer(ledger: Ledger) -> Op | None:
    """The row that reads the data itself; None where an embedding's parameters come first, so that all inputs need gradients."""
    for op in ledger:
        if op.params and op.kind == "gather":
            return None
        if op.params and op.kind in COMPUTE_KINDS:
            return op
    return None


def _backward(op: Op, is_first: bool) -> Op:
    gradients = 1 if is_first or dict(op.layout).get("input_gradient") is False else 2
    flops, useful = gradients * op.flops, gradients * (op.useful_causal_flops or 0)
    if is_first and op.count > 1:  # only the first of its executions reads the data
        flops, useful = (2 * total - total // op.count for total in (op.flops, op.useful_causal_flops or 0))
    if op.kind == "attention" and len(op.shape) == 3:
        d_head, d_value = op.shape[0][-1], op.shape[2][-1]
        flops, useful = (total * (3 * d_head + 2 * d_value) // (d_head + d_value) for total in (op.flops, op.useful_causal_flops or 0))
    return dataclasses.replace(
        op,
        flops=flops,
        useful_causal_flops=useful,
        other_flops=op.other_flops * (2 if op.kind in _TWICE else 1),
        bytes_read=op.bytes_read + gradients * op.bytes_written if op.flops else op.bytes_read + op.bytes_written,
        bytes_written=op.bytes_read,
        params=0,
        phase="backward",
    )


def _step(ledger: Ledger, optimizer: str) -> Op:
    if optimizer not in OPTIMIZERS:
        raise InputError(f"optimizer={optimizer!r}.{did_you_mean(optimizer, OPTIMIZERS)}")
    width = next((DTYPE_BYTES[op.dtype] for op in ledger if op.params and op.dtype in DTYPE_BYTES), 4)
    state = int(state_bytes_of(ledger, optimizer, width))
    weights = int(ledger.params * width)
    return Op(
        f"optimizer/{optimizer}",
        "elementwise",
        other_flops=OPTIMIZERS[optimizer].flops * ledger.params,
        bytes_read=2 * weights + state,
        bytes_written=weights + state,
        shape=((ledger.params,),),
        op=optimizer,
        phase="optimizer",
    )
