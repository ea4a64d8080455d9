"""UNets, autoencoders and diffusion transformers: against diffusers' modules, published figures and themselves."""

from __future__ import annotations

import pandas as pd
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import napkinmath as nm
from napkinmath import reference
from napkinmath.errors import InputError
from napkinmath.specs.autoencoder import AutoencoderSpec
from napkinmath.specs.dit import DiTSpec
from napkinmath.specs.unet import UNetSpec
from napkinmath.whiteboard import diffusion, dit, unet
from napkinmath.witnesses import readings
from tests.napkinmath.families import assert_published, assert_same_count

FAMILIES = ("unet", "autoencoder", "diffusion-transformer")
PRESETS = [spec for family in FAMILIES for spec in nm.presets(family)]

TINY_UNET = {
    "name": "tiny",
    "image": 8,
    "in_channels": 2,
    "out_channels": 2,
    "channels": (4, 8),
    "depth": (0, 1),
    "n_heads": (1, 1),
    "norm_groups": 4,
}
TINY_TEXT = {**TINY_UNET, "n_heads": (2, 4), "depth": (1, 2), "mid_depth": 2, "context_width": 6, "text_tokens": 3}
TINY_VAE = {"name": "tiny", "image": 8, "latent_channels": 2, "channels": (4, 8), "norm_groups": 4, "blocks_per_level": 1}
TINY_DIT = {"name": "tiny", "n_layers": 2, "d_model": 16, "n_heads": 2, "d_ff": 24, "patch": 2, "image": 32, "classes": 5, "time_width": 8}


@pytest.mark.parametrize("spec", PRESETS, ids=lambda s: s.name)
def test_whiteboard_counts_what_the_module_computes(spec):
    assert_same_count(spec, batch=2)


@pytest.mark.parametrize("spec", [UNetSpec(**TINY_UNET), UNetSpec(**TINY_TEXT), nm.sd_vae_decoder, nm.dit_s_2], ids=lambda s: s.name)
def test_the_cpus_fused_attention_counts_the_same(spec):
    assert_same_count(spec, batch=2, device="cpu", fake=True, attention="sdpa")


@pytest.mark.parametrize("spec", PRESETS, ids=lambda s: s.name)
def test_published_figures(spec):
    assert_published(spec)


# What the published figures leave out or add, to the digit -----------------------------------------------------------------


def values(ledger, kind):
    """Values that the rows of one kind write, in fp32."""
    return ledger.filter(lambda op: op.kind == kind).totals().bytes_written // 4


def test_thop_on_sd_1_5_is_reproduced_to_the_digit():
    ledger = nm.preset("sd-1.5").ledger()
    scores = ledger.by("kind")["attention"].macs
    # Group norms stand in residual blocks and before the projections; the others are layer norms, which thop prices at 4 a value.
    layer_norms = ledger.filter(lambda op: op.name.endswith(("attention/norm", "ffn/norm")))
    assert values(layer_norms, "norm") == 34_652_160
    assert ledger.macs - scores + 4 * values(layer_norms, "norm") == 338_749_194_240


def test_thop_on_the_decoder_is_reproduced_to_the_digit():
    ledger = nm.sd_vae_decoder.ledger()
    scores, latent = ledger.by("kind")["attention"].macs, ledger.by("module", 2)["decoder/latent"]
    assert ledger.macs - scores - latent.macs == 1_240_079_532_032
    assert ledger.params - latent.params == 49_490_179


@pytest.mark.parametrize(("image", "low", "high"), [(256, 118.635e9, 118.645e9), (512, 524.595e9, 524.605e9)])
def test_dit_xl_2_with_one_operation_for_each_value_that_its_layers_norm(image, low, high):
    spec = nm.dit_xl_2
    layers = spec.ledger(image=image).filter(lambda op: op.name.startswith("layers/"))
    assert values(layers, "norm") == 56 * spec.tokens(image) * spec.d_model
    assert low < spec.macs(image=image) + values(layers, "norm") < high


def test_diffusers_dit_is_larger_by_its_copies_of_the_condition():
    from diffusers import DiTTransformer2DModel

    spec = nm.dit_xl_2
    with torch.device("meta"):
        theirs = DiTTransformer2DModel(sample_size=32, out_channels=8)
    copies = (spec.n_layers - 1) * sum(spec.ledger().by("module", 1)[part].params for part in ("time", "label"))
    positions = spec.tokens() * spec.d_model  # a buffer there, a frozen parameter in the published code
    assert sum(p.numel() for p in theirs.parameters()) == spec.params() + copies - positions


def test_sd_1_5_latents_are_48_times_fewer_and_the_compute_is_another_number():
    assert nm.preset("sd-1.5").latent_values() == diffusion.latent_values(512) == 512 * 512 * 3 // 48
    assert diffusion.latent_compression() == 48


# Random specs ---------------------------------------------------------------------------------------------------------------


@st.composite
def unets(draw):
    levels = draw(st.integers(1, 3))
    text = draw(st.booleans())
    depth = [draw(st.integers(0, 2 if text else 1)) for _ in range(levels)]
    mid = (depth[-1] or draw(st.integers(1, 2))) if text else draw(st.integers(0, 1))
    channels = [8 * draw(st.integers(1, 3)) for _ in range(levels)]
    heads = [draw(st.sampled_from([1, 2, 4])) if text else 1 for _ in range(levels)]
    downscale = draw(st.sampled_from([1, 2]))
    return UNetSpec(
        name="random",
        image=downscale * 2 ** (levels - 1) * draw(st.integers(1, 3)),
        downscale=downscale,
        in_channels=draw(st.integers(1, 4)),
        out_channels=draw(st.integers(1, 4)),
        channels=channels,
        depth=depth,
        n_heads=heads,
        mid_depth=mid,
        blocks_per_level=draw(st.integers(1, 2)),
        context_width=draw(st.integers(1, 9)) if text else 0,
        text_tokens=draw(st.integers(1, 5)) if text else 0,
        linear_projection=text and draw(st.booleans()),
        added_width=6 * 256 + draw(st.integers(1, 9)) if text and draw(st.booleans()) else 0,
        norm_groups=4,
        reference="random",
    )


@given(spec=unets(), batch=st.integers(1, 3))
@settings(max_examples=8)
def test_any_unet(spec, batch):
    assert_same_count(spec, batch=batch)


@given(
    channels=st.lists(st.sampled_from([4, 8, 12]), min_size=1, max_size=3),
    part=st.sampled_from(["both", "encoder", "decoder"]),
    blocks=st.integers(1, 2),
    latent=st.integers(1, 4),
    batch=st.integers(1, 2),
)
@settings(max_examples=8)
def test_any_autoencoder(channels, part, blocks, latent, batch):
    fields = {**TINY_VAE, "channels": channels, "blocks_per_level": blocks, "latent_channels": latent, "part": part, "image": 12}
    assert_same_count(AutoencoderSpec(**fields), batch=batch)


@given(
    n_layers=st.integers(1, 3), heads=st.integers(1, 3), quarter=st.integers(1, 4), d_ff=st.integers(1, 20), patch=st.integers(1, 3),
    patches=st.integers(1, 3), downscale=st.sampled_from([1, 2, 8]), channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    batch=st.integers(1, 3),
)  # fmt: skip
@settings(max_examples=12)
def test_any_diffusion_transformer(n_layers, heads, quarter, d_ff, patch, patches, downscale, channels, batch):
    fields = {"n_layers": n_layers, "d_model": 4 * heads * quarter, "n_heads": heads, "d_ff": d_ff, "patch": patch, "downscale": downscale}
    inputs = {"image": downscale * patch * patches, "in_channels": channels[0], "out_channels": channels[1]}
    assert_same_count(DiTSpec(**{**TINY_DIT, **fields, **inputs}), batch=batch)


# Real passes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (UNetSpec(**TINY_UNET), (2, 2, 8, 8)),
        (UNetSpec(**TINY_TEXT), (2, 2, 8, 8)),
        (AutoencoderSpec(**TINY_VAE), (2, 3, 8, 8)),
        (AutoencoderSpec(**TINY_VAE, part="encoder"), (2, 4, 4, 4)),
        (AutoencoderSpec(**TINY_VAE, part="decoder"), (2, 3, 8, 8)),
        (DiTSpec(**TINY_DIT), (2, 8, 4, 4)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_real_pass(spec, shape, attention):
    built = reference(spec, 2, device="cpu", attention=attention)
    with torch.no_grad():
        out = built.module(**built.inputs)
    out = out if isinstance(out, torch.Tensor) else out.sample
    assert out.shape == shape
    assert out.isfinite().all()


def test_our_dit_computes_what_diffusers_does_with_the_same_weights():
    from diffusers import DiTTransformer2DModel

    spec = DiTSpec(**{**TINY_DIT, "d_ff": 64, "time_width": 256, "classes": 1000})
    ours = reference(spec, device="cpu", attention="sdpa").module
    torch.manual_seed(0)
    theirs = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, sample_size=4, norm_eps=1e-6
    ).eval()  # fmt: skip
    positions = theirs.pos_embed.pos_embed[0]
    torch.testing.assert_close(ours.positions.data, positions)
    condition = theirs.transformer_blocks[0].norm1.emb
    pairs = [
        (ours.patches, theirs.pos_embed.proj),
        (ours.time[0], condition.timestep_embedder.linear_1),
        (ours.time[2], condition.timestep_embedder.linear_2),
        (ours.label, condition.class_embedder.embedding_table),
        (ours.final_modulation, theirs.proj_out_1),
        (ours.final, theirs.proj_out_2),
    ]
    for layer, block in zip(ours.layers, theirs.transformer_blocks, strict=True):
        block.norm1.emb = condition
        pairs += [(layer.modulation, block.norm1.linear), (layer.attention.output, block.attn1.to_out[0])]
        pairs += [(layer.ffn[0], block.ff.net[0].proj), (layer.ffn[2], block.ff.net[2])]
        qkv = layer.attention.query_key_value
        for name in ("weight", "bias"):
            joined = torch.cat([getattr(getattr(block.attn1, part), name) for part in ("to_q", "to_k", "to_v")])
            getattr(qkv, name).data.copy_(joined)
    for mine, other in pairs:
        mine.load_state_dict(other.state_dict())
    latent, label = torch.randn(3, 4, 4, 4), torch.tensor([0, 1, 1000])
    # At time 0 both sinusoids are the same; elsewhere diffusers spaces its frequencies a little differently from the published code.
    time = torch.zeros(3, dtype=torch.long)
    with torch.no_grad():
        torch.testing.assert_close(ours(latent, time, label), theirs(latent, time, label).sample, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "spec", [UNetSpec(**TINY_TEXT), AutoencoderSpec(**TINY_VAE, part="decoder"), DiTSpec(**TINY_DIT)], ids=lambda s: type(s).__name__
)
def test_every_counter_agrees_after_its_named_corrections(spec):
    found = readings(spec, 2)
    assert {r.counter: r.flops for r in found} == dict.fromkeys((r.counter for r in found), spec.flops(2))


# Closed forms ---------------------------------------------------------------------------------------------------------------


def test_blocks_add_up_to_their_rows():
    spec = nm.preset("sd-1.5")
    parts, texts = spec.ledger(3).by("module", 2), ("projection", "self_attention", "cross_attention", "ffn")
    resnets = [unet.resnet_block_flops(3, 64, 64, 320, 320) for _ in range(2)]
    assert parts["down_0/resnet"].flops == sum(resnets) + 2 * nm.linear_flops(3, 1280, 320)
    assert parts["down_0/resnet"].params == 2 * (unet.resnet_block_params(320, 320) + nm.linear_params(1280, 320, bias=1))
    assert sum(parts[f"down_0/{part}"].flops for part in texts) == 2 * unet.spatial_transformer_flops(3, 64 * 64, 320, 77, 768)
    assert sum(parts[f"down_0/{part}"].params for part in texts) == 2 * unet.spatial_transformer_params(320, 768)


def test_scores_and_linear_maps_are_equal_at_the_crossover():
    channels = sympy.Symbol("channels", positive=True)
    positions = unet.spatial_score_crossover_positions(channels)
    scores = nm.attention_score_flops(1, 1, positions, positions, channels)
    linear = unet.spatial_transformer_flops(1, positions, channels, 0, 0) - scores - 2 * nm.linear_flops(positions, channels, channels)
    assert sympy.simplify(scores - linear) == 0


def test_dit_layers_add_up():
    spec = nm.dit_xl_2
    parts = spec.ledger(2, 512).by("module", 1)["layers"]
    dims = (spec.d_model, spec.d_ff, spec.n_heads, spec.d_head)
    assert parts.flops == spec.n_layers * dit.dit_layer_flops(2, dit.latent_patches(512), *dims)
    assert parts.params == spec.n_layers * dit.dit_layer_params(*dims)


def test_attention_share_grows_with_resolution():
    spec = nm.preset("sd-1.5")
    shares = [spec.score_flops_share(image) for image in (256, 512, 1024)]
    assert shares == sorted(shares)
    assert shares[1] == pytest.approx(63_026_135_040 / 401_636_720_640)


def test_guidance_doubles_the_denoiser_and_nothing_else():
    spec, decoder = nm.preset("sd-1.5"), nm.sd_vae_decoder.flops()
    guided = diffusion.sampling_flops(spec.flops(), steps=50, passes=2, once_flops=decoder)
    assert guided - decoder == spec.sampling_flops(steps=50, passes=2) == 100 * spec.flops()
    steps = diffusion.sampling_break_even_steps(spec.flops(), decoder, passes=2)
    assert spec.flops() * 2 * steps == pytest.approx(decoder)


def test_one_definition_serves_columns_and_symbols():
    steps = sympy.Symbol("steps")
    formula = diffusion.sampling_flops(10, steps, 2, 7)
    assert list(diffusion.sampling_flops(10, pd.Series([1, 50]), 2, 7)) == [int(formula.subs(steps, n)) for n in (1, 50)]


def test_a_video_is_its_frames_of_patches():
    one = diffusion.spacetime_tokens(1, 256, 256)
    assert one == nm.dit_xl_2.tokens()
    assert diffusion.spacetime_tokens(16, 256, 512, frames_per_latent=4, patch_frames=2) == 2 * 2 * one


# Bad input ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec_class", "fields", "message"),
    [
        (UNetSpec, {**TINY_UNET, "channels": (4, 10)}, r"channels\[1\]=10 is not a multiple of norm_groups=4; nearest: 8"),
        (UNetSpec, {**TINY_UNET, "depth": (0,)}, r"depth=\(0,\) has not one entry for each of the 2 levels"),
        (UNetSpec, {**TINY_UNET, "depth": (0, 2)}, "without text, attention is one layer"),
        (UNetSpec, {**TINY_UNET, "image": 7}, "image=7 is not a multiple of 2, which tiny needs; nearest: 8"),
        (UNetSpec, {**TINY_UNET, "context_width": 6}, "give both, or neither"),
        (UNetSpec, {**TINY_UNET, "n_heads": (1, 3)}, r"channels\[1\]=8 is not a multiple of n_heads\[1\]=3"),
        (AutoencoderSpec, {**TINY_VAE, "part": "decodr"}, "part='decodr' is not known. Did you mean 'decoder'"),
        (AutoencoderSpec, {**TINY_VAE, "image": 9}, "image=9 is not a multiple of 2"),
        (DiTSpec, {**TINY_DIT, "n_heads": 3}, "d_model=16 is not a multiple of n_heads=3; nearest: 15"),
        (DiTSpec, {**TINY_DIT, "image": 40}, "image=40 is not a multiple of 16, the side of a patch of tiny; nearest: 32"),
        (DiTSpec, {**TINY_DIT, "classes": 0}, "classes=0 is out of range"),
    ],
)
def test_bad_dimensions(spec_class, fields, message):
    with pytest.raises(InputError, match=message):
        spec_class(**fields)


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("sd-1.5", {"image": 500}, "nearest: 512"),
        ("ddpm-cifar10", {"context": 77}, "ddpm-cifar10 attends to no text"),
        ("dit-xl-2", {"seq": 7}, "seq=7: dit-xl-2 takes batch, image"),
        ("sdxl", {"batch": 0}, "batch=0 is out of range"),
    ],
)
def test_bad_sizes(name, sizes, message):
    with pytest.raises(InputError, match=message):
        nm.preset(name).resolve(**sizes)


def test_a_spec_that_the_module_cannot_be():
    with pytest.raises(InputError, match="one head at every level"):
        reference(UNetSpec(**{**TINY_UNET, "n_heads": (1, 2)}))
    with pytest.raises(InputError, match="the last level's depth"):
        reference(UNetSpec(**{**TINY_TEXT, "mid_depth": 1}))
