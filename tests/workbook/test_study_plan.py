"""The diagnostic: drawn across parts and chapters, the same every time."""

from __future__ import annotations

from collections import Counter
from typing import Any

from workbook.site.study_plan import diagnostic


def entry(name: str, kind: str = "choice", level: int = 2, **more: Any) -> dict[str, Any]:
    return {"id": name, "version": 1, "kind": kind, "level": level, "tags": [], **more}


def bank(chapter: str, size: int = 12) -> list[dict[str, Any]]:
    kinds = ("choice", "numeric", "open", "multi")
    return [entry(f"{chapter}-{n}", kinds[n % 4], level=1 + n % 3) for n in range(size)]


BANKS = {f"book/{part}/{chapter}": bank(chapter) for part, chapter in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1")]}


def test_parts_and_chapters_take_turns() -> None:
    drawn = diagnostic(BANKS)
    assert len(drawn) == 25
    assert len({one["id"] for _, one in drawn}) == 25
    parts = Counter(page.split("/")[1] for page, _ in drawn)
    assert max(parts.values()) - min(parts.values()) <= 1
    assert [page for page, _ in drawn[:7]] == [f"book/{page}" for page in ("a/a1", "b/b1", "c/c1", "a/a2", "b/b1", "c/c1", "a/a3")]
    assert diagnostic(dict(BANKS)) == drawn


def test_estimates_and_other_kinds_are_mixed_and_applying_comes_first() -> None:
    drawn = [one for _, one in diagnostic({"book/a/a1": bank("a1", 40)}, count=8)]
    assert Counter(one["kind"] == "numeric" for one in drawn) == {True: 4, False: 4}
    assert {one["level"] for one in drawn[:4]} == {2}


def test_words_and_questions_about_the_machine_are_left_out() -> None:
    entries = [
        entry("words", "open"),
        entry("mine", "numeric", machine=True),
        entry("mine-2", "numeric", machine=True, why_not="no profile"),
    ]
    assert diagnostic({"book/a/a1": [*entries, entry("good")]}) == [("book/a/a1", entry("good"))]


def test_a_small_book_asks_what_it_has() -> None:
    assert len(diagnostic({"book/a/a1": bank("a1", 3), "book/b/b1": []})) == 2
