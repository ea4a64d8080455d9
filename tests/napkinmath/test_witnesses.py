"""fvcore and torch's counter: each known disagreement pinned, and nothing left unexplained."""

import pytest
import torch
from torch import nn

from napkinmath.specs import preset
from napkinmath.witnesses import fvcore_reading, readings, torch_reading, witness_table


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("name", "sizes"), [("bert-base", (8, 128)), ("distilbert", (2, 32)), ("gpt2", (2, 32)), ("gpt2", (2, 1, 48)), ("llama-3-8b", (1, 64))]
)
def test_every_counter_agrees_after_its_named_corrections(name, sizes, attention):
    found = readings(name, *sizes, attention=attention)
    assert {r.counter: r.flops for r in found} == dict.fromkeys((r.counter for r in found), preset(name).flops(*sizes))
    assert found[0].params == found[1].params == preset(name).published_params


def test_torch_drops_fused_attention_on_cpu_and_only_that():
    whiteboard, _, _, counter = readings("bert-base", 8, 128)
    assert counter.raw / whiteboard.flops - 1 == pytest.approx(-0.027, abs=5e-4)
    assert [c.flops for c in counter.corrections] == [12 * 4 * 8 * 12 * 128 * 128 * 64]
    assert readings("bert-base", 8, 128, attention="eager")[3].corrections == ()


def test_fvcore_prints_macs_counts_norms_and_drops_fused_attention():
    fvcore = readings("bert-base", 8, 128)[2]
    by_reason = {c.reason.split(";")[0].split(" as ")[0]: c.flops for c in fvcore.corrections}
    assert fvcore.unit == "MAC"
    assert by_reason["counts layer_norm"] == -5 * 25 * 8 * 128 * 768  # 25 norms, fvcore's 5 a value
    assert by_reason["has no formula for scaled_dot_product_attention and counts it"] == 12 * 4 * 8 * 12 * 128 * 128 * 64


def test_a_module_of_the_readers_own():
    module, x = nn.Sequential(nn.Linear(8, 4), nn.LayerNorm(4), nn.Linear(4, 2)), torch.zeros(3, 8)
    flops = 2 * 3 * (32 + 8)
    assert fvcore_reading(module, x).flops == torch_reading(module, x).flops == flops
    assert fvcore_reading(module, x).raw == flops // 2 + 5 * 12


def test_the_table_says_why():
    table = witness_table("gpt2", 1, 16)
    assert list(table["unexplained"]) == [0, 0, 0, 0]
    assert table.set_index("counter").loc["torch.utils.flop_counter", "why"]
