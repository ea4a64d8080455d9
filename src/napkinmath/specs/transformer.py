"""Transformer encoders and decoders: their dimensions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..dtypes import bytes_per_value, dtype_name
from ..errors import InputError
from ..whiteboard import experts, latent, scaling, windows
from ..whiteboard import transformer as forms
from .architectures import STYLES
from .base import Spec
from .blocks import Experts, LatentAttention
from .checks import divisors, positive_int

if TYPE_CHECKING:
    from ..ledger import Ledger

Attention = Literal["fused", "eager"]


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
        bias: every linear layer of attention and FFN has a bias. ``qkv_bias``: only query, key and value have one.
        tied_embeddings: the LM head reuses the token embedding, so it adds FLOPs and no parameters.
        token_types, pooler, embedding_norm, final_norm, lm_head: the parts around the layers.
        position_offset: rows that the table of learned positions has before the first position.
        post_norms: a norm behind attention and FFN too, not only before them.
        d_embed: width of the embeddings, where a linear map takes them to ``d_model`` (ALBERT); 0: they are ``d_model`` wide.
        shared_layers: all layers are one layer's weights, run ``n_layers`` times (ALBERT).
        window: keys that a query sees, in a decoder itself and those before it, in an encoder half on either side; 0: all.
        global_every: each such-th layer sees all keys in spite of the window; 0: none does.
        global_tokens: of an encoder with a window, first tokens that see and are seen by all.
        moe: experts in place of the FFN.
        mla: latent attention in place of full keys and values.

    Raises:
        InputError: a dimension is not a positive integer, or two of them do not fit together.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"seq": 128, "context": None}
    REFERENCES: ClassVar[Collection[str]] = tuple(STYLES)
    IMPLEMENTED: ClassVar[Mapping[str, Any]] = {"latents": "rebuilt"}
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
    activation: Literal["gelu", "gelu_tanh", "quick_gelu", "silu", "relu"] = "gelu"
    positions: Literal["learned", "rotary"] = "learned"
    bias: bool = False
    tied_embeddings: bool = False
    token_types: int = 0
    pooler: bool = False
    embedding_norm: bool = False
    final_norm: bool = False
    lm_head: bool = False
    position_offset: int = 0
    qkv_bias: bool = False
    post_norms: bool = False
    d_embed: int = 0
    shared_layers: bool = False
    window: int = 0
    global_every: int = 0
    global_tokens: int = 0
    moe: Experts | None = None
    mla: LatentAttention | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "n_kv_heads", self.n_kv_heads or self.n_heads)
        if self.n_heads % self.n_kv_heads:
            near = sorted(sorted(divisors(self.n_heads), key=lambda n: abs(n - self.n_kv_heads))[:12])
            raise InputError(
                f"n_kv_heads={self.n_kv_heads} does not divide n_heads={self.n_heads}; allowed: {', '.join(map(str, near))}; "
                f"nearest: {min(near, key=lambda n: abs(n - self.n_kv_heads))}"
            )
        self._check_blocks()
        if self.d_head == 0:
            if self.d_model % self.n_heads:
                nearest = max(1, round(self.d_model / self.n_heads)) * self.n_heads
                raise InputError(
                    f"d_model={self.d_model} is not a multiple of n_heads={self.n_heads}; give d_head, or use the nearest d_model={nearest}"
                )
            object.__setattr__(self, "d_head", self.d_model // self.n_heads)
        if self.positions == "rotary" and self.d_head % 2 and self.mla is None:
            raise InputError(f"d_head={self.d_head}: rotary positions turn pairs, so d_head must be even; nearest: {self.d_head + 1}")

    def _check_blocks(self) -> None:
        """Hold window, experts and latent attention against the rest, and fill in what follows from them."""
        if self.window and not self.causal and (self.window % 2 or not self.global_tokens):
            even, some = self.window + self.window % 2, self.global_tokens or 1
            raise InputError(
                f"window={self.window}, global_tokens={self.global_tokens}: an encoder's window is even, half of it on either side, "
                f"beside at least one global token; nearest: window={even}, global_tokens={some}"
            )
        if self.d_embed and self.lm_head:
            raise InputError(f"d_embed={self.d_embed}: an LM head reads d_model={self.d_model} values; nearest: 0")
        if self.shared_layers and (self.window or self.moe):
            raise InputError(f"shared_layers: layers of one kind share weights; got window={self.window}, moe={self.moe}; nearest: False")
        if self.moe is not None:
            object.__setattr__(self, "moe", self.moe.within(self))
        if self.mla is not None:
            object.__setattr__(self, "d_head", self.mla.within(self))

    @classmethod
    def from_row(cls, name: str, row: Mapping[str, Any]) -> Self:
        """A preset: the architecture's :data:`STYLES` and the row's figures."""
        blocks = {key: block(**row[key]) for key, block in (("moe", Experts), ("mla", LatentAttention)) if row.get(key)}
        return super().from_row(name, {**STYLES[row["reference"]], **row, **blocks})

    @property
    def decodes(self) -> bool:
        return self.causal

    # Layers of more than one kind ----------------------------------------------------------------------------------

    @property
    def full_layers(self) -> int:
        """Layers whose queries see all keys."""
        if not self.window:
            return self.n_layers
        return self.n_layers // self.global_every if self.global_every else 0

    @property
    def expert_layers(self) -> int:
        """Layers with experts in place of the FFN."""
        return self.n_layers - self.moe.dense_layers if self.moe else 0

    @property
    def embedding_width(self) -> int:
        """Width of the embedding tables: ``d_embed``, or ``d_model`` where nothing maps the one to the other."""
        return self.d_embed or self.d_model

    # Parameters and memory ------------------------------------------------------------------------------------------

    def params(self) -> int:
        """Distinct parameters; tied weights once."""
        return self.ledger(seq=max(1, self.global_tokens)).params

    def active_params(self) -> int:
        """Parameters that one token's forward pass uses: of the routed experts only ``top_k``. All of them without experts."""
        return int(self.params() - self._unread_expert_params(tokens=1))

    def _unread_expert_params(self, tokens: int) -> float:
        """Expected parameters of the experts that no one of ``tokens`` tokens reaches."""
        if self.moe is None:
            return 0
        unread = self.moe.n_experts - experts.experts_touched(self.moe.n_experts, self.moe.top_k, tokens)
        return round(self.expert_layers * forms.ffn_params(self.d_model, self.moe.d_ff, int(self.gated)) * unread, 3)

    def embedding_params(self) -> int:
        """Parameters of the token, position and token-type tables (without their norm)."""
        positions = self.max_positions + self.position_offset if self.positions == "learned" else 0
        return (self.vocab + positions + self.token_types) * self.embedding_width

    def multiplied_params(self, tokens: int = 1) -> float:
        """Parameters that ``tokens`` tokens multiply with: all but tables that are only looked up, and experts that no token reaches.

        Of such a table each token reads one row, which is ignored here. An LM head that is tied to the token table multiplies all of it.
        Experts are taken to be reached uniformly (:func:`~napkinmath.whiteboard.experts.experts_touched`).
        """
        tied_head = self.vocab * self.d_model if self.tied_embeddings and self.lm_head else 0
        return self.params() - self.embedding_params() + tied_head - self._unread_expert_params(tokens)

    def decode_weight_bytes(self, dtype: str = "bf16", batch: int = 1) -> float:
        """Bytes of the weights that one decode step of ``batch`` sequences reads: the :meth:`multiplied_params`.

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
        return self.multiplied_params(positive_int("batch", batch)) * bytes_per_value(dtype_name(dtype))

    def kv_cache_bytes(self, batch: int, context: int, dtype: str = "bf16") -> float:
        """Bytes of the KV cache of ``batch`` sequences of ``context`` tokens: latents with MLA, no more than the window where there is one.

        Raises:
            InputError: the model is an encoder and keeps no cache.
        """
        if not self.causal:
            raise InputError(f"{self.name} is an encoder: it keeps no KV cache; kv_cache_bytes is for decoders such as gpt2 or llama-3-8b")
        self.resolve(batch, 1, context)
        dtype = dtype_name(dtype)
        if self.mla:
            return latent.latent_cache_bytes(self.n_layers, self.mla.kv_rank, self.mla.d_rope, batch, context, dtype)
        heads = (self.n_kv_heads, self.d_head, batch, context)
        windowed = windows.window_cache_bytes(self.n_layers - self.full_layers, *heads, self.window, dtype) if self.window else 0
        return forms.kv_cache_bytes(self.full_layers, *heads, dtype) + windowed

    def kept_bytes(self, sizes: Mapping[str, int], dtype: str) -> dict[str, float]:
        """Bytes of the KV cache; an encoder keeps none."""
        cache = self.kv_cache_bytes(sizes["batch"], sizes["context"], dtype) if self.causal else 0
        return super().kept_bytes(sizes, dtype) | {"kv_cache_bytes": cache}

    def score_matrix_bytes(self, batch: int, seq: int, context: int | None = None, dtype: str = "bf16") -> float:
        """Bytes of one layer's score matrix, when the kernel writes it out."""
        return forms.score_matrix_bytes(n_heads=self.n_heads, **self.resolve(batch, seq, context), dtype=dtype_name(dtype))

    # Compute ----------------------------------------------------------------------------------------------------------

    def useful_causal_flops(self, batch: int, seq: int, context: int | None = None) -> int:
        """:meth:`flops` without the scores that a causal mask throws away."""
        return self.ledger(batch=batch, seq=seq, context=context).totals().useful_causal_flops

    def two_n_error(self, seq: int, context: int | None = None) -> float:
        """How far the rule of 2 FLOPs per parameter and token is off the FLOPs of a forward pass: -0.1 for ten percent too few."""
        tokens = self.resolve(1, seq, context)["seq"]
        return scaling.two_n_flops(self.active_params(), tokens) / self.flops(1, seq, context) - 1

    def decode_flops(self, batch: int, context: int) -> int:
        """FLOPs of one decode step over caches of ``context`` tokens; latent attention works on the latents, as servers run it."""
        return self.ledger(batch, 1, context, latents="absorbed").flops

    def decode_intensity(self, batch: int, context: int, dtype: str = "bf16") -> float:
        """FLOPs per byte of a decode step over caches of ``context`` tokens: weights are read once, each cache for its own sequence."""
        cache = self.kv_cache_bytes(1, context, dtype)
        return scaling.decode_intensity(batch, self.decode_flops(1, context), self.decode_weight_bytes(dtype, batch), cache)

    def score_flops_share(self, seq: int) -> float:
        """Share of the layers' FLOPs that the quadratic part takes."""
        layers = self.ledger(seq=seq).filter(lambda op: op.name.startswith("layers/"))
        return layers.by("kind")["attention"].flops / layers.flops

    def score_ffn_crossover_seq(self) -> float:
        """Sequence length at which the scores cost as many FLOPs as the FFN."""
        return forms.score_ffn_crossover_seq(**self._plain_layer())

    def score_linear_crossover_seq(self) -> float:
        """Sequence length at which the scores cost as many FLOPs as all the layer's linear maps."""
        return forms.score_linear_crossover_seq(**self._plain_layer(), n_kv_heads=self.n_kv_heads)

    def _plain_layer(self) -> dict[str, int]:
        """The dimensions of a layer with full attention and a dense FFN.

        Raises:
            InputError: the layers have a window, latent attention or experts.
        """
        for field in ("window", "mla", "moe"):
            if getattr(self, field):
                raise InputError(f"{self.name} has {field}: the crossover's formula is for full attention and a dense FFN; compare ledgers")
        fields = ("d_model", "d_ff", "n_heads", "d_head")
        return {**{field: getattr(self, field) for field in fields}, "gated": int(self.gated)}

    def ledger(
        self,
        batch: int = 1,
        seq: int = 128,
        context: int | None = None,
        dtype: str = "fp32",
        attention: Attention = "fused",
        logits: Literal["all", "last"] = "all",
        latents: Literal["absorbed", "rebuilt"] | None = None,
    ) -> Ledger:
        """The whiteboard ledger of a forward pass.

        Args:
            batch, seq: query tokens of shape ``[batch, seq]``.
            context: key/value tokens, cached ones included; ``seq`` when not given. A decode step is ``seq=1, context=n``.
            dtype: of weights and activations.
            attention: ``fused`` keeps the scores on chip, ``eager`` writes and reads them. FLOPs are the same.
            logits: the LM head runs on every query token (as a forward pass does), or only the last (as a server does).
            latents: what latent attention (MLA) does with its cache. ``rebuilt``: keys and values of all tokens are computed from their
                latents, as transformers does, those of cached tokens in a row of ``overhead``. ``absorbed``: attention on the latents
                themselves, as servers decode. When not given, whichever has fewer FLOPs where there is a cache, else ``rebuilt``: what
                one would serve. The trace of transformers' module equals the ledger of ``rebuilt``.

        Raises:
            InputError: sizes that are not positive integers, exceed ``max_positions``, or do not fit together.
        """
        from ..whiteboard.ledgers.transformer import transformer_ledger

        sizes = self.resolve(batch, seq, context)
        latents = latents or self._served_latents(**sizes)
        return transformer_ledger(self, **sizes, dtype=dtype_name(dtype), attention=attention, logits=logits, latents=latents)

    def _served_latents(self, batch: int, seq: int, context: int) -> Literal["absorbed", "rebuilt"]:
        """Which way a server would take from cached latents to attention; see :meth:`ledger`."""
        if self.mla is None or context == seq:
            return "rebuilt"
        sizes = (batch, self.n_heads, seq, context, self.mla.kv_rank, self.mla.d_nope, self.mla.d_rope, self.mla.d_value)
        return "absorbed" if latent.latent_absorbed_flops(*sizes) < latent.latent_expanded_flops(*sizes) else "rebuilt"

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """The context defaults to ``seq``; both must fit the positions, and an encoder has no other context."""
        seq = sizes["seq"]
        context = sizes.setdefault("context", seq)
        if seq < self.global_tokens:
            raise InputError(
                f"seq={seq} is shorter than the {self.global_tokens} global tokens of {self.name}; nearest: {self.global_tokens}"
            )
        if not self.causal and context != seq and seq != 1:
            raise InputError(f"context={context} differs from seq={seq}: {self.name} is an encoder, where every query token is also a key")
        if context < seq:
            raise InputError(f"context={context} is shorter than seq={seq}; context counts all key/value tokens, the query's own included")
        if context > self.max_positions:
            kind = "context" if context != seq else "seq"
            raise InputError(f"{kind}={context} exceeds the {self.max_positions} positions of {self.name}; nearest: {self.max_positions}")
        return sizes
