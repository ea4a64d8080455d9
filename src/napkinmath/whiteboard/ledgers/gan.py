"""The DCGAN's rows, in the order of execution."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from ...ledger import Ledger
from .. import conv, gan
from .rows import Rows

if TYPE_CHECKING:
    from ...specs.gan import GANSpec


def gan_ledger(spec: GANSpec, batch: int, dtype: str) -> Ledger:
    """Rows of one pass of ``spec``; inputs are validated by :meth:`GANSpec.ledger`."""
    rows = Rows(dtype)
    if spec.part == "generator":
        _generator(rows, spec, batch)
    else:
        _discriminator(rows, spec, batch)
    return rows.ledger(f"{spec.name} batch={batch} {dtype}")


def _generator(rows: Rows, spec: GANSpec, batch: int) -> None:
    def conv_transpose(name: str, side: int, d_in: int, d_out: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
        out = gan.conv_transpose_output_size(side, kernel, stride, padding, output_padding)
        params, results = conv.conv2d_params(d_in, d_out, kernel), batch * d_out * out**2
        rows.add(
            name,
            "conv",
            flops=gan.conv_transpose2d_flops(batch, side, side, d_in, d_out, kernel),
            read=batch * d_in * side**2 + params,
            written=results,
            params=params,
            shape=((batch, d_in, side, side), (d_in, d_out, kernel, kernel)),
            layout=(
                ("stride", (stride, stride)),
                ("padding", (padding, padding)),
                ("dilation", (1, 1)),
                ("groups", 1),
                ("transposed", True),
            ),
        )
        return out

    def normalise(name: str, side: int, channels: int) -> None:
        values = batch * channels * side**2
        rows.pointwise(f"{name}/norm", "norm", "layernorm", values, params=2 * channels)
        rows.pointwise(f"{name}/activation", "elementwise", "relu", values)

    side = conv_transpose("project/conv", 1, spec.latent, spec.channels[0], spec.start, 1, 0, 0)
    normalise("project", side, spec.channels[0])
    for level, (d_in, d_out) in enumerate(pairwise((*spec.channels, spec.image_channels))):
        side = conv_transpose(f"up_{level}/conv", side, d_in, d_out, spec.kernel, 2, spec.padding, spec.kernel % 2)
        if level < len(spec.channels) - 1:
            normalise(f"up_{level}", side, d_out)
    rows.pointwise(f"up_{level}/tanh", "elementwise", "tanh", batch * spec.image_channels * side**2)


def _discriminator(rows: Rows, spec: GANSpec, batch: int) -> None:
    side = spec.image
    for level, (d_in, d_out) in enumerate(pairwise((spec.image_channels, *spec.channels))):
        side, _ = rows.conv2d(f"down_{level}/conv", batch, side, side, d_in, d_out, spec.kernel, stride=2, padding=spec.padding)
        values = batch * d_out * side**2
        if level:
            rows.pointwise(f"down_{level}/norm", "norm", "layernorm", values, params=2 * d_out)
        rows.pointwise(f"down_{level}/activation", "elementwise", "relu", values)
    rows.conv2d("score/conv", batch, side, side, spec.channels[-1], 1, spec.start, padding=0)
