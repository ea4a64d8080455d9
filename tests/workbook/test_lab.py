"""What the labs' own helpers print, keep and draw."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import altair as alt
import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook, new_output

from napkinmath.errors import InputError
from workbook import lab, records


def chart() -> alt.Chart:
    data = alt.Data(values=[{"x": 1, "y": 3}, {"x": 2, "y": 1}])
    line = alt.Chart(data).mark_line(clip=True).encode(x="x:Q", y="y:Q")
    return alt.hconcat(line, line)


def shown(capsys_chart: alt.TopLevelMixin, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    bundles: list[dict[str, object]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: bundles.append(bundle))
    lab.show(capsys_chart, 'A line & a "quote"')
    return bundles[0]


def test_a_chart_is_the_same_on_every_run_and_valid_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = shown(chart(), monkeypatch), shown(chart(), monkeypatch)
    assert first == second
    notebook = new_notebook(cells=[new_code_cell("show(chart)", outputs=[new_output("display_data", data=first)])])
    nbformat.validate(notebook)


def test_a_chart_has_alt_text_and_asks_nothing_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = shown(chart(), monkeypatch)
    root = ElementTree.fromstring(str(bundle["image/svg+xml"]))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'A line & a "quote"'
    assert bundle["text/plain"] == 'A line & a "quote"'
    addresses = [value for node in root.iter() for name, value in node.attrib.items() if name.endswith(("href", "src"))]
    assert not [address for address in addresses if "//" in address]


def test_two_charts_on_a_page_do_not_share_ids() -> None:
    def ids(chart: alt.TopLevelMixin) -> set[str]:
        text = lab.svg(chart.to_dict())
        return {node.attrib["id"] for node in ElementTree.fromstring(text).iter() if "id" in node.attrib}

    one, other = ids(chart()), ids(chart().properties(title="other"))
    assert one
    assert not one & other


def test_importing_the_helpers_loads_nothing_heavy() -> None:
    code = "import sys, workbook.lab; print([m for m in ('torch', 'pandas', 'altair', 'sympy', 'vl_convert') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_setup_seeds_and_says_where_it_runs(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = lab.setup(seed=3)
    drawn = torch.rand(2)
    lab.setup(seed=3)
    assert torch.equal(drawn, torch.rand(2))
    assert here.profile is None
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"{here.device}, fp32, {here.threads} threads")
    assert "napkinmath calibrate" in first


def test_a_record_sets_guess_prediction_and_measurement_side_by_side(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab.commit_guess("bert", 0.1)
    lab.record("bert", 0.05, 0.05)
    lab.record("gpt", 0.2, 0.1)
    out = capsys.readouterr().out
    assert "your guess is 100 ms" in out
    assert "2 times too high" in out
    assert "measured / predicted = 0.50" in out
    rows = lab.load_records()
    assert [row["name"] for row in rows] == ["bert", "gpt"]
    assert rows[0]["guess_s"] == 0.1
    assert "guess_s" not in rows[1]


def test_a_record_of_the_same_name_takes_its_place(own_home: Path) -> None:
    lab.record("bert", 0.05, 0.06)
    lab.record("bert", 0.05, 0.07)
    assert [row["measured_s"] for row in lab.load_records()] == [0.07]
    assert [path.name for path in own_home.iterdir()] == ["records.json"]


def test_a_row_carries_what_prediction_and_measurement_know(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from napkinmath.latency import Prediction, PricedOp
    from napkinmath.measurement import Measurement

    priced = (PricedOp("a", "matmul", "aten.mm", 1, 0.05, "compute", False),)
    prediction = Prediction("bert", "here", "fitted", 0.05, 0.04, 0.06, priced, 0.0)
    measurement = Measurement("Bert", "cpu", 2, "steady", 0.055, 0.07, None, 0.055, 0.05, 20, 0.05, 0.06)
    row = lab.record("bert", prediction, measurement)
    assert (row["low_s"], row["high_s"], row["binds"], row["p90_s"]) == (0.04, 0.06, "compute", 0.07)
    assert "40 ms to 60 ms, compute binds" in capsys.readouterr().out
    assert lab.load_records() == [json.loads(json.dumps(row))]


@pytest.mark.parametrize("guess", [0, -1, float("nan"), "fast"])
def test_a_guess_is_a_positive_number(own_home: Path, guess: object) -> None:
    with pytest.raises(InputError, match="positive number"):
        lab.commit_guess("bert", guess)  # type: ignore[arg-type]


def test_no_guess_is_fine(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.commit_guess("bert", None) is None
    assert capsys.readouterr().out == "bert: no guess\n"


@pytest.mark.parametrize("text", ["{half", "[]", '{"bert": 3}'])
def test_a_corrupt_record_file_is_named(own_home: Path, text: str) -> None:
    own_home.mkdir()
    records.records_path().write_text(text)
    with pytest.raises(InputError, match=r"records\.json .*delete it"):
        lab.load_records()


@pytest.mark.parametrize(
    ("answer", "check", "verdict"),
    [
        (None, 768, "not answered"),
        (768, 768, "right"),
        (768.9, 768, "right"),
        (1e9, 768, "wrong. think of d_model"),
        ("768", 768, "wrong. think of d_model"),
        (True, 1, "wrong. think of d_model"),
        ("compute", "compute", "right"),
        (torch.ones(2), torch.ones(2), "right"),
        (torch.ones(3), torch.ones(2), "wrong. think of d_model"),
        (lambda x: x + 1, lambda f: f(1) == 2, "right"),
        (lambda x: x, lambda f: f(1) == 2, "wrong. think of d_model"),
        (lambda x: x, lambda f: f(1) == 2 or "add one", "wrong. add one"),
        (3, lambda f: f(1) == 2, "wrong. it raised TypeError: 'int' object is not callable"),
    ],
)
def test_an_exercise_prints_a_verdict_and_never_raises(
    answer: object, check: object, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.exercise("width", answer, check, "think of d_model")
    assert capsys.readouterr().out == f"width: {verdict}\n"
