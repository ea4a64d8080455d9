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
    app.connect("builder-inited", work_in_parallel)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


#: Extensions that do not say whether pages may be read side by side: one copies files at the end, the other is switched off.
SILENT = ("sphinx-mathjax-offline", "sphinx_multitoc_numbering")


def work_in_parallel(app: Any) -> None:
    """Sphinx ``builder-inited``: pages are read and written by a process for each core. Jupyter Book has no option for it.

    What a page needs when it is written, it keeps in ``env.metadata`` or its own document: reading leaves nothing else behind.
    """
    app.parallel = 1 + (os.cpu_count() or 1)
    for name in SILENT:
        if name in app.extensions:
            app.extensions[name].parallel_read_safe = True
