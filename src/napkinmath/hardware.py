"""Devices as their vendors describe them: dense peaks per dtype, memory, bandwidth and price, each with source and date.

The rows are in ``data/hardware.toml`` and ``data/prices.toml``. This machine as it was *measured* is a
:class:`napkinmath.profile.Profile`, which has the same ``peak_flops``, ``bandwidth_bytes_per_s`` and ``ridge_intensity``.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from .dtypes import dtype_name
from .errors import InputError, did_you_mean, shown
from .profile import Profile, load_profile

__all__ = ["Device", "Price", "Profile", "device", "device_identifiers", "devices", "load_profile"]


@dataclass(frozen=True)
class Price:
    """What one device costs to rent.

    Attributes:
        usd_per_hour: on demand, for one device: the instance's price divided by its devices.
        cloud, instance, region: what is rented, and where.
        source: URL.
        checked: when the source said so.
    """

    usd_per_hour: float
    cloud: str
    instance: str
    region: str
    source: str
    checked: datetime.date


@dataclass(frozen=True)
class Device:
    """A row of the datasheet table.

    Attributes:
        name: such as ``a100-80gb``; ``napkinmath.a100_80gb`` is the same device.
        title: the vendor's name for it.
        kind: ``gpu``, ``tpu``, ``cpu`` or ``soc``.
        peaks: dense FLOP/s (operations per second for int8) by dtype; never the figure with structured sparsity.
        bandwidth_bytes_per_s: of its main memory, bytes/s.
        memory_bytes: capacity as the vendor prints it, its GB taken as 1e9 bytes. That is cautious: the ``80 GB`` of an A100 are
            80 GiB, 7% more. What a card reports (``nvidia-smi``, in MiB) decides where it is close.
        interconnect_bytes_per_s: to other devices, bytes/s, both directions together, as vendors print it; 0 where there is none.
        interconnect: what that is, such as ``NVLink 4``.
        derivation: how a peak follows from cores, clock and width, where no datasheet prints it; else empty.
        source: URL of the figures.
        checked: when they were looked up.
        note: what to know before comparing.
    """

    name: str
    title: str
    kind: str
    peaks: Mapping[str, float]
    bandwidth_bytes_per_s: float
    memory_bytes: float
    interconnect_bytes_per_s: float
    interconnect: str
    derivation: str
    source: str
    checked: datetime.date
    note: str

    def peak_flops(self, dtype: str = "bf16") -> float:
        """Dense peak, FLOP/s.

        Raises:
            InputError: not a dtype, or the device has no published peak for it.

        >>> device("a100-80gb").peak_flops("bf16") == 312e12
        True
        """
        short = dtype_name(dtype)
        if short not in self.peaks:
            raise InputError(f"dtype={short!r}: {self.name} has no published peak for it; it has {', '.join(self.peaks)}")
        return self.peaks[short]

    def ridge_intensity(self, dtype: str = "bf16") -> float:
        """FLOPs per byte above which a kernel can be compute-bound."""
        return self.peak_flops(dtype) / self.bandwidth_bytes_per_s

    @property
    def price(self) -> Price | None:
        """The on-demand price, or ``None`` where no source was found."""
        return _prices().get(self.name)

    @property
    def price_usd_per_hour(self) -> float:
        """On-demand price of one device, $/hour.

        Raises:
            InputError: no price is on record.
        """
        if self.price is None:
            raise InputError(f"no price on record for {self.name}; priced devices: {', '.join(sorted(_prices()))}")
        return self.price.usd_per_hour

    def to_dict(self) -> dict[str, Any]:
        """All columns and the price, ready for JSON."""
        price = self.price
        row = dataclasses.asdict(self) | {"peaks": dict(self.peaks), "checked": self.checked.isoformat()}
        return row | {"price": None if price is None else dataclasses.asdict(price) | {"checked": price.checked.isoformat()}}

    def __str__(self) -> str:
        from .units import fmt

        peaks = ", ".join(f"{dtype} {fmt(rate, 'FLOP/s')}" for dtype, rate in self.peaks.items())
        return f"{self.title}: {peaks}; {fmt(self.memory_bytes, 'B')} at {fmt(self.bandwidth_bytes_per_s, 'B/s')}"


def device(name: str) -> Device:
    """Look up a device by name; upper case, spaces and underscores are forgiven.

    Raises:
        InputError: no such device; the message names the nearest.
    """
    table = _table()
    key = str(name).strip().lower().replace("_", "-").replace(" ", "-")
    key = _aliases().get(key, key)
    if key not in table:
        near = did_you_mean(key, [*table, *_aliases()], "'napkinmath devices' lists all")
        raise InputError(f"device {shown(name)} is not in the table.{near}")
    return table[key]


def devices(kind: str | None = None) -> list[Device]:
    """All devices, or those of one kind (``gpu``, ``tpu``, ``cpu``, ``soc``), in the table's order."""
    kinds = {d.kind for d in _table().values()}
    if kind is not None and kind not in kinds:
        raise InputError(f"kind={kind!r}: no such kind of device.{did_you_mean(kind, kinds)}")
    return [d for d in _table().values() if kind in (None, d.kind)]


@functools.cache
def device_identifiers() -> frozenset[str]:
    """The names under which devices are attributes of ``napkinmath``: ``a100_80gb``."""
    return frozenset(name.replace("-", "_") for name in (*_table(), *_aliases()))


def _load(file: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("napkinmath") / "data" / file).read_text(encoding="utf-8"))


@functools.cache
def _table() -> dict[str, Device]:
    rows = {}
    for name, row in _load("hardware.toml")["device"].items():
        row = {key: value for key, value in row.items() if key != "aliases"}
        peaks = {dtype: 1e12 * tera for dtype, tera in row.pop("peak_tflops").items()}
        rows[name] = Device(
            name=name,
            peaks=peaks,
            bandwidth_bytes_per_s=1e9 * row.pop("bandwidth_gb_per_s"),
            memory_bytes=1e9 * row.pop("memory_gb"),
            interconnect_bytes_per_s=1e9 * row.pop("interconnect_gb_per_s", 0),
            **({"interconnect": "", "derivation": "", "note": ""} | row),
        )
    return rows


@functools.cache
def _aliases() -> dict[str, str]:
    return {alias: name for name, row in _load("hardware.toml")["device"].items() for alias in row.get("aliases", ())}


@functools.cache
def _prices() -> dict[str, Price]:
    prices = {}
    for name, row in _load("prices.toml")["price"].items():
        row = dict(row)
        usd, count = row.pop("usd_per_hour"), row.pop("devices")
        prices[name] = Price(usd_per_hour=usd / count, **row)
    return prices
