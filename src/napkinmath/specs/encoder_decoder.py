"""Encoder-decoders: the first transformer, T5, BART, Whisper and Switch Transformers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..dtypes import bytes_per_value, dtype_name
from ..errors import InputError
from ..whiteboard import encoder_decoder as forms
from ..whiteboard import experts
from ..whiteboard import transformer as transformer_forms
from ..whiteboard.conv import conv_output_size
from .architectures import ENCODER_DECODERS
from .base import Spec
from .blocks import Experts
from .checks import positive_int
from .transformer import Attention, TransformerSpec

if TYPE_CHECKING:
    from ..ledger import Ledger

#: What each reference architecture fixes beside its dimensions.
STYLES: dict[str, dict[str, Any]] = {
    **{name: dict(architecture.style) for name, architecture in ENCODER_DECODERS.items()},
    "switch_transformers": dict(ENCODER_DECODERS["t5"].style),
    "marian": {"norm": "layernorm", "activation": "relu", "positions": "sinusoidal", "bias": True},
    "whisper": {"norm": "layernorm", "activation": "gelu", "positions": "learned", "bias": True, "key_bias": False, "final_norm": True},
}

#: Kernel and stride of the two convolutions that turn a spectrogram into tokens.
STEM = ((3, 1), (3, 2))


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderSpec(Spec):
    """Dimensions of an encoder-decoder with a language-model head.

    A pass encodes ``seq`` source tokens (or ``frames`` of a spectrogram) and decodes ``target`` tokens. With a ``context`` longer than
    ``target`` it is a decode step: the encoder has run, and both caches are full.

    Attributes:
        n_layers, n_decoder_layers: of the encoder and the decoder; equal when only the first is given.
        d_model, n_heads, d_head, d_ff, vocab: of both. ``d_head`` is ``d_model / n_heads`` when not given.
        positions: ``relative`` (a learned bias per ``buckets`` of distances, in the first layer of each stack), ``learned`` tables, or
            ``sinusoidal`` (sines and cosines, which nobody learned and which have no last one).
        max_positions, max_source: rows of the decoder's and the encoder's position table; 0 where positions are not learned.
        position_offset: rows that each table has before the first position.
        norm, activation, gated, bias: as in :class:`~napkinmath.specs.TransformerSpec`. ``key_bias``: key projections have one too.
        embedding_norm, final_norm: a norm behind the embeddings, or behind each stack (whose layers then have theirs in front).
        tied_embeddings: the head reuses the token table, which encoder and decoder share in any case.
        mels: bins of the spectrogram that two convolutions read in place of source tokens; 0: the source is text.
        moe, expert_every: experts in place of the FFN of each such-th layer of both stacks.

    Raises:
        InputError: a dimension is not a positive integer, or two of them do not fit together.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"seq": None, "frames": None, "target": None, "context": None}
    ATTENTION: ClassVar[bool] = True
    REFERENCES: ClassVar[Collection[str]] = tuple(STYLES)

    n_layers: int
    d_model: int
    n_heads: int
    d_ff: int
    vocab: int
    n_decoder_layers: int = 0
    d_head: int = 0
    positions: Literal["relative", "learned", "sinusoidal"] = "learned"
    buckets: int = 0
    max_positions: int = 0
    max_source: int = 0
    position_offset: int = 0
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    activation: Literal["gelu", "gelu_tanh", "relu"] = "gelu"
    gated: bool = False
    bias: bool = False
    key_bias: bool = True
    embedding_norm: bool = False
    final_norm: bool = False
    tied_embeddings: bool = True
    mels: int = 0
    moe: Experts | None = None
    expert_every: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "n_decoder_layers", self.n_decoder_layers or self.n_layers)
        tables = {"buckets": "relative", "max_positions": "learned", "max_source": "learned", "position_offset": "learned"}
        for field, positions in tables.items():
            if self.positions != positions and getattr(self, field):
                raise InputError(f"{field}={getattr(self, field)}: {self.positions} positions have none; nearest: 0")
            if self.positions == positions and field != "position_offset":
                positive_int(field, getattr(self, field))
        if self.buckets % 4:
            nearest = 4 * max(1, round(self.buckets / 4))
            raise InputError(f"buckets={self.buckets}: half are for each direction and half of those for near tokens; nearest: {nearest}")
        if self.mels and self.positions != "learned":
            raise InputError(f"mels={self.mels}: a spectrogram's encoder has learned positions; give positions='learned'")
        object.__setattr__(self, "d_head", self.layers.d_head)
        self._check_experts()

    def _check_experts(self) -> None:
        if (self.moe is None) != (self.expert_every == 0):
            raise InputError("moe and expert_every go together: which experts, and in which layers")
        if self.moe is None:
            return
        if (
            positive_int("expert_every", self.expert_every) == 1
            or self.n_layers % self.expert_every
            or self.n_decoder_layers % self.expert_every
        ):
            raise InputError(
                f"expert_every={self.expert_every} must be 2 or more and divide n_layers={self.n_layers} and "
                f"n_decoder_layers={self.n_decoder_layers}; nearest: 2"
            )
        object.__setattr__(self, "moe", self.layers.moe)

    @classmethod
    def from_row(cls, name: str, row: Mapping[str, Any]) -> Self:
        """A preset: the architecture's :data:`STYLES` and the row's figures."""
        nested = {"moe": Experts(**row["moe"])} if "moe" in row else {}
        return super().from_row(name, {**STYLES[row["reference"]], **row, **nested})

    @property
    def layers(self) -> TransformerSpec:
        """What both stacks' layers have in common, without their attention: norm, FFN, experts."""
        return TransformerSpec(
            name="layers", n_layers=self.n_layers, d_model=self.d_model, n_heads=self.n_heads, d_head=self.d_head, d_ff=self.d_ff,
            vocab=self.vocab, max_positions=1, causal=True, norm=self.norm, activation=self.activation, gated=self.gated,
            bias=self.bias, moe=self.moe,
        )  # fmt: skip

    @property
    def decodes(self) -> bool:
        return True

    def decode_sizes(self, given: Mapping[str, int | None]) -> dict[str, int | None]:
        """One decoder token behind a context of 128 unless given; the source stays as it is."""
        return self._one_token("target", given, 128)

    @property
    def max_frames(self) -> int:
        """Columns of the spectrogram that fill the encoder's positions; 0 for text."""
        return 2 * self.max_source if self.mels else 0

    def source_tokens(self, sizes: Mapping[str, int]) -> int:
        """Tokens that the encoder's layers see."""
        if not self.mels:
            return sizes["seq"]
        tokens = sizes["frames"]
        for kernel, stride in STEM:
            tokens = conv_output_size(tokens, kernel, stride, kernel // 2)
        return tokens

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """Sizes default to 128 source tokens (all frames of a spectrogram) and as many decoder tokens as fit, at most 128."""
        source, other = ("frames", "seq") if self.mels else ("seq", "frames")
        if other in sizes:
            raise InputError(f"{other}={sizes[other]}: {self.name} takes batch, {source}, target and context")
        target = sizes.get("target") or min(128, sizes.get("context", 128), self.max_positions or 128)
        sizes = {
            "batch": sizes["batch"],
            source: sizes.get(source) or self.max_frames or min(128, self.max_source or 128),
            "target": target,
            "context": sizes.get("context", target),
        }
        if self.mels and sizes["frames"] != self.max_frames:
            raise InputError(
                f"frames={sizes['frames']}: {self.name} hears exactly {self.max_frames} frames, shorter sound is padded with silence; "
                f"nearest: {self.max_frames}"
            )
        if sizes["context"] < target:
            raise InputError(f"context={sizes['context']} is shorter than target={target}; context counts the decoder's own tokens too")
        for size, most in ((source, self.max_frames or self.max_source), ("context", self.max_positions)):
            if most and sizes[size] > most:
                name = "target" if size == "context" and sizes[size] == target else size
                raise InputError(f"{name}={sizes[size]} exceeds the {most} positions of {self.name}; nearest: {most}")
        return sizes

    # Parameters and memory ------------------------------------------------------------------------------------------

    def active_params(self) -> int:
        """Parameters that one token's passes through encoder and decoder use: of the routed experts only ``top_k``."""
        if self.moe is None:
            return self.params()
        idle = self.moe.n_experts - self.moe.top_k
        layers = (self.n_layers + self.n_decoder_layers) // self.expert_every
        return self.params() - layers * transformer_forms.ffn_params(self.d_model, self.moe.d_ff, int(self.gated)) * idle

    def decode_weight_bytes(self, dtype: str = "bf16", batch: int = 1) -> float:
        """Bytes of the weights that one decode step of ``batch`` sequences multiplies with: decoder and head, not the encoder.

        The cross-attention's key and value projections have done their work with the encoder's. Experts are taken to be reached
        uniformly, as in a transformer. Tables that are only looked up are left out.
        """
        positive_int("batch", batch)
        step = self.ledger(batch, target=1, context=2)
        read = sum(op.params for op in step if op.kind not in ("gather", "parameters")) + (self.tied_embeddings * self.vocab * self.d_model)
        if self.moe:
            unread = self.moe.n_experts - experts.experts_touched(self.moe.n_experts, self.moe.top_k, batch)
            layers = self.n_decoder_layers // self.expert_every
            read -= layers * transformer_forms.ffn_params(self.d_model, self.moe.d_ff, int(self.gated)) * unread
        return read * bytes_per_value(dtype_name(dtype))

    def self_cache_bytes(self, batch: int, context: int, dtype: str = "bf16") -> float:
        """Bytes of the decoder's keys and values of its own ``context`` tokens."""
        self.resolve(batch=batch, context=context)
        return transformer_forms.kv_cache_bytes(self.n_decoder_layers, self.n_heads, self.d_head, batch, context, dtype_name(dtype))

    def cross_cache_bytes(self, batch: int, seq: int | None = None, dtype: str = "bf16") -> float:
        """Bytes of the decoder's keys and values of ``seq`` source tokens; a spectrogram's are what it has positions for."""
        sizes = self.resolve(batch=batch, seq=seq)
        tokens = self.source_tokens(sizes)
        return transformer_forms.kv_cache_bytes(self.n_decoder_layers, self.n_heads, self.d_head, batch, tokens, dtype_name(dtype))

    def kv_cache_bytes(self, batch: int, context: int, dtype: str = "bf16", *, seq: int | None = None) -> float:
        """Bytes of both caches: the decoder's own ``context`` tokens and ``seq`` source tokens."""
        return self.self_cache_bytes(batch, context, dtype) + self.cross_cache_bytes(batch, seq, dtype)

    def kept_bytes(self, sizes: Mapping[str, int], dtype: str) -> dict[str, float]:
        """Bytes of both caches."""
        cache = self.kv_cache_bytes(sizes["batch"], sizes["context"], dtype, seq=sizes.get("seq"))
        return super().kept_bytes(sizes, dtype) | {"kv_cache_bytes": cache}

    # Compute ----------------------------------------------------------------------------------------------------------

    def encoder_flops(self, batch: int = 1, seq: int | None = None) -> int:
        """FLOPs of the encoder's layers alone."""
        tokens = self.source_tokens(self.resolve(batch=batch, seq=seq))
        return forms.encoder_flops(batch, tokens, self.n_layers, self.d_model, self.d_ff, self.n_heads, self.d_head, int(self.gated))

    def ledger(
        self,
        batch: int = 1,
        seq: int | None = None,
        frames: int | None = None,
        target: int | None = None,
        context: int | None = None,
        dtype: str = "fp32",
        attention: Attention = "fused",
    ) -> Ledger:
        """The whiteboard ledger of a forward pass, or of a decode step where ``context`` is longer than ``target``.

        Args:
            batch: sequences.
            seq, frames: source tokens, or columns of a spectrogram for a model of sound.
            target: decoder tokens.
            context: the decoder's keys, cached ones included; ``target`` when not given. When longer, the encoder has run already and
                its keys and values are cached; its weights then stand in rows that compute nothing.
            dtype: of weights and activations.
            attention: ``fused`` keeps the scores on chip, ``eager`` writes and reads them. FLOPs are the same.

        Raises:
            InputError: sizes that are not positive integers, exceed the positions, or do not fit together.
        """
        from ..whiteboard.ledgers.encoder_decoder import encoder_decoder_ledger

        sizes = self.resolve(batch, seq, frames, target, context)
        return encoder_decoder_ledger(self, sizes, dtype_name(dtype), attention)
