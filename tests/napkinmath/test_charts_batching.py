"""The batching what-if: its expressions are the closed forms, and its curves end where a queue grows without end."""

from __future__ import annotations

import math
import re

import pytest

from napkinmath import charts
from napkinmath.charts.batching import batching_expressions, responses_ms
from workbook.lab import svg


def evaluated(expression: str, **names: float) -> float:
    """A Vega expression, ``((condition) ? (value) : (other))``, as Python evaluates it."""
    parts = re.fullmatch(r"\(\((.+)\) \? \(\s(.+)\s\)\s: \(\s(.+)\s\)\)", expression.replace("datum.rate", "rate"), re.DOTALL)
    assert parts is not None, expression
    condition, value, other = (part.strip() for part in parts.groups())
    return float(eval(value if eval(condition, {}, names) else other, {"NaN": math.nan, "min": min, "pow": pow}, names))


@pytest.mark.parametrize("rate", [3, 30, 200, 600])
@pytest.mark.parametrize(("fixed_ms", "item_ms", "batch"), [(20, 2, 32), (1, 10, 4)])
def test_expressions_are_the_closed_forms(rate: float, fixed_ms: float, item_ms: float, batch: int) -> None:
    forms = responses_ms(rate, fixed_ms, item_ms, batch)
    for policy, expression in batching_expressions().items():
        value = evaluated(expression, rate=rate, fixed_ms=fixed_ms, item_ms=item_ms, batch=batch)
        assert math.isnan(value) if forms[policy] == math.inf else value == pytest.approx(forms[policy])


def test_policies_fail_where_they_should() -> None:
    idle, busy = responses_ms(1, 20, 2, 32), responses_ms(100, 20, 2, 32)
    assert idle["full batches"] > 100 * idle["what is queued"]
    assert busy["one at a time"] == math.inf
    assert busy["what is queued"] < busy["full batches"]


def test_vega_draws_it_at_full_width() -> None:
    picture = svg(charts.spec(charts.batching_what_if()) | {"description": "policies"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    assert "Batching gains at most 11 times" in picture
