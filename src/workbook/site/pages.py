"""What every page gets: the book's style and scripts, the glossary's tables, and a lab's links to its notebook."""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from napkinmath import glossary

from .. import ROOT

ASSETS = ROOT / "assets"


def use_assets(app: Any, config: Any) -> None:
    """Sphinx ``config-inited``: the site's own files, which Sphinx copies to ``_static``, and its logo."""
    config.html_static_path.append(str(ASSETS))
    config.templates_path.append(str(ASSETS / "templates"))
    config.html_logo = str(ASSETS / "logo.svg")
    config.html_favicon = str(ASSETS / "favicon.svg")


class Glossary(SphinxDirective):
    """``{glossary-table}`` + ``dimensions`` or ``quantities``: a table out of :mod:`napkinmath.glossary`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        entries = {"dimensions": glossary.DIMENSIONS, "quantities": glossary.QUANTITIES}.get(self.arguments[0])
        if entries is None:
            raise self.error(f"glossary-table: {self.arguments[0]!r}; choose dimensions or quantities")
        table = nodes.table(classes=["glossary-table"])
        group = nodes.tgroup(cols=4)
        group.extend(nodes.colspec(colwidth=width) for width in (3, 1, 10, 2))
        group += nodes.thead("", _row([nodes.Text(title)] for title in ("Name", "Symbol", "Meaning", "Unit")))
        body = nodes.tbody()
        for entry in entries:
            name = nodes.literal("", entry.name)
            anchor = "term-" + entry.name.split(",")[0].replace("_", "-")
            symbol = [nodes.math(entry.symbol, entry.symbol)] if entry.symbol else []
            row = _row([[name], symbol, [nodes.Text(entry.meaning)], [nodes.Text(entry.unit)]])
            row["ids"].append(anchor)
            body += row
        group += body
        table += group
        return [table]


def _row(cells: Any) -> nodes.row:
    row = nodes.row()
    for content in cells:
        row += nodes.entry("", nodes.paragraph("", "", *content)) if content else nodes.entry()
    return row


def lab_links(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Sphinx ``html-page-context``: below a lab's title, its notebook to download and, where it is served, to open.

    The button is there for the page's script, which shows it only when JupyterLab is behind the same server.
    """
    if doctree is None or not pagename.startswith("labs/") or context.get("page_source_suffix") != ".ipynb":
        return
    notebook = f"{pagename}.ipynb"
    link = html.escape(context["pathto"](f"_sources/{notebook}", 1))
    links = (
        f'<p class="lab-links"><a class="lab-download" href="{link}" download>Download this notebook</a>'
        f'<a class="lab-open" data-notebook="{html.escape(notebook)}" hidden>Open in JupyterLab</a></p>'
    )
    context["body"] = context["body"].replace("</h1>", "</h1>\n" + links, 1)


def name_toggles(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Sphinx ``html-page-context``: the theme's fold buttons in the sidebar are icons alone; give them a name."""
    theme_toctree = context.get("generate_toctree_html")
    if theme_toctree is not None:
        context["generate_toctree_html"] = lambda *args, **kwargs: str(theme_toctree(*args, **kwargs)).replace(
            "<summary>", '<summary aria-label="Labs of this chapter">'
        )


def setup(app: Any) -> None:
    app.add_directive("glossary-table", Glossary)
    app.connect("config-inited", use_assets)
    app.connect("html-page-context", lab_links)
    app.connect("html-page-context", name_toggles, priority=900)  # after the theme's
    app.add_css_file("book.css")
    app.add_js_file("book.js", loading_method="defer")
