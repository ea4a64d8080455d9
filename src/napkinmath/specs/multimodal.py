"""Models of images, clips and sound, with or without text: which towers they have and how those meet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..dtypes import dtype_name
from ..errors import InputError
from ..whiteboard import multimodal as forms
from ..whiteboard.conv import conv_output_size
from .architectures import STYLES as TEXT_STYLES
from .base import Spec
from .checks import check_fields, positive_int
from .connectors import QueryFormer, Resampler
from .transformer import Attention, TransformerSpec
from .vision import ResNetTower, Tower

if TYPE_CHECKING:
    from ..ledger import Ledger

_ENCODER = {"norm": "layernorm", "positions": "learned", "bias": True, "final_norm": True}
_LLAMA = {
    "norm": "rmsnorm",
    "activation": "silu",
    "positions": "rotary",
    "gated": True,
    "causal": True,
    "final_norm": True,
    "lm_head": True,
}
_CLIP_TOWER = {"activation": "quick_gelu", "patch_bias": False, "pre_norm": True, "final_norm": "first"}
_CLIP_TEXT = {**_ENCODER, "activation": "quick_gelu", "causal": True}
_SIGLIP_TOWER = {"activation": "gelu_tanh", "special_tokens": 0, "pool": "attention"}

#: What each reference architecture fixes beside its dimensions: of the whole model, and of its towers.
STYLES: dict[str, dict[str, Any]] = {
    "clip": {"fusion": "contrastive", "vision": _CLIP_TOWER, "text": _CLIP_TEXT},
    "clip_resnet": {"fusion": "contrastive", "text": _CLIP_TEXT},
    "siglip": {"fusion": "contrastive", "logit_bias": True, "vision": _SIGLIP_TOWER, "text": {**_ENCODER, "activation": "gelu_tanh"}},
    "llava": {"fusion": "prefix", "unused_layers": 1, "vision": _CLIP_TOWER, "text": _LLAMA},
    "blip2": {"fusion": "prefix", "text": {"reference": "opt", **TEXT_STYLES["opt"]}},
    "flamingo": {"fusion": "gated", "vision": _CLIP_TOWER, "text": _LLAMA},
    "vilt": {"fusion": "single_stream", "text": {**_ENCODER, "embedding_norm": True, "pooler": True}},
    "vivit": {"fusion": "none", "vision": {"activation": "gelu_tanh"}},
    "timesformer": {"fusion": "none", "vision": {"divided": True}},
    "ast": {"fusion": "none", "head_norm": True, "audio": {"channels": 1, "special_tokens": 2}},
    "wav2vec2": {"fusion": "none"},
}


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """Convolutions along a waveform make tokens, a grouped convolution tells them their places, a transformer reads them.

    Attributes:
        n_layers, d_model, n_heads, d_ff: of the transformer.
        channels, kernels, strides: of each convolution in turn.
        position_kernel, position_groups: of the convolution that stands in for position embeddings.
    """

    n_layers: int
    d_model: int
    n_heads: int
    d_ff: int
    channels: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    position_kernel: int
    position_groups: int

    def __post_init__(self) -> None:
        check_fields(self)
        if not len(self.channels) == len(self.kernels) == len(self.strides):
            raise InputError("channels, kernels and strides differ in length; give one of each per convolution")
        if self.d_model % self.position_groups:
            raise InputError(f"position_groups={self.position_groups} does not divide d_model={self.d_model}; nearest: 1")
        _ = self.layers  # checks the rest

    @property
    def layers(self) -> TransformerSpec:
        """The encoder's layers: a transformer without a vocabulary."""
        return TransformerSpec(
            name="waveform", n_layers=self.n_layers, d_model=self.d_model, n_heads=self.n_heads, d_ff=self.d_ff,
            bias=True, vocab=1, max_positions=1,
        )  # fmt: skip

    def tokens(self, samples: int) -> int:
        """Tokens of ``samples`` values; 0 or less where they do not fill the convolutions."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = conv_output_size(samples, kernel, stride)
        return samples

    @property
    def fewest_samples(self) -> int:
        """The shortest waveform that makes a token: the receptive field."""
        samples = 1
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples


@dataclass(frozen=True, kw_only=True)
class MultimodalSpec(Spec):
    """Dimensions of a model with an image, video or audio tower, and of what joins it to text.

    Attributes:
        fusion: how towers meet. ``contrastive``: two encoders, similarities at the end. ``prefix``: projected image tokens, or the outputs
            of a Q-Former, stand in the language model's context. ``gated``: the language model's layers look at resampled image tokens.
            ``single_stream``: one encoder reads the tokens of both. ``none``: one tower, and a classifier where ``classes`` says so.
        vision, resnet, audio, waveform, text: the towers; a ``contrastive`` model sees by vision or by resnet. Of a ``single_stream``,
            vision gives the embedding and text the layers.
        d_embed: width of the shared embedding (contrastive).
        logit_bias: similarities have a bias, and the text projection too (SigLIP).
        unused_layers: last layers of the vision tower that run although their output is not used (LLaVA reads the one before).
        resampler: of ``gated``.
        qformer: of a ``prefix`` whose image tokens are learned queries.
        classes, head_norm: outputs of the classifier; a norm before it.
        seq, samples: text tokens and waveform samples of a pass when not given.

    Raises:
        InputError: a dimension is not a positive integer, or two of them do not fit together.
    """

    SIZES: ClassVar[Mapping[str, int | None]] = {"image": None, "frames": None, "samples": None, "seq": None}
    ATTENTION: ClassVar[bool] = True
    REFERENCES: ClassVar[Collection[str]] = tuple(STYLES)

    fusion: Literal["contrastive", "prefix", "gated", "single_stream", "none"]
    vision: Tower | None = None
    resnet: ResNetTower | None = None
    audio: Tower | None = None
    waveform: Waveform | None = None
    text: TransformerSpec | None = None
    d_embed: int = 0
    logit_bias: bool = False
    unused_layers: int = 0
    resampler: Resampler | None = None
    qformer: QueryFormer | None = None
    classes: int = 0
    head_norm: bool = False
    seq: int = 0
    samples: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        needs: dict[str, tuple[str, ...]] = {
            "contrastive": ("resnet" if self.resnet else "vision", "text", "d_embed"),
            "prefix": ("vision", "text"),
            "gated": ("vision", "text", "resampler"),
            "single_stream": ("vision", "text", "classes"),
            "none": (),
        }
        for field in needs[self.fusion]:
            if not getattr(self, field):
                raise InputError(f"fusion={self.fusion!r} needs {field}")
        if self.resnet and (self.vision or self.fusion != "contrastive"):
            raise InputError(f"resnet: only a contrastive model without a vision tower has one; got fusion={self.fusion!r}")
        if self.fusion == "none" and sum(tower is not None for tower in (self.vision, self.audio, self.waveform)) != 1:
            raise InputError("fusion='none' takes one of vision, audio and waveform")
        if self.unused_layers >= (self.vision.n_layers if self.vision else 1):
            layers = self.vision.n_layers if self.vision else 0
            raise InputError(f"unused_layers={self.unused_layers}: the vision tower has {layers}; nearest: 0")
        if self.fusion == "single_stream" and self.vision and self.text and self.vision.d_model != self.text.d_model:
            raise InputError(
                f"d_model={self.vision.d_model} of vision must be that of text in a single stream; nearest: {self.text.d_model}"
            )
        self.complete({"batch": 1})

    @classmethod
    def from_row(cls, name: str, row: Mapping[str, Any]) -> Self:
        """A preset: the architecture's :data:`STYLES` and the row's figures, tower by tower."""
        style = STYLES[row["reference"]]
        makes: dict[str, Any] = {
            "vision": Tower, "resnet": ResNetTower, "audio": Tower, "waveform": Waveform, "resampler": Resampler, "qformer": QueryFormer
        }  # fmt: skip
        nested = {part: make(**{**style.get(part, {}), **row[part]}) for part, make in makes.items() if part in row}
        if "text" in row:
            nested["text"] = TransformerSpec(name=f"{name}/text", **{**style["text"], **row["text"]})
        return super().from_row(name, {**style, **row, **nested})

    @property
    def size_names(self) -> tuple[str, ...]:
        """The sizes that a pass of this model takes beside ``batch``."""
        axes = len(self.vision.extent) if self.vision else 0
        taken = {
            "image": axes > 0 or self.resnet is not None,
            "frames": axes == 3 or self.audio is not None,
            "samples": self.waveform is not None,
            "seq": self.text is not None,
        }
        return tuple(size for size, is_taken in taken.items() if is_taken)

    def extent(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Extent of the input of the vision or audio tower."""
        if self.audio:
            return (self.audio.extent[0], sizes["frames"])
        image = (sizes["image"], sizes["image"])
        return (sizes["frames"], *image) if self.vision and len(self.vision.extent) == 3 else image

    def complete(self, sizes: dict[str, int]) -> dict[str, int]:
        """Sizes default to those that the towers were made for; where a position table cannot be resampled they must be those."""
        for size in sizes:
            if size not in ("batch", *self.size_names):
                raise InputError(f"{size}={sizes[size]}: {self.name} takes {', '.join(('batch', *self.size_names))}")
        tower = self.vision or self.audio
        own = {"seq": self.seq or (self.text.max_positions if self.text else 0), "samples": self.samples}
        if tower:
            own |= {"image": tower.extent[-1], "frames": tower.extent[0] if self.vision else tower.extent[-1]}
        if self.resnet:
            own["image"] = self.resnet.image
        sizes = {"batch": sizes.get("batch", 1), **{size: sizes.get(size, own[size]) for size in self.size_names}}
        if tower:
            tower.grid(self.extent(sizes))
        resamples = self.fusion in ("contrastive", "single_stream") and not self.resnet
        for size in ("image", "frames"):
            if size in sizes and sizes[size] != own[size] and not resamples:
                raise InputError(
                    f"{size}={sizes[size]}: the positions of {self.name} are for {own[size]}, and its implementation does not resample "
                    f"them; nearest: {own[size]}, or resized({size}={sizes[size]})"
                )
        if self.waveform and self.waveform.tokens(sizes["samples"]) < 1:
            raise InputError(f"samples={sizes['samples']} make no token; nearest: {self.waveform.fewest_samples}")
        if self.text:
            image_seq = self.image_tokens(sizes["image"]) if self.fusion == "prefix" else 0
            if sizes["seq"] + image_seq > self.text.max_positions:
                room = self.text.max_positions - image_seq
                beside = f" beside {image_seq} image tokens" if image_seq else ""
                raise InputError(
                    f"seq={sizes['seq']}{beside} exceeds the {self.text.max_positions} positions of {self.name}; nearest: {room}"
                )
        return sizes

    def resized(self, *, image: int | None = None, frames: int | None = None) -> Self:
        """The same model made for other images, clips or spectrograms: its position table, and so its parameters, follow."""
        if self.resnet and frames is None:
            resnet = replace(self.resnet, image=image or self.resnet.image)
            return replace(self, resnet=resnet, published_params=None, published=())
        part = "vision" if self.vision else "audio"
        tower: Tower | None = getattr(self, part)
        if tower is None:
            raise InputError(f"{self.name} reads a waveform of any length")
        sizes = {**self.complete({"batch": 1}), **{k: v for k, v in (("image", image), ("frames", frames)) if v is not None}}
        return replace(self, **{part: replace(tower, extent=self.extent(sizes))}, published_params=None, published=())  # type: ignore[arg-type]

    def image_tokens(self, image: int | None = None) -> int:
        """Tokens that one image takes in the language model's context (prefix), or that the text looks at (gated); else of the tower."""
        if self.resnet:
            return self.resnet.tokens
        if self.vision is None:
            raise InputError(f"{self.name} sees no images")
        if self.resampler:
            return self.resampler.latents
        if self.qformer:
            return self.qformer.queries
        sizes = {"image": image or self.vision.extent[-1], "frames": self.vision.extent[0]}
        return self.vision.tokens(self.extent(sizes)) - (self.vision.special_tokens if self.fusion == "prefix" else 0)

    def kv_cache_bytes(self, batch: int, context: int, dtype: str = "bf16") -> float:
        """Bytes of the language model's KV cache; ``context`` counts image tokens too."""
        if self.text is None or not self.text.lm_head:
            raise InputError(f"{self.name} generates no text: it keeps no KV cache; kv_cache_bytes is for models such as llava-1.5-7b")
        return self.text.kv_cache_bytes(batch, context, dtype)

    def image_cache_bytes(self, batch: int = 1, image: int | None = None, dtype: str = "bf16") -> float:
        """Bytes that an image of each of ``batch`` conversations keeps while it lasts, in a serving loop that computes nothing twice.

        ``prefix``: keys and values of its tokens in every layer. ``gated``: those of the latents in the cross-attention blocks alone.
        """
        if self.resampler and self.text:
            blocks, heads = self.text.n_layers // self.resampler.every, (self.resampler.n_heads, self.resampler.d_head)
            return forms.image_kv_cache_bytes(blocks, *heads, batch * self.resampler.latents, dtype_name(dtype))
        return self.kv_cache_bytes(batch, self.image_tokens(image), dtype)

    def kept_bytes(self, sizes: Mapping[str, int], dtype: str) -> dict[str, float]:
        """Bytes of the language model's cache: ``seq`` words and an image for each of ``batch``; others keep none."""
        cache = 0.0
        if self.text and self.text.lm_head:
            batch = sizes["batch"]
            cache = self.kv_cache_bytes(batch, sizes["seq"], dtype) + self.image_cache_bytes(batch, sizes["image"], dtype)
        return super().kept_bytes(sizes, dtype) | {"kv_cache_bytes": cache}

    def contrastive_logits_bytes(self, global_batch: int, devices: int = 1, dtype: str = "fp32") -> float:
        """Bytes of a training step's similarities on one device."""
        positive_int("global_batch", global_batch)
        positive_int("devices", devices)
        return forms.contrastive_logits_bytes(global_batch, devices, dtype_name(dtype))

    def ledger(
        self,
        batch: int = 1,
        image: int | None = None,
        frames: int | None = None,
        samples: int | None = None,
        seq: int | None = None,
        dtype: str = "fp32",
        attention: Attention = "fused",
    ) -> Ledger:
        """The whiteboard ledger of a forward pass over ``batch`` images, clips or recordings and as many texts.

        Args:
            batch, image, frames, samples, seq: what :attr:`size_names` lists; those of the towers when not given. ``seq`` counts text
                tokens only.
            dtype: of weights and activations.
            attention: ``fused`` keeps the scores on chip, ``eager`` writes and reads them. FLOPs are the same.

        Raises:
            InputError: sizes that the model does not take, are no positive integers, or do not fit it.
        """
        from ..whiteboard.ledgers.multimodal import multimodal_ledger

        return multimodal_ledger(self, self.resolve(batch, image, frames, samples, seq), dtype_name(dtype), attention)

    def encoder_ledger(
        self,
        tower: Literal["vision", "text"],
        batch: int = 1,
        image: int | None = None,
        seq: int | None = None,
        dtype: str = "fp32",
        attention: Attention = "fused",
    ) -> Ledger:
        """The rows of one tower of a dual encoder, projection included: what a query runs, or what an item of the index ran before.

        Args:
            tower: which of the two.
            batch, image, seq, dtype, attention: as :meth:`ledger` takes them.

        Raises:
            InputError: no such tower, a model that is no dual encoder, or sizes that :meth:`ledger` refuses.
        """
        if self.fusion != "contrastive":
            raise InputError(f"{self.name} has no encoders that run apart; encoder_ledger is for models such as clip-vit-b-32")
        if tower not in ("vision", "text"):
            raise InputError(f"tower={tower!r} is not known; choose 'vision' or 'text'")
        whole = self.ledger(batch, image=image, seq=seq, dtype=dtype, attention=attention)
        return whole.filter(lambda op: op.name.startswith(f"{tower}/"))
