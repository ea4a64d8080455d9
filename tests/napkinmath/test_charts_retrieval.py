"""The what-if of an index: its expressions against the closed forms, its table, and that Vega draws it."""

from __future__ import annotations

import re

import pytest

import napkinmath as nm
from napkinmath import charts
from napkinmath.charts.retrieval import index_expressions
from workbook.lab import svg


def test_expressions_are_the_closed_forms() -> None:
    names = {"millions": 3, "d_embed": 96, "links": 16, "subvectors": 24, "sqrt": lambda x: x**0.5}
    value = {
        key: eval(text.replace("datum.millions", "millions"), {"__builtins__": {}}, names) for key, text in index_expressions().items()
    }
    lists = nm.ivf_best_lists(3_000_000, probes=64)
    assert value["flat"] == pytest.approx(nm.flat_index_bytes(3_000_000, 96) / 1e9)
    assert value["HNSW"] == pytest.approx(nm.hnsw_index_bytes(3_000_000, 96, links=16) / 1e9)
    assert value["IVF-PQ"] == pytest.approx(nm.ivf_pq_index_bytes(3_000_000, 96, lists, subvectors=24) / 1e9)


def test_the_table_counts_by_hand() -> None:
    row = charts.spec(charts.index_what_if(128, 32, 64))["usermeta"]["table"][2]
    coded = 7.2 + 512 * (80_000 + 256) / 1e9  # codes and ids, then centroids and codebooks
    assert row == {"million vectors": 100, "flat (GB)": 51.2, "HNSW (GB)": 76.8, "IVF-PQ (GB)": round(coded, 3)}


def test_vega_draws_it_at_full_width() -> None:
    picture = svg(charts.spec(charts.index_what_if()) | {"description": "where an index outgrows memory"})
    width = re.search(r'viewBox="0 0 ([\d.]+)', picture)
    assert width is not None
    assert float(width[1]) > 600
    assert "HNSW fills the memory at 667 million" in picture
