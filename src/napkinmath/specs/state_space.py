"""Selective state-space models: Mamba."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..dtypes import bytes_per_value, dtype_name
from ..errors import InputError
from ..whiteboard import state_space as forms
from .base import Spec
from .checks import positive_int
from .recurrent import complete_context

if TYPE_CHECKING:
    from ..ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class StateSpaceSpec(Spec):
    """Dimensions of a Mamba language model.

    A pass reads ``seq`` tokens from an empty state. A decode step is ``seq=1`` with a ``context`` longer than that: the state of the
    tokens before is carried in, and the step costs the same whatever the context.

    Attributes:
        n_layers, d_model, vocab: as everywhere in the book.
        d_inner: channels of a block; twice ``d_model`` when not given.
        d_state: values that each channel carries.
        dt_rank: width through which a token chooses its step size; a sixteenth of ``d_model``, rounded up, when not given.
        conv_kernel: tokens that the convolution in front of the scan sees.
        tied_embeddings: the head reuses the token table.

    Raises:
        InputError: a dimension is not a positive integer.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"seq": 128, "context": None}
    REFERENCES: ClassVar[Collection[str]] = ("mamba",)

    n_layers: int
    d_model: int
    vocab: int
    d_inner: int = 0
    d_state: int = 16
    dt_rank: int = 0
    conv_kernel: int = 4
    tied_embeddings: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "d_inner", self.d_inner or 2 * self.d_model)
        object.__setattr__(self, "dt_rank", self.dt_rank or -(-self.d_model // 16))

    @property
    def decodes(self) -> bool:
        return True

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """The context defaults to ``seq``; a state is carried into single tokens only."""
        complete_context(self.name, sizes)
        if sizes["context"] > sizes["seq"] > 1:
            raise InputError(
                f"seq={sizes['seq']} with context={sizes['context']}: {self.name} takes a state into one token at a time; nearest: seq=1"
            )
        return sizes

    def state_bytes(self, batch: int = 1, dtype: str = "bf16") -> float:
        """Bytes that a sequence leaves behind, whatever the context: the scan's state and the convolution's last inputs."""
        positive_int("batch", batch)
        return forms.mamba_state_bytes(self.n_layers, self.d_inner, self.d_state, self.conv_kernel, batch, dtype_name(dtype))

    def kept_bytes(self, sizes: Mapping[str, int], dtype: str) -> dict[str, float]:
        """Bytes of the state."""
        state = self.state_bytes(sizes["batch"], dtype)
        return super().kept_bytes(sizes, dtype) | {"state_bytes": state}

    def decode_weight_bytes(self, dtype: str = "bf16", batch: int = 1) -> float:
        """Bytes of the weights that a decode step reads: all but a token table that is no head."""
        positive_int("batch", batch)
        looked_up = 0 if self.tied_embeddings else self.vocab * self.d_model
        return (self.params() - looked_up) * bytes_per_value(dtype_name(dtype))

    def ledger(self, batch: int = 1, seq: int = 128, context: int | None = None, dtype: str = "fp32") -> Ledger:
        """The whiteboard ledger of a forward pass, or of a decode step where ``context`` is longer than ``seq=1``.

        The scan's rows write decays and inputs of all tokens out, as transformers' own code does; the published kernel fuses them.

        Args:
            batch, seq: tokens of ``[batch, seq]``.
            context: tokens so far, these included; ``seq`` when not given.
            dtype: of weights and activations.

        Raises:
            InputError: sizes that are not positive integers or do not fit together.
        """
        from ..whiteboard.ledgers.state_space import state_space_ledger

        sizes = self.resolve(batch, seq, context)
        return state_space_ledger(self, **sizes, dtype=dtype_name(dtype))
