"""Ranking models over sparse features: their dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from ..dtypes import dtype_name
from ..errors import InputError
from ..whiteboard import recommender as forms
from .base import Spec
from .checks import check_fields, positive_int

if TYPE_CHECKING:
    from ..ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Features:
    """What a model reads of one example: categorical features, each with a table, and dense ones.

    Attributes:
        rows: of each table.
        width: values per row, of all tables or of each.
        bag: rows that one example reads of each table and sums (its pooling factor), of all tables or of each.
        dense: numbers that come as they are.

    Raises:
        InputError: not one entry for each table, or not positive integers.
    """

    rows: tuple[int, ...]
    width: tuple[int, ...]
    bag: tuple[int, ...] = (1,)
    dense: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        tables = len(self.rows)
        for field in ("width", "bag"):
            given = getattr(self, field)
            if len(given) not in (1, tables):
                raise InputError(f"{field} has {len(given)} entries for {tables} tables; give one for each, or one for all")
            object.__setattr__(self, field, given * tables if len(given) == 1 else given)

    @property
    def total_width(self) -> int:
        """Values of all pooled vectors side by side."""
        return sum(self.width)

    @property
    def lookups(self) -> int:
        """Rows that one example reads."""
        return sum(self.bag)

    def params(self) -> int:
        """Parameters of all tables."""
        return sum(rows * width for rows, width in zip(self.rows, self.width, strict=True))

    def gathered_values(self) -> int:
        """Values of the table rows that one example reads."""
        return sum(bag * width for bag, width in zip(self.bag, self.width, strict=True))


@dataclass(frozen=True, kw_only=True)
class RecommenderSpec(Spec):
    """Dimensions of a ranking model: Wide & Deep, DeepFM, DCN, DCN-V2 or DLRM, by what crosses the features.

    A pass scores ``batch`` (user, item) pairs. All MLP layers have a bias and a ReLU; a last linear layer makes one logit.

    Attributes:
        features: tables and dense features.
        bottom_mlp: widths of the MLP over the dense features (DLRM); empty: they go in as they are.
        interaction: what crosses the vectors: nothing (``concat``), all pairwise dot products (``dot``), a factorisation machine
            (``fm``), or ``n_cross`` cross layers with a vector (``cross``, DCN) or a matrix (``cross_matrix``, DCN-V2).
        cross_rank: of the cross layers' matrices; 0 for full rank.
        cross_experts: low-rank experts that are mixed; 0 for none.
        cross_gate: a gate weighs the experts; without one they are summed.
        structure: the MLP reads what the crosses give (``stacked``), or stands beside them (``parallel``).
        top_mlp: widths of the deep part.
        wide_rows, wide_bag: hashed weights of the linear part, and how many of them one example has; 0 for none.

    Raises:
        InputError: a dimension is not a positive integer, or they do not fit together.
    """

    features: Features
    top_mlp: tuple[int, ...]
    bottom_mlp: tuple[int, ...] = ()
    interaction: Literal["concat", "dot", "fm", "cross", "cross_matrix"] = "concat"
    structure: Literal["stacked", "parallel"] = "stacked"
    n_cross: int = 0
    cross_rank: int = 0
    cross_experts: int = 0
    cross_gate: bool = True
    wide_rows: int = 0
    wide_bag: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bottom_mlp and not self.features.dense:
            raise InputError(f"bottom_mlp={self.bottom_mlp}: {self.name} has no dense features for it; give features.dense")
        equal = {*self.features.width, *((self.bottom_mlp[-1],) if self.bottom_mlp and self.interaction == "dot" else ())}
        if self.interaction in ("dot", "fm") and len(equal) > 1:
            raise InputError(
                f"interaction={self.interaction!r} takes vectors of one width; these have {', '.join(map(str, sorted(equal)))}"
            )
        if self.interaction == "dot" and self.features.dense and not self.bottom_mlp:
            raise InputError("interaction='dot' takes vectors; dense features need a bottom_mlp that ends in the tables' width")
        if bool(self.n_cross) != self.interaction.startswith("cross"):
            raise InputError(f"n_cross={self.n_cross}: cross layers belong to interaction='cross' or 'cross_matrix', which need at least 1")
        if self.cross_experts and not self.cross_rank:
            raise InputError(f"cross_experts={self.cross_experts} are low-rank; give cross_rank")
        if self.cross_rank and self.interaction != "cross_matrix":
            raise InputError(f"cross_rank={self.cross_rank} belongs to interaction='cross_matrix'")
        if bool(self.wide_rows) != bool(self.wide_bag):
            raise InputError(f"wide_rows={self.wide_rows} and wide_bag={self.wide_bag}: give both, or neither")

    @classmethod
    def from_row(cls, name: str, row: Mapping[str, Any]) -> Self:
        """A preset: the row's ``features`` is a table of its own."""
        return super().from_row(name, {**row, "features": Features(**row["features"])})

    @property
    def dense_width(self) -> int:
        """Values that the dense features become."""
        return self.bottom_mlp[-1] if self.bottom_mlp else self.features.dense

    @property
    def input_width(self) -> int:
        """Values of all vectors side by side: what a cross network or a plain MLP reads."""
        return self.features.total_width + self.dense_width

    @property
    def vectors(self) -> int:
        """Vectors that a dot interaction pairs."""
        return len(self.features.rows) + bool(self.bottom_mlp)

    @property
    def top_width(self) -> int:
        """Values that the deep part reads."""
        return self.dense_width + forms.feature_pairs(self.vectors) if self.interaction == "dot" else self.input_width

    # Memory and traffic -----------------------------------------------------------------------------------------------

    def embedding_params(self) -> int:
        """Parameters of all tables, the wide part's weights included."""
        return self.features.params() + self.wide_rows

    def embedding_bytes(self, dtype: str = "fp32") -> float:
        """Bytes of all tables, the wide part's weights included."""
        return forms.embedding_bytes(self.embedding_params(), 1, dtype_name(dtype))

    def dense_params(self) -> int:
        """Parameters of everything but the tables: what papers call the model's size."""
        return self.params() - self.embedding_params()

    def gathered_bytes(self, batch: int, dtype: str = "fp32") -> float:
        """Bytes of table rows that a batch reads at random addresses."""
        values = self.features.gathered_values() + self.wide_bag
        return forms.table_gather_bytes(positive_int("batch", batch), values, 1, dtype_name(dtype))

    def shard_bytes(self, devices: int, dtype: str = "fp32") -> float:
        """Bytes of tables on each of ``devices``, spread evenly."""
        return forms.shard_bytes(self.embedding_bytes(dtype), positive_int("devices", devices))

    def ledger(self, batch: int = 1, dtype: str = "fp32") -> Ledger:
        """The whiteboard ledger of scoring ``batch`` (user, item) pairs.

        Raises:
            InputError: ``batch`` is not a positive integer.
        """
        from ..whiteboard.ledgers.recommender import recommender_ledger

        return recommender_ledger(self, **self.resolve(batch), dtype=dtype_name(dtype))
