"""Our ranking models: no library has all of them."""

from __future__ import annotations

from typing import Any

import torch

from ..specs.recommender import RecommenderSpec
from ..zoo.recommender import Recommender
from .plan import How, Plan


def plan(spec: RecommenderSpec, sizes: dict[str, int], how: How) -> Plan:
    """Ids of ``[batch, lookups]``, and dense features and ids of hashed crosses where the model has them."""
    batch = sizes["batch"]

    def inputs() -> dict[str, Any]:
        given: dict[str, Any] = {"ids": torch.zeros(batch, spec.features.lookups, dtype=torch.long)}
        if spec.features.dense:
            given["dense"] = torch.zeros(batch, spec.features.dense)
        if spec.wide_rows:
            given["wide_ids"] = torch.zeros(batch, spec.wide_bag, dtype=torch.long)
        return given

    parts = ("bottom_mlp", "embeddings", "interaction", "cross", "top_mlp", "logit", "wide")
    return Plan(lambda: Recommender(spec), inputs, {f"^{part}/": part for part in parts})
