"""Closed forms: against figures that others published, against themselves as sums of rows, and as symbols and columns."""

import pandas as pd
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import napkinmath as nm
from napkinmath.specs import TransformerSpec, presets
from napkinmath.whiteboard import transformer as forms

sizes = st.integers(1, 64)


def test_gpt3_forward_flops_per_token_close_to_the_paper():
    # Brown et al. 2020 (arXiv:2005.14165), table D.1: 174,600 M parameters, 2 FLOPs per parameter and token, attention left out.
    n_layers, d_model = 96, 12288
    linear = n_layers * (forms.attention_projection_flops(1, d_model, 96, 96, 128) + forms.ffn_flops(1, d_model, 4 * d_model))
    assert linear == pytest.approx(2 * 174_600e6, rel=0.005)


def test_llama_3_405b_weights_are_the_810_gb_that_its_paper_needs():
    # Grattafiori et al. 2024 (arXiv:2407.21783), section 6.1: the BF16 weights do not fit one 8 x H100 (640 GB) server.
    assert 640e9 < nm.llama_3_405b.weight_bytes("bf16") == 2 * 405_853_388_800


def test_llama_3_405b_training_compute_matches_its_paper():
    # Same paper, section 1: 3.8e25 FLOPs on 15.6 T tokens. Training is 3 times forward; sequences of 8,192.
    per_token = nm.llama_3_405b.useful_causal_flops(batch=1, seq=8192) / 8192
    assert 3 * per_token * 15.6e12 == pytest.approx(3.8e25, rel=0.05)


def plain(spec):
    """A transformer whose layers are all alike: full attention and a dense FFN."""
    return type(spec) is TransformerSpec and not (spec.window or spec.moe or spec.mla)


@pytest.mark.parametrize("spec", filter(plain, presets()), ids=lambda s: s.name)
def test_rows_add_up_to_the_closed_form_of_the_whole(spec):
    batch, seq = 3, 32
    whole = forms.forward_flops(
        batch,
        seq,
        seq,
        spec.n_layers,
        spec.d_model,
        spec.d_ff,
        spec.n_heads,
        spec.n_kv_heads,
        spec.d_head,
        spec.vocab * spec.lm_head,
        spec.gated,
    )
    pooler = 2 * batch * spec.d_model**2 if spec.pooler else 0
    projection = 2 * batch * seq * spec.d_embed * spec.d_model
    assert spec.flops(batch, seq) == whole + pooler + projection


@given(batch=sizes, heads=sizes, seq=sizes, extra=sizes, d_head=sizes)
def test_causal_flops_count_the_visible_pairs(batch, heads, seq, extra, d_head):
    context = seq + extra - 1
    pairs = sum(context - seq + i + 1 for i in range(seq))
    assert forms.causal_score_flops(batch, heads, seq, context, d_head) == 4 * batch * heads * pairs * d_head
    assert forms.causal_score_flops(batch, heads, 1, context, d_head) == forms.attention_score_flops(batch, heads, 1, context, d_head)


@given(heads=sizes, d_head=sizes, d_model=sizes, d_ff=sizes, gated=st.integers(0, 1))
def test_scores_and_ffn_are_equal_at_the_crossover(heads, d_head, d_model, d_ff, gated):
    seq = forms.score_ffn_crossover_seq(d_model, d_ff, heads, d_head, gated)
    assert forms.attention_score_flops(1, heads, seq, seq, d_head) == pytest.approx(forms.ffn_flops(seq, d_model, d_ff, gated))


def test_crossovers_of_the_classic_shape():
    d, heads = sympy.symbols("d_model n_heads", positive=True)
    assert sympy.simplify(forms.score_ffn_crossover_seq(d, 4 * d, heads, d / heads) - 4 * d) == 0
    assert sympy.simplify(forms.score_linear_crossover_seq(d, 4 * d, heads, heads, d / heads) - 6 * d) == 0


def test_one_definition_serves_numbers_columns_and_symbols():
    context = sympy.Symbol("context")
    formula = forms.kv_cache_bytes(32, 8, 128, 1, context, "bf16")
    column = forms.kv_cache_bytes(32, 8, 128, 1, pd.Series([1, 8192]), "bf16")
    assert list(column) == [int(formula.subs(context, n)) for n in (1, 8192)]


def test_fused_and_eager_attention_differ_in_bytes_and_not_in_flops():
    fused, eager = (nm.bert_base.ledger(8, 512, attention=a).totals() for a in ("fused", "eager"))
    assert (fused.flops, fused.params) == (eager.flops, eager.params)
    assert eager.bytes_moved - fused.bytes_moved >= 12 * nm.bert_base.score_matrix_bytes(8, 512, dtype="fp32")


def test_last_logits_are_what_a_server_computes():
    spec = nm.gpt2
    saved = spec.ledger(2, 64).flops - spec.ledger(2, 64, logits="last").flops
    assert saved == forms.linear_flops(2 * 63, spec.d_model, spec.vocab)


def test_tied_embeddings_count_once_and_still_compute():
    fields = {"name": "t", "n_layers": 1, "d_model": 8, "n_heads": 2, "d_ff": 16, "vocab": 50, "max_positions": 16, "lm_head": True}
    tied, untied = TransformerSpec(**fields, tied_embeddings=True), TransformerSpec(**fields)
    assert untied.params() - tied.params() == 50 * 8
    assert untied.flops(1, 4) == tied.flops(1, 4)
