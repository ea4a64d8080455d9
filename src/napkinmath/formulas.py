"""What each PyTorch operator computes: its kind, its FLOPs, and the shapes that a predictor prices.

Written from the operators' definitions, not taken from torch's own registry: that registry is one of the witnesses the counts
are held against. An operator that is in no table here, is no view and is not tagged pointwise or reduction by PyTorch is
*uncounted*, and the trace says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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


def _matmul(batch: int, m: int, k: int, n: int, *, bias: bool = False, right: torch.Tensor | None = None) -> Work:
    """``[batch, m, k] @ [batch, k, n]``; the layout says when the right operand is stored ``[n, k]``, as ``nn.Linear`` keeps it."""
    layout = (("transposed", True),) if right is not None and right.stride(-2) == 1 != right.stride(-1) else ()
    return Work("matmul", 2 * batch * m * k * n, ((batch, m, k), (batch, k, n)), other_flops=bias * batch * m * n, layout=layout)


def _mm(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    (m, k), (_, n) = args[0].shape, args[1].shape
    return _matmul(1, m, k, n, right=args[1])


def _addmm(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    (m, k), (_, n) = args[1].shape, args[2].shape
    return _matmul(1, m, k, n, bias=True, right=args[2])


def _bmm(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    (batch, m, k), (_, _, n) = args[0].shape, args[1].shape
    return _matmul(batch, m, k, n)


def _baddbmm(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    (batch, m, k), (_, _, n) = args[1].shape, args[2].shape
    return _matmul(batch, m, k, n, bias=True)


def _mv(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    m, k = args[0].shape
    return _matmul(1, m, k, 1)


def _addmv(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    m, k = args[1].shape
    return _matmul(1, m, k, 1, bias=True)


def _dot(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    return _matmul(1, 1, args[0].shape[0], 1)


def _linear(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    *rows, k = args[0].shape
    return _matmul(1, math.prod(rows), k, args[1].shape[0], bias=len(args) > 2 and args[2] is not None)


def _grouped_mm(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    """``[tokens, k] @ [groups, k, n]``: each token meets one group's matrix."""
    *rows, k = args[0].shape
    return _matmul(1, math.prod(rows), k, args[1].shape[-1])


def _convolution(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    """2 FLOPs per (output element, input channel of its group, kernel tap); a transposed convolution counts its inputs instead."""
    x, weight, bias, stride, padding, dilation, transposed, _, groups = (*args[:8], args[8] if len(args) > 8 else 1)
    positions = math.prod((x if transposed else out).shape[2:]) * x.shape[0]
    flops = 2 * positions * weight.numel()
    layout = (
        ("stride", tuple(stride)),
        ("padding", tuple(padding)),
        ("dilation", tuple(dilation)),
        ("groups", groups),
        ("transposed", transposed),
    )
    return Work("conv", flops, (tuple(x.shape), tuple(weight.shape)), other_flops=out.numel() if bias is not None else 0, layout=layout)


def _sdpa(args: tuple[Any, ...], kwargs: dict[str, Any], *, causal_index: int, mask_index: int | None = None) -> Work:
    """Fused attention: ``[batch, heads, seq, d_head]`` queries over ``[batch, kv_heads, context, d_head]`` keys and values."""
    query, key, value = args[:3]
    batch, heads, seq, d_head = query.shape
    context, d_value = key.shape[-2], value.shape[-1]
    causal = bool(args[causal_index]) if len(args) > causal_index else bool(kwargs.get("is_causal"))
    masked = (args[mask_index] if mask_index is not None and len(args) > mask_index else kwargs.get("attn_mask")) is not None
    per_pair = 2 * (d_head + d_value) * batch * heads
    visible = sum(min(i + 1, context) for i in range(seq)) if causal else seq * context
    return Work(
        "attention",
        per_pair * seq * context,
        (tuple(query.shape), tuple(key.shape), tuple(value.shape)),
        useful=per_pair * visible,
        other_flops=(FLOPS_PER_ELEMENT["softmax"] + 1) * batch * heads * seq * context,
        layout=(("causal", causal), ("masked", masked)),
    )


def _flash(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    return _sdpa(args, kwargs, causal_index=4)


def _efficient(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    return _sdpa(args, kwargs, causal_index=6, mask_index=3)


def _encoder_layer_fast_path(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    """``nn.TransformerEncoderLayer`` in eval mode runs as one operator: projections, scores and FFN together."""
    source, d_model, heads, qkv_weight, _, out_weight = args[:6]
    ffn_up, ffn_down = args[14], args[16]
    batch, seq = source.shape[:2]
    weights = qkv_weight.numel() + out_weight.numel() + ffn_up.numel() + ffn_down.numel()
    return Work(
        "matmul",
        2 * batch * seq * weights + 4 * batch * seq * seq * d_model,
        (tuple(source.shape),),
        layout=(("fast_path", True), ("n_heads", heads)),
    )


def _multi_head_fast_path(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    query, key, _, d_model, heads, qkv_weight, _, out_weight = args[:8]
    batch, seq = query.shape[:2]
    flops = 2 * batch * seq * (qkv_weight.numel() + out_weight.numel()) + 4 * batch * seq * key.shape[1] * d_model
    return Work("matmul", flops, (tuple(query.shape),), layout=(("fast_path", True), ("n_heads", heads)))


def _mkldnn_rnn(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    """One direction of one recurrent layer over ``[seq, batch, d_in]``: both weight matrices at every step."""
    x, input_weight, hidden_weight = args[:3]
    steps, batch = x.shape[:2]
    flops = 2 * steps * batch * (input_weight.numel() + hidden_weight.numel())
    return Work("recurrent", flops, (tuple(x.shape), tuple(input_weight.shape), tuple(hidden_weight.shape)))


def _cudnn_rnn(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Work:
    x, weights = args[0], args[1]
    matrices = sum(w.numel() for w in weights if w.dim() > 1)
    return Work("recurrent", 2 * x.shape[0] * x.shape[1] * matrices, (tuple(x.shape),))


#: Operators whose arithmetic is ``flops``, by name without overload.
COMPUTE: dict[str, Callable[[tuple[Any, ...], dict[str, Any], Any], Work]] = {
    **dict.fromkeys(("mm", "_int_mm", "_scaled_mm"), _mm),
    **dict.fromkeys(("addmm", "_addmm_activation"), _addmm),
    **dict.fromkeys(("dot", "vdot"), _dot),
    **dict.fromkeys(("linear", "mkldnn_linear"), _linear),
    **dict.fromkeys(("convolution", "_convolution", "convolution_overrideable"), _convolution),
    **dict.fromkeys(("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention"), _flash),
    **dict.fromkeys(("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"), _efficient),
    "bmm": _bmm,
    "baddbmm": _baddbmm,
    "mv": _mv,
    "addmv": _addmv,
    "_grouped_mm": _grouped_mm,
    "_transformer_encoder_layer_fwd": _encoder_layer_fast_path,
    "_native_multi_head_attention": _multi_head_fast_path,
    "mkldnn_rnn_layer": _mkldnn_rnn,
    "_cudnn_rnn": _cudnn_rnn,
}

#: Operators of the other kinds: (kind, FLOPs per output element), then their names.
_OTHER_ROWS: tuple[tuple[str, int, str], ...] = (
    ("norm", FLOPS_PER_ELEMENT["layernorm"], "native_layer_norm native_group_norm native_batch_norm cudnn_batch_norm"),
    ("norm", FLOPS_PER_ELEMENT["layernorm"], "_native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_with_update"),
    ("norm", FLOPS_PER_ELEMENT["rmsnorm"], "rms_norm _fused_rms_norm"),
    ("softmax", FLOPS_PER_ELEMENT["softmax"], "_softmax _safe_softmax _log_softmax _masked_softmax"),
    ("gather", 0, "embedding _embedding_bag _embedding_bag_forward_only index _unsafe_index index_select gather take"),
    ("gather", 0, "index_put index_put_ index_copy index_copy_ index_add index_add_ scatter scatter_ scatter_add scatter_add_"),
    ("copy", 0, "clone copy_ _to_copy cat stack constant_pad_nd repeat repeat_interleave roll flip slice_scatter tril triu lift"),
    ("copy", 0, "arange full full_like zeros zeros_like ones ones_like fill_ zero_ eye new_zeros new_ones new_full scalar_tensor"),
    ("copy", 0, "one_hot pixel_shuffle channel_shuffle im2col col2im unfold"),
    ("pool", 1, "max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d"),
    ("pool", 1, "upsample_nearest1d upsample_nearest2d upsample_bilinear2d upsample_bicubic2d _upsample_bilinear2d_aa"),
    ("reduce", 1, "cumsum cumprod topk sort argsort argmax argmin max min median nonzero multinomial linalg_vector_norm"),
    ("elementwise", 1, "native_dropout bernoulli bernoulli_ rand randn randint rand_like randn_like normal_ uniform_"),
    ("elementwise", 10, "_thnn_fused_lstm_cell _thnn_fused_gru_cell"),
    ("elementwise", 5, "glu"),
)
OTHER: dict[str, tuple[str, int]] = {name: (kind, flops) for kind, flops, names in _OTHER_ROWS for name in names.split()}

#: Bookkeeping: no arithmetic and no traffic worth a row (allocation, metadata, a scalar handed to Python).
IGNORED = frozenset(
    "empty empty_like empty_strided empty_permuted new_empty new_empty_strided _unsafe_view _reshape_alias _reshape_copy "
    "lift_fresh_copy set_ resize_ record_stream is_pinned is_nonzero item _local_scalar_dense equal sym_size sym_numel "
    "_assert_async _assert_tensor_metadata _has_compatible_shallow_copy_type _is_all_true _is_any_true "
    "_nested_tensor_from_mask_left_aligned _nested_tensor_size".split()
)


def classify(op: torch._ops.OpOverload) -> tuple[str, Any]:
    """How an operator is counted.

    Returns:
        ``("compute", formula)``, ``("other", (kind, flops per element))``, ``("skip", None)`` or ``("uncounted", None)``.
    """
    name = op.overloadpacket.__name__
    if name in COMPUTE:
        return "compute", COMPUTE[name]
    if op.is_view or name in IGNORED:
        return "skip", None
    if name in OTHER:
        return "other", OTHER[name]
    if torch.Tag.pointwise in op.tags:
        return "other", ("elementwise", FLOPS_PER_ELEMENT.get(name.rstrip("_"), 1))
    if torch.Tag.reduction in op.tags:
        return "other", ("reduce", 1)
    return "uncounted", None
