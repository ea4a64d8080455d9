"""Weights that a module does not keep as parameters: packed for a library's int8 kernels, or int8 codes in a buffer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Weights:
    """What one packed object holds.

    Attributes:
        name: the module's path and what the object is called there.
        params: weights and biases.
        bytes: that they take; without their scales, and without what a library keeps beside them for its own use.
        dtype: of the weights.
    """

    name: str
    params: int
    bytes: int
    dtype: torch.dtype


def packed_weights(module: torch.nn.Module) -> dict[int, Weights]:
    """The packed weights of linear layers and convolutions below a module, by what :func:`packed_ids` yields."""
    found: dict[int, Weights] = {}
    for path, child in module.named_modules():
        for name, value in vars(child).items():
            if isinstance(value, torch.ScriptObject) and value._has_method("unpack"):  # type: ignore[attr-defined]
                weight, bias = value.unpack()  # type: ignore[attr-defined]
                width = 1 if weight.is_quantized else 2  # fp16 comes out as fp32
                biases = 0 if bias is None else bias.numel()
                dtype = weight.dtype if weight.is_quantized else torch.float16
                where = f"{path}.{name}".strip(".").replace(".", "/")
                found[hash(value)] = Weights(where, weight.numel() + biases, width * weight.numel() + 4 * biases, dtype)
    return found


def packed_ids(tree: Any) -> Iterator[int]:
    """Of the packed objects among an operator's arguments, which nest no deeper than lists.

    PyTorch hands a new Python object to every call; what they share is their hash, which is that of the object behind them.
    """
    for item in tree:
        if isinstance(item, torch.ScriptObject):
            yield hash(item)
        elif isinstance(item, list | tuple):
            yield from packed_ids(item)


def int8_codes(module: torch.nn.Module) -> list[torch.Tensor]:
    """Buffers that may be weights: matrices of int8, as layers keep them that call integer products themselves."""
    return [buffer for buffer in module.buffers() if buffer.dtype == torch.int8 and buffer.dim() > 1]
