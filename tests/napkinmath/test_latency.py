"""Predictions: positive, monotone, inside their interval, true to the machine they are made for, and honest about what is a guess."""

import json

import pytest

from napkinmath.errors import InputError
from napkinmath.hardware import device
from napkinmath.latency import EFFICIENCY, RESOURCES, predict
from napkinmath.ledger import Ledger, Op
from napkinmath.specs import preset
from napkinmath.units import fmt

BERT = preset("bert-base")


def matmul(tokens, d_in=768, d_out=768, count=1, name="layers/fc/addmm", dtype="fp32"):
    values = tokens * d_in + d_in * d_out, tokens * d_out
    return Op(
        name, "matmul", flops=count * 2 * tokens * d_in * d_out, bytes_read=count * 4 * values[0], bytes_written=count * 4 * values[1],
        shape=((1, tokens, d_in), (1, d_in, d_out)), op="aten.addmm.default", layout=(("weight_bytes", 4 * d_in * d_out),), count=count,
        dtype=dtype,
    )  # fmt: skip


def traced(*ops, weight_bytes=10**9):
    return Ledger("toy", "trace:cpu", ops, weight_bytes=weight_bytes)


def machine_seconds(op):
    return op.flops / 100e9 + op.bytes_moved / 20e9 + 3e-6 * op.count


def test_a_fitted_prediction_recovers_the_machine(synthetic_profile):
    ops = [matmul(t, k, n) for t in (1, 16, 128, 1024) for k, n in ((768, 3072), (3072, 768))]
    for op in ops:
        row = predict(traced(op), synthetic_profile).rows[0]
        assert row.seconds == pytest.approx(machine_seconds(op), rel=0.15)
    assert "fitted" in predict(traced(*ops), synthetic_profile).method


def test_interval_contains_the_median_and_rows_add_up(synthetic_profile):
    prediction = predict(traced(matmul(128), matmul(128, 768, 3072)), synthetic_profile)
    assert 0 < prediction.low_s < prediction.p50_s < prediction.high_s
    assert sum(row.seconds for row in prediction.rows) == pytest.approx(prediction.p50_s)
    assert sum(prediction.shares.values()) == pytest.approx(1)
    assert sum(prediction.by_module(1).values()) == pytest.approx(prediction.p50_s)
    assert sum(prediction.by("binds").values()) == pytest.approx(prediction.p50_s)
    assert prediction.binding[0] in RESOURCES


def test_what_binds(synthetic_profile):
    assert predict(traced(matmul(1024, 1024, 1024)), synthetic_profile).binding[0] == "compute"
    assert predict(traced(matmul(1, 4096, 4096)), synthetic_profile).binding[0] == "bandwidth"
    tiny = Op("a/add", "elementwise", bytes_read=512, bytes_written=256, shape=((1, 64), (1, 64)), op="aten.add.Tensor")
    assert predict(traced(tiny), synthetic_profile).binding[0] == "overhead"


def test_count_multiplies(synthetic_profile):
    one, ten = (predict(traced(matmul(64, count=n)), synthetic_profile).rows[0].seconds for n in (1, 10))
    assert ten == pytest.approx(10 * one)


def test_more_work_takes_longer(synthetic_profile):
    times = [predict(traced(matmul(tokens)), synthetic_profile).p50_s for tokens in (1, 8, 64, 512, 4096)]
    assert times == sorted(times)


def test_shapes_outside_the_calibration_and_unknown_classes_are_said(synthetic_profile):
    inside = predict(traced(matmul(128)), synthetic_profile)
    outside = predict(traced(matmul(128), matmul(500_000)), synthetic_profile)
    assert inside.extrapolated_share == 0
    assert outside.extrapolated_share > 0.9
    volume = Op("c/conv", "conv", flops=10**9, bytes_read=10**6, shape=((1, 3, 4, 8, 8), (4, 3, 3, 3, 3)), op="aten.convolution.default")
    unknown = predict(traced(volume), synthetic_profile)
    assert unknown.extrapolated_share > 0.9
    assert unknown.high_s / unknown.low_s > 2 > inside.high_s / inside.low_s


def test_weights_that_fit_the_cache_are_priced_by_their_own_law(synthetic_profile):
    assert predict(traced(matmul(16), weight_bytes=1), synthetic_profile).p50_s > 0
    cold_only = {key: rows for key, rows in synthetic_profile.samples.items() if key != "gemm.hot/fp32"}
    import dataclasses

    without = dataclasses.replace(synthetic_profile, samples=cold_only)
    assert predict(traced(matmul(16), weight_bytes=1), without).extrapolated_share > 0.5
    assert predict(traced(matmul(16)), without).extrapolated_share == 0


def test_weights_that_the_cache_holds_in_part_are_read_warm_in_that_part(synthetic_profile):
    import dataclasses

    slower = {
        key: [[*row[:-1], row[-1] * (4 if key == "gemm/fp32" else 1)] for row in rows] for key, rows in synthetic_profile.samples.items()
    }
    profile = dataclasses.replace(synthetic_profile, samples=slower)
    half = round(0.4 * profile.cache_bytes)
    warm, between, cold = (predict(traced(matmul(16), weight_bytes=size), profile) for size in (1, half, 10**9))
    assert [len(prediction.rows) for prediction in (warm, between, cold)] == [2, 2, 2], "a row stays one row"
    assert between.rows[0].seconds == pytest.approx((warm.rows[0].seconds + cold.rows[0].seconds) / 2, rel=1e-4)
    only_cold = dataclasses.replace(profile, samples={key: rows for key, rows in slower.items() if key != "gemm.hot/fp32"})
    assert predict(traced(matmul(16), weight_bytes=half), only_cold).extrapolated_share > 0.5, "a part without a law is a row without one"


def test_a_small_operation_is_quick_where_its_code_is_warm(synthetic_profile):
    """On a machine that dispatches in 1 microsecond, and in up to 9 more after other traffic."""
    import dataclasses
    import itertools

    from napkinmath.grids import GRIDS

    works = itertools.islice(next(grid for grid in GRIDS if grid.law == "add").works("fp32"), 80)
    rows = [[list(w.dims), 0.0, w.bytes, w.age, 1e-6 + 9e-6 * w.age / (w.age + 4e6) + w.bytes / 50e9] for w in works]
    profile = dataclasses.replace(synthetic_profile, samples=synthetic_profile.samples | {"add/fp32": rows})

    def add(*more):
        return Op("add", "elementwise", bytes_read=512, bytes_written=256, shape=((1, 64), (1, 64)), op="aten.add.Tensor",
                  layout=(("age", 10**8), *more))  # fmt: skip

    between = matmul(1, 4096, 4096, name="other")
    once = predict(traced(between, add()), profile).rows[1].seconds
    again, later = (row.seconds for row in predict(traced(between, add(), add(), between, add()), profile).rows[2:5:2])
    inside = predict(traced(between, add(("inner", True))), profile).rows[1].seconds
    assert again < once / 2 and inside < once / 2
    assert later == pytest.approx(once, rel=0.05)


def test_a_table_that_is_looked_up_does_not_make_the_other_weights_cold(synthetic_profile):
    table = Op("table/embedding", "gather", bytes_read=512, bytes_written=256, params=10**8, shape=((10**6, 64), (1,)),
               op="aten.embedding.default", layout=(("weight_bytes", 4 * 10**8),))  # fmt: skip
    beside_a_table, beside_weights = (
        predict(traced(matmul(16, 64, 64), table, weight_bytes=4 * 10**8 + extra), synthetic_profile).rows[0].seconds
        for extra in (16384, 10**9)
    )
    alone, cold = (predict(traced(matmul(16, 64, 64), weight_bytes=size), synthetic_profile).rows[0].seconds for size in (1, 10**9))
    assert beside_a_table == alone
    assert beside_weights == cold


@pytest.mark.parametrize("name", ["t4", "a100-80gb", "cpu-2core-vm", "tpu-v5e", "m2"])
def test_roofline_brackets_its_stated_efficiencies(name):
    target = device(name)
    dtype = next(iter(target.peaks))
    ledger = BERT.ledger(batch=8, seq=128, dtype="bf16" if dtype == "bf16" else dtype)
    prediction = predict(ledger, name)
    assert prediction.low_s < prediction.p50_s < prediction.high_s
    assert prediction.low_s >= ledger.flops / target.peak_flops(dtype) / EFFICIENCY["compute"][2]
    assert prediction.extrapolated_share == 1
    assert prediction.high_s / prediction.low_s > 1.5
    assert "roofline" in prediction.method and "assuming" in prediction.method


def test_a_whiteboard_ledger_gets_a_roofline_even_here(synthetic_profile):
    prediction = predict(BERT.ledger(batch=1, seq=128), synthetic_profile)
    assert prediction.method.startswith("roofline on measured peaks")


def test_roofline_grows_with_batch_and_falls_with_a_faster_device():
    times = [predict(BERT.ledger(batch=b, seq=128, dtype="bf16"), "a100-80gb").p50_s for b in (1, 2, 4, 8, 16)]
    assert times == sorted(times)
    assert predict(BERT.ledger(batch=16, seq=128, dtype="bf16"), "h100-sxm").p50_s < times[-1]


def test_errors_in_one_line(synthetic_profile, napkinmath_home):
    with pytest.raises(InputError, match="device 'h10' is not in the table"):
        predict(BERT.ledger(batch=1, seq=8), "h10")
    with pytest.raises(InputError, match="has no row that computes"):
        predict(Ledger("empty", "trace:cpu", ()), synthetic_profile)
    with pytest.raises(InputError, match="no published peak"):
        predict(BERT.ledger(batch=1, seq=8, dtype="bf16"), "t4")
    with pytest.raises(InputError, match="no profile yet"):
        predict(traced(matmul(8)))
    with pytest.raises(InputError, match="key='colour'"):
        predict(traced(matmul(8)), synthetic_profile).by("colour")


def test_printed_and_stored(synthetic_profile):
    prediction = predict(traced(matmul(128)), synthetic_profile)
    data = json.loads(json.dumps(prediction.to_dict()))
    assert data["p50_s"] == prediction.p50_s and len(data["rows"]) == len(prediction.rows)
    frame = prediction.frame()
    assert frame["seconds"].sum() == pytest.approx(prediction.p50_s)
    assert "90%:" in str(prediction) and "extrapolated" in str(prediction)
    tokens = prediction.text(256, "tokens")
    assert f"{fmt(256 / prediction.p50_s)} tokens/s ({fmt(256 / prediction.high_s)} to " in tokens
    assert f"{fmt(prediction.bytes_moved, 'B')} moved" in tokens and f"{fmt(prediction.flops, 'FLOP')} at" in tokens


def test_a_traced_module_is_priced_without_gaps(synthetic_profile):
    torch = pytest.importorskip("torch")
    from napkinmath.tracing import trace

    module = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, activation="gelu").train()
    ledger = trace(module, torch.randn(2, 16, 64))
    prediction = predict(ledger, synthetic_profile)
    covered = {row.op for row in prediction.rows if not row.extrapolated}
    assert {"aten.addmm.default", "aten.gelu.default"} <= covered
    assert len(prediction.rows) == sum(bool(op.bytes_moved) for op in ledger) + 1


def test_quick_enough_for_a_slider(synthetic_profile):
    """No time is asserted: pricing a model fits no law a second time, which is what would make it slow."""
    ledger = traced(*(matmul(128, name=f"layers/{i}/addmm") for i in range(200)))
    predict(ledger, synthetic_profile)
    before = dict(synthetic_profile._laws)
    predict(ledger, synthetic_profile)
    assert all(synthetic_profile._laws[key] is law for key, law in before.items())
