"""What each PyTorch operator is: one with a formula, one of another kind, bookkeeping, or *uncounted*.

To add an operator, put its name beside a formula of :mod:`napkinmath.formulas` or beside a kind. Names are without overload and without
the trailing underscore of an in-place operator; outside aten they are ``namespace::name``. An operator that is in no table, is no view and
is not tagged pointwise or reduction by PyTorch is uncounted, and the trace says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from . import formulas
from .elementwise import FLOPS_PER_ELEMENT

Formula = Callable[[formulas.Call], formulas.Work]

_COMPUTE_ROWS: tuple[tuple[Formula, str], ...] = (
    (formulas.mm, "mm _int_mm _scaled_mm _scaled_mm_v2"),
    (formulas.addmm, "addmm _addmm_activation"),
    (formulas.bmm, "bmm"),
    (formulas.baddbmm, "baddbmm addbmm"),
    (formulas.mv, "mv"),
    (formulas.addmv, "addmv"),
    (formulas.dot, "dot vdot"),
    (formulas.addr, "addr"),
    (formulas.foreach_mm, "_foreach_mm"),
    (formulas.by_output, "linear mkldnn_linear _weight_int8pack_mm _weight_int4pack_mm _weight_int4pack_mm_for_cpu"),
    (formulas.by_output, "_weight_int4pack_mm_with_scales_and_zeros _dyn_quant_matmul_4bit _mixed_dtypes_linear"),
    (formulas.by_output, "quantized::linear quantized::linear_relu quantized::linear_leaky_relu quantized::linear_tanh"),
    (formulas.by_output, "quantized::linear_dynamic"),
    (formulas.by_output, "quantized::linear_relu_dynamic quantized::linear_dynamic_fp16 quantized::linear_relu_dynamic_fp16"),
    (formulas.by_output, "onednn::qlinear_pointwise onednn::linear_dynamic_fp16 onednn::linear_relu_dynamic_fp16"),
    (formulas.by_output, "mkldnn::_linear_pointwise"),
    (formulas.linear_backward, "linear_backward mkldnn_linear_backward mkldnn_linear_backward_input mkldnn_linear_backward_weights"),
    (formulas.grouped_mm, "_grouped_mm _scaled_grouped_mm _scaled_grouped_mm_v2 transformers::grouped_mm_fallback"),
    (formulas.grouped_mm_backward, "transformers::grouped_mm_fallback_backward"),
    (formulas.euclidean_distance, "_euclidean_dist"),
    (formulas.trilinear, "_trilinear"),
    (formulas.convolution, "convolution _convolution convolution_overrideable _slow_conv2d_forward slow_conv3d_forward"),
    (formulas.convolution, "slow_conv_dilated2d"),
    (formulas.convolution, "slow_conv_dilated3d _conv_depthwise2d conv_depthwise3d cudnn_convolution cudnn_convolution_relu"),
    (formulas.convolution, "mkldnn_convolution"),
    (formulas.convolution, "cudnn_convolution_add_relu miopen_convolution miopen_convolution_relu miopen_convolution_add_relu"),
    (formulas.convolution, "miopen_depthwise_convolution _nnpack_spatial_convolution _mps_convolution mkldnn::_convolution_pointwise"),
    (formulas.convolution, "quantized::conv1d quantized::conv1d_relu quantized::conv2d quantized::conv2d_relu quantized::conv3d"),
    (formulas.convolution, "quantized::conv3d_relu quantized::conv1d_dynamic quantized::conv2d_dynamic quantized::conv3d_dynamic"),
    (formulas.convolution_transposed, "cudnn_convolution_transpose miopen_convolution_transpose slow_conv_transpose2d"),
    (formulas.convolution_transposed, "slow_conv_transpose3d"),
    (formulas.convolution_backward, "convolution_backward convolution_backward_overrideable _slow_conv2d_backward"),
    (formulas.convolution_tbc, "conv_tbc"),
    (formulas.attention, "_scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu _triton_scaled_dot_attention"),
    (formulas.attention, "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention"),
    (formulas.attention, "_scaled_dot_product_attention_math_for_mps"),
    (formulas.attention, "_scaled_dot_product_fused_attention_overrideable _cudnn_attention_forward"),
    (formulas.attention_backward, "_scaled_dot_product_flash_attention_backward _scaled_dot_product_flash_attention_for_cpu_backward"),
    (formulas.attention_backward, "_scaled_dot_product_efficient_attention_backward _scaled_dot_product_cudnn_attention_backward"),
    (formulas.attention_backward, "_scaled_dot_product_fused_attention_overrideable_backward _cudnn_attention_backward"),
    (formulas.attention_rows, "_flash_attention_forward _flash_attention_forward_no_dropout_inplace _efficient_attention_forward"),
    (formulas.attention_rows_backward, "_flash_attention_backward _efficient_attention_backward"),
    (formulas.encoder_layer_fast_path, "_transformer_encoder_layer_fwd"),
    (formulas.multi_head_fast_path, "_native_multi_head_attention _triton_multi_head_attention"),
    (formulas.mkldnn_rnn, "mkldnn_rnn_layer"),
    (formulas.mkldnn_rnn_backward, "mkldnn_rnn_layer_backward"),
    (formulas.whole_rnn, "_cudnn_rnn miopen_rnn _lstm_mps"),
    (formulas.whole_rnn_backward, "_cudnn_rnn_backward miopen_rnn_backward"),
)  # fmt: skip

#: Operators whose arithmetic is ``flops``: name without overload (``namespace::name`` outside aten), and the formula.
COMPUTE: dict[str, Formula] = {name: formula for formula, names in _COMPUTE_ROWS for name in names.split()}

_NORM, _RMS, _SOFTMAX = FLOPS_PER_ELEMENT["layernorm"], FLOPS_PER_ELEMENT["rmsnorm"], FLOPS_PER_ELEMENT["softmax"]

# Kind, FLOPs per element, names without overload and without the trailing underscore of an in-place operator. Backward
# operators count twice their forward's arithmetic where the gradient goes through every step of it.
_OTHER_ROWS: tuple[tuple[str, int, str], ...] = (
    ("norm", _NORM, "native_layer_norm native_group_norm native_batch_norm cudnn_batch_norm miopen_batch_norm _batch_norm_with_update"),
    ("norm", _NORM, "_native_batch_norm_legit _native_batch_norm_legit_no_training _native_batch_norm_legit_functional"),
    ("norm", _NORM, "_batch_norm_no_update"),
    ("norm", _NORM, "_batch_norm_with_update_functional batch_norm_elemt quantized_batch_norm"),
    ("norm", 2 * _NORM, "native_layer_norm_backward native_group_norm_backward native_batch_norm_backward batch_norm_backward"),
    ("norm", 2 * _NORM, "cudnn_batch_norm_backward miopen_batch_norm_backward batch_norm_backward_elemt"),
    ("norm", _RMS, "rms_norm _fused_rms_norm"),
    ("norm", 2 * _RMS, "_fused_rms_norm_backward"),
    ("norm", 4, "_weight_norm_interface _weight_norm_interface_backward renorm embedding_renorm"),
    ("softmax", _SOFTMAX, "_softmax _safe_softmax _log_softmax _masked_softmax softmax log_softmax _nested_tensor_softmax_with_shape"),
    ("softmax", 4, "_softmax_backward_data _log_softmax_backward_data _masked_softmax_backward"),
    ("gather", 0, "embedding index _unsafe_index index_select gather take masked_select _unsafe_masked_index searchsorted bucketize"),
    ("gather", 1, "_embedding_bag _embedding_bag_forward_only"),
    ("scatter", 0, "index_put _unsafe_index_put _index_put_impl index_copy index_fill scatter masked_scatter put select_scatter"),
    ("scatter", 0, "slice_scatter diagonal_scatter as_strided_scatter _unsafe_masked_index_put_accumulate masked_scatter_backward"),
    ("scatter", 1, "index_add scatter_add scatter_reduce index_reduce embedding_dense_backward _embedding_bag_dense_backward"),
    ("scatter", 1, "_embedding_bag_backward _embedding_bag_per_sample_weights_backward"),
    ("scatter", 0, "select_backward slice_backward diagonal_backward unfold_backward"),
    ("copy", 0, "clone copy _to_copy cat stack _stack _chunk_cat constant_pad_nd repeat repeat_interleave roll flip rot90 tril triu"),
    ("copy", 0, "lift"),
    ("copy", 0, "arange full full_like zeros zeros_like ones ones_like fill zero eye new_zeros new_ones new_full scalar_tensor linspace"),
    ("copy", 0, "logspace range tril_indices triu_indices one_hot pixel_shuffle pixel_unshuffle channel_shuffle im2col col2im unfold"),
    ("copy", 0, "block_diag diag_embed _copy_from _copy_from_and_resize complex"),
    ("copy", 0, "reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d"),
    ("copy", 1, "reflection_pad1d_backward reflection_pad2d_backward reflection_pad3d_backward"),
    ("copy", 1, "replication_pad1d_backward replication_pad2d_backward replication_pad3d_backward"),
    ("copy", 0, "_pack_padded_sequence _cudnn_rnn_flatten_weight mkldnn_reorder_conv2d_weight mkldnn_reorder_conv3d_weight"),
    ("copy", 0, "to_mkldnn _to_dense _mkldnn_reshape _mkldnn_transpose _lazy_clone _pin_memory fft_fftfreq fft_rfftfreq"),
    ("copy", 0, "to_padded_tensor _nested_from_padded _nested_tensor_from_mask _jagged_to_padded_dense_forward"),
    ("copy", 0, "_padded_dense_to_jagged_forward _nested_from_padded_tensor _nested_tensor_from_tensor_list"),
    ("copy", 1, "quantize_per_tensor quantize_per_tensor_dynamic quantize_per_channel dequantize _convert_weight_to_int4pack"),
    ("copy", 1, "quantized::cat quantized::cat_relu"),
    ("copy", 1, "int_repr _make_per_tensor_quantized_tensor _make_per_channel_quantized_tensor _convert_weight_to_int4pack_for_cpu"),
    ("copy", 1, "_dyn_quant_pack_4bit_weight _transform_bias_rescale_qkv _foreach_copy _foreach_clone _foreach_zero"),
    ("pool", 1, "max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d"),
    ("pool", 1, "adaptive_max_pool2d"),
    ("pool", 1, "_adaptive_avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool3d max_unpool2d"),
    ("pool", 1, "max_pool2d_with_indices_backward max_pool3d_with_indices_backward avg_pool2d_backward avg_pool3d_backward"),
    ("pool", 1, "_adaptive_avg_pool2d_backward _adaptive_avg_pool3d_backward adaptive_avg_pool3d_backward max_unpool3d"),
    ("pool", 1, "adaptive_max_pool2d_backward adaptive_max_pool3d_backward max_pool2d_backward fractional_max_pool2d"),
    ("pool", 1, "fractional_max_pool3d fractional_max_pool2d_backward fractional_max_pool3d_backward mkldnn_max_pool2d"),
    ("pool", 1, "mkldnn_max_pool3d"),
    ("pool", 1, "mkldnn_max_pool2d_backward mkldnn_max_pool3d_backward mkldnn_adaptive_avg_pool2d mkldnn_adaptive_avg_pool2d_backward"),
    ("pool", 1, "quantized_max_pool1d quantized_max_pool2d quantized_max_pool3d quantized::max_pool2d quantized::max_pool1d"),
    ("pool", 1, "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d"),
    ("pool", 1, "_upsample_nearest_exact3d upsample_nearest1d_backward upsample_nearest2d_backward upsample_nearest3d_backward"),
    ("pool", 1, "_upsample_nearest_exact1d_backward _upsample_nearest_exact2d_backward _upsample_nearest_exact3d_backward"),
    ("pool", 3, "upsample_linear1d upsample_linear1d_backward"),
    ("pool", 7, "upsample_bilinear2d upsample_bilinear2d_backward _upsample_bilinear2d_aa _upsample_bilinear2d_aa_backward"),
    ("pool", 7, "grid_sampler_2d grid_sampler_2d_backward cudnn_grid_sampler cudnn_grid_sampler_backward _grid_sampler_2d_cpu_fallback"),
    ("pool", 15, "upsample_trilinear3d upsample_trilinear3d_backward grid_sampler_3d grid_sampler_3d_backward"),
    ("pool", 31, "upsample_bicubic2d upsample_bicubic2d_backward _upsample_bicubic2d_aa _upsample_bicubic2d_aa_backward"),
    ("reduce", 1, "cumsum cumprod logcumsumexp _logcumsumexp cummax cummin topk sort argsort argmax argmin max min median nanmedian"),
    ("reduce", 1, "mode"),
    ("reduce", 1, "kthvalue nonzero nonzero_static multinomial linalg_vector_norm norm native_norm dist std_mean var_mean prod sum"),
    ("reduce", 1, "trace"),
    ("reduce", 1, "count_nonzero _aminmax histc bincount histogram unique_dim _unique _unique2 unique_consecutive"),
    ("reduce", 1, "unique_dim_consecutive isin"),
    ("reduce", 1, "batch_norm_stats batch_norm_backward_reduce batch_norm_gather_stats batch_norm_gather_stats_with_counts"),
    ("reduce", 1, "batch_norm_update_stats _foreach_norm _foreach_max _foreach_powsum hash_tensor"),
    ("reduce", 3, "mse_loss smooth_l1_loss huber_loss nll_loss_forward nll_loss2d_forward multi_margin_loss"),
    ("reduce", 3, "multilabel_margin_loss_forward"),
    ("reduce", 3, "binary_cross_entropy binary_cross_entropy_with_logits soft_margin_loss"),
    ("elementwise", 2, "mse_loss_backward smooth_l1_loss_backward huber_loss_backward nll_loss_backward nll_loss2d_backward"),
    ("elementwise", 3, "binary_cross_entropy_backward soft_margin_loss_backward multi_margin_loss_backward"),
    ("elementwise", 3, "multilabel_margin_loss_backward"),
    ("elementwise", 1, "native_dropout native_dropout_backward _fused_dropout _masked_scale bernoulli rand randn randint rand_like"),
    ("elementwise", 1, "randn_like"),
    ("elementwise", 1, "normal uniform exponential random randperm poisson geometric cauchy log_normal randint_like normal_functional"),
    ("elementwise", 1, "binomial _standard_gamma _sample_dirichlet _efficientzerotensor polar _conj_physical masked_fill where"),
    ("elementwise", 1, "fill_diagonal"),
    ("elementwise", 10, "_thnn_fused_lstm_cell _thnn_fused_gru_cell"),
    ("elementwise", 20, "_thnn_fused_lstm_cell_backward_impl _thnn_fused_gru_cell_backward"),
    ("elementwise", 5, "glu glu_backward glu_jvp glu_backward_jvp"),
    ("elementwise", 1, "leaky_relu_backward hardtanh_backward hardsigmoid_backward hardshrink_backward softshrink_backward"),
    ("elementwise", 1, "threshold_backward"),
    ("elementwise", 2, "_prelu_kernel _prelu_kernel_backward log_sigmoid_forward hardswish hardswish_backward elu_backward"),
    ("elementwise", 4, "log_sigmoid_backward softplus_backward rrelu_with_noise rrelu_with_noise_backward rrelu_with_noise_functional"),
    ("elementwise", 2, "floor_divide linalg_cross _add_relu addcmul addcdiv affine_grid_generator cudnn_affine_grid_generator"),
    ("elementwise", 2, "_amp_foreach_non_finite_check_and_unscale _amp_update_scale"),
    ("elementwise", 2, "quantized::add quantized::add_relu quantized::add_scalar quantized::add_scalar_relu quantized::mul"),
    ("elementwise", 2, "quantized::mul_relu quantized::mul_scalar quantized::mul_scalar_relu quantized::hardswish"),
    ("elementwise", 1, "quantized::clamp quantized::relu6 quantized::leaky_relu quantized::sigmoid"),
    ("elementwise", 3, "fake_quantize_per_tensor_affine_cachemask fake_quantize_per_channel_affine_cachemask"),
    ("elementwise", 3, "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams _fused_moving_avg_obs_fq_helper"),
    ("elementwise", 1, "bartlett_window blackman_window hamming_window hann_window kaiser_window"),
    # One step of an optimizer per parameter: Adam has 2 moments (3 each), bias corrections, square root, division, decay and update.
    ("elementwise", 14, "_fused_adam _fused_adamw"),
    ("elementwise", 4, "_fused_sgd"),
    ("elementwise", 6, "_fused_adagrad"),
)  # fmt: skip

#: Operators that are neither matmul-like nor bookkeeping: name without overload, kind and FLOPs per element.
OTHER: dict[str, tuple[str, int]] = {name: (kind, flops) for kind, flops, names in _OTHER_ROWS for name in names.split()}

#: Bookkeeping: no arithmetic and no traffic worth a row (allocation, metadata, an index format, a scalar handed to Python).
IGNORED = frozenset(
    "empty empty_like empty_strided empty_permuted new_empty new_empty_strided _new_zeros_with_same_feature_meta _unsafe_view "
    "_reshape_alias _reshape_copy lift_fresh_copy lift_fresh set resize resize_as _resize_output record_stream is_pinned is_nonzero item "
    "_local_scalar_dense equal sym_size sym_numel _assert_async _functional_assert_async _functional_assert_scalar _assert_tensor_metadata "
    "_has_compatible_shallow_copy_type _is_all_true _is_any_true _make_dep_token _functional_sym_constrain_range "
    "_functional_sym_constrain_range_for_size _nested_tensor_from_mask_left_aligned _nested_tensor_size _nested_tensor_strides "
    "_nested_tensor_storage_offsets _nested_get_offsets _nested_get_lengths _nested_get_min_seqlen _nested_get_max_seqlen "
    "_nested_get_jagged_dummy _cudnn_init_dropout_state detach alias as_strided squeeze unsqueeze t transpose swapaxes swapdims "
    "q_per_channel_scales q_per_channel_zero_points _empty_affine_quantized _empty_per_channel_affine_quantized empty_quantized "
    "_philox_key_fold_in from_file resize_as_sparse unsafe_split unsafe_split_with_sizes".split()
)

#: Namespaces whose operators move data between processes.
_COLLECTIVES = ("c10d", "_c10d_functional", "c10d_functional")


def classify(op: torch._ops.OpOverload) -> tuple[str, Any]:
    """How an operator is counted.

    Returns:
        ``("compute", formula)``, ``("other", (kind, flops per element))``, ``("skip", None)`` or ``("uncounted", None)``.
    """
    packet = op.overloadpacket
    name = packet.__name__ if op.namespace == "aten" else f"{op.namespace}::{packet.__name__}"
    base = name.rstrip("_") or name  # an in-place operator computes what the plain one does
    if base in COMPUTE:
        return "compute", COMPUTE[base]
    if op.is_view or base in IGNORED or op.namespace == "prim" or (not op._schema.returns and not op._schema.is_mutable):
        return "skip", None
    if op.namespace in _COLLECTIVES:
        return "other", ("collective", 0)
    if base in OTHER:
        return "other", OTHER[base]
    if base.endswith("_copy"):  # a view that is written out
        return "other", ("copy", 0)
    tags = {tag for overload in packet.overloads() for tag in getattr(packet, overload).tags} | set(op.tags)
    plain = getattr(torch.ops.aten, base, None) if op.namespace == "aten" and base != name else None
    if plain is not None:
        tags |= {tag for overload in plain.overloads() for tag in getattr(plain, overload).tags}
    if torch.Tag.pointwise in tags or base.startswith("_foreach_"):
        return "other", ("elementwise", FLOPS_PER_ELEMENT.get(base, 1))
    if torch.Tag.reduction in tags:
        return "other", ("reduce", 1)
    return "uncounted", None
