"""Encoder-decoders: whiteboard, trace and published figures agree; closed forms are the sums of the rows."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from napkinmath import encoder_decoder_cache_bytes, preset, reference
from napkinmath.errors import InputError
from napkinmath.specs import presets
from napkinmath.specs.blocks import Experts
from napkinmath.specs.encoder_decoder import EncoderDecoderSpec
from napkinmath.whiteboard import encoder_decoder as forms
from napkinmath.whiteboard.ledgers.rows import Rows
from napkinmath.witnesses import readings
from tests.napkinmath.families import assert_published, assert_same_count

SPECS = [spec for spec in presets() if isinstance(spec, EncoderDecoderSpec)]
DENSE = [spec for spec in SPECS if spec.moe is None]
TINY = {"name": "tiny", "n_layers": 2, "d_model": 8, "n_heads": 2, "d_ff": 12, "vocab": 11}
T5 = {"reference": "t5", "norm": "rmsnorm", "activation": "relu", "positions": "relative", "buckets": 8, "final_norm": True}
SWITCH = {**T5, "reference": "switch_transformers", "moe": Experts(n_experts=3, top_k=1), "expert_every": 2}
BART = {"reference": "bart", "bias": True, "embedding_norm": True, "position_offset": 2, "max_positions": 16, "max_source": 16}
MARIAN = {"reference": "marian", "bias": True, "activation": "relu", "positions": "sinusoidal"}
WHISPER = {"reference": "whisper", "bias": True, "key_bias": False, "final_norm": True, "mels": 5, "max_positions": 16, "max_source": 6}


def source_of(spec, seq=7):
    """The source's size: a spectrogram is always as long as the model's positions."""
    return {} if spec.mels else {"seq": seq}


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_published_figures(spec):
    assert_published(spec)


@pytest.mark.parametrize("spec", DENSE, ids=lambda s: s.name)
def test_whiteboard_is_the_trace(spec):
    assert_same_count(spec, batch=2, target=5, **source_of(spec))


@pytest.mark.parametrize("name", ["t5-small", "t5-v1.1-small", "bart-base", "transformer-base", "whisper-tiny"])
def test_a_decode_step_runs_the_decoder_alone(name):
    spec = preset(name)
    assert_same_count(spec, batch=2, target=1, context=9, **source_of(spec))
    assert_same_count(spec, batch=2, target=1, context=9, device="cpu", fake=True, attention="sdpa", **source_of(spec))
    step = spec.ledger(2, target=1, context=9, **source_of(spec))
    assert step.params == spec.params()
    assert not [op for op in step if op.name.startswith("encoder/") and (op.flops or op.bytes_moved)]


def test_fused_attention_on_the_cpu_counts_the_same():
    for name in ("t5-small", "bart-base", "whisper-tiny"):
        spec = preset(name)
        assert_same_count(spec, batch=1, target=5, device="cpu", fake=True, attention="sdpa", **source_of(spec))


def test_kerashub_lacks_the_rows_before_the_first_position():
    for name, printed in (("bart-base", 139417344), ("bart-large", 406287360)):
        spec = preset(name)
        assert spec.params() - 2 * spec.position_offset * spec.d_model == printed


def test_the_first_transformers_printed_counts_are_vocabularies_around_its_37000_tokens():
    for name, vocabulary in (("transformer-base", (39_700, 41_800)), ("transformer-big", (35_200, 36_300))):
        spec = preset(name)
        (printed,) = spec.published
        tokens = [spec.vocab + (edge - spec.params()) / spec.d_model for edge in printed.bounds()]
        assert vocabulary[0] < tokens[0] < tokens[1] < vocabulary[1]


def test_whisper_v3_differs_from_v2_by_mels_and_one_token():
    v2, v3 = preset("whisper-large-v2"), preset("whisper-large-v3")
    assert v3.params() - v2.params() == v2.d_model * (1 + 3 * (v3.mels - v2.mels))


def test_switch_has_t5s_layers_and_seven_more_networks_in_half_of_them():
    switch, t5 = preset("switch-base-8"), preset("t5-base")
    network, router = 2 * switch.d_model * switch.d_ff, switch.d_model * 8
    assert switch.params() == t5.params() + 12 * (7 * network + router)
    assert switch.active_params() == t5.params() + 12 * router
    assert switch.decode_weight_bytes("int8", batch=1) < switch.decode_weight_bytes("int8", batch=8) < switch.params()
    with pytest.raises(InputError, match="real device only"):
        reference(switch)


dims = st.integers(1, 3)


@st.composite
def specs(draw):
    style = draw(st.sampled_from([T5, BART, MARIAN, WHISPER]))
    heads, width = draw(dims), draw(dims) * 2
    more = {}
    if style is T5:
        gated = draw(st.booleans())
        more = {"d_head": draw(dims) + 1, "gated": gated, "activation": "gelu_tanh" if gated else "relu"}
        more["tied_embeddings"] = draw(st.booleans())
    if style is WHISPER:
        width += 2  # its sine and cosine positions come in pairs, two at least
        more = {"mels": draw(dims), "max_source": 2 + draw(dims)}
    return EncoderDecoderSpec(
        name="drawn", n_layers=draw(dims), n_decoder_layers=draw(dims), d_model=heads * width, n_heads=heads, d_ff=draw(dims) * 3,
        vocab=7 + draw(dims), **{**style, **more},
    )  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(specs(), dims, dims, dims, st.integers(0, 2), st.sampled_from(["eager", "sdpa"]))
def test_random_specs(spec, batch, seq, target, cached, attention):
    sizes = {"batch": batch, "target": target, "context": target + cached, **source_of(spec, seq)}
    assert_same_count(spec, device="cpu", fake=True, attention=attention, **sizes)
    kept = spec.kept_bytes(spec.resolve(**sizes), "fp32")["kv_cache_bytes"]
    source = spec.source_tokens(spec.resolve(**sizes))
    assert kept == encoder_decoder_cache_bytes(spec.n_decoder_layers, spec.n_heads, spec.d_head, batch, target + cached, source, "fp32")


@pytest.mark.parametrize("style", [T5, SWITCH, BART, MARIAN, WHISPER], ids=["t5", "switch", "bart", "marian", "whisper"])
def test_a_real_forward_pass_and_a_real_decode_step(style):
    spec = EncoderDecoderSpec(**TINY, **style)
    for sizes in ({"target": 3}, {"target": 1, "context": 5}):
        sizes = {"batch": 2, **sizes, **source_of(spec)}
        assert_same_count(spec, device="cpu", **sizes)
        built = reference(spec, device="cpu", **sizes)
        with torch.no_grad():
            logits = built.repeatable()(**built.inputs).logits
            again = built.repeatable()(**built.inputs).logits
        assert logits.shape == (2, sizes["target"], spec.vocab)
        assert logits.isfinite().all()
        torch.testing.assert_close(logits, again)  # the cache forgot the first pass


def test_closed_forms_are_the_sums_of_the_rows():
    spec = preset("t5-base")
    parts = spec.ledger(2, seq=64, target=16).by("module", 1)
    own = (spec.d_model, spec.d_ff, spec.n_heads, spec.d_head)
    assert parts["encoder"].flops == spec.encoder_flops(2, 64) == forms.encoder_flops(2, 64, spec.n_layers, *own)
    cross = spec.n_decoder_layers * forms.cross_key_value_flops(2, 64, spec.d_model, spec.n_heads, spec.d_head)
    decoder = forms.decoder_flops(2, 16, 16, 64, spec.n_decoder_layers, *own, vocab=spec.vocab)
    assert parts["decoder"].flops + parts["lm_head"].flops == cross + decoder
    step = spec.ledger(2, seq=64, target=1, context=16)
    assert step.flops == forms.decoder_flops(2, 1, 16, 64, spec.n_decoder_layers, *own, vocab=spec.vocab)
    bias = step.by("name")["decoder/attention/position_bias"].params
    assert bias == forms.relative_bias_params(spec.buckets, spec.n_heads)


def test_caches():
    spec = preset("whisper-large-v3")
    assert spec.cross_cache_bytes(1) == 1500 / 448 * spec.self_cache_bytes(1, 448)
    assert spec.kv_cache_bytes(1, 448) == spec.cross_cache_bytes(1) + spec.self_cache_bytes(1, 448)
    # T5-base's decoder layers without the cross-attention's keys and values, the last norm, and the head
    layer = 4 * 768**2 + 2 * 768**2 + 2 * 768 * 3072 + 3 * 768
    assert preset("t5-base").decode_weight_bytes("int8") == 12 * layer + 768 + 32128 * 768


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: preset("bart-base").ledger(seq=2000), "seq=2000 exceeds the 1024 positions of bart-base; nearest: 1024"),
        (lambda: preset("bart-base").ledger(target=2000), "target=2000 exceeds the 1024 positions"),
        (lambda: preset("whisper-tiny").ledger(seq=4), "seq=4: whisper-tiny takes batch, frames, target and context"),
        (lambda: preset("t5-small").ledger(frames=4), "frames=4: t5-small takes batch, seq, target and context"),
        (lambda: preset("whisper-tiny").ledger(frames=100), "frames=100: whisper-tiny hears exactly 3000 frames.*nearest: 3000"),
        (lambda: preset("t5-small").ledger(target=4, context=2), "context=2 is shorter than target=4"),
        (lambda: EncoderDecoderSpec(**TINY), "max_positions=0 is out of range"),
        (lambda: EncoderDecoderSpec(**TINY, positions="rotary"), "positions='rotary'"),
        (lambda: EncoderDecoderSpec(**TINY, **MARIAN, max_source=4), "max_source=4: sinusoidal positions have none; nearest: 0"),
        (lambda: EncoderDecoderSpec(**TINY, **{**T5, "buckets": 6}), "buckets=6: .*nearest: 8"),
        (lambda: EncoderDecoderSpec(**TINY, **{**T5, "reference": "t6"}), "Did you mean 't5'"),
        (lambda: EncoderDecoderSpec(**TINY, **{**SWITCH, "expert_every": 3}), "expert_every=3 must be 2 or more and divide"),
        (lambda: EncoderDecoderSpec(**TINY, **{**SWITCH, "moe": None}), "moe and expert_every go together"),
        (lambda: EncoderDecoderSpec(**{**TINY, "d_model": 9}, **T5), "d_model=9 is not a multiple of n_heads=2"),
        (lambda: reference(EncoderDecoderSpec(**{**TINY, "d_model": 2}, **WHISPER)), "d_model=2: the whisper .*nearest: 4"),
        (lambda: reference(EncoderDecoderSpec(**TINY, **{**BART, "gated": True})), "gated=True: the bart architecture"),
        (lambda: reference(EncoderDecoderSpec(**TINY, **{**T5, "bias": True})), "bias=True: the t5 architecture has bias=False"),
    ],
)  # fmt: skip
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("style", "sizes"), [(T5, {"target": 4}), (T5, {"target": 1, "context": 6}), (BART, {"target": 4}), (WHISPER, {"target": 4})]
)
def test_witnesses_have_nothing_unexplained(style, sizes):
    spec = EncoderDecoderSpec(**TINY, **style)
    found = readings(spec, batch=2, **sizes, **source_of(spec))
    assert {r.flops for r in found} == {found[0].flops}


def test_again_repeats_rows_without_their_weights():
    rows = Rows("fp32")
    rows.matmul("a/b", 1, 2, 3, bias=False)
    rows.again(5, 0)
    (op,) = rows.ops
    assert (op.flops, op.params, op.count) == (5 * 12, 6, 5)
