"""Closed forms: how many a second, and does every one answer within a millisecond?

    python benchmarks/whiteboard.py

Times every function of ``napkinmath.whiteboard`` on plain numbers, and every preset's ``params()`` and ``ledger()``, whose rows are some
dozens of closed forms each. The quickest of several rounds counts, since a busy machine only ever adds. Writes ``results/whiteboard.json``.
"""

from __future__ import annotations

import datetime
import importlib
import inspect
import json
import pkgutil
import platform
import statistics
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napkinmath
from napkinmath import whiteboard
from napkinmath.environment import cpu_model

RESULTS = Path(__file__).parent / "results" / "whiteboard.json"
BAR_S = 1e-3
#: What every required argument gets: a dimension that divides all others.
DIMENSION, DTYPE = 8, "bf16"


def closed_forms() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every public function of the whiteboard, ready to be called."""
    for module_info in pkgutil.iter_modules(whiteboard.__path__):
        if module_info.ispkg:
            continue  # rows of ledgers, which presets time
        module = importlib.import_module(f"{whiteboard.__name__}.{module_info.name}")
        for name, form in inspect.getmembers(module, inspect.isfunction):
            if form.__module__ == module.__name__ and not name.startswith("_"):
                required = [p.name for p in inspect.signature(form).parameters.values() if p.default is p.empty]
                arguments = {name: DTYPE if "dtype" in name else DIMENSION for name in required}
                yield name, lambda form=form, arguments=arguments: form(**arguments)


def seconds(call: Callable[[], Any], number: int) -> float:
    """Seconds of one call, in the quickest of five rounds."""
    call()
    return min(timeit.repeat(call, number=number, repeat=5)) / number


def summary(what: str, timed: dict[str, float]) -> dict[str, Any]:
    """Print and return how many a second, and the slowest."""
    slowest = max(timed, key=timed.__getitem__)
    mean = statistics.fmean(timed.values())
    print(f"{what:18} {len(timed):4}  {1 / mean:12,.0f} a second  slowest {timed[slowest] * 1e3:8.4f} ms: {slowest}")
    return {"number": len(timed), "per_second": 1 / mean, "slowest": slowest, "slowest_s": timed[slowest]}


def main() -> int:
    """Time everything; 1 if a closed form takes longer than the bar."""
    forms = {name: seconds(form, 50) for name, form in closed_forms()}
    specs = napkinmath.presets()
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": cpu_model(),
        "python": platform.python_version(),
        "bar_s": BAR_S,
        "closed_forms": summary("closed forms", forms),
        "params": summary("params of presets", {spec.name: seconds(spec.params, 1) for spec in specs}),
        "ledgers": summary("ledgers of presets", {spec.name: seconds(spec.ledger, 1) for spec in specs}),
    }
    late = [f"{name} {taken * 1e3:.2f} ms" for name, taken in forms.items() if taken > BAR_S]
    print(f"Bar: a closed form in {BAR_S * 1e3:.0f} ms: {'missed by ' + ', '.join(late) if late else 'met by all'}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    return int(bool(late))


if __name__ == "__main__":
    raise SystemExit(main())
