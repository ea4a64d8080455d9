"""Our DCGAN: no library has it."""

from __future__ import annotations

import torch

from ..specs.gan import GANSpec
from ..zoo.gan import Discriminator, Generator
from .plan import How, Plan


def plan(spec: GANSpec, sizes: dict[str, int], how: How) -> Plan:
    """Noise of ``[batch, latent]`` for the generator, images of ``[batch, image_channels, image, image]`` for the discriminator."""
    batch = sizes["batch"]
    levels = range(len(spec.channels))
    if spec.part == "generator":
        names = {"^project/": "project"} | {f"^up/{level}/": f"up_{level}" for level in levels}
        return Plan(lambda: Generator(spec), lambda: {"noise": torch.zeros(batch, spec.latent)}, names)
    names = {"^score/": "score"} | {f"^down/{level}/": f"down_{level}" for level in levels}
    image = (batch, spec.image_channels, spec.image, spec.image)
    return Plan(lambda: Discriminator(spec), lambda: {"image": torch.zeros(image)}, names)
