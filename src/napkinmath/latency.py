"""How long a ledger takes: on this machine by what was measured here, on any other by its datasheet.

Two methods, and every prediction says which it used:

* *fitted*: the ledger was traced for the device that the profile was measured on, so its rows are the operations that will
  run. Each is priced by the law of its class (:mod:`napkinmath.laws`), plus what modules and views cost.
* *roofline*: anything else. A row takes the longest of its arithmetic at the peak and its traffic at the memory's bandwidth,
  each divided by an efficiency that is a stated range, not a measurement. The interval is as wide as that range.

Either way the answer is an interval with the resource that binds, never a bare number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .costmodel import Work, cold_share, work_of
from .errors import InputError
from .hardware import Device, device
from .laws import Priced
from .ledger import COMPUTE_KINDS, Ledger, Op
from .measurement import Measurement, measure
from .profile import Profile, load_profile

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EFFICIENCY", "Measurement", "Prediction", "PricedOp", "measure", "predict"]

#: Low, middle and high share of a peak that kernels reach, where nothing was measured: an assumption, wide on purpose.
EFFICIENCY = {"compute": (0.30, 0.60, 0.90), "bandwidth": (0.45, 0.70, 0.95)}

#: Seconds to dispatch one operator from Python, where nothing was measured: low, middle, high. An assumption as well.
DISPATCH_S = (2e-6, 5e-6, 15e-6)

_Z90 = 1.645  # a 90% interval is this many standard deviations to each side
_COMMON_NOISE = 1 / 3  # of a profile's noise: the part that moves all operations together, as it shows on the development workloads
_CONTEXT_SIGMA = 0.03  # running in a model instead of alone, and the machine's mood: on top of what the laws know they do not know
RESOURCES = ("compute", "bandwidth", "overhead")


@dataclass(frozen=True, slots=True)
class PricedOp:
    """A ledger's row with its time.

    Attributes:
        name, kind, op, count: as in the ledger.
        seconds: best estimate over all ``count`` executions.
        binds: what most of it goes to: ``compute``, ``bandwidth`` or ``overhead`` (dispatching it).
        extrapolated: whether its shape lies outside what was calibrated, or its class was not.
    """

    name: str
    kind: str
    op: str
    count: int
    seconds: float
    binds: str
    extrapolated: bool


@dataclass(frozen=True)
class Prediction:
    """A predicted latency.

    Attributes:
        name: the ledger's name.
        hardware: what it was predicted for.
        method: ``fitted`` or ``roofline``, and on what.
        p50_s: median seconds of one run, where nothing else disturbs it.
        low_s, high_s: the 90% interval (fitted), or the range of the stated efficiencies (roofline).
        rows: every row of the ledger that takes time, and one for what lies between operators.
        extrapolated_share: part of ``p50_s`` in rows outside the calibrated shapes; 1 for a roofline.
        flops, bytes_moved: of the whole ledger.
    """

    name: str
    hardware: str
    method: str
    p50_s: float
    low_s: float
    high_s: float
    rows: tuple[PricedOp, ...]
    extrapolated_share: float
    flops: int = 0
    bytes_moved: int = 0

    @property
    def shares(self) -> dict[str, float]:
        """Part of the time by the resource that binds it; adds up to 1."""
        total = sum(row.seconds for row in self.rows)
        return {r: sum(row.seconds for row in self.rows if row.binds == r) / total if total else 0.0 for r in RESOURCES}

    @property
    def binding(self) -> tuple[str, float]:
        """The resource that binds most of the time, and how much of it."""
        return max(self.shares.items(), key=lambda item: item[1])

    def by(self, key: str | Callable[[PricedOp], str] = "kind", depth: int | None = None) -> dict[str, float]:
        """Seconds by ``kind``, ``op``, ``binds``, ``module`` (path without its last part, cut to ``depth``) or a function of a row."""
        if not callable(key) and key not in ("kind", "op", "binds", "name", "module"):
            raise InputError(f"key={key!r}: use 'kind', 'op', 'binds', 'name', 'module' or a function of a row")
        groups: dict[str, float] = {}
        for row in self.rows:
            if callable(key):
                group = key(row)
            elif key == "module":
                group = "/".join((row.name.split("/")[:-1] or [row.name])[:depth])
            else:
                group = getattr(row, key)
            groups[group] = groups.get(group, 0.0) + row.seconds
        return groups

    def by_module(self, depth: int | None = None) -> dict[str, float]:
        """Seconds by module path, cut to ``depth`` leading parts."""
        return self.by("module", depth)

    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame, one column per field of :class:`PricedOp`."""
        import pandas as pd

        return pd.DataFrame([[getattr(row, c) for c in PricedOp.__slots__] for row in self.rows], columns=list(PricedOp.__slots__))

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that :func:`json.dumps` takes."""
        resource, share = self.binding
        fields = ("name", "hardware", "method", "p50_s", "low_s", "high_s", "extrapolated_share", "flops", "bytes_moved")
        summary = {field: getattr(self, field) for field in fields} | {
            "binding": resource,
            "binding_share": share,
            "by_kind": self.by("kind"),
        }
        return summary | {"rows": [{c: getattr(row, c) for c in PricedOp.__slots__} for row in self.rows]}

    def text(self, items: int = 1, noun: str = "runs") -> str:
        """Two lines for a reader: the time with its interval and what binds, then the rates that it means.

        Args:
            items: how many of ``noun`` one run is: ``batch * seq`` tokens, ``batch`` images.
        """
        from .units import fmt

        resource, share = self.binding
        label = "90%" if self.method.startswith("fitted") else "range"
        interval = f"{label}: {fmt(self.low_s, 's')} to {fmt(self.high_s, 's')}"
        time = f"{self.name} on {self.hardware}: {fmt(self.p50_s, 's')} ({interval}), {share:.0%} bound by {resource}"
        rate, slow, fast = (fmt(items / seconds) for seconds in (self.p50_s, self.high_s, self.low_s))
        work = f"{fmt(self.flops, 'FLOP')} at {fmt(self.flops / self.p50_s, 'FLOP/s')}"
        traffic = f"{fmt(self.bytes_moved, 'B')} moved at {fmt(self.bytes_moved / self.p50_s, 'B/s')}"
        return f"{time}; {self.method}, {self.extrapolated_share:.0%} extrapolated\n  {rate} {noun}/s ({slow} to {fast}); {work}, {traffic}"

    def __str__(self) -> str:
        return self.text()


def predict(ledger: Ledger, hardware: Profile | Device | str | None = None) -> Prediction:
    """Predict the latency of one run of a ledger.

    Args:
        ledger: traced for the device (a fitted prediction), or from the whiteboard or ``meta`` (a roofline).
        hardware: a profile, a datasheet device or its name; this machine's profile where not given.

    Returns:
        Median, 90% interval, time of each row, and what binds.

    Raises:
        InputError: an unknown device, no valid profile for this machine, a dtype without a published peak, or an empty ledger.
    """
    if hardware is None:
        origin = ledger.origin.removeprefix("trace:")
        hardware = load_profile(origin if origin in ("cpu", "cuda", "mps") else None)
    elif isinstance(hardware, str):
        hardware = device(hardware)
    if not any(op.bytes_moved or op.flops for op in ledger):
        raise InputError(f"ledger {ledger.name!r} has no row that computes or moves anything: there is nothing to time")
    if isinstance(hardware, Profile) and ledger.origin == f"trace:{hardware.device}":
        return _fitted(ledger, hardware)
    return _roofline(ledger, hardware)


def _fitted(ledger: Ledger, profile: Profile) -> Prediction:
    groups: dict[str, list[tuple[Op, Work, float]]] = {}
    uncovered: list[Op] = []
    for op, works in _works(ledger, profile):
        for work, share in works.items():
            groups.setdefault(work.key, []).append((op, work, share))
        if not works and (op.bytes_moved or op.flops):
            uncovered.append(op)
    rows: dict[int, PricedOp] = {}
    variance = 0.0
    for key, members in groups.items():
        law = profile.law(key)
        assert law is not None
        unique = list(dict.fromkeys(work for _, work, _ in members))
        priced, where = law.price(unique), {work: i for i, work in enumerate(unique)}
        sigma_s, of_work = 0.0, [0.0] * len(unique)
        for op, work, share in members:
            row = _priced_row(op, profile, priced, where[work], share)
            rows[id(op)] = replace(row, seconds=row.seconds + rows[id(op)].seconds) if id(op) in rows else row
            sigma_s += row.seconds * float(priced.sigma[where[work]])
            of_work[where[work]] += row.seconds
        # A law that is off is off in the same direction for all of its rows; laws are independent, and so is each shape's own noise.
        variance += sigma_s**2 + sum((seconds * priced.noise) ** 2 for seconds in of_work)
    for op in uncovered:
        seconds, binds = _roofline_op(op, profile, level=1)
        rows[id(op)] = PricedOp(op.name, op.kind, op.op, op.count, seconds, binds, True)
        variance += (0.5 * seconds) ** 2
    ordered = [rows[id(op)] for op in ledger if id(op) in rows]
    between = _modules(ledger) * profile.module_s + sum(op.count * dict(op.layout).get("views", 0) for op in ledger) * profile.view_s
    ordered.append(PricedOp("between operators", "overhead", "", 1, between, "overhead", False))
    total = sum(row.seconds for row in ordered)
    sigma = math.sqrt(variance / total**2 + _CONTEXT_SIGMA**2 + (_COMMON_NOISE * profile.noise) ** 2)
    return Prediction(
        ledger.name, profile.name, f"fitted to a {profile.duration_s:.0f} s calibration of {profile.created[:10]}", total,
        total * math.exp(-_Z90 * sigma), total * math.exp(_Z90 * sigma), tuple(ordered),
        sum(row.seconds for row in ordered if row.extrapolated) / total, ledger.flops, ledger.totals().bytes_moved,
    )  # fmt: skip


def _works(ledger: Ledger, profile: Profile) -> Iterator[tuple[Op, dict[Work, float]]]:
    """Each row with what the laws are asked about it, and for what share of it; nothing where no law of the profile covers it."""
    cold, run_bytes = cold_share(_weights_read(ledger), profile.cache_bytes), ledger.totals().bytes_moved
    moved, ran = 0, dict[str, int]()  # bytes by all rows so far, and by those up to each operation's last
    for op in ledger:
        code_age = moved - ran.get(op.op, moved - run_bytes)
        works: dict[Work, float] = {}
        for weights_hot, share in ((True, 1 - cold), (False, cold)):
            if share and (work := work_of(op, weights_hot, profile.cache_bytes, run_bytes, code_age)) is not None:
                works[work] = works.get(work, 0.0) + share
        yield op, works if all(profile.law(work.key) for work in works) else {}
        moved += op.bytes_moved
        ran[op.op] = moved


def _weights_read(ledger: Ledger) -> int:
    """Bytes of weights that a run touches: of an embedding table the rows that it looks up, as the recommenders' tables fit no cache.

    Ignores that an output layer may read the whole of a shared table: a small model with one is taken to be warmer than it is.
    """
    tables = [op for op in ledger if op.kind == "gather" and op.params]
    return ledger.weight_bytes - sum(max(dict(op.layout).get("weight_bytes", 0) - op.bytes_read, 0) for op in tables)


def _priced_row(op: Op, profile: Profile, priced: Priced, index: int, part: float) -> PricedOp:
    """A share of a row.

    What binds beside dispatch is what would take longer at this machine's peaks: at one token a law cannot tell FLOPs from bytes.
    """
    seconds, overhead = float(priced.seconds[index]), float(priced.overhead[index])
    compute = op.flops / _peak(op, profile) if op.flops else 0.0
    moved = op.bytes_moved / profile.bandwidth_bytes_per_s
    share = compute / (compute + moved) if compute or moved else 0.0
    parts = {"overhead": overhead, "compute": (seconds - overhead) * share, "bandwidth": (seconds - overhead) * (1 - share)}
    binds = max(parts, key=lambda resource: parts[resource])
    return PricedOp(op.name, op.kind, op.op, op.count, seconds * op.count * part, binds, bool(priced.outside[index]))


def _modules(ledger: Ledger) -> int:
    """Module calls of a run: the distinct paths that rows lie in, with all their parents."""
    paths = {op.name.rsplit("/", 1)[0] for op in ledger if "/" in op.name}
    return len({"/".join(parts[: i + 1]) for parts in (path.split("/") for path in paths) for i in range(len(parts))})


def _roofline(ledger: Ledger, hardware: Profile | Device) -> Prediction:
    measured = isinstance(hardware, Profile)
    totals = []
    for level in range(3):
        rows = []
        for op in ledger:
            if op.bytes_moved or op.flops:
                seconds, binds = _roofline_op(op, hardware, level)
                rows.append(PricedOp(op.name, op.kind, op.op, op.count, seconds, binds, True))
        totals.append(sum(row.seconds for row in rows))
        if level == 1:
            middle = tuple(rows)
    compute, bandwidth = (f"{low:.0%} to {high:.0%} of peak {what}" for what, (low, _, high) in EFFICIENCY.items())
    basis = "measured peaks" if measured else "datasheet peaks"
    dispatch = f"{DISPATCH_S[0] * 1e6:.0f} to {DISPATCH_S[2] * 1e6:.0f} µs to dispatch an operation"
    return Prediction(
        ledger.name,
        hardware.name,
        f"roofline on {basis}, assuming {compute}, {bandwidth} and {dispatch}; nothing was measured for these operations",
        totals[1],
        totals[2],
        totals[0],
        middle,
        1.0,
        ledger.flops,
        ledger.totals().bytes_moved,
    )


def _roofline_op(op: Op, hardware: Profile | Device, level: int) -> tuple[float, str]:
    """Seconds of a row and what binds it; ``level`` picks the low, middle or high efficiency."""
    compute = op.flops / _peak(op, hardware) / EFFICIENCY["compute"][level] if op.kind in COMPUTE_KINDS and op.flops else 0.0
    bandwidth = op.bytes_moved / hardware.bandwidth_bytes_per_s / EFFICIENCY["bandwidth"][level]
    overhead = op.count * DISPATCH_S[2 - level]
    binds = max(zip((compute, bandwidth, overhead), RESOURCES, strict=True))[1]
    return max(compute, bandwidth) + overhead, binds


def _peak(op: Op, hardware: Profile | Device) -> float:
    return hardware.peak_flops(op.dtype)
