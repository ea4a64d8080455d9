"""Our two-tower model: no library has it without the rest of a training system."""

from __future__ import annotations

from typing import Any

import torch

from ..specs.two_tower import TwoTowerSpec
from ..zoo.recommender import TwoTower
from .plan import How, Plan


def plan(spec: TwoTowerSpec, sizes: dict[str, int], how: How) -> Plan:
    """Ids of ``[batch, lookups]`` for users and ``[candidates, lookups]`` for items, and dense features where there are any."""

    def inputs() -> dict[str, Any]:
        given: dict[str, Any] = {}
        for side, examples in (("user", sizes["batch"]), ("item", sizes["candidates"])):
            features, _ = spec.tower(side)
            given[f"{side}_ids"] = torch.zeros(examples, features.lookups, dtype=torch.long)
            if features.dense:
                given[f"{side}_dense"] = torch.zeros(examples, features.dense)
        return given

    names = {f"^{side}/{part}/": f"{side}/{part}" for side in ("user", "item") for part in ("embeddings", "mlp")}
    return Plan(lambda: TwoTower(spec), inputs, names | {"^(mm|t)$": "scores"})
