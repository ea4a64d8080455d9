"""How long the site takes to build: from nothing, with nothing changed, and after one chapter was touched.

Builds into a temporary folder, so that the site that you read stays. Writes ``results/build_time.json``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import tempfile
import time
from pathlib import Path

from workbook.build import build
from workbook.notebooks import lab_files
from workbook.records import machine_name, today

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "build_time.json"


def seconds(output: Path) -> float:
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        code = build(ROOT, output=output)
    if code:
        raise SystemExit("the book does not build: make book says why")
    return round(time.perf_counter() - start, 1)


def touched(chapter: Path, output: Path) -> float:
    """Build time after a chapter's file got a new date, which is what Sphinx looks at; the date is put back."""
    before = chapter.stat()
    os.utime(chapter)
    try:
        return seconds(output)
    finally:
        os.utime(chapter, ns=(before.st_atime_ns, before.st_mtime_ns))


def main() -> None:
    chapters = sorted((ROOT / "book").rglob("*.md"))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        row = {
            "pages": len(chapters) + len(lab_files(ROOT / "labs")),
            "from_nothing_s": seconds(output),
            "unchanged_s": seconds(output),
            "one_chapter_touched_s": touched(chapters[-1], output),
            "machine": machine_name(),
            "python": platform.python_version(),
            "date": today(),
        }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    for name, value in row.items():
        print(f"  {name:22} {value}")


if __name__ == "__main__":
    main()
