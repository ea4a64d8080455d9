"""Predicted against measured latency on this machine: one calibration serves all workloads of ``workloads.toml``.

    python benchmarks/predictor.py                  # a minute of calibration, and the development list measured; a dozen minutes
    python benchmarks/predictor.py --profile FILE   # use a calibration made before
    python benchmarks/predictor.py --list test      # the held-out list: rarely; every run of it is kept
    python benchmarks/predictor.py --list int8      # transformers whose linear layers PyTorch has rounded to int8

Each workload is traced, predicted and measured in rounds that interleave all workloads, and the calibration's minute is spent in slices
between them, so that a drift of the machine falls on all of them. One calibration serves them all. The measured value is
``middle_mean`` of the rounds' medians, the statistic of the calibration; *noise* is how far that of every second round lies from that
of the others, below which no predictor can be told from a better one. Beside the fitted prediction stand two rooflines with the same
calibration's peak and bandwidth: one for the whole model, ``max(FLOPs/peak, weight bytes/bandwidth)``, and one per operator.
Nothing here is fitted to these models' times.

Writes ``results/predictor.json`` for the development list, ``results/predictor-int8.json``, and ``results/predictor-test.jsonl`` (a line
a run, good or bad) for the held-out one.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import math
import os
import statistics
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from napkinmath.calibration import Calibration
from napkinmath.latency import predict
from napkinmath.ledger import Ledger
from napkinmath.measurement import Measurement, measure, middle_mean
from napkinmath.profile import Profile
from napkinmath.references import reference
from napkinmath.tracing import trace
from napkinmath.units import fmt

HERE = Path(__file__).parent
RESULTS = {
    "development": HERE / "results" / "predictor.json",
    "int8": HERE / "results" / "predictor-int8.json",
    "test": HERE / "results" / "predictor-test.jsonl",
}
ROUNDS = 12
BATCHES = (1, 8)


@dataclass(frozen=True)
class Workload:
    """A preset and the sizes of one forward pass."""

    preset: str
    batch: int
    sizes: tuple[tuple[str, int], ...] = ()
    attention: str = "sdpa"
    dtype: str = "fp32"

    def __str__(self) -> str:
        sizes = " ".join(f"{name}={size}" for name, size in self.sizes)
        return f"{self.preset} batch={self.batch} {sizes}" + (" eager" if self.attention == "eager" else "")


def workloads(which: str) -> list[Workload]:
    rows = tomllib.loads((HERE / "workloads.toml").read_text())[which]
    return [
        Workload(r["preset"], n, tuple(r.get("sizes", {}).items()), r.get("attention", "sdpa"), r.get("dtype", "fp32"))
        for r in rows
        for n in BATCHES
    ]


def build(workload: Workload, device: str) -> tuple[torch.nn.Module, dict[str, Any]]:
    where = {"device": device, "attention": workload.attention, "dtype": workload.dtype}
    made = reference(workload.preset, workload.batch, **where, **dict(workload.sizes))
    return made.repeatable(), made.inputs


def whole_model_roofline(ledger: Ledger, profile: Profile, dtype: str) -> float:
    return max(ledger.flops / profile.peak_flops(dtype), ledger.weight_bytes / profile.bandwidth_bytes_per_s)


def per_op_roofline(ledger: Ledger, profile: Profile) -> float:
    bandwidth = profile.bandwidth_bytes_per_s
    return sum(max(op.flops and op.flops / profile.peak_flops(op.dtype), op.bytes_moved / bandwidth) for op in ledger)


def run(calibration: Calibration | Profile, chosen: list[Workload], rounds: int, seconds: float) -> tuple[Profile, list[dict[str, Any]]]:
    """Measure round by round, with a slice of the calibration before each workload (none where a profile is given), then predict."""
    ledgers: dict[Workload, Ledger] = {}
    measurements: dict[Workload, list[Measurement]] = {w: [] for w in chosen}
    for number in range(rounds):
        for index, workload in enumerate(chosen):
            print(
                f"\rround {number + 1} of {rounds}: {index + 1} of {len(chosen)}: {workload!s:48}",
                end="",
                file=sys.stderr,
                flush=True,
            )
            if isinstance(calibration, Calibration):
                calibration.spend(1 / (rounds * len(chosen)))
            module, inputs = build(workload, calibration.device)
            if number == 0:
                ledgers[workload] = trace(module, name=str(workload), **inputs)
            measurements[workload].append(measure(module, min_runs=3, max_s=seconds, **inputs))
            del module, inputs
            gc.collect()
    print(file=sys.stderr)
    profile = calibration.profile() if isinstance(calibration, Calibration) else calibration
    rows: list[dict[str, Any]] = []
    for workload, ledger in ledgers.items():
        prediction = predict(ledger, profile)
        p50s = [m.p50_s for m in measurements[workload]]
        measured = middle_mean(p50s)
        row: dict[str, Any] = {
            "workload": str(workload),
            "predicted_s": prediction.p50_s,
            "low_s": prediction.low_s,
            "high_s": prediction.high_s,
            "binding": prediction.binding,
            "extrapolated_share": prediction.extrapolated_share,
            "predicted_by_kind_s": prediction.by("kind"),
            "whole_model_roofline_s": whole_model_roofline(ledger, profile, workload.dtype),
            "per_op_roofline_s": per_op_roofline(ledger, profile),
            "measured_s": measured,
            "rounds_s": p50s,
            "best_s": min(m.min_s for m in measurements[workload]),
            "noise": abs(middle_mean(p50s[::2]) / middle_mean(p50s[1::2]) - 1),
            "verdicts": [m.verdict for m in measurements[workload]],
            "inside": prediction.low_s <= measured <= prediction.high_s,
        }
        for name in ("predicted", "whole_model_roofline", "per_op_roofline"):
            row[f"{name}_error"] = row[f"{name}_s"] / measured - 1
        rows.append(row)
    return profile, rows


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for name in ("predicted", "per_op_roofline", "whole_model_roofline"):
        errors = sorted(abs(row[f"{name}_error"]) for row in rows)
        p90 = errors[math.ceil(0.9 * len(errors)) - 1]
        summary[name] = {"mape": statistics.fmean(errors), "median": statistics.median(errors), "p90": p90, "worst": errors[-1]}
    half_widths = [(row["high_s"] - row["low_s"]) / 2 / row["predicted_s"] for row in rows]
    return summary | {
        "cases": len(rows),
        "noise_median": statistics.median(row["noise"] for row in rows),
        "inside_90": statistics.fmean(row["inside"] for row in rows),
        "interval_half_width_median": statistics.median(half_widths),
    }


def table(rows: list[dict[str, Any]], summary: dict[str, Any]) -> str:
    lines = [
        f"{'workload':44}{'measured':>10}{'noise':>7}{'predicted':>11}{'error':>8}{'90% interval':>22}{'per-op roof':>13}{'whole roof':>12}"
    ]
    for row in rows:
        interval = f"{fmt(row['low_s'], 's')} to {fmt(row['high_s'], 's')}" + (" " if row["inside"] else "!")
        lines.append(
            f"{row['workload']:44}{fmt(row['measured_s'], 's'):>10}{row['noise']:>7.1%}"
            f"{fmt(row['predicted_s'], 's'):>11}{row['predicted_error']:>+8.1%}{interval:>22}"
            f"{row['per_op_roofline_error']:>+13.1%}{row['whole_model_roofline_error']:>+12.1%}"
        )
    for name, label in (("predicted", "fitted"), ("per_op_roofline", "roofline per op"), ("whole_model_roofline", "roofline, whole model")):
        s = summary[name]
        lines.append(f"{label:24} MAPE {s['mape']:.1%}, median {s['median']:.1%}, p90 {s['p90']:.1%}, worst {s['worst']:.1%}")
    lines.append(
        f"repeat noise {summary['noise_median']:.1%} (median); {summary['inside_90']:.0%} inside the 90% interval, "
        + f"whose median half-width is {summary['interval_half_width_median']:.0%}"
    )
    return "\n".join(lines)


def conditions() -> dict[str, Any]:
    """When, and on what software."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"when": now, "python": sys.version.split()[0], "torch": str(torch.__version__)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--profile", type=Path, help="a saved calibration; without it, calibrate now")
    parser.add_argument("--budget", type=float, default=60, help="seconds of calibration")
    parser.add_argument("--list", choices=RESULTS, default="development", help="which workloads; the test list is for reporting only")
    parser.add_argument("--rounds", type=int, choices=range(2, 31), default=ROUNDS, help="of measuring; two show the noise")
    parser.add_argument("--seconds", type=float, default=0.5, help="of measuring one workload in one round")
    parser.add_argument("--out", type=Path, help="instead of the list's file in results/")
    args = parser.parse_args()
    given = Profile.from_dict(json.loads(args.profile.read_text())) if args.profile else None
    load_before = os.getloadavg()[0]
    profile, rows = run(given or Calibration(args.budget, "cpu"), workloads(args.list), args.rounds, args.seconds)
    print(profile)
    summary = summarise(rows)
    print(table(rows, summary))
    result = conditions() | {
        "load_average": [load_before, os.getloadavg()[0]],
        "profile": {name: value for name, value in profile.to_dict().items() if name != "samples"},
        "list": args.list,
        "summary": summary,
        "rows": rows,
    }
    out = args.out or RESULTS[args.list]
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".jsonl":
        with out.open("a") as log:
            log.write(json.dumps(result) + "\n")
    else:
        out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
