"""Closed forms of timing: runs that a percentile or a difference needs, what an asynchronous loop reports, what a stall does.

:mod:`napkinmath.measurement` takes the runs; :mod:`napkinmath.queueing` has what queues add under load.
"""

from __future__ import annotations

from typing import Any

from .scalar import ceil, log, maximum, minimum, where

# Plain arithmetic on numbers, pandas columns or SymPy symbols.
Value = Any


def percentile_runs(quantile: Value, confidence: Value) -> Value:
    """Fewest independent runs whose largest lies above the ``quantile`` with probability ``confidence``: ``1 - q^n >= c``.

    Distribution-free (Wilks 1941). It bounds the percentile from above and says nothing of how far above.

    >>> percentile_runs(quantile=0.99, confidence=0.95)
    299
    """
    return ceil(log(1 - confidence) / log(quantile))


def percentile_margin_runs(quantile: Value, margin: Value, deviates: Value) -> Value:
    """Independent runs until the share below the estimated percentile is ``quantile`` within ``margin``: ``z^2 q (1 - q) / m^2``.

    ``deviates`` is the normal deviate ``z`` of the confidence, both sides: 1.96 for 95%, 2.576 for 99%. Binomial in its normal
    approximation, which MLPerf Inference sizes its runs with. The margin is one of rank, not of seconds.

    >>> percentile_margin_runs(quantile=0.99, margin=0.002, deviates=1.96)
    9508
    """
    return ceil(deviates**2 * quantile * (1 - quantile) / margin**2)


def difference_runs(cv: Value, difference: Value, deviates: Value = 2.8) -> Value:
    """Runs of *each* of two variants that tell a relative ``difference`` of their means apart: ``2 (z cv / d)^2``.

    ``cv`` is the standard deviation of a run over the mean. ``deviates`` adds the normal deviates of the error allowed and of the power:
    1.96 + 0.84 for 5%, two-sided, and 80%. Runs are independent: drift does not average away, however many there are.

    >>> difference_runs(cv=0.05, difference=0.03)
    44
    """
    return ceil(2 * (deviates * cv / difference) ** 2)


def launched_s(runs: Value, launch_s: Value, device_s: Value) -> Value:
    """Time of ``runs`` launches with *one* synchronisation, at the end: the slower of host and device sets the pace.

    The host takes ``launch_s`` to enqueue a run and does not wait; the device takes ``device_s`` for it. Ignores that a full queue stops
    the host. Synchronised after each run it is ``runs * (launch_s + device_s)``; never synchronised, a timer reads ``runs * launch_s``.

    >>> launched_s(runs=100, launch_s=1, device_s=4), launched_s(runs=100, launch_s=4, device_s=1)
    (401, 401)
    """
    return runs * maximum(launch_s, device_s) + minimum(launch_s, device_s)


def stall_percentile_s(stall_s: Value, period_s: Value, quantile: Value, utilization: Value = 0) -> Value:
    """Wait below which a share ``quantile`` of requests stay, when a server stops for ``stall_s`` in every ``period_s``.

    Requests are *scheduled* at a steady rate that keeps the server at ``utilization``, and timed from the schedule. The first of a stall
    waits all of it; the backlog, as a fluid, is gone ``stall / (1 - utilization)`` after it began, if that comes before the next stall.

    >>> round(stall_percentile_s(stall_s=2, period_s=60, quantile=0.99), 2)
    1.4
    """
    return maximum(0, stall_s - (1 - quantile) * period_s * (1 - utilization))


def closed_loop_percentile_s(stall_s: Value, period_s: Value, interval_s: Value, quantile: Value) -> Value:
    """The same wait as *one* connection records that sends every ``interval_s``, or after the reply if that is later.

    It has one slow sample a stall among ``(period - stall) / interval`` quick ones: coordinated omission.

    >>> closed_loop_percentile_s(stall_s=2, period_s=60, interval_s=0.01, quantile=0.99)
    0
    """
    slow_share = 1 / (1 + (period_s - stall_s) / interval_s)
    return where(slow_share > 1 - quantile, lambda: stall_s, 0)
