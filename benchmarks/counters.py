"""Counting: is it right, how long does it take, how much memory; ours beside the counters that people install.

    python benchmarks/counters.py

The book needs fvcore and PyTorch only. The other counters are optional, and each one that is missing says so in its row:

    .venv/bin/pip install ptflops==0.7.5 thop==0.1.1.post2209072238 torchinfo==1.8.0 calflops==0.3.2 accelerate==1.15.0

Each row runs in a process of its own, so that its peak memory is its own: it builds the module, on ``meta`` unless said otherwise, and
counts one forward pass, several times over, of which the quickest is kept. Counters that print multiply-accumulates are held against half
of the FLOPs. Writes ``results/counters.json``.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from napkinmath.environment import cpu_model

RESULTS = Path(__file__).parent / "results" / "counters.json"

#: What one count is, by counter: Python that leaves a number in ``printed``, and that number's unit. ``built`` is a new reference module.
PROGRAMS = {
    "whiteboard": ("FLOP", "printed = spec.ledger(**sizes).flops"),
    "trace": ("FLOP", "printed = napkinmath.trace(built.module, **built.inputs).flops"),
    "torch": (
        "FLOP",
        """
from torch.utils.flop_counter import FlopCounterMode
with FlopCounterMode(display=False) as counter, torch.no_grad():
    built.module(**built.inputs)
printed = counter.get_total_flops()""",
    ),
    "fvcore": (
        "MAC",
        """
from fvcore.nn import FlopCountAnalysis
with torch.no_grad():
    analysis = FlopCountAnalysis(*positional(built.module, (), built.inputs))
    printed = analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()""",
    ),
    "ptflops": (
        "MAC",
        """
from ptflops import get_model_complexity_info
with torch.no_grad():
    printed, _ = get_model_complexity_info(
        built.module, (1,), input_constructor=lambda _: built.inputs, as_strings=False, print_per_layer_stat=False
    )""",
    ),
    "thop": (
        "MAC",
        """
from thop import profile
module, tensors = positional(built.module, (), built.inputs)
with torch.no_grad():
    printed, _ = profile(module, tensors, verbose=False)""",
    ),
    "calflops": (
        "FLOP",
        """
from calflops import calculate_flops
with torch.no_grad():
    printed, _, _ = calculate_flops(built.module, kwargs=dict(built.inputs), print_results=False, output_as_string=False)""",
    ),
    "torchinfo": (
        "MAC",
        """
from torchinfo import summary
printed = summary(built.module, input_data=dict(built.inputs), device=where["device"], verbose=0).total_mult_adds""",
    ),
}

CHILD = """
import contextlib, io, json, resource, sys, time, warnings
warnings.simplefilter("ignore")
import napkinmath
spec, sizes, where, best = napkinmath.preset({preset!r}), {sizes!r}, {where!r}, (float("inf"), 0.0)
if {counter!r} != "whiteboard":
    import torch
    from napkinmath.witnesses import positional
for _ in range({rounds}):
    begin = time.perf_counter()
    built = {counter!r} != "whiteboard" and napkinmath.reference(spec, **sizes, **where)
    ready = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
{program}
    end = time.perf_counter()
    best = min(best, (end - ready, end - begin))
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
if printed is None:
    raise ValueError("no count, and no reason")
print(json.dumps({{"printed": int(printed), "seconds": best[0], "with_building_s": best[1], "peak_mb": peak_mb}}))
"""

#: What is counted: a preset, the pass, and how its module is built; by default on ``meta`` with its scores written out.
CASES: tuple[tuple[str, dict[str, int], dict[str, str]], ...] = (
    ("bert-base", {"batch": 8, "seq": 128}, {}),
    ("bert-base", {"batch": 1, "seq": 128}, {"device": "cpu", "attention": "sdpa"}),
    ("resnet-50", {"batch": 1}, {"device": "cpu"}),
    ("lstm-ptb-medium", {"batch": 1, "seq": 35}, {"device": "cpu"}),
    ("gpt2-xl", {"batch": 1, "seq": 1024}, {}),
    ("llama-3-8b", {"batch": 1, "seq": 2048}, {}),
    ("llama-3-405b", {"batch": 1, "seq": 8192}, {}),
)
ROUNDS = 3
LIMIT_S = 600


def count(counter: str, preset: str, sizes: dict[str, int], where: dict[str, str]) -> dict[str, Any]:
    """One row: what the counter prints, its seconds and its peak; or ``fails``, the last line of what it raised."""
    program = "\n".join(f"        {line}" for line in PROGRAMS[counter][1].strip().splitlines())
    where = {"device": "meta", **where}
    code = CHILD.format(counter=counter, preset=preset, sizes=sizes, where=where, program=program, rounds=ROUNDS)
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return {"fails": f"more than {LIMIT_S} s"}
    if done.returncode:
        return {"fails": reason(counter, done.stderr)}
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def reason(counter: str, stderr: str) -> str:
    """One line on why there is no count."""
    last = (stderr.strip().splitlines() or ["ended without a word"])[-1]
    return "not installed: see the head of benchmarks/counters.py" if f"No module named '{counter}'" in last else last[:200]


def version(package: str) -> str | None:
    """The installed version; None where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def command_line() -> dict[str, float]:
    """Seconds and peak MB of the command line's promise, and seconds of ``import napkinmath`` beyond an empty interpreter."""
    time_it = (
        "import resource, subprocess, sys, time; b = time.perf_counter(); subprocess.run({argv}, check=True, stdout=subprocess.DEVNULL);"
        + ("print(time.perf_counter() - b, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3)")
    )

    def run(*argv: str) -> tuple[float, float]:
        best = (float("inf"), 0.0)
        for _ in range(ROUNDS):
            out = subprocess.run(
                [sys.executable, "-c", time_it.format(argv=list(argv))], capture_output=True, text=True, check=True
            ).stdout.split()
            best = min(best, (float(out[0]), float(out[1])))
        return best

    seconds, megabytes = run(sys.executable, "-m", "napkinmath.cli", "cost", "llama-3-405b", "--batch", "1", "--seq", "8192")
    loading, empty = run(sys.executable, "-c", "import napkinmath"), run(sys.executable, "-c", "pass")
    return {"cost_405b_s": seconds, "cost_405b_peak_mb": megabytes, "import_s": loading[0] - empty[0]}


def main() -> None:
    rows = []
    for preset, sizes, where in CASES:
        found = {counter: count(counter, preset, sizes, where) for counter in PROGRAMS}
        truth, torch_s = found["whiteboard"]["printed"], found["torch"].get("seconds")
        print(f"\n{preset}, {', '.join(f'{name} {n}' for name, n in sizes.items())}, on {where.get('device', 'meta')}: {truth:,} FLOPs")
        for counter, row in found.items():
            unit = PROGRAMS[counter][0]
            row |= {"preset": preset, **sizes, "device": "meta", "attention": "eager", **where, "counter": counter, "unit": unit}
            if "printed" in row:
                row["error"] = row["printed"] * (2 if unit == "MAC" else 1) / truth - 1
                row["times_torch"] = row["seconds"] / torch_s if torch_s else None
                print(
                    f"  {counter:10} {row['printed']:>21,} {unit:4} {row['error']:+9.2%}  {row['seconds'] * 1e3:9.1f} ms  "
                    f"with building {row['with_building_s']:6.2f} s  {row['peak_mb']:6.0f} MB",
                    flush=True,
                )
            else:
                print(f"  {counter:10} {row['fails']}", flush=True)
            rows.append(row)
    cli = command_line()
    print(f"\nnapkinmath cost llama-3-405b: {cli['cost_405b_s']:.2f} s, {cli['cost_405b_peak_mb']:.0f} MB")
    print(f"import napkinmath: {cli['import_s']:.3f} s")
    traces = [row for row in rows if row["counter"] == "trace"]
    bars = {
        "trace_times_torch": [max((row.get("times_torch") or 0 for row in traces), default=0), 1.5],
        "trace_405b_s": [traces[-1]["with_building_s"], 10],
        "trace_405b_peak_mb": [traces[-1]["peak_mb"], 1000],
        "largest_error_of_trace": [max(abs(row["error"]) for row in traces), 0],
    }
    for name, (value, bar) in bars.items():
        print(f"{name} {value:,.4g}, bar {bar:,}: {'met' if value <= bar else 'missed'}")
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": cpu_model(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "transformers", *list(PROGRAMS)[3:])},
        "bars": bars,
        "rows": rows,
        **cli,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
