"""Recurrent networks: plain RNNs, GRUs and LSTMs, stacked, bidirectional or projected, alone or as language models."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..dtypes import bytes_per_value, dtype_name
from ..errors import InputError
from ..whiteboard import recurrent as forms
from ..whiteboard.recurrent import GATES, STATES
from .base import Spec
from .checks import check_fields, positive_int

if TYPE_CHECKING:
    from ..ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class CharacterCNN:
    """A word's vector from its characters: convolutions of several widths, the maximum of each, highways, a projection (Kim et al. 2016).

    Attributes:
        n_characters, d_character: of the table of characters.
        length: characters of a word, shorter ones are padded.
        kernels, filters: width of each convolution, and how many filters it has.
        highways: layers that mix the maxima with a learned transformation of themselves.
    """

    n_characters: int
    d_character: int
    length: int
    kernels: tuple[int, ...]
    filters: tuple[int, ...]
    highways: int

    def __post_init__(self) -> None:
        check_fields(self)
        if len(self.kernels) != len(self.filters):
            raise InputError(f"kernels={self.kernels} and filters={self.filters} differ in length; give one of each per convolution")
        if max(self.kernels) > self.length:
            raise InputError(f"kernels={self.kernels}: a word has length={self.length} characters; nearest: {self.length}")

    @property
    def d_word(self) -> int:
        """Maxima of a word: filters of all widths."""
        return sum(self.filters)


@dataclass(frozen=True, kw_only=True)
class RecurrentSpec(Spec):
    """Dimensions of a stack of recurrent layers; with a ``vocab``, of the language model around it.

    A pass reads ``seq`` tokens. With a ``context`` longer than ``seq``, the state of the tokens before is carried in, which costs the
    same: ``seq=1`` is a decode step, whatever the context.

    Attributes:
        cell: ``rnn`` (tanh), ``gru`` or ``lstm``.
        widths: hidden width of each layer.
        d_in: width of the input, which is the embedding of a language model.
        bidirectional: each layer reads the sequence from both ends and hands on both hidden states.
        projection: width to which an LSTM's hidden state shrinks before it goes anywhere; 0: it does not.
        vocab: tokens of a language model; 0: vectors go in and hidden states come out.
        tied_embeddings: the head reuses the token table; its bias is its own.
        characters: words come in as characters, and :class:`CharacterCNN` makes vectors of ``d_in`` of them.
        separate_directions: of a bidirectional network, each direction is a stack of its own, whose layers from the second on add their
            input to their output; only at the end are both put together (ELMo).

    Raises:
        InputError: a dimension is not a positive integer, or two of them do not fit together.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"seq": 128, "context": None}
    REFERENCES: ClassVar[Collection[str]] = ("recurrent",)

    cell: Literal["rnn", "gru", "lstm"]
    widths: tuple[int, ...]
    d_in: int
    bidirectional: bool = False
    projection: int = 0
    vocab: int = 0
    tied_embeddings: bool = False
    characters: CharacterCNN | None = None
    separate_directions: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.characters and self.vocab:
            raise InputError(f"characters: words come in as characters, or as one of vocab={self.vocab} tokens; nearest: vocab=0")
        if self.separate_directions and (not self.bidirectional or len(set(self.widths)) > 1):
            raise InputError(
                f"separate_directions: two stacks of layers of one width; got bidirectional={self.bidirectional}, widths={self.widths}; "
                "nearest: False"
            )
        if self.projection and (self.cell != "lstm" or self.projection >= min(self.widths)):
            raise InputError(f"projection={self.projection} shrinks an LSTM's hidden state of {min(self.widths)}; nearest: 0, for none")
        if self.tied_embeddings and (not self.vocab or self.d_out != self.d_in):
            raise InputError(
                f"tied_embeddings: the head reads {self.d_out} values and the table has rows of d_in={self.d_in}; they must be equal"
            )

    @classmethod
    def from_row(cls, name: str, row: Mapping[str, Any]) -> Self:
        """A preset, with its characters where it reads them."""
        nested = {"characters": CharacterCNN(**row["characters"])} if "characters" in row else {}
        return super().from_row(name, {**row, **nested})

    @property
    def directions(self) -> int:
        """Times that a layer goes through the sequence."""
        return 2 if self.bidirectional else 1

    @property
    def d_out(self) -> int:
        """Width of what the last layer hands on."""
        return (self.projection or self.widths[-1]) * self.directions

    def layer_inputs(self) -> tuple[int, ...]:
        """Width of each layer's input."""
        seen = 1 if self.separate_directions else self.directions
        return (self.d_in, *((self.projection or width) * seen for width in self.widths[:-1]))

    @property
    def decodes(self) -> bool:
        return bool(self.vocab) and not self.bidirectional

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """The context defaults to ``seq``; a bidirectional network has read the whole sequence or nothing."""
        complete_context(self.name, sizes)
        if self.bidirectional and sizes["context"] != sizes["seq"]:
            raise InputError(f"context={sizes['context']}: {self.name} reads from both ends and carries no state; nearest: {sizes['seq']}")
        return sizes

    def state_bytes(self, batch: int = 1, dtype: str = "bf16") -> float:
        """Bytes carried from token to token, whatever the context: hidden states, and an LSTM's cells, which are not projected."""
        positive_int("batch", batch)
        cells = sum(self.widths) * (STATES[self.cell] - 1)
        values = sum(self.projection or width for width in self.widths) + cells
        return values * self.directions * batch * bytes_per_value(dtype_name(dtype))

    def kept_bytes(self, sizes: Mapping[str, int], dtype: str) -> dict[str, float]:
        """Bytes of the state."""
        state = self.state_bytes(sizes["batch"], dtype) if self.decodes else 0
        return super().kept_bytes(sizes, dtype) | {"state_bytes": state}

    def recurrent_weight_bytes(self, dtype: str = "fp32") -> float:
        """Bytes of the hidden-to-hidden weights (and projections), which every single step reads again."""
        values = sum(
            GATES[self.cell] * width * (self.projection or width) + width * self.projection for width in self.widths
        )  # fmt: skip
        return values * self.directions * bytes_per_value(dtype_name(dtype))

    def sequential_steps(self, seq: int) -> int:
        """Steps on the critical path when layers follow each other like a wave; a direction is a path of its own, its layers are not."""
        positive_int("seq", seq)
        each_waits = self.bidirectional and not self.separate_directions
        return seq * len(self.widths) if each_waits else forms.sequential_steps(seq, len(self.widths))

    def bptt_activation_bytes(self, batch: int, steps: int, dtype: str = "fp32") -> float:
        """Bytes that all layers keep for backpropagation through ``steps`` tokens."""
        self.resolve(batch=batch, seq=steps)
        gates, states, dtype = 0 if self.cell == "rnn" else GATES[self.cell], STATES[self.cell], dtype_name(dtype)
        layers = zip(self.layer_inputs(), self.widths, strict=True)
        return self.directions * sum(forms.bptt_activation_bytes(batch, steps, d_in, width, gates, states, dtype) for d_in, width in layers)

    def ledger(self, batch: int = 1, seq: int = 128, context: int | None = None, dtype: str = "fp32") -> Ledger:
        """The whiteboard ledger of a forward pass over ``[batch, seq]`` tokens, or vectors of ``d_in``.

        Args:
            batch, seq: of what goes in.
            context: tokens so far, these included. Longer than ``seq``: a state comes in. It changes nothing in the cost.
            dtype: of weights and activations.

        Raises:
            InputError: sizes that are not positive integers or do not fit together.
        """
        from ..whiteboard.ledgers.recurrent import recurrent_ledger

        sizes = self.resolve(batch, seq, context)
        return recurrent_ledger(self, sizes["batch"], sizes["seq"], dtype_name(dtype))


def complete_context(name: str, sizes: dict[str, int]) -> dict[str, int]:
    """``context`` defaults to ``seq`` and cannot be shorter."""
    if sizes.setdefault("context", sizes["seq"]) < sizes["seq"]:
        raise InputError(f"context={sizes['context']} is shorter than seq={sizes['seq']}; context counts all tokens that {name} has seen")
    return sizes
