"""The trace: equal to the whiteboard for every preset and random configurations, and honest about what it cannot count."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from napkinmath import reference, trace
from napkinmath.errors import InputError
from napkinmath.specs import STYLES, TransformerSpec, presets

GROUPS = ("layers/attention", "layers/ffn", "layers/norm", "embeddings", "final_norm", "pooler", "lm_head")


def assert_same_count(spec, batch, seq, context=None, **how):
    built = reference(spec, batch, seq, context, **how)
    traced = trace(built.module, strict=True, **built.inputs)
    whiteboard = spec.ledger(batch, seq, context)
    assert traced.params == whiteboard.params == sum(p.numel() for p in built.module.parameters())
    assert traced.flops == whiteboard.flops
    by_trace, by_whiteboard = traced.by(built.group), whiteboard.by("module", 2)
    for group in GROUPS:
        ours, theirs = by_whiteboard.get(group), by_trace.get(group)
        assert (ours is None) == (theirs is None), group
        if ours and theirs:
            assert (theirs.params, theirs.flops) == (ours.params, ours.flops), group
    return built, traced


@pytest.mark.parametrize("spec", presets(), ids=lambda s: s.name)
def test_trace_equals_whiteboard_for_every_preset(spec):
    assert_same_count(spec, 2, 16)


@pytest.mark.parametrize("spec", presets("decoder"), ids=lambda s: s.name)
def test_a_decode_step_with_a_cache(spec):
    assert_same_count(spec, 2, 1, 24)


@st.composite
def specs(draw):
    style = draw(st.sampled_from(sorted(STYLES)))
    kv_heads, group, d_head = draw(st.integers(1, 3)), draw(st.integers(1, 3)), 2 * draw(st.integers(1, 6))
    heads = kv_heads * group
    free = style in ("llama", "starcoder2")  # the others fix d_head = d_model / n_heads and have no grouping
    fields = {
        "name": f"random {style}",
        "reference": style,
        "n_layers": draw(st.integers(1, 3)),
        "n_heads": heads,
        "n_kv_heads": kv_heads if free else heads,
        "d_head": d_head,
        "d_model": heads * (draw(st.integers(1, 8)) if free else d_head),
        "d_ff": draw(st.integers(1, 40)),
        "vocab": draw(st.integers(2, 60)),
        "max_positions": 16,
    }
    if free:
        fields |= {"tied_embeddings": draw(st.booleans()), "bias": draw(st.booleans())}
    if style == "bert":
        fields |= {"pooler": draw(st.booleans()), "token_types": draw(st.integers(1, 3))}
    return TransformerSpec(**{**STYLES[style], **fields})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs(), batch=st.integers(1, 4), seq=st.integers(1, 8), cached=st.integers(0, 8), attention=st.sampled_from(["eager", "sdpa"]))
def test_trace_equals_whiteboard_for_random_configurations(spec, batch, seq, cached, attention):
    if spec.causal and cached:
        assert_same_count(spec, batch, 1, 1 + cached, attention=attention)
    else:
        assert_same_count(spec, batch, seq, attention=attention)


@pytest.mark.parametrize("name", ["distilbert", "gpt2"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_fake_cpu_dispatches_what_the_cpu_runs(name, attention):
    from napkinmath.specs import preset

    real = assert_same_count(preset(name), 1, 8, device="cpu", attention=attention)[1]
    fake = assert_same_count(preset(name), 1, 8, device="cpu", attention=attention, fake=True)[1]
    assert real.origin == fake.origin == "trace:cpu"
    assert {op.op for op in real if op.flops} == {op.op for op in fake if op.flops}


def test_fused_causal_attention_knows_its_useful_half():
    built, traced = assert_same_count(reference("gpt2").spec, 2, 16, device="cpu", attention="sdpa")
    assert traced.totals().useful_causal_flops == built.spec.useful_causal_flops(2, 16)


def test_nothing_is_allocated_on_meta():
    built = reference("llama-3-405b", 1, 16)
    assert {p.device.type for p in built.module.parameters()} == {"meta"}
    assert trace(built.module, **built.inputs).origin == "trace:meta"


def test_tied_weights_count_once_and_a_reused_module_each_time_it_runs():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared = nn.Linear(4, 4, bias=False)
            self.tied = nn.Linear(4, 4, bias=False)
            self.tied.weight = self.shared.weight

        def forward(self, x):
            return self.tied(self.shared(self.shared(x)))

    ledger = trace(Twice(), torch.zeros(1, 4))
    assert ledger.params == 16
    assert ledger.flops == 3 * 32


def test_a_parameter_that_nothing_reads_is_still_a_parameter():
    module = nn.Linear(2, 3)
    module.extra = nn.Parameter(torch.zeros(5))
    ledger = trace(module, torch.zeros(1, 2))
    assert ledger.params == 9 + 5
    assert [op.name for op in ledger if op.kind == "parameters"] == ["extra"]


class Functional(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


@pytest.mark.parametrize(
    ("function", "shapes", "flops"),
    [
        (torch.matmul, [(2, 3, 4), (4, 5)], 2 * 6 * 4 * 5),
        (lambda a, b: torch.einsum("bik,bkj->bij", a, b), [(2, 3, 4), (2, 4, 5)], 2 * 2 * 3 * 4 * 5),
        (torch.mv, [(3, 4), (4,)], 2 * 12),
        (torch.dot, [(7,), (7,)], 14),
        (lambda b, x, y: torch.baddbmm(b, x, y), [(2, 3, 5), (2, 3, 4), (2, 4, 5)], 2 * 2 * 3 * 4 * 5),
        (F.scaled_dot_product_attention, [(2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 8)], 4 * 2 * 3 * 5 * 7 * 8),
    ],
)
def test_functional_calls_count(function, shapes, flops):
    assert trace(Functional(function), *(torch.zeros(s) for s in shapes), strict=True).flops == flops


@pytest.mark.parametrize(
    ("module", "shape", "flops"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (2, 3, 10, 10), 2 * 2 * 8 * 100 * 27),
        (nn.Conv2d(8, 8, 3, groups=8, stride=2), (1, 8, 9, 9), 2 * 8 * 16 * 9),
        (nn.Conv1d(4, 6, 5), (1, 4, 20), 2 * 6 * 16 * 20),
        (nn.ConvTranspose2d(3, 5, 2, stride=2), (1, 3, 4, 4), 2 * 16 * 3 * 5 * 4),
    ],
)
def test_convolutions_by_hand(module, shape, flops):
    assert trace(module, torch.zeros(shape), strict=True).flops == flops


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_fast_path_of_transformer_encoder_counts_like_the_slow_one(norm_first):
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=norm_first)
    x = torch.zeros(2, 5, 16)
    fast, slow = trace(layer.eval(), x, strict=True), trace(layer.train(), x, strict=True)
    assert any("fast_path" in dict(op.layout) for op in fast)
    assert fast.flops == slow.flops == 2 * 10 * (4 * 16 * 16 + 2 * 16 * 32) + 4 * 2 * 25 * 16
    assert fast.params == slow.params == sum(p.numel() for p in layer.parameters())


def test_lstm_counts_its_four_gates():
    ledger = trace(nn.LSTM(6, 5), torch.zeros(7, 3, 6), strict=True)
    assert ledger.flops == 2 * 7 * 3 * (4 * 5 * 6 + 4 * 5 * 5)


def test_an_operator_without_a_formula_is_named_and_fails_under_strict():
    module = Functional(torch.linalg.inv)
    assert trace(module, torch.eye(3)).uncounted == ("aten.linalg_inv_ex",)
    with pytest.raises(InputError, match="no formula for aten.linalg_inv_ex"):
        trace(module, torch.eye(3), strict=True)


def test_hooks_are_removed_and_the_module_is_left_as_it_was():
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).train()
    trace(module, torch.zeros(1, 2))
    with pytest.raises(InputError):
        trace(module, torch.zeros(1, 3))
    assert module.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: trace("bert"), "trace takes a torch.nn.Module; this is str"),
        (lambda: trace(torch.jit.script(nn.Linear(2, 2)), torch.zeros(1, 2)), "scripted"),
        (lambda: trace(torch.compile(nn.Linear(2, 2)), torch.zeros(1, 2)), "compiled"),
        (
            lambda: trace(nn.Linear(2, 2), torch.zeros(1, 3)),
            r"Linear raised RuntimeError while being traced: .*inputs were \[1, 3\] float32",
        ),
        (lambda: trace(nn.Linear(2, 2), torch.zeros(1, 2, device="meta")), "different devices"),
    ],
)
def test_bad_modules_and_inputs_get_one_clear_line(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_reference_refuses_what_the_architecture_cannot_express():
    fields = {"name": "x", "n_layers": 1, "d_model": 8, "n_heads": 2, "d_ff": 8, "vocab": 8, "max_positions": 8}
    with pytest.raises(InputError, match="n_kv_heads=1: the gpt2 architecture has n_kv_heads=2"):
        reference(TransformerSpec(**STYLES["gpt2"], **fields, n_kv_heads=1, reference="gpt2"), 1, 4)
    llama = {**fields, **STYLES["llama"], "n_heads": 3, "d_head": 2}
    with pytest.raises(InputError, match=r"transformers cannot build x as llama: .*not a multiple"):
        reference(TransformerSpec(**llama, reference="llama"), 1, 4)
