"""Ranking and retrieval models over sparse features, as their papers have them.

Wide & Deep (arXiv:1606.07792), DeepFM (arXiv:1703.04247), DCN (arXiv:1708.05123), DCN-V2 (arXiv:2008.13535), DLRM (arXiv:1906.00091) and
two towers (doi:10.1145/3298689.3346996) differ in what crosses the features; the tables and the MLPs are the same.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..specs.recommender import Features, RecommenderSpec
from ..specs.two_tower import TwoTowerSpec


class Tables(nn.ModuleList):
    """One embedding bag a categorical feature: each sums the rows that an example names."""

    def __init__(self, features: Features) -> None:
        bags = zip(features.rows, features.width, strict=True)
        super().__init__(nn.EmbeddingBag(rows, width, mode="sum") for rows, width in bags)
        self.bags = features.bag

    def forward(self, ids: Tensor) -> list[Tensor]:
        """Ids of ``[batch, lookups]``, the tables' bags side by side, to one ``[batch, width]`` a table."""
        return [table(bag) for table, bag in zip(self, ids.split(self.bags, dim=1), strict=True)]


def mlp(d_in: int, widths: tuple[int, ...], last_relu: bool = True) -> nn.Sequential:
    """Linear layers with ReLUs between them."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(d_in, width), nn.ReLU()]
        d_in = width
    return nn.Sequential(*layers if last_relu else layers[:-1])


class DotInteraction(nn.Module):
    """Dot products of all pairs of vectors: ``[batch, n, width]`` to ``[batch, n (n - 1) / 2]``."""

    def forward(self, vectors: Tensor) -> Tensor:
        products = torch.bmm(vectors, vectors.transpose(1, 2))
        row, column = torch.tril_indices(vectors.shape[1], vectors.shape[1], offset=-1, device=vectors.device)
        return products[:, row, column]


class FactorisationMachine(nn.Module):
    """Sum of the dot products of all pairs, in time linear in their number: ``[batch, n, width]`` to ``[batch]``."""

    def forward(self, vectors: Tensor) -> Tensor:
        return 0.5 * (vectors.sum(1) ** 2 - (vectors**2).sum(1)).sum(1)


class CrossLayer(nn.Module):
    """``x0 * (f(x) + b) + x``, where ``f`` is what the variants differ in; DCN adds its bias outside the product.

    Args:
        width: of ``x0`` and ``x``.
        kind: ``cross`` (one number, DCN) or ``cross_matrix`` (DCN-V2).
        rank: of the matrix; 0 for full rank.
        experts: low-rank matrices that are mixed; 0 for none.
        gated: a softmax over the experts weighs them; otherwise they are summed.
    """

    def __init__(self, width: int, kind: str, rank: int = 0, experts: int = 0, gated: bool = True) -> None:
        super().__init__()
        self.kind, self.experts, self.gated = kind, experts, gated
        self.bias = nn.Parameter(torch.zeros(width))
        if kind == "cross":
            self.vector = nn.Linear(width, 1, bias=False)
        elif not rank:
            self.matrix = nn.Linear(width, width, bias=False)
        else:
            self.down = nn.Linear(width, max(experts, 1) * rank, bias=False)
            self.up = nn.Linear(max(experts, 1) * rank, width, bias=False)
        if experts:
            self.core = nn.Parameter(torch.randn(experts, rank, rank) * rank**-0.5)
        if experts and gated:
            self.gate = nn.Linear(width, experts, bias=False)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        if self.kind == "cross":
            return x0 * self.vector(x) + self.bias + x
        if hasattr(self, "matrix"):
            return x0 * (self.matrix(x) + self.bias) + x
        hidden = self.down(x)
        if self.experts:
            by_expert = torch.tanh(hidden).view(len(x), self.experts, -1).transpose(0, 1)  # [experts, batch, rank]
            by_expert = torch.tanh(torch.bmm(by_expert, self.core)).transpose(0, 1)
            if self.gated:  # weighing the experts before the last map is the same as after it, and lets one matmul serve them all
                by_expert = by_expert * self.gate(x).softmax(-1)[:, :, None]
            hidden = by_expert.flatten(1)
        return x0 * (self.up(hidden) + self.bias) + x


class Recommender(nn.Module):
    """Scores (user, item) pairs: one logit each."""

    def __init__(self, spec: RecommenderSpec) -> None:
        super().__init__()
        self.spec = spec
        if spec.bottom_mlp:
            self.bottom_mlp = mlp(spec.features.dense, spec.bottom_mlp)
        self.embeddings = Tables(spec.features)
        self.interaction = {"dot": DotInteraction, "fm": FactorisationMachine}.get(spec.interaction, nn.Identity)()
        cross = (spec.input_width, spec.interaction, spec.cross_rank, spec.cross_experts, spec.cross_gate)
        self.cross = nn.ModuleList(CrossLayer(*cross) for _ in range(spec.n_cross))
        self.top_mlp = mlp(spec.top_width, spec.top_mlp)
        beside = spec.input_width if spec.n_cross and spec.structure == "parallel" else 0
        self.logit = nn.Linear(spec.top_mlp[-1] + beside, 1)
        if spec.wide_rows:
            self.wide = nn.EmbeddingBag(spec.wide_rows, 1, mode="sum")

    def forward(self, ids: Tensor, dense: Tensor | None = None, wide_ids: Tensor | None = None) -> Tensor:
        """``[batch, lookups]`` ids, ``[batch, dense]`` numbers and ``[batch, wide_bag]`` ids of hashed crosses to ``[batch]`` logits."""
        spec = self.spec
        vectors = self.embeddings(ids)
        if dense is not None:
            vectors = [self.bottom_mlp(dense) if spec.bottom_mlp else dense, *vectors]
        x0 = torch.cat(vectors, dim=1)
        deep = crossed = x0
        for layer in self.cross:
            crossed = layer(x0, crossed)
        if spec.interaction == "dot":
            deep = torch.cat([*vectors[: bool(spec.bottom_mlp)], self.interaction(torch.stack(vectors, dim=1))], dim=1)
        elif spec.structure == "stacked":
            deep = crossed
        deep = self.top_mlp(deep)
        if spec.n_cross and spec.structure == "parallel":
            deep = torch.cat([crossed, deep], dim=1)
        logit = self.logit(deep).squeeze(1)
        if spec.interaction == "fm":
            logit = logit + self.interaction(torch.stack(vectors[-len(spec.features.rows) :], dim=1))
        return logit if wide_ids is None else logit + self.wide(wide_ids).squeeze(1)


class Tower(nn.Module):
    """Features of ``[batch, lookups]`` ids and ``[batch, dense]`` numbers to one vector each, ``[batch, d_embed]``."""

    def __init__(self, features: Features, widths: tuple[int, ...], normalised: bool) -> None:
        super().__init__()
        self.embeddings = Tables(features)
        self.mlp = mlp(features.total_width + features.dense, widths, last_relu=False)
        self.normalised = normalised

    def forward(self, ids: Tensor, dense: Tensor | None = None) -> Tensor:
        x = self.mlp(torch.cat([*self.embeddings(ids), *([] if dense is None else [dense])], dim=1))
        return F.normalize(x, dim=1) if self.normalised else x


class TwoTower(nn.Module):
    """Scores of every candidate for every user: ``[batch, candidates]``."""

    def __init__(self, spec: TwoTowerSpec) -> None:
        super().__init__()
        self.user = Tower(spec.user, spec.user_mlp, spec.normalised)
        self.item = Tower(spec.item, spec.item_mlp, spec.normalised)

    def forward(self, user_ids: Tensor, item_ids: Tensor, user_dense: Tensor | None = None, item_dense: Tensor | None = None) -> Tensor:
        return self.user(user_ids, user_dense) @ self.item(item_ids, item_dense).T
