"""DCGAN (Radford et al. 2015, arXiv:1511.06434): generator and discriminator, convolutions and batch norms all the way."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from ..specs.gan import GANSpec


class Generator(nn.Module):
    """Noise of ``[batch, latent]`` to images of ``[batch, image_channels, image, image]`` in (-1, 1)."""

    def __init__(self, spec: GANSpec) -> None:
        super().__init__()
        first = spec.channels[0]
        self.project = nn.Sequential(
            nn.ConvTranspose2d(spec.latent, first, spec.start, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True)
        )
        self.up = nn.ModuleList(self._up(spec, d_in, d_out) for d_in, d_out in pairwise(spec.channels))
        self.up.append(nn.Sequential(self._conv(spec, spec.channels[-1], spec.image_channels), nn.Tanh()))

    @staticmethod
    def _conv(spec: GANSpec, d_in: int, d_out: int) -> nn.ConvTranspose2d:
        return nn.ConvTranspose2d(d_in, d_out, spec.kernel, 2, spec.padding, output_padding=spec.kernel % 2, bias=False)

    @classmethod
    def _up(cls, spec: GANSpec, d_in: int, d_out: int) -> nn.Sequential:
        return nn.Sequential(cls._conv(spec, d_in, d_out), nn.BatchNorm2d(d_out), nn.ReLU(inplace=True))

    def forward(self, noise: Tensor) -> Tensor:
        x = self.project(noise[:, :, None, None])
        for up in self.up:
            x = up(x)
        return x


class Discriminator(nn.Module):
    """Images of ``[batch, image_channels, image, image]`` to one score each, ``[batch]``: positive for real."""

    def __init__(self, spec: GANSpec) -> None:
        super().__init__()
        widths = (spec.image_channels, *spec.channels)
        self.down = nn.ModuleList(self._down(spec, d_in, d_out, level > 0) for level, (d_in, d_out) in enumerate(pairwise(widths)))
        self.score = nn.Conv2d(spec.channels[-1], 1, spec.start, bias=False)

    @staticmethod
    def _down(spec: GANSpec, d_in: int, d_out: int, normalised: bool) -> nn.Sequential:
        norm = [nn.BatchNorm2d(d_out)] if normalised else []  # not on the first layer: it would hide what the image looks like
        return nn.Sequential(nn.Conv2d(d_in, d_out, spec.kernel, 2, spec.padding, bias=False), *norm, nn.LeakyReLU(0.2, inplace=True))

    def forward(self, image: Tensor) -> Tensor:
        for down in self.down:
            image = down(image)
        return self.score(image).flatten()
