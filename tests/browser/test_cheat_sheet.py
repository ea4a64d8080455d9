"""The cheat sheet on paper: what the build printed has two pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workbook.site import cheat_sheet


def test_the_cheat_sheet_prints_on_two_pages(chromium: str, built_site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cheat_sheet, "find_chromium", lambda: chromium)
    assert cheat_sheet.write_pdf(built_site).startswith("The cheat sheet to print is")
    pdf = built_site / "book" / "cheat-sheet.pdf"
    assert pdf.stat().st_mtime >= pdf.with_suffix(".html").stat().st_mtime
    text = pdf.read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", text)) == 2
    width, height = (float(size) for size in re.search(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", text).groups())  # type: ignore[union-attr]
    assert (round(width), round(height)) == (595, 842)  # A4 in points
