"""A reference in int8: PyTorch's dynamic quantization of its linear layers, on a CPU.

Weights are rounded once, inputs at every call; what is not a linear layer stays in fp32 (attention, norms, embeddings, convolutions).
"""

from __future__ import annotations

import warnings

import torch
from transformers.pytorch_utils import Conv1D

from ..errors import DtypeError

_LEAST_SHARE = 0.5  # of a model's matrices, tables aside, that lie in linear layers: with fewer, "in int8" would say too much


def require_linear(name: str, module: torch.nn.Module) -> None:
    """Refuse a model whose weights are mostly elsewhere; ``module`` may be on ``meta``.

    Raises:
        DtypeError: names the share, and what to do.
    """
    of_linear = {id(child.weight) for child in module.modules() if isinstance(child, torch.nn.Linear | Conv1D)}
    tables = {id(child.weight) for child in module.modules() if isinstance(child, torch.nn.Embedding | torch.nn.EmbeddingBag)}
    matrices = {id(p): p.numel() for p in module.parameters() if p.dim() > 1 and id(p) not in tables - of_linear}
    share = sum(matrices[key] for key in of_linear if key in matrices) / max(sum(matrices.values()), 1)
    if share < _LEAST_SHARE:
        raise DtypeError(
            f"{name} cannot be built in int8: PyTorch rounds the inputs of linear layers as it runs, and {share:.0%} of this model's "
            "matrices are in such layers; use fp32 or bf16"
        )


def quantize_linear(module: torch.nn.Module) -> torch.nn.Module:
    """Replace the linear layers below ``module``, in place, by PyTorch's with packed int8 weights; returns the module."""
    for child in list(module.modules()):
        for name, layer in child.named_children():
            if isinstance(layer, Conv1D):
                setattr(child, name, _as_linear(layer))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a later PyTorch will leave this to another library
        quantized: torch.nn.Module = torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}, torch.qint8, inplace=True)
    return quantized


def _as_linear(layer: Conv1D) -> torch.nn.Linear:
    """GPT-2's linear layer, which keeps its weight as ``[d_in, d_out]``, as PyTorch's."""
    d_in, d_out = layer.weight.shape
    linear = torch.nn.Linear(d_in, d_out, device="meta")
    linear.weight, linear.bias = torch.nn.Parameter(layer.weight.detach().t().contiguous()), layer.bias
    return linear
