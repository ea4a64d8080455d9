"""Transformer encoders and decoders: their dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..dtypes import bytes_per_value, dtype_name
from ..errors import InputError, did_you_mean
from ..whiteboard import transformer as forms
from .base import Spec, positive_int

if TYPE_CHECKING:
    from ..ledger import Ledger

Attention = Literal["fused", "eager"]

#: What each reference architecture fixes beside its dimensions. Field names are those of TransformerSpec.
STYLES: dict[str, dict[str, Any]] = {
    "bert": {"norm": "layernorm", "activation": "gelu", "positions": "learned", "bias": True, "embedding_norm": True},
    "gpt2": {"norm": "layernorm", "activation": "gelu_tanh", "positions": "learned", "bias": True, "tied_embeddings": True},
    "llama": {"norm": "rmsnorm", "activation": "silu", "positions": "rotary", "gated": True},
    "starcoder2": {"norm": "layernorm", "activation": "gelu_tanh", "positions": "rotary", "bias": True},
}
STYLES["distilbert"] = STYLES["bert"]
for _decoder in ("gpt2", "llama", "starcoder2"):
    STYLES[_decoder] |= {"causal": True, "final_norm": True, "lm_head": True}


@dataclass(frozen=True, kw_only=True)
class TransformerSpec(Spec):
    """Dimensions of a transformer encoder or decoder.

    Attributes:
        n_layers, d_model, n_heads, d_ff, vocab, max_positions: as everywhere in the book.
        n_kv_heads: key/value heads; ``n_heads`` when not given. Must divide ``n_heads``.
        d_head: width of a head; ``d_model / n_heads`` when not given. The config decides, not the division.
        causal: a token sees only itself and earlier ones (decoder).
        gated: the FFN has a gate projection beside the up projection (SwiGLU).
        norm, activation, positions: what follows from the architecture's paper.
        bias: every linear layer of attention and FFN has a bias.
        tied_embeddings: the LM head reuses the token embedding, so it adds FLOPs and no parameters.
        token_types, pooler, embedding_norm, final_norm, lm_head: the parts around the layers.

    Raises:
        InputError: a dimension is not a positive integer, or two of them do not fit together.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"seq": 128, "context": None}
    ATTENTION: ClassVar[bool] = True

    n_layers: int
    d_model: int
    n_heads: int
    d_ff: int
    vocab: int
    max_positions: int
    n_kv_heads: int = 0
    d_head: int = 0
    causal: bool = False
    gated: bool = False
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    activation: Literal["gelu", "gelu_tanh", "silu", "relu"] = "gelu"
    positions: Literal["learned", "rotary"] = "learned"
    bias: bool = False
    tied_embeddings: bool = False
    token_types: int = 0
    pooler: bool = False
    embedding_norm: bool = False
    final_norm: bool = False
    lm_head: bool = False

    def __post_init__(self) -> None:
        for field in ("n_layers", "d_model", "n_heads", "d_ff", "vocab", "max_positions"):
            positive_int(field, getattr(self, field))
        if self.n_kv_heads == 0:
            object.__setattr__(self, "n_kv_heads", self.n_heads)
        positive_int("n_kv_heads", self.n_kv_heads)
        if self.n_heads % self.n_kv_heads:
            allowed = [n for n in range(1, self.n_heads + 1) if self.n_heads % n == 0]
            raise InputError(
                f"n_kv_heads={self.n_kv_heads} does not divide n_heads={self.n_heads}; allowed: {', '.join(map(str, allowed))}; "
                f"nearest: {min(allowed, key=lambda n: abs(n - self.n_kv_heads))}"
            )
        if self.d_head == 0:
            if self.d_model % self.n_heads:
                nearest = max(1, round(self.d_model / self.n_heads)) * self.n_heads
                raise InputError(
                    f"d_model={self.d_model} is not a multiple of n_heads={self.n_heads}; give d_head, or use the nearest d_model={nearest}"
                )
            object.__setattr__(self, "d_head", self.d_model // self.n_heads)
        positive_int("d_head", self.d_head)
        if self.positions == "rotary" and self.d_head % 2:
            raise InputError(f"d_head={self.d_head}: rotary positions turn pairs, so d_head must be even; nearest: {self.d_head + 1}")
        if self.reference and self.reference not in STYLES:
            raise InputError(
                f"reference={self.reference!r} is not an architecture that can be built.{did_you_mean(self.reference, STYLES)}"
            )

    @classmethod
    def from_row(cls, name: str, row: Mapping[str, Any]) -> Self:
        """A preset: the architecture's :data:`STYLES` and the row's figures."""
        return super().from_row(name, {**STYLES[row["reference"]], **row})

    @property
    def decodes(self) -> bool:
        return self.causal

    # Parameters and memory ------------------------------------------------------------------------------------------

    def params(self) -> int:
        """Distinct parameters; tied weights once."""
        return self.ledger(seq=1).params

    def embedding_params(self) -> int:
        """Parameters of the token, position and token-type tables (without their norm)."""
        tables = self.vocab + (self.max_positions if self.positions == "learned" else 0) + self.token_types
        return tables * self.d_model

    def decode_weight_bytes(self, dtype: str = "bf16") -> float:
        """Bytes of the weights that one decode step reads: all that are multiplied.

        Of a table that is only looked up, each token reads one row, which is ignored here: learned positions, and the token
        table unless the LM head is tied to it and so reads all of it.

        >>> from napkinmath import preset
        >>> f"{preset('llama-3-8b').decode_weight_bytes('bf16') / preset('llama-3-8b').weight_bytes('bf16'):.3f}"
        '0.935'

        Raises:
            InputError: the model is an encoder and does not decode.
        """
        if not self.causal:
            raise InputError(
                f"{self.name} is an encoder: it has no decode step; decode_weight_bytes is for decoders such as gpt2 or llama-3-8b"
            )
        multiplied = self.vocab * self.d_model if self.tied_embeddings and self.lm_head else 0
        return (self.params() - self.embedding_params() + multiplied) * bytes_per_value(dtype_name(dtype))

    def kv_cache_bytes(self, batch: int, context: int, dtype: str = "bf16") -> float:
        """Bytes of the KV cache of ``batch`` sequences of ``context`` tokens.

        Raises:
            InputError: the model is an encoder and keeps no cache.
        """
        if not self.causal:
            raise InputError(f"{self.name} is an encoder: it keeps no KV cache; kv_cache_bytes is for decoders such as gpt2 or llama-3-8b")
        self.resolve(batch, 1, context)
        return forms.kv_cache_bytes(self.n_layers, self.n_kv_heads, self.d_head, batch, context, dtype_name(dtype))

    def score_matrix_bytes(self, batch: int, seq: int, context: int | None = None, dtype: str = "bf16") -> float:
        """Bytes of one layer's score matrix, when the kernel writes it out."""
        return forms.score_matrix_bytes(n_heads=self.n_heads, **self.resolve(batch, seq, context), dtype=dtype_name(dtype))

    # Compute ----------------------------------------------------------------------------------------------------------

    def useful_causal_flops(self, batch: int, seq: int, context: int | None = None) -> int:
        """:meth:`flops` without the scores that a causal mask throws away."""
        return self.ledger(batch=batch, seq=seq, context=context).totals().useful_causal_flops

    def score_flops_share(self, seq: int) -> float:
        """Share of one layer's FLOPs that the quadratic part takes."""
        self.resolve(1, seq)
        return forms.score_flops_share(seq, self.d_model, self.d_ff, self.n_heads, self.n_kv_heads, self.d_head, int(self.gated))

    def score_ffn_crossover_seq(self) -> float:
        """Sequence length at which the scores cost as many FLOPs as the FFN."""
        return forms.score_ffn_crossover_seq(self.d_model, self.d_ff, self.n_heads, self.d_head, int(self.gated))

    def score_linear_crossover_seq(self) -> float:
        """Sequence length at which the scores cost as many FLOPs as all the layer's linear maps."""
        return forms.score_linear_crossover_seq(self.d_model, self.d_ff, self.n_heads, self.n_kv_heads, self.d_head, int(self.gated))

    def ledger(
        self,
        batch: int = 1,
        seq: int = 128,
        context: int | None = None,
        dtype: str = "fp32",
        attention: Attention = "fused",
        logits: Literal["all", "last"] = "all",
    ) -> Ledger:
        """The whiteboard ledger of a forward pass.

        Args:
            batch, seq: query tokens of shape ``[batch, seq]``.
            context: key/value tokens, cached ones included; ``seq`` when not given. A decode step is ``seq=1, context=n``.
            dtype: of weights and activations.
            attention: ``fused`` keeps the scores on chip, ``eager`` writes and reads them. FLOPs are the same.
            logits: the LM head runs on every query token (as a forward pass does), or only the last (as a server does).

        Raises:
            InputError: sizes that are not positive integers, exceed ``max_positions``, or do not fit together.
        """
        from ..whiteboard.ledgers.transformer import transformer_ledger

        sizes = self.resolve(batch, seq, context)
        return transformer_ledger(self, **sizes, dtype=dtype_name(dtype), attention=attention, logits=logits)

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """The context defaults to ``seq``; both must fit the positions, and an encoder has no other context."""
        seq = sizes["seq"]
        context = sizes.setdefault("context", seq)
        if not self.causal and context != seq and seq != 1:
            raise InputError(f"context={context} differs from seq={seq}: {self.name} is an encoder, where every query token is also a key")
        if context < seq:
            raise InputError(f"context={context} is shorter than seq={seq}; context counts all key/value tokens, the query's own included")
        if context > self.max_positions:
            kind = "context" if context != seq else "seq"
            raise InputError(f"{kind}={context} exceeds the {self.max_positions} positions of {self.name}; nearest: {self.max_positions}")
        return sizes
