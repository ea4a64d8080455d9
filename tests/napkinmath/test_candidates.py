"""Candidates side by side: constraints hold what they say, and every figure is that of the functions beneath."""

import itertools

import pytest

import napkinmath as nm
from napkinmath.candidates import Constraints, compare, memory_bytes
from napkinmath.errors import InputError


def test_rows_are_every_combination_and_add_nothing_of_their_own():
    table = compare(["bert-base", "distilbert"], ["t4", "a100-80gb"], [1, 8], dtype="fp16", seq=128)
    assert set(map(tuple, table[["preset", "device", "batch"]].to_numpy())) == set(
        itertools.product(["bert-base", "distilbert"], ["t4", "a100-80gb"], [1, 8])
    )
    row = table.set_index(["preset", "device", "batch"]).loc[("bert-base", "t4", 8)]
    ledger = nm.bert_base.ledger(8, 128, dtype="fp16")
    prediction = nm.predict(ledger, "t4")
    assert (row["flops"], row["params"], row["p50_s"]) == (ledger.flops, ledger.params, prediction.p50_s)
    assert row["per_s"] == pytest.approx(8 / prediction.p50_s)
    assert row["usd_per_1k"] == pytest.approx(1000 * nm.t4.price_usd_per_hour / 3600 / row["per_s"])


def test_what_fits_comes_first_and_cheapest_first():
    table = compare(
        ["bert-base", "bert-large", "distilbert"], ["t4", "h100-sxm"], 8, dtype="fp16", seq=512, constraints=Constraints(latency_s=0.05)
    )
    fits = list(table["fits"])
    assert fits == sorted(fits, reverse=True)
    assert 0 < sum(fits) < len(fits)
    assert all((row.high_s <= 0.05) == row.fits for row in table.itertuples())
    kept = table[table["fits"]]["usd_per_1k"]
    assert list(kept) == sorted(kept)


def test_a_model_that_does_not_fit_one_device_says_memory():
    table = compare(["llama-3-8b", "llama-3-70b"], "a100-80gb", mode="decode", context=8192).set_index("preset")
    assert list(table.loc[["llama-3-8b", "llama-3-70b"], "fails"]) == ["", "memory"]
    weights_and_cache = nm.llama_3_8b.weight_bytes() + nm.llama_3_8b.kv_cache_bytes(1, 8192)
    assert table.loc["llama-3-8b", "memory_bytes"] == pytest.approx(weights_and_cache, rel=0.02)


def test_utilization_divides_throughput_and_multiplies_the_price():
    full, half = (compare("bert-base", "t4", dtype="fp16", utilization=u).iloc[0] for u in (1.0, 0.5))
    assert (half["per_s"], half["usd_per_1k"]) == pytest.approx((full["per_s"] / 2, full["usd_per_1k"] * 2))
    assert half["p50_s"] == full["p50_s"]


def test_a_device_without_a_price_keeps_no_price_limit():
    unpriced = next(d for d in nm.devices() if d.price is None and "bf16" in d.peaks)
    row = compare("bert-base", unpriced, constraints=Constraints(usd_per_1k=100.0)).iloc[0]
    assert row["fails"] == "price"


def test_here_is_predicted_from_the_profile(synthetic_profile):
    row = compare("distilbert", synthetic_profile, dtype="fp32", seq=16).iloc[0]
    built = nm.reference("distilbert", 1, 16, device="cpu", fake=True, attention="sdpa")
    assert row["p50_s"] == nm.predict(nm.trace(built.module, **built.inputs), synthetic_profile).p50_s
    assert row["fits"]


def test_specs_and_devices_are_looked_up_once(monkeypatch):
    from napkinmath import candidates

    asked = []
    monkeypatch.setattr(candidates, "_hardware", lambda target: asked.append(target) or nm.device(target))
    monkeypatch.setattr(candidates, "_spec", lambda candidate: asked.append(candidate) or nm.preset(candidate))
    assert len(compare(["gpt2", "distilbert"], ["t4", "a100-80gb"], [1, 2, 4], dtype="fp16", seq=16)) == 12
    assert sorted(asked) == ["a100-80gb", "distilbert", "gpt2", "t4"]


def test_memory_is_weights_cache_and_the_largest_operation():
    ledger = nm.bert_base.ledger(1, 128, dtype="fp16")
    largest = max((op.bytes_moved - 2 * op.params) / op.count for op in ledger)
    assert memory_bytes(nm.bert_base, ledger, {"batch": 1, "seq": 128, "context": 128}, "fp16") == 2 * ledger.params + largest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], "t4"), "nothing to compare"),
        (("bert-bse", "t4"), "bert-bse.*Did you mean 'bert-base'"),
        (("bert-base", "t5"), "device 't5' is not in the table"),
        (("bert-base", "t4", 0), "batch=0 is out of range"),
    ],
)
def test_bad_candidates_are_one_line(arguments, message):
    with pytest.raises(InputError, match=message):
        compare(*arguments, dtype="fp16")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"mode": "decode"}, "bert-base generates no tokens"),
        ({"mode": "decoding"}, "mode='decoding'"),
        ({"utilization": 0}, "utilization=0"),
        ({"image": 224}, "image=224: bert-base takes batch, seq, context"),
    ],
)
def test_bad_conditions_are_one_line(keywords, message):
    with pytest.raises(InputError, match=message):
        compare("bert-base", "t4", dtype="fp16", **keywords)


def test_a_constraint_is_above_nothing():
    with pytest.raises(InputError, match="latency_s=-1"):
        Constraints(latency_s=-1)
