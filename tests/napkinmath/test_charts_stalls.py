"""The stall what-if: its expressions are the closed forms, and what the two testers say differs where it should."""

from __future__ import annotations

import re

import pytest

from napkinmath import charts
from napkinmath.charts.stalls import responses_ms, stall_expressions
from workbook.lab import svg


def evaluated(expression: str, **names: float) -> float:
    """A Vega expression, a sum that may hold one ``((condition) ? (value) : (other))``, as Python evaluates it."""
    text = expression.replace("datum.one_in", "one_in").replace("\n", " ")
    text = re.sub(r"\(\((.+?)\) \? \((.+?)\)\s*: \((.+?)\)\)", r"((\2) if (\1) else (\3))", text)
    return float(eval(text, {"max": max}, names))


@pytest.mark.parametrize("one_in", [2, 10, 40, 100, 5_000, 10_000])
@pytest.mark.parametrize(("stall_s", "period_s", "rate", "service_ms"), [(2, 60, 100, 5), (10, 20, 1, 0.5)])
def test_expressions_are_the_closed_forms(one_in: int, stall_s: float, period_s: float, rate: float, service_ms: float) -> None:
    controls = {"stall_s": stall_s, "period_s": period_s, "rate": rate, "service_ms": service_ms}
    for who, expression in stall_expressions().items():
        assert evaluated(expression, one_in=one_in, **controls) == pytest.approx(responses_ms(one_in, **controls)[who]), who


def test_a_waiting_connection_hides_what_users_meet() -> None:
    users, recorded = responses_ms(100, 2, 60, 100, 5).values()
    assert users > 300 * recorded
    users, recorded = responses_ms(10_000, 2, 60, 100, 5).values()
    assert users == pytest.approx(recorded, rel=0.01)  # deep in the tail both show the stall


def test_vega_draws_it_at_full_width() -> None:
    picture = svg(charts.spec(charts.stall_what_if()) | {"description": "a stall"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    assert "p99: 1,700 ms, recorded: 5 ms" in picture or "p99: 1,710 ms, recorded: 5 ms" in picture
