"""The rows of vision transformers, in the order of execution."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ...elementwise import FLOPS_PER_ELEMENT
from ...ledger import SUMMED, Ledger, Op
from .. import vision as forms
from .rows import Rows
from .transformer import attention_rows, ffn_rows, layer_rows, norm_row

if TYPE_CHECKING:
    from ...specs import TransformerSpec
    from ...specs.vision import Tower, VisionSpec


def vision_ledger(spec: VisionSpec, batch: int, image: int, dtype: str, attention: str) -> Ledger:
    """Rows of one forward pass of ``spec``; inputs are validated by :meth:`VisionSpec.ledger`."""
    rows = Rows(dtype)
    if spec.window:
        _stage_rows(rows, spec, batch, image, attention)
    else:
        tower_rows(rows, spec.tower, batch, (image, image), attention)
    heads = max(spec.special_tokens, 1)
    width = spec.stages[-1].d_model
    for head in range(heads):
        rows.matmul(f"head/{('class', 'distillation')[head]}", batch, width, spec.classes, bias=True)
    if heads > 1:
        rows.pointwise("head/mean", "elementwise", "add", batch * spec.classes, inputs=heads)
    return rows.ledger(f"{spec.name} batch={batch} image={image} {dtype}")


def tower_rows(rows: Rows, tower: Tower, batch: int, extent: tuple[int, ...], attention: str, prefix: str = "") -> None:
    """Patch embedding, layers and final norm; names start with ``prefix``, such as ``vision/``."""
    part = prefix.rstrip("/") or "layers"
    embedding_rows(rows, tower, batch, extent, f"{prefix}embeddings")
    layers, tokens = tower.layers, tower.tokens(extent)
    if tower.pre_norm:
        norm_row(rows, f"{prefix}embeddings/norm", layers, batch * tokens)
    if tower.divided:
        _divided_rows(rows, part, layers, batch, *_frames_and_places(tower, extent), attention)
    else:
        layer_rows(rows, part, layers, batch, tokens, tokens, attention)
    if tower.final_norm != "none":
        norm_row(rows, f"{prefix}final_norm/norm", layers, batch * (tokens if tower.final_norm == "all" else 1))
    if tower.pool == "attention":
        _pooling_rows(rows, f"{prefix}pool", layers, batch, tokens, attention)


def embedding_rows(rows: Rows, tower: Tower, batch: int, extent: tuple[int, ...], part: str) -> None:
    """Patches as tokens behind the special ones, and their positions."""
    if tower.divided:
        _frame_embedding_rows(rows, tower, batch, extent, part)
        return
    grid = rows.conv(
        f"{part}/patches", batch, extent, tower.channels, tower.d_model, tower.patch,
        stride=tower.stride, padding=(0,) * len(extent), bias=tower.patch_bias,
    )  # fmt: skip
    values, patches = batch * tower.tokens(extent) * tower.d_model, math.prod(grid)
    if tower.special_tokens:
        rows.add(f"{part}/special_tokens", "copy", read=values, written=values, params=tower.special_tokens * tower.d_model)
    positions = tower.tokens(tower.extent) * tower.d_model
    if grid != tower.grid(tower.extent):
        # The table is a learned image: each pass at another resolution resamples it.
        resampled = patches * tower.d_model
        rows.add(
            f"{part}/resample_positions", "pool", read=positions, written=resampled,
            other_flops=FLOPS_PER_ELEMENT["bicubic"] * resampled, overhead=True,
        )  # fmt: skip
    rows.pointwise(f"{part}/positions", "elementwise", "add", values, params=positions)


def _pooling_rows(rows: Rows, part: str, layers: TransformerSpec, batch: int, tokens: int, attention: str) -> None:
    """One learned query attends over all tokens, then an FFN."""
    width = layers.d_model
    rows.add(f"{part}/query_token", "copy", read=width, written=batch * width, params=width)
    rows.matmul(f"{part}/query", batch, width, width, bias=True)
    rows.matmul(f"{part}/key", batch * tokens, width, width, bias=True)
    rows.matmul(f"{part}/value", batch * tokens, width, width, bias=True)
    rows.attention(part, batch, layers.n_heads, 1, tokens, layers.d_head, how=attention)
    rows.matmul(f"{part}/output", batch, width, width, bias=True)
    norm_row(rows, f"{part}/norm", layers, batch)
    rows.matmul(f"{part}/up", batch, width, layers.d_ff, bias=True)
    rows.pointwise(f"{part}/activation", "elementwise", layers.activation, batch * layers.d_ff)
    rows.matmul(f"{part}/down", batch, layers.d_ff, width, bias=True)
    rows.pointwise(f"{part}/residual", "elementwise", "add", batch * width, inputs=2)


def _frames_and_places(tower: Tower, extent: tuple[int, ...]) -> tuple[int, int]:
    frames, *grid = tower.grid(extent)
    return frames, math.prod(grid)


def _frame_embedding_rows(rows: Rows, tower: Tower, batch: int, extent: tuple[int, ...], part: str) -> None:
    """Each frame's patches behind a copy of the class token; one table of places for every frame, one of times for every place."""
    frames, places = _frames_and_places(tower, extent)
    width, images = tower.d_model, batch * frames
    rows.conv(
        f"{part}/patches", images, extent[1:], tower.channels, width, tower.patch[1:],
        stride=tower.stride[1:], padding=(0, 0), bias=tower.patch_bias,
    )  # fmt: skip
    values = images * (places + 1) * width
    rows.add(f"{part}/special_tokens", "copy", read=values, written=values, params=width)
    rows.pointwise(f"{part}/positions", "elementwise", "add", values, params=(places + 1) * width)
    rows.pointwise(f"{part}/times", "elementwise", "add", images * places * width, params=frames * width)


def _divided_rows(rows: Rows, part: str, layers: TransformerSpec, batch: int, frames: int, places: int, attention: str) -> None:
    """Layers that attend along time at each place, then within each frame, whose copy of the class token is averaged over frames."""
    patches, tokens, seen = batch * frames * places, batch * (frames * places + 1), batch * frames * (places + 1)
    first, width = len(rows.ops), layers.d_model
    norm_row(rows, f"{part}/norm/time", layers, patches)
    attention_rows(rows, f"{part}/time", layers, batch * places, frames, frames, attention)
    rows.matmul(f"{part}/time/dense", patches, width, width, bias=True)
    rows.pointwise(f"{part}/residual/time", "elementwise", "add", patches * width, inputs=2)
    rows.add(f"{part}/residual/frames", "copy", read=seen * width, written=seen * width)
    norm_row(rows, f"{part}/norm/space", layers, seen)
    attention_rows(rows, f"{part}/space", layers, batch * frames, places + 1, places + 1, attention)
    rows.add(
        f"{part}/residual/class_mean", "reduce", other_flops=batch * frames * width, read=batch * frames * width, written=batch * width
    )
    rows.pointwise(f"{part}/residual/space", "elementwise", "add", tokens * width, inputs=2)
    norm_row(rows, f"{part}/norm/ffn", layers, tokens)
    ffn_rows(rows, part, layers, tokens)
    rows.pointwise(f"{part}/residual/ffn", "elementwise", "add", tokens * width, inputs=2)
    rows.repeat(layers.n_layers, first)


def _stage_rows(rows: Rows, spec: VisionSpec, batch: int, image: int, attention: str) -> None:
    """Stages of windowed layers with a patch merging between them, final norm, and the mean over what is left."""
    grids = spec.grids(image)
    padded = grids[0] * spec.patch
    rows.conv(
        "embeddings/patches", batch, (padded, padded), spec.channels, spec.d_model, (spec.patch, spec.patch),
        stride=(spec.patch, spec.patch), padding=(0, 0), bias=True,
    )  # fmt: skip
    norm_row(rows, "embeddings/norm", spec.stages[0], batch * grids[0] ** 2)
    for stage, grid in zip(spec.stages, grids, strict=True):
        _window_rows(rows, stage.name, stage, batch, grid, spec.window, attention)
        if stage != spec.stages[-1]:
            merged = batch * (-(-grid // 2)) ** 2
            rows.pointwise(f"{stage.name}/merging/norm", "norm", "layernorm", merged * 4 * stage.d_model, params=8 * stage.d_model)
            rows.matmul(f"{stage.name}/merging/reduction", merged, 4 * stage.d_model, 2 * stage.d_model, bias=False)
    last = spec.stages[-1]
    norm_row(rows, "final_norm/norm", last, batch * grids[-1] ** 2)
    rows.add(
        "head/mean",
        "reduce",
        other_flops=batch * grids[-1] ** 2 * last.d_model,
        read=batch * grids[-1] ** 2 * last.d_model,
        written=batch * last.d_model,
    )


def _window_rows(rows: Rows, part: str, stage: TransformerSpec, batch: int, grid: int, window: int, attention: str) -> None:
    """The layers of one stage. Where windows do not fill the grid, what they compute on padding is overhead."""
    side = forms.padded_to_window(grid, window)
    windows, tokens, values = batch * (side // window) ** 2, batch * grid**2, batch * grid**2 * stage.d_model
    pairs, table = window**2 * window**2, forms.relative_position_params(window, 1)
    first = len(rows.ops)
    norm_row(rows, f"{part}/norm/attention", stage, tokens)
    inside = len(rows.ops)
    rows.add(
        f"{part}/attention/windows", "copy", read=2 * windows * window**2 * stage.d_model, written=2 * windows * window**2 * stage.d_model
    )
    attention_rows(rows, part, stage, windows, window**2, window**2, attention)
    rows.ops[inside:] = [part_of for op in rows.ops[inside:] for part_of in without_padding(op, grid**2, side**2)]
    rows.gather(f"{part}/attention/relative_positions", pairs, table, stage.n_heads)
    rows.pointwise(f"{part}/attention/add_positions", "elementwise", "add", windows * stage.n_heads * pairs)
    rows.pointwise(f"{part}/residual/attention", "elementwise", "add", values, inputs=2)
    norm_row(rows, f"{part}/norm/ffn", stage, tokens)
    ffn_rows(rows, part, stage, tokens)
    rows.pointwise(f"{part}/residual/ffn", "elementwise", "add", values, inputs=2)
    rows.repeat(stage.n_layers, first)
    if grid > window and window > 1 and stage.n_layers > 1:
        # Every second layer's windows are shifted by half: the grid is rolled before them and back after.
        rows.add(f"{part}/attention/shift", "copy", read=values, written=values)
        rows.repeat(2 * (stage.n_layers // 2), len(rows.ops) - 1)


def without_padding(op: Op, tokens: int, padded: int) -> list[Op]:
    """A row over ``padded`` tokens as the part that ``tokens`` need and, where there is more, a row of overhead."""
    if tokens == padded:
        return [op]
    needed = {column: getattr(op, column) * tokens // padded for column in SUMMED if column != "params"}
    extra = {column: getattr(op, column) - value for column, value in needed.items()}
    return [replace(op, **needed), replace(op, name=f"{op.name}_padding", params=0, overhead=True, **extra)]
