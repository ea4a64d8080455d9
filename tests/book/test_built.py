"""The built site: every link and anchor leads somewhere, and nothing that a page loads comes from another host."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest
from bs4 import BeautifulSoup, Tag

from napkinmath.units import fmt
from workbook.site.let import benchmarks

#: Attributes by which a page loads something. A link that the reader follows is not one of them.
LOADS = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "use": "href",
    "object": "data",
}
PASSIVE_LINKS = {"canonical", "next", "prev", "author", "search", "index"}
OUTSIDE = re.compile(r"^(?:https?:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def pages(built_site: Path) -> dict[Path, BeautifulSoup]:
    found = {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in built_site.rglob("*.html")
        if "_static" not in path.parts
    }
    assert len(found) > 5
    return found


def test_every_link_and_anchor_resolves(pages: dict[Path, BeautifulSoup]) -> None:
    anchors = {
        path: {tag["id"] for tag in soup.find_all(id=True)} | {tag["name"] for tag in soup.find_all("a", attrs={"name": True})}
        for path, soup in pages.items()
    }
    broken = []
    for path, soup in pages.items():
        for tag in soup.find_all("a", href=True):
            target, anchor = urldefrag(tag["href"])
            if urlparse(target).scheme or OUTSIDE.match(target):
                continue
            file = (path.parent / unquote(target.split("?")[0])).resolve() if target else path
            if not file.exists() or (anchor and file in anchors and unquote(anchor) not in anchors[file]):
                broken.append(f"{path.name}: {tag['href']}")
    assert not broken


def test_no_page_loads_from_another_host(pages: dict[Path, BeautifulSoup]) -> None:
    foreign = [f"{path.name}: {tag}" for path, soup in pages.items() for tag in soup.find_all(list(LOADS)) if is_foreign(tag)]
    styles = [f"{path.name}: {style}" for path, soup in pages.items() for style in soup.find_all("style") if foreign_in_css(style.text)]
    scripts = [
        f"{path.name}: {script.text[:200]}" for path, soup in pages.items() for script in soup.find_all("script") if loads_by_script(script)
    ]
    assert not foreign + styles + scripts


def test_no_page_loads_all_icons_as_a_script(pages: dict[Path, BeautifulSoup]) -> None:
    assert not [path.name for path, soup in pages.items() if soup.select("script[src*=fontawesome]")]
    drawn = [soup for soup in pages.values() if soup.select("i[class*=fa-]")]
    assert drawn
    assert all(soup.select("link[href*='pydata-sphinx-theme.css']") for soup in drawn)  # which draws them with its font


def test_only_the_search_page_loads_the_index_of_words(pages: dict[Path, BeautifulSoup]) -> None:
    assert {path.name for path, soup in pages.items() if soup.select("script[src*=searchindex]")} == {"search.html"}


def test_no_style_sheet_loads_from_another_host(built_site: Path) -> None:
    sheets = list(built_site.rglob("*.css"))
    assert len(sheets) > 3
    assert not [sheet.name for sheet in sheets if foreign_in_css(sheet.read_text(encoding="utf-8"))]


def test_every_image_and_chart_says_what_it_shows(pages: dict[Path, BeautifulSoup]) -> None:
    silent = [f"{path.name}: {image}" for path, soup in pages.items() for image in soup.find_all("img") if not image.has_attr("alt")]
    silent += [
        path.name
        for path, soup in pages.items()
        for picture in soup.select("figure.chart svg")
        if picture.get("role") == "img" and not picture.get("aria-label")
    ]
    assert not silent


def test_a_heading_of_a_table_says_more_than_a_formula(pages: dict[Path, BeautifulSoup]) -> None:
    """A formula alone is drawn, and a screen reader finds nothing in it."""
    headings = [(path.name, heading) for path, soup in pages.items() for heading in soup.select("thead th")]
    words = [(name, "".join(text for text in heading.strings if not text.find_parent(class_="math"))) for name, heading in headings]
    assert [name for name, text in words if not text.strip()] == []


def test_a_folded_solution_is_called_one(pages: dict[Path, BeautifulSoup]) -> None:
    titles = {title.text for soup in pages.values() for title in soup.select("details.hide > summary > p")}
    assert titles == {"Solution"}


def test_errors_of_the_estimates_come_from_the_benchmark(pages: dict[Path, BeautifulSoup], built_site: Path) -> None:
    summary = benchmarks()["predictor"]["summary"]
    page = pages[built_site / "book" / "foundations" / "cost-model.html"]
    table = next(table for table in page.find_all("table") if "its error" in table.text)
    for row, figure in zip(table.select("tbody tr"), ("whole_model_roofline", "per_op_roofline", "predicted"), strict=False):
        assert fmt(summary[figure]["mape"], "%", digits=2) in row.text
    held_out = benchmarks()["predictor-test"]["summary"]["predicted"]
    assert f"{fmt(held_out['mape'], '%', digits=2)} in the mean and {fmt(held_out['worst'], '%', digits=2)} at worst" in page.text


@pytest.mark.parametrize(
    ("html", "foreign"),
    [
        ('<script src="https://cdn.example.org/x.js"></script>', True),
        ('<link rel="stylesheet" href="//cdn.example.org/x.css">', True),
        ('<link rel="canonical" href="https://example.org/">', False),
        ('<img src="_static/x.svg">', False),
    ],
)
def test_the_check_itself_tells_them_apart(html: str, foreign: bool) -> None:
    tag = BeautifulSoup(html, "html.parser").find()
    assert isinstance(tag, Tag)
    assert is_foreign(tag) is foreign


def is_foreign(tag: Tag) -> bool:
    passive = tag.name == "link" and PASSIVE_LINKS & set(tag.get("rel") or ())
    return not passive and bool(OUTSIDE.match(str(tag.get(LOADS[tag.name]) or "")))


def foreign_in_css(text: str) -> bool:
    return bool(re.search(r"(?:url\(\s*['\"]?|@import\s+['\"])(?:https?:)?//", text))


def loads_by_script(script: Tag) -> bool:
    return bool(re.search(r"(?:import\(|fetch\(|\.src\s*=|from)\s*['\"](?:https?:)?//", script.text))
