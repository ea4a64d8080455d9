"""fvcore and torch's counter: each known disagreement pinned, and nothing left unexplained."""

import pytest
import torch
from torch import nn

from napkinmath.specs import preset
from napkinmath.witnesses import fvcore_reading, readings, torch_reading, witness_table


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("bert-base", (8, 128)),
        ("distilbert", (2, 32)),
        ("gpt2", (2, 32)),
        ("gpt2", (2, 1, 48)),
        ("llama-3-8b", (1, 64)),
        ("opt-125m", (2, 16)),
        ("mixtral-8x7b", (1, 8)),
    ],
)
def test_every_counter_agrees_after_its_named_corrections(name, sizes, attention):
    found = readings(name, *sizes, attention=attention)
    assert {r.counter: r.flops for r in found} == dict.fromkeys((r.counter for r in found), preset(name).flops(*sizes))
    assert found[0].params == found[1].params == preset(name).params()


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


def test_latent_attention_has_no_fused_kernel_on_the_cpu_and_fvcore_drops_it_all_the_same():
    from napkinmath.specs.config import read_config

    config = {
        "model_type": "deepseek_v3", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
        "intermediate_size": 48, "vocab_size": 61, "max_position_embeddings": 64, "n_routed_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 8, "n_shared_experts": 1, "first_k_dense_replace": 1, "kv_lora_rank": 10, "q_lora_rank": 14,
        "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 7,
    }  # fmt: skip
    found = readings(read_config(config, name="small"), 2, 8)
    assert len({r.flops for r in found}) == 1
    assert [c.flops for c in found[2].corrections if "scaled_dot_product" in c.reason] == [2 * 2 * 2 * 4 * 8 * 8 * (10 + 7)]
    assert found[3].corrections == ()
    decoding = readings(read_config(config, name="small"), 2, 1, 24)
    assert len({r.flops for r in decoding}) == 1
    assert all(r.corrections[-1].reason.startswith("transformers rebuilds the keys and values") for r in decoding[1:])
    assert decoding[1].raw > decoding[0].raw


def test_a_module_that_must_really_run_and_does_not_fit_is_refused(monkeypatch):
    from napkinmath import witnesses
    from napkinmath.errors import InputError

    monkeypatch.setattr(witnesses, "free_memory_bytes", lambda: 1e6)
    with pytest.raises(InputError, match="resnet-18: fvcore counts convolutions only in a module that really runs, which takes 46.8 MB"):
        readings("resnet-18")
