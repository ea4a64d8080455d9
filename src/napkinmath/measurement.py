"""How long a module really takes here, with how far the figure can be trusted."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import environment
from .errors import InputError

if TYPE_CHECKING:
    import torch

#: Runs that a distribution-free 95% upper bound on the 99th percentile needs: 0.99**299 < 0.05.
P99_RUNS = 299

_TIGHT = 0.02  # stop early once the median's 95% interval is this narrow, relative to the median
_NOISY = 0.10  # above this, a difference of 10% between two measurements means nothing
_WARM_UP_RUNS = 3


@dataclass(frozen=True)
class Measurement:
    """A measured latency.

    Attributes:
        name: class of the module.
        device, threads, allocator: the conditions; a calibration is taken under the same.
        p50_s, p90_s, mean_s, min_s: seconds of one run.
        p99_s: ``None`` with fewer than 299 runs: a smaller sample cannot bound it.
        n: runs after warm-up.
        low_s, high_s: 95% interval of the median, from order statistics, whatever the distribution.
        peak_bytes: most memory the device's allocator had given out (CUDA only).
    """

    name: str
    device: str
    threads: int
    allocator: str
    p50_s: float
    p90_s: float
    p99_s: float | None
    mean_s: float
    min_s: float
    n: int
    low_s: float
    high_s: float
    peak_bytes: int | None = None

    @property
    def noise(self) -> float:
        """Half-width of the median's interval, relative to the median."""
        return (self.high_s - self.low_s) / 2 / self.p50_s

    @property
    def verdict(self) -> str:
        """``quiet``, or that the runs scatter too much to conclude from them."""
        return "quiet" if self.noise <= _NOISY and self.n >= 6 else "noisy: cannot conclude"

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that :func:`json.dumps` takes, with noise and verdict."""
        import dataclasses

        return dataclasses.asdict(self) | {"noise": self.noise, "verdict": self.verdict}

    def __str__(self) -> str:
        from .units import fmt

        p99 = f"p99 {fmt(self.p99_s, 's')}" if self.p99_s is not None else f"no p99: it needs {P99_RUNS} runs"
        return (
            f"{self.name} on {self.device}, {self.threads} threads: p50 {fmt(self.p50_s, 's')} ± {self.noise:.1%}, "
            f"p90 {fmt(self.p90_s, 's')}, {p99}; {self.n} runs, {self.verdict}"
        )


def measure(
    module: torch.nn.Module, *inputs: Any, min_runs: int = 10, max_runs: int = 1000, max_s: float = 10.0, **kwargs: Any
) -> Measurement:
    """Time ``module(*inputs, **kwargs)`` forward, in eval mode, without gradients.

    Runs until warm, then until the median is known to 2% or the time is spent, whichever is first, but ``min_runs`` at least
    (299 of them for a p99). The train/eval mode of every module in it is put back afterwards.

    Args:
        module: on any device, with its inputs there.
        inputs, kwargs: what ``forward`` takes.
        min_runs, max_runs: bounds on the runs after warm-up.
        max_s: seconds to spend, warm-up included; ``min_runs`` come first.

    Raises:
        InputError: not a module, bounds that make no sense, or ``forward`` raised; the message carries its first line.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise InputError(f"measure takes a torch.nn.Module; this is {type(module).__name__}")
    if not 1 <= min_runs <= max_runs or max_s <= 0:
        raise InputError(f"min_runs={min_runs}, max_runs={max_runs}, max_s={max_s}: use 1 <= min_runs <= max_runs and a positive time")
    allocator = environment.steady_allocator()
    tensors = [*module.parameters(), *(t for t in (*inputs, *kwargs.values()) if isinstance(t, torch.Tensor))]
    device = tensors[0].device.type if tensors else "cpu"
    if device == "meta":
        raise InputError("the module is on the meta device, which holds no values and cannot run; build it on 'cpu' or 'cuda'")
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        with torch.inference_mode():
            times, peak = _runs(module, inputs, kwargs, device, min_runs, max_runs, max_s)
    except Exception as error:
        if isinstance(error, InputError):
            raise
        first_line = (str(error).strip() or "no message").splitlines()[0]
        raise InputError(f"{type(module).__name__} raised {type(error).__name__} while being measured: {first_line}") from error
    finally:
        for child, mode in modes.items():  # each its own: what wraps a model may be in another mode than the model
            child.training = mode
    times.sort()
    low, high = _median_interval(times)
    return Measurement(
        name=type(module).__name__,
        device=device,
        threads=torch.get_num_threads(),
        allocator=allocator,
        p50_s=statistics.median(times),
        p90_s=_quantile(times, 0.90),
        p99_s=_quantile(times, 0.99) if len(times) >= P99_RUNS else None,
        mean_s=statistics.fmean(times),
        min_s=times[0],
        n=len(times),
        low_s=low,
        high_s=high,
        peak_bytes=peak,
    )


def _runs(module: Any, inputs: Any, kwargs: Any, device: str, min_runs: int, max_runs: int, max_s: float) -> tuple[list[float], int | None]:
    import torch

    begin = time.perf_counter()

    def once() -> float:
        if device == "cuda":
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            module(*inputs, **kwargs)
            end.record()
            end.synchronize()
            return start.elapsed_time(end) / 1e3
        started = time.perf_counter()
        module(*inputs, **kwargs)
        environment.synchronize(device)
        return time.perf_counter() - started

    # Warm once a run is no longer clearly faster than the one before: caches filled, kernels chosen, clocks up.
    previous, warm = once(), 0
    while warm < _WARM_UP_RUNS and time.perf_counter() - begin < max_s / 4:
        now = once()
        warm = warm + 1 if now > 0.95 * previous else 0
        previous = now
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times: list[float] = []
    while len(times) < max_runs:
        times.append(once())
        if len(times) >= min_runs:
            low, high = _median_interval(sorted(times))
            if time.perf_counter() - begin > max_s or (high - low) / 2 <= _TIGHT * statistics.median(times):
                break
    return times, torch.cuda.max_memory_allocated() if device == "cuda" else None


def _median_interval(ordered: list[float]) -> tuple[float, float]:
    """95% interval of the median from order statistics (normal approximation of the binomial); all of the range for a few values."""
    n = len(ordered)
    half = 1.96 * math.sqrt(n) / 2
    low, high = math.floor(n / 2 - half), math.ceil(n / 2 + half)
    return ordered[max(low, 0)], ordered[min(high, n - 1)]


def middle_mean(times: list[float]) -> float:
    """Mean of the middle three fifths: the statistic of a calibration's samples and of repeated measurements.

    A model's time is a sum over its operations, and of a sum the mean is the sum of the means; quantiles do not add up. The outer
    fifths are left out because a single run may be disturbed by any amount.
    """
    outer = len(times) // 5
    return statistics.fmean(sorted(times)[outer : len(times) - outer])


def _quantile(ordered: list[float], q: float) -> float:
    """The smallest value with at least a share ``q`` of the values at or below it."""
    return ordered[max(math.ceil(q * len(ordered)) - 1, 0)]
