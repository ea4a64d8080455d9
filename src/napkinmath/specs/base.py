"""What every family's spec has: a name, its sources, sizes that are checked once, and a ledger."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..dtypes import bytes_per_value, dtype_name
from ..errors import InputError, did_you_mean, shown
from .checks import check_fields, positive_int

if TYPE_CHECKING:
    from ..ledger import Ledger

_PREFIXES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


@dataclass(frozen=True, kw_only=True)
class Published:
    """A rounded figure that somebody printed of a preset, which ours must round to.

    Attributes:
        quantity: what was printed. Papers that say "FLOPs" mostly mean ``macs``: the row says what the figure is.
        printed: the figure as printed, with its prefix: ``"4.09 G"``. Its digits are its precision.
        sizes: of the pass that it was printed for.
        source: where.
        differs: why ours does not round to it, where it does not; empty where it must.
    """

    quantity: Literal["params", "active_params", "macs", "flops"]
    printed: str
    source: str
    sizes: Mapping[str, int] | None = None
    differs: str = ""

    def bounds(self) -> tuple[float, float]:
        """The values that round to what was printed.

        >>> Published(quantity="macs", printed="4.1 G", source="").bounds()
        (4050000000.0, 4150000000.0)
        """
        number, _, prefix = self.printed.partition(" ")
        half = Decimal(5).scaleb(-1 - len(number.partition(".")[2]))  # of the last digit; in decimals, as it was printed
        low, high = (float((Decimal(number) + edge) * _PREFIXES[prefix]) for edge in (-half, half))
        return low, high

    def value_of(self, spec: Spec) -> float:
        """Our figure for the same quantity."""
        if self.quantity in ("params", "active_params"):
            return getattr(spec, self.quantity)()
        flops = spec.flops(**(self.sizes or {}))
        return flops / 2 if self.quantity == "macs" else flops

    def holds(self, spec: Spec) -> bool:
        """Whether ours rounds to what was printed."""
        low, high = self.bounds()
        return low <= self.value_of(spec) <= high


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Dimensions of one architecture. Each family is a subclass that adds its dimensions and lays out its ledger.

    Attributes:
        name: of the preset, or one of your own.
        family: the kind of architecture, as readers know it: ``encoder``, ``decoder``, ``cnn``...
        reference: which published implementation :func:`napkinmath.reference` builds.
        source, paper: where the dimensions were read, and who designed them.
        published_params, published_source: a parameter count that somebody printed to the digit.
        published: rounded figures that others printed.
        checked: the day on which the sources were read.
    """

    #: Sizes of a forward pass beside ``batch``, in order, with their defaults. None: follows from the spec or another size.
    SIZES: ClassVar[Mapping[str, int | None]] = {}
    #: What ``reference`` may name. Empty for a family that has one module, whatever it says.
    REFERENCES: ClassVar[Collection[str]] = ()
    #: Arguments of :meth:`ledger` with which it counts what the reference runs, where that is not what one would serve.
    IMPLEMENTED: ClassVar[Mapping[str, Any]] = {}
    #: Whole numbers that may be 0 although their default is another, and those that a ledger goes through one by one.
    MAY_BE_ZERO: ClassVar[Collection[str]] = ()
    REPEATED: ClassVar[Collection[str]] = ()
    #: Whether the ledger distinguishes fused attention from scores that are written out.
    ATTENTION: ClassVar[bool] = False

    name: str
    family: str = ""
    reference: str = ""
    source: str = ""
    paper: str = ""
    published_params: int | None = None
    published_source: str = ""
    published: tuple[Published, ...] = ()
    checked: datetime.date | None = None

    def __post_init__(self) -> None:
        check_fields(self, may_be_zero=self.MAY_BE_ZERO, repeated=self.REPEATED)
        if self.reference and self.REFERENCES and self.reference not in self.REFERENCES:
            what = f"reference={self.reference!r} is not an architecture that can be built as a {type(self).__name__}"
            raise InputError(f"{what}.{did_you_mean(self.reference, self.REFERENCES)}")

    @classmethod
    def from_row(cls, name: str, row: Mapping[str, Any]) -> Self:
        """The preset that a row of the family's data file describes."""
        published = tuple(Published(**figure) for figure in row.get("published", ()))
        return cls(name=name, **{**row, "published": published})

    def resolve(self, *sizes: int | None, **named: int | None) -> dict[str, int]:
        """``batch`` and the family's :attr:`SIZES`, given by position or name, checked and completed.

        Raises:
            InputError: a size that the family does not have, is no positive integer, or does not fit the spec.
        """
        allowed = ("batch", *self.SIZES)
        if len(sizes) > len(allowed):
            raise InputError(f"{len(sizes)} sizes given; {self.name} takes {', '.join(allowed)}")
        both = {**dict(zip(allowed, sizes, strict=False)), **named}
        given = {size: value for size, value in both.items() if value is not None}
        for size in given:
            if size not in allowed:
                raise InputError(f"{size}={shown(given[size])}: {self.name} takes {', '.join(allowed)}.{did_you_mean(size, allowed)}")
        for size, value in given.items():
            positive_int(size, value)
        defaults = {size: default for size, default in self.SIZES.items() if default is not None}
        return self.complete({"batch": 1, **defaults, **given})

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """Fill in the sizes that follow from the spec and hold all against it; a family with such sizes overrides this."""
        return sizes

    def ledger(self, *args: Any, **kwargs: Any) -> Ledger:
        """The whiteboard ledger of a forward pass: ``batch`` and :attr:`SIZES`, by position or name, and ``dtype``."""
        raise NotImplementedError

    @property
    def decodes(self) -> bool:
        """Whether the model generates one token at a time from a cache."""
        return False

    def decode_sizes(self, given: Mapping[str, int | None]) -> dict[str, int | None]:
        """The sizes of one decode step: a query token, and ``seq`` stands for its context where that is not given.

        Raises:
            InputError: the model does not decode, or ``seq`` asks for other than one query token beside a ``context``.
        """
        return self._one_token("seq", given, self.SIZES.get("seq"))

    def _one_token(self, queries: str, given: Mapping[str, int | None], usual: int | None) -> dict[str, int | None]:
        """A decode step's sizes, in which the query tokens are called ``queries``; ``usual`` is the context when neither is given."""
        if not self.decodes:
            raise InputError(f"mode='decode': {self.name} generates no tokens one by one; use a decoder such as gpt2 or llama-3-8b")
        tokens, context = given.get(queries), given.get("context")
        if context is not None and tokens not in (None, 1):
            both = f"{queries}={shown(tokens)} with context={shown(context)}"
            raise InputError(f"{both}: a decode step has one query token; give the context alone")
        return {**given, queries: 1, "context": next((size for size in (context, tokens, usual) if size is not None), None)}

    def kept_bytes(self, sizes: Mapping[str, int], dtype: str) -> dict[str, float]:
        """Bytes that a model which :attr:`decodes` keeps of the tokens so far: a cache that grows with them, a state that does not."""
        return {"kv_cache_bytes": 0.0, "state_bytes": 0.0}

    def params(self) -> int:
        """Distinct parameters; tied weights once."""
        return self.ledger().params

    def weight_bytes(self, dtype: str = "bf16") -> float:
        """Bytes of all parameters in ``dtype``."""
        return self.params() * bytes_per_value(dtype_name(dtype))

    def flops(self, *sizes: int | None, **named: int | None) -> int:
        """Matmul, convolution and attention FLOPs of a forward pass; sizes as :meth:`resolve` takes them."""
        return self.ledger(*sizes, **named).flops

    def macs(self, *sizes: int | None, **named: int | None) -> int:
        """Half of :meth:`flops`."""
        return self.flops(*sizes, **named) // 2

    def dimensions(self) -> dict[str, Any]:
        """The family's own fields, parts as dictionaries and lists: what makes this preset differ from another."""
        common = {field.name for field in fields(Spec)}
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self) if field.name not in common}


def _plain(value: Any) -> Any:
    """A field as :func:`json.dumps` takes it."""
    if isinstance(value, Spec):
        return value.dimensions()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value


def unique(values: Iterable[str]) -> list[str]:
    """Distinct values in first-seen order."""
    return list(dict.fromkeys(values))
