"""Formulas that SymPy writes from the closed forms, and the cheat sheet's sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import napkinmath
from napkinmath.errors import InputError
from workbook import ROOT
from workbook.site import cheat_sheet
from workbook.site.formula import latex, typeset

SHEET = (ROOT / "book" / "cheat-sheet.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("expression", "formula"),
    [
        ("linear_flops(tokens, d_in, d_out)", r"2 \, d_{in} \, d_{out} \, \text{tokens}"),
        ("model_state_bytes(params)", r"16 \, \mathit{params}"),
        ("score_linear_crossover_seq(d_model, 4 * d_model, n_heads, n_heads, d_model / n_heads)", r"6 \, d_{model}"),
        ("compute_bound_batch(2 * params, 0, 2 * params, peak_flops, bandwidth_bytes_per_s)", r"\frac{\pi}{\beta}"),
        ("usd_per_million_tokens(3600 * usd_per_s, tokens_per_s)", r"\frac{1000000 \, \text{usd/s}}{\text{tokens/s}}"),
    ],
)
def test_a_formula_is_what_the_function_computes(expression: str, formula: str) -> None:
    assert latex(expression) == formula


def test_names_are_typeset_as_the_glossary_has_them() -> None:
    assert [typeset(name) for name in ("n_kv_heads", "seq", "d_hidden", "weight_bytes", "response_s", "requests_per_s")] == [
        "n_{kv}",
        r"\mathit{seq}",
        "d_{hidden}",
        r"\text{weight bytes}",
        r"\text{response}",
        r"\text{requests/s}",
    ]


@pytest.mark.parametrize("expression", ["linear_flop(tokens, d_in, d_out)", "linear_flops(tokens,", "linear_flops(tokens)"])
def test_what_is_no_closed_form_is_refused_by_name(expression: str) -> None:
    with pytest.raises(InputError, match=re.escape(expression)):
        latex(expression)


def test_every_device_of_the_cheat_sheet_links_to_the_source_of_its_figures() -> None:
    rows = re.findall(r"^\| \[[^\]]+\]\((\S+)\) \|.*?\{n\}`(\w+)\.peak_flops", SHEET, re.MULTILINE)
    assert len(rows) >= 6
    assert [(source, name) for source, name in rows if getattr(napkinmath, name).source != source] == []


def test_without_a_chromium_the_build_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path
    assert cheat_sheet.write_pdf(site) == ""
    (site / "book").mkdir()
    (site / "book" / "cheat-sheet.html").write_text("<p>A sheet.")
    monkeypatch.setattr(cheat_sheet, "find_chromium", lambda: None)
    assert "was not written: install one" in cheat_sheet.write_pdf(site)
    monkeypatch.setattr(cheat_sheet, "find_chromium", lambda: str(site / "nothing"))
    assert "was not written" in cheat_sheet.write_pdf(site)
    assert [path.name for path in (site / "book").iterdir()] == ["cheat-sheet.html"]
