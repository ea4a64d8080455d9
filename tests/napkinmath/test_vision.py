"""Vision transformers: every count against the module that runs, closed forms against rows, and figures that others printed."""

import json

import pandas as pd
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import napkinmath as nm
from napkinmath import reference
from napkinmath.cli import main
from napkinmath.errors import InputError
from napkinmath.specs import preset, presets
from napkinmath.specs.vision import Tower, VisionSpec
from napkinmath.whiteboard import vision as forms
from napkinmath.witnesses import readings
from tests.napkinmath.families import assert_published, assert_same_count

PRESETS = [spec for spec in presets() if isinstance(spec, VisionSpec)]
TINY = {"name": "tiny", "image": 32, "patch": 8, "n_layers": 2, "n_heads": 2, "d_model": 8, "d_ff": 16, "classes": 5}
TINY_SWIN = {**TINY, "image": 48, "patch": 2, "n_layers": (2, 2), "n_heads": (1, 2), "window": 3, "special_tokens": 0}


# Counts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", PRESETS, ids=lambda s: s.name)
def test_whiteboard_counts_what_the_module_runs(spec):
    assert_same_count(spec, batch=2)


@pytest.mark.parametrize("name", ["deit-ti", "deit-b-distilled", "swin-t"])
def test_the_cpus_fused_attention_counts_the_same(name):
    assert_same_count(preset(name), batch=2, device="cpu", fake=True, attention="sdpa")


@pytest.mark.parametrize("spec", PRESETS, ids=lambda s: s.name)
def test_published_figures(spec):
    assert_published(spec)


@pytest.mark.parametrize("image", [384, 230, 250])
@pytest.mark.parametrize("name", ["deit-ti", "swin-t"])
def test_other_images_than_the_published_ones(name, image):
    assert_same_count(preset(name), image=image)


@settings(max_examples=15, deadline=None)
@given(
    reference=st.sampled_from(["vit", "deit"]),
    patch=st.integers(2, 6),
    grid=st.integers(1, 4),
    more=st.integers(0, 9),
    heads=st.integers(1, 3),
    d_head=st.integers(1, 4),
    d_ff=st.integers(1, 20),
    n_layers=st.integers(1, 2),
    channels=st.integers(1, 3),
    batch=st.integers(1, 2),
)
def test_random_vits(reference, patch, grid, more, heads, d_head, d_ff, n_layers, channels, batch):
    spec = VisionSpec(
        name="random", reference=reference, image=patch * grid, patch=patch, n_layers=n_layers, n_heads=heads, d_model=heads * d_head,
        d_ff=d_ff, channels=channels, classes=3, special_tokens={"vit": 1, "deit": 2}[reference],
    )  # fmt: skip
    assert_same_count(spec, batch=batch, image=patch * grid + more)


@settings(max_examples=15, deadline=None)
@given(
    patch=st.integers(1, 4),
    window=st.integers(2, 4),
    image=st.integers(40, 70),
    heads=st.integers(1, 2),
    d_head=st.integers(1, 4),
    ratio=st.integers(1, 4),
    depths=st.lists(st.integers(1, 3), min_size=1, max_size=2),
    batch=st.integers(1, 2),
)
def test_random_swins(patch, window, image, heads, d_head, ratio, depths, batch):
    stages = {"n_layers": tuple(depths), "n_heads": tuple(heads * 2**i for i in range(len(depths)))}
    width = {"d_model": heads * d_head, "d_ff": ratio * heads * d_head}
    spec = VisionSpec(name="random", reference="swin", image=64, patch=patch, window=window, classes=3, special_tokens=0, **stages, **width)
    assert_same_count(spec, batch=batch, image=image)


@pytest.mark.parametrize("name", ["deit-ti", "swin-t"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_outside_counters_agree_after_their_named_corrections(name, attention):
    assert {r.flops for r in readings(name, 1, attention=attention)} == {preset(name).flops(1)}


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [({"reference": "vit"}, (40,)), ({"reference": "deit", "special_tokens": 2}, (32,)), ({"reference": "swin"}, (50,))],
)
def test_the_reference_really_runs(fields, sizes):
    spec = VisionSpec(**{**(TINY_SWIN if fields["reference"] == "swin" else TINY), **fields})
    built = reference(spec, 2, *sizes, device="cpu", attention="sdpa")
    built.inputs["pixel_values"].normal_()
    with torch.no_grad():
        logits = built.module(**built.inputs).logits
    assert logits.shape == (2, 5)
    assert torch.isfinite(logits).all()


# What the rows say ------------------------------------------------------------------------------------------------------


def test_a_bigger_image_resamples_positions_and_keeps_the_parameters():
    small, large = (preset("vit-b-16").ledger(1, image) for image in (224, 384))
    assert small.params == large.params
    assert [op.name for op in large if op.overhead] == ["embeddings/resample_positions"]
    assert not any(op.overhead for op in small)


def test_windows_that_do_not_fill_the_grid_are_overhead():
    spec = preset("swin-t")
    assert not any(op.overhead for op in spec.ledger(1, 224))
    ledger = spec.ledger(1, 256)  # grids of 64, 32, 16 and 8 tokens, padded to 70, 35, 21 and 14
    assert spec.grids(256) == (64, 32, 16, 8)
    for i, (grid, side) in enumerate(((64, 70), (32, 35), (16, 21), (8, 14))):
        inside = [op for op in ledger if op.name.startswith(f"stage{i + 1}/attention/")]
        needed, wasted = (sum(op.flops for op in inside if op.overhead is overhead) for overhead in (False, True))
        assert wasted / needed == pytest.approx((side**2 - grid**2) / grid**2)
        scores = next(op for op in inside if op.name.endswith("/scores"))
        assert scores.flops == spec.n_layers[i] * forms.window_score_flops(1, grid, grid, 7, 96 * 2**i)


def test_every_second_window_is_shifted_where_there_are_several():
    shifts = {op.name.split("/")[0]: op.count for op in preset("swin-t").ledger() if op.name.endswith("/shift")}
    assert shifts == {"stage1": 2, "stage2": 2, "stage3": 6}  # there and back; the last stage is a single window


def test_fused_and_eager_attention_differ_in_bytes_and_not_in_flops():
    fused, eager = (preset("vit-b-16").ledger(1, attention=a).totals() for a in ("fused", "eager"))
    assert (fused.flops, fused.params) == (eager.flops, eager.params)
    assert fused.bytes_moved < eager.bytes_moved


# Closed forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [s for s in PRESETS if s.reference == "vit"], ids=lambda s: s.name)
def test_closed_forms_of_the_whole_vit(spec):
    sizes = {"n_layers": spec.n_layers[0], "d_model": spec.d_model, "d_ff": spec.d_ff, "patch": spec.patch}
    assert forms.vit_params(image=spec.image, **sizes) == spec.params()
    for image in (spec.image, 2 * spec.image):
        assert forms.vit_flops(3, image, **sizes) == spec.flops(3, image)


def test_closed_forms_of_a_stage():
    spec = preset("swin-b")
    ledger = spec.ledger(2).by("module", 2)
    assert ledger["stage1/merging"].params == forms.patch_merging_params(128)
    assert ledger["stage1/merging"].flops == forms.patch_merging_flops(2, 56, 56, 128)
    tables = sum(op.params for op in spec.ledger() if op.name.endswith("relative_positions"))
    assert tables == sum(n * forms.relative_position_params(7, h) for n, h in zip(spec.n_layers, spec.n_heads, strict=True))


@given(tokens=st.integers(30, 300), merged=st.integers(0, 5), n_layers=st.integers(1, 6), d=st.integers(1, 9), d_ff=st.integers(1, 9))
def test_token_merging_is_the_sum_over_layers(tokens, merged, n_layers, d, d_ff):
    total = 0
    for layer in range(n_layers):
        left = forms.tokens_after_merging(tokens, merged, layer)
        total += 8 * left * d * d + 4 * left**2 * d + 4 * (left - merged) * d * d_ff
    assert forms.token_merging_flops(1, tokens, merged, n_layers, d, d_ff) == total


@pytest.mark.parametrize(
    ("name", "merged", "printed"),
    [("deit-s", 8, 3.4), ("deit-s", 13, 2.7), ("deit-s", 16, 2.3), ("deit-ti", 8, 0.9), ("deit-ti", 12, 0.8), ("deit-ti", 16, 0.6)],
)
def test_token_merging_as_its_paper_prints_it(name, merged, printed):
    # Bolya et al. 2022 (arXiv:2210.09461), listed at https://www.paperswithcode.com/paper/token-merging-your-vit-but-faster;
    # what it calls GFLOPs are multiply-accumulates.
    assert preset(name).token_merging_flops(merged) / 2e9 == pytest.approx(printed, abs=0.0501)


def test_one_definition_serves_numbers_columns_and_symbols():
    image, d = sympy.symbols("image d_model", positive=True, integer=True)
    assert forms.patch_tokens(image, 16, 1).subs(image, 224) == 197
    assert sympy.simplify(forms.score_crossover_image(16, d, 4 * d) - 16 * sympy.sqrt(6 * d)) == 0
    assert list(forms.padded_to_window(pd.Series([56, 50, 7]), 7)) == [56, 56, 7]
    assert list(forms.vit_flops(1, pd.Series([224, 384]), 12, 768, 3072, 16)) == [preset("vit-b-16").flops(1, i) for i in (224, 384)]
    assert nm.patch_merging_params is forms.patch_merging_params


def test_scores_and_linear_maps_cost_the_same_at_the_crossover():
    tokens = (forms.score_crossover_image(16, 768, 3072) / 16) ** 2
    assert 4 * tokens**2 * 768 == pytest.approx(tokens * (8 * 768**2 + 4 * 768 * 3072))


# Bad input --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 0}, "patch=0 is out of range"),
        ({"n_heads": 3}, "d_model=8 is not a multiple of n_heads=3"),
        ({"n_layers": (1, 2)}, "n_layers=.* and n_heads=.* differ in length"),
        ({"n_layers": (1, 2), "n_heads": (1, 2)}, "several stages need a window"),
        ({"special_tokens": 3}, r"special_tokens=3; allowed: 1 \(class\), 2"),
        ({"window": 2}, "windows have no class token, the mean is used; nearest: 0"),
        ({"reference": "vti"}, "reference='vti' .*'vit'"),
        ({"patch": 64}, "image=32 is too small for one patch of 64; nearest: 64"),
        (
            {"image": 7, "patch": 2, "window": 5, "special_tokens": 0},
            "image=7 is too small for 5 x 5 windows in its last stage; nearest: 9",
        ),
    ],
)
def test_bad_dimensions(change, message):
    with pytest.raises(InputError, match=message):
        VisionSpec(**{**TINY, **change})


@pytest.mark.parametrize("window", [2, 3, 7])
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_the_nearest_image_is_the_smallest_that_works(window, stages):
    dims = {**TINY, "patch": 4, "n_layers": (1,) * stages, "n_heads": (1,) * stages, "window": window, "special_tokens": 0, "image": 500}
    spec = VisionSpec(**dims)
    with pytest.raises(InputError, match="nearest") as refusal:
        spec.flops(1, 4)
    nearest = int(str(refusal.value).rpartition(" ")[2])
    assert spec.flops(1, nearest) > 0
    with pytest.raises(InputError):
        spec.flops(1, nearest - 1)


def test_bad_towers_and_merging():
    with pytest.raises(InputError, match="differ in length"):
        Tower(n_layers=1, d_model=4, n_heads=1, d_ff=4, extent=(8, 8), patch=(2,))
    with pytest.raises(InputError, match="holds no patch of 9; nearest: 9"):
        Tower(n_layers=1, d_model=4, n_heads=1, d_ff=4, extent=(8, 8), patch=(9, 9))
    with pytest.raises(InputError, match="swin-t has windows"):
        preset("swin-t").token_merging_flops(4)
    with pytest.raises(InputError, match="merged=17 .* nearest: 16"):
        preset("deit-s").token_merging_flops(17)
    with pytest.raises(InputError, match="takes a multiple of d_model"):
        reference(VisionSpec(**{**TINY_SWIN, "d_ff": 61, "d_model": 14, "reference": "swin"}))
    with pytest.raises(InputError, match="the deit architecture has 2"):
        reference(VisionSpec(**TINY, reference="deit"))


def test_the_command_line_counts_an_image(capsys):
    assert main(["cost", "deit-s", "--image", "384", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert (cost["image"], cost["params"], cost["flops"]) == (384, 22_050_664, preset("deit-s").flops(1, 384))
    assert main(["cost", "deit-s", "--image", "4"]) == 2
    assert capsys.readouterr().err == "napkinmath: image=4 is too small for one patch of 16; nearest: 16\n"
