"""Record a machine for the package: its calibration, and what was predicted from it and measured there.

    python benchmarks/record_profile.py NAME                  # of the accelerator, else of the CPU; a dozen minutes
    python benchmarks/record_profile.py NAME --device cpu
    python benchmarks/record_profile.py NAME --workloads bert-base resnet-50

NAME is what ``napkinmath predict --on NAME`` will call the machine, such as ``xeon-2-threads`` or ``h100-sxm``. The workloads are
the development list of ``workloads.toml``, measured as ``predictor.py`` measures them. Run it on a machine that does nothing else.

Writes ``src/napkinmath/data/profiles/NAME.json``, whole or not at all.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from predictor import ROUNDS, conditions, run, summarise, table, workloads

from napkinmath.calibration import Calibration
from napkinmath.environment import default_device
from napkinmath.files import write_text

PROFILES = Path(__file__).parents[1] / "src" / "napkinmath" / "data" / "profiles"


def name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: use small letters, digits and single hyphens, such as h100-sxm")
    return text


def main(arguments: list[str] | None = None) -> None:
    development = workloads("development")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", type=name)
    parser.add_argument("--device", help="cpu, cuda or mps; the accelerator where not given")
    parser.add_argument("--budget", type=float, default=60, help="seconds of calibration")
    parser.add_argument("--rounds", type=int, choices=range(2, 31), default=ROUNDS, help="of measuring; two show the noise")
    parser.add_argument("--seconds", type=float, default=0.5, help="of measuring one workload in one round")
    parser.add_argument("--workloads", nargs="+", metavar="PRESET", choices=sorted({w.preset for w in development}), help="only these")
    parser.add_argument("--out", type=Path, default=PROFILES, help="folder to write to")
    args = parser.parse_args(arguments)

    calibration = Calibration(args.budget, args.device or default_device())
    chosen = [w for w in development if not args.workloads or w.preset in args.workloads]
    profile, rows = run(calibration, chosen, args.rounds, args.seconds)
    summary = summarise(rows)
    print(profile)
    print(table(rows, summary))
    path = args.out / f"{args.name}.json"
    write_text(path, json.dumps({"profile": profile.to_dict(), "check": conditions() | {"summary": summary, "rows": rows}}) + "\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
