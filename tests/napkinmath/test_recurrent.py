"""Recurrent networks, state-space models and recurrent encoder-decoders: whiteboard, trace and published figures agree."""

from __future__ import annotations

import dataclasses

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn

import napkinmath as nm
from napkinmath import preset, reference, trace
from napkinmath.errors import InputError
from napkinmath.specs import presets
from napkinmath.specs.recurrent import CharacterCNN, RecurrentSpec
from napkinmath.specs.seq2seq import Seq2SeqSpec
from napkinmath.specs.state_space import StateSpaceSpec
from napkinmath.witnesses import readings
from tests.napkinmath.families import assert_published, assert_same_count

FAMILIES = (RecurrentSpec, StateSpaceSpec, Seq2SeqSpec)
SPECS = [spec for spec in presets() if isinstance(spec, FAMILIES)]
LSTM = RecurrentSpec(name="tiny", cell="lstm", widths=(6, 6), d_in=5, reference="recurrent")
CHARACTERS = CharacterCNN(n_characters=9, d_character=2, length=5, kernels=(1, 3), filters=(4, 3), highways=2)
MAMBA = StateSpaceSpec(name="tiny", n_layers=2, d_model=8, d_inner=12, d_state=3, dt_rank=2, vocab=11, reference="mamba")
BAHDANAU = Seq2SeqSpec(
    name="tiny", cell="gru", d_embed=5, d_hidden=6, vocab=11, score="additive", d_attention=4, attention_first=True, d_maxout=3,
    reference="seq2seq",
)  # fmt: skip
LUONG = Seq2SeqSpec(name="tiny", cell="lstm", d_embed=5, d_hidden=6, vocab=11, score="general", n_layers=2, reference="seq2seq")
GNMT = Seq2SeqSpec(
    name="tiny", cell="lstm", d_embed=5, d_hidden=6, vocab=11, score="additive", d_attention=4, attention_between=True, n_layers=3,
    reference="seq2seq",
)  # fmt: skip
DEVICES = [{"device": "meta"}, {"device": "cpu", "fake": True}, {"device": "cpu"}]

dims = st.integers(1, 4)


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_presets(spec):
    assert_published(spec)
    assert_same_count(spec, batch=2, seq=3)
    assert_same_count(spec, batch=2, seq=3, device="cpu", fake=True)
    if spec.decodes:
        assert_same_count(spec, batch=2, seq=1, context=9)


@pytest.mark.parametrize("where", DEVICES, ids=["meta", "fake", "cpu"])
@pytest.mark.parametrize(("cell", "where_lstm_is_one_operator"), [("rnn", None), ("gru", None), ("lstm", "mkldnn_rnn_layer")])
def test_all_devices_count_the_same_whatever_they_dispatch(cell, where_lstm_is_one_operator, where):
    spec = RecurrentSpec(name="tiny", cell=cell, widths=(6, 6), d_in=5, bidirectional=True, reference="recurrent")
    assert_same_count(spec, batch=2, seq=7, **where)
    built = reference(spec, batch=2, seq=7, **where)
    operators = {op.op.split(".")[1] for op in trace(built.module, **built.inputs) if op.flops}
    assert (operators == {where_lstm_is_one_operator}) == (cell == "lstm" and where["device"] == "cpu")


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_random_recurrent_specs(data):
    cell = data.draw(st.sampled_from(["rnn", "gru", "lstm"]))
    widths = tuple(data.draw(st.lists(st.integers(2, 6), min_size=1, max_size=3)))
    projection = data.draw(st.integers(0, min(widths) - 1)) if cell == "lstm" else 0
    spec = RecurrentSpec(
        name="drawn", cell=cell, widths=widths, d_in=data.draw(dims), bidirectional=data.draw(st.booleans()), projection=projection,
        vocab=data.draw(st.sampled_from([0, 7])), reference="recurrent",
    )  # fmt: skip
    more = {} if spec.bidirectional else {"context": 9}
    assert_same_count(spec, batch=data.draw(dims), seq=data.draw(dims), **more, **data.draw(st.sampled_from(DEVICES)))


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_random_separate_directions(data):
    width = data.draw(st.integers(2, 6))
    spec = RecurrentSpec(
        name="drawn", cell="lstm", widths=(width,) * data.draw(dims), d_in=data.draw(dims), bidirectional=True, separate_directions=True,
        projection=data.draw(st.integers(0, width - 1)), characters=data.draw(st.sampled_from([None, CHARACTERS])), reference="recurrent",
    )  # fmt: skip
    assert_same_count(spec, batch=data.draw(dims), seq=data.draw(dims), **data.draw(st.sampled_from(DEVICES)))


def test_elmos_counts_are_allennlps_but_for_a_bias():
    for name in ("elmo", "elmo-medium", "elmo-small"):
        spec = preset(name)
        low, high = spec.published[0].bounds()
        layers = len(spec.widths) * spec.directions
        assert low <= spec.params() - layers * 4 * spec.widths[0] <= high


def test_separate_directions_meet_only_at_the_end():
    spec = RecurrentSpec(
        name="x", cell="lstm", widths=(6, 6), d_in=3, projection=3, bidirectional=True, separate_directions=True, characters=CHARACTERS,
        reference="recurrent",
    )  # fmt: skip
    module = reference(spec, batch=1, seq=4, device="cpu").module
    words = torch.randint(9, (1, 4, 5))
    changed = words.clone()
    changed[0, 2] = (changed[0, 2] + 1) % 9
    with torch.no_grad():
        before, after = module(words)[0], module(changed)[0]
    same = torch.isclose(before, after).all(-1)
    forwards, backwards = torch.isclose(before, after)[0, :, :3].all(-1), torch.isclose(before, after)[0, :, 3:].all(-1)
    assert forwards.tolist() == [True, True, False, False]
    assert backwards.tolist() == [False, False, False, True]
    assert not same.any()
    both = RecurrentSpec(name="x", cell="lstm", widths=(6, 6), d_in=3, projection=3, bidirectional=True)
    assert spec.sequential_steps(9) == 9 + 1 < both.sequential_steps(9) == 18


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_random_state_space_specs(data):
    spec = StateSpaceSpec(
        name="drawn", n_layers=data.draw(dims), d_model=data.draw(dims), d_inner=data.draw(dims), d_state=data.draw(dims),
        dt_rank=data.draw(dims), conv_kernel=data.draw(dims), vocab=7, tied_embeddings=data.draw(st.booleans()), reference="mamba",
    )  # fmt: skip
    where = data.draw(st.sampled_from(DEVICES))
    assert_same_count(spec, batch=data.draw(dims), seq=data.draw(dims), **where)
    assert_same_count(spec, batch=data.draw(dims), seq=1, context=9, **where)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_random_seq2seq_specs(data):
    first = data.draw(st.booleans())
    score = data.draw(st.sampled_from(["additive", "general"] + ([] if first else ["dot"])))
    spec = Seq2SeqSpec(
        name="drawn", cell="gru" if first else data.draw(st.sampled_from(["rnn", "gru", "lstm"])), d_embed=data.draw(dims),
        d_hidden=data.draw(dims) + 1, vocab=7, score=score, n_layers=1 if first else data.draw(dims), attention_first=first,
        d_attention=data.draw(dims) if score == "additive" else 0, d_maxout=data.draw(dims) if first else 0, reference="seq2seq",
    )  # fmt: skip
    sizes = {"batch": data.draw(dims), "seq": data.draw(dims), "target": data.draw(dims)}
    assert_same_count(spec, **sizes, **data.draw(st.sampled_from(DEVICES)))
    assert spec.attention_flops(*sizes.values()) == spec.ledger(**sizes).by("module", 2)["decoder/attention"].flops


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_random_attention_between_layers(data):
    spec = dataclasses.replace(
        GNMT, cell=data.draw(st.sampled_from(["rnn", "gru", "lstm"])), d_embed=data.draw(dims), d_hidden=data.draw(dims),
        d_attention=data.draw(dims), n_layers=1 + data.draw(dims),
    )  # fmt: skip
    sizes = {"batch": data.draw(dims), "seq": data.draw(dims), "target": data.draw(dims)}
    assert_same_count(spec, **sizes, **data.draw(st.sampled_from(DEVICES)))
    assert spec.attention_flops(*sizes.values()) == spec.ledger(**sizes).by("module", 2)["decoder/attention"].flops


def test_gnmt_has_the_parameters_that_nvidia_counted():
    # "MLPerf GNMT has 160671297 parameters", say the tests of NVIDIA's distributed optimizer.
    assert preset("gnmt-v2").params() == 160_671_297


def test_a_gnmt_runs_and_its_decoder_sees_no_later_word():
    module = reference(GNMT, batch=1, seq=5, target=4, device="cpu").module
    source, target = torch.randint(11, (1, 5)), torch.randint(11, (1, 4))
    changed = target.clone()
    changed[0, 2] = (changed[0, 2] + 1) % 11
    with torch.no_grad():
        before, after, other = module(source, target), module(source, changed), module((source + 1) % 11, target)
    assert before.shape == (1, 4, 11)
    assert torch.isclose(before, after).all(-1)[0].tolist() == [True, True, False, False]
    assert not torch.isclose(before, other).all(-1).any()  # every word looks at the source


# Closed forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_recurrent_closed_forms_are_pytorchs_layers(cell, gates):
    layer = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell](5, 6)
    assert nm.recurrent_params(5, 6, gates) == sum(p.numel() for p in layer.parameters())
    spec = RecurrentSpec(name="one", cell=cell, widths=(6,), d_in=5)
    assert spec.flops(2, 7) == nm.recurrent_flops(2, 7, 5, 6, gates)
    assert spec.state_bytes(2, "fp32") == nm.recurrent_state_bytes(1, 6, 2, states=1 + (cell == "lstm"), dtype="fp32")
    assert spec.recurrent_weight_bytes("fp32") == 4 * gates * 6 * 6


def test_projection():
    layer = nn.LSTM(5, 6, proj_size=2)
    spec = RecurrentSpec(name="one", cell="lstm", widths=(6,), d_in=5, projection=2)
    assert spec.params() == nm.projected_lstm_params(5, 6, 2) == sum(p.numel() for p in layer.parameters())
    assert spec.state_bytes(1, "fp32") == 4 * (2 + 6)
    assert spec.recurrent_weight_bytes("fp32") == 4 * (layer.weight_hh_l0.numel() + layer.weight_hr_l0.numel())


def test_lstm_written_out_is_pytorchs():
    """The equations that the closed forms count: four gates of one product each with the input and the state."""
    torch.manual_seed(0)
    layer, x = nn.LSTM(5, 6), torch.randn(7, 2, 5)
    hidden, cell = torch.zeros(2, 6), torch.zeros(2, 6)
    for step in x:
        gates = step @ layer.weight_ih_l0.T + layer.bias_ih_l0 + hidden @ layer.weight_hh_l0.T + layer.bias_hh_l0
        enter, forget, candidate, out = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
        hidden = out.sigmoid() * cell.tanh()
    torch.testing.assert_close(layer(x)[0][-1], hidden)


def test_state_space_closed_forms_are_the_sums_of_the_rows():
    spec = preset("mamba-130m")
    block = (spec.d_model, spec.d_inner, spec.d_state, spec.dt_rank, spec.conv_kernel)
    ledger = spec.ledger(2, 16)
    mixer = [op for op in ledger if op.name.startswith("layers/mixer")]
    assert sum(op.params for op in mixer) == spec.n_layers * nm.mamba_block_params(*block)
    assert sum(op.flops for op in mixer if not op.overhead) == spec.n_layers * nm.mamba_block_flops(2, 16, *block)
    written = next(op.bytes_written for op in mixer if op.name.endswith("scan/decays"))
    assert written == spec.n_layers * nm.scan_state_bytes(2, 16, spec.d_inner, spec.d_state)
    scan = sum(op.other_flops for op in mixer if op.name.rpartition("/")[2] in ("decays", "inputs", "update"))
    assert scan == spec.n_layers * nm.scan_flops(2, 16, spec.d_inner, spec.d_state)


def test_a_state_costs_the_same_whatever_the_context():
    for name in ("mamba-130m", "lstm-ptb-large"):
        spec = preset(name)
        steps = [spec.ledger(1, 1, context).totals() for context in (2, 100_000)]
        assert steps[0] == steps[1]
        assert spec.kept_bytes(spec.resolve(3, 1, 9), "fp32") == {"kv_cache_bytes": 0.0, "state_bytes": spec.state_bytes(3, "fp32")}
    context = nm.state_cache_crossover_context(preset("mamba-130m").state_bytes(1) / 2, 12, 12, 64)
    assert preset("gpt2").kv_cache_bytes(1, round(context)) == preset("mamba-130m").state_bytes(1)


@pytest.mark.parametrize(("cell", "gates", "states"), [("rnn", 0, 1), ("lstm", 4, 2)])
def test_bptt_keeps_what_autograd_saves(cell, gates, states):
    """Of a layer written out: inputs, gates and states of each step; of an LSTM also the tanh of its cell, which kernels compute again."""
    batch, steps, d_in, width = 2, 7, 5, 6
    layer = {"rnn": nn.RNN, "lstm": nn.LSTM}[cell](d_in, width, bias=False)
    weights = {w.untyped_storage().data_ptr() for w in layer.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor  # keeps it alive, so that no other takes its place
        return tensor

    hidden, memory = torch.zeros(batch, width), torch.zeros(batch, width)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        for step in [torch.randn(batch, d_in) for _ in range(steps)]:
            gate = step @ layer.weight_ih_l0.T + hidden @ layer.weight_hh_l0.T
            if cell == "rnn":
                hidden = gate.tanh()
                continue
            enter, forget, candidate, out = gate.chunk(4, dim=1)
            memory = forget.sigmoid() * memory + enter.sigmoid() * candidate.tanh()
            hidden = out.sigmoid() * memory.tanh()
    held = sum(t.untyped_storage().nbytes() for storage, t in kept.items() if storage not in weights)
    again = steps * batch * width * 4 if cell == "lstm" else batch * width * 4  # the tanh of the cells; the first and last of the states
    assert held == nm.bptt_activation_bytes(batch, steps, d_in, width, gates, states, "fp32") + again


def test_bptt_of_a_stack_is_the_sum_of_its_layers():
    spec = preset("lstm-ptb-large")
    assert spec.bptt_activation_bytes(20, 35) == 2 * nm.bptt_activation_bytes(20, 35, 1500, 1500)


def test_dilated_receptive_field_is_what_a_convolution_sees():
    x = torch.zeros(1, 1, 64, requires_grad=True)
    out = x
    for _ in range(2):
        for layer in range(3):
            weight = torch.ones(1, 1, 3)
            out = nn.functional.conv1d(nn.functional.pad(out, (2 * 2**layer, 0)), weight, dilation=2**layer)
    out[0, 0, -1].backward()
    seen = nm.dilated_receptive_field(3, kernel=3, stacks=2)
    assert seen == int((x.grad != 0).sum())
    assert nm.dilated_layers(seen, kernel=3, stacks=2) == 3


def test_score_params_are_the_modules():
    assert reference(BAHDANAU).module.attention.queries.weight.numel() + 4 * 12 + 4 == nm.additive_score_params(6, 12, 4)
    assert sum(p.numel() for p in reference(LUONG).module.attention.parameters()) == nm.general_score_params(6, 6)


# Real passes and witnesses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [LSTM, MAMBA, BAHDANAU, LUONG, GNMT], ids=["lstm", "mamba", "bahdanau", "luong", "gnmt"])
def test_a_real_forward_pass(spec):
    built = reference(spec, batch=2, seq=3, device="cpu")
    out = built.module(**built.inputs)
    out = out.logits if hasattr(out, "logits") else out[0] if isinstance(out, tuple) else out
    assert out.shape == (2, 3, getattr(spec, "vocab", 0) or spec.d_out)
    assert out.isfinite().all()


def test_the_state_continues_where_the_tokens_before_left_off():
    module = reference(RecurrentSpec(name="lm", cell="lstm", widths=(6, 4), d_in=5, vocab=11, reference="recurrent"), device="cpu").module
    ids = torch.arange(8).reshape(1, 8)
    whole, _ = module(ids)
    first, state = module(ids[:, :5])
    rest, _ = module(ids[:, 5:], state)
    torch.testing.assert_close(torch.cat([first, rest], dim=1), whole)


def test_dot_product_attention_is_pytorchs():
    spec = Seq2SeqSpec(name="dot", cell="gru", d_embed=5, d_hidden=6, vocab=11, score="dot", reference="seq2seq")
    attention = reference(spec, device="cpu").module.attention
    query, memory = torch.randn(2, 3, 6), torch.randn(2, 4, 6)
    expected = nn.functional.scaled_dot_product_attention(query, memory, memory, scale=1.0)
    torch.testing.assert_close(attention(query, memory, memory), expected)


@pytest.mark.parametrize(
    ("spec", "sizes"),
    [
        (LSTM, {"seq": 3}),
        (MAMBA, {"seq": 3}),
        (MAMBA, {"seq": 1, "context": 4}),
        (BAHDANAU, {"seq": 3}),
        (LUONG, {"seq": 3}),
        (GNMT, {"seq": 3}),
    ],
)
def test_witnesses_have_nothing_unexplained(spec, sizes):
    found = readings(spec, batch=2, **sizes)
    assert {r.flops for r in found} == {found[0].flops}
    if spec is LSTM:
        assert [r.raw for r in found[2:]] == [0, 0]  # both see nothing in an LSTM on the CPU


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RecurrentSpec(name="x", cell="lstn", widths=(4,), d_in=2), "cell='lstn' is not known. Did you mean 'lstm'"),
        (lambda: RecurrentSpec(name="x", cell="lstm", widths=(4, 0), d_in=2), r"widths\[1\]=0 is out of range"),
        (lambda: RecurrentSpec(name="x", cell="lstm", widths=(), d_in=2), "widths is empty"),
        (lambda: RecurrentSpec(name="x", cell="gru", widths=(4,), d_in=2, projection=2), "projection=2 .*nearest: 0"),
        (lambda: RecurrentSpec(name="x", cell="gru", widths=(4,), d_in=2, vocab=5, tied_embeddings=True), "reads 4 values .*d_in=2"),
        (lambda: preset("bilstm-512").ledger(1, 4, 9), "context=9: .*carries no state; nearest: 4"),
        (lambda: preset("lstm-512").ledger(1, 4, 2), "context=2 is shorter than seq=4"),
        (lambda: RecurrentSpec(name="x", cell="gru", widths=(2,), d_in=1, separate_directions=True), "got bidirectional=False"),
        (lambda: RecurrentSpec(name="x", cell="gru", widths=(2,), d_in=1, characters=CHARACTERS, vocab=5), "vocab=5 tokens; nearest"),
        (lambda: CharacterCNN(n_characters=9, d_character=2, length=2, kernels=(3,), filters=(4,), highways=1), "has length=2 characters"),
        (lambda: preset("mamba-130m").ledger(1, 4, 9), "one token at a time; nearest: seq=1"),
        (lambda: StateSpaceSpec(name="x", n_layers=1, d_model=0, vocab=3), "d_model=0 is out of range"),
        (lambda: Seq2SeqSpec(name="x", cell="gru", d_embed=1, d_hidden=2, vocab=3, score="addition"), "Did you mean 'additive'"),
        (lambda: Seq2SeqSpec(name="x", cell="gru", d_embed=1, d_hidden=2, vocab=3, score="additive"), "d_attention=0 is out of range"),
        (
            lambda: Seq2SeqSpec(name="x", cell="gru", d_embed=1, d_hidden=2, vocab=3, score="dot", attention_first=True, d_maxout=1),
            "keys have 4 values and queries d_hidden=2; nearest: score='general'",
        ),
        (lambda: Seq2SeqSpec(name="x", cell="gru", d_embed=1, d_hidden=2, vocab=3, score="dot", d_maxout=1), "d_maxout=1: .*nearest: 0"),
        (
            lambda: Seq2SeqSpec(name="x", cell="gru", d_embed=1, d_hidden=2, vocab=3, score="dot", n_layers=2, attention_between=True),
            "attention_between: scores are additive",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()
