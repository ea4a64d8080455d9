"""Closed forms of timing: published sample sizes, and small simulations of what they describe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from napkinmath import measurement, timing


def test_published_sample_sizes() -> None:
    # The numbers of specimens whose extreme bounds a percentile at 95% confidence, as CMH-17's A-basis and B-basis have them.
    assert timing.percentile_runs(0.99, 0.95) == measurement.P99_RUNS == 299
    assert timing.percentile_runs(0.90, 0.95) == 29
    # MLPerf Inference rules, table of queries: 99% confidence, margin a twentieth of the tail.
    z = stats.norm.ppf(0.995)
    assert timing.percentile_margin_runs(0.90, 0.005, z) == 23_886
    assert timing.percentile_margin_runs(0.99, 0.0005, z) == 262_742


def test_a_difference_of_half_a_deviation_needs_as_many_as_power_tables_say() -> None:
    # A standard difference of 0.5 needs 63 in each group (normal approximation; 64 by the t distribution: Cohen 1992, table 2).
    assert timing.difference_runs(cv=0.1, difference=0.05) == 63


@given(st.floats(0.5, 0.999), st.floats(0.5, 0.999))
def test_one_run_fewer_would_not_do(quantile: float, confidence: float) -> None:
    runs = timing.percentile_runs(quantile, confidence)
    assert 1 - quantile**runs >= confidence - 1e-9
    assert 1 - quantile ** (runs - 1) < confidence + 1e-9


@pytest.mark.parametrize(("launch_s", "device_s"), [(1, 4), (4, 1), (3, 3), (0, 2)])
def test_a_loop_of_launches(launch_s: int, device_s: int) -> None:
    host = device = 0
    for _ in range(50):
        host += launch_s
        device = max(device, host) + device_s
    assert timing.launched_s(50, launch_s, device_s) == max(host, device)


@pytest.mark.parametrize("utilization", [0.0, 0.5])
@pytest.mark.parametrize("quantile", [0.9, 0.95, 0.99, 0.999])
def test_a_stall_seen_from_the_schedule(utilization: float, quantile: float) -> None:
    interval, period, stall = 0.001, 40.0, 2.0
    due = np.arange(int(period / interval)) * interval
    done, free = np.empty_like(due), 0.0
    for request, at in enumerate(due):
        start = max(free, at)
        start = stall if start < stall else start  # the period begins with the stall
        done[request] = free = start + utilization * interval
    waits = done - due - utilization * interval
    assert np.quantile(waits, quantile) == pytest.approx(timing.stall_percentile_s(stall, period, quantile, utilization), abs=0.003)


def test_a_connection_that_waits_records_a_stall_once() -> None:
    period, stall, interval = 60.0, 2.0, 0.5
    waits, now = [], 0.0
    while now < 100 * period:
        into = now % period
        waits.append(max(0.0, stall - into))
        now += max(interval, waits[-1])
    slow = np.mean(np.array(waits) > 0)
    assert slow == pytest.approx(1 / (1 + (period - stall) / interval), rel=0.02)
    for quantile in (1 - 1.2 * slow, 1 - 0.8 * slow):
        recorded = np.quantile(waits, quantile, method="inverted_cdf")
        assert recorded == timing.closed_loop_percentile_s(stall, period, interval, quantile)
