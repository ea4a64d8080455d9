"""The cheat sheet: a style for two sheets of A4, and a PDF that the build writes beside the page where there is a Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from docutils import nodes

PAGE = "book/cheat-sheet"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_TIME_LIMIT_S = 120


def find_chromium() -> str | None:
    """Path of a Chromium: ``$CHROMIUM``, or one on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def write_pdf(site: Path) -> str:
    """Print the page into a PDF beside it, unless that is newer than the page; returns a line that says what became of it.

    A book without that page says nothing.
    """
    page = site / f"{PAGE}.html"
    pdf = page.with_suffix(".pdf")
    if not page.exists():
        return ""
    chromium = find_chromium()
    if chromium is None:
        return f"No Chromium here, so {pdf.name} was not written: install one, set CHROMIUM=/path/to/it, or print {page} from any browser."
    if pdf.exists() and pdf.stat().st_mtime >= page.stat().st_mtime:
        return f"The cheat sheet to print is {pdf}"
    with tempfile.TemporaryDirectory(dir=page.parent) as folder:
        made = Path(folder) / pdf.name
        # The page is the book's own, and typesets its formulas before its (virtual) time is up. A profile apart leaves the reader's alone.
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", "--virtual-time-budget=30000"]
        command = [chromium, *flags, f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}", page.as_uri()]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_TIME_LIMIT_S)
            made.replace(pdf)
        except (OSError, subprocess.SubprocessError) as error:
            return f"{pdf.name} was not written: {error}"
    return f"The cheat sheet to print is {pdf}"


def add_style(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Sphinx ``html-page-context``: the page's own style, and a link to its PDF where the build is going to write one."""
    if pagename != PAGE or doctree is None:
        return
    app.add_css_file("cheat-sheet.css")
    if find_chromium():
        link = f'<p class="cheat-sheet-pdf"><a href="{Path(PAGE).name}.pdf">As a PDF</a></p>'
        context["body"] = context["body"].replace("</h1>", "</h1>\n" + link, 1)


def setup(app: Any) -> None:
    app.connect("html-page-context", add_style)
