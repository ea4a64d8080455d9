"""Where an index of vectors outgrows memory: a what-if in the reader's browser, over the number of vectors."""

from __future__ import annotations

from typing import Any

import altair as alt

from ..whiteboard import retrieval as forms
from .theme import COLOURS
from .what_if import Log2Axis, javascript, what_if

_PROBES = 64
_AXIS = Log2Axis("millions", 1, 2**13, "million vectors", [1, 10, 100, 1000, 8000])


def index_what_if(d_embed: int = 128, links: int = 32, subvectors: int = 64, memory_bytes: float = 512e9) -> alt.Chart:
    """Gigabytes of a flat, an HNSW and an IVF-PQ index over the number of vectors; the dashed line is where HNSW fills the memory.

    Width, links, codes and memory can be changed. The inverted file has the lists with which 64 probes cost the fewest dot products. The
    browser evaluates expressions that SymPy writes from :mod:`napkinmath.whiteboard.retrieval`; no formula is retyped.

    Args:
        d_embed: values of a vector, in fp32.
        links: of the HNSW graph.
        subvectors: of the product quantizer, one byte each.
        memory_bytes: of the machine.
    """
    controls = (
        ("d_embed", d_embed, 16, 1024, 16, "d_embed"),
        ("links", links, 4, 64, 4, "HNSW links"),
        ("subvectors", subvectors, 4, 256, 4, "PQ bytes"),
        ("memory", memory_bytes / 1e9, 8, 2048, 8, "memory (GB)"),
    )
    expressions = index_expressions()
    params = [
        *(
            alt.param(name=n, value=value, bind=alt.binding_range(min=a, max=b, step=by, name=title))
            for n, value, a, b, by, title in controls
        ),
        alt.param(name="full", expr=f"memory / ({expressions['HNSW'].replace('datum.millions', '1')})"),
    ]
    y = alt.Y(
        "gigabytes:Q", scale=alt.Scale(type="log", domain=[1e-2, 1e5], clamp=True), title="GB", axis=alt.Axis(format="~g", tickCount=5)
    )
    lines = _AXIS.curves(expressions, "gigabytes", COLOURS[:3], name="index").mark_line().encode(y=y)
    says = "'HNSW fills the memory at ' + format(full, ',.0f') + ' million'"  # fits 360 px
    return what_if([lines, _AXIS.rule("full")], params, says, _rows(d_embed, links, subvectors))


def index_expressions() -> dict[str, str]:
    """The Vega expressions of :func:`index_what_if`, in GB, written by SymPy from the closed forms."""
    import sympy

    millions, d_embed, links, subvectors = sympy.symbols(["datum.millions", "d_embed", "links", "subvectors"], positive=True)
    return javascript(_gigabytes(millions, d_embed, links, subvectors))


def _gigabytes(millions: Any, d_embed: Any, links: Any, subvectors: Any) -> dict[str, Any]:
    """Size of each index, for numbers and symbols alike."""
    vectors = millions * 10**6
    sizes = {
        "flat": forms.flat_index_bytes(vectors, d_embed),
        "HNSW": forms.hnsw_index_bytes(vectors, d_embed, links),
        "IVF-PQ": forms.ivf_pq_index_bytes(vectors, d_embed, forms.ivf_best_lists(vectors, _PROBES), subvectors),
    }
    return {name: size / 10**9 for name, size in sizes.items()}


def _rows(d_embed: int, links: int, subvectors: int) -> list[dict[str, Any]]:
    """The chart as a table: gigabytes at powers of ten."""
    rows = []
    for millions in (1, 10, 100, 1000):
        sizes = _gigabytes(millions, d_embed, links, subvectors)
        rows.append({"million vectors": millions} | {f"{name} (GB)": round(size, 3) for name, size in sizes.items()})
    return rows
