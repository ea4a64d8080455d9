"""Candidates side by side: which architecture fits which device under which constraints, what binds, and what it costs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .dtypes import bytes_per_value, dtype_name
from .errors import DtypeError, InputError
from .footprint import largest_operation_values
from .hardware import Device, device
from .ledger import Ledger
from .specs import Spec, preset

if TYPE_CHECKING:
    import pandas as pd

    from .latency import Prediction
    from .profile import Profile


@dataclass(frozen=True)
class Constraints:
    """What a candidate must keep; None asks nothing.

    Attributes:
        latency_s: seconds that one pass may take; held against the *high* end of the prediction, as a p99 would be.
        memory_bytes: of one device; its own capacity where not given.
        usd_per_1k: dollars for a thousand items (sequences, images, users; tokens in a decode step) at full load.
    """

    latency_s: float | None = None
    memory_bytes: float | None = None
    usd_per_1k: float | None = None

    def __post_init__(self) -> None:
        for name in ("latency_s", "memory_bytes", "usd_per_1k"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name}={value!r}: a constraint is a number above 0")


def compare(
    specs: Iterable[Spec | str] | Spec | str,
    on: Iterable[Device | Profile | str] | Device | Profile | str,
    batch: int | Sequence[int] = 1,
    *,
    dtype: str = "bf16",
    mode: Literal["forward", "decode"] = "forward",
    constraints: Constraints | None = None,
    utilization: float = 1.0,
    **sizes: int | None,
) -> pd.DataFrame:
    """Rank candidates on devices: one row for each spec, device and batch, those that fit first, cheapest first among them.

    Args:
        specs: presets by name, or specs; all must take the given ``sizes``.
        on: devices by name, ``"here"`` for this machine's profile, or profiles.
        batch: one batch size or several.
        dtype: of weights, activations and cache.
        mode: ``decode`` prices one token per sequence with a full cache of ``context`` tokens.
        constraints: what must hold; see :class:`Constraints`.
        utilization: share of the time that a device is busy: what divides throughput, and so the price of an item.
        sizes: as the specs take them (``seq``, ``context``, ``image``...).

    Returns:
        Columns ``preset, device, batch, params, flops, memory_bytes, low_s, p50_s, high_s, binds, per_s, usd_per_1k, fits, fails``.
        ``fails`` names the constraints that are broken, and ``dtype`` where a device does not compute in it, or PyTorch has no such module
        for this machine, and so there are no times. A device without a profile has the interval of a roofline's stated efficiencies.

    Ignores: splitting a model over devices, queueing, and what lies around the model. Memory is weights, cache and the largest operation.

    Raises:
        InputError: an unknown preset, device or dtype, a size that does not fit, or no candidate at all.
    """
    import pandas as pd

    from .serving import usd_per_1k_requests

    if not 0 < utilization <= 1:
        raise InputError(f"utilization={utilization}: a share above 0 and at most 1")
    asked = constraints or Constraints()
    if mode not in ("forward", "decode"):
        raise InputError(f"mode={mode!r}: use 'forward' or 'decode'")
    rows: list[dict[str, Any]] = []
    machines = [_hardware(target) for target in _listed(on)]
    for spec, hardware, size in itertools.product(map(_spec, _listed(specs)), machines, _listed(batch)):
        asked_sizes = spec.decode_sizes(sizes) if mode == "decode" else sizes
        resolved = spec.resolve(**{**asked_sizes, "batch": size})
        ledger = spec.ledger(**resolved, dtype=dtype)
        prediction, weight_bytes = _predict(spec, ledger, resolved, hardware, dtype)
        price = hardware.price if isinstance(hardware, Device) else None
        per_s = resolved["batch"] / prediction.p50_s * utilization if prediction else math.nan
        row = {
            "preset": spec.name,
            "device": hardware.name,
            "batch": resolved["batch"],
            "params": ledger.params,
            "flops": ledger.flops,
            "memory_bytes": memory_bytes(spec, ledger, resolved, dtype if weight_bytes is None else "fp32", weight_bytes),
            "low_s": prediction.low_s if prediction else math.nan,
            "p50_s": prediction.p50_s if prediction else math.nan,
            "high_s": prediction.high_s if prediction else math.nan,
            "binds": prediction.binding[0] if prediction else "",
            "per_s": per_s,
            "usd_per_1k": usd_per_1k_requests(price.usd_per_hour, per_s) if price else math.nan,
        }
        fails = [*([] if prediction else ["dtype"]), *_broken(row, asked, hardware)]
        rows.append(row | {"fits": not fails, "fails": ", ".join(fails)})
    if not rows:
        raise InputError("nothing to compare: name at least one preset and one device")
    return pd.DataFrame(rows).sort_values(["fits", "usd_per_1k", "p50_s"], ascending=[False, True, True], ignore_index=True)


def _has_dtype(hardware: Device | Profile, dtype: str) -> bool:
    try:
        return hardware.peak_flops(dtype_name(dtype)) > 0
    except InputError:
        return False


def memory_bytes(spec: Spec, ledger: Ledger, sizes: dict[str, int], dtype: str, weight_bytes: float | None = None) -> float:
    """Bytes that one pass needs: all weights, the cache or state of a model that decodes, and the operands of its largest operation.

    Args:
        dtype: of weights, activations and cache.
        weight_bytes: of a module whose weights have another dtype.
    """
    width = bytes_per_value(dtype)
    weights = ledger.params * width if weight_bytes is None else weight_bytes
    return float(weights + largest_operation_values(ledger) * width + sum(spec.kept_bytes(sizes, dtype).values()))


def _broken(row: dict[str, Any], asked: Constraints, hardware: Device | Profile) -> list[str]:
    capacity = asked.memory_bytes or (hardware.memory_bytes if isinstance(hardware, Device) else None)
    fails = []
    if asked.latency_s is not None and row["high_s"] > asked.latency_s:
        fails.append("latency")
    if capacity is not None and row["memory_bytes"] > capacity:
        fails.append("memory")
    if asked.usd_per_1k is not None and not row["usd_per_1k"] <= asked.usd_per_1k:  # an unknown price is no price kept
        fails.append("price")
    return fails


def _predict(
    spec: Spec, ledger: Ledger, sizes: dict[str, int], hardware: Device | Profile, dtype: str
) -> tuple[Prediction | None, float | None]:
    """By roofline on a datasheet; on this machine's profile by the laws fitted to it, from a trace. None where it lacks the dtype.

    With it the bytes of the weights, where a module was traced whose linear layers alone are in the dtype and the rest in fp32.
    """
    from .latency import predict

    if not _has_dtype(hardware, dtype):
        return None, None
    if isinstance(hardware, Device):
        return predict(ledger, hardware), None
    from .references import can_be_fake, reference
    from .tracing import trace

    fake = can_be_fake(hardware.device, dtype)
    try:
        built = reference(spec, **sizes, device=hardware.device, fake=fake, dtype=dtype, attention="sdpa")
    except DtypeError:
        return None, None
    traced = trace(built.module, name=ledger.name, **built.inputs)
    return predict(traced, hardware), traced.weight_bytes if dtype == "int8" else None


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]


def _spec(candidate: Spec | str) -> Any:
    return preset(candidate) if isinstance(candidate, str) else candidate


def _hardware(target: Device | Profile | str) -> Device | Profile:
    if target == "here":
        from .profile import load_profile

        return load_profile()
    return device(target) if isinstance(target, str) else target
