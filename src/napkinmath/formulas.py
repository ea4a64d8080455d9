"""The arithmetic of PyTorch's compute operators: from one call to its FLOPs and the shapes that a predictor prices.

Written from the operators' definitions, not taken from torch's own registry: that registry is one of the witnesses the counts
are held against. Which operator has which formula stands in :mod:`napkinmath.operators`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from .elementwise import FLOPS_PER_ELEMENT

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """What one execution of a compute operator does.

    ``useful`` is ``flops`` without the pairs that a causal mask throws away; None where nothing is known of a mask.
    """

    kind: str
    flops: int
    shape: tuple[Shape, ...] = ()
    useful: int | None = None
    other_flops: int = 0
    layout: tuple[tuple[str, Any], ...] = ()


class Call:
    """One execution of an operator: its arguments by the names in its schema, and its result."""

    __slots__ = ("args", "func", "kwargs", "out")

    def __init__(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        self.func, self.args, self.kwargs, self.out = func, args, kwargs, out

    def __getitem__(self, name: str) -> Any:
        """The argument of that name as given, else its default, else None."""
        for position, argument in enumerate(self.func._schema.arguments):
            if argument.name == name:
                return self.args[position] if position < len(self.args) else self.kwargs.get(name, argument.default_value)
        return None


# Matrix products ------------------------------------------------------------------------------------------------------


def _matmul(batch: int, m: int, k: int, n: int, *, bias: bool = False, right: torch.Tensor | None = None, times: int = 1) -> Work:
    """``[batch, m, k] @ [batch, k, n]``; the layout says when the right operand is stored ``[n, k]``, as ``nn.Linear`` keeps it."""
    layout = (("transposed", True),) if right is not None and right.stride(-2) == 1 != right.stride(-1) else ()
    return Work("matmul", 2 * times * batch * m * k * n, ((batch, m, k), (batch, k, n)), other_flops=bias * batch * m * n, layout=layout)


def mm(call: Call) -> Work:
    (m, k), (_, n) = call.args[0].shape, call.args[1].shape
    return _matmul(1, m, k, n, right=call.args[1])


def addmm(call: Call) -> Work:
    (m, k), (_, n) = call.args[1].shape, call.args[2].shape
    return _matmul(1, m, k, n, bias=True, right=call.args[2])


def bmm(call: Call) -> Work:
    (batch, m, k), (_, _, n) = call.args[0].shape, call.args[1].shape
    return _matmul(batch, m, k, n)


def baddbmm(call: Call) -> Work:
    (batch, m, k), (_, _, n) = call.args[1].shape, call.args[2].shape
    return _matmul(batch, m, k, n, bias=True)


def mv(call: Call) -> Work:
    m, k = call.args[0].shape
    return _matmul(1, m, k, 1)


def addmv(call: Call) -> Work:
    m, k = call.args[1].shape
    return _matmul(1, m, k, 1, bias=True)


def dot(call: Call) -> Work:
    return _matmul(1, 1, call.args[0].shape[0], 1)


def addr(call: Call) -> Work:
    return _matmul(1, call.args[1].shape[0], 1, call.args[2].shape[0], bias=True)


def foreach_mm(call: Call) -> Work:
    products = [_matmul(1, left.shape[0], left.shape[1], right.shape[1]) for left, right in zip(call.args[0], call.args[1], strict=True)]
    return Work("matmul", sum(p.flops for p in products), tuple(shape for p in products for shape in p.shape))


def by_output(call: Call) -> Work:
    """A linear map whose weight may be packed: input ``[..., k]``, output ``[..., n]``."""
    *rows, k = call.args[0].shape
    weight = call.args[1]
    bias = call["bias"] if isinstance(weight, torch.Tensor) else weight.bias()  # quantized: packed into one object
    return _matmul(1, math.prod(rows), k, _first(call.out).shape[-1], bias=bias is not None)


def linear_backward(call: Call) -> Work:
    """Gradients of input ``[rows, n] @ [n, k]`` and weight ``[n, rows] @ [rows, k]``, as far as they are asked for."""
    *rows, n = call["grad_output"].shape
    asked = sum(call["output_mask"][:2]) if call["output_mask"] is not None else 1
    k = call.args[0][-1] if isinstance(call.args[0], list | tuple) else (call["weight"] if call["self"] is None else call["self"]).shape[-1]
    return _matmul(1, math.prod(rows), n, k, times=asked)


def grouped_mm(call: Call) -> Work:
    """Each token meets one group's matrix.

    ``[tokens, k] @ [groups, k, n]`` forward, ``[groups, m, k] @ [k, tokens]``, and ``[m, tokens] @ [tokens, n]`` for the weights'
    gradient, where groups cut the inner dimension; three dimensions on both sides are an ordinary batched product.
    """
    left, right = call.args[:2]
    if left.dim() == right.dim() == 3:
        return _matmul(left.shape[0], left.shape[1], left.shape[2], right.shape[-1])
    m, k = left.shape[-2:]
    return _matmul(1, m, k, right.shape[-1])


def grouped_mm_backward(call: Call) -> Work:
    tokens, k = call.args[0].shape
    return _matmul(1, tokens, k, call.args[1].shape[-1], times=2)


def euclidean_distance(call: Call) -> Work:
    """Distances by one product: ``|x|^2 - 2xy + |y|^2`` is ``[..., p, d + 2] @ [..., d + 2, r]``."""
    *batch, rows, width = call.args[0].shape
    return _matmul(math.prod(batch), rows, width + 2, call.args[1].shape[-2])


def trilinear(call: Call) -> Work:
    """``nn.Bilinear``: three factors multiplied over their broadcast shape and summed, 2 multiplies and an add per element."""
    left, middle, right, *expanded = call.args[:6]
    factors = [_unsqueezed(t, dims) for t, dims in zip((left, middle, right), expanded, strict=True)]
    elements = math.prod(torch.broadcast_shapes(*factors))
    return Work("matmul", 2 * elements, tuple(factors), other_flops=elements)


def _unsqueezed(tensor: torch.Tensor, dims: list[int]) -> Shape:
    shape = list(tensor.shape)
    for dim in sorted(dims):
        shape.insert(dim, 1)
    return tuple(shape)


# Convolution ----------------------------------------------------------------------------------------------------------


def convolution(call: Call, *, transposed: bool | None = None) -> Work:
    """2 FLOPs per (output element, input channel of its group, kernel tap); a transposed convolution counts its inputs instead."""
    x, weight, bias, groups = call.args[0], call.args[1], call["bias"], call["groups"] or 1
    transposed = bool(call["transposed"]) if transposed is None else transposed
    options = {name: tuple(call[name]) for name in ("stride", "padding", "dilation") if call[name] is not None}
    if not isinstance(weight, torch.Tensor):  # quantized: all of them are packed into one object
        options = {name: tuple(getattr(weight, name)()) for name in ("stride", "padding", "dilation")}
        groups, transposed, (weight, bias) = weight.groups(), bool(weight.transpose()), weight.unpack()
    out = _first(call.out)
    return Work(
        "conv",
        2 * math.prod((x if transposed else out).shape[2:]) * x.shape[0] * weight.numel(),
        (tuple(x.shape), tuple(weight.shape)),
        other_flops=out.numel() if bias is not None else 0,
        layout=(*options.items(), ("groups", groups), ("transposed", transposed)),
    )


def convolution_transposed(call: Call) -> Work:
    return convolution(call, transposed=True)


def convolution_backward(call: Call) -> Work:
    """Each of the two gradients, of input and weight, is as much work as the forward pass."""
    grad, x, weight = call.args[:3]
    positions = math.prod((x if call["transposed"] else grad).shape[2:]) * x.shape[0]
    return Work(
        "conv",
        2 * positions * weight.numel() * sum(call["output_mask"][:2]),
        (tuple(grad.shape), tuple(x.shape), tuple(weight.shape)),
        layout=(
            ("stride", tuple(call["stride"])),
            ("groups", call["groups"] or 1),
            ("transposed", bool(call["transposed"])),
            ("backward", True),
        ),
    )


def convolution_tbc(call: Call) -> Work:
    x, weight = call.args[:2]
    return Work(
        "conv", 2 * math.prod(call.out.shape[:2]) * weight.numel(), (tuple(x.shape), tuple(weight.shape)), other_flops=call.out.numel()
    )


# Attention ------------------------------------------------------------------------------------------------------------


def attention(call: Call, *, backward: bool = False) -> Work:
    """Fused attention: ``[batch, heads, seq, d_head]`` queries over ``[batch, kv_heads, context, d_head]`` keys and values.

    Backward, a fused kernel computes five products where forward has two: the scores again, and the gradients of weights, values,
    queries and keys (Dao et al. 2022, arXiv:2205.14135, algorithm 4).
    """
    query, key, value = ((call[name] if call[name] is not None else call[name[0]]).shape for name in ("query", "key", "value"))
    batch, heads, seq, d_head = query
    context, d_value = key[-2], value[-1]
    pairs, causal = batch * seq * context, bool(call["is_causal"])
    square = min(seq, context)  # PyTorch's mask is aligned to the first query and key
    visible = batch * (square * (square + 1) // 2 + (seq - square) * context) if causal else pairs
    return _attention_work(
        (tuple(query), tuple(key), tuple(value)), heads, d_head, d_value, pairs, visible, causal, _is_masked(call), backward
    )


def attention_rows(call: Call, *, backward: bool = False) -> Work:
    """The kernels under SDPA, whose operands are ``[batch, seq, heads, d_head]``, or packed sequences with their boundaries."""
    query, key, value = call["query"], call["key"], call["value"]
    bounds = [call[f"{prefix}_{side}"] for side in "qk" for prefix in ("cum_seq", "cu_seqlens")]
    starts = [b for b in bounds if b is not None]
    heads, d_head, d_value = query.shape[-2], query.shape[-1], value.shape[-1]
    if starts:
        pairs = _packed_pairs(starts, (call["max_q"] or call["max_seqlen_q"], call["max_k"] or call["max_seqlen_k"]))
    else:
        pairs = query.shape[0] * query.shape[1] * key.shape[1]
    causal = bool(call["is_causal"] or call["custom_mask_type"])
    visible = (pairs + query.shape[0] * query.shape[1]) // 2 if causal and query.shape[1] == key.shape[1] else pairs
    shape = (tuple(query.shape), tuple(key.shape), tuple(value.shape))
    return _attention_work(shape, heads, d_head, d_value, pairs, visible, causal, _is_masked(call), backward)


def _packed_pairs(starts: list[torch.Tensor], longest: tuple[int, int]) -> int:
    """(query, key) pairs of packed sequences; as if all were the longest where the boundaries hold no data (meta, fake)."""
    if type(starts[0]) is not torch.Tensor or starts[0].is_meta:
        return (len(starts[0]) - 1) * longest[0] * longest[1]
    lengths = [start.diff() for start in (starts[0], starts[-1])]
    return int((lengths[0] * lengths[1]).sum())


def _attention_work(
    shape: tuple[Shape, ...], heads: int, d_head: int, d_value: int, pairs: int, visible: int, causal: bool, masked: bool, backward: bool
) -> Work:
    per_pair = 2 * heads * (3 * d_head + 2 * d_value if backward else d_head + d_value)
    layout = (("causal", causal), ("masked", masked), *((("backward", True),) if backward else ()))
    softmax = (FLOPS_PER_ELEMENT["softmax"] + 1) * (1 + backward) * heads * pairs
    return Work("attention", per_pair * pairs, shape, useful=per_pair * visible, other_flops=softmax, layout=layout)


def attention_backward(call: Call) -> Work:
    return attention(call, backward=True)


def attention_rows_backward(call: Call) -> Work:
    return attention_rows(call, backward=True)


def _is_masked(call: Call) -> bool:
    return any(call[name] is not None for name in ("attn_mask", "attn_bias", "bias"))


def encoder_layer_fast_path(call: Call) -> Work:
    """``nn.TransformerEncoderLayer`` in eval mode runs as one operator: projections, scores and FFN together."""
    weights = ("qkv_weight", "proj_weight", "ffn_weight_1", "ffn_weight_2")
    return _fast_path(call, call["src"], call["src"], weights, call["num_heads"])


def multi_head_fast_path(call: Call) -> Work:
    return _fast_path(call, call["query"], call["key"], ("qkv_weight", "proj_weight"), call["num_head"])


def _fast_path(call: Call, source: torch.Tensor, keys: torch.Tensor, weights: tuple[str, ...], heads: int) -> Work:
    """A nested input, which the fast path makes of a padding mask, has sequences of their own lengths."""
    d_model = call["embed_dim"]
    tokens = source.numel() // d_model
    if source.is_nested:
        pairs = sum(len(sequence) ** 2 for sequence in source.unbind())
        shape: Shape = (tokens, d_model)
    else:
        pairs, shape = source.shape[0] * source.shape[1] * keys.shape[1], tuple(source.shape)
    flops = 2 * tokens * sum(call[weight].numel() for weight in weights) + 4 * pairs * d_model
    return Work("matmul", flops, (shape,), layout=(("fast_path", True), ("n_heads", heads)))


# Recurrent ------------------------------------------------------------------------------------------------------------


def _recurrent(call: Call, weights: list[torch.Tensor], times: int = 1) -> Work:
    """Every weight matrix once per token: input ``[seq, batch, d_in]``, or ``[tokens, d_in]`` when sequences are packed."""
    x = call["input"]
    matrices = [w for w in weights if w.dim() > 1]
    flops = 2 * times * math.prod(x.shape[:-1]) * sum(w.numel() for w in matrices)
    return Work("recurrent", flops, (tuple(x.shape), *(tuple(w.shape) for w in matrices)))


def mkldnn_rnn(call: Call) -> Work:
    """One direction of one layer."""
    return _recurrent(call, [call.args[1], call.args[2]])


def mkldnn_rnn_backward(call: Call) -> Work:
    return _recurrent(call, [call.args[1], call.args[2]], times=2)


def whole_rnn(call: Call) -> Work:
    """All layers and directions in one operator."""
    return _recurrent(call, call["weight"] if call["weight"] is not None else call["params"])


def whole_rnn_backward(call: Call) -> Work:
    """The gradient of the inputs always, that of the weights when asked for."""
    return _recurrent(call, call["weight"], times=1 + call["output_mask"][3])


def _first(out: Any) -> torch.Tensor:
    return out if isinstance(out, torch.Tensor) else out[0]
