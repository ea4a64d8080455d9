import pytest

import napkinmath as nm
from napkinmath.errors import InputError
from napkinmath.specs import TransformerSpec, preset, presets
from napkinmath.specs.blocks import Experts, LatentAttention

MLA = LatentAttention(kv_rank=4, d_nope=4, d_rope=2, d_value=3)
TINY = {"name": "tiny", "n_layers": 2, "d_model": 8, "n_heads": 4, "d_ff": 16, "vocab": 11, "max_positions": 32}


@pytest.mark.parametrize(
    ("block", "fields", "message"),
    [
        (Experts, {"n_experts": 2, "top_k": 3}, r"moe.top_k=3 is more than moe.n_experts=2; nearest: 2"),
        (Experts, {"n_experts": 0, "top_k": 1}, r"moe.n_experts=0 is out of range"),
        (Experts, {"n_experts": 2, "top_k": 1, "shared": -1}, r"moe.shared=-1 is out of range"),
        (LatentAttention, {"kv_rank": 4, "d_nope": 4, "d_rope": 3, "d_value": 4}, r"mla.d_rope=3: .*nearest: 4"),
        (LatentAttention, {"kv_rank": 4.5, "d_nope": 4, "d_rope": 2, "d_value": 4}, r"mla.kv_rank=4.5 is not a whole number"),
    ],
)
def test_bad_blocks_name_the_input_and_the_nearest_choice(block, fields, message):
    with pytest.raises(InputError, match=message):
        block(**fields)


def test_names_are_forgiving_and_aliases_work():
    assert preset("llama-3-405b") is preset("LLAMA-3.1-405B") or preset("llama-3-405b") == preset("llama-3.1-405b")
    assert nm.llama_3_405b == nm.preset("llama_3_1_405b")


def test_near_miss_is_offered():
    with pytest.raises(InputError, match="Did you mean 'bert-base'"):
        preset("bert-bsae")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_layers": 0}, r"n_layers=0 is out of range; allowed: 1 to .*nearest: 1"),
        ({"d_model": 8.4}, r"d_model=8.4 is not a whole number; .*nearest: 8"),
        ({"n_heads": 4, "n_kv_heads": 3}, r"n_kv_heads=3 does not divide n_heads=4; allowed: 1, 2, 4; nearest: 2"),
        ({"d_model": 10}, r"d_model=10 is not a multiple of n_heads=4; give d_head, or use the nearest d_model=8"),
        ({"d_head": 3, "positions": "rotary"}, r"d_head=3: rotary .* nearest: 4"),
        ({"reference": "bret"}, r"reference='bret'.*'bert'"),
        ({"vocab": True}, r"vocab=True is not a whole number"),
        ({"d_ff": float("nan")}, r"d_ff=nan is not a whole number"),
        ({"d_ff": 10**30}, r"d_ff=.* is out of range"),
        ({"window": -1}, r"window=-1 is out of range"),
        (
            {"window": 7, "global_tokens": 1},
            r"window=7, global_tokens=1: an encoder's window is even, .*nearest: window=8, global_tokens=1",
        ),
        ({"window": 8}, r"nearest: window=8, global_tokens=1"),
        ({"moe": Experts(n_experts=4, top_k=2)}, r"moe: experts are counted in decoders without biases"),
        ({"moe": Experts(n_experts=4, top_k=2, dense_layers=2), "causal": True}, r"moe.dense_layers below n_layers=2"),
        ({"mla": MLA, "n_kv_heads": 2}, r"mla: latent attention has heads of d_nope \+ d_rope = 6, none grouped.*n_kv_heads=2"),
        ({"mla": MLA, "d_head": 2}, r"mla: .*got d_head=2"),
    ],
)
def test_bad_dimensions_name_the_input_and_the_nearest_choice(change, message):
    with pytest.raises(InputError, match=message):
        TransformerSpec(**{**TINY, **change})


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("gpt2", {"batch": 1, "seq": 2000}, "seq=2000 exceeds the 1024 positions of gpt2; nearest: 1024"),
        ("longformer", {"batch": 1, "seq": 8192}, "seq=8192 exceeds the 4096 positions of longformer-base-4096; nearest: 4096"),
        ("gpt2", {"batch": 1, "seq": 8, "context": 4}, "context=4 is shorter than seq=8"),
        ("bert-base", {"batch": 1, "seq": 8, "context": 16}, "is an encoder"),
        ("gpt2", {"batch": -1, "seq": 8}, "batch=-1 is out of range"),
        ("gpt2", {"batch": 1, "seq": 8, "dtype": "fp23"}, "dtype='fp23' is not known. Did you mean"),
    ],
)
def test_bad_input_sizes(name, sizes, message):
    with pytest.raises(InputError, match=message):
        preset(name).ledger(**sizes)


def test_an_encoder_has_no_kv_cache():
    with pytest.raises(InputError, match="keeps no KV cache"):
        nm.bert_base.kv_cache_bytes(batch=1, context=8)


def test_kv_cache_uses_kv_heads_not_query_heads():
    # Llama 3 8B at 8,192 tokens in bf16 is a round GiB a sequence; with 32 query heads it would be four.
    assert nm.llama_3_8b.kv_cache_bytes(batch=1, context=8192) == 2**30


def test_a_decode_step_reads_only_the_weights_that_are_multiplied():
    # Llama 3 8B: 128,256 rows of 4,096 are looked up, and the untied head has as many that are multiplied.
    llama = nm.llama_3_8b
    assert llama.weight_bytes("bf16") - llama.decode_weight_bytes("bf16") == 2 * 128_256 * 4096
    # GPT-2's head is its token table, so only the 1,024 positions are left out.
    assert nm.gpt2.weight_bytes("fp16") - nm.gpt2.decode_weight_bytes("fp16") == 2 * 1024 * 768
    read = llama.ledger(batch=1, seq=1, dtype="bf16").totals().bytes_read
    assert read == pytest.approx(llama.decode_weight_bytes("bf16"), rel=2e-3)  # activations and one row of the table make the rest
    with pytest.raises(InputError, match="has no decode step"):
        nm.bert_base.decode_weight_bytes()


def test_families_and_unknown_family():
    assert {s.family for s in presets("encoder")} == {"encoder"}
    with pytest.raises(InputError, match="family='encodr'"):
        presets("encodr")


def test_unknown_attribute_of_the_package():
    with pytest.raises(AttributeError, match="no closed form, preset or device named 'brt_base'"):
        _ = nm.brt_base
