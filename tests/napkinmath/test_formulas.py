"""Operators: which are counted, which are free, which are reported as uncounted; and the formulas of each."""

import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from napkinmath import formulas, trace
from napkinmath.operators import COMPUTE, IGNORED, OTHER, classify

DECISIONS = Path(__file__).parents[1] / "fixtures" / "aten_operators.txt"
aten = torch.ops.aten


def runs_as_others(op):
    try:
        return torch._C._dispatch_has_kernel_for_dispatch_key(op.name(), "CompositeImplicitAutograd")
    except RuntimeError:  # TorchScript's own
        return True


def decisions():
    """Every aten operator that returns tensors and is no view, pointwise, reduction or made of others, and how it is counted."""
    found = {}
    for name in sorted({s.name.removeprefix("aten::") for s in torch._C._jit_get_all_schemas() if s.name.startswith("aten::")}):
        packet = getattr(aten, name, None)
        overloads = [getattr(packet, o) for o in packet.overloads()] if isinstance(packet, torch._ops.OpOverloadPacket) else []
        overloads = [o for o in overloads if any("Tensor" in str(r.type) for r in o._schema.returns) and not runs_as_others(o)]
        tags = {tag for o in overloads for tag in o.tags}
        if not overloads or tags & {torch.Tag.pointwise, torch.Tag.reduction} or any(o.is_view for o in overloads):
            continue
        kinds = {how if how != "other" else detail[0] for how, detail in map(classify, overloads)}
        found[name] = "/".join(sorted(kinds))
    return found


def pinned():
    paragraphs = [p for p in DECISIONS.read_text().split("\n\n") if not p.startswith("#")]
    return {name: kind for kind, names in (p.split(":", 1) for p in paragraphs) for name in names.split()}


def test_the_decision_about_every_aten_operator_is_pinned():
    now, then = decisions(), pinned()
    assert len(now) > 600
    assert {n: (then.get(n), now.get(n)) for n in now.keys() | then.keys() if now.get(n) != then.get(n)} == {}


def test_what_looks_like_computation_is_counted_or_reported():
    work = re.compile(
        r"(^|_)(mm|addmm|bmm|baddbmm|mv|dot|linear|lstm|gru|rnn|fft|solve|svd|qr|lu)(_|$)|matmul|conv|attention|linalg|cholesky"
    )
    rearranged = {"_convert_weight_to_int4pack", "_convert_weight_to_int4pack_for_cpu", "_cudnn_rnn_flatten_weight"}
    rearranged |= {"mkldnn_reorder_conv2d_weight", "mkldnn_reorder_conv3d_weight"}
    a_few_flops_per_element = {"linalg_cross"}
    a_few_flops_per_element |= {
        "_thnn_fused_lstm_cell",
        "_thnn_fused_gru_cell",
        "_thnn_fused_gru_cell_backward",
        "_thnn_fused_lstm_cell_backward_impl",
    }
    free = {name for name, kind in decisions().items() if work.search(name) and kind not in ("compute", "uncounted")}
    assert free - {"fft_fftfreq", "fft_rfftfreq"} == rearranged | a_few_flops_per_element


def test_no_operator_stands_in_two_tables():
    assert not COMPUTE.keys() & OTHER.keys()
    assert not (COMPUTE.keys() | OTHER.keys()) & IGNORED


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args, **kwargs):
        return self.function(*args, **kwargs)


def count(function, *args, **kwargs):
    return trace(Call(function), *args, **kwargs)


def z(*shape, dtype=torch.float32, device="cpu"):
    return torch.zeros(shape, dtype=dtype, device=device)


SAMPLE = {
    "_cdist_forward": (lambda: count(torch.cdist, z(2, 3), z(4, 3)), None),
    "_embedding_bag": (lambda: count(F.embedding_bag, torch.zeros(2, 3, dtype=torch.long), z(10, 4)), 0),
    "_euclidean_dist": (lambda: count(torch.cdist, z(30, 3), z(40, 3)), 2 * 30 * 40 * 5),
    "_fft_c2c": (lambda: count(torch.fft.fft, z(8, dtype=torch.complex64)), None),
    "_fft_r2c": (lambda: count(torch.fft.rfft, z(8)), None),
    "_foreach_mm": (lambda: count(lambda a, b: aten._foreach_mm([a, a], [b, b]), z(2, 3), z(3, 4)), 2 * 2 * 24),
    "_int_mm": (lambda: count(torch._int_mm, z(32, 16, dtype=torch.int8), z(16, 8, dtype=torch.int8)), 2 * 32 * 16 * 8),
    "_linalg_svd": (lambda: count(torch.linalg.svd, z(3, 3)), None),
    "_trilinear": (lambda: count(nn.Bilinear(3, 4, 5), z(2, 3), z(2, 4)), 2 * 2 * 3 * 4 * 5),
    "_weight_int8pack_mm": (
        lambda: count(torch._weight_int8pack_mm, z(4, 64, dtype=torch.bfloat16), z(8, 64, dtype=torch.int8), z(8, dtype=torch.bfloat16)),
        2 * 4 * 64 * 8,
    ),
    "addbmm": (lambda: count(torch.addbmm, z(3, 5), z(2, 3, 4), z(2, 4, 5)), 2 * 2 * 60),
    "addmm_": (lambda: count(lambda a, b: a.addmm_(b, b), z(4, 4), z(4, 4)), 128),
    "addmv": (lambda: count(torch.addmv, z(3), z(3, 4), z(4)), 24),
    "addr": (lambda: count(torch.addr, z(3, 4), z(3), z(4)), 24),
    "baddbmm_": (lambda: count(lambda a, b, c: a.baddbmm_(b, c), z(2, 3, 5), z(2, 3, 4), z(2, 4, 5)), 2 * 2 * 60),
    "conv_tbc": (lambda: count(torch.conv_tbc, z(9, 2, 3), z(3, 3, 4), z(4)), 2 * 7 * 2 * 3 * 3 * 4),
    "cumsum": (lambda: count(torch.cumsum, z(5), 0), 0),
    "dot": (lambda: count(torch.dot, z(7), z(7)), 14),
    "grid_sampler_2d": (lambda: count(F.grid_sample, z(1, 1, 4, 4), z(1, 3, 3, 2), align_corners=False), 0),
    "linalg_inv_ex": (lambda: count(torch.linalg.inv, torch.eye(3)), None),
    "linalg_matrix_exp": (lambda: count(torch.matrix_exp, z(3, 3)), None),
    "max_pool2d_with_indices": (lambda: count(F.max_pool2d, z(1, 1, 4, 4), 2), 0),
    "native_layer_norm": (lambda: count(nn.LayerNorm(4), z(2, 4)), 0),
    "sort": (lambda: count(torch.sort, z(4)), 0),
    "sparse_mm": (lambda: count(torch.sparse.mm, torch.eye(3).to_sparse_csr(), z(3, 2)), None),
    "tensordot": (lambda: count(torch.tensordot, z(3, 4, 5), z(4, 5, 3), 2), 2 * 3 * 20 * 3),
}


@pytest.mark.parametrize("name", sorted(SAMPLE))
def test_an_alphabetical_sample_runs(name):
    """FLOPs by hand, or None for what must be reported as uncounted."""
    run, flops = SAMPLE[name]
    ledger = run()
    if flops is None:
        assert ledger.uncounted
    else:
        assert (ledger.flops, ledger.uncounted) == (flops, ())


BATCH, HEADS, KV_HEADS, SEQ, CONTEXT, D_HEAD = 2, 8, 2, 6, 10, 16
PAIRS = 2 * BATCH * HEADS * SEQ * CONTEXT * D_HEAD  # one product of the two


def qkv(heads=HEADS, device="meta", dtype=torch.float32, context=CONTEXT):
    shape = (BATCH, HEADS, SEQ, D_HEAD), (BATCH, heads, context, D_HEAD)
    return z(*shape[0], device=device, dtype=dtype), z(*shape[1], device=device, dtype=dtype), z(*shape[1], device=device, dtype=dtype)


FUSED = {
    "cpu flash": lambda q, k, v: aten._scaled_dot_product_flash_attention_for_cpu(q, k, v),
    "cuda flash": lambda q, k, v: aten._scaled_dot_product_flash_attention(q, k, v),
    "efficient": lambda q, k, v: aten._scaled_dot_product_efficient_attention(q, k, v, None, True),
    "cudnn": lambda q, k, v: aten._scaled_dot_product_cudnn_attention(q, k, v, None, True),
    "overrideable": lambda q, k, v: aten._scaled_dot_product_fused_attention_overrideable(q, k, v),
}


@pytest.mark.parametrize("kernel", FUSED)
def test_fused_attention_counts_on_every_backend(kernel):
    ledger = count(FUSED[kernel], *qkv())
    assert (ledger.flops, [op.kind for op in ledger if op.flops]) == (2 * PAIRS, ["attention"])


def test_the_math_backend_counts_the_same_in_two_products():
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        ledger = count(F.scaled_dot_product_attention, *qkv(device="cpu"))
    assert (ledger.flops, [op.kind for op in ledger if op.flops]) == (2 * PAIRS, ["matmul", "matmul"])


@pytest.mark.parametrize("heads", [1, KV_HEADS])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_grouped_and_multi_query_attention_count_query_heads(heads, device):
    ledger = count(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True), *qkv(heads, device))
    assert ledger.flops == 2 * PAIRS


def test_causal_attention_knows_what_the_mask_throws_away():
    ledger = count(lambda q, k, v: aten._scaled_dot_product_flash_attention(q, k, v, 0.0, True), *qkv())
    visible = SEQ * (SEQ + 1) // 2
    assert ledger.totals().useful_causal_flops == 2 * PAIRS * visible // (SEQ * CONTEXT)
    assert ledger.flops == 2 * PAIRS


@pytest.mark.parametrize("kernel", ["flash", "efficient"])
def test_packed_sequences_count_each_with_itself(kernel):
    starts = torch.tensor([0, 3, 8], dtype=torch.int32)
    q = z(8, HEADS, D_HEAD)

    if kernel == "flash":
        call = formulas.Call(aten._flash_attention_forward.default, (q, q, q, starts, starts, 5, 5, 0.0, False, False), {}, None)
    else:
        q = q[None]
        call = formulas.Call(aten._efficient_attention_forward.default, (q, q, q, None, starts, starts, 5, 5, 0.0, 0), {}, None)
    assert formulas.attention_rows(call).flops == 4 * HEADS * D_HEAD * (3 * 3 + 5 * 5)


@pytest.mark.parametrize(("mode", "gates"), [(0, 1), (2, 4), (3, 3)])
def test_cudnn_counts_all_layers_and_directions(mode, gates):
    module = {1: nn.RNN, 4: nn.LSTM, 3: nn.GRU}[gates](6, 5, num_layers=2, bidirectional=True)
    weights = list(module.parameters())
    x, state = z(7, 3, 6), z(4, 3, 5)
    args = (x, weights, 4, None, state, state, mode, 5, 0, 2, False, 0.0, True, True, [], None)
    call = formulas.Call(aten._cudnn_rnn.default, args, {}, None)
    assert formulas.whole_rnn(call).flops == trace(module, x).flops == 2 * 21 * sum(w.numel() for w in weights if w.dim() > 1)


@pytest.mark.parametrize(
    ("shapes", "flops"),
    [
        (((8, 16), (2, 16, 24)), 2 * 8 * 16 * 24),
        (((2, 24, 16), (16, 8)), 2 * 24 * 16 * 8),
        (((16, 8), (8, 24)), 2 * 16 * 8 * 24),
        (((2, 3, 16), (2, 16, 8)), 2 * 2 * 3 * 16 * 8),
    ],
)
def test_grouped_matmuls_in_all_their_forms(shapes, flops):
    left, right = (z(*shape, dtype=torch.bfloat16) for shape in shapes)
    ends = None if left.dim() == right.dim() == 3 else torch.tensor([2, 8], dtype=torch.int32)
    assert count(lambda a, b: F.grouped_mm(a, b, offs=ends), left, right).flops == flops


@pytest.mark.parametrize("experts", ["eager", "batched_mm", "grouped_mm"])
def test_the_experts_of_a_mixture_count_however_transformers_runs_them(experts):
    import transformers as hf

    config = hf.MixtralConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, intermediate_size=32,
        num_local_experts=4, num_experts_per_tok=2, use_cache=False, bos_token_id=None, eos_token_id=None, pad_token_id=None,
        experts_implementation=experts,
    )  # fmt: skip
    ledger = trace(hf.MixtralForCausalLM(config).eval(), input_ids=torch.zeros(1, 6, dtype=torch.long), strict=True)
    assert ledger.by(lambda op: "experts" if "/experts/" in op.name else "rest")["experts"].flops == 2 * 6 * 2 * 3 * 16 * 32


def test_a_quantized_linear_layer_counts():
    module = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 4)), {nn.Linear})
    ledger = trace(module, z(3, 8), strict=True)
    assert (ledger.flops, ledger.macs) == (2 * 3 * 8 * 4, 3 * 8 * 4)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Conv1d(4, 6, 5, groups=2), (2, 4, 20)),
        (nn.Conv2d(8, 16, 3, groups=4, dilation=2), (2, 8, 12, 12)),
        (nn.Conv3d(3, 4, (1, 2, 3), stride=2), (2, 3, 5, 6, 7)),
        (nn.ConvTranspose1d(4, 6, 3, stride=2), (2, 4, 9)),
        (nn.ConvTranspose2d(6, 4, 3, groups=2, output_padding=1, stride=2), (1, 6, 5, 5)),
        (nn.ConvTranspose3d(2, 3, 2), (1, 2, 3, 4, 5)),
    ],
)
def test_convolutions_agree_with_torchs_counter(module, shape):
    x = z(*shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    assert trace(module, x, strict=True).flops == counter.get_total_flops() > 0


def test_an_embedding_bag_reads_only_the_rows_that_it_looks_up():
    bag = nn.EmbeddingBag(1_000_000, 8, mode="sum", device="meta")
    row = next(op for op in trace(bag, torch.zeros(3, 4, dtype=torch.long, device="meta")) if op.kind == "gather")
    assert row.bytes_read == 12 * 8 * 4 + 12 * 8 + 3 * 8  # rows, indices, offsets
    assert row.params == 8_000_000


def test_in_place_operators_write_what_they_write():
    table, rows = z(1000, 8), torch.arange(5)
    row = next(op for op in count(lambda t, r, v: t.index_copy_(0, r, v), table, rows, z(5, 8)))
    assert (row.kind, row.bytes_written, row.bytes_read) == ("scatter", 5 * 8 * 4, 5 * 8 * 4 + 5 * 8)
    fill = next(op for op in count(lambda t: t.zero_(), z(10)))
    assert (fill.bytes_read, fill.bytes_written) == (0, 40)


def test_a_broadcast_operand_is_read_once():
    row = next(op for op in count(torch.add, z(100, 50), z(50).expand(100, 50)) if op.kind == "elementwise")
    assert row.bytes_read == 4 * (100 * 50 + 50)
    assert math.prod(row.shape[0]) == 5000
