"""The rows of ranking models, in the order of execution, and the parts that two-tower models share with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...ledger import Ledger
from .. import recommender as forms
from .rows import Rows

if TYPE_CHECKING:
    from ...specs.recommender import Features, RecommenderSpec


def lookups(rows: Rows, name: str, batch: int, features: Features) -> None:
    """One embedding bag a table."""
    for table, sizes in enumerate(zip(features.rows, features.width, features.bag, strict=True)):
        embedding_bag(rows, f"{name}/table_{table}", batch, *sizes)


def embedding_bag(rows: Rows, name: str, batch: int, table_rows: int, width: int, bag: int) -> None:
    """Read ``bag`` rows an example at random addresses and sum them."""
    rows.add(
        name,
        "gather",
        other_flops=forms.pooling_flops(batch, bag, 1, width),
        read=batch * bag * width,
        written=batch * width,
        params=table_rows * width,
        op="embedding_bag",
        shape=((table_rows, width), (batch, bag)),
    )


def concat(rows: Rows, name: str, values: int) -> None:
    rows.add(name, "copy", read=values, written=values, shape=((values,),))


def mlp(rows: Rows, name: str, batch: int, d_in: int, widths: tuple[int, ...], *, last_relu: bool = True) -> int:
    """Linear layers with ReLUs; returns the width they end in."""
    for layer, width in enumerate(widths):
        rows.matmul(f"{name}/linear_{layer}", batch, d_in, width, bias=True)
        if last_relu or layer < len(widths) - 1:
            rows.pointwise(f"{name}/relu_{layer}", "elementwise", "relu", batch * width)
        d_in = width
    return d_in


def recommender_ledger(spec: RecommenderSpec, batch: int, dtype: str) -> Ledger:
    """Rows of scoring ``batch`` pairs; inputs are validated by :meth:`RecommenderSpec.ledger`."""
    rows = Rows(dtype)
    if spec.bottom_mlp:
        mlp(rows, "bottom_mlp", batch, spec.features.dense, spec.bottom_mlp)
    lookups(rows, "embeddings", batch, spec.features)
    concat(rows, "interaction/concat", batch * spec.input_width)
    if spec.interaction == "dot":
        _dot(rows, spec, batch)
    elif spec.interaction == "fm":
        _factorisation_machine(rows, spec, batch)
    elif spec.n_cross:
        _cross_layers(rows, spec, batch)

    deep_width = mlp(rows, "top_mlp", batch, spec.top_width, spec.top_mlp)
    if spec.structure == "parallel" and spec.n_cross:
        concat(rows, "logit/concat", batch * (spec.input_width + deep_width))
        deep_width += spec.input_width
    rows.matmul("logit/linear", batch, deep_width, 1, bias=True)
    if spec.interaction == "fm":
        rows.pointwise("logit/add_pairs", "elementwise", "add", batch, inputs=2)
    if spec.wide_rows:
        embedding_bag(rows, "wide/weights", batch, spec.wide_rows, 1, spec.wide_bag)
        rows.pointwise("wide/add", "elementwise", "add", batch, inputs=2)
    return rows.ledger(f"{spec.name} batch={batch} {dtype}")


def _dot(rows: Rows, spec: RecommenderSpec, batch: int) -> None:
    """Dot products of all pairs. The matmul also computes each pair's mirror image and each vector's own square."""
    vectors, width = spec.vectors, spec.features.width[0]
    flops = forms.dot_interaction_flops(batch, vectors, width)
    shape = ((batch, vectors, width), (batch, width, vectors))
    pairs = forms.feature_pairs(vectors)
    rows.add("interaction/dot", "matmul", flops=flops, read=2 * batch * vectors * width, written=batch * pairs, shape=shape)
    mirrored = 2 * batch * vectors**2 * width - flops
    rows.add("interaction/mirrored", "matmul", flops=mirrored, written=batch * (vectors**2 - pairs), shape=shape, overhead=True)
    rows.add("interaction/pairs", "gather", read=batch * pairs, written=batch * pairs, shape=((batch, vectors, vectors),))


def _factorisation_machine(rows: Rows, spec: RecommenderSpec, batch: int) -> None:
    """Sum of all pairs' dot products without computing them: half of (square of the sum - sum of the squares)."""
    values, width = batch * spec.features.total_width, batch * spec.features.width[0]
    rows.add("interaction/sum", "reduce", other_flops=values, read=values, written=width, op="sum", shape=((values,),))
    rows.pointwise("interaction/square", "elementwise", "mul", values)
    rows.add("interaction/sum_of_squares", "reduce", other_flops=values, read=values, written=width, op="sum", shape=((values,),))
    rows.pointwise("interaction/square_of_sum", "elementwise", "mul", width)
    rows.pointwise("interaction/subtract", "elementwise", "add", width, inputs=2)
    rows.add("interaction/total", "reduce", other_flops=width, read=width, written=batch, op="sum", shape=((width,),))


def _cross_layers(rows: Rows, spec: RecommenderSpec, batch: int) -> None:
    """``x0 * f(x) + x``, where ``f`` is one number (DCN), a matrix, a low-rank matrix or a gated mixture of those (DCN-V2)."""
    width, rank, experts = spec.input_width, spec.cross_rank, spec.cross_experts
    values, first = batch * width, len(rows.ops)
    if spec.interaction == "cross":
        rows.matmul("cross/vector", batch, width, 1, bias=False)
    elif not rank:
        rows.matmul("cross/matrix", batch, width, width, bias=False)
    else:
        joined = max(experts, 1) * rank
        rows.matmul("cross/down", batch, width, joined, bias=False)
        if experts:
            rows.pointwise("cross/tanh_down", "elementwise", "tanh", batch * joined)
            rows.add(
                "cross/core",
                "matmul",
                flops=experts * 2 * batch * rank**2,
                read=batch * joined + experts * rank**2,
                written=batch * joined,
                params=experts * rank**2,
                shape=((experts, batch, rank), (experts, rank, rank)),
            )
            rows.pointwise("cross/tanh_core", "elementwise", "tanh", batch * joined)
        if experts and spec.cross_gate:
            rows.matmul("cross/gate", batch, width, experts, bias=False)
            rows.pointwise("cross/softmax", "softmax", "softmax", batch * experts)
            rows.pointwise("cross/weigh", "elementwise", "mul", batch * joined, inputs=2)
        rows.matmul("cross/up", batch, joined, width, bias=False)
    rows.pointwise("cross/bias", "elementwise", "add", values, params=width)
    rows.pointwise("cross/multiply", "elementwise", "mul", values, inputs=2)
    rows.pointwise("cross/residual", "elementwise", "add", values, inputs=2)
    rows.repeat(spec.n_cross, first)
