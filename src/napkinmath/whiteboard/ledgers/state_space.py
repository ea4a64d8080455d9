"""Mamba's rows, in the order of execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...elementwise import FLOPS_PER_ELEMENT
from ...ledger import Ledger
from .rows import Rows

if TYPE_CHECKING:
    from ...specs.state_space import StateSpaceSpec


def state_space_ledger(spec: StateSpaceSpec, batch: int, seq: int, context: int, dtype: str) -> Ledger:
    """Rows of one forward pass of ``spec``; inputs are validated by :meth:`StateSpaceSpec.ledger`."""
    rows = Rows(dtype)
    tokens = batch * seq
    rows.gather("embeddings/tokens", tokens, spec.vocab, spec.d_model)
    first_row = len(rows.ops)
    rows.pointwise("layers/norm/norm", "norm", "rmsnorm", tokens * spec.d_model, params=spec.d_model)
    mixer_rows(rows, spec, batch, seq, has_state=context > seq)
    rows.pointwise("layers/residual/add", "elementwise", "add", tokens * spec.d_model, inputs=2)
    rows.repeat(spec.n_layers, first_row)
    rows.pointwise("final_norm/norm", "norm", "rmsnorm", tokens * spec.d_model, params=spec.d_model)
    rows.matmul("lm_head/logits", tokens, spec.d_model, spec.vocab, bias=False, tied=spec.tied_embeddings)
    return rows.ledger(f"{spec.name} batch={batch} seq={seq} context={context} {dtype}")


def mixer_rows(rows: Rows, spec: StateSpaceSpec, batch: int, seq: int, *, has_state: bool) -> None:
    """One block between norm and residual: in, convolution, selection, scan, gate, out."""
    tokens, inner = batch * seq, spec.d_inner
    rows.matmul("layers/mixer/in_projection", tokens, spec.d_model, 2 * inner, bias=False)
    convolution_rows(rows, spec, batch, seq, unused=1 if has_state else spec.conv_kernel - 1)
    rows.pointwise("layers/mixer/conv_silu", "elementwise", "silu", tokens * inner)

    rows.matmul("layers/mixer/selection", tokens, inner, spec.dt_rank + 2 * spec.d_state, bias=False)
    rows.matmul("layers/mixer/step_size", tokens, spec.dt_rank, inner, bias=False)
    rows.pointwise("layers/mixer/step_size_bias", "elementwise", "add", tokens * inner, params=inner)
    rows.pointwise("layers/mixer/step_size_softplus", "elementwise", "softplus", tokens * inner)
    scan_rows(rows, spec, batch, seq)

    rows.pointwise("layers/mixer/skip", "elementwise", "skip", tokens * inner, inputs=2, params=inner)
    rows.pointwise("layers/mixer/gate_silu", "elementwise", "silu", tokens * inner)
    rows.pointwise("layers/mixer/gate", "elementwise", "mul", tokens * inner, inputs=2)
    rows.matmul("layers/mixer/out_projection", tokens, inner, spec.d_model, bias=False)


def convolution_rows(rows: Rows, spec: StateSpaceSpec, batch: int, seq: int, *, unused: int) -> None:
    """The depthwise convolution, and the ``unused`` positions that are computed and cut off.

    Without a state transformers pads both ends by ``conv_kernel - 1``; with one, it convolves a window that is one token too long.
    """
    inner, kernel = spec.d_inner, spec.conv_kernel
    per_position = 2 * batch * inner * kernel
    params = inner * (kernel + 1)
    rows.add(
        "layers/mixer/conv", "conv", flops=seq * per_position, other_flops=batch * seq * inner, read=batch * seq * inner + params,
        written=batch * seq * inner, params=params, shape=((batch, inner, seq), (inner, 1, kernel)),
        layout=(("stride", (1,)), ("padding", (kernel - 1,)), ("dilation", (1,)), ("groups", inner)),
    )  # fmt: skip
    if unused:
        written = batch * unused * inner
        rows.add("layers/mixer/conv_cut_off", "conv", flops=unused * per_position, other_flops=written, written=written, overhead=True)


def scan_rows(rows: Rows, spec: StateSpaceSpec, batch: int, seq: int) -> None:
    """Decays and inputs of all tokens at once, then a state that is updated and read token by token."""
    inner, state = spec.d_inner, spec.d_state
    tokens, states = batch * seq, batch * seq * inner * state
    rates = inner * state
    rows.add("layers/mixer/scan/rates", "elementwise", other_flops=2 * rates, read=rates, written=rates, params=rates, op="exp")
    rows.add("layers/mixer/scan/decays", "elementwise", other_flops=2 * states, read=tokens * inner + rates, written=states, op="exp")
    read = 2 * tokens * inner + tokens * state
    rows.add("layers/mixer/scan/inputs", "elementwise", other_flops=2 * states, read=read, written=states, op="mul")
    rows.add(
        "layers/mixer/scan/update", "elementwise", other_flops=(FLOPS_PER_ELEMENT["mul"] + FLOPS_PER_ELEMENT["add"]) * states,
        read=3 * states, written=states, count=seq, op="addcmul", shape=((batch, inner, state),),
    )  # fmt: skip
    rows.add(
        "layers/mixer/scan/read_out", "matmul", flops=2 * states, read=states + tokens * state, written=tokens * inner, count=seq,
        shape=((batch, inner, state), (batch, state, 1)),
    )  # fmt: skip
