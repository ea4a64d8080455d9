"""What one operation costs on a measured machine: one law per class of operation, fitted to a calibration.

A law says how long an operation takes from what the whiteboard knows of it::

    seconds = a * (1 + s * cold(code_age)) + flops / peak * (1 + c1/dim1) * (1 + c2/dim2) ... + bytes / bandwidth * (1 + r * cold(age))
    cold(age) = age / (age + cache)

``a`` is the cost of dispatching it, ``c`` says which dimensions are too small to fill the machine, ``r`` by how much memory is
slower than the caches, for classes whose operands may still be there (:attr:`~napkinmath.costmodel.Work.age`), and ``s`` by how
much longer dispatching takes when other traffic has driven its code out of them. The constants are
fitted to the calibration's samples, robustly and on the logarithm, because a prediction is judged by its ratio. What the
formula misses (cache levels, a library's switch of algorithm) is continuous in the logarithms of the dimensions, the FLOPs and
the bytes: a Gaussian process interpolates the remaining ratio and says how far it may be off, which becomes the prediction's
interval. Far from every sample the process knows nothing and the formula alone is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .costmodel import Work

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Columns = tuple[Floats, Floats, Floats, Floats, Floats]


@dataclass(frozen=True)
class Priced:
    """What a law says of several works: arrays of one length.

    Attributes:
        seconds: best estimate (median) of each.
        overhead: the part of it that dispatching takes.
        sigma: standard deviation of its natural logarithm: how far the law may be off there.
        outside: whether a dimension lies outside the calibrated range.
        noise: standard deviation of what differs from one operation to the next whatever the law says.
    """

    seconds: Floats
    overhead: Floats
    sigma: Floats
    outside: npt.NDArray[np.bool_]
    noise: float


@dataclass(frozen=True)
class Fit:
    """What the search for a law chose: with it the law is rebuilt from its samples at once.

    Attributes:
        constants: of the formula, as natural logarithms.
        scales: of the process, in doublings of each feature.
        amplitude, noise: of the process, in natural logarithms of seconds.
    """

    constants: list[float]
    scales: list[float]
    amplitude: float
    noise: float

    def suits(self, work: Work) -> bool:
        """Whether it has as many numbers as a law of such works needs, all of them usable."""
        aged, flops = work.age > 0, work.flops > 0
        return (
            len(self.constants) == 2 + 3 * aged + flops * (1 + len(work.dims))
            and len(self.scales) == len(work.dims) + 1 + aged + flops
            and all(map(math.isfinite, self.constants))
            and min(*self.scales, self.amplitude, self.noise) > 0
        )


class Law:
    """The fitted cost of one class of operation."""

    #: What the fit of the process chooses from: length scales in doublings of a feature (over the last one nothing changes),
    #: amplitudes and noises in natural logarithms of seconds.
    _SCALES = (1.0, 2.0, 4.0, 8.0, 1e3)
    _AMPLITUDES = (0.05, 0.1, 0.2, 0.4, 0.8)
    _NOISES = (0.05, 0.1, 0.2)
    _BEYOND = 2.0  # no rate is claimed that is this many times the best seen
    _SLOWER = 30.0  # times, that memory may be slower than a cache
    _LATER = 100.0  # times, that dispatching may take longer when its code has left the caches
    _CACHES = (2.0**19, 2.0**27)  # bytes: the smallest and largest cache that is looked for
    _GAIN = 0.5  # of log-likelihood, below which a feature keeps the scale of the others
    _SEARCHED = 128  # samples that the search for scales looks at: its time grows with their third power

    def __init__(self, works: Sequence[Work], seconds: Sequence[float], fit: Fit | None = None) -> None:
        """Fit the law to measured works of one class.

        Args:
            works: at least one, all with the same :attr:`Work.key`, the first of them spread over the grid.
            seconds: how long each took.
            fit: of the same samples, from :attr:`fit`: nothing is searched then.
        """
        import numpy as np

        self._has_flops = works[0].flops > 0
        self._has_age = works[0].age > 0
        columns = dims, *_ = self._columns(works)
        log_seconds = np.log(np.asarray(seconds, dtype=float))
        constants = np.asarray(fit.constants) if fit else self._fit_constants(columns, log_seconds)
        self._constants, self._points = constants, self._features(*columns)
        self._low, self._high = dims.min(axis=0), dims.max(axis=0)
        residual = log_seconds - self._log_formula(constants, *columns)
        # A stray sample (another process woke up) must not bend the surface around it.
        spread = 1.4826 * float(np.median(np.abs(residual - np.median(residual)))) + 0.02
        residual = np.clip(residual, -4 * spread, 4 * spread)
        scales, self._amplitude, self._noise = (
            (fit.scales, fit.amplitude, fit.noise) if fit else self._search(self._points[: self._SEARCHED], residual[: self._SEARCHED])
        )
        self._scales = np.asarray(scales)
        covariance = self._amplitude**2 * _correlation(self._points, self._points, self._scales) + self._noise**2 * np.eye(len(residual))
        self._inverse = np.linalg.inv(covariance)
        self._weights = self._inverse @ residual
        self.fit = fit or Fit([*map(float, constants)], [*map(float, scales)], self._amplitude, self._noise)

    def _fit_constants(self, columns: Columns, log_seconds: Floats) -> Floats:
        import numpy as np
        from scipy.optimize import least_squares

        dims, flops, moved, *_ = columns
        # Constants are fitted as logarithms and so stay positive. They start at the best rates seen, and none may claim more than
        # the samples allow, however noisy the machine: no dispatch slower than the fastest sample, no rate below the slowest or far
        # above the fastest. Where arithmetic explains the time, the traffic may cost nothing.
        per_byte, nothing = log_seconds - np.log(moved), -50.0
        least = [nothing, nothing if self._has_flops else per_byte.min() - math.log(self._BEYOND)]
        start, most = [log_seconds.min() - math.log(2), per_byte.min()], [log_seconds.min(), per_byte.max()]
        if self._has_age:
            least += [math.log(0.01), math.log(0.01), math.log(self._CACHES[0])]
            start += [0.0, 0.0, math.log(math.prod(self._CACHES)) / 2]
            most += [math.log(self._LATER), math.log(self._SLOWER), math.log(self._CACHES[1])]
        if self._has_flops:
            per_flop = log_seconds - np.log(flops)
            least += [per_flop.min() - math.log(self._BEYOND)] + [nothing] * dims.shape[1]
            start += [per_flop.min()] + [0.0] * dims.shape[1]
            most += [per_flop.max()] + [math.log(1024.0)] * dims.shape[1]
        found: Floats = least_squares(
            lambda c: self._log_formula(c, *columns) - log_seconds,
            start,
            bounds=(np.asarray(least) - 1e-6, np.asarray(most) + 1e-6),
            loss="soft_l1",
            f_scale=0.1,
            max_nfev=200,
        ).x
        return found

    def price(self, works: Sequence[Work]) -> Priced:
        """Estimate works of this law's class."""
        import numpy as np

        columns = dims, *_ = self._columns(works)
        overhead, bandwidth, compute = self._terms(self._constants, *columns)
        near = self._amplitude**2 * _correlation(self._features(*columns), self._points, self._scales)
        scale = np.exp(near @ self._weights)
        sigma = np.sqrt(np.maximum(self._amplitude**2 - np.einsum("ij,ij->i", near, near @ self._inverse), 0.0))
        outside = ((dims < self._low / 1.1) | (dims > self._high * 1.1)).any(axis=1)
        return Priced((overhead + bandwidth + compute) * scale, overhead * scale, sigma, outside, self._noise)

    def _columns(self, works: Sequence[Work]) -> Columns:
        import numpy as np

        dims, flops, moved, age = (np.asarray([getattr(w, name) for w in works], dtype=float) for name in ("dims", "flops", "bytes", "age"))
        return dims, flops, moved, age, np.asarray([w.age if w.code_age is None else w.code_age for w in works], dtype=float)

    def _features(self, dims: Floats, flops: Floats, moved: Floats, age: Floats, code_age: Floats) -> Floats:
        import numpy as np

        return np.log2(np.column_stack([dims, moved] + ([age] if self._has_age else []) + ([flops] if self._has_flops else [])))

    def _terms(
        self, constants: Floats, dims: Floats, flops: Floats, moved: Floats, age: Floats, code_age: Floats
    ) -> tuple[Floats, Floats, Floats]:
        import numpy as np

        overhead = np.full(len(dims), np.exp(constants[0]))
        bandwidth, rest = moved * np.exp(constants[1]), constants[2:]
        if self._has_age:
            later, slower, cache = np.exp(rest[:3])
            overhead *= 1 + later * code_age / (code_age + cache)
            bandwidth *= 1 + slower * age / (age + cache)
            rest = rest[3:]
        compute = flops * np.exp(rest[0]) * (1 + np.exp(rest[1:]) / dims).prod(axis=1) if self._has_flops else np.zeros(len(dims))
        return overhead, bandwidth, compute

    def _log_formula(self, constants: Floats, dims: Floats, flops: Floats, moved: Floats, age: Floats, code_age: Floats) -> Floats:
        import numpy as np

        return np.log(sum(self._terms(constants, dims, flops, moved, age, code_age)))

    def _search(self, points: Floats, residual: Floats) -> tuple[Floats, float, float]:
        """The process's scales, amplitude and noise, by the likelihood of the residuals.

        One scale for all features first; then each feature, one after another, may take its own.
        """
        import itertools

        import numpy as np

        pairs = np.asarray([*itertools.product(self._AMPLITUDES, self._NOISES)])

        def likelihood(scales: Floats) -> tuple[float, float, float]:
            """Of the best amplitude and noise under these scales, and those two."""
            values, vectors = np.linalg.eigh(_correlation(points, points, scales))
            variances = pairs[:, :1] ** 2 * np.maximum(values, 0.0) + pairs[:, 1:] ** 2
            each = -0.5 * ((vectors.T @ residual) ** 2 / variances + np.log(variances)).sum(axis=1)
            best = int(each.argmax())
            return float(each[best]), float(pairs[best, 0]), float(pairs[best, 1])

        width = points.shape[1]
        best, scales = max(((likelihood(np.full(width, s)), np.full(width, s)) for s in self._SCALES), key=lambda found: found[0][0])
        for feature, scale in itertools.product(range(width), self._SCALES):
            trial = scales.copy()
            trial[feature] = scale
            found = likelihood(trial)
            if found[0] > best[0] + self._GAIN:
                best, scales = found, trial
        return scales, best[1], best[2]


def _correlation(features: Floats, points: Floats, scales: Floats) -> Floats:
    """Matérn's (3/2) between each of two sets: continuous with a slope, but no smoother, as libraries' switches ask."""
    import numpy as np

    gaps = (features[:, None, :] - points[None, :, :]) / scales
    distance: Floats = math.sqrt(3) * np.sqrt((gaps**2).sum(axis=2))
    return (1 + distance) * np.exp(-distance)
