"""What all tests share: a home of their own, who runs what, a browser or a clear word that there is none, and the built site."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from napkinmath.profile import home

ROOT = Path(__file__).resolve().parents[1]
SITE = "the built site"
NO_BROWSER = "no Chromium on this machine, so the pages were not tried in a browser: apt-get install chromium, or set CHROMIUM=/path/to/it"

hypothesis.settings.register_profile("repository", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("repository")


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests, and the labs that they run, a copy of this machine's profile: what they record is not the reader's.

    Tests run side by side, on one thread each, and the copy says that it holds for that: no test asserts a time.
    """
    if hasattr(config, "workerinput"):
        return  # a worker of pytest-xdist: the process that started it has done this
    threads = os.environ.setdefault("OMP_NUM_THREADS", "1")
    own = Path(tempfile.mkdtemp(prefix="napkinmath-tests-"))
    for path in home().glob("profile-*.json"):
        with contextlib.suppress(ValueError, TypeError):  # not a profile: the labs will say so and calibrate
            (own / path.name).write_text(json.dumps(json.loads(path.read_text()) | {"threads": int(threads)}))
    os.environ["NAPKINMATH_HOME"] = str(own)
    config.add_cleanup(lambda: shutil.rmtree(own, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest goes first, so that the workers end together; the order is otherwise kept."""
    items.sort(key=lambda item: (together(item.nodeid) != SITE, item.path.suffix != ".ipynb"))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """pytest-xdist's hook: what belongs together runs in one worker."""
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = together  # type: ignore[method-assign]
    return scheduler


def together(nodeid: str) -> str:
    """The name of the tests that one worker runs in a row: those that read the built site (the first builds it), else a file's.

    The cells of a lab need one kernel. Its exercises have a kernel of their own.
    """
    path = nodeid.partition("::")[0]
    if path.startswith(("tests/browser/", "tests/book/test_built")):
        return SITE
    return nodeid if path.endswith("test_lab_exercises.py") else path


def find_chromium() -> str | None:
    """Path of a Chromium: ``$CHROMIUM``, or one on the path, or the one that Playwright installed."""
    from workbook.site import cheat_sheet

    if found := cheat_sheet.find_chromium():
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium. Without one the test is skipped, and fails where ``CI=true``."""
    path = find_chromium()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    return path


@pytest.fixture(scope="session")
def built_site() -> Path:
    """The book, built with warnings as errors, beside the reader's own build; only what changed since the last run is built again."""
    from workbook.build import build, site_folder

    output = ROOT / "_build" / "tests"
    assert build(output=output) == 0, "the book does not build: see the warnings above"
    return site_folder(output)


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for profiles and records."""
    folder = tmp_path / "home"
    monkeypatch.setenv("NAPKINMATH_HOME", str(folder))
    return folder
