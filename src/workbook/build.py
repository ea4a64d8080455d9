"""Build the site into ``_build/html``, and run the benchmarks."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from napkinmath.files import write_text
from napkinmath.profile import home

from . import ROOT
from .labs import environment_key
from .site.cheat_sheet import write_pdf


def site_folder(root: Path = ROOT) -> Path:
    return root / "_build" / "html"


def build(root: Path = ROOT, *, everything: bool = False, output: Path | None = None) -> int:
    """Build the book at ``root`` with warnings as errors, and print its cheat sheet; returns the exit code of Jupyter Book.

    Sphinx rebuilds the pages whose text changed. When what every page computes from changed (``src/``, the requirements, the
    profile, the records of the labs, the benchmarks' results), all of them are built anew.

    Args:
        root: the repository.
        everything: build every page, whatever changed.
        output: the folder for ``_build``, by default ``root``.
    """
    output = output or root
    stamp, key = output / "_build" / ".key", _build_key(root)
    fresh = everything or not (stamp.exists() and stamp.read_text() == key)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [str(jupyter_book), "build", str(root), "--path-output", str(output), "--warningiserror", "--keep-going", "--quiet"]
    code = subprocess.run(command + ["--all"] * fresh).returncode
    if code == 0:
        write_text(stamp, key)
        print(write_pdf(site_folder(output)))
    else:
        stamp.unlink(missing_ok=True)
    return code


def _build_key(root: Path) -> str:
    records = home() / "records.json"
    figures = (root / "benchmarks" / "results").glob("*.json*")
    settings = [root / "_config.yml", *sorted((root / "assets").rglob("*")), *sorted(figures), *([records] if records.exists() else [])]
    return environment_key(root) + "".join(f" {path.name}:{path.stat().st_mtime_ns}" for path in settings if path.is_file())


def run_benchmarks(folder: Path) -> list[str]:
    """Run each script of ``folder`` in turn, but those that record a machine for the package; returns the names of those that failed."""
    failed = []
    for script in sorted(folder.glob("[!_]*.py")):
        if script.name.startswith("record_"):
            continue
        print(f"\n{script.name}", flush=True)
        start = time.monotonic()
        if subprocess.run([sys.executable, str(script)]).returncode:
            failed.append(script.name)
        print(f"{script.name}: {'failed after' if script.name in failed else 'done in'} {time.monotonic() - start:.0f} s", flush=True)
    return failed


# Commands -------------------------------------------------------------------------------------------------------------


def register(commands: Any) -> None:
    parser = commands.add_parser("build", help="build the site into _build/html")
    parser.add_argument("--all", action="store_true", help="build every page, whatever changed")
    parser.set_defaults(run=_build)
    commands.add_parser("bench", help="run every script in benchmarks/").set_defaults(run=_bench)


def _build(args: argparse.Namespace) -> int:
    code = build(everything=args.all)
    if code == 0:
        print(f"\nThe book is in {site_folder() / 'index.html'}")
        print("Open that file, or run 'make serve' to read it beside its labs in JupyterLab.")
    else:
        print("\nThe book was not built: the warnings above count as errors.", file=sys.stderr)
    return code


def _bench(args: argparse.Namespace) -> int:
    failed = run_benchmarks(ROOT / "benchmarks")
    print("\nResults: " + ", ".join(sorted(str(path.relative_to(ROOT)) for path in (ROOT / "benchmarks" / "results").glob("*.json"))))
    return 1 if failed else 0
