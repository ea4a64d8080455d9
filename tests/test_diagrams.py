"""Every diagram is what its script draws: nobody edited the file, and no figure in it is out of date."""

from __future__ import annotations

import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

from workbook import ROOT

SCRIPTS = sorted((ROOT / "assets" / "diagrams").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_file_is_what_the_script_draws(script: Path) -> None:
    drawn = runpy.run_path(str(script))["drawing"]()
    assert script.with_suffix(".svg").read_text(encoding="utf-8") == drawn


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_it_is_described_and_follows_the_theme(script: Path) -> None:
    text = script.with_suffix(".svg").read_text(encoding="utf-8")
    tags = {element.tag.rsplit("}", 1)[-1] for element in ElementTree.fromstring(text).iter()}
    assert {"title", "desc"} <= tags
    assert "currentColor" in text
