"""The rows of a two-tower model, in the order of execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...ledger import Ledger
from .recommender import concat, lookups, mlp
from .rows import Rows

if TYPE_CHECKING:
    from ...specs.two_tower import TwoTowerSpec


def two_tower_ledger(spec: TwoTowerSpec, batch: int, candidates: int, dtype: str, items: str) -> Ledger:
    """Rows of scoring ``candidates`` items for ``batch`` users; inputs are validated by :meth:`TwoTowerSpec.ledger`."""
    rows = Rows(dtype)
    for side, examples in (("user", batch), ("item", candidates)):
        if side == "item" and items == "indexed":
            continue
        features, widths = spec.tower(side)
        lookups(rows, f"{side}/embeddings", examples, features)
        concat(rows, f"{side}/mlp/concat", examples * (features.total_width + features.dense))
        mlp(rows, f"{side}/mlp", examples, features.total_width + features.dense, widths, last_relu=False)
        if spec.normalised:
            rows.pointwise(f"{side}/mlp/normalise", "norm", "rmsnorm", examples * spec.d_embed)
    rows.matmul("scores/dot", batch, spec.d_embed, candidates, bias=False, tied=True)
    return rows.ledger(f"{spec.name} batch={batch} candidates={candidates} {dtype}")
