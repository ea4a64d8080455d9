"""The what-if of a contrastive batch: its expressions against the closed forms, its table, and that Vega draws it."""

from __future__ import annotations

import re

import pytest

import napkinmath as nm
from napkinmath import charts
from napkinmath.charts.contrastive import contrastive_expressions
from workbook.lab import svg


def test_expressions_are_the_closed_forms() -> None:
    names = {"pairs": 4096, "devices": 16, "d_embed": 512, "pow": pow}
    value = {
        key: eval(text.replace("datum.pairs", "pairs"), {"__builtins__": {}}, names) for key, text in contrastive_expressions().items()
    }
    assert value == pytest.approx(
        {
            "all of them": nm.contrastive_logits_bytes(4096) / 1e6,
            "own rows": nm.contrastive_logits_bytes(4096, devices=16) / 1e6,
            "a block at a time": 256 * 256 * 4 / 1e6,
            "gathered embeddings": nm.embedding_gather_bytes(4096, 16, 512, "fp32") / 1e6,
        }
    )


def test_the_table_counts_by_hand() -> None:
    row = charts.spec(charts.contrastive_what_if(8, 512))["usermeta"]["table"][2]
    names = ("all of them", "own rows", "a block at a time", "gathered embeddings")
    assert [row[f"{name} (MB)"] for name in names] == [4294.967, 536.871, 67.109, round(2 * 32768 * 7 / 8 * 512 * 4 / 1e6, 3)]


def test_vega_draws_it_at_full_width() -> None:
    picture = svg(charts.spec(charts.contrastive_what_if()) | {"description": "what a contrastive batch keeps on a device"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    assert "Own rows fill the memory at 126,491 pairs" in picture  # sqrt(8e9 / 4 * 8)
