"""Bad input: does any spec, config or command line give a traceback, a hang, or a number that cannot be?

    python benchmarks/fuzz.py [CASES [SEED]]

Each case takes something that works, such as a preset, and spoils a little of it. It must end in an answer whose figures are whole, finite
and not negative, or in one line that says what is wrong. Prints what did neither and writes ``results/fuzz.json``. Nothing is built or
timed, so torch is not needed.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import io
import json
import math
import platform
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from napkinmath import devices, from_config, memory, presets
from napkinmath.cli import main as command_line
from napkinmath.dtypes import DTYPE_BYTES
from napkinmath.errors import InputError, shown
from napkinmath.specs import STYLES, TransformerSpec, size_names
from napkinmath.specs.config import config_fields

RESULTS = Path(__file__).parent / "results" / "fuzz.json"

#: What people and programs pass by mistake.
ODD: list[Any] = [
    0, -1, 1, 3, 7, 10**9, 10**12, 10**13, 10**30, 10**5000, 0.0, 2.5, 1e9, 1e400, math.nan, True, False, None, "", "8", "gelu", "é\n",
    (), (0,), (1, 2), [64], [[]], {}, {"a": 1}, b"8", object(),
]  # fmt: skip

#: The same as text, with the units that people write and some that they don't.
_WORDS = (
    "0 -1 1 7 128 1_000 8,192 1e3 2.5 nan inf -inf 999999999999999999999 x 8x 16GB 16 20ms 3parsecs é -- -v --json gpt2 fp23 bf16 int4 "
    "decode train fused eager here ½ ٣ a'b \" 5%% $3"
)
ODD_TEXT = (*_WORDS.split(), "", "9" * 5000, "\n", "a\0b")

Case = Callable[[random.Random], str]


class Wrong(Exception):
    """An answer that cannot be."""


def main() -> int:
    """Run 10,000 cases, or as many as were asked for; 1 if any went wrong."""
    asked = [int(given) for given in sys.argv[1:]]
    cases, seed = asked[0] if asked else 10_000, asked[1] if len(asked) > 1 else 0
    begin = time.perf_counter()
    outcomes, failures = fuzz(cases, seed)
    seconds = time.perf_counter() - begin
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:7,}  {outcome}")
    for failure in failures[:20]:
        print(f"\n{failure}")
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "cases": cases,
        "seed": seed,
        "outcomes": dict(sorted(outcomes.items())),
        "failures": failures,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{cases:,} cases, {len(failures)} wrong, {seconds:.0f} s")
    return int(bool(failures))


def fuzz(cases: int, seed: int, limit_s: int = 10) -> tuple[collections.Counter[str], list[str]]:
    """``cases`` outcomes by kind, and a traceback for each that is neither an answer nor one line; a case may take ``limit_s`` seconds."""
    draw, failures = random.Random(seed), []
    outcomes: collections.Counter[str] = collections.Counter()
    kinds: list[Case] = [a_spec, a_spec, a_config, a_command, a_command]
    for _ in range(cases):
        kind = draw.choice(kinds)
        try:
            with time_limit(limit_s):
                outcome = kind(draw)
        except Exception:  # anything else than what a case makes of an InputError is a finding
            outcome = "wrong"
            failures.append(traceback.format_exc(limit=-6))
        outcomes[f"{kind.__name__.replace('_', ' ')}: {outcome}"] += 1
    return outcomes, failures


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in what takes longer, where the system has an alarm clock."""

    def ring(*_: Any) -> None:
        raise TimeoutError(f"more than {seconds} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# Specs ----------------------------------------------------------------------------------------------------------------


def a_spec(draw: random.Random) -> str:
    """A preset with some of its fields spoiled, and a pass of odd sizes."""
    spec = draw.choice(presets())
    done: list[str] = [spec.name]
    try:
        for _ in range(draw.randint(0, 2)):
            spec = spoiled(draw, spec, done)
        sizes = {size: odd_size(draw) for size in ("batch", *spec.SIZES) if draw.random() < 0.2}
        how: dict[str, Any] = {"dtype": draw.choice(list(DTYPE_BYTES))} if draw.random() < 0.9 else {"dtype": draw.choice(ODD)}
        if draw.random() < 0.3 and spec.decodes:
            sizes = spec.decode_sizes(sizes)
        done.append(shown({**sizes, **how}))
        ledger = spec.ledger(**sizes, **how)
        if draw.random() < 0.3:
            ledger = ledger.training()
        totals = dataclasses.asdict(ledger.totals())
        by_kind = [dataclasses.asdict(part) for part in ledger.by("kind").values()]
        for column in totals:  # negative rows must not hide in a sum
            require({f"{op.name} {column}": getattr(op, column) for op in ledger}, True)
        require({**totals, "weights": ledger.weight_bytes}, all(sum(part[c] for part in by_kind) == totals[c] for c in totals))
        require(spec.kept_bytes(spec.resolve(**sizes), how["dtype"]), ledger.flops % 2 == 0)
        require(memory(spec, **sizes, mode=draw.choice(["training", "inference"])).rows, True)
    except InputError as error:
        return one_line(str(error))
    except Exception as error:
        raise AssertionError("; ".join(done)) from error
    return "answered"


def spoiled(draw: random.Random, part: Any, done: list[str]) -> Any:
    """``part`` of a spec with one field changed, perhaps one of a part of its own."""
    field = draw.choice([field for field in dataclasses.fields(part) if not field.name.startswith(("published", "checked", "source"))])
    value = getattr(part, field.name)
    if dataclasses.is_dataclass(value) and draw.random() < 0.8:
        new = spoiled(draw, value, done)
    elif isinstance(value, int) and not isinstance(value, bool) and draw.random() < 0.5:
        new = draw.choice([value * 2, value // 2, value + 1, value - 1, 3 * value, -1])
    elif isinstance(value, tuple) and value and draw.random() < 0.5:
        new = draw.choice([value[:-1], value + value[-1:], (*value[:-1], draw.choice(ODD)), list(value)])
    else:
        new = draw.choice(ODD)
    done.append(f"{type(part).__name__}.{field.name}={shown(new)}")
    return dataclasses.replace(part, **{field.name: new})


def odd_size(draw: random.Random) -> Any:
    """A size of a pass: mostly one that may work."""
    return draw.choice(ODD) if draw.random() < 0.1 else draw.choice([1, 2, 7, 32, 64, 128, 224, 512, 10**6])


# Configs --------------------------------------------------------------------------------------------------------------


def a_config(draw: random.Random) -> str:
    """A ``config.json`` with some of its fields spoiled, missing or strange."""
    spec = draw.choice([spec for spec in presets() if type(spec) is TransformerSpec])
    config: dict[str, Any] = {"model_type": spec.reference, **config_fields(spec)}
    for _ in range(draw.randint(0, 3)):
        key = draw.choice([*config, "hidden_act", "sliding_window", "layer_types", "_name_or_path", "rope_scaling", "new\n", "head_dim"])
        values = [odd for odd in ODD if not isinstance(odd, bytes | tuple) and type(odd) is not object]
        config[key] = draw.choice([*values, *STYLES, ["full_attention"] * 3, [[4096]] * 2, "\ud800\x1b[2J"])
        if draw.random() < 0.2:
            del config[key]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, draw.choice(["config.json", "a model.json"]))
        path.write_text(config_text(draw, config))
        try:
            read = from_config(path)
            require({"params": read.params(), "active": read.active_params()}, True)
            return "answered"
        except InputError as error:
            return one_line(str(error).replace(folder, ""))
        except Exception as error:
            raise AssertionError("; ".join(f"{key}={shown(value)}" for key, value in config.items())) from error


def config_text(draw: random.Random, config: dict[str, Any]) -> str:
    """The config as JSON, at times cut off or nested without end."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        text = json.dumps(config)
    finally:
        sys.set_int_max_str_digits(limit)
    spoil = draw.random()
    return text[: draw.randrange(len(text))] if spoil < 0.05 else "[" * 10**5 if spoil < 0.08 else text


# Commands -------------------------------------------------------------------------------------------------------------


def a_command(draw: random.Random) -> str:
    """A command line that counts or predicts by datasheet, with odd names, values and options."""
    names = [spec.name for spec in presets()]
    command = draw.choice(["cost", "cost", "cost", "compare", "predict", "presets", "devices"])
    argv = [command]
    if command in ("cost", "compare", "predict"):
        argv += [misspelt(draw, draw.choice(names)) for _ in range(draw.randint(1, 2) if command == "compare" else 1)]
        argv += ["--dtype", draw.choice(["bf16", "fp16", "fp32", *ODD_TEXT])] if draw.random() < 0.5 else []
        argv += ["--mode", draw.choice(["forward", "decode", "train", *ODD_TEXT[:3]])] if draw.random() < 0.5 else []
        for size in ("batch", *size_names()):
            argv += [misspelt(draw, f"--{size}"), draw.choice(["1", "2", "16", "128", "224", *ODD_TEXT])] if draw.random() < 0.15 else []
    if command in ("compare", "predict"):
        argv += ["--on", misspelt(draw, draw.choice(devices()).name)]
    if command == "compare":
        for option in ("max-latency", "max-memory", "max-usd-per-1k", "utilization"):
            argv += [f"--{option}", draw.choice(ODD_TEXT)] if draw.random() < 0.3 else []
    if command == "presets":
        argv += ["--family", draw.choice(["moe", "state-space", "encoder", *ODD_TEXT])]
    argv += ["--json"] if draw.random() < 0.5 else []
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command_line(argv)
        if code == 2 and not out.getvalue() and err.getvalue().startswith("napkinmath: "):
            return one_line(err.getvalue().removesuffix("\n"))
        if code != 0 or err.getvalue():
            raise Wrong(f"exit code {code}: {err.getvalue()[:300]}")
        if "--json" in argv:
            for number in numbers(json.loads(out.getvalue(), parse_constant=refuse)):
                require({"a figure": number}, True)
        return "answered"
    except Exception as error:
        raise AssertionError(" ".join(repr(part[:60]) for part in argv)) from error


def misspelt(draw: random.Random, name: str) -> str:
    """``name``, at times with a slip."""
    at = draw.randrange(len(name))
    return (
        draw.choice([name[:at] + name[at + 1 :], name[:at] + "é" + name[at:], name.upper(), "", name * 3]) if draw.random() < 0.1 else name
    )


def numbers(found: Any) -> Iterator[float]:
    """All numbers in what JSON holds."""
    if isinstance(found, dict | list):
        for part in found.values() if isinstance(found, dict) else found:
            yield from numbers(part)
    elif isinstance(found, int | float):
        yield found


def refuse(constant: str) -> None:
    """JSON has no NaN and no infinity."""
    raise Wrong(f"{constant} in JSON")


# What must hold -------------------------------------------------------------------------------------------------------


def require(figures: Any, adds_up: bool) -> None:
    """Refuse figures that are negative, infinite or not a number, and sums that do not add up."""
    for name, value in figures.items():
        if not (isinstance(value, int) or math.isfinite(value)) or value < 0:
            raise Wrong(f"{name} = {value}")
    if not adds_up:
        raise Wrong("the parts do not add up to the total")


def one_line(message: str) -> str:
    """What a refusal counts as; a message is one line that can be read at a glance."""
    if not message or "\n" in message or len(message) > 700:
        raise Wrong(f"a message of {len(message)} characters: {message[:200]!r}")
    return "refused in one line"


if __name__ == "__main__":
    sys.exit(main())
