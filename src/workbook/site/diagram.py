"""What the book's diagrams share. Each is a script under ``assets/diagrams`` that draws an SVG file beside itself.

Lines and text are ``currentColor``, so that a drawing, which the chapter includes inline, follows the page's theme.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def svg(name: str, title: str, description: str, size: tuple[int, float], parts: Iterable[str], *, widest: int) -> str:
    """The SVG file around ``parts``, described for who cannot see it. A part may end in ``url(#{name}-arrow)``.

    Args:
        name: makes the ids, which share a page with those of other diagrams.
        title, description: what it is, and what it shows.
        size: width and height of the drawing's own units.
        parts: elements, in drawing order.
        widest: pixels on a wide page; on a narrow one it shrinks.
    """
    width, height = size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" role="img" '
        f'aria-labelledby="{name}-title {name}-text" style="display:block;width:100%;max-width:{widest}px;height:auto;margin:1rem auto" '
        'font-size="13" font-family="inherit" fill="currentColor" stroke-width="1.3">\n'
        f'<title id="{name}-title">{escape(title)}</title>\n<desc id="{name}-text">{escape(description)}</desc>\n'
        f'<defs><marker id="{name}-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="currentColor"/></marker></defs>\n' + "\n".join(parts) + "\n</svg>\n"
    )
