"""Response times of the batching lab's HTTP server over the request rate, with enough requests for a p99: simulated, predicted, measured.

    python benchmarks/batching.py                  # 600 requests at each of six rates; about two minutes
    python benchmarks/batching.py --requests 3000  # a longer run

Server, batcher, generator and simulation are the lab's own cells (``labs/serving/batching.ipynb``), run in a kernel; the lab itself sends
too few requests for a p99. Requests are sent open-loop, on a Poisson schedule, and count from their scheduled time. *Played* is the
lab's simulation of the very same arrivals, *predicted* the closed form of the mean. Writes ``results/batching.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from workbook.notebooks import needed_cells, read
from workbook.records import machine_name, today

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / "labs" / "serving" / "batching.ipynb"
RESULTS = ROOT / "benchmarks" / "results" / "batching.json"
#: Path of the server, and the rate as a share of what one request at a time could be served at.
PLAN = (("/one", 0.5), ("/one", 0.8), ("/batch", 0.5), ("/batch", 0.8), ("/batch", 1.4), ("/batch", 2.0))
#: A distribution-free bound on a p99 needs as many samples.
LEAST = 299

#: What the kernel runs after the lab's cells; ``plan`` and ``requests`` are set before it.
RUN = """
import json

figures = []
for path, share in plan:
    row = await compare(path, share, requests)
    figures.append({"path": path, "rate": row["rate"], "mean_batch": row["batch"], "predicted_mean_s": row["predicted_s"]})
    for key, responses in (("played", row["played"]), ("measured", row["responses"])):
        p50, p99 = (float(np.quantile(responses, quantile)) for quantile in (0.5, 0.99))
        figures[-1] |= {f"{key}_mean_s": float(responses.mean()), f"{key}_p50_s": p50, f"{key}_p99_s": p99}
server.should_exit = True
print("ROWS", json.dumps(figures))
"""


def cells(requests: int) -> list[str]:
    """The lab's cells that :data:`RUN` needs, its server started, and the run itself."""
    notebook = read(LAB)
    run = f"plan, requests = {PLAN}, {requests}\n{RUN}"
    last = next(i for i, cell in enumerate(notebook["cells"]) if "async def compare(" in cell["source"])
    sliced = {"cells": [*notebook["cells"][: last + 1], new_code_cell(run)]}
    return [*(notebook["cells"][i]["source"] for i in needed_cells(sliced, last + 1)), run]


def measure(requests: int) -> list[dict[str, Any]]:
    """Rows of the run, by a kernel in the lab's folder."""
    played = new_notebook(cells=[new_code_cell(source) for source in cells(requests)])
    NotebookClient(played, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(LAB.parent)}}).execute()
    printed = "".join(output.get("text", "") for output in played.cells[-1].outputs)
    rows: list[dict[str, Any]] = json.loads(printed.partition("ROWS ")[2])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=600, help=f"at each rate, {LEAST} at least")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    if args.requests < LEAST:
        parser.error(f"--requests {args.requests}: a p99 needs {LEAST} or more")
    load_before = os.getloadavg()[0]
    rows = measure(args.requests)
    print("path    requests/s   batch   mean (ms): formula  played  measured    p50: played  measured    p99: played  measured")
    for row in rows:
        ms = {name: 1e3 * value for name, value in row.items() if name.endswith("_s")}
        print(
            f"{row['path']:7}{row['rate']:11.0f}{row['mean_batch']:8.1f}"
            f"{ms['predicted_mean_s']:20.0f}{ms['played_mean_s']:8.0f}{ms['measured_mean_s']:10.0f}"
            f"{ms['played_p50_s']:15.0f}{ms['measured_p50_s']:10.0f}{ms['played_p99_s']:15.0f}{ms['measured_p99_s']:10.0f}"
        )
    about = {"machine": machine_name(), "python": platform.python_version(), "date": today()}
    result = {"requests": args.requests, "rows": rows, "load_average": [load_before, os.getloadavg()[0]], **about}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
