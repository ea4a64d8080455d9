"""This machine as it was measured: the samples of a calibration, under which conditions they were taken, and the laws they give."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Self

from .costmodel import Work
from .dtypes import dtype_name
from .errors import InputError, did_you_mean, shown
from .files import shown_path, write_text
from .laws import Fit, Law

SCHEMA = 5
_BUSY_DRIFT, _BUSY_NOISE = 0.2, 0.1  # above these the samples tell of other processes
_REMEDY = "run 'napkinmath calibrate' (a minute)"


def home() -> Path:
    """The folder of profiles and caches: ``$NAPKINMATH_HOME``, else the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("NAPKINMATH_HOME") or platformdirs.user_cache_dir("napkinmath"))


def profile_path(device: str = "cpu") -> Path:
    """Where :func:`load_profile` looks for the profile of a device type."""
    return home() / f"profile-{device}.json"


@dataclass(frozen=True)
class Profile:
    """A machine's measured speed.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        machine: processor, cores, accelerator; the profile holds for no other.
        threads: CPU threads that torch used.
        torch: torch's version.
        allocator: how freed memory was treated.
        created: when, UTC, ISO 8601.
        duration_s: how long the calibration took.
        cache_bytes: the last-level cache; what it holds of a model's weights is priced as warm (:func:`~napkinmath.costmodel.cold_share`).
        peaks: for each dtype the best matmul rate in FLOP/s, at the start, at the end, and now and then between parts.
        bandwidths: the best rate of reading memory in bytes/s, at the same times.
        module_s, view_s: seconds that a module's own Python and a view take on top of the operators.
        noise: half the distance between the quartiles of an operation's runs over their median, the median over operations.
        samples: for each class and dtype, rows of ``[dims, flops, bytes, age, seconds]``.
        fits: for each class and dtype, what the search for its law chose (:class:`~napkinmath.laws.Fit`); a law without is searched for
            when it is first asked for, which takes up to half a second.
    """

    device: str
    machine: dict[str, Any]
    threads: int
    torch: str
    allocator: str
    created: str
    duration_s: float
    cache_bytes: int
    peaks: dict[str, list[float]]
    bandwidths: list[float]
    module_s: float
    view_s: float
    noise: float
    samples: dict[str, list[list[Any]]] = field(repr=False)
    fits: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    schema: int = SCHEMA

    @property
    def name(self) -> str:
        return f"this {self.device}: {self._model}"

    @property
    def title(self) -> str:
        """What a chart calls it, where :attr:`name` is too long."""
        return f"this {self.device}, measured"

    @property
    def _model(self) -> str:
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return f"{self.machine.get('accelerator') or self.machine['cpu']}, {threads}"

    def peak_flops(self, dtype: str = "fp32") -> float:
        """Best matmul rate seen, FLOP/s.

        Raises:
            InputError: the dtype was not calibrated.
        """
        dtype = dtype_name(dtype)
        if dtype not in self.peaks:
            raise InputError(f"dtype={dtype!r} was not calibrated on {self.name}; it has {', '.join(self.peaks)}")
        return max(self.peaks[dtype])

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Best rate of reading main memory seen, bytes/s."""
        return max(self.bandwidths)

    def ridge_intensity(self, dtype: str = "fp32") -> float:
        """FLOPs per byte above which a kernel can be compute-bound."""
        return self.peak_flops(dtype) / self.bandwidth_bytes_per_s

    @property
    def drift(self) -> float:
        """How far the machine's speed moved over the calibration, as a fraction."""
        return max(1 - min(rates) / max(rates) for rates in (*self.peaks.values(), self.bandwidths))

    @property
    def verdict(self) -> str:
        """``quiet``, or that the machine was busy while it was measured, so that predictions from it mean little."""
        if self.drift <= _BUSY_DRIFT and self.noise <= _BUSY_NOISE:
            return "quiet"
        return f"the machine was busy: its speed drifted by {self.drift:.0%}, repeats differed by {self.noise:.0%}"

    @functools.cached_property
    def _laws(self) -> dict[str, Law]:
        return {}

    def law(self, key: str) -> Law | None:
        """The fitted cost of a class, ``gemm/fp32``, or ``None`` where it was not sampled. Made at its first use, then kept."""
        if key not in self._laws and key in self.samples:
            fit = Fit(**self.fits[key]) if key in self.fits else None
            self._laws[key] = Law(self._works(key), [seconds for *_, seconds in self.samples[key]], fit)
        return self._laws.get(key)

    def _works(self, key: str) -> list[Work]:
        law, dtype = key.split("/")
        return [Work(law, dtype, tuple(dims), flops, moved, age) for dims, flops, moved, age, _ in self.samples[key]]

    def fitted(self) -> Self:
        """The same profile with the fits of all its laws, so that the first prediction from it does not wait for them."""
        return replace(self, fits={key: asdict(law.fit) for key in self.samples if (law := self.law(key))})

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that :func:`json.dumps` takes; :meth:`from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Rebuild a profile from :meth:`to_dict`.

        Raises:
            InputError: another schema, or a field is missing, unknown or of the wrong form.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else None
            raise InputError(f"profile data has schema {found!r}, this version reads {SCHEMA}; {_REMEDY}")
        missing = {f.name for f in fields(cls)} ^ data.keys()
        if missing:
            raise InputError(f"profile data: fields {', '.join(sorted(missing))} are missing or unknown; {_REMEDY}")
        profile = cls(**data)
        try:
            rows = [row for group in profile.samples.values() for row in group]
            well_formed = bool(rows) and all(
                len(dims) > 0 and moved > 0 and age >= 0 and seconds > 0 for dims, _flops, moved, age, seconds in rows
            )
            well_formed = well_formed and all(Fit(**fit).suits(profile._works(key)[0]) for key, fit in profile.fits.items())
            well_formed = well_formed and min(*profile.bandwidths, *(p for pair in profile.peaks.values() for p in pair)) > 0
        except (AttributeError, KeyError, TypeError, ValueError):
            well_formed = False
        if not well_formed:
            raise InputError(f"profile data: its samples, fits or rates are not of the right form; {_REMEDY}")
        return profile

    def save(self, path: str | Path | None = None) -> Path:
        """Write the profile as JSON, whole or not at all, by default where :func:`load_profile` looks; returns the path."""
        path = Path(path) if path else profile_path(self.device)
        text = json.dumps(self.to_dict())  # before a file is opened: what cannot be written leaves nothing behind
        write_text(path, text)
        return path

    def __str__(self) -> str:
        from .units import fmt

        peaks = ", ".join(f"{dtype} {fmt(max(pair), 'FLOP/s')}" for dtype, pair in self.peaks.items())
        count = sum(map(len, self.samples.values()))
        return (
            f"{self.name}: {peaks}, memory {fmt(self.bandwidth_bytes_per_s, 'B/s')} (drift {self.drift:.0%}, noise {self.noise:.0%}); "
            f"{count} samples in {self.duration_s:.0f} s, torch {self.torch}, {self.created[:10]}"
        )


class RecordedProfile(Profile):
    """The calibration of another machine than this one."""

    @property
    def name(self) -> str:
        return f"a {self.device} on record: {self._model}, {self.created[:10]}"

    @property
    def title(self) -> str:
        return f"a {self.device} on record"


def load_profile(device: str | None = None, path: str | Path | None = None) -> Profile:
    """Read this machine's profile, and refuse one that was not measured here, as things are now.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``; where not given, the accelerator's profile if there is one, else the CPU's.
        path: another file than the default; where :func:`calibrate` put it otherwise.

    Raises:
        InputError: no profile, unreadable, another schema, machine, torch version or thread count. The message says what to do.
    """
    import torch

    from . import environment

    path = Path(path) if path else profile_path(device or environment.default_device())
    try:
        profile = Profile.from_dict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise InputError(f"this machine has no profile yet ({shown_path(path)}); {_REMEDY}") from None
    except (OSError, ValueError) as error:
        raise InputError(
            str(error) if isinstance(error, InputError) else f"the profile {shown_path(path)} cannot be read ({error}); {_REMEDY}"
        ) from error
    here = environment.machine(profile.device)
    for what, then, now in (
        ("machine", profile.machine, here),
        ("torch version", profile.torch, str(torch.__version__)),
        ("thread count", profile.threads, torch.get_num_threads()),
    ):
        if then != now:
            raise InputError(f"the profile {shown_path(path)} is for another {what} ({_brief(then)}, here {_brief(now)}); {_REMEDY}")
    return profile


def recorded_profiles() -> list[str]:
    """Names of the machines whose calibration comes with the package; ``benchmarks/record_profile.py`` makes them."""
    found = _recordings()
    return sorted(path.name.removesuffix(".json") for path in found.iterdir()) if found.is_dir() else []


def recorded_profile(name: str) -> RecordedProfile:
    """The calibration of a machine that is not this one, as it was recorded.

    A prediction from it is for that machine, threads and torch version. What was predicted and measured there on the
    development workloads, with the date, stands beside it in the same file (:func:`recording`).

    Raises:
        InputError: no such machine on record; the message names the nearest.
    """
    return RecordedProfile.from_dict(recording(name)["profile"])


def recording(name: str) -> dict[str, Any]:
    """Everything on record of a machine: ``profile``, and ``check`` with ``when``, ``summary`` and ``rows`` (predicted, measured)."""
    known = recorded_profiles()
    if name not in known:
        raise InputError(f"no machine {shown(name)} is on record.{did_you_mean(name, known)}")
    found: dict[str, Any] = json.loads((_recordings() / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _recordings() -> Traversable:
    return resources.files("napkinmath") / "data" / "profiles"


def _brief(value: Any) -> str:
    return ", ".join(map(str, value.values())) if isinstance(value, dict) else str(value)
