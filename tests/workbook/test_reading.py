"""What a chapter's page says about reading it: minutes of its prose, and the meaning of the glossary's names in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from docutils import nodes

from workbook.site.reading import WORDS_PER_MINUTE, minutes, prose
from workbook.site.terms import meaning

from .test_sphinx_ext import build

CHAPTER = """# A title about `seq`

The `seq` of a `batch`, and `seq` again. A [link to `context`](https://example.org/), a `word`.

## Section

`seq` here once more.

```{raw} html
<section class="self-check"><p>
```

Asked about `d_model`.

```{raw} html
</p></section>
```

Then `d_model`.
"""


def document(*children: nodes.Node) -> nodes.document:
    found = nodes.document(None, None)  # type: ignore[arg-type]
    found += children
    return found


def words(count: int) -> nodes.paragraph:
    return nodes.paragraph("", "word " * count)


def raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def test_minutes_leave_out_the_self_check_and_other_html() -> None:
    check = [raw('<section class="self-check"><p>'), words(5000), raw("<p>"), words(5000), raw("</p></section>")]
    page = document(nodes.section("", words(WORDS_PER_MINUTE), *check, raw("<b>not prose</b>"), words(WORDS_PER_MINUTE)))
    assert minutes(page) == 2
    assert sum(isinstance(node, nodes.paragraph) for node in prose(page)) == 2
    assert minutes(document(words(2 * WORDS_PER_MINUTE + 1))) == 3
    assert minutes(document()) == 1


def test_a_name_of_the_glossary_is_marked_once_a_section(tmp_path: Path) -> None:
    (tmp_path / "book" / "part").mkdir(parents=True)
    app, warnings = build(tmp_path, **{"book/part/chapter": CHAPTER, "book/part-only": CHAPTER})
    assert warnings == ""
    page = BeautifulSoup((Path(app.outdir) / "book" / "part" / "chapter.html").read_text(), "html.parser")
    assert [button.text for button in page.select("article button.term")] == ["seq", "batch", "seq", "d_model"]
    first = page.select_one("button.term")
    assert first
    assert first["data-meaning"] == meaning("seq")
    assert first.find_parent("h1") is None
    assert page.select_one("p.reading input")["data-read"] == "book/part/chapter"  # type: ignore[index]
    assert "1 min" in page.select_one("p.reading").text  # type: ignore[union-attr]
    other = BeautifulSoup((Path(app.outdir) / "book" / "part-only.html").read_text(), "html.parser")
    assert not other.select(".reading, .term")


@pytest.mark.parametrize("name", ["seq", "d_model", "kv_cache_bytes"])
def test_a_meaning_is_the_glossarys_sentence(name: str) -> None:
    assert meaning(name).endswith(".")
