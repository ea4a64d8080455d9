"""The book's one Sphinx extension: numbers, names and charts in prose, self-check, labs, this machine, and the look."""

from __future__ import annotations

import os
from typing import Any

from . import labs
from .questions import directive as self_check
from .rounds import page as rounds
from .rounds import practice
from .site import bibliography, chart, cheat_sheet, compare, formula, let, machine, pages, reading, roles, study_plan, terms, what_if


def setup(app: Any) -> dict[str, Any]:
    """Register everything with Sphinx."""
    own = (roles, let, formula, chart, what_if, compare, machine, pages, reading, terms, cheat_sheet, study_plan, bibliography)
    for part in (*own, self_check, rounds, practice, labs):
        part.setup(app)
    app.connect("env-updated", write_in_parallel)
    # Pages share a counter of charts and the extension's state in the environment: read them one after another.
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}


def write_in_parallel(app: Any, env: Any) -> None:
    """Sphinx ``env-updated``: pages are written by a process for each core. Jupyter Book has no option for it, and they are read by one."""
    app.parallel = 1 + (os.cpu_count() or 1)
