"""Style and types, as tests, so that one command and one summary tell everything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from workbook import ROOT

COMMANDS = {
    "ruff check": ["-m", "ruff", "check", "--quiet", "--output-format", "concise", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "--quiet", "."],
    "mypy": ["-m", "mypy"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_style(name: str) -> None:
    done = subprocess.run([sys.executable, *COMMANDS[name]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{name}:\n{done.stdout}{done.stderr}"
