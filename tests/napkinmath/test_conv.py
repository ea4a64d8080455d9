"""Convolutional networks: every count against the module that runs, and closed forms against rows, torch and one another."""

import dataclasses
import json

import pandas as pd
import pytest
import sympy
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch.nn.utils.fusion import fuse_conv_bn_eval

import napkinmath as nm
from napkinmath import reference, trace
from napkinmath.cli import main
from napkinmath.errors import InputError
from napkinmath.specs import preset, presets
from napkinmath.specs.conv import STYLES, ConvSpec, Stage
from napkinmath.whiteboard import conv as forms
from napkinmath.witnesses import readings
from napkinmath.zoo.conv import PlainCNN
from tests.napkinmath.families import assert_published, assert_same_count

PRESETS = [spec for spec in presets() if isinstance(spec, ConvSpec)]
RESNET_STEM = {"kernel": 7, "stride": 2, "pool": 3, "pool_stride": 2, "pool_padding": 1}


def network(kind, **fields):
    """A spec of a reference architecture's style, whose stages are given as dictionaries."""
    fields["stages"] = tuple(Stage(**stage) for stage in fields["stages"])
    fields["stem"] = Stage(**fields["stem"]) if fields.get("stem") else None
    return ConvSpec(**{"name": "random", "reference": kind, "classes": 5, **STYLES[kind], **fields})


TINY = [
    network("plain", image=20, stages=[{"channels": 4, "blocks": 2, "pool": 2}, {"channels": 6, "stride": 2}], hidden=(7,), head_pool=0),
    network("resnet", block="basic", image=32, stem={"channels": 4, **RESNET_STEM}, stages=[{"channels": 4}, {"channels": 8, "stride": 2}]),
    network("resnet", block="bottleneck", image=32, stem={"channels": 4, **RESNET_STEM}, stages=[{"channels": 8, "blocks": 2}]),
    dataclasses.replace(preset("mobilenet-v2"), image=32, classes=5),
    dataclasses.replace(preset("efficientnet-b0"), image=32, classes=5, width_coefficient=0.2),
    network(
        "convnext", image=32, stem={"channels": 4, "kernel": 4, "stride": 4, "padding": 0},
        stages=[{"channels": 4, "kernel": 7}, {"channels": 8, "blocks": 2, "kernel": 7, "stride": 2}],
    ),
]  # fmt: skip


# Counts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", PRESETS, ids=lambda s: s.name)
def test_whiteboard_counts_what_the_module_runs(spec):
    assert_same_count(spec)


@pytest.mark.parametrize("spec", PRESETS, ids=lambda s: s.name)
def test_published_figures(spec):
    assert_published(spec)


@pytest.mark.parametrize("name", ["alexnet", "resnet-18", "mobilenet-v2", "efficientnet-b0", "convnext-tiny"])
def test_the_cpus_own_operators_count_the_same_at_another_size_and_batch(name):
    assert_same_count(preset(name), device="cpu", fake=True, attention="sdpa", batch=2, image=90)


channels = st.integers(1, 8)
plain_stages = st.one_of(
    st.fixed_dictionaries(
        {"channels": channels, "kernel": st.integers(1, 5), "stride": st.integers(1, 3), "padding": st.sampled_from([None, 0, 1, 2])},
        optional={"pool": st.integers(2, 3), "pool_stride": st.integers(1, 3), "pool_padding": st.integers(0, 1)},
    ),
    st.fixed_dictionaries({"channels": channels, "blocks": st.integers(2, 3), "kernel": st.sampled_from([1, 3, 5])}),
)
plain = st.fixed_dictionaries(
    {
        "image": st.integers(8, 40),
        "stages": st.lists(plain_stages, min_size=1, max_size=3),
        "in_channels": channels,
        "hidden": st.lists(channels, max_size=2).map(tuple),
        "head_pool": st.integers(0, 3),
    }
).map(lambda fields: {"kind": "plain", **fields})


@st.composite
def resnets(draw):
    block = draw(st.sampled_from(["basic", "bottleneck"]))
    widths = draw(st.lists(st.sampled_from([4, 8, 12]), min_size=1, max_size=3))
    strides = [draw(st.integers(1, 2))] + [2] * (len(widths) - 1)
    stages = [{"channels": c, "stride": s, "blocks": draw(st.integers(1, 3))} for c, s in zip(widths, strides, strict=True)]
    stem = {"channels": draw(channels), **RESNET_STEM}
    return {"kind": "resnet", "block": block, "image": draw(st.integers(8, 70)), "stem": stem, "stages": stages}


@st.composite
def efficientnets(draw):
    def stage():
        kernel, stride, expand = draw(st.sampled_from([3, 5])), draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 6]))
        return {
            "channels": draw(st.integers(8, 40)),
            "blocks": draw(st.integers(1, 2)),
            "kernel": kernel,
            "stride": stride,
            "expand": expand,
        }

    return {
        "kind": "efficientnet",
        "image": 2 * draw(st.integers(4, 40)),
        "stem": {"channels": 32, "stride": 2},
        "stages": [stage() for _ in range(draw(st.integers(1, 3)))],
        "head_channels": 1280,
        "width_coefficient": draw(st.sampled_from([0.1, 0.35, 1.0, 1.1])),
        "depth_coefficient": draw(st.sampled_from([0.5, 1.0, 1.4])),
    }


@st.composite
def convnexts(draw):
    widths, patch = draw(st.lists(channels, min_size=1, max_size=3)), draw(st.integers(1, 4))
    stages = [
        {"channels": c, "blocks": draw(st.integers(1, 3)), "kernel": 7, "stride": 2 if number else 1} for number, c in enumerate(widths)
    ]
    stem = {"channels": widths[0], "kernel": patch, "stride": patch, "padding": 0}
    return {"kind": "convnext", "image": draw(st.integers(8, 60)), "stem": stem, "stages": stages}


@settings(max_examples=40)
@given(fields=st.one_of(plain, resnets(), efficientnets(), convnexts()), batch=st.integers(1, 3))
def test_random_networks_count_what_their_modules_run(fields, batch):
    try:
        spec = network(**fields)
    except InputError:
        reject()
    if spec.reference == "efficientnet" and spec.width_coefficient == 1 and any(s.channels % 8 for s in spec.stages):
        with pytest.raises(InputError, match="has multiples of 8"):
            reference(spec, batch=batch)
        return
    assert_same_count(spec, batch=batch)


@pytest.mark.parametrize("name", ["lenet-5", "resnet-18", "convnext-tiny"])
def test_every_counter_agrees_after_its_named_corrections(name):
    spec = preset(name)
    sizes = {"batch": 2, "image": 32 if name == "lenet-5" else 64}
    found = {reading.counter: reading.flops for reading in readings(spec, **sizes)}
    assert found == dict.fromkeys(("whiteboard", "trace", "fvcore", "torch.utils.flop_counter"), spec.flops(**sizes))


def test_fvcore_counts_efficientnets_convolutions_as_nothing():
    whiteboard, _, fvcore, counter = readings("efficientnet-b0", image=64)
    skipped = next(c for c in fvcore.corrections if "padding is a word" in c.reason)
    assert whiteboard.flops == fvcore.flops == counter.flops
    assert skipped.flops / fvcore.flops > 0.95


# Modules ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", TINY, ids=lambda s: s.block)
def test_the_references_really_run(spec):
    built = reference(spec, batch=2, device="cpu")
    out = built.module(**{"pixel_values": torch.randn(2, 3, spec.image, spec.image)})
    logits = getattr(out, "logits", out)
    assert logits.shape == (2, 5)
    assert torch.isfinite(logits).all()


def test_plain_network_equals_torch_layers_in_a_row():
    spec = TINY[0]
    ours = PlainCNN(spec)
    convs = [nn for nn in ours.modules() if isinstance(nn, torch.nn.Conv2d)]
    relu, pool, flat = torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten()
    theirs = torch.nn.Sequential(
        convs[0], relu, convs[1], relu, pool, convs[2], relu, flat, ours.hidden[0], relu, ours.classifier
    )  # fmt: skip
    x = torch.randn(3, 3, 20, 20)
    torch.testing.assert_close(ours(x), theirs(x))


def test_folding_batch_norms_leaves_the_outputs_and_the_folded_count():
    spec = TINY[1]
    module = reference(spec, device="cpu").module
    for norm in (m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)):  # away from the identity they start as
        torch.nn.init.uniform_(norm.running_mean)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    x = torch.randn(2, 3, 32, 32)
    before = module(x).logits
    for layer in [m for m in module.modules() if hasattr(m, "normalization")]:
        layer.convolution, layer.normalization = fuse_conv_bn_eval(layer.convolution, layer.normalization), torch.nn.Identity()
    torch.testing.assert_close(module(x).logits, before)
    folded, traced = spec.ledger(2, 32, folded=True), trace(module, x)
    assert (folded.params, folded.flops) == (traced.params, traced.flops)
    assert folded.flops == spec.flops(2, 32)
    assert not [op for op in folded if op.kind == "norm"]


@pytest.mark.parametrize("name", ["resnet-50", "convnext-tiny"])
def test_feature_maps_are_the_hidden_states(name):
    spec = preset(name)
    built = reference(spec, image=230)
    states = built.module(**built.inputs, output_hidden_states=True).hidden_states
    assert list(spec.feature_maps(230).values()) == [tuple(state.shape[1:]) for state in states]


# Closed forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "number", "params"),
    [
        ("resnet-34", 2, forms.basic_block_params(128)),
        ("resnet-50", 3, forms.bottleneck_params(1024)),
        ("mobilenet-v2", 4, forms.inverted_residual_params(64, 64)),
        ("efficientnet-b0", 3, forms.inverted_residual_params(40, 40, kernel=5) + forms.squeeze_excite_params(240, 10)),
        ("convnext-tiny", 2, forms.convnext_block_params(192)),
    ],
)
def test_one_more_block_adds_its_closed_form(name, number, params):
    spec = preset(name)
    stages = list(spec.stages)
    stages[number - 1] = dataclasses.replace(stages[number - 1], blocks=stages[number - 1].blocks + 1)
    assert dataclasses.replace(spec, stages=tuple(stages)).params() - spec.params() == params


def test_a_separable_block_costs_its_closed_form():
    rows = {op.name: op for op in preset("mobilenet-v2").ledger(batch=3)}
    both = rows["stage1/depthwise/conv"].flops + rows["stage1/project/conv"].flops
    assert both == forms.depthwise_separable_flops(3, 112, 112, in_channels=32, out_channels=16)
    squeeze = preset("efficientnet-b0").ledger(batch=3).filter(lambda op: op.name.startswith("stage1/squeeze_excite"))
    assert squeeze.flops == forms.squeeze_excite_flops(3, channels=32, hidden=8)


@given(width=st.integers(1, 512), kernel=st.integers(1, 11))
def test_separable_saving_is_the_ratio_of_the_flops(width, kernel):
    full = forms.conv2d_flops(1, 7, 7, 3 * width, width, kernel)
    separable = forms.depthwise_separable_flops(1, 7, 7, 3 * width, width, kernel)
    assert full / separable == pytest.approx(forms.depthwise_separable_saving(width, kernel))


def test_im2col_is_as_large_as_torchs_unfold():
    unfolded = torch.nn.functional.unfold(torch.zeros(2, 5, 12, 12), kernel_size=3, stride=2, padding=1)
    assert forms.im2col_bytes(2, 6, 6, in_channels=5, kernel=3, dtype="fp32") == unfolded.numel() * 4


def test_bytes_of_a_convolution_are_those_of_its_row():
    row = next(op for op in preset("resnet-50").ledger(2, 224) if op.name == "stage2/conv/conv")
    assert forms.conv2d_bytes(2, 28, 28, 128, 128, kernel=3, stride=2) == row.bytes_moved


@pytest.mark.parametrize(
    "stages",
    [
        [{"channels": 2, "kernel": 5, "padding": 0, "pool": 2}, {"channels": 2, "blocks": 3}],
        [{"channels": 2, "stride": 2, "kernel": 4, "padding": 1, "pool": 3, "pool_stride": 2}, {"channels": 2, "kernel": 5, "stride": 2}],
    ],
)
def test_receptive_field_is_where_the_gradient_reaches(stages):
    spec = network("plain", image=121, stages=stages, head_pool=0)
    module = PlainCNN(spec)
    for parameter in module.parameters():
        torch.nn.init.ones_(parameter)  # nothing cancels and no ReLU closes
    x = torch.ones(1, 3, 121, 121, requires_grad=True)
    y = x
    for stage in module.stages:
        if stage.pool.__class__ is torch.nn.MaxPool2d:  # the maximum sends its gradient to one pixel, the average to all it sees
            stage.pool = torch.nn.AvgPool2d(stage.pool.kernel_size, stage.pool.stride)
        y = stage(y)
    y[0, 0, y.shape[2] // 2, y.shape[3] // 2].backward()
    assert spec.receptive_field() == int((x.grad[0, 0].sum(dim=0) != 0).sum())


def test_receptive_fields_by_hand():
    # Three 3x3 layers see what one 7x7 layer sees, with 27 / 49 of its weights.
    assert forms.stacked_receptive_field(3, 3) == forms.stacked_receptive_field(1, 7) == 7
    # ResNet-50: 11 pixels behind the stem; then 3, 4, 6 and 3 kernels of 3, the first of each stage before the stage's stride.
    assert preset("resnet-50").receptive_field() == 11 + 8 * 3 + (8 + 16 * 3) + (16 + 32 * 5) + (32 + 64 * 2)


def test_head_of_the_two_convolution_network_holds_nearly_all_parameters():
    spec = preset("two-conv-224")
    head = forms.flatten_linear_params(64, 56, 56, 128)
    assert head == spec.ledger().by("module", 2)["head/fc1"].params
    assert head / spec.params() > 0.999
    assert preset("two-conv-28").ledger().by("module", 2)["head/fc1"].params == 3136 * 128 + 128


def test_compound_scaling_is_close_to_the_family_it_scaled():
    # B1's coefficients are not powers of alpha, beta and gamma, so only the order of the growth can agree.
    growth = preset("efficientnet-b1").flops() / preset("efficientnet-b0").flops()
    assert growth == pytest.approx(forms.compound_scaling_flops(1), rel=0.1)


def test_one_definition_serves_numbers_columns_and_symbols():
    width = sympy.Symbol("width", positive=True)
    for form in (
        lambda c: forms.depthwise_separable_saving(c),
        lambda c: forms.depthwise_break_even_channels(c),
        lambda c: forms.conv2d_intensity(1, 14, 14, 64, c, 3, dtype="fp32"),
        lambda c: forms.winograd_multiply_saving(c, 3),
    ):
        column = form(pd.Series([2, 96]))
        assert list(column) == pytest.approx([float(form(width).subs(width, n)) for n in (2, 96)])


# Input ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": 0}, "image=0 is out of range; allowed: 1 to .*nearest: 1"),
        ({"image": 3, "stages": [{"channels": 4, "kernel": 5, "padding": 0}]}, "image=3 is too small: no pixel is left behind stage1"),
        ({"stages": []}, "stages is empty; give at least one"),
        ({"stages": [{"channels": 4, "expand": 6}]}, "expand=6: plain blocks have no such field; nearest: expand=1"),
        ({"stages": [{"channels": 4, "blocks": 2, "kernel": 2}]}, "blocks=2 keep their size"),
        ({"stages": [{"channels": 4, "pool": 2, "pool_padding": 2}]}, "pool_padding=2 is more than half of pool=2; nearest: 1"),
        ({"block": "bottleneck", "stages": [{"channels": 6}]}, "channels=6: .* multiple of 4; nearest: 8"),
        ({"block": "basic", "stages": [{"channels": 6, "kernel": 4}]}, "kernel=4: basic blocks keep the size.*nearest: 5"),
        ({"block": "botleneck"}, "block='botleneck' is not known. Did you mean 'bottleneck'"),
        ({"reference": "resnett"}, "reference='resnett'.*'resnet'"),
        ({"width_coefficient": float("nan")}, "width_coefficient=nan is out of range; allowed: 0.01 to 100"),
        ({"hidden": (0,)}, "hidden=0 is out of range"),
    ],
)
def test_bad_dimensions_name_the_input_and_the_nearest_choice(fields, message):
    fields = {"image": 32, "stages": [{"channels": 4}], **fields}
    with pytest.raises(InputError, match=message):
        network("plain", **fields)


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("two-conv-28", 32, "image=32: the head of two-conv-28 fits a flattened image of 28 only; nearest: 28"),
        ("alexnet", 20, "image=20 is too small: no pixel is left behind stage2 of alexnet; its own: 224"),
        ("convnext-tiny", 31, "image=31 is too small: no pixel is left behind stage4 of convnext-tiny; its own: 224"),
        ("resnet-50", -1, "image=-1 is out of range"),
    ],
)
def test_an_image_that_does_not_fit(name, image, message):
    with pytest.raises(InputError, match=message):
        preset(name).ledger(image=image)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("efficientnet-b0", {"image": 225}, "image=225: .*even images; nearest: 226"),
        ("mobilenet-v2", {"stages": preset("mobilenet-v2").stages[:3]}, "stages=.*the mobilenet_v2 architecture has stages="),
        ("resnet-18", {"squeeze": 4}, "squeeze=4: the resnet architecture has squeeze=0"),
        ("convnext-tiny", {"width_coefficient": 2.0}, "width_coefficient=2.0: the convnext architecture has"),
    ],
)
def test_a_reference_refuses_what_its_architecture_cannot_express(name, fields, message):
    with pytest.raises(InputError, match=message):
        reference(dataclasses.replace(preset(name), **fields))


def test_like_takes_dimensions_and_no_published_figures():
    base, scaled = preset("efficientnet-b0"), preset("efficientnet-b7")
    assert scaled.stages == base.stages
    assert scaled.published_params != base.published_params
    assert nm.efficientnet_b7.scaled().head_channels == 2560


def test_the_command_takes_an_image_size(capsys):
    assert main(["cost", "resnet-50", "--image", "256", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert cost["params"] == 25_557_032
    assert cost["macs"] == preset("resnet-50").macs(1, 256)


def test_a_module_that_runs_gets_images_that_vary_and_are_always_the_same():
    first, second = (reference("lenet-5", 2, device="cpu").inputs["pixel_values"] for _ in range(2))
    assert first.std() > 0.9
    assert torch.equal(first, second)
