"""The trace: equal to the whiteboard for every preset and random configurations, and honest about what it cannot count."""

import contextlib
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from napkinmath import reference, trace, trace_training
from napkinmath.errors import InputError
from napkinmath.shapes import Shapes
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


@pytest.mark.parametrize("name", ["distilbert", "resnet-18"])
def test_what_is_remembered_on_meta_leaves_every_row_as_it_was(monkeypatch, name):
    def rows():
        built = reference(name, batch=2)
        return [count(built.module, **built.inputs).ops for count in (trace, trace_training)]

    remembered = rows()
    monkeypatch.setattr(Shapes, "call", lambda _, func, args, kwargs: func(*args, **kwargs))
    assert remembered == rows()


def test_only_answers_that_shapes_describe_are_remembered():
    shapes, add, numbers = Shapes(), torch.ops.aten.add.Tensor, torch.ones(2, dtype=torch.int64)
    assert [shapes.call(add, (numbers.to("meta"), one), {}).dtype for one in (1, 1.0, 1, 1.0)] == [torch.int64, torch.float32] * 2
    assert shapes.call(add, (numbers, 1), {}).tolist() == shapes.call(add, (numbers, 1), {}).tolist() == [2, 2]
    x = torch.empty(2, 3, device="meta").t()
    for _ in range(2):
        assert shapes.call(torch.ops.aten.relu.default, (x,), {}).stride() == (1, 3)
        assert shapes.call(torch.ops.aten.relu_.default, (x,), {}) is x
        assert shapes.call(torch.ops.aten.t.default, (x,), {}).untyped_storage()._cdata == x.untyped_storage()._cdata


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
    assert [op.op for op in fast if op.flops] == ["aten._transformer_encoder_layer_fwd.default"]  # our hooks do not switch it off
    assert fast.flops == slow.flops == 2 * 10 * (4 * 16 * 16 + 2 * 16 * 32) + 4 * 2 * 25 * 16
    assert fast.params == slow.params == sum(p.numel() for p in layer.parameters())


def test_the_fast_path_counts_padded_sequences_at_their_own_length():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2).eval()
    padding = torch.tensor([[0, 0, 0, 0, 1], [0, 0, 0, 1, 1]], dtype=torch.bool)
    ledger = trace(encoder, torch.zeros(2, 5, 16), src_key_padding_mask=padding, strict=True)
    assert ledger.flops == 2 * (2 * (4 + 3) * (4 * 16 * 16 + 2 * 16 * 32) + 4 * (4**2 + 3**2) * 16)


def test_the_fast_path_of_multihead_attention():
    attention, x = nn.MultiheadAttention(16, 4, batch_first=True), torch.zeros(2, 5, 16)
    fast, slow = trace(attention.eval(), x, x, x, strict=True), trace(attention.train(), x, x, x, strict=True)
    assert fast.flops == slow.flops == 2 * 10 * 4 * 16 * 16 + 4 * 2 * 25 * 16
    assert [op.op for op in fast if op.flops] == ["aten._native_multi_head_attention.default"]


RNNS = pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])


def matrices(module):
    return sum(p.numel() for p in module.parameters() if p.dim() > 1)


@RNNS
@pytest.mark.parametrize("how", ["cpu", "fake", "meta"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=["plain", "stacked"])
def test_recurrent_layers_multiply_every_weight_at_every_step(kind, how, options):
    with FakeTensorMode() if how == "fake" else contextlib.nullcontext(), torch.device("meta" if how == "meta" else "cpu"):
        module, x = kind(6, 5, **options), torch.zeros(7, 3, 6)
    ledger = trace(module, x, strict=True)
    assert ledger.flops == 2 * 7 * 3 * matrices(module)
    assert ledger.params == sum(p.numel() for p in module.parameters())


@RNNS
def test_packed_sequences_count_the_steps_that_they_have(kind):
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = kind(6, 5, bidirectional=True)

        def forward(self, x):
            return self.rnn(pack_padded_sequence(x, [7, 4, 2]))[0].data

    module = Packed()
    assert trace(module, torch.zeros(7, 3, 6), strict=True).flops == 2 * (7 + 4 + 2) * matrices(module)


def test_operators_that_inference_mode_leaves_whole_are_taken_apart():
    module = Functional(torch.inference_mode()(lambda x, w, y: F.linear(x, w) @ y))
    assert trace(module, torch.zeros(3, 8), torch.zeros(4, 8), torch.zeros(4, 2), strict=True).flops == 2 * 3 * 8 * 4 + 2 * 3 * 4 * 2


def test_modules_made_while_running_belong_to_the_one_that_makes_them():
    class Maker(nn.Module):
        def forward(self, x):
            return nn.ReLU()(x)

    assert [op.name for op in trace(nn.Sequential(Maker()), torch.zeros(2))] == ["0/relu"]


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


def compiled_in_place():
    module = nn.Linear(2, 2)
    module.compile()
    return module


class Detached(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)

    def forward(self, x):
        return super().forward(x).detach()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: trace("bert"), "trace takes a torch.nn.Module; this is str"),
        (lambda: trace(torch.jit.script(nn.Linear(2, 2)), torch.zeros(1, 2)), "scripted"),
        (lambda: trace(nn.Sequential(torch.jit.script(nn.Linear(2, 2))), torch.zeros(1, 2)), "its part '0' is scripted"),
        (lambda: trace(torch.compile(nn.Linear(2, 2)), torch.zeros(1, 2)), "compiled"),
        (lambda: trace(nn.Sequential(torch.compile(nn.Linear(2, 2))), torch.zeros(1, 2)), "its part '0' is compiled"),
        (lambda: trace(compiled_in_place(), torch.zeros(1, 2)), "compiled in place"),
        (lambda: trace_training(nn.ReLU(), torch.zeros(1, 2)), "nothing to train"),
        (lambda: trace_training(nn.Linear(2, 2), torch.zeros(1, 2), optimizer="adma"), "Did you mean 'adam'"),
        (lambda: trace_training(Detached(), torch.zeros(1, 2)), "no output of Detached depends on a parameter"),
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


# Training -------------------------------------------------------------------------------------------------------------


def phases(ledger):
    return {phase: total.flops for phase, total in ledger.by("phase").items()}


def test_a_first_layer_has_one_gradient_and_the_others_two():
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    ledger = trace_training(module, torch.zeros(5, 4), strict=True)
    first, second = 2 * 5 * 4 * 8, 2 * 5 * 8 * 3
    assert phases(ledger) == {"forward": first + second, "backward": first + 2 * second, "optimizer": 0}
    assert {name: t.flops for name, t in ledger.filter(lambda op: op.phase == "backward" and op.flops).by("module").items()} == {
        "0": first,
        "2": 2 * second,
    }
    assert ledger.params == sum(p.numel() for p in module.parameters())
    assert {op.name.split("/")[0] for op in ledger if op.phase == "optimizer"} == {"optimizer"}


def test_an_input_that_wants_a_gradient_gets_one():
    forward = 2 * 5 * 4 * 8
    assert phases(trace_training(nn.Linear(4, 8), torch.zeros(5, 4, requires_grad=True)))["backward"] == 2 * forward


def test_fused_attention_computes_its_scores_again():
    module = Functional(lambda x: F.scaled_dot_product_attention(x, x, x))
    module.scale = nn.Parameter(torch.ones(1))
    attend = module.function
    module.function = lambda x: attend(x * module.scale)
    counted = phases(trace_training(module, torch.zeros(1, 2, 6, 8), strict=True))
    assert counted["backward"] == 2.5 * counted["forward"] > 0
    assert phases(trace(module, torch.zeros(1, 2, 6, 8)).training(None))["backward"] == counted["backward"]


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw", "adafactor", None])
def test_a_real_module_is_left_as_it_was(optimizer):
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.Linear(3, 3)).eval()
    before = [p.detach().clone() for p in module.parameters()]
    module[0].weight.grad = torch.ones(3, 3)
    ledger = trace_training(module, torch.ones(2, 3), optimizer=optimizer)
    assert all(torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))
    assert torch.equal(module[0].weight.grad, torch.ones(3, 3))
    assert module[2].weight.grad is None
    assert not module.training
    assert any(op.phase == "optimizer" for op in ledger) == (optimizer is not None)


def test_adafactor_needs_values():
    with pytest.raises(InputError, match="optimizer"):
        trace_training(nn.Linear(3, 3, device="meta"), torch.zeros(2, 3, device="meta"), optimizer="adafactor")


def test_checkpointing_shows_as_work_in_the_backward_pass():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

        def forward(self, x):
            return checkpoint(self.layers, x, use_reentrant=False)

    one = 2 * 2 * 4 * 4  # the first layer runs again, the last need not: PyTorch stops once it has the last input
    assert phases(trace_training(Checkpointed(), torch.zeros(2, 4))) == {"forward": 2 * one, "backward": 3 * one + one, "optimizer": 0}


MODULES = {
    "conv": lambda: (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3, groups=2)),
        torch.zeros(2, 3, 9, 9),
    ),
    "transposed conv": lambda: (nn.Sequential(nn.Conv1d(3, 4, 3), nn.ConvTranspose1d(4, 2, 3, stride=2)), torch.zeros(2, 3, 9)),
    "gru": lambda: (nn.GRU(6, 5), torch.zeros(7, 3, 6)),
    "math attention": lambda: (nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.1), torch.zeros(2, 5, 8)),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_training_step_agrees_with_torchs_counter(name):
    module, x = MODULES[name]()
    inputs = (x, x, x) if name == "math attention" else (x,)
    with FlopCounterMode(display=False) as counter:
        outputs = [t for t in tree_leaves(module(*inputs)) if t.requires_grad]
        torch.autograd.backward(outputs, [torch.ones_like(t) for t in outputs])
    ledger = trace_training(module, *inputs, strict=True)
    # Torch's counter takes the weight gradient of a grouped convolution for that of an ungrouped one.
    layouts = [(op.flops, dict(op.layout)) for op in ledger if op.phase == "forward" and op.kind == "conv"]
    ungrouped = sum(flops * (layout["groups"] - 1) for flops, layout in layouts)
    assert ledger.flops == counter.get_total_flops() - ungrouped > 0


def test_the_lstm_that_torchs_counter_drops_on_cpu_costs_three_forward_passes():
    module, x = nn.LSTM(6, 5, num_layers=2), torch.zeros(7, 3, 6)
    counted = phases(trace_training(module, x, strict=True))
    assert counted["backward"] == 2 * counted["forward"] == 4 * 21 * matrices(module)


TRANSFORMERS = [s for s in (*presets("encoder"), *presets("decoder")) if s.reference != "longformer"]  # it runs on real tensors only


@pytest.mark.parametrize("spec", TRANSFORMERS, ids=lambda s: s.name)
def test_the_whiteboards_training_step_equals_the_traced_one_for_every_transformer(spec):
    small = dataclasses.replace(spec, n_layers=min(spec.n_layers, 2))  # backward of more layers is more of the same
    built = reference(small, 2, 8)
    traced = trace_training(built.module, **built.inputs, strict=True)
    assert phases(small.ledger(2, 8, attention="eager").training()) == phases(traced)


def test_a_forward_trace_and_its_training_rule_equal_the_traced_step():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    x = torch.zeros(2, 3, 8, 8)
    ruled, traced = trace(module, x).training("sgd"), trace_training(module, x, optimizer="sgd")
    assert phases(ruled) == phases(traced)
    assert ruled.params == traced.params
    with pytest.raises(InputError, match="give a forward pass"):
        ruled.training()
    with pytest.raises(InputError, match="Did you mean 'adam'"):
        trace(module, x).training("adma")


def test_reference_refuses_what_the_architecture_cannot_express():
    fields = {"name": "x", "n_layers": 1, "d_model": 8, "n_heads": 2, "d_ff": 8, "vocab": 8, "max_positions": 8}
    with pytest.raises(InputError, match="n_kv_heads=1: the gpt2 architecture has n_kv_heads=2"):
        reference(TransformerSpec(**STYLES["gpt2"], **fields, n_kv_heads=1, reference="gpt2"), 1, 4)
    llama = {**fields, **STYLES["llama"], "n_heads": 3, "d_head": 2}
    with pytest.raises(InputError, match=r"x cannot be built as llama: .*not a multiple"):
        reference(TransformerSpec(**llama, reference="llama"), 1, 4)


def test_a_row_knows_whether_python_ran_since_the_row_before():
    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = torch.nn.GRU(4, 4)

        def forward(self, x):
            return self.gru(torch.tanh(x * 2))[0]

    ops = trace(Both().eval(), torch.ones(3, 1, 4)).ops
    inner = {op.op.split(".")[1]: dict(op.layout).get("inner", False) for op in ops}
    assert not inner["mul"] and not inner["tanh"] and not inner["zeros"]
    assert inner["sigmoid_"] and inner["mul_"] and inner["sub"], "PyTorch's own loop over the steps"


def test_a_split_moves_nothing_and_is_as_many_views_as_it_has_parts():
    class Halves(torch.nn.Module):
        def forward(self, x):
            left, right = x.split(2, dim=1)
            first, second, third = torch.unsafe_split_with_sizes(x, [1, 1, 2], 1)
            return left + right + first + second + third.sum()

    ops = trace(Halves(), torch.ones(4, 4)).ops
    assert not any("split" in op.op for op in ops)
    assert dict(ops[0].layout)["views"] == 5


def test_a_row_knows_how_long_ago_its_operand_was_written_and_how_many_views_came_before():
    class Late(torch.nn.Module):
        def forward(self, x):
            doubled = x * 2
            tripled = x * 3
            return doubled.t().view(-1) + tripled.t().reshape(-1)

    first, second, last = (dict(op.layout) for op in trace(Late(), torch.ones(4, 1)).ops)
    assert "age" not in first and "age" not in second, "no operation of this run wrote x"
    assert last == {"age": 48, "views": 4}, "two products of 32 bytes since the older operand's began, one since the other's: their mean"
