"""Models of images, clips and sound: every count against the module that runs, closed forms against rows, and printed figures."""

import dataclasses
import json

import pandas as pd
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napkinmath import memory, reference, trace
from napkinmath.cli import main
from napkinmath.errors import InputError
from napkinmath.specs import preset, presets
from napkinmath.specs.multimodal import MultimodalSpec
from napkinmath.whiteboard import multimodal as forms
from napkinmath.whiteboard.vision import patch_tokens
from napkinmath.witnesses import readings
from napkinmath.zoo.flamingo import CrossAttention
from tests.napkinmath.families import assert_published, assert_same_count

PRESETS = [spec for spec in presets() if isinstance(spec, MultimodalSpec)]

TOWER = {"n_layers": 2, "d_model": 8, "n_heads": 2, "d_ff": 12}
IMAGE = {**TOWER, "extent": [16, 16], "patch": [4, 4]}
TEXT = {"vocab": 20, "max_positions": 100, **TOWER}
TINY = {
    "clip": {"d_embed": 6, "vision": IMAGE, "text": {**TEXT, "d_model": 4}, "seq": 7},
    "clip_resnet": {"d_embed": 6, "resnet": {"blocks": [2, 1], "width": 4, "n_heads": 2, "image": 16}, "text": TEXT, "seq": 7},
    "siglip": {"d_embed": 8, "vision": IMAGE, "text": TEXT, "seq": 7},
    "llava": {"vision": IMAGE, "text": TEXT, "seq": 7},
    "blip2": {
        "vision": IMAGE,
        "text": TEXT,
        "qformer": {"n_layers": 3, "d_model": 6, "n_heads": 3, "d_ff": 10, "queries": 5, "every": 2},
        "seq": 7,
    },
    "flamingo": {
        "vision": {**IMAGE, "d_model": 4},
        "text": {**TEXT, "n_layers": 3},
        "resampler": {"n_layers": 2, "n_heads": 3, "d_head": 5, "latents": 6, "every": 2},
        "seq": 7,
    },
    "vilt": {"classes": 5, "vision": IMAGE, "text": {**TEXT, "token_types": 2}, "seq": 7},
    "vivit": {"classes": 5, "vision": {**IMAGE, "extent": [6, 16, 16], "patch": [3, 4, 4]}},
    "timesformer": {"classes": 5, "vision": {**IMAGE, "extent": [6, 16, 16], "patch": [1, 4, 4]}},
    "ast": {"classes": 5, "audio": {**TOWER, "extent": [20, 30], "patch": [6, 6], "stride": [4, 4]}},
    "wav2vec2": {
        "samples": 400,
        "waveform": {**TOWER, "channels": [4, 6], "kernels": [10, 3], "strides": [5, 2], "position_kernel": 8, "position_groups": 2},
    },
}


def tiny(kind, **towers):
    """A small model of that architecture, with some towers' fields changed."""
    row = {key: {**value, **towers.get(key, {})} if isinstance(value, dict) else value for key, value in TINY[kind].items()}
    return MultimodalSpec.from_row(f"tiny-{kind}", {"reference": kind, **row})


# Counts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", PRESETS, ids=lambda s: s.name)
def test_whiteboard_counts_what_the_module_runs(spec):
    assert_same_count(spec, batch=2)


@pytest.mark.parametrize("kind", TINY)
def test_the_cpus_fused_attention_counts_the_same(kind):
    assert_same_count(tiny(kind), batch=2, device="cpu", fake=True, attention="sdpa")


@pytest.mark.parametrize("spec", PRESETS, ids=lambda s: s.name)
def test_published_figures(spec):
    assert_published(spec)


def test_counts_that_were_printed_for_changed_heads():
    # https://huggingface.co/Temo27Anas/vivit-b-16x2-kinetics400-ft-6906: 46.1M params for 6 layers of 6 heads and 3 classes.
    vivit = preset("vivit-b-16x2")
    smaller = dataclasses.replace(vivit, classes=3, vision=dataclasses.replace(vivit.vision, n_layers=6, n_heads=6))
    assert round(smaller.params() / 1e6, 1) == 46.1
    # https://huggingface.co/FSis/20240905-175047-ast-finetuned-audioset-10-10-0.4593-afvad_voweli-bin-fold5: 86.2M params, two classes.
    assert round(dataclasses.replace(preset("ast"), classes=2).params() / 1e6, 1) == 86.2


@pytest.mark.parametrize(("name", "image"), [("clip-vit-b-32", 300), ("siglip-b-16", 256)])
def test_contrastive_models_resample_their_positions(name, image):
    assert_same_count(preset(name), batch=1, image=image, seq=9)


@settings(max_examples=24, deadline=None)
@given(
    kind=st.sampled_from(sorted(TINY)),
    heads=st.integers(1, 3),
    half_head=st.integers(1, 3),
    d_ff=st.integers(1, 20),
    n_layers=st.integers(2, 3),
    patch=st.integers(2, 6),
    batch=st.integers(1, 3),
    seq=st.integers(1, 9),
)
def test_random_models(kind, heads, half_head, d_ff, n_layers, patch, batch, seq):
    width = {"n_layers": n_layers, "d_model": 2 * heads * half_head, "n_heads": heads, "d_ff": d_ff}
    patches = {"vivit": [2, patch, patch], "timesformer": [1, patch, patch]}.get(kind, [patch, patch])
    stride = {"stride": [patch, 3]} if kind == "ast" else {}
    towers = {part: {**width, "patch": patches, **stride} for part in ("vision", "audio")}
    spec = tiny(kind, **towers, text=width, waveform={**width, "position_groups": heads})
    if kind == "siglip":
        spec = dataclasses.replace(spec, d_embed=width["d_model"])
    assert_same_count(spec, batch=batch, **({"seq": seq} if "seq" in spec.size_names else {}))


@pytest.mark.parametrize(("kind", "attention"), [*((kind, "sdpa") for kind in TINY), ("llava", "eager")])
def test_outside_counters_agree_after_their_named_corrections(kind, attention):
    assert {r.flops for r in readings(tiny(kind), 2, attention=attention)} == {tiny(kind).flops(2)}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", TINY)
def test_the_reference_really_runs_and_counts_the_same(kind, attention):
    spec = tiny(kind)
    built = reference(spec, 2, device="cpu", attention=attention)
    for value in built.inputs.values():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            value.normal_()
    with torch.no_grad():
        out = built.module(**built.inputs)
    shape = {
        "clip": (2, 2),
        "clip_resnet": (2, 2),
        "siglip": (2, 2),
        "llava": (2, 7 + 16, 20),
        "blip2": (2, 7 + 5, 20),
        "flamingo": (2, 7, 20),
        "wav2vec2": (2, 39, 8),
    }.get(kind, (2, 5))
    values = out if isinstance(out, torch.Tensor) else out.logits_per_image if "logits_per_image" in out else out[0]
    assert values.shape == shape
    assert torch.isfinite(values).all()
    assert trace(built.module, **built.inputs).flops == spec.flops(2)


def test_openclip_runs_all_queries_of_a_resnets_pool():
    """The five printed FLOPs are ours and the queries, scores and outputs of every position but the one that is used."""
    for name in ("rn50", "rn101", "rn50x4", "rn50x16", "rn50x64"):
        spec = preset(f"clip-{name}")
        (printed,) = (figure for figure in spec.published if figure.quantity == "flops")
        unused, width = spec.resnet.tokens - 1, spec.resnet.d_model
        low, high = printed.bounds()
        assert low <= spec.flops() + 2 * unused * width * (width + spec.d_embed) + 4 * unused * spec.resnet.tokens * width <= high


def test_a_resnet_has_positions_for_one_image_size():
    spec = preset("clip-rn50")
    with pytest.raises(InputError, match=r"image=256: the positions of clip-rn50 are for 224.*resized\(image=256\)"):
        spec.ledger(image=256)
    assert spec.resized(image=256).params() - spec.params() == (8**2 - 7**2) * 2048
    assert_same_count(spec.resized(image=64), batch=1)


# The modules that are ours ----------------------------------------------------------------------------------------------


def test_a_gate_at_zero_leaves_the_language_model_unchanged():
    built = reference(tiny("flamingo"), 2, device="cpu")
    model, ids = built.module, torch.randint(20, (2, 7))
    with torch.no_grad():
        before = model(torch.randn(2, 3, 16, 16), ids)
        assert torch.equal(before, model(torch.randn(2, 3, 16, 16), ids))
        for name, parameter in model.named_parameters():
            if name.endswith("_gate"):
                parameter.fill_(1.0)
        assert not torch.allclose(before, model(torch.randn(2, 3, 16, 16), ids))


def test_cross_attention_is_pytorchs():
    ours, theirs = (
        CrossAttention(8, 6, n_heads=2, d_head=4),
        torch.nn.MultiheadAttention(8, 2, bias=False, kdim=6, vdim=6, batch_first=True),
    )
    with torch.no_grad():
        for mine, other in zip((ours.query, ours.key, ours.value), ("q", "k", "v"), strict=True):
            getattr(theirs, f"{other}_proj_weight").copy_(mine.weight)
        theirs.out_proj.weight.copy_(ours.output.weight)
        x, context = torch.randn(2, 5, 8), torch.randn(2, 7, 6)
        torch.testing.assert_close(ours(x, context), theirs(x, context, context)[0])


def test_whole_images_get_vilts_own_answers():
    from napkinmath.references.multimodal import WholeImages

    vilt = reference(tiny("vilt"), 2, device="cpu").module
    ids, pixels = torch.randint(20, (2, 7)), torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(WholeImages(vilt)(ids, pixels), vilt(input_ids=ids, pixel_values=pixels).logits)


# What the rows say ------------------------------------------------------------------------------------------------------


def test_llava_computes_a_layer_that_nobody_reads():
    ledger = preset("llava-1.5-7b").ledger()
    wasted = [op for op in ledger if op.overhead]
    assert {op.name.split("/")[0] for op in wasted} == {"vision"}
    vision = sum(op.flops for op in ledger if op.name.startswith(("vision/attention", "vision/ffn")))
    assert sum(op.flops for op in wasted) == pytest.approx(vision / 24)


def test_wav2vec2_computes_a_position_that_is_cut_off():
    ledger = preset("wav2vec2-base").ledger(samples=16000)
    (extra,) = [op for op in ledger if op.overhead]
    assert preset("wav2vec2-base").waveform.tokens(16000) == 49
    assert extra.flops == 2 * 768 * 48 * 128


def test_an_image_fills_the_context_of_llava_and_not_that_of_flamingo():
    llava, flamingo = preset("llava-1.5-7b"), preset("flamingo-9b")
    assert (llava.image_tokens(), flamingo.image_tokens()) == (patch_tokens(336, 14), 64) == (576, 64)
    assert llava.kv_cache_bytes(1, 576) == forms.image_kv_cache_bytes(32, 32, 128, 576)
    assert llava.complete({"seq": 4096 - 576})["seq"] == 3520


def test_the_parts_of_blip_2_are_as_large_as_printed():
    # ViT 985M, Q-Former 105M, projection 2M, OPT 2.65B: the description in KerasHub's blip2_presets.py. The paper's Q-Former of 188M has
    # words and an FFN for them in each layer, which only pretraining reads.
    spec = preset("blip2-opt-2.7b")
    parts = {part: totals.params for part, totals in spec.ledger().by("module", 1).items()}
    assert parts["vision"] // 10**6 == 985 and round(parts["text"] / 1e9, 2) == 2.65
    assert (round(parts["qformer"] / 1e6), round(parts["projector"] / 1e6)) == (105, 2)
    words = 30522 * 768 + 512 * 768 + 12 * (2 * 768 * 3072 + 3072 + 768 + 2 * 768)
    assert round((parts["qformer"] + words) / 1e6) in range(185, 189)


@pytest.mark.parametrize("name", ["llava-1.5-7b", "blip2-opt-2.7b", "flamingo-9b"])
def test_inference_keeps_words_and_images(name):
    spec, sizes = preset(name), {"batch": 3, "seq": 50}
    seen = {"llava-1.5-7b": 50 + 576, "blip2-opt-2.7b": 50 + 32, "flamingo-9b": 50}[name]
    latents = 8 * 2 * 3 * 64 * 8 * 64 * 2 if name == "flamingo-9b" else 0  # blocks, keys and values, batch, latents, heads, widths, bytes
    rows = memory(spec, mode="inference", recipe="bf16", **sizes).rows
    assert rows["kv_cache"] == spec.text.kv_cache_bytes(3, seen) + latents
    assert rows["kv_cache"] == spec.kv_cache_bytes(3, 50) + spec.image_cache_bytes(3)


def test_what_generates_no_text_keeps_nothing():
    assert "kv_cache" not in memory("clip-vit-b-32", mode="inference").rows


# Closed forms -----------------------------------------------------------------------------------------------------------


def test_resampler_and_cross_attention_against_their_rows():
    spec = preset("flamingo-9b")
    parts = spec.ledger(2, seq=50).by(lambda op: op.name.split("/")[0])
    heads = {"n_heads": 8, "d_head": 64}
    resampler = {"params": 6 * forms.perceiver_layer_params(1024, d_ff=4096, **heads) + 64 * 1024 + 2 * 1024}
    assert parts["resampler"].params == resampler["params"]
    assert parts["resampler"].flops == 6 * forms.perceiver_layer_flops(2, 256, 64, 1024, d_ff=4096, **heads)
    assert parts["cross"].params == 8 * forms.gated_cross_attention_params(4096, 1024, d_ff=16384, **heads)
    assert parts["cross"].flops == 8 * forms.gated_cross_attention_flops(2, 50, 64, 4096, 1024, d_ff=16384, **heads)
    assert preset("llava-1.5-7b").ledger().by("module", 1)["projector"].params == forms.projector_params(1024, 4096)


@pytest.mark.parametrize("name", ["clip-vit-b-32", "vilt-b-32", "vivit-b-16x2", "ast"])
def test_tokens_and_scores_against_their_rows(name):
    spec = preset(name)
    scores = {op.name.split("/")[0]: op.flops for op in spec.ledger() if op.kind == "attention"}
    expected = {
        "clip-vit-b-32": {
            "vision": 12 * 4 * patch_tokens(224, 32, 1) ** 2 * 768,
            "text": 12 * 4 * 77**2 * 512,
        },
        "vilt-b-32": {"stream": forms.early_fusion_score_flops(12, patch_tokens(384, 32, 1), 40, 768)},
        "vivit-b-16x2": {"vision": 12 * 4 * (forms.video_tokens(32, 224, 16, 2) + 1) ** 2 * 768},
        "ast": {"audio": 12 * 4 * (forms.spectrogram_tokens(1024) + 2) ** 2 * 768},
    }
    assert scores == expected[name]


@pytest.mark.parametrize("name", ["timesformer-b", "timesformer-b-hr", "timesformer-b-l"])
def test_divided_attention_is_scores_in_time_and_in_space(name):
    spec = preset(name)
    frames, image = spec.vision.extent[0], spec.vision.extent[-1]
    places, rows = patch_tokens(image, 16), spec.ledger().by("name")
    time, space = (rows[f"vision/{axis}/attention/scores"].flops for axis in ("time", "space"))
    assert time + 12 * 4 * frames * places**2 * 768 == forms.divided_space_time_score_flops(12, frames, places, 768)
    assert space == 12 * 4 * frames * (places + 1) ** 2 * 768
    assert forms.divided_clip_flops(frames, image, 16, 12, 768, 3072) == spec.flops() - rows["head/classes"].flops


def test_time_attention_is_a_third_more_parameters():
    # Table 1 of arXiv:2102.05095: 121.4M with divided attention, 85.9M without any over time; both with the 174 classes of SSv2.
    divided = dataclasses.replace(preset("timesformer-b"), classes=174).ledger()
    over_time = sum(op.params for op in divided if "time" in op.name)
    assert [round(params / 1e6, 1) for params in (divided.params, divided.params - over_time)] == [121.4, 85.9]


def test_clips_of_tubelets_and_of_single_frames():
    vivit, vit = preset("vivit-b-16x2"), preset("vit-b-16")
    assert forms.tubelet_clip_flops(32, 224, 16, 2, 12, 768, 3072) == vivit.flops() - vivit.ledger().by("name")["head/classes"].flops
    heads = vit.flops(8) - vit.ledger(8).by("name")["head/class"].flops
    assert forms.per_frame_clip_flops(8, 224, 16, 12, 768, 3072) == heads
    over_time = forms.per_frame_clip_flops(8, 224, 16, 12, 768, 3072, temporal_layers=4) - heads
    layers = preset("bert-base").ledger(1, seq=8).filter(lambda op: op.name.startswith("layers/")).flops
    assert 12 * over_time == 4 * layers


def test_contrastive_logits():
    clip = preset("clip-vit-b-32")
    assert clip.ledger(48).by("name")["contrastive/logits"].flops == forms.contrastive_logits_flops(48, 512)
    # OpenAI's batch of 32,768 (arXiv:2103.00020): 4 GiB of fp32 similarities, of which each of 256 devices needs 16 MiB.
    assert clip.contrastive_logits_bytes(32768) == 2**32
    assert clip.contrastive_logits_bytes(32768, devices=256) == 2**24


@given(batch=st.integers(2, 12), temperature=st.floats(0.02, 2), margin=st.floats(0, 1))
def test_contrastive_loss_is_the_cross_entropy_of_such_a_batch(batch, temperature, margin):
    cosines = margin * torch.eye(batch, dtype=torch.float64)
    loss = torch.nn.functional.cross_entropy(cosines / temperature, torch.arange(batch)).item()
    assert forms.contrastive_loss(batch, temperature, margin) == pytest.approx(loss, rel=1e-9, abs=1e-12)


# image_gflops and text_gflops of https://github.com/mlfoundations/open_clip/blob/main/docs/model_profile.csv
@pytest.mark.parametrize(
    ("name", "vision", "text"),
    [("clip-vit-b-32", 8.82, 5.96), ("clip-vit-b-16", 35.13, 5.96), ("clip-vit-l-14", 162.03, 13.3), ("siglip-b-16", 35.42, 11.02)],
)
def test_each_encoder_of_a_dual_encoder_takes_the_printed_flops(name, vision, text):
    spec = preset(name)
    assert round(spec.encoder_ledger("vision").flops / 1e9, 2) == vision
    assert round(spec.encoder_ledger("text").flops / 1e9, 2) == text


def test_only_a_dual_encoder_has_encoders_that_run_apart():
    with pytest.raises(InputError, match="vilt-b-32 has no encoders"):
        preset("vilt-b-32").encoder_ledger("text")
    with pytest.raises(InputError, match="tower='audio' is not known; choose 'vision' or 'text'"):
        preset("clip-vit-b-32").encoder_ledger("audio")


@given(n=st.integers(1, 5), image=st.integers(1, 300), text=st.integers(1, 300), d=st.integers(1, 64))
def test_early_fusion_is_late_fusion_and_two_crosses(n, image, text, d):
    late, cross = forms.late_fusion_score_flops(n, image, text, d), forms.cross_fusion_score_flops(n, image, text, d)
    assert forms.early_fusion_score_flops(n, image, text, d) == late + 2 * cross


@given(n=st.integers(1, 5), frames=st.integers(1, 50), places=st.integers(1, 300), d=st.integers(1, 64))
def test_divided_attention_sees_one_row_and_one_column(n, frames, places, d):
    joint, divided = (form(n, frames, places, d) for form in (forms.joint_space_time_score_flops, forms.divided_space_time_score_flops))
    assert joint * (frames + places) == divided * frames * places


def test_spectrogram_frames_are_those_of_an_stft():
    for samples in (400, 559, 560, 16000):
        framed = torch.zeros(samples).unfold(0, 400, 160)
        assert forms.spectrogram_frames(samples) == framed.shape[0]


def test_one_definition_serves_numbers_columns_and_symbols():
    batch = sympy.Symbol("global_batch")
    formula = forms.contrastive_logits_bytes(batch, 8, "fp32")
    column = forms.contrastive_logits_bytes(pd.Series([512, 32768]), 8, "fp32")
    assert list(column) == [int(formula.subs(batch, b)) for b in (512, 32768)]


# Bad input --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("clip-vit-b-32", {"frames": 8}, "frames=8: clip-vit-b-32 takes batch, image, seq"),
        ("clip-vit-b-32", {"seq": 78}, "seq=78 exceeds the 77 positions of clip-vit-b-32; nearest: 77"),
        ("clip-vit-b-32", {"image": 20}, "holds no patch of 32; nearest: 32"),
        ("llava-1.5-7b", {"seq": 4000}, "seq=4000 beside 576 image tokens exceeds the 4096 positions of llava-1.5-7b; nearest: 3520"),
        ("llava-1.5-7b", {"image": 224}, "image=224: the positions of llava-1.5-7b are for 336.* or resized"),
        ("vivit-b-16x2", {"frames": 16}, "frames=16: the positions of vivit-b-16x2 are for 32.*nearest: 32"),
        ("wav2vec2-base", {"samples": 399}, "samples=399 make no token; nearest: 400"),
        ("wav2vec2-base", {"samples": 1.5}, "samples=1.5 is not a whole number"),
    ],
)
def test_bad_sizes(name, sizes, message):
    with pytest.raises(InputError, match=message):
        preset(name).ledger(**sizes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fusion": "contrastiv"}, "fusion='contrastiv' is not known. Did you mean 'contrastive'"),
        ({"text": None}, "fusion='contrastive' needs text"),
        ({"fusion": "none", "vision": None}, "takes one of vision, audio and waveform"),
        ({"unused_layers": 12}, "unused_layers=12: the vision tower has 12"),
        ({"reference": "clop"}, "reference='clop' .*'clip'"),
        ({"d_embed": -1}, "d_embed=-1 is out of range"),
    ],
)
def test_bad_dimensions(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(preset("clip-vit-b-32"), **change)


@pytest.mark.parametrize(
    ("kind", "towers", "message"),
    [
        ("wav2vec2", {"waveform": {"position_groups": 3}}, "position_groups=3 does not divide d_model=8"),
        ("wav2vec2", {"waveform": {"kernels": [3]}}, "channels, kernels and strides differ in length"),
        ("vilt", {"text": {"d_model": 6}}, "d_model=8 of vision must be that of text in a single stream; nearest: 6"),
        ("timesformer", {"vision": {"extent": [16, 16], "patch": [4, 4]}}, "divided attention takes clips"),
        ("flamingo", {"resampler": {"latents": 0}}, "latents=0 is out of range"),
    ],
)
def test_bad_towers(kind, towers, message):
    with pytest.raises(InputError, match=message):
        tiny(kind, **towers)


def test_resized_models_are_built_for_their_size():
    longer = tiny("vivit").resized(frames=12)
    assert longer.params() - tiny("vivit").params() == 2 * 16 * 8  # two more tubelets of 16 places, 8 values each
    assert_same_count(longer)
    assert_same_count(tiny("llava").resized(image=24))
    with pytest.raises(InputError, match="reads a waveform of any length"):
        tiny("wav2vec2").resized(frames=2)


def test_what_a_model_has_not():
    with pytest.raises(InputError, match="generates no text"):
        preset("clip-vit-b-32").kv_cache_bytes(1, 8)
    with pytest.raises(InputError, match="sees no images"):
        preset("ast").image_tokens()
    with pytest.raises(InputError, match="as wide as its vision tower; nearest: 8"):
        reference(dataclasses.replace(tiny("siglip"), d_embed=9))


def test_the_command_line_lists_and_counts(capsys):
    assert main(["presets", "--family", "vision-language", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["dimensions"]["vision"]["n_layers"] == 24 and rows[0]["dimensions"]["text"]["n_layers"] == 32
    assert main(["cost", "llava", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["by_module"]["vision/attention"]["flops"] > 0
