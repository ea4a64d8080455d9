"""Memory that a CPU kernel allocates and frees inside one operator: no trace sees it, and it decides the peak of a small CNN or an LSTM.

oneDNN on x86 computes convolutions and LSTMs in layouts of its own, blocks of 16 channels, and copies operands into them and the
result back. The rules below were read off the allocation events of PyTorch 2.13 and hold to a few percent of the peaks in
``benchmarks/results/memory.json``. A matrix product, attention and a 1x1 convolution at stride 1 need none; a linear layer with packed
int8 weights keeps its int32 sums beside the result.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from .formulas import Call

_BLOCK = 16  # channels in a block, with AVX-512
_PAGE = 4096
_FEW_CHANNELS = 16  # an input with fewer is read as it lies


def workspace_bytes(func: Any, args: tuple[Any, ...], out: Any) -> int:
    """Bytes that the operator holds beside its operands and results while it runs; 0 for operators and devices without a rule."""
    rule = _RULES.get(func)
    return rule(Call(func, args, {}, out)) if rule and args[0].device.type == "cpu" else 0


def hidden_result_bytes(func: Any, args: tuple[Any, ...], position: int) -> int:
    """Bytes of a result that fake tensors show empty: what an LSTM layer keeps for its backward pass.

    Gates, hidden states, cell states, their gradients and two scratch areas of one layer and direction, in pages.
    """
    if func is not torch.ops.aten.mkldnn_rnn_layer.default or position != 3 or not (args[15] and torch.is_grad_enabled()):
        return 0
    (steps, batch, d_in), hidden, width = args[0].shape, args[10], args[0].element_size()
    states = 2 * (steps + 1) * batch
    wide = max(d_in, hidden)
    areas = (4 * steps * batch * hidden, states * wide, states * hidden, 3 * states * wide, steps * batch * hidden, 4 * batch * hidden)
    return sum(_PAGE * math.ceil(area * width / _PAGE) for area in areas)


def _blocked(channels: int) -> float:
    """How much a tensor grows when its channels are padded to whole blocks."""
    return _BLOCK * math.ceil(channels / _BLOCK) / channels


def _is_plain_product(call: Call) -> bool:
    weight = call["weight"]
    return math.prod(weight.shape[2:]) == 1 and all(step == 1 for step in call["stride"])


def _convolution(call: Call) -> int:
    x, weight, out = call["input"], call["weight"], call.out
    if _is_plain_product(call):
        return 0
    if x.shape[0] == 1 and x.numel() <= 20480 and call["groups"] == 1 and min(weight.shape[2:]) <= 3:  # too small for oneDNN
        return weight[0].numel() * math.prod(out.shape[2:]) * x.element_size()
    d_in, d_out = x.shape[1], out.shape[1]
    weight_blocked = weight.nbytes * _blocked(d_out)
    if _channels_last(x):
        return int(weight_blocked)
    x_blocked = x.nbytes * _blocked(d_in) if d_in >= _FEW_CHANNELS else 0.0
    out_blocked = out.nbytes * _blocked(d_out)
    return int(max(x_blocked + weight_blocked + out_blocked, out_blocked + out.nbytes) - out.nbytes)


def _convolution_backward(call: Call) -> int:
    grad, x, weight = call.args[:3]
    if _is_plain_product(call) or _channels_last(x):
        return 0
    wants_input, wants_weight, _ = call["output_mask"]
    d_in, d_out = x.shape[1], grad.shape[1]
    grad_blocked, weight_blocked = grad.nbytes * _blocked(d_out), weight.nbytes * _blocked(d_out)
    x_blocked = x.nbytes * (_blocked(d_in) if d_in >= _FEW_CHANNELS else 1)
    results = wants_input * x.nbytes + wants_weight * weight.nbytes
    copies = 2 if max(call["stride"]) > 1 else 1  # a strided one is rearranged twice
    for_input = max(grad_blocked + weight_blocked + x_blocked, x_blocked + copies * x.nbytes) if wants_input else 0
    for_weight = wants_input * x.nbytes + grad_blocked + (x_blocked if d_in >= _FEW_CHANNELS else 0) + weight_blocked
    return max(0, int(max(for_input, for_weight if wants_weight else 0) - results))


def _lstm(call: Call) -> int:
    """Both weight matrices in oneDNN's layout, the gates of every step and some scratch; forward and backward alike."""
    x, input_weight, hidden_weight = call.args[:3]
    gates = input_weight.shape[0] * x.shape[1] * (x.shape[0] + 1) * x.element_size()
    return int(input_weight.nbytes + hidden_weight.nbytes + gates + 4 * _PAGE)


def _packed_linear(call: Call) -> int:
    """The sums before they are scaled, in int32."""
    return 4 * int(call.out.numel())


def _channels_last(x: torch.Tensor) -> bool:
    return x.dim() == 4 and x.shape[1] > 1 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


_RULES = {
    torch.ops.aten.convolution.default: _convolution,
    torch.ops.aten.convolution_backward.default: _convolution_backward,
    torch.ops.aten.mkldnn_rnn_layer.default: _lstm,
    torch.ops.aten.mkldnn_rnn_layer_backward.default: _lstm,
    torch.ops.quantized.linear_dynamic.default: _packed_linear,
}
