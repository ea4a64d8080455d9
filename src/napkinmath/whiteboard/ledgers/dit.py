"""The diffusion transformer's rows, in the order of execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...ledger import Ledger
from .rows import Rows

if TYPE_CHECKING:
    from ...specs.dit import DiTSpec


def dit_ledger(spec: DiTSpec, batch: int, image: int, dtype: str, attention: str) -> Ledger:
    """Rows of one denoising pass of ``spec``; inputs are validated by :meth:`DiTSpec.ledger`."""
    rows = Rows(dtype)
    side, width, patches = image // spec.downscale, spec.d_model, spec.tokens(image)
    tokens, values = batch * patches, batch * patches * spec.d_model

    def modulated_norm(part: str) -> None:
        rows.pointwise(f"{part}/norm", "norm", "layernorm", values)
        rows.pointwise(f"{part}/scale", "elementwise", "mul", values)
        rows.pointwise(f"{part}/shift", "elementwise", "add", values)

    def gated_residual(part: str) -> None:
        rows.pointwise(f"{part}/gate", "elementwise", "mul", values)
        rows.pointwise(f"{part}/residual", "elementwise", "add", values, inputs=2)

    rows.conv2d("patches/conv", batch, side, side, spec.in_channels, width, spec.patch, stride=spec.patch, padding=0, bias=True)
    rows.pointwise("patches/add_positions", "elementwise", "add", values, params=patches * width)
    rows.matmul("time/linear1", batch, spec.time_width, width, bias=True)
    rows.pointwise("time/activation", "elementwise", "silu", batch * width)
    rows.matmul("time/linear2", batch, width, width, bias=True)
    rows.gather("label/table", batch, spec.classes + 1, width)
    rows.pointwise("label/add", "elementwise", "add", batch * width, inputs=2)

    first = len(rows.ops)
    rows.pointwise("layers/modulation/activation", "elementwise", "silu", batch * width)
    rows.matmul("layers/modulation/linear", batch, width, 6 * width, bias=True)
    modulated_norm("layers/attention")
    rows.matmul("layers/attention/query_key_value", tokens, width, 3 * width, bias=True)
    rows.attention("layers/attention", batch, spec.n_heads, patches, patches, spec.d_head, how=attention)
    rows.matmul("layers/attention/output", tokens, width, width, bias=True)
    gated_residual("layers/attention")
    modulated_norm("layers/ffn")
    rows.matmul("layers/ffn/up", tokens, width, spec.d_ff, bias=True)
    rows.pointwise("layers/ffn/activation", "elementwise", "gelu_tanh", tokens * spec.d_ff)
    rows.matmul("layers/ffn/down", tokens, spec.d_ff, width, bias=True)
    gated_residual("layers/ffn")
    rows.repeat(spec.n_layers, first)

    rows.pointwise("final/activation", "elementwise", "silu", batch * width)
    rows.matmul("final/modulation", batch, width, 2 * width, bias=True)
    modulated_norm("final")
    rows.matmul("final/linear", tokens, width, spec.patch**2 * spec.out_channels, bias=True)
    return rows.ledger(f"{spec.name} batch={batch} image={image} {dtype}")
