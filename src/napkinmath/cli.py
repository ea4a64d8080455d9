"""The ``napkinmath`` command: presets, cost, witnesses, devices, calibrate, predict, measure, compare.

Counting needs no torch and answers at once; tracing and timing load it when they run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from .backward import DENSE_GRADIENTS
from .errors import InputError, did_you_mean, shown
from .glossary import meaning
from .specs import Spec, preset, presets, size_names
from .specs.config import from_config
from .units import fmt

if TYPE_CHECKING:
    from .profile import Profile
    from .references import Reference


class Parser(argparse.ArgumentParser):
    """argparse, with one line for an error and the nearest valid choice in it."""

    def error(self, message: str) -> NoReturn:
        if choice := re.match(r"(?:argument )?(\S+): invalid choice: (.*) \(choose from (.*)\)", message, re.DOTALL):
            where, given, allowed = choice[1], choice[2].strip("'\""), re.findall(r"[\w-]+", choice[3])
            what = "is not a command" if where == "COMMAND" else f"is not allowed for {where}"
            message = f"{shown(given)} {what}.{did_you_mean(given, allowed)}"
        raise InputError(f"{message.replace(chr(10), ' ')} ('{self.prog} --help' lists what is allowed)")


def refuse(argument: str, command: argparse.ArgumentParser) -> NoReturn:
    """Say that ``command`` takes no such argument, and which option is near.

    Raises:
        InputError: always.
    """
    option = argument.partition("=")[0]
    what = f"{shown(option)} is one argument too many for '{command.prog}'; '{command.prog} --help' lists what it takes"
    if option.startswith("-"):
        near = did_you_mean(option, re.findall(r"--[\w-]+", command.format_help()))
        what = f"{shown(option)} is not an option of '{command.prog}'.{near}"
    raise InputError(what)


def whole_number(text: str) -> int:
    """``"8"`` or ``"8_192"`` or ``"8,192"`` as an integer; the spec checks its range."""
    try:
        return int(text.replace(",", ""))
    except ValueError:
        try:
            nearest = f"; nearest: {max(1, round(float(text)))}"
        except (ValueError, OverflowError):
            nearest = ""
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number{nearest}") from None


def quantity(unit: str, example: str = "") -> Callable[[str], float]:
    """Reads a quantity as people type it: ``60s`` or ``2 min`` for ``unit="s"``; with an ``example``, its unit must be said."""

    def read(text: str) -> float:
        from .units import parse

        try:
            if len(text) > 80:
                raise InputError(f"{shown(text)} is too long for a quantity")
            found = parse(text, unit)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        if found.bare and example:
            raise argparse.ArgumentTypeError(f"{shown(text)} of what? Write the unit too, as in {example}")
        return found.value

    return read


seconds = quantity("s")


def named(name: str) -> Any:
    """A preset by name, or the model that a transformers ``config.json`` describes."""
    return from_config(name) if name.endswith(".json") else preset(name)


def run_presets(args: argparse.Namespace) -> Any:
    """List the presets with their sizes and sources."""
    found = presets(args.family)
    rows = [
        {
            "name": spec.name,
            "family": spec.family,
            "params": spec.params(),
            "published_params": spec.published_params,
            "published": [{"quantity": p.quantity, "printed": p.printed, "source": p.source, "differs": p.differs} for p in spec.published],
            "dimensions": spec.dimensions(),
            "source": spec.source,
            "published_source": spec.published_source,
            "paper": spec.paper,
            "checked": str(spec.checked),
        }
        for spec in found
    ]
    if args.json:
        return rows
    for row in rows:
        row["also published"] = "; ".join(f"{p['printed']} {p['quantity']}" for p in row["published"])
    return table(rows, ["name", "family", "params", "published_params", "also published", "paper"])


#: What ``cost`` counts, by mode.
MODES = {"forward": "forward", "decode": "one decode step", "train": "one training step (forward, backward, AdamW)"}


def run_cost(args: argparse.Namespace) -> Any:
    """Count one pass or training step on the whiteboard: parameters, FLOPs, bytes, KV cache."""
    spec = named(args.name)
    sizes = sizes_of(args, spec)
    ledger = spec.ledger(**sizes, dtype=args.dtype, **attention_of(args, spec))
    if args.mode == "train":
        ledger = ledger.training()
    totals, tables = ledger.totals(), sum(op.params for op in ledger if op.kind == "gather")
    cost = {
        "name": spec.name,
        "mode": args.mode,
        **sizes,
        "dtype": args.dtype,
        "params": totals.params,
        "flops": totals.flops,
        "macs": totals.flops // 2,
        "useful_causal_flops": totals.useful_causal_flops,
        "other_flops": totals.other_flops,
        "weight_bytes": ledger.weight_bytes,
        "bytes_read": totals.bytes_read,
        "bytes_written": totals.bytes_written,
        **{what: int(kept) for what, kept in spec.kept_bytes(sizes, args.dtype).items() if args.mode != "train"},
    }
    groups = {
        key: {g: {"params": t.params, "flops": t.flops, "bytes": t.bytes_moved} for g, t in ledger.by(key, 2).items()}
        for key in ("kind", "module")
    }
    if args.json:
        return cost | {"notes": list(ledger.notes), "by_kind": groups["kind"], "by_module": groups["module"]}
    lines = [
        f"{spec.name}: {MODES[args.mode]}, {in_words(sizes)}, {args.dtype}",
        f"  parameters   {cost['params']:,}  ({fmt(cost['weight_bytes'], 'B')} of weights)",
        f"  FLOPs        {cost['flops']:,}  = {fmt(cost['flops'], 'FLOP')} = {fmt(cost['macs'], 'MAC')}",
    ]
    if cost.get("kv_cache_bytes"):
        lines.append(f"  causal part  {cost['useful_causal_flops']:,} FLOPs once masked scores are left out")
        lines.append(f"  KV cache     {fmt(cost['kv_cache_bytes'], 'B')} = {fmt(cost['kv_cache_bytes'], 'B', binary=True)}")
    if cost.get("state_bytes"):
        lines.append(f"  state        {fmt(cost['state_bytes'], 'B')}, whatever the context")
    moved = totals.bytes_moved
    lines.append(f"  bytes moved  {fmt(moved, 'B')} without caches, so {fmt(totals.intensity, 'FLOP/B')}")
    if args.mode == "train" and 2 * tables > totals.params:
        lines.append(f"  note         {DENSE_GRADIENTS}")
    rows = [
        {"module": group, "params": t["params"], "flops": t["flops"], "share": f"{t['flops'] / max(totals.flops, 1):.1%}"}
        for group, t in groups["module"].items()
    ]
    return "\n".join([*lines, "", table(rows, ["module", "params", "flops", "share"])])


def run_witnesses(args: argparse.Namespace) -> Any:
    """Whiteboard, trace, fvcore and torch's counter on the same pass, with the reason for every difference."""
    from .witnesses import readings

    spec = named(args.name)
    sizes = sizes_of(args, spec)
    found = readings(spec, **sizes, attention=args.attention)
    ours = found[0].flops
    rows = [
        {
            "counter": r.counter,
            "prints": r.raw,
            "unit": r.unit,
            "params": r.params,
            "flops": r.flops,
            "unexplained": r.flops - ours,
            "corrections": [{"reason": c.reason, "flops": c.flops} for c in r.corrections],
        }
        for r in found
    ]
    if args.json:
        return {"name": spec.name, **sizes, "attention": args.attention, "readings": rows}
    lines = [f"{spec.name}, {in_words(sizes)}" + (f", {args.attention} attention" if spec.ATTENTION else ""), ""]
    lines.append(table(rows, ["counter", "prints", "unit", "flops", "unexplained"]))
    for r in found:
        if r.corrections:
            lines += ["", f"From what {r.counter} prints to FLOPs:"]
            lines += [f"  {c.flops:+22,}  {c.reason}" for c in r.corrections]
    return "\n".join(lines)


def run_devices(args: argparse.Namespace) -> Any:
    """List the devices of the datasheet table."""
    from .hardware import devices

    found = devices(args.kind)
    return [d.to_dict() for d in found] if args.json else "\n".join(f"{d.name:14} {d}" for d in found)


def run_profiles(args: argparse.Namespace) -> Any:
    """List the machines whose calibration comes with the package, and how near predictions from it were there."""
    from .profile import RecordedProfile, recorded_profiles, recording

    found = {name: recording(name) for name in recorded_profiles()}
    if args.json:
        return {name: record["check"] for name, record in found.items()}
    lines = []
    for name, record in found.items():
        error, cases = record["check"]["summary"]["predicted"], record["check"]["summary"]["cases"]
        lines += [
            f"{name}: {RecordedProfile.from_dict(record['profile'])}",
            f"  over {cases} cases: MAPE {error['mape']:.0%}, median error {error['median']:.0%}",
        ]
    return "\n".join(lines)


def run_calibrate(args: argparse.Namespace) -> Any:
    """Measure this machine and keep the profile."""
    if args.if_needed:
        from .profile import load_profile

        try:
            profile = load_profile(args.device)
        except InputError as error:
            print(error, file=sys.stderr)
        else:
            warn_if_busy(profile)
            return profile.to_dict() if args.json else f"kept: {profile}"
    from .calibration import calibrate

    with progress_bar("calibrating") as report:
        profile = calibrate(args.budget, quick=args.quick, device=args.device, threads=args.threads, progress=report)
    path = profile.save()
    warn_if_busy(profile)
    return profile.to_dict() if args.json else f"{profile}\nsaved in {path}"


def warn_if_busy(profile: Profile) -> None:
    """Say that a profile is not to be trusted, and what to do."""
    if profile.verdict != "quiet":
        print(f"napkinmath: {profile.verdict}. Close what else runs, then 'napkinmath calibrate'.", file=sys.stderr)


def run_predict(args: argparse.Namespace) -> Any:
    """Predict the latency of one pass: fitted on this machine or one on record, by roofline on any other device."""
    from .candidates import memory_bytes
    from .hardware import device
    from .latency import predict
    from .profile import load_profile, recorded_profile, recorded_profiles

    spec = named(args.name)
    sizes = sizes_of(args, spec)
    recorded = args.on in recorded_profiles()
    if args.on != "here" and not recorded:
        machine = device(args.on)
        ledger = spec.ledger(**sizes, dtype=args.dtype, **attention_of(args, spec))
        prediction, needs = predict(ledger, machine), memory_bytes(spec, ledger, sizes, args.dtype)
        if args.json:
            return prediction.to_dict() | {"memory_bytes": needs, "fits_memory": needs <= machine.memory_bytes}
        if needs > machine.memory_bytes:
            has = f"{spec.name} needs {fmt(needs, 'B')} and {machine.name} has {fmt(machine.memory_bytes, 'B')}"
            return f"{prediction.text(*items_of(sizes))}\ndoes not fit: {has}; the time is that of a device as fast which could hold it"
    else:
        from .references import can_be_fake
        from .tracing import trace

        # Before anything is built: without a profile there is nothing to predict from.
        profile = recorded_profile(args.on) if recorded else load_profile()
        fake = can_be_fake(profile.device, args.dtype)
        built = build(args, spec, sizes, device=profile.device, fake=fake)
        prediction = predict(trace(built.module, name=f"{spec.name}, {in_words(sizes)}", **built.inputs), profile)
    return prediction.to_dict() if args.json else prediction.text(*items_of(sizes))


def run_measure(args: argparse.Namespace) -> Any:
    """Measure one pass here, on random weights, beside its prediction where this machine has a profile."""
    from .environment import default_device
    from .latency import predict
    from .measurement import measure
    from .profile import load_profile
    from .references import require_memory
    from .tracing import trace

    spec = named(args.name)
    sizes = sizes_of(args, spec)
    require_memory(spec, "fp32" if args.dtype == "int8" else args.dtype)  # int8 weights are rounded from fp32
    device = default_device()
    with progress_bar(f"building and measuring {spec.name}") as report:
        report(0.0, "building")
        built = build(args, spec, sizes, device=device)
        report(0.2, "measuring")
        timed = built.repeatable()
        measurement = replace(measure(timed, max_s=args.max_seconds, **built.inputs), name=spec.name)
        report(1.0, "done")
    prediction, why_not = None, ""
    try:
        prediction = predict(trace(timed, name=spec.name, **built.inputs), load_profile(device))
    except InputError as error:
        why_not = str(error)
    if args.json:
        return {
            "measurement": measurement.to_dict(),
            "prediction": prediction.to_dict() if prediction else None,
            "no_prediction_because": why_not or None,
        }
    lines = [f"measured   {measurement}"]
    if prediction:
        lines += [f"predicted  {prediction}", f"ratio      measured / predicted = {measurement.p50_s / prediction.p50_s:.2f}"]
    else:
        lines.append(f"no prediction: {why_not}")
    return "\n".join(lines)


def run_compare(args: argparse.Namespace) -> Any:
    """Rank presets on devices under constraints: which fit, what binds, what a thousand items cost."""
    from .candidates import Constraints, compare

    kept = Constraints(args.max_latency, args.max_memory, args.max_usd_per_1k)
    sizes = {size: getattr(args, size) for size in size_names()}
    found = compare(
        [named(name) for name in args.names],
        args.on,
        args.batch,
        dtype=args.dtype,
        mode=args.mode,
        constraints=kept,
        utilization=args.utilization,
        **sizes,
    )
    rows: list[dict[str, Any]] = [
        {str(key): None if value != value else value for key, value in row.items()} for row in found.to_dict("records")
    ]
    if args.json:
        return rows
    times = {"low": "low_s", "latency": "p50_s", "high": "high_s"}
    listed = [
        {
            "preset": row["preset"],
            "device": row["device"],
            "batch": row["batch"],
            **{title: "" if row[key] is None else fmt(row[key], "s") for title, key in times.items()},
            "binds": row["binds"],
            "memory": fmt(row["memory_bytes"], "B"),
            "per s": "" if row["per_s"] is None else fmt(row["per_s"], digits=3),
            "$ per 1k": ("" if row["p50_s"] is None else "no price") if row["usd_per_1k"] is None else fmt(row["usd_per_1k"], "$"),
            "verdict": "fits" if row["fits"] else f"fails: {row['fails'].replace('dtype', f'no {args.dtype}')}",
        }
        for row in rows
    ]
    return table(listed, list(listed[0]))


def build(args: argparse.Namespace, spec: Spec, sizes: dict[str, Any], **where: Any) -> Reference:
    """The preset's module and inputs as the command line asks for them."""
    from .references import reference

    attention = {"fused": "sdpa", "eager": "eager"}[args.attention]
    return reference(spec, **sizes, dtype=args.dtype, attention=attention, **where)


def sizes_of(args: argparse.Namespace, spec: Spec) -> dict[str, int]:
    """The pass's sizes; of a decode step, what :meth:`Spec.decode_sizes` makes of those given.

    Raises:
        InputError: sizes that do not fit the preset or the mode.
    """
    given = {"batch": args.batch, **{size: getattr(args, size) for size in size_names()}}
    return spec.resolve(**(spec.decode_sizes(given) if args.mode == "decode" else given))


def items_of(sizes: dict[str, int]) -> tuple[int, str]:
    """What one pass handles, and how it is called: its tokens, images, or rows of a batch."""
    if "seq" in sizes:
        return sizes["batch"] * sizes["seq"], "tokens"
    return sizes["batch"], "images" if "image" in sizes else "items"


def in_words(sizes: dict[str, int]) -> str:
    """``batch 8, seq 128``; a context that equals the query tokens goes without saying."""
    queries = sizes.get("target", sizes.get("seq"))
    return ", ".join(f"{size} {value:,}" for size, value in sizes.items() if size != "context" or value != queries)


def attention_of(args: argparse.Namespace, spec: Spec) -> dict[str, str]:
    """The ledger's ``attention``, for families that have any."""
    return {"attention": args.attention} if spec.ATTENTION else {}


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[float, str], None]]:
    """A bar on standard error for anything over a few seconds; its callback takes a fraction and what is being done."""
    from tqdm import tqdm

    bar = None

    def report(fraction: float, what: str) -> None:
        nonlocal bar
        if bar is None:  # only once there is progress: an error in the arguments comes alone
            bar = tqdm(
                total=100, desc=title, bar_format="{desc} {bar:30} {percentage:3.0f}% {elapsed} {postfix}", file=sys.stderr, leave=False
            )
        bar.set_postfix_str(what, refresh=False)
        bar.update(max(0.0, 100 * fraction - bar.n))

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()


def table(rows: list[dict[str, Any]], columns: list[str]) -> str:
    """Rows as aligned text: numbers to the right, with separators."""

    def text(value: Any) -> str:
        return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)

    cells = [columns, *([text(row[c]) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    numeric = [all(isinstance(row[c], int | float | None) or str(row[c]).endswith("%") for row in rows) for c in columns]
    return "\n".join(
        "  ".join(cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(line, widths, numeric, strict=True)).rstrip()
        for line in cells
    )


COMMANDS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "presets": run_presets,
    "cost": run_cost,
    "witnesses": run_witnesses,
    "devices": run_devices,
    "profiles": run_profiles,
    "calibrate": run_calibrate,
    "predict": run_predict,
    "measure": run_measure,
    "compare": run_compare,
}


def parser() -> Parser:
    """The command's parser."""
    top = Parser(
        prog="napkinmath", description="Parameters, FLOPs, bytes and latency of neural architectures: counted, predicted, measured."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    added = {
        name: commands.add_parser(name, help=(run.__doc__ or "").split("\n")[0], description=run.__doc__) for name, run in COMMANDS.items()
    }
    for command in added.values():
        command.set_defaults(parser=command)
        command.add_argument("--json", action="store_true", help="print JSON")
    added["presets"].add_argument("--family", help="only this family, such as encoder or decoder")
    added["devices"].add_argument("--kind", help="only this kind: gpu, tpu, cpu or soc")
    for name in ("cost", "witnesses", "predict", "measure", "compare"):
        command = added[name]
        what = "a preset, such as bert-base ('napkinmath presets' lists them), or a model's config.json"
        many: dict[str, Any] = {"nargs": "+"} if name == "compare" else {}
        command.add_argument("names" if many else "name", metavar="PRESET", help=what, **many)
        command.add_argument("--batch", type=whole_number, default=1, help="sequences, images or users (default 1)", **many)
        for size in size_names():
            command.add_argument(f"--{size.replace('_', '-')}", type=whole_number, help=meaning(size))
        command.add_argument(
            "--mode",
            choices=MODES if name == "cost" else ("forward", "decode"),
            default="forward",
            help="decode: one token with a full cache of --context tokens" + ("; train: a training step" if name == "cost" else ""),
        )
        if name == "witnesses":
            command.add_argument(
                "--attention", choices=("sdpa", "eager"), default="sdpa", help="PyTorch's fused attention, or scores written out"
            )
            continue
        command.add_argument(
            "--dtype",
            default="bf16" if name in ("cost", "compare") else "fp32",
            help="of weights and activations: fp32, bf16, fp16, int8...",
        )
        command.add_argument(
            "--attention", choices=("fused", "eager"), default="fused", help="whether scores stay on chip or are written out"
        )
    added["predict"].add_argument(
        "--on",
        metavar="DEVICE",
        default="here",
        help="'here', this machine; a datasheet device ('napkinmath devices' lists them); a machine on record ('napkinmath profiles')",
    )
    ranked = added["compare"]
    ranked.add_argument("--on", metavar="DEVICE", nargs="+", required=True, help="datasheet devices, or 'here' for this machine's profile")
    ranked.add_argument("--max-latency", type=quantity("s", "20ms"), help="of one pass, such as 20ms; held against the interval's high end")
    ranked.add_argument("--max-memory", type=quantity("B", "16GB"), help="of one device, such as 16GB (default: its capacity)")
    ranked.add_argument("--max-usd-per-1k", type=float, help="dollars for a thousand items")
    ranked.add_argument("--utilization", type=float, default=1.0, help="share of the time that a device is busy (default 1)")
    added["measure"].add_argument("--max-seconds", type=seconds, default=10.0, help="time to spend (default 10)")
    calibrate = added["calibrate"]
    calibrate.add_argument("--quick", action="store_true", help="15 seconds instead of 60: wider intervals")
    calibrate.add_argument("--budget", type=seconds, default=60.0, help="seconds to spend (default 60)")
    calibrate.add_argument("--threads", type=whole_number, help="CPU threads (default: torch's)")
    calibrate.add_argument("--device", help="cpu, cuda or mps (default: the accelerator if there is one)")
    calibrate.add_argument("--if-needed", action="store_true", help="keep the profile when it is still valid")
    return top


def main(argv: list[str] | None = None) -> int:
    """Run a command. Bad input ends in one line on standard error and exit code 2."""
    try:
        args, unknown = parser().parse_known_args(argv)
        if unknown:
            refuse(unknown[0], args.parser)
        result = COMMANDS[args.command](args)
        print(json.dumps(result, indent=1) if args.json else result, flush=True)
    except InputError as error:
        print(f"napkinmath: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nnapkinmath: stopped; nothing was saved", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has enough; what is still buffered goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
