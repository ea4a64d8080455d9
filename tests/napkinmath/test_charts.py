"""Charts: their data against the ledger and the closed forms, the same text on every run, drawable by Vega."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from typing import Any

import pytest
import vl_convert

import napkinmath as nm
from napkinmath import charts
from napkinmath.charts.attention import what_if_expressions
from napkinmath.errors import InputError
from napkinmath.whiteboard import transformer as forms

LEDGER = nm.bert_base.ledger(batch=8, seq=128)
RUNS = [
    {"name": "a", "seq": 64, "predicted_s": 0.3, "low_s": 0.2, "high_s": 0.5, "measured_s": 0.36},
    {"name": "b", "seq": 128, "predicted_s": 0.03, "low_s": None, "high_s": None, "measured_s": 0.036},
]
CHARTS = {
    "breakdown": lambda: charts.breakdown(LEDGER, by="name"),
    "roofline": lambda: charts.roofline([nm.a100_80gb, nm.t4], LEDGER),
    "attention_share": lambda: charts.attention_share([nm.bert_base, nm.llama_3_8b]),
    "attention_what_if": charts.attention_what_if,
    "predicted_vs_measured": lambda: charts.predicted_vs_measured(RUNS),
    "sweep": lambda: charts.sweep(RUNS, "seq"),
}


def values(spec: dict[str, Any], layer: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = spec["layer"][layer].get("data", spec.get("data"))["values"]
    return rows


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_the_same_on_every_run_light_labelled_and_drawable(name: str) -> None:
    first, again = charts.spec(CHARTS[name]()), charts.spec(CHARTS[name]())
    text = json.dumps(first)
    assert text == json.dumps(again)
    assert len(text) < 200_000
    assert first["usermeta"]["label"] in ("modelled", "measured")
    assert first["width"] == "container"
    assert "<svg" in vl_convert.vegalite_to_svg(first | {"width": 360})


def test_bars_add_up_to_the_ledger() -> None:
    for by in ("module", "kind", "name"):
        rows = values(charts.spec(charts.breakdown(LEDGER, by=by, top=3)), 0)
        assert sum(row["FLOPs"] for row in rows) == LEDGER.flops
        assert len(rows) <= 3


def test_repeated_layers_of_a_trace_are_one_bar() -> None:
    ops = [nm.Op(f"encoder/layer/{index}/dense", "matmul", flops=10) for index in range(12)]
    rows = values(charts.spec(charts.breakdown(nm.Ledger("x", "whiteboard", tuple(ops)))), 0)
    assert [(row["module"], row["FLOPs"]) for row in rows] == [("encoder/layer", 120)]


def test_operations_stand_on_the_roof_of_the_first_machine() -> None:
    spec = charts.spec(charts.roofline(nm.a100_80gb, LEDGER, dtype="fp32"))
    peak, bandwidth = nm.a100_80gb.peak_flops("fp32"), nm.a100_80gb.bandwidth_bytes_per_s
    corner = values(spec, 0)[1]
    assert corner["FLOP/s"] == pytest.approx(peak, rel=1e-5)
    assert corner["FLOP/byte"] == pytest.approx(peak / bandwidth, rel=1e-5)
    for row in values(spec, 2):
        assert row["FLOP/s"] == pytest.approx(min(peak, row["FLOP/byte"] * bandwidth), rel=1e-5)
        assert row["bound by"] == ("compute" if row["FLOP/byte"] > peak / bandwidth else "memory")


def test_scores_take_half_where_the_closed_form_says() -> None:
    dots = values(charts.spec(charts.attention_share(nm.bert_base)), 3)
    assert [(row["tokens"], row["share"]) for row in dots] == [(round(nm.bert_base.score_linear_crossover_seq()), 0.5)]


def test_the_browsers_formulas_are_the_closed_forms() -> None:
    draw = random.Random(1)
    expressions = what_if_expressions()
    for _ in range(200):
        d_model, ff_ratio, group, gated, seq = (
            draw.randint(64, 16384),
            draw.uniform(1, 8),
            draw.choice([1, 2, 4, 8]),
            draw.randint(0, 1),
            draw.randint(1, 10**6),
        )
        names = {"d_model": d_model, "ff_ratio": ff_ratio, "group": group, "gated": gated, "pow": math.pow, "seq": seq}
        found = {part: eval(text.replace("datum.seq", "seq"), {}, names) for part, text in expressions.items()}  # our own text
        layer = forms.layer_flops(1, seq, seq, d_model, ff_ratio * d_model, d_model, d_model / group, 1, gated)
        assert found["FFN"] + found["projections"] + found["scores"] == pytest.approx(layer, rel=1e-12)
        share = forms.score_flops_share(found["crossover"], d_model, ff_ratio * d_model, d_model, d_model / group, 1, gated)
        assert share == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: charts.breakdown(LEDGER, by="modul"), "Did you mean 'module'"),
        (lambda: charts.breakdown(LEDGER, measure="flop"), "Did you mean 'flops'"),
        (lambda: charts.breakdown(LEDGER.filter(lambda op: op.kind == "norm")), "has 0"),
        (lambda: charts.roofline([]), "no machine"),
        (lambda: charts.predicted_vs_measured([]), "none to draw"),
        (lambda: charts.predicted_vs_measured([{"name": "x", "predicted_s": 1}]), "has no 'measured_s'"),
        (lambda: charts.sweep([], "seq"), "none to draw"),
        (lambda: charts.sweep([{"seq": 1}], "seq"), "has no 'predicted_s'"),
    ],
)
def test_bad_input_is_named(call: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()


def test_importing_napkinmath_imports_no_altair() -> None:
    code = "import sys, napkinmath; napkinmath.bert_base.params(); sys.exit('altair' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
