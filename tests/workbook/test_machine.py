"""The page of this machine: what it shows of a profile and of recorded runs, and that a narrow screen sees the ratio."""

from __future__ import annotations

import json
from dataclasses import replace

from napkinmath import bert_base, charts, t4
from workbook.site.machine import record_row

ROW = {"name": "bert-base batch=8 seq=128", "predicted_s": 0.2, "low_s": 0.15, "high_s": 0.3, "measured_s": 0.25}


def test_the_ratio_stands_beside_the_name() -> None:
    assert record_row(ROW) == ["bert-base batch=8 seq=128", "1.25", "250 ms", "200 ms (150 ms to 300 ms)"]


def test_dots_on_a_measured_roof_are_modelled() -> None:
    profile = replace(t4, title="this cpu, measured")
    alone, dotted = charts.roofline([], profile=profile), charts.roofline([], bert_base.ledger(8, 128), profile=profile)
    assert charts.spec(alone)["usermeta"]["label"] == "measured"
    assert charts.spec(dotted)["usermeta"]["label"] == "modelled"
    assert "this cpu, measured" in str(charts.spec(dotted))


def test_what_ran_and_its_sizes_stand_on_lines_of_their_own() -> None:
    names = {
        "bert-base batch=1 seq=128": ["bert-base", "batch=1 seq=128"],
        "8 pairs judged by minilm-l6": ["8 pairs judged by", "minilm-l6"],
    }
    spec = charts.spec(charts.predicted_vs_measured([ROW | {"name": name} for name in names]))
    axis = spec["layer"][0]["encoding"]["y"]["axis"]
    assert json.dumps(names) in axis["labelExpr"]
    assert axis["labelOverlap"] is False  # Vega drops every second label of two lines
