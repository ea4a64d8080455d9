"""Specs: the dimensions of an architecture, and the named presets.

A spec is a frozen dataclass whose methods unpack it into the closed forms of :mod:`napkinmath.whiteboard`. Input is validated
here, once; the closed forms are plain arithmetic. Presets are rows of ``data/presets.toml``, each figure with its source.
"""

from __future__ import annotations

import datetime
import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from .dtypes import bytes_per_value, dtype_name
from .errors import InputError, did_you_mean
from .whiteboard import transformer as forms

if TYPE_CHECKING:
    from .ledger import Ledger

#: Beyond any model: larger sizes are typing errors.
_LARGEST = 10**12

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
class TransformerSpec:
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

    name: str
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
    family: str = ""
    reference: str = ""
    source: str = ""
    paper: str = ""
    published_params: int | None = None
    published_source: str = ""
    checked: datetime.date | None = None

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

    # Parameters and memory ------------------------------------------------------------------------------------------

    def params(self) -> int:
        """Distinct parameters; tied weights once."""
        return self.ledger(batch=1, seq=1).params

    def embedding_params(self) -> int:
        """Parameters of the token, position and token-type tables (without their norm)."""
        tables = self.vocab + (self.max_positions if self.positions == "learned" else 0) + self.token_types
        return tables * self.d_model

    def weight_bytes(self, dtype: str = "bf16") -> float:
        """Bytes of all parameters in ``dtype``."""
        return self.params() * bytes_per_value(dtype_name(dtype))

    def decode_weight_bytes(self, dtype: str = "bf16") -> float:
        """Bytes of the weights that one decode step reads: all that are multiplied.

        Of a table that is only looked up, each token reads one row, which is ignored here: learned positions, and the token
        table unless the LM head is tied to it and so reads all of it.

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
        self.check_input(batch, 1, context)
        return forms.kv_cache_bytes(self.n_layers, self.n_kv_heads, self.d_head, batch, context, dtype_name(dtype))

    def score_matrix_bytes(self, batch: int, seq: int, context: int | None = None, dtype: str = "bf16") -> float:
        """Bytes of one layer's score matrix, when the kernel writes it out."""
        context = self.check_input(batch, seq, context)
        return forms.score_matrix_bytes(batch, self.n_heads, seq, context, dtype_name(dtype))

    # Compute ----------------------------------------------------------------------------------------------------------

    def flops(self, batch: int, seq: int, context: int | None = None) -> int:
        """Matmul and attention FLOPs of a forward pass, every (query, key) pair counted. ``context`` defaults to ``seq``."""
        return self.ledger(batch=batch, seq=seq, context=context).flops

    def macs(self, batch: int, seq: int, context: int | None = None) -> int:
        """Half of :meth:`flops`."""
        return self.flops(batch, seq, context) // 2

    def useful_causal_flops(self, batch: int, seq: int, context: int | None = None) -> int:
        """:meth:`flops` without the scores that a causal mask throws away."""
        return self.ledger(batch=batch, seq=seq, context=context).totals().useful_causal_flops

    def score_flops_share(self, seq: int) -> float:
        """Share of one layer's FLOPs that the quadratic part takes."""
        self.check_input(1, seq, None)
        return forms.score_flops_share(seq, self.d_model, self.d_ff, self.n_heads, self.n_kv_heads, self.d_head, int(self.gated))

    def score_ffn_crossover_seq(self) -> float:
        """Sequence length at which the scores cost as many FLOPs as the FFN."""
        return forms.score_ffn_crossover_seq(self.d_model, self.d_ff, self.n_heads, self.d_head, int(self.gated))

    def score_linear_crossover_seq(self) -> float:
        """Sequence length at which the scores cost as many FLOPs as all the layer's linear maps."""
        return forms.score_linear_crossover_seq(self.d_model, self.d_ff, self.n_heads, self.n_kv_heads, self.d_head, int(self.gated))

    def ledger(
        self,
        batch: int,
        seq: int,
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
        from .whiteboard.ledgers import transformer_ledger

        return transformer_ledger(self, batch, seq, self.check_input(batch, seq, context), dtype_name(dtype), attention, logits)

    def check_input(self, batch: int, seq: int, context: int | None) -> int:
        """Validate input sizes and return the context."""
        positive_int("batch", batch)
        positive_int("seq", seq)
        context = seq if context is None else context
        positive_int("context", context)
        if not self.causal and context != seq and seq != 1:
            raise InputError(f"context={context} differs from seq={seq}: {self.name} is an encoder, where every query token is also a key")
        if context < seq:
            raise InputError(f"context={context} is shorter than seq={seq}; context counts all key/value tokens, the query's own included")
        if context > self.max_positions:
            kind = "context" if context != seq else "seq"
            raise InputError(f"{kind}={context} exceeds the {self.max_positions} positions of {self.name}; nearest: {self.max_positions}")
        return context


def positive_int(name: str, value: object) -> int:
    """Return ``value`` if it is a positive integer.

    Raises:
        InputError: names the input, and the nearest allowed value.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        nearest = max(1, round(value)) if isinstance(value, float) and value == value and abs(value) < 1e18 else 1
        raise InputError(f"{name}={value!r} is not a whole number; allowed: integers from 1; nearest: {nearest}")
    if not 1 <= value <= _LARGEST:
        raise InputError(f"{name}={value} is out of range; allowed: 1 to {_LARGEST:,}; nearest: {min(max(value, 1), _LARGEST):,}")
    return value


@functools.cache
def _rows() -> dict[str, dict[str, Any]]:
    text = resources.files("napkinmath").joinpath("data/presets.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@functools.cache
def _names() -> Mapping[str, str]:
    """Every accepted spelling of a preset, to its name."""
    names = {}
    for name, row in _rows().items():
        for spelling in (name, *row.get("aliases", ())):
            names[spelling] = name
            names[identifier(spelling)] = name
    return names


def identifier(name: str) -> str:
    """A preset's or device's name as a Python identifier: ``identifier("llama-3.1-405b") == "llama_3_1_405b"``."""
    return name.replace("-", "_").replace(".", "_").replace(" ", "_")


@functools.cache
def preset(name: str) -> TransformerSpec:
    """The preset of that name; dashes, underscores and capitals are alike.

    >>> preset("bert-base").params()
    109482240

    Raises:
        InputError: no such preset; the message names the nearest ones.
    """
    key = str(name).lower()
    found = _names().get(key) or _names().get(identifier(key))
    if found is None:
        raise InputError(f"preset {name!r} is not known.{did_you_mean(key, _rows())}")
    row = {key: value for key, value in _rows()[found].items() if key != "aliases"}
    return TransformerSpec(name=found, **{**STYLES[row["reference"]], **row})


def presets(family: str | None = None) -> list[TransformerSpec]:
    """All presets, or those of one family, in the data file's order.

    Raises:
        InputError: no preset has that family.
    """
    specs = [preset(name) for name in _rows()]
    families = unique(spec.family for spec in specs)
    if family is not None and family not in families:
        raise InputError(f"family={family!r} is not known.{did_you_mean(family, families)}")
    return [spec for spec in specs if family in (None, spec.family)]


def preset_identifiers() -> dict[str, str]:
    """Preset names as Python identifiers, for ``napkinmath.llama_3_8b`` and for expressions in prose."""
    return {spelling: name for spelling, name in _names().items() if spelling.isidentifier()}


def unique(values: Iterable[str]) -> list[str]:
    """Distinct values in first-seen order."""
    return list(dict.fromkeys(values))
