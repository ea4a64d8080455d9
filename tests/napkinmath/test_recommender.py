"""Ranking and retrieval models: whiteboard against our modules, the papers' figures, and what each part computes."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pandas as pd
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import napkinmath as nm
from napkinmath import reference
from napkinmath.errors import InputError
from napkinmath.specs.recommender import Features, RecommenderSpec
from napkinmath.specs.two_tower import TwoTowerSpec
from napkinmath.whiteboard import recommender, retrieval
from napkinmath.witnesses import readings
from napkinmath.zoo.recommender import CrossLayer, DotInteraction, FactorisationMachine
from tests.napkinmath.families import assert_published, assert_same_count

PRESETS = [spec for family in ("recommender", "two-tower") for spec in nm.presets(family)]
FEATURES = Features(rows=(5, 7, 3), width=4, bag=(1, 3, 2), dense=6)
TINY = {"name": "tiny", "features": FEATURES, "top_mlp": (8, 5)}
TINY_TOWERS = {"name": "tiny", "user": FEATURES, "user_mlp": (8, 4), "item": Features(rows=9, width=4)}
CROSSES = [
    {"interaction": "concat"},
    {"interaction": "concat", "wide_rows": 11, "wide_bag": 3},
    {"interaction": "dot", "bottom_mlp": (5, 4)},
    {"interaction": "fm", "wide_rows": 15, "wide_bag": 3},
    {"interaction": "cross", "n_cross": 2, "structure": "parallel"},
    {"interaction": "cross_matrix", "n_cross": 2},
    {"interaction": "cross_matrix", "n_cross": 3, "cross_rank": 2, "structure": "parallel"},
    {"interaction": "cross_matrix", "n_cross": 2, "cross_rank": 2, "cross_experts": 3},
    {"interaction": "cross_matrix", "n_cross": 1, "cross_rank": 2, "cross_experts": 3, "cross_gate": False, "bottom_mlp": (4,)},
]


@pytest.mark.parametrize("spec", PRESETS, ids=lambda s: s.name)
def test_presets(spec):
    assert_same_count(spec, batch=2)
    assert_published(spec)


def test_tables_of_a_terabyte_take_no_memory():
    huge = RecommenderSpec(name="huge", features=Features(rows=(10**9, 10**9), width=128, bag=30), top_mlp=(64,))
    assert huge.embedding_bytes("fp32") > 1e12
    assert_same_count(huge, batch=4)
    assert_same_count(huge, batch=4, device="cpu", fake=True)


# The papers' figures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "printed"), [("dcn-criteo", 2.1), ("dcn-v2", 3.5), ("dcn-v2-mix", 2.4), ("mlp-criteo", 3.2), ("deepfm", 1.4)]
)
def test_dcn_v2s_table_6_counts_everything_but_the_tables(name, printed):
    assert round(nm.preset(name).dense_params() / 1e6, 1) == printed


def test_dcn_reads_the_1026_values_of_its_paper():
    spec = nm.dcn
    assert spec.input_width == 1026
    assert spec.features.width == tuple(math.floor(6 * rows**0.25) for rows in spec.features.rows)


def test_dlrms_interaction_is_the_input_that_its_benchmark_names():
    assert nm.dlrm_mlperf.top_width == 479  # 128 + 351 pairs of 27 vectors; ln_top of MLPerf's inference code
    assert nm.dlrm_kaggle.top_width == 367
    assert nm.dlrm_debug.top_width == 8


def test_dlrm_v2_reads_214_rows_an_example():
    assert nm.dlrm_v2_mlperf.features.lookups == 214
    assert nm.dlrm_v2_mlperf.gathered_bytes(batch=1) == 214 * 128 * 4


# Random specs ---------------------------------------------------------------------------------------------------------------


@st.composite
def features(draw, equal=False):
    tables = draw(st.integers(1, 4))
    width = draw(st.integers(1, 6))
    return Features(
        rows=tuple(draw(st.integers(1, 50)) for _ in range(tables)),
        width=width if equal else tuple(draw(st.integers(1, 6)) for _ in range(tables)),
        bag=tuple(draw(st.integers(1, 5)) for _ in range(tables)),
        dense=draw(st.integers(0, 5)),
    )


@st.composite
def recommenders(draw):
    cross = dict(draw(st.sampled_from(CROSSES)))
    equal = cross["interaction"] in ("dot", "fm")
    chosen = draw(features(equal=equal))
    cross.pop("bottom_mlp", None)
    if equal or draw(st.booleans()):
        chosen = replace(chosen, dense=max(chosen.dense, 1))
        cross["bottom_mlp"] = (draw(st.integers(1, 6)), chosen.width[0])
    return RecommenderSpec(
        name="random", features=chosen, top_mlp=tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))), **cross
    )


@given(spec=recommenders(), batch=st.integers(1, 4))
@settings(max_examples=60)
def test_any_recommender(spec, batch):
    assert_same_count(spec, batch=batch)


@given(
    user=features(), item=features(), end=st.integers(1, 5), normalised=st.booleans(), batch=st.integers(1, 4), candidates=st.integers(1, 5)
)
@settings(max_examples=30)
def test_any_two_tower(user, item, end, normalised, batch, candidates):
    spec = TwoTowerSpec(name="random", user=user, item=item, user_mlp=(3, end), item_mlp=(end,), normalised=normalised)
    assert_same_count(spec, batch=batch, candidates=candidates)


# Real passes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cross", CROSSES, ids=str)
def test_a_real_pass(cross):
    built = reference(RecommenderSpec(**TINY, **cross), 3, device="cpu")
    with torch.no_grad():
        logits = built.module(**built.inputs)
    assert logits.shape == (3,)
    assert logits.isfinite().all()


def test_two_towers_score_every_candidate_for_every_user():
    built = reference(TwoTowerSpec(**TINY_TOWERS, normalised=True), 3, 5, device="cpu")
    with torch.no_grad():
        scores = built.module(**built.inputs)
    assert scores.shape == (3, 5)
    assert scores.abs().max() <= 1 + 1e-6


def test_the_dot_interaction_is_all_distinct_pairs():
    vectors = torch.randn(2, 4, 3)
    pairs = [(vectors[:, i] * vectors[:, j]).sum(1) for i, j in itertools.combinations(range(4), 2)]
    torch.testing.assert_close(DotInteraction()(vectors).sort(1).values, torch.stack(pairs, 1).sort(1).values)
    torch.testing.assert_close(FactorisationMachine()(vectors), torch.stack(pairs, 1).sum(1))


def test_cross_layers_are_their_papers_formulas():
    x0, x = torch.randn(2, 6), torch.randn(2, 6)
    vector, full = CrossLayer(6, "cross"), CrossLayer(6, "cross_matrix")
    low, mixture = CrossLayer(6, "cross_matrix", rank=2), CrossLayer(6, "cross_matrix", rank=2, experts=3)
    for layer in (vector, full, low, mixture):
        layer.bias.data = torch.randn(6)
    with torch.no_grad():
        # Wang et al. 2017: x0 x^T w + b + x
        expected = torch.einsum("bi,bj,j->bi", x0, x, vector.vector.weight[0]) + vector.bias + x
        torch.testing.assert_close(vector(x0, x), expected)
        # Wang et al. 2020, equations 1 and 2
        torch.testing.assert_close(full(x0, x), x0 * (x @ full.matrix.weight.T + full.bias) + x)
        torch.testing.assert_close(low(x0, x), x0 * (x @ low.down.weight.T @ low.up.weight.T + low.bias) + x)
        # Equations 3 and 4: each expert apart, weighed by its gate; the gates sum to 1, so the bias counts once
        gates = torch.softmax(x @ mixture.gate.weight.T, dim=1)
        expected = x.clone()
        for expert in range(3):
            hidden = torch.tanh(torch.tanh(x @ mixture.down.weight[2 * expert : 2 * expert + 2].T) @ mixture.core[expert])
            out = x0 * (hidden @ mixture.up.weight[:, 2 * expert : 2 * expert + 2].T + mixture.bias)
            expected += gates[:, expert : expert + 1] * out
        torch.testing.assert_close(mixture(x0, x), expected)


@pytest.mark.parametrize("spec", [nm.dlrm_debug, nm.dcn_v2_mix, nm.two_tower], ids=lambda s: s.name)
def test_every_counter_agrees_after_its_named_corrections(spec):
    found = readings(spec, 2)
    assert {r.counter: r.flops for r in found} == dict.fromkeys((r.counter for r in found), spec.flops(2))


# Closed forms ---------------------------------------------------------------------------------------------------------------


def test_half_of_the_dot_products_are_overhead():
    ledger = nm.dlrm_mlperf.ledger(batch=16)
    useful, overhead = (
        ledger.filter(lambda op, is_overhead=flag: op.name.startswith("interaction/") and op.overhead == is_overhead).flops
        for flag in (False, True)
    )
    assert useful == recommender.dot_interaction_flops(16, 27, 128)
    assert useful + overhead == 2 * 16 * 27**2 * 128
    assert overhead > useful


@pytest.mark.parametrize(
    ("name", "params", "flops"),
    [
        ("dcn-criteo", recommender.cross_vector_params(1027), recommender.cross_vector_flops(8, 1027)),
        ("dcn-v2", recommender.cross_matrix_params(1027), recommender.cross_matrix_flops(8, 1027)),
        ("dlrm-v2-mlperf", recommender.cross_low_rank_params(27 * 128, 512), recommender.cross_low_rank_flops(8, 27 * 128, 512)),
        ("dcn-v2-mix", recommender.cross_mixture_params(1027, 64, 4, gated=0), recommender.cross_mixture_flops(8, 1027, 64, 4, gated=0)),
    ],
)
def test_cross_layers_add_up(name, params, flops):
    spec = nm.preset(name)
    cross = spec.ledger(8).by("module", 1)["cross"]
    assert (cross.params, cross.flops) == (spec.n_cross * params, spec.n_cross * flops)


def test_low_rank_is_cheaper_up_to_half_the_width():
    width = sympy.Symbol("width", positive=True)
    same = recommender.cross_low_rank_flops(1, width, width / 2) - recommender.cross_matrix_flops(1, width)
    assert sympy.simplify(same) == 0


def test_gathers_read_random_rows_and_sum_bags():
    spec = nm.dlrm_v2_mlperf
    gathers = spec.ledger(64).by("kind")["gather"]
    assert gathers.bytes_read == spec.gathered_bytes(64)
    assert gathers.other_flops == recommender.pooling_flops(64, 214, 26, 128)
    assert gathers.params == spec.embedding_params()
    assert spec.shard_bytes(devices=8) == spec.embedding_bytes() / 8


def test_an_index_answers_without_the_item_tower():
    spec = nm.two_tower
    served, trained = spec.ledger(8, 10_000, items="indexed"), spec.ledger(8, 10_000)
    assert served.flops < trained.flops / 100
    assert served.by("module", 1)["scores"].flops == retrieval.retrieval_score_flops(8, 10_000, spec.d_embed)
    assert served.by("module", 1)["scores"].bytes_read == spec.index_bytes(10_000) + 8 * spec.d_embed * 4
    assert not any(op.name.startswith("item/") for op in served)


def test_the_default_is_a_training_step_with_in_batch_negatives():
    scores = nm.two_tower.ledger(8192).by("module", 1)["scores"]
    assert scores.bytes_written == nm.two_tower.in_batch_logits_bytes(8192) == retrieval.in_batch_logits_bytes(8192)


@given(values=st.integers(1, 60), buckets=st.integers(1, 40))
@settings(max_examples=20)
def test_hash_collisions_match_their_enumeration(values, buckets):
    # A given key is alone if none of the others falls into its bucket.
    assert recommender.hash_collision_share(values, buckets) == pytest.approx(1 - ((buckets - 1) / buckets) ** (values - 1))
    used = recommender.expected_buckets_used(values, buckets)
    assert 1 <= used + 1e-9 <= min(values, buckets) + 1e-6


def test_hash_collisions_match_a_simulation():
    values, buckets, runs = 200, 300, 400
    hashed = torch.randint(buckets, (runs, values), generator=torch.Generator().manual_seed(0))
    used = torch.tensor([len(row.unique()) for row in hashed]).float().mean().item()
    assert recommender.expected_buckets_used(values, buckets) == pytest.approx(used, rel=0.01)


@pytest.mark.parametrize("pieces", [2, 10, 64])
def test_relus_multiply_within_their_error(pieces):
    kinks = torch.linspace(-2, 2, pieces + 1, dtype=torch.float64)[1:-1]
    assert 2 * len(kinks) == pytest.approx(recommender.relus_of_a_product(pieces**-2))
    x, y = torch.rand(2, 100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def square(s):  # its first piece, then a change of slope at each kink
        return 4 - (4 - 4 / pieces) * (s + 2) + 8 / pieces * torch.relu(s[:, None] - kinks).sum(1)

    off = ((square(x + y) - square(x - y)) / 4 - x * y).abs().max()
    assert 0.5 * pieces**-2 < off <= pieces**-2


def test_where_gathers_overtake_the_layers():
    peak, rows_per_s = 5e12, 40e9
    lookups = recommender.gather_bound_lookups(3e6, 48, peak, rows_per_s, "bf16")
    assert recommender.table_gather_bytes(1, lookups, 48, "bf16") / rows_per_s == pytest.approx(3e6 / peak)


def test_index_sizes():
    # faiss' wiki gives 4 d + 2 M 4 bytes a vector for HNSW and m bytes a vector for 8-bit PQ; ids are 8 bytes.
    assert retrieval.hnsw_index_bytes(1, 128, links=32) == 4 * 128 + 32 * 2 * 4
    assert retrieval.pq_index_bytes(10**6, 128, subvectors=16) == 16 * 10**6 + 256 * 128 * 4
    assert retrieval.ivf_index_bytes(10**6, 128, lists=1000) == 10**6 * (512 + 8) + 1000 * 512


def test_the_cheapest_number_of_lists():
    lists, vectors = sympy.symbols("lists vectors", positive=True)
    slope = sympy.diff(retrieval.ivf_search_flops(1, vectors, 128, lists, 16), lists)
    assert sympy.simplify(slope.subs(lists, retrieval.ivf_best_lists(vectors, 16))) == 0


def test_one_definition_serves_columns_and_symbols():
    vectors = sympy.Symbol("vectors")
    formula = retrieval.ivf_pq_index_bytes(vectors, 128, 1024, 16)
    column = retrieval.ivf_pq_index_bytes(pd.Series([10**6, 10**9]), 128, 1024, 16)
    assert list(column) == [float(formula.subs(vectors, n)) for n in (10**6, 10**9)]


# Bad input ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interaction": "dott"}, "interaction='dott' is not known. Did you mean 'dot'"),
        ({"structure": "paralel"}, "Did you mean 'parallel'"),
        ({"interaction": "cross"}, "need at least 1"),
        ({"n_cross": 2}, "cross layers belong to interaction='cross'"),
        ({"interaction": "dot"}, "dense features need a bottom_mlp"),
        ({"interaction": "dot", "bottom_mlp": (8, 5)}, "takes vectors of one width; these have 4, 5"),
        ({"cross_rank": 2}, "belongs to interaction='cross_matrix'"),
        ({"interaction": "cross_matrix", "n_cross": 1, "cross_experts": 2}, "give cross_rank"),
        ({"wide_rows": 10}, "give both, or neither"),
        ({"top_mlp": ()}, "top_mlp is empty"),
        ({"top_mlp": (8, 0)}, r"top_mlp\[1\]=0 is out of range"),
        ({"features": Features(rows=3, width=2), "bottom_mlp": (4,)}, "has no dense features"),
    ],
)
def test_bad_dimensions(change, message):
    with pytest.raises(InputError, match=message):
        RecommenderSpec(**{**TINY, **change})


def test_bad_features_and_towers():
    with pytest.raises(InputError, match="width has 2 entries for 3 tables"):
        Features(rows=(1, 2, 3), width=(4, 4))
    with pytest.raises(InputError, match=r"rows\[1\]=0 is out of range"):
        Features(rows=(1, 0), width=4)
    with pytest.raises(InputError, match="the user tower ends in 4 values and the item tower in 5"):
        TwoTowerSpec(**{**TINY_TOWERS, "item_mlp": (5,)})
    with pytest.raises(InputError, match="candidates=0 is out of range"):
        nm.two_tower.ledger(1, 0)
