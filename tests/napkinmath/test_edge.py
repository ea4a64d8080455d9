"""Energy and heat of a device: against a simulated case, a published table, and published joules of a token."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import napkinmath as nm

watts = st.floats(0.1, 20)


@given(watts, watts, st.floats(10, 1000))
def test_a_burst_ends_when_a_simulated_case_is_as_warm_as_it_may_be(power_w: float, shed_w: float, cooling_s: float) -> None:
    ends = nm.burst_s(power_w, shed_w, cooling_s)
    if power_w <= shed_w:
        assert math.isinf(ends)
        return
    # Warmth in watts that the case sheds at it: each step it gains what comes in and loses what goes out.
    steps = 20_000
    warmth = 0.0
    step = min(ends, 5 * cooling_s) / steps / cooling_s
    for _ in range(steps):
        warmth += (power_w - warmth) * step
    assert warmth == pytest.approx(power_w * (1 - math.exp(-steps * step)), rel=1e-3)
    if ends < 5 * cooling_s:
        assert warmth == pytest.approx(shed_w, rel=1e-3)


@given(st.floats(1e-4, 1), st.floats(1e-4, 10), watts)
def test_what_is_sustained_stays_within_time_and_heat(pass_s: float, pass_j: float, shed_w: float) -> None:
    rate = nm.sustained_per_s(pass_s, pass_j, shed_w)
    assert rate * pass_s <= 1 + 1e-9 and rate * pass_j <= shed_w * (1 + 1e-9)
    assert rate * pass_s == pytest.approx(1) or rate * pass_j == pytest.approx(shed_w)


def test_the_table_s_dram_is_half_of_what_a_token_was_measured_to_take() -> None:
    # arXiv:2603.23640: a 1.5B decoder in 4 bits, 131.7 tokens/s at 34.1 W on a laptop's GPU. Weights of 4.5 bits, read once for a token.
    measured = 34.1 / 131.7
    weights = nm.group_quantized_bytes(1.5e9, bits=4, group=32)
    floor = nm.pass_energy_j(macs=1.5e9, bytes_moved=weights, mac_j=0.3e-12, byte_j=160e-12)
    assert 0.4 < floor / measured < 0.7
    assert floor == pytest.approx(0.1 * 1.5, rel=0.15)  # arXiv:2402.14905 calculates with 0.1 J for a token and a billion parameters


def test_terms_add_up() -> None:
    assert nm.pass_energy_j(1e9, 0, 4.6e-12, 0) == pytest.approx(4.6e-3)
    assert nm.pass_energy_j(0, 4, 0, 160e-12) == pytest.approx(640e-12)
    assert nm.pass_energy_j(1, 1, 1, 1, pass_s=2, powered_w=3) == 8
