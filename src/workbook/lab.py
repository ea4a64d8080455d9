"""What labs share: one line of set-up, charts, a guess before a measurement, records, and the checks of exercises.

    from workbook.lab import commit_guess, exercise, record, setup, show

What :func:`setup` and :func:`record` print depends on the machine: their cells carry the tag ``nbval-ignore-output``.
"""

from __future__ import annotations

import hashlib
import html
import json
import math
import random
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napkinmath import environment
from napkinmath.errors import InputError
from napkinmath.profile import Profile, load_profile
from napkinmath.units import fmt

from . import records
from .records import load_records

if TYPE_CHECKING:
    import altair as alt

    from napkinmath.latency import Prediction
    from napkinmath.measurement import Measurement

__all__ = ["Setup", "commit_guess", "exercise", "load_records", "record", "setup", "show"]

VEGALITE = "application/vnd.vegalite.v6+json"
#: vl-convert ships this font, so that labels measure the same on every machine.
_SVG_FONT = "Liberation Sans"
_SVG_WIDTH = 640

warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm's; it names a path of the machine, which outputs would keep


@dataclass(frozen=True)
class Setup:
    """Where a lab runs: the torch device and dtype, CPU threads, and this machine's profile, if it has a valid one."""

    device: str
    dtype: str
    threads: int
    profile: Profile | None


def setup(seed: int = 0) -> Setup:
    """Seed Python, NumPy and torch, print one line about the machine, and return what it says."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - scikit-learn and torch's helpers read the global state
    torch.manual_seed(seed)
    environment.steady_allocator()  # before anything large is allocated, so that every timing has the same conditions
    device = environment.default_device()
    try:
        profile, about = load_profile(device), ""
    except InputError as error:
        profile, about = None, f"no profile: {error}"
    here = Setup(device, "fp32", torch.get_num_threads(), profile)
    if profile:
        speeds = fmt(profile.peak_flops(here.dtype), "FLOP/s"), fmt(profile.bandwidth_bytes_per_s, "B/s")
        about = f"profile of {profile.created[:10]}: {', '.join(speeds)}"
    print(f"{device}, {here.dtype}, {here.threads} threads; {about}")
    return here


# Charts ---------------------------------------------------------------------------------------------------------------


def show(chart: alt.TopLevelMixin, alt_text: str) -> None:
    """Display an Altair chart that is the same on every run and asks nothing of the network.

    The output holds the Vega-Lite spec, which the site draws as an interactive chart, and an SVG, which JupyterLab shows.

    Args:
        chart: any Altair chart.
        alt_text: what the chart shows, in a sentence or two, for readers who cannot see it.
    """
    from IPython.display import display

    from napkinmath import charts

    spec = charts.spec(chart) | {"description": alt_text}
    display({VEGALITE: spec, "image/svg+xml": svg(spec), "text/plain": alt_text}, raw=True)


def svg(spec: dict[str, Any]) -> str:
    """Draw a Vega-Lite spec as SVG text: its ids come from the spec, its description is its accessible name."""
    import vl_convert

    version = re.search(r"/v(\d+\.\d+)", spec["$schema"])
    fixed = spec | ({"width": _SVG_WIDTH} if spec.get("width") == "container" else {})
    fixed["config"] = spec.get("config", {}) | {"font": _SVG_FONT}
    text: str = vl_convert.vegalite_to_svg(fixed, vl_version=version[1] if version else None)
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:8]
    # Vega numbers clip paths from a counter that runs on between charts.
    for position, name in enumerate(dict.fromkeys(re.findall(r'\bid="(clip\d+)"', text))):
        text = re.sub(rf"\b{name}\b", f"clip-{digest}-{position}", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(spec.get("description", ""))}" ', 1)


# Guess, predict, measure ----------------------------------------------------------------------------------------------


def commit_guess(name: str, guess: float | None, unit: str = "s") -> float | None:
    """Keep the reader's own number under ``name`` before anything is measured; :func:`record` compares it.

    Args:
        name: as given to :func:`record` later.
        guess: in ``unit``; ``None`` says that the reader passes.
        unit: a base unit, such as ``s``, ``B`` or ``FLOP``.
    """
    if guess is None:
        print(f"{name}: no guess")
        return None
    if not isinstance(guess, int | float) or not math.isfinite(guess) or guess <= 0:
        raise InputError(f"guess={guess!r}: a positive number of {unit or 'units'}, or None to pass, such as 0.05")
    records.save_guess(name, float(guess), unit)
    print(f"{name}: your guess is {fmt(guess, unit)}")
    return float(guess)


def record(name: str, prediction: Prediction | float, measurement: Measurement | float) -> dict[str, Any]:
    """Put guess, prediction and measurement side by side: print them, and keep the row for the site's *This machine* page.

    Args:
        name: what ran, such as ``bert-base batch=8 seq=128``; a later row of the same name takes its place.
        prediction: from :func:`napkinmath.predict`, or seconds.
        measurement: from :func:`napkinmath.measure`, or seconds.

    Returns:
        The row, as :func:`load_records` gives it.
    """
    guess = records.load_guess(name)
    row: dict[str, Any] = {
        "name": name,
        **({"guess_s": guess} if guess else {}),
        **_prediction_columns(prediction),
        **_measurement_columns(measurement),
        "machine": records.machine_name(),
        "date": records.today(),
    }
    records.save_record(row)
    predicted, measured = row["predicted_s"], row["measured_s"]
    interval = f" ({fmt(row['low_s'], 's')} to {fmt(row['high_s'], 's')}, {row['binds']} binds)" if "binds" in row else ""
    percentile = f" (p50; p90 {fmt(row['p90_s'], 's')})" if "p90_s" in row else ""
    print(f"{name}\n  predicted  {fmt(predicted, 's')}{interval}\n  measured   {fmt(measured, 's')}{percentile}")
    print(f"  measured / predicted = {measured / predicted:.2f}")
    if guess:
        print(f"  your guess {fmt(guess, 's')}: {_off_by(guess, measured)}")
    return row


def _prediction_columns(prediction: Prediction | float) -> dict[str, Any]:
    if isinstance(prediction, int | float):
        return {"predicted_s": float(prediction)}
    return {
        "predicted_s": prediction.p50_s,
        "low_s": prediction.low_s,
        "high_s": prediction.high_s,
        "binds": prediction.binding[0],
        "method": prediction.method,
    }


def _measurement_columns(measurement: Measurement | float) -> dict[str, Any]:
    if isinstance(measurement, int | float):
        return {"measured_s": float(measurement)}
    return {"measured_s": measurement.p50_s, "p90_s": measurement.p90_s, "verdict": measurement.verdict}


def _off_by(guess: float, truth: float) -> str:
    ratio = guess / truth
    factor = max(ratio, 1 / ratio)
    return "right within 10%" if factor <= 1.1 else f"{factor:.2g} times too {'high' if ratio > 1 else 'low'}"


# Exercises ------------------------------------------------------------------------------------------------------------


def exercise(name: str, answer: Any, check: Any, hint: str = "") -> None:
    """Check the reader's answer and print the verdict: ``not answered``, ``right``, or ``wrong`` with a hint. Never raises.

    Args:
        name: the exercise's name.
        answer: what the reader made; ``None`` until they do.
        check: the right answer (numbers within 0.5 %, tensors and arrays within rounding, anything else equal), or a function
            of the answer that returns True, or False, or a hint that fits this answer.
        hint: what to think about, for a wrong answer.
    """
    if answer is None:
        print(f"{name}: not answered")
        return
    try:
        verdict = check(answer) if callable(check) else _same(answer, check)
    except Exception as error:  # a reader's answer may be anything
        verdict = f"it raised {type(error).__name__}: {error}"
    if isinstance(verdict, str):
        right, hint = False, verdict
    else:
        right = bool(verdict)
    print(f"{name}: {'right' if right else f'wrong. {hint}'.strip()}")


def _same(answer: Any, expected: Any) -> bool:
    if isinstance(expected, bool | str) or isinstance(answer, bool | str):
        return type(answer) is type(expected) and bool(answer == expected)
    if isinstance(expected, int | float):
        return math.isclose(float(answer), expected, rel_tol=0.005)
    if hasattr(expected, "shape"):
        import torch

        answer, expected = torch.as_tensor(answer), torch.as_tensor(expected)
        return answer.shape == expected.shape and torch.allclose(answer.double(), expected.double(), rtol=1e-4, atol=1e-5)
    return bool(answer == expected)
