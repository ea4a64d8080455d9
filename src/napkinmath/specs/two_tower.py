"""Retrieval by two encoders: their dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..dtypes import dtype_name
from ..errors import InputError
from ..whiteboard import retrieval as forms
from .base import Spec
from .recommender import Features

if TYPE_CHECKING:
    from ..ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class TwoTowerSpec(Spec):
    """Dimensions of a two-tower model: users and items become vectors whose dot product is the score.

    Attributes:
        user, item: tables and dense features of each side.
        user_mlp, item_mlp: widths of each tower; ReLUs between the layers, none after the last. Empty: the features are the vector.
        normalised: both vectors have length 1, so that the score is a cosine.

    Raises:
        InputError: a dimension is not a positive integer, or the towers end in different widths.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"candidates": None}

    user: Features
    item: Features
    user_mlp: tuple[int, ...] = ()
    item_mlp: tuple[int, ...] = ()
    normalised: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        ends = [self.width_of(side) for side in ("user", "item")]
        if ends[0] != ends[1]:
            raise InputError(f"the user tower ends in {ends[0]} values and the item tower in {ends[1]}; give both the same last width")

    @classmethod
    def from_row(cls, name: str, row: Mapping[str, Any]) -> Self:
        """A preset: the row's ``user`` and ``item`` are tables of their own."""
        return super().from_row(name, {**row, "user": Features(**row["user"]), "item": Features(**row["item"])})

    def tower(self, side: str) -> tuple[Features, tuple[int, ...]]:
        """Features and MLP widths of ``user`` or ``item``."""
        return (self.user, self.user_mlp) if side == "user" else (self.item, self.item_mlp)

    def width_of(self, side: str) -> int:
        """Values that a tower ends in."""
        features, mlp = self.tower(side)
        return mlp[-1] if mlp else features.total_width + features.dense

    @property
    def d_embed(self) -> int:
        """Values of a user's and an item's vector."""
        return self.width_of("user")

    def embedding_params(self) -> int:
        """Parameters of both sides' tables."""
        return self.user.params() + self.item.params()

    def index_bytes(self, items: int, dtype: str = "fp32") -> float:
        """Bytes of an exact index of ``items`` item vectors; :mod:`napkinmath.whiteboard.retrieval` has the approximate ones."""
        return forms.flat_index_bytes(items, self.d_embed, dtype_name(dtype))

    def in_batch_logits_bytes(self, batch: int, dtype: str = "fp32") -> float:
        """Bytes of the scores of a training step whose negatives are the batch's other items."""
        return forms.in_batch_logits_bytes(self.resolve(batch)["batch"], dtype_name(dtype))

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """As many candidates as users, unless given: a training step's own items."""
        sizes.setdefault("candidates", sizes["batch"])
        return sizes

    def ledger(
        self, batch: int = 1, candidates: int | None = None, dtype: str = "fp32", items: Literal["computed", "indexed"] = "computed"
    ) -> Ledger:
        """The whiteboard ledger of scoring ``candidates`` items for each of ``batch`` users.

        Args:
            batch: users.
            candidates: items, the same for all users. Training on in-batch negatives has as many as users.
            dtype: of weights and activations.
            items: run the item tower (training, building the index), or read its vectors from an exact index (serving).

        Raises:
            InputError: sizes that are no positive integers.
        """
        from ..whiteboard.ledgers.two_tower import two_tower_ledger

        return two_tower_ledger(self, **self.resolve(batch, candidates), dtype=dtype_name(dtype), items=items)
