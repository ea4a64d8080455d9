"""Measuring: the figures hang together, the conditions are recorded, and what cannot be measured is said in one line."""

import json
import time

import pytest

torch = pytest.importorskip("torch")

from napkinmath.errors import InputError  # noqa: E402
from napkinmath.measurement import P99_RUNS, Measurement, _median_interval, _quantile, measure, middle_mean  # noqa: E402


class Sleeper(torch.nn.Module):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def forward(self):
        time.sleep(self.seconds)


def test_figures_hang_together():
    result = measure(torch.nn.Linear(8, 8), torch.randn(2, 8), min_runs=20, max_runs=50, max_s=5)
    assert 0 < result.min_s <= result.low_s <= result.p50_s <= result.high_s
    assert result.p50_s <= result.p90_s
    assert 20 <= result.n <= 50
    assert result.threads == torch.get_num_threads()
    assert result.allocator and result.device == "cpu" and result.name == "Linear"
    data = json.loads(json.dumps(result.to_dict()))
    assert data["verdict"] == result.verdict and data["noise"] == result.noise


def test_p99_only_where_the_runs_bound_it():
    few = measure(torch.nn.Identity(), torch.ones(1), min_runs=P99_RUNS - 1, max_runs=P99_RUNS - 1)
    enough = measure(torch.nn.Identity(), torch.ones(1), min_runs=P99_RUNS, max_runs=P99_RUNS)
    assert few.p99_s is None and "needs 299 runs" in str(few)
    assert enough.p99_s is not None and enough.p90_s <= enough.p99_s
    assert 1 - 0.99**P99_RUNS >= 0.95 > 1 - 0.99 ** (P99_RUNS - 1)


def test_twice_the_sleep_takes_twice_the_time():
    one, two = (measure(Sleeper(s), min_runs=8, max_runs=8).min_s for s in (0.02, 0.04))
    assert 1.6 < two / one < 2.4


def test_eval_without_gradients_and_mode_restored():
    seen = []

    class Probe(torch.nn.Module):
        def forward(self):
            seen.append((self.training, torch.is_inference_mode_enabled()))

    probe = Probe().train()
    measure(probe, min_runs=1, max_runs=1)
    assert set(seen) == {(False, True)}
    assert probe.training and not torch.is_inference_mode_enabled()


def test_every_module_is_put_back_into_its_own_mode():
    wrapped = torch.nn.Sequential(torch.nn.Dropout().eval(), torch.nn.Linear(8, 8)).train()
    wrapped[0].eval()
    measure(wrapped, torch.randn(2, 8), min_runs=1, max_runs=1)
    assert (wrapped.training, wrapped[0].training, wrapped[1].training) == (True, False, True)


def measurement(low, p50, high, n=20):
    return Measurement("m", "cpu", 1, "none", p50, p50, None, p50, low, n, low, high)


def test_verdict():
    assert measurement(0.99, 1.0, 1.01).verdict == "quiet"
    assert measurement(0.7, 1.0, 1.4).verdict == "noisy: cannot conclude"
    assert measurement(1.0, 1.0, 1.0, n=3).verdict == "noisy: cannot conclude"
    assert measurement(0.9, 1.0, 1.2).noise == pytest.approx(0.15)


def test_order_statistics():
    values = [float(i) for i in range(1, 101)]
    assert _quantile(values, 0.90) == 90.0
    assert _quantile([3.0], 0.99) == 3.0
    low, high = _median_interval(values)
    assert (low, high) == (41.0, 61.0)  # ranks 41 and 61 of 100: the binomial's 95%
    assert _median_interval([1.0, 2.0, 3.0]) == (1.0, 3.0)


def test_bad_input_is_one_line():
    with pytest.raises(
        InputError, match=r"Linear raised RuntimeError while being measured: mat1 and mat2 shapes cannot be multiplied"
    ) as caught:
        measure(torch.nn.Linear(8, 8), torch.randn(2, 9))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="TypeError"):
        measure(torch.nn.Linear(8, 8), nonsense=1)
    with pytest.raises(InputError, match="takes a torch.nn.Module; this is function"):
        measure(lambda: None)
    with pytest.raises(InputError, match="meta device"):
        measure(torch.nn.Linear(8, 8, device="meta"), torch.randn(2, 8, device="meta"))
    with pytest.raises(InputError, match="1 <= min_runs <= max_runs"):
        measure(torch.nn.Linear(8, 8), torch.randn(2, 8), min_runs=5, max_runs=2)


def test_mode_is_restored_after_an_error():
    module = torch.nn.Linear(8, 8).train()
    with pytest.raises(InputError):
        measure(module, torch.randn(2, 9))
    assert module.training


def test_the_middle_mean_leaves_out_the_fastest_and_the_slowest_fifth():
    assert middle_mean([3.0, 1.0, 2.0, 4.0, 100.0, 6.0]) == 3.75
    assert middle_mean([1.0, 3.0, 5.0]) == 3.0  # too few to leave any out
    assert middle_mean([7.0]) == 7.0
