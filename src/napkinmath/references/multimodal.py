"""transformers' own multimodal models; Flamingo and CLIP's ResNets from :mod:`napkinmath.zoo`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast
from unittest import mock

import torch

from ..errors import InputError
from ..specs import TransformerSpec
from ..specs.config import config_fields
from ..specs.multimodal import MultimodalSpec
from ..specs.vision import Tower
from .plan import How, Plan
from .vision import build

_NO_SPECIAL = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}  # the defaults may lie outside a small vocabulary


def plan(spec: MultimodalSpec, sizes: dict[str, int], how: How) -> Plan:
    """Pixels ``[batch, channels, image, image]`` or a clip, a spectrogram ``[batch, frames, mels]``, a waveform; ids ``[batch, seq]``."""
    makers: dict[str, Callable[[MultimodalSpec, dict[str, int], How], Plan]] = {
        "clip": _contrastive, "clip_resnet": _clip_resnet, "siglip": _contrastive, "llava": _llava, "blip2": _blip2,
        "flamingo": _flamingo, "vilt": _vilt, "vivit": _single_tower, "timesformer": _timesformer, "ast": _single_tower,
        "wav2vec2": _wav2vec2,
    }  # fmt: skip
    return makers[spec.reference](spec, sizes, how)


def _contrastive(spec: MultimodalSpec, sizes: dict[str, int], how: How) -> Plan:
    import transformers as hf

    assert spec.vision and spec.text
    tower, text = spec.vision, spec.text
    dimensions = {"text_config": _text(text), "vision_config": _vision(tower)}
    if spec.reference == "clip":
        dimensions["text_config"] |= {"eos_token_id": 2}  # pools the highest id of a sequence, as the published checkpoints do
        model_class, config = hf.CLIPModel, hf.CLIPConfig(**dimensions, projection_dim=spec.d_embed)
    else:
        if spec.d_embed != spec.vision.d_model:
            raise InputError(f"d_embed={spec.d_embed}: SigLIP's embedding is as wide as its vision tower; nearest: {spec.vision.d_model}")
        dimensions["text_config"] |= {"projection_size": spec.d_embed}
        model_class, config = hf.SiglipModel, hf.SiglipConfig(**dimensions)
    for part in (config, config.text_config, config.vision_config):
        part._attn_implementation = how.attention

    def inputs() -> dict[str, Any]:
        given = _pixels(spec, sizes) | _ids(text, sizes["batch"], sizes["seq"], how)
        if sizes["image"] != tower.extent[-1]:
            given["interpolate_pos_encoding"] = True
        return given

    names = {
        "^vision_model/head/": "vision/pool",
        **_encoder_names("vision", "^vision_model/"),
        **_encoder_names("text", "^text_model/"),
        "^visual_projection/": "vision/projection",
        "^text_model/head/|^text_projection/|^text_model/index": "text/projection",
        "^[^/]*$|^logit_": "contrastive",
    }
    return Plan(lambda: build(model_class, config, how), inputs, names)


def _clip_resnet(spec: MultimodalSpec, sizes: dict[str, int], how: How) -> Plan:
    import transformers as hf

    from ..zoo.clip_resnet import ResNetCLIP

    assert spec.resnet and spec.text
    tower, text = spec.resnet, spec.text
    config = hf.CLIPTextConfig(**{**_text(text), "eos_token_id": 2}, projection_dim=spec.d_embed)
    config._attn_implementation = how.attention

    def inputs() -> dict[str, Any]:
        pixels = torch.zeros((sizes["batch"], tower.channels, sizes["image"], sizes["image"]))
        return {"pixel_values": pixels} | _ids(text, sizes["batch"], sizes["seq"], how)

    names = {
        "^vision/stem/": "vision/stem",
        **{f"^vision/stages/{i}/": f"vision/stage{i + 1}" for i in range(len(tower.blocks))},
        "^vision/pool/": "vision/pool",
        **_encoder_names("text", "^text/text_model/"),
        "^text/text_projection/|^text/text_model/index": "text/projection",
        "^[^/]*$": "contrastive",
    }
    return Plan(lambda: ResNetCLIP(tower, build(hf.CLIPTextModelWithProjection, config, how), spec.d_embed), inputs, names)


def _llava(spec: MultimodalSpec, sizes: dict[str, int], how: How) -> Plan:
    import transformers as hf

    assert spec.vision and spec.text
    text = spec.text
    image_seq, seq = spec.image_tokens(), sizes["seq"] + spec.image_tokens()
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**_vision(spec.vision)), text_config=hf.LlamaConfig(**_llama(text)),
        image_token_index=text.vocab - 1, vision_feature_layer=-1 - spec.unused_layers, tie_word_embeddings=text.tied_embeddings,
    )  # fmt: skip
    for part in (config, config.text_config, config.vision_config):
        part._attn_implementation = how.attention

    def inputs() -> dict[str, Any]:
        given = _pixels(spec, sizes) | _ids(text, sizes["batch"], seq, how)
        given["input_ids"][:, :image_seq] = text.vocab - 1
        return given | {"use_cache": False}

    names = {
        **_encoder_names("vision", "vision_tower/"),
        "multi_modal_projector/": "projector",
        **_decoder_names("language_model/"),
        "lm_head/": "text/lm_head",
    }

    def module() -> torch.nn.Module:
        llava = build(hf.LlavaForConditionalGeneration, config, how)
        return llava if how.real else Unchecked(llava)

    return Plan(module, inputs, names)


def _blip2(spec: MultimodalSpec, sizes: dict[str, int], how: How) -> Plan:
    import transformers as hf

    assert spec.vision and spec.text and spec.qformer
    text, former, batch, seq = spec.text, spec.qformer, sizes["batch"], sizes["seq"] + spec.qformer.queries
    config = hf.Blip2Config(
        vision_config=_vision(spec.vision), num_query_tokens=former.queries, image_token_index=text.vocab - 1,
        qformer_config={
            **_layers(former), "encoder_hidden_size": spec.vision.d_model, "cross_attention_frequency": former.every, "vocab_size": 1,
        },
        text_config=hf.OPTConfig(**config_fields(text), **_NO_SPECIAL),
    )  # fmt: skip
    for part in (config, config.text_config, config.vision_config, config.qformer_config):
        part._attn_implementation = how.attention

    def inputs() -> dict[str, Any]:
        given = _pixels(spec, sizes) | _ids(text, batch, seq, how)
        given["input_ids"][:, : former.queries] = text.vocab - 1
        return given | {"position_ids": torch.arange(seq).expand(batch, seq), "use_cache": False}  # else OPT counts them in the mask

    names = {
        **_encoder_names("vision", "vision_model/"),
        "qformer/.*crossattention/(attention/|output/dense/)": "qformer/cross",
        "qformer/.*/attention/(attention/|output/dense/)": "qformer/attention",
        "qformer/.*(intermediate_query|output_query)/dense/|qformer/.*intermediate_act_fn": "qformer/ffn",
        "qformer/encoder/.*LayerNorm/": "qformer/norm",
        "qformer/layernorm/|query_tokens|qformer/[^/]*$": "qformer/embeddings",
        "language_projection/": "projector",
        "language_model/lm_head/": "text/lm_head",
        "/embed_(tokens|positions)/": "text/embeddings",
        "decoder/final_layer_norm/": "text/final_norm",
        r"language_model/.*layers/\d+/\w*layer_norm/": "text/norm",
        "language_model/.*/self_attn/": "text/attention",
        "language_model/.*/(fc1|fc2|activation_fn)/": "text/ffn",
    }

    def module() -> torch.nn.Module:
        blip: Any = build(hf.Blip2ForConditionalGeneration, config, how)
        if how.real:
            return cast(torch.nn.Module, blip)
        blip.language_model.tie_weights()  # as initialising would have done
        blip.query_tokens.requires_grad_(False)  # PyTorch's own counter trips over a view of a parameter as a module's input
        # BLIP-2 masks nothing of an image, and transformers would look into that mask to see it.
        blip.qformer.register_forward_pre_hook(lambda _, args, given: (args, given | {"encoder_attention_mask": None}), with_kwargs=True)
        return Unchecked(blip)

    return Plan(module, inputs, names)


class Unchecked(torch.nn.Module):
    """A transformers model without its checks of values, by transformers' own switch: tensors without values cannot pass them."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, **inputs: Any) -> Any:
        with mock.patch.dict(os.environ, TRANSFORMERS_DISABLE_TORCH_CHECK="1"):
            return self.module(**inputs)


def _flamingo(spec: MultimodalSpec, sizes: dict[str, int], how: How) -> Plan:
    import transformers as hf

    from ..zoo.flamingo import Flamingo

    assert spec.vision and spec.text and spec.resampler
    vision, text, resampler = hf.CLIPVisionConfig(**_vision(spec.vision)), hf.LlamaConfig(**_llama(spec.text)), spec.resampler
    vision._attn_implementation = text._attn_implementation = how.attention

    def module() -> torch.nn.Module:
        return Flamingo(
            build(hf.CLIPVisionModel, vision, how), build(hf.LlamaForCausalLM, text, how),
            n_layers=resampler.n_layers, n_heads=resampler.n_heads, d_head=resampler.d_head,
            n_latents=resampler.latents, every=resampler.every,
        )  # fmt: skip

    def inputs() -> dict[str, Any]:
        assert spec.text
        return _pixels(spec, sizes) | _ids(spec.text, sizes["batch"], sizes["seq"], how) | {"use_cache": False}

    names = {
        "/cross/attention/": "cross/attention",
        "/cross/ffn/0/|/cross/norm/": "cross/norm",
        "/cross/ffn/": "cross/ffn",
        "/cross/": "cross/gate",
        **_encoder_names("vision", "^vision/"),
        "^resampler/layers/.*attention/": "resampler/attention",
        "^resampler/layers/.*(ffn/0|norm_image|norm_latents)/": "resampler/norm",
        "^resampler/layers/.*ffn/": "resampler/ffn",
        "^resampler/norm/": "resampler/final_norm",
        "^resampler/": "resampler/embeddings",
        **_decoder_names("^language/model/"),
        "^language/lm_head/": "text/lm_head",
    }
    return Plan(module, inputs, names)


class WholeImages(torch.nn.Module):
    """ViLT's own modules, on images without padding: embed every patch, in order, then encode, pool and answer.

    ViLT's forward pass looks at values to choose patches and to drop the mask, which tensors without values do not have. On whole images
    it chooses all patches, in random order, and drops the mask: the answers are the same.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, pixel_values: torch.Tensor) -> torch.Tensor:
        vilt, embeddings = self.model.vilt, self.model.vilt.embeddings
        patches, table = embeddings.patch_embeddings(pixel_values), embeddings.position_embeddings
        side = embeddings.config.image_size // embeddings.config.patch_size
        spatial = table[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        spatial = torch.nn.functional.interpolate(spatial, size=patches.shape[2:], mode="bilinear", align_corners=True)
        first = (embeddings.cls_token + table[:, :1]).expand(patches.shape[0], -1, -1)
        image = torch.cat((first, (patches + spatial).flatten(2).transpose(1, 2)), dim=1)
        text_mask, image_mask = (torch.ones(x.shape[:2], device=x.device) for x in (input_ids, image))
        stream, _ = embeddings(input_ids, text_mask, None, None, image_mask, None, image)
        pooled = vilt.pooler(vilt.layernorm(vilt.encoder(stream)[0]))
        answers: torch.Tensor = self.model.classifier(pooled)
        return answers


def _vilt(spec: MultimodalSpec, sizes: dict[str, int], how: How) -> Plan:
    import transformers as hf

    assert spec.vision and spec.text
    text, tower = spec.text, spec.vision
    config = hf.ViltConfig(
        vocab_size=text.vocab, type_vocab_size=text.token_types, max_position_embeddings=text.max_positions, hidden_size=text.d_model,
        num_hidden_layers=text.n_layers, num_attention_heads=text.n_heads, intermediate_size=text.d_ff, hidden_act=text.activation,
        image_size=tower.extent[-1], patch_size=tower.patch[-1], num_channels=tower.channels, modality_type_vocab_size=2,
        num_labels=spec.classes, pad_token_id=None,
    )  # fmt: skip
    config._attn_implementation = "eager"  # the only one that ViLT has

    def module() -> torch.nn.Module:
        vilt = build(hf.ViltForQuestionAnswering, config, how)
        return vilt if how.real else WholeImages(vilt)

    def inputs() -> dict[str, Any]:
        return _pixels(spec, sizes) | {"input_ids": torch.zeros((sizes["batch"], sizes["seq"]), dtype=torch.long)}

    names = {
        "embeddings/text_embeddings/": "text/embeddings",
        "vilt/embeddings/token_type_embeddings/": "stream/embeddings",
        "vilt/embeddings/patch_embeddings/|^[^/]*$|vilt/embeddings/": "vision/embeddings",
        "/attention/": "stream/attention",
        "/layernorm_": "stream/norm",
        "encoder/layer/.*(intermediate|output)/dense/": "stream/ffn",
        "vilt/layernorm/": "stream/final_norm",
        "pooler/|classifier/": "head",
    }
    return Plan(module, inputs, names)


def _single_tower(spec: MultimodalSpec, sizes: dict[str, int], how: How) -> Plan:
    import transformers as hf

    batch = sizes["batch"]
    tower = spec.vision or spec.audio
    assert tower
    common = {**_layers(tower), "num_labels": spec.classes, "hidden_act": _ACTIVATIONS[tower.activation]}
    shape: tuple[int, ...]
    if spec.reference == "vivit":
        config = hf.VivitConfig(
            **common, image_size=tower.extent[-1], num_frames=tower.extent[0], tubelet_size=list(tower.patch), num_channels=tower.channels
        )
        model_class, prefix, part = hf.VivitForVideoClassification, "^vivit/", "vision"
        argument, shape = "pixel_values", (batch, sizes["frames"], tower.channels, sizes["image"], sizes["image"])
    else:
        config = hf.ASTConfig(
            **common, patch_size=tower.patch[0], frequency_stride=tower.stride[0], time_stride=tower.stride[1],
            num_mel_bins=tower.extent[0], max_length=tower.extent[1],
        )  # fmt: skip
        model_class, prefix, part = hf.ASTForAudioClassification, "^audio_spectrogram_transformer/", "audio"
        argument, shape = "input_values", (batch, sizes["frames"], tower.extent[0])
    config._attn_implementation = how.attention
    names = {**_encoder_names(part, prefix), "^classifier/": "head"}
    return Plan(lambda: build(model_class, config, how), lambda: {argument: torch.zeros(shape)}, names)


def _timesformer(spec: MultimodalSpec, sizes: dict[str, int], how: How) -> Plan:
    import numpy as np
    import transformers as hf

    tower = spec.vision
    assert tower
    if tower.patch[0] != 1 or not tower.divided:
        raise InputError(f"patch={tower.patch}: TimeSformer cuts each frame for itself; nearest: {(1, *tower.patch[1:])}")
    config = hf.TimesformerConfig(
        **_layers(tower), num_labels=spec.classes, hidden_act=_ACTIVATIONS[tower.activation], image_size=tower.extent[-1],
        num_frames=tower.extent[0], patch_size=tower.patch[-1], num_channels=tower.channels,
    )  # fmt: skip
    config._attn_implementation = "eager"  # the only one that TimeSformer has
    shape = (sizes["batch"], sizes["frames"], tower.channels, sizes["image"], sizes["image"])

    def module() -> torch.nn.Module:
        # Its layers read their drop rates, all zero, off a tensor, which has no values under FakeTensorMode.
        with mock.patch.object(torch, "linspace", lambda start, end, steps, **_: np.linspace(start, end, steps)):
            return build(hf.TimesformerForVideoClassification, config, how)

    names = {
        "/temporal_(attention|dense)/": "vision/time",
        "/layernorm_before/|/layernorm_after/|/temporal_layernorm/": "vision/norm",
        "/layer/.*/attention/": "vision/space",
        "/(intermediate|output)/": "vision/ffn",
        "^timesformer/layernorm/": "vision/final_norm",
        "^timesformer/embeddings/": "vision/embeddings",
        "^timesformer/encoder/": "vision/residual",
        "^classifier/": "head",
    }
    return Plan(module, lambda: {"pixel_values": torch.zeros(shape)}, names)


def _wav2vec2(spec: MultimodalSpec, sizes: dict[str, int], how: How) -> Plan:
    import transformers as hf

    assert spec.waveform
    tower = spec.waveform
    config = hf.Wav2Vec2Config(
        **_layers(tower), conv_dim=list(tower.channels), conv_kernel=list(tower.kernels), conv_stride=list(tower.strides),
        num_feat_extract_layers=len(tower.channels), num_conv_pos_embeddings=tower.position_kernel,
        num_conv_pos_embedding_groups=tower.position_groups, **_NO_SPECIAL,
    )  # fmt: skip
    config._attn_implementation = how.attention
    names = {
        "^feature_extractor/": "audio/convolutions",
        **_encoder_names("audio", "^encoder/layers/"),
        "^feature_projection/|^encoder/|^masked_spec_embed": "audio/embeddings",
    }
    return Plan(
        lambda: build(hf.Wav2Vec2Model, config, how), lambda: {"input_values": torch.zeros((sizes["batch"], sizes["samples"]))}, names
    )


_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "quick_gelu": "quick_gelu"}


def _layers(tower: Any) -> dict[str, int]:
    """The layers' dimensions as transformers names them."""
    return {
        "hidden_size": tower.d_model, "num_hidden_layers": tower.n_layers, "num_attention_heads": tower.n_heads,
        "intermediate_size": tower.d_ff,
    }  # fmt: skip


def _vision(tower: Tower) -> dict[str, Any]:
    return {
        **_layers(tower), "image_size": tower.extent[-1], "patch_size": tower.patch[-1], "num_channels": tower.channels,
        "hidden_act": _ACTIVATIONS[tower.activation],
    }  # fmt: skip


def _text(text: TransformerSpec) -> dict[str, Any]:
    return {
        **_layers(text), "vocab_size": text.vocab, "max_position_embeddings": text.max_positions,
        "hidden_act": _ACTIVATIONS[text.activation], **_NO_SPECIAL,
    }  # fmt: skip


def _llama(text: TransformerSpec) -> dict[str, Any]:
    return {
        **_layers(text), "vocab_size": text.vocab, "max_position_embeddings": text.max_positions, "num_key_value_heads": text.n_kv_heads,
        "head_dim": text.d_head, "tie_word_embeddings": text.tied_embeddings, **_NO_SPECIAL,
    }  # fmt: skip


def _pixels(spec: MultimodalSpec, sizes: dict[str, int]) -> dict[str, Any]:
    assert spec.vision
    return {"pixel_values": torch.zeros((sizes["batch"], spec.vision.channels, sizes["image"], sizes["image"]))}


def _ids(text: TransformerSpec, batch: int, seq: int, how: How) -> dict[str, Any]:
    given: dict[str, Any] = {"input_ids": torch.zeros((batch, seq), dtype=torch.long)}
    if not how.real:
        # transformers looks into a mask to see whether it can be dropped; a ready-made additive one is taken as it is.
        given["attention_mask"] = torch.zeros((batch, 1, seq, seq))
    return given


def _encoder_names(part: str, prefix: str) -> dict[str, str]:
    """Patterns of an encoder of transformers, whose classes name the same things in several ways."""
    return {
        f"{prefix}.*(self_attn|attention)/": f"{part}/attention",
        f"{prefix}.*(/mlp|feed_forward)/": f"{part}/ffn",
        f"{prefix}.*(layer_norm[12]|layernorm_before|layernorm_after|\\d/layer_norm|\\d/final_layer_norm)/": f"{part}/norm",
        f"{prefix}(post_layernorm|final_layer_norm|layernorm)/": f"{part}/final_norm",
        f"{prefix}(embeddings|pre_layrnorm)/": f"{part}/embeddings",
        f"{prefix}.*(\\d|layers)/[^/]*$": f"{part}/residual",
    }


def _decoder_names(prefix: str) -> dict[str, str]:
    return {
        f"{prefix}.*self_attn/": "text/attention",
        f"{prefix}.*mlp/": "text/ffn",
        f"{prefix}.*(input|post_attention)_layernorm/": "text/norm",
        f"{prefix}norm/": "text/final_norm",
        f"{prefix}embed_tokens/": "text/embeddings",
    }
