"""Recurrent encoder-decoders with attention: Bahdanau's RNNsearch, Luong's models and GNMT."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ..dtypes import dtype_name
from ..errors import InputError
from ..whiteboard import seq2seq as forms
from .base import Spec
from .checks import positive_int

if TYPE_CHECKING:
    from ..ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Seq2SeqSpec(Spec):
    """Dimensions of a recurrent encoder-decoder with attention.

    A pass encodes ``seq`` source tokens and decodes ``target`` tokens with the right ones before them given, as in training.

    Attributes:
        cell: ``rnn``, ``gru`` or ``lstm``, of encoder and decoder.
        n_layers: of each; 1 where attention feeds the decoder.
        d_embed, d_hidden: width of embeddings and of hidden states.
        vocab: tokens of the source, and of the target.
        score: ``additive`` (Bahdanau, Luong's ``concat``), ``general`` or ``dot`` (Luong).
        d_attention: width in which additive scores meet.
        attention_first: each decoder step looks at the source *before* it runs, so that steps wait for each other's attention (Bahdanau);
            the encoder then reads from both ends. Otherwise attention follows the decoder, for all steps at once (Luong).
        attention_between: attention follows the decoder's *first* layer, and what it found enters every later one (GNMT). The encoder's
            first layer then reads from both ends, layers from the third on add their input to their output, additive scores are normalized
            (a bias, and one learned length for the vector that weighs them), and one table serves source and target.
        d_maxout: width of the maxout layer behind a decoder whose attention comes first.

    Raises:
        InputError: a dimension is not a positive integer, or two of them do not fit together.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"seq": 50, "target": None}
    REFERENCES: ClassVar[Collection[str]] = ("seq2seq",)
    REPEATED: ClassVar[Collection[str]] = ("n_layers",)

    cell: Literal["rnn", "gru", "lstm"]
    d_embed: int
    d_hidden: int
    vocab: int
    score: Literal["additive", "general", "dot"]
    n_layers: int = 1
    d_attention: int = 0
    attention_first: bool = False
    attention_between: bool = False
    d_maxout: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        needed = {"d_attention": self.score == "additive", "d_maxout": self.attention_first}
        for field, is_needed in needed.items():
            if is_needed:
                positive_int(field, getattr(self, field))
            elif getattr(self, field):
                raise InputError(
                    f"{field}={getattr(self, field)}: score={self.score!r} with attention_first={self.attention_first} has none; nearest: 0"
                )
        if self.attention_first and (self.n_layers != 1 or self.cell != "gru"):
            raise InputError(
                f"attention_first: the decoder is one GRU layer; got cell={self.cell!r}, n_layers={self.n_layers}; nearest: 'gru', 1"
            )
        if self.attention_between and (self.attention_first or self.score != "additive" or self.n_layers < 2):
            raise InputError(
                "attention_between: scores are additive and there are two layers or more; got "
                f"score={self.score!r}, n_layers={self.n_layers}, attention_first={self.attention_first}; nearest: 'additive', 2, False"
            )
        if self.score == "dot" and self.d_key != self.d_hidden:
            raise InputError(f"score='dot': keys have {self.d_key} values and queries d_hidden={self.d_hidden}; nearest: score='general'")

    @property
    def d_key(self) -> int:
        """Width of the encoder's output: two hidden states where it reads from both ends."""
        return self.d_hidden * (2 if self.attention_first else 1)

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """As many target tokens as source tokens, when not given."""
        sizes.setdefault("target", sizes["seq"])
        return sizes

    def attention_flops(self, batch: int = 1, seq: int = 50, target: int | None = None) -> int:
        """FLOPs of the attention alone."""
        sizes = self.resolve(batch, seq, target)
        batch, seq, target = sizes["batch"], sizes["seq"], sizes["target"]
        if self.score == "additive":
            return forms.additive_attention_flops(batch, target, seq, self.d_hidden, self.d_key, self.d_attention)
        if self.score == "general":
            return forms.general_attention_flops(batch, target, seq, self.d_hidden, self.d_key)
        return forms.dot_attention_flops(batch, target, seq, self.d_key)

    def ledger(self, batch: int = 1, seq: int = 50, target: int | None = None, dtype: str = "fp32") -> Ledger:
        """The whiteboard ledger of a forward pass over ``[batch, seq]`` source and ``[batch, target]`` target tokens.

        Raises:
            InputError: sizes that are not positive integers.
        """
        from ..whiteboard.ledgers.seq2seq import seq2seq_ledger

        return seq2seq_ledger(self, **self.resolve(batch, seq, target), dtype=dtype_name(dtype))
