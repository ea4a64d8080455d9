"""The ledger: a table of operations, the one data structure that everything else makes or reads.

A whiteboard closed form makes one, a trace of a real module makes one, the predictor prices one, and a chart
draws one. A ledger does not know who made it, apart from its ``origin``.

Conventions (the glossary repeats them):

* 1 MAC = 2 FLOPs. ``flops`` holds the work of matrix products, convolutions and attention *as executed*: scores that
  a kernel computes and then masks are counted. ``useful_causal_flops`` holds what is left when the scores that
  a causal mask throws away are not counted.
* ``other_flops`` holds the arithmetic of everything else (softmax, norms, activations), by rough published rules
  of a few FLOPs per element. It never enters ``flops``.
* Every figure of a row is the total over its ``count`` executions, so that rows add up to the total.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import InputError

if TYPE_CHECKING:
    import pandas as pd

#: Kinds whose arithmetic is ``flops``; every other kind's arithmetic is ``other_flops``.
COMPUTE_KINDS = ("matmul", "conv", "attention", "recurrent")

#: Kinds a row may have. ``parameters`` holds weights that no operation read, ``uncounted`` operators without a formula.
KINDS = (
    *COMPUTE_KINDS,
    "norm",
    "softmax",
    "elementwise",
    "reduce",
    "gather",
    "scatter",
    "copy",
    "pool",
    "collective",
    "parameters",
    "uncounted",
)

#: Columns of a row that are totals over its executions, and so add up.
SUMMED = ("flops", "useful_causal_flops", "other_flops", "bytes_read", "bytes_written", "params")

#: Parts of a training step, in order. Everything else is ``forward``.
PHASES = ("forward", "backward", "optimizer")

Phase = Literal["forward", "backward", "optimizer"]
Key = Literal["kind", "module", "name", "dtype", "phase"]
Origin = Literal["whiteboard", "trace:meta", "trace:cpu", "trace:cuda", "trace:mps"]


@dataclass(frozen=True, slots=True)
class Op:
    """One row of a ledger: an operation executed ``count`` times.

    Attributes:
        name: path of the module and operation, such as ``layers/attention/scores``.
        kind: one of :data:`KINDS`.
        flops: matmul, convolution and attention FLOPs as executed, over all ``count`` executions.
        useful_causal_flops: the part of ``flops`` that a causal mask does not throw away.
        other_flops: arithmetic of every other kind.
        bytes_read: bytes of the operands, each operand once per execution. Caches are ignored.
        bytes_written: bytes of the results.
        params: distinct parameters that this row is the first to read. Tied weights count once.
        count: how many times the operation runs.
        dtype: element type of the operands.
        shape: operand shapes of one execution; for ``matmul`` ``((batch, m, k), (batch, k, n))``.
        op: the operator that was dispatched (``aten.addmm``) or the closed form's name.
        layout: what the predictor needs beside shapes (strides, groups, causal, whether weights are cold...).
        overhead: work of the implementation beyond the algorithm (padding, recomputed angles).
        phase: the part of a training step: one of :data:`PHASES`.
    """

    name: str
    kind: str
    flops: int = 0
    useful_causal_flops: int | None = None
    other_flops: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    params: int = 0
    count: int = 1
    dtype: str = "fp32"
    shape: tuple[tuple[int, ...], ...] = ()
    op: str = ""
    layout: tuple[tuple[str, Any], ...] = ()
    overhead: bool = False
    phase: Phase = "forward"

    def __post_init__(self) -> None:
        if self.useful_causal_flops is None:
            object.__setattr__(self, "useful_causal_flops", self.flops)

    @property
    def macs(self) -> float:
        """Multiply-accumulates: half of ``flops``."""
        return self.flops / 2

    @property
    def bytes_moved(self) -> int:
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float:
        """FLOPs (of every kind) per byte moved; 0 for a row that moves nothing."""
        return (self.flops + self.other_flops) / self.bytes_moved if self.bytes_moved else 0.0


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a ledger's rows, in FLOPs, bytes and parameters."""

    params: int
    flops: int
    useful_causal_flops: int
    other_flops: int
    bytes_read: int
    bytes_written: int

    @property
    def macs(self) -> float:
        return self.flops / 2

    @property
    def bytes_moved(self) -> int:
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float:
        """Arithmetic intensity in FLOPs per byte, all arithmetic over all traffic."""
        return (self.flops + self.other_flops) / self.bytes_moved if self.bytes_moved else 0.0


@dataclass(frozen=True)
class Ledger:
    """A named, ordered table of :class:`Op` rows.

    Attributes:
        name: what was counted, such as ``bert-base batch=8 seq=128``.
        origin: how: ``whiteboard``, or ``trace:`` and the device type.
        ops: the rows, in execution order.
        uncounted: operators that look like computation and have no formula. Never empty silently: ``trace(strict=True)``
            raises, and ``str(ledger)`` says so.
        weight_bytes: bytes that the distinct parameters occupy.
        notes: what the count assumes or leaves out, one sentence each.
    """

    name: str
    origin: Origin
    ops: tuple[Op, ...]
    uncounted: tuple[str, ...] = ()
    weight_bytes: int = 0
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Op]:
        return iter(self.ops)

    def __len__(self) -> int:
        return len(self.ops)

    def totals(self) -> Totals:
        """Sum every column over all rows."""
        return _sum(self.ops)

    @property
    def flops(self) -> int:
        return sum(op.flops for op in self.ops)

    @property
    def macs(self) -> float:
        return self.flops / 2

    @property
    def params(self) -> int:
        return sum(op.params for op in self.ops)

    def by(self, key: Key | Callable[[Op], str] = "module", depth: int | None = None) -> dict[str, Totals]:
        """Group rows and sum each group; the groups add up to :meth:`totals`.

        Args:
            key: a column, ``module`` (the row's path without its last part), or a function of a row.
            depth: for ``module`` and ``name``, keep only so many leading parts of the path.

        >>> ledger = Ledger("two", "whiteboard", (Op("a/x", "matmul", flops=2), Op("a/y", "norm", other_flops=3)))
        >>> ledger.by("kind")["matmul"].flops
        2
        """
        groups: dict[str, list[Op]] = {}
        for op in self.ops:
            groups.setdefault(_group_name(op, key, depth), []).append(op)
        return {name: _sum(ops) for name, ops in groups.items()}

    def filter(self, keep: Callable[[Op], bool]) -> Ledger:
        """A ledger with only the rows that ``keep`` accepts."""
        return dataclasses.replace(self, ops=tuple(op for op in self.ops if keep(op)))

    def training(self, optimizer: str | None = "adamw") -> Ledger:
        """The training step that follows from this forward pass by rule; see :func:`napkinmath.backward.training_ledger`."""
        from .backward import training_ledger

        return training_ledger(self, optimizer)

    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame, one column per field of :class:`Op`."""
        import pandas as pd

        columns = [field.name for field in dataclasses.fields(Op)]
        return pd.DataFrame([[getattr(op, column) for column in columns] for op in self.ops], columns=columns)

    def summary(self, key: Key | Callable[[Op], str] = "module", depth: int | None = None) -> pd.DataFrame:
        """:meth:`by` as a DataFrame, with each group's share of ``flops`` and ``params``."""
        import pandas as pd

        total = self.totals()
        rows = {
            group: {
                "params": t.params,
                "flops": t.flops,
                "macs": t.macs,
                "other_flops": t.other_flops,
                "bytes_moved": t.bytes_moved,
                "flops_share": t.flops / total.flops if total.flops else 0.0,
                "params_share": t.params / total.params if total.params else 0.0,
            }
            for group, t in self.by(key, depth).items()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(key if isinstance(key, str) else "group")

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that :func:`json.dumps` takes; :meth:`from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Ledger:
        """Rebuild a ledger from :meth:`to_dict`.

        Raises:
            InputError: ``data`` lacks a field or has one that a ledger does not know.
        """
        try:
            ops = tuple(
                Op(**{**row, "shape": tuple(map(tuple, row["shape"])), "layout": tuple((k, v) for k, v in row["layout"])})
                for row in data["ops"]
            )
            return cls(**{**data, "ops": ops, "uncounted": tuple(data["uncounted"]), "notes": tuple(data["notes"])})
        except (KeyError, TypeError) as error:
            raise InputError(f"ledger data: {error}; expected what Ledger.to_dict() writes") from error

    def save(self, path: str | Path) -> None:
        """Write the ledger as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n")

    def __str__(self) -> str:
        t = self.totals()
        work = f"{t.flops:,} FLOPs = {t.macs:,.0f} MACs, {t.other_flops:,} other FLOPs"
        return f"{self.name} [{self.origin}]: {t.params:,} params, {work}, {len(self)} rows" + (
            f"; UNCOUNTED: {', '.join(self.uncounted)}" if self.uncounted else ""
        )


def _group_name(op: Op, key: str | Callable[[Op], str], depth: int | None) -> str:
    if callable(key):
        return key(op)
    if key in ("kind", "dtype", "phase"):
        return str(getattr(op, key))
    if key not in ("module", "name"):
        raise InputError(f"key={key!r}: use 'kind', 'module', 'name', 'dtype', 'phase' or a function of a row")
    parts = op.name.split("/")
    if key == "module":
        parts = parts[:-1] or parts
    return "/".join(parts[:depth])


def _sum(ops: Iterable[Op]) -> Totals:
    sums = dict.fromkeys(SUMMED, 0)
    for op in ops:
        for column in SUMMED:
            sums[column] += getattr(op, column)
    return Totals(**sums)
