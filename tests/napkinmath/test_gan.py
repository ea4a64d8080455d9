"""DCGAN: whiteboard against our module, random specs, and a real pass."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import napkinmath as nm
from napkinmath import reference
from napkinmath.errors import InputError
from napkinmath.specs.gan import GANSpec
from napkinmath.whiteboard import gan
from napkinmath.witnesses import readings
from tests.napkinmath.families import assert_published, assert_same_count

TINY = {"name": "tiny", "part": "generator", "latent": 5, "channels": (8, 4), "start": 2}


@pytest.mark.parametrize("spec", nm.presets("gan"), ids=lambda s: s.name)
def test_presets(spec):
    assert_same_count(spec, batch=2)
    assert_published(spec)
    assert spec.image == 64


@given(
    part=st.sampled_from(["generator", "discriminator"]), channels=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    batch=st.integers(1, 3), latent=st.integers(1, 9), kernel=st.sampled_from([4, 5]), start=st.integers(1, 5),
    image_channels=st.integers(1, 4),
)  # fmt: skip
@settings(max_examples=40)
def test_any_gan(part, channels, batch, latent, kernel, start, image_channels):
    fields = {"latent": latent, "kernel": kernel, "start": start, "image_channels": image_channels}
    assert_same_count(GANSpec(name="random", part=part, channels=channels, **fields), batch=batch)


@pytest.mark.parametrize("kernel", [4, 5])
def test_a_real_pass(kernel):
    generator = reference(GANSpec(**TINY, kernel=kernel), 3, device="cpu")
    discriminator = reference(GANSpec(**{**TINY, "part": "discriminator", "channels": (4, 8)}, kernel=kernel), 3, device="cpu")
    with torch.no_grad():
        image = generator.module(torch.randn(3, 5))
        score = discriminator.module(image)
    assert image.shape == (3, 3, 8, 8)
    assert image.abs().max() <= 1
    assert score.shape == (3,)
    assert score.isfinite().all()


def test_every_counter_agrees_after_its_named_corrections():
    found = readings(GANSpec(**TINY), 2)
    assert {r.counter: r.flops for r in found} == dict.fromkeys((r.counter for r in found), GANSpec(**TINY).flops(2))


def test_a_transposed_convolution_costs_what_the_convolution_back_costs():
    # The same weights from 8x8 down to 4x4, and from 4x4 up to 8x8.
    assert gan.conv_transpose_output_size(4, kernel=4, stride=2, padding=1) == 8
    assert nm.conv_output_size(8, kernel=4, stride=2, padding=1) == 4
    assert gan.conv_transpose2d_flops(1, 4, 4, 6, 3, kernel=4) == nm.conv2d_flops(1, 4, 4, 3, 6, kernel=4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": "genrator"}, "Did you mean 'generator'"),
        ({"kernel": 3}, "kernel=3: allowed: 4, 5; nearest: 4"),
        ({"channels": ()}, "is empty"),
        ({"channels": (8, 0)}, r"channels\[1\]=0 is out of range"),
    ],
)
def test_bad_dimensions(change, message):
    with pytest.raises(InputError, match=message):
        GANSpec(**{**TINY, **change})
