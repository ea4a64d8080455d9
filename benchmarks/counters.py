"""Counting: is it right, how long does it take, how much memory; ours beside fvcore and torch's counter.

    python benchmarks/counters.py

Each row runs in a process of its own, so that its peak memory is its own. Writes ``results/counters.json``.
"""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "counters.json"

#: What is run, by name: Python that leaves FLOPs in ``flops`` and seconds in ``taken``. ``built`` is BERT-base or the preset named.
PROGRAMS = {
    "whiteboard": "begin = now(); flops = spec.ledger(batch, seq).flops; taken = now() - begin",
    "trace": "built = reference(spec, batch, seq); begin = now(); flops = trace(built.module, **built.inputs).flops; taken = now() - begin",
    "torch.utils.flop_counter": """
built = reference(spec, batch, seq)
from torch.utils.flop_counter import FlopCounterMode
import torch
begin = now()
with FlopCounterMode(display=False) as counter, torch.no_grad():
    built.module(**built.inputs)
flops = counter.get_total_flops()
taken = now() - begin""",
    "fvcore": """
built = reference(spec, batch, seq)
import fvcore.nn
from napkinmath.witnesses import _fvcore
begin = now(); flops = _fvcore(built.module, (), built.inputs, 0).raw; taken = now() - begin""",
}

CHILD = """
import json, resource, sys, time, warnings
warnings.simplefilter("ignore")
from napkinmath.specs import preset
spec, batch, seq, now = preset({preset!r}), {batch}, {seq}, time.perf_counter
if {name!r} != "whiteboard":
    import transformers
    from napkinmath.references import reference
    from napkinmath.tracing import trace
    warm = reference("distilbert", 1, 8); trace(warm.module, **warm.inputs)  # the first trace of a process loads torch's parts
before = now()
{program}
whole = now() - before
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(json.dumps({{"flops": flops, "seconds": taken, "with_building_s": whole, "peak_mb": peak_mb}}))
"""

CASES = (("bert-base", 8, 128), ("gpt2-xl", 1, 1024), ("llama-3-8b", 1, 2048), ("llama-3-405b", 1, 8192))
ROUNDS = 3


def count(name: str, preset: str, batch: int, seq: int) -> dict[str, Any]:
    code = CHILD.format(name=name, preset=preset, batch=batch, seq=seq, program=PROGRAMS[name])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


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
    for preset, batch, seq in CASES:
        best: dict[str, dict[str, Any]] = {}
        for _ in range(ROUNDS):  # rounds interleave the counters, so that a busy moment of the machine falls on all of them
            for name in PROGRAMS:
                row = count(name, preset, batch, seq)
                if name not in best or row["seconds"] < best[name]["seconds"]:
                    best[name] = row
        truth = best["whiteboard"]["flops"]
        for name, row in best.items():
            row |= {"preset": preset, "batch": batch, "seq": seq, "counter": name, "error": row["flops"] / truth - 1}
            row["times_torch"] = row["seconds"] / best["torch.utils.flop_counter"]["seconds"]
            rows.append(row)
            print(
                f"{preset:14} {name:26} {row['flops']:>22,} {row['error']:+8.2%}  {row['seconds'] * 1e3:9.1f} ms "
                f"{row['times_torch']:5.2f}x torch  with building {row['with_building_s']:5.1f} s  {row['peak_mb']:6.0f} MB",
                flush=True,
            )
    cli = command_line()
    print(f"napkinmath cost llama-3-405b: {cli['cost_405b_s']:.2f} s, {cli['cost_405b_peak_mb']:.0f} MB")
    print(f"import napkinmath: {cli['import_s']:.3f} s")
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "rows": rows,
        **cli,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
