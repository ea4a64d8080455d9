"""The transformer family: every preset and random specs of every architecture against transformers' own module, and published figures."""

import dataclasses

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napkinmath import reference, trace
from napkinmath.errors import InputError
from napkinmath.specs import STYLES, TransformerSpec, preset, presets
from napkinmath.specs.blocks import Experts, LatentAttention
from napkinmath.specs.config import config_fields
from tests.napkinmath.families import assert_published, assert_same_count

PRESETS = [spec for spec in presets() if type(spec) is TransformerSpec]
#: The smallest preset of each architecture.
SMALLEST = {spec.reference: spec for spec in sorted(PRESETS, key=lambda spec: -spec.params())}

TINY = {"n_layers": 3, "d_model": 32, "n_heads": 4, "d_ff": 48, "vocab": 61, "max_positions": 64}
GROUPED = {"n_kv_heads": 2, "d_head": 12}
EXPERTS = Experts(n_experts=6, top_k=2, d_ff=20, shared=2, dense_layers=1)
LATENT = LatentAttention(kv_rank=10, query_rank=14, d_nope=6, d_rope=4, d_value=7)
#: What a tiny spec of each architecture has beside TINY.
MORE = {
    "bert": {"token_types": 2, "pooler": True},
    "albert": {"token_types": 2, "pooler": True, "d_embed": 6},
    "roberta": {"token_types": 1},
    "longformer": {"token_types": 1, "window": 8, "global_tokens": 2, "pooler": True},
    "llama": {**GROUPED, "bias": True},
    "mistral": {"n_kv_heads": 1, "window": 8},
    "gemma": {**GROUPED, "n_kv_heads": 1},
    "gemma2": {**GROUPED, "window": 8},
    "starcoder2": {"n_kv_heads": 2, "window": 8},
    "mixtral": {"n_kv_heads": 2, "moe": Experts(n_experts=5, top_k=2)},
    "deepseek_v3": {"moe": EXPERTS, "mla": LATENT},
}


def tiny(style, **changes):
    return TransformerSpec(**{"name": f"tiny {style}", "reference": style, **STYLES[style], **TINY, **MORE.get(style, {}), **changes})


@pytest.mark.parametrize("spec", [spec for spec in PRESETS if spec.reference != "longformer"], ids=lambda s: s.name)
def test_whiteboard_equals_trace_for_every_preset(spec):
    assert_same_count(spec, batch=2, seq=16)


def test_whiteboard_equals_trace_for_longformer_which_runs_on_real_devices_only():
    spec = preset("longformer-base-4096")
    assert_same_count(dataclasses.replace(spec, n_layers=1), device="cpu", seq=300)  # its twelve layers are alike
    with torch.device("meta"):
        module = transformers.LongformerModel(transformers.LongformerConfig(**config_fields(spec)))
    assert sum(p.numel() for p in module.parameters()) == spec.params()


@pytest.mark.parametrize("spec", PRESETS, ids=lambda s: s.name)
def test_published_figures(spec):
    assert_published(spec)


def test_presets_without_a_published_count_are_known():
    assert {spec.name for spec in PRESETS if spec.published_params is None and not spec.published} == {"longformer-base-4096"}


@pytest.mark.parametrize("style", [style for style, spec in SMALLEST.items() if spec.causal])
def test_a_decode_step_with_a_cache(style):
    assert_same_count(SMALLEST[style], batch=2, seq=1, context=24)


@pytest.mark.parametrize("style", [style for style in STYLES if style != "longformer"])
def test_the_operators_of_a_cpu(style):
    assert_same_count(tiny(style), device="cpu", fake=True, attention="sdpa", batch=2, seq=16)


@pytest.mark.parametrize("style", STYLES)
def test_a_real_forward_pass(style):
    spec = tiny(style)
    built = reference(spec, 2, 13, device="cpu")
    with torch.no_grad():
        out = built.module(**built.inputs)
    result = out.logits if spec.lm_head else out.last_hidden_state
    assert result.shape == (2, 13, spec.vocab if spec.lm_head else spec.d_model)
    assert result.isfinite().all()
    assert_same_count(spec, device="cpu", attention="sdpa", batch=2, seq=13)


@pytest.mark.parametrize("context", [5, 8, 9, 24])
@pytest.mark.parametrize("style", ["mistral", "gemma2", "starcoder2", "deepseek_v3"])
def test_decode_at_and_beyond_the_window(style, context):
    assert_same_count(tiny(style), batch=2, seq=1, context=context)
    assert_same_count(tiny(style), device="cpu", attention="sdpa", batch=2, seq=3, context=context + 2)


@st.composite
def specs(draw):
    style = draw(st.sampled_from(sorted(set(STYLES) - {"longformer"})))
    kv_heads, group, d_head = draw(st.integers(1, 3)), draw(st.integers(1, 3)), 2 * draw(st.integers(1, 5))
    heads, free = kv_heads * group, "n_kv_heads" in MORE.get(style, {})
    fields = {
        "n_layers": draw(st.integers(1, 4)),
        "n_heads": heads,
        "n_kv_heads": kv_heads if free else heads,
        "d_head": d_head if style != "deepseek_v3" else 0,
        "d_model": heads * (draw(st.integers(1, 6)) if free else d_head),
        "d_ff": draw(st.integers(1, 40)),
        "vocab": draw(st.integers(2, 60)),
        "max_positions": 32,
    }
    if style in ("llama", "opt", "starcoder2"):
        fields["bias"] = draw(st.booleans())
    if style == "albert":
        fields |= {"pooler": draw(st.booleans()), "token_types": draw(st.integers(1, 3)), "d_embed": draw(st.integers(1, 9))}
    if style not in ("bert", "distilbert", "albert", "roberta"):
        fields["tied_embeddings"] = draw(st.booleans())
    if style in ("bert", "roberta"):
        fields |= {"pooler": draw(st.booleans()), "token_types": draw(st.integers(1, 3))}
    if style in ("mistral", "starcoder2", "mixtral"):
        fields["window"] = draw(st.sampled_from([0, 2, 5, 100]))
    if style == "gemma2":
        fields["window"] = draw(st.integers(2, 9))
    if style in ("mixtral", "deepseek_v3"):
        n_experts = draw(st.integers(2, 6))
        moe = {"n_experts": n_experts, "top_k": draw(st.integers(1, n_experts))}
        if style == "deepseek_v3":
            moe |= {
                "d_ff": draw(st.integers(1, 9)),
                "shared": draw(st.integers(1, 2)),
                "dense_layers": draw(st.integers(0, fields["n_layers"] - 1)),
            }
        fields["moe"] = Experts(**moe)
    if style == "deepseek_v3":
        sizes = st.integers(1, 9)
        fields["mla"] = LatentAttention(
            kv_rank=draw(sizes), query_rank=draw(st.integers(0, 9)), d_nope=draw(sizes), d_rope=2 * draw(sizes), d_value=draw(sizes)
        )
    return TransformerSpec(**{"name": f"random {style}", "reference": style, **STYLES[style], **fields})


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs(), batch=st.integers(1, 3), seq=st.integers(1, 8), cached=st.integers(0, 8), attention=st.sampled_from(["eager", "sdpa"]))
def test_whiteboard_equals_trace_for_random_specs(spec, batch, seq, cached, attention):
    context = seq + cached if spec.causal else seq
    assert_same_count(spec, attention=attention, batch=batch, seq=seq, context=context)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(half=st.integers(2, 5), seq=st.integers(3, 40), globals_=st.integers(1, 3), batch=st.integers(1, 2), pooler=st.booleans())
def test_whiteboard_equals_trace_for_random_longformers(half, seq, globals_, batch, pooler):
    spec = tiny("longformer", window=2 * half, global_tokens=globals_, pooler=pooler)
    assert_same_count(spec, device="cpu", batch=batch, seq=seq)


def test_albert_runs_one_layers_weights_again_and_again():
    shallow, deep = (tiny("albert", n_layers=n) for n in (1, 5))
    plain = dataclasses.replace(shallow, shared_layers=False)
    assert deep.params() == shallow.params() == plain.params()
    layers = [sum(op.flops for op in spec.ledger(seq=8) if op.name.startswith("layers/")) for spec in (shallow, deep)]
    assert layers[1] == 5 * layers[0]


def test_longformer_says_where_it_runs():
    with pytest.raises(InputError, match="runs on a real device only: give device='cpu'"):
        reference("longformer-base-4096", seq=16)


def test_what_chunks_and_padding_add_is_overhead():
    spec = tiny("longformer")
    padded, whole = spec.ledger(seq=13), spec.ledger(seq=16)
    assert padded.flops == whole.flops  # 13 tokens cost what 16 cost...
    useful = padded.filter(lambda op: not op.overhead)
    assert useful.flops < whole.filter(lambda op: not op.overhead).flops  # ...and do the work of 13
    assert {op.name.rsplit("_of_", 1)[-1] for op in padded if op.overhead and op.flops} == {"padding", "layers/attention/chunk_overlap"}
    assert padded.params == useful.params


def test_batched_experts_multiply_with_the_chosen_experts_only():
    """A real run routes by value; the meta device multiplies ``top_k`` weights a token. Both do the same work."""
    spec = tiny("mixtral")
    built = reference(spec, 2, 7, device="cpu")
    routed = trace(built.module, strict=True, **built.inputs).by(built.group)["layers/experts"].flops
    assert routed == spec.n_layers * 2 * (2 * 7 * spec.moe.top_k) * 3 * spec.d_model * spec.d_ff


@pytest.mark.parametrize(
    ("style", "change", "message"),
    [
        ("bert", {"d_embed": 4}, r"d_embed=4: the bert architecture has d_embed=0"),
        ("albert", {"shared_layers": False}, r"shared_layers=False: the albert architecture has shared_layers=True"),
        ("albert", {"lm_head": True}, r"d_embed=6: an LM head reads d_model=32 values"),
        ("albert", {"causal": True, "window": 4}, r"shared_layers: layers of one kind share weights; got window=4"),
        ("bert", {"d_head": 4}, r"d_head=4: the bert architecture has d_head=8"),
        ("gpt2", {"n_kv_heads": 2}, r"n_kv_heads=2: the gpt2 architecture has n_kv_heads=4"),
        ("llama", {"activation": "relu"}, r"activation='relu': the llama architecture has activation='silu'"),
        ("distilbert", {"pooler": True}, r"pooler=True: the distilbert architecture has pooler=False"),
        ("qwen2", {"window": 8}, r"window=8: the qwen2 architecture has window=0"),
        ("llama", {"moe": Experts(n_experts=2, top_k=1), "bias": False}, r"moe=.*: the llama architecture has moe=None"),
    ],
)
def test_an_architecture_refuses_what_it_cannot_express(style, change, message):
    with pytest.raises(InputError, match=message):
        reference(tiny(style, **change), 1, 4)


def test_a_spec_without_reference_cannot_be_built():
    with pytest.raises(InputError, match="names no architecture"):
        reference(dataclasses.replace(preset("gpt2"), reference=""), 1, 4)
