"""The ``napkinmath`` command: presets, cost, witnesses, devices, calibrate, predict, measure.

Counting needs no torch and answers at once; tracing and timing load it when they run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import InputError, did_you_mean
from .glossary import meaning
from .specs import Spec, preset, presets, size_names
from .units import fmt

if TYPE_CHECKING:
    from .profile import Profile
    from .references import Reference


class Parser(argparse.ArgumentParser):
    """argparse, with one line for an error and the nearest valid choice in it."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice" in message:
            given = message.split("invalid choice: ")[1].split("'")[1]
            message = f"{given!r} is not a command.{did_you_mean(given, COMMANDS)}"
        raise InputError(f"{message.replace(chr(10), ' ')} ('{self.prog} --help' lists what is allowed)")


def whole_number(text: str) -> int:
    """``"8"`` or ``"8_192"`` or ``"8,192"`` as an integer; the spec checks its range."""
    try:
        return int(text.replace(",", ""))
    except ValueError:
        try:
            nearest = f"; nearest: {max(1, round(float(text)))}"
        except (ValueError, OverflowError):
            nearest = ""
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number{nearest}") from None


def seconds(text: str) -> float:
    """A time as people type it: ``60``, ``60s``, ``2 min``."""
    from .units import parse

    try:
        return parse(text, "s").value
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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


def run_cost(args: argparse.Namespace) -> Any:
    """Count one forward pass on the whiteboard: parameters, FLOPs, bytes, KV cache."""
    spec = preset(args.name)
    sizes = sizes_of(args, spec)
    ledger = spec.ledger(**sizes, dtype=args.dtype, **attention_of(args, spec))
    totals = ledger.totals()
    cost = {
        "name": spec.name,
        "mode": args.mode,
        **sizes,
        "dtype": args.dtype,
        "params": totals.params,
        "flops": totals.flops,
        "macs": int(totals.macs),
        "useful_causal_flops": totals.useful_causal_flops,
        "other_flops": totals.other_flops,
        "weight_bytes": ledger.weight_bytes,
        "bytes_read": totals.bytes_read,
        "bytes_written": totals.bytes_written,
        "kv_cache_bytes": int(spec.kv_cache_bytes(sizes["batch"], sizes["context"], args.dtype)) if spec.decodes else 0,
    }
    groups = {
        key: {g: {"params": t.params, "flops": t.flops, "bytes": t.bytes_moved} for g, t in ledger.by(key, 2).items()}
        for key in ("kind", "module")
    }
    if args.json:
        return cost | {"by_kind": groups["kind"], "by_module": groups["module"]}
    lines = [
        f"{spec.name}: {'one decode step' if args.mode == 'decode' else 'forward'}, {in_words(sizes)}, {args.dtype}",
        f"  parameters   {cost['params']:,}  ({fmt(cost['weight_bytes'], 'B')} of weights)",
        f"  FLOPs        {cost['flops']:,}  = {fmt(cost['flops'], 'FLOP')} = {fmt(cost['macs'], 'MAC')}",
    ]
    if spec.decodes:
        lines.append(f"  causal part  {cost['useful_causal_flops']:,} FLOPs once masked scores are left out")
        lines.append(f"  KV cache     {fmt(cost['kv_cache_bytes'], 'B')} = {fmt(cost['kv_cache_bytes'], 'B', binary=True)}")
    moved = totals.bytes_moved
    lines.append(f"  bytes moved  {fmt(moved, 'B')} without caches, so {fmt(totals.intensity, 'FLOP/B')}")
    rows = [
        {"module": group, "params": t["params"], "flops": t["flops"], "share": f"{t['flops'] / max(totals.flops, 1):.1%}"}
        for group, t in groups["module"].items()
    ]
    return "\n".join([*lines, "", table(rows, ["module", "params", "flops", "share"])])


def run_witnesses(args: argparse.Namespace) -> Any:
    """Whiteboard, trace, fvcore and torch's counter on the same pass, with the reason for every difference."""
    from .witnesses import readings

    spec = preset(args.name)
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
    """Predict the latency of one pass: fitted on this machine, by roofline on any other device."""
    from .latency import predict

    spec = preset(args.name)
    sizes = sizes_of(args, spec)
    if args.on is not None:
        prediction = predict(spec.ledger(**sizes, dtype=args.dtype, **attention_of(args, spec)), args.on)
    else:
        from .profile import load_profile
        from .tracing import trace

        profile = load_profile()  # before anything is built: without one there is nothing to predict from
        fake = profile.device == "cpu"
        built = build(args, spec, sizes, device=profile.device, fake=fake)
        prediction = predict(trace(built.module, name=f"{spec.name}, {in_words(sizes)}", **built.inputs), profile)
    return prediction.to_dict() if args.json else str(prediction)


def run_measure(args: argparse.Namespace) -> Any:
    """Measure one pass here, on random weights, beside its prediction where this machine has a profile."""
    from .environment import default_device
    from .latency import predict
    from .measurement import measure
    from .profile import load_profile
    from .tracing import trace

    spec = preset(args.name)
    sizes = sizes_of(args, spec)
    require_memory(spec, args)
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


def build(args: argparse.Namespace, spec: Spec, sizes: dict[str, Any], **where: Any) -> Reference:
    """The preset's module and inputs as the command line asks for them."""
    from .references import reference

    attention = {"fused": "sdpa", "eager": "eager"}[args.attention]
    return reference(spec, **sizes, dtype=args.dtype, attention=attention, **where)


def require_memory(spec: Spec, args: argparse.Namespace) -> None:
    """Refuse to build weights that do not fit.

    Raises:
        InputError: the weights take more than what is free; names the nearest preset that fits.
    """
    import psutil

    free = psutil.virtual_memory().available * 0.8
    if spec.weight_bytes(args.dtype) > free:
        fits = [s for s in presets(spec.family) if s.weight_bytes(args.dtype) <= free]
        nearest = max(fits, key=lambda s: s.params(), default=None)
        hint = f"; the largest {spec.family} that fits: {nearest.name}" if nearest else ""
        raise InputError(
            f"{spec.name} in {args.dtype} takes {fmt(spec.weight_bytes(args.dtype), 'B')} and {fmt(free, 'B')} can be used here{hint}"
        )


def sizes_of(args: argparse.Namespace, spec: Spec) -> dict[str, int]:
    """The pass's sizes. A decode step has one query token, and ``--seq`` stands for its context when that is not given.

    Raises:
        InputError: sizes that do not fit the preset or the mode.
    """
    given = {"batch": args.batch, **{size: getattr(args, size) for size in size_names()}}
    if args.mode == "decode":
        if not spec.decodes:
            raise InputError(
                f"mode='decode': {spec.name} generates no tokens one by one; use --mode forward, or a decoder such as gpt2 or llama-3-8b"
            )
        given |= {"seq": 1, "context": given["context"] or given["seq"] or spec.SIZES["seq"]}
    return spec.resolve(**given)


def in_words(sizes: dict[str, int]) -> str:
    """``batch 8, seq 128``; a context that equals ``seq`` goes without saying."""
    return ", ".join(f"{size} {value:,}" for size, value in sizes.items() if size != "context" or value != sizes["seq"])


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
    "calibrate": run_calibrate,
    "predict": run_predict,
    "measure": run_measure,
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
        command.add_argument("--json", action="store_true", help="print JSON")
    added["presets"].add_argument("--family", help="only this family, such as encoder or decoder")
    added["devices"].add_argument("--kind", help="only this kind: gpu, tpu, cpu or soc")
    for name in ("cost", "witnesses", "predict", "measure"):
        command = added[name]
        command.add_argument("name", metavar="PRESET", help="a preset, such as bert-base ('napkinmath presets' lists them)")
        command.add_argument("--batch", type=whole_number, default=1, help="sequences, images or users (default 1)")
        for size in size_names():
            command.add_argument(f"--{size.replace('_', '-')}", type=whole_number, help=meaning(size))
        command.add_argument(
            "--mode", choices=("forward", "decode"), default="forward", help="decode: one token with a full cache of --context tokens"
        )
        if name == "witnesses":
            command.add_argument(
                "--attention", choices=("sdpa", "eager"), default="sdpa", help="PyTorch's fused attention, or scores written out"
            )
            continue
        command.add_argument(
            "--dtype", default="bf16" if name == "cost" else "fp32", help="of weights and activations: fp32, bf16, fp16, int8..."
        )
        command.add_argument(
            "--attention", choices=("fused", "eager"), default="fused", help="whether scores stay on chip or are written out"
        )
    added["predict"].add_argument(
        "--on", metavar="DEVICE", help="a datasheet device instead of this machine ('napkinmath devices' lists them)"
    )
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
        args = parser().parse_args(argv)
        result = COMMANDS[args.command](args)
    except InputError as error:
        print(f"napkinmath: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nnapkinmath: stopped; nothing was saved", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    print(json.dumps(result, indent=1) if args.json else result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
