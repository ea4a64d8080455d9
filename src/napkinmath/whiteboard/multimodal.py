"""Closed forms of models that read more than text: contrastive batches, fusion, image tokens in a language model, video, audio.

Symbols: ``global_batch`` (pairs of one contrastive step over all devices), ``temperature`` (by which cosines are divided), ``devices``,
``d_embed`` (width of the shared embedding), ``image_seq`` and ``text_seq`` (tokens of each modality), ``latents`` (queries of a
resampler), ``d_vision`` (width of what it reads), ``frames``, ``samples``; the rest as in :mod:`napkinmath.whiteboard.transformer`. FLOPs
are 2 per multiply-accumulate.

Contrastive forms after Radford et al. 2021 (arXiv:2103.00020) and Zhai et al. 2023 (arXiv:2303.15343), resampler and gated
cross-attention after Alayrac et al. 2022 (arXiv:2204.14198), tubelets and factorised attention after Arnab et al. 2021 (arXiv:2103.15691)
and Bertasius et al. 2021 (arXiv:2102.05095).
"""

from __future__ import annotations

from ..dtypes import bytes_per_value
from ..scalar import exp, log
from .linear import Value, linear_flops, linear_params
from .transformer import attention_score_flops, ffn_flops, ffn_params, kv_cache_bytes, layer_flops
from .vision import patch_tokens, vit_flops

# Contrastive training -------------------------------------------------------------------------------------------------


def contrastive_logits_bytes(global_batch: Value, devices: Value = 1, dtype: Value = "fp32") -> Value:
    """Bytes of the ``[global_batch / devices, global_batch]`` similarities that one device holds; all of them where ``devices`` is 1.

    >>> contrastive_logits_bytes(32768) / 2**30, contrastive_logits_bytes(32768, devices=256) / 2**20
    (4.0, 16.0)
    """
    return global_batch**2 / devices * bytes_per_value(dtype)


def contrastive_logits_flops(global_batch: Value, d_embed: Value) -> Value:
    """FLOPs of all similarities of a batch, ``[global_batch, d_embed] @ [d_embed, global_batch]``.

    >>> contrastive_logits_flops(32768, 512)
    1099511627776
    """
    return linear_flops(global_batch, d_embed, global_batch)


def contrastive_loss(global_batch: Value, temperature: Value, margin: Value) -> Value:
    """InfoNCE, in nats, of a batch in which every pair's cosine lies ``margin`` above those of all ``global_batch - 1`` negatives.

    Without a margin it is the loss of guessing, ``log(global_batch)``; at margin 1 (negatives orthogonal) it is what a temperature leaves
    to a model that has nothing more to learn. Real negatives differ: the hardest ones set the loss at low temperatures.

    >>> round(contrastive_loss(32768, 1, 0), 2), round(contrastive_loss(32768, 1, 1), 2), round(contrastive_loss(32768, 0.07, 1), 2)
    (10.4, 9.4, 0.02)
    """
    return log(1 + (global_batch - 1) * exp(-margin / temperature))


def embedding_gather_bytes(global_batch: Value, devices: Value, d_embed: Value, dtype: Value = "bf16") -> Value:
    """Bytes that each device receives when all gather both modalities' embeddings, as a ring all-gather does.

    >>> embedding_gather_bytes(32768, 256, 512) / 2**20
    63.75
    """
    return 2 * global_batch * (devices - 1) / devices * d_embed * bytes_per_value(dtype)


def dual_encoder_search_flops(query_flops: Value, items: Value, d_embed: Value) -> Value:
    """FLOPs of one exact search: encode the query, compare it with every stored embedding."""
    return query_flops + linear_flops(1, d_embed, items)


def rerank_flops(candidates: Value, pair_flops: Value) -> Value:
    """FLOPs of scoring candidates together with the query, in a cross-encoder of both: nothing can be computed before it comes."""
    return candidates * pair_flops


# Fusion ---------------------------------------------------------------------------------------------------------------


def early_fusion_score_flops(n_layers: Value, image_seq: Value, text_seq: Value, d_model: Value) -> Value:
    """FLOPs of attention scores when one stream holds the tokens of both: the square of their sum.

    >>> sizes = (12, 196, 40, 768)
    >>> early_fusion_score_flops(*sizes) == late_fusion_score_flops(*sizes) + 2 * cross_fusion_score_flops(*sizes)
    True
    """
    return n_layers * attention_score_flops(1, 1, image_seq + text_seq, image_seq + text_seq, d_model)


def late_fusion_score_flops(n_layers: Value, image_seq: Value, text_seq: Value, d_model: Value) -> Value:
    """FLOPs of attention scores when each modality has its own encoder of that width and depth: the sum of the squares."""
    return n_layers * (
        attention_score_flops(1, 1, image_seq, image_seq, d_model) + attention_score_flops(1, 1, text_seq, text_seq, d_model)
    )


def cross_fusion_score_flops(n_layers: Value, image_seq: Value, text_seq: Value, d_model: Value) -> Value:
    """FLOPs of cross-attention scores, one modality's tokens looking at the other's, over ``n_layers`` cross-attention layers."""
    return n_layers * attention_score_flops(1, 1, text_seq, image_seq, d_model)


# Images in a language model -------------------------------------------------------------------------------------------


def tiled_image_tokens(tiles: Value, image: Value, patch: Value, thumbnail: Value = 1) -> Value:
    """Tokens of a picture that is cut into ``tiles`` of the encoder's size, with a thumbnail of the whole before them.

    >>> tiled_image_tokens(tiles=4, image=336, patch=14)
    2880
    """
    return (tiles + thumbnail) * patch_tokens(image, patch)


def projector_params(d_vision: Value, d_model: Value) -> Value:
    """Parameters of the two-layer projector that turns image features into word embeddings.

    >>> projector_params(1024, 4096)
    20979712
    """
    return linear_params(d_vision, d_model, 1) + linear_params(d_model, d_model, 1)


def image_kv_cache_bytes(n_layers: Value, n_kv_heads: Value, d_head: Value, image_seq: Value, dtype: Value = "bf16") -> Value:
    """Bytes that one image keeps in the KV cache for as long as its conversation lasts.

    >>> image_kv_cache_bytes(32, 32, 128, 576) / 2**20
    288.0
    """
    return kv_cache_bytes(n_layers, n_kv_heads, d_head, 1, image_seq, dtype)


def perceiver_layer_params(d_vision: Value, n_heads: Value, d_head: Value, d_ff: Value) -> Value:
    """Parameters of one resampler layer: query, key, value and output without biases, FFN, and its three norms.

    >>> perceiver_layer_params(1024, n_heads=8, d_head=64, d_ff=4096)
    10491904
    """
    return 4 * linear_params(d_vision, n_heads * d_head) + ffn_params(d_vision, d_ff) + 6 * d_vision


def perceiver_layer_flops(
    batch: Value, image_seq: Value, latents: Value, d_vision: Value, n_heads: Value, d_head: Value, d_ff: Value
) -> Value:
    """FLOPs of one resampler layer: ``latents`` queries over the image's tokens and themselves. Linear in ``image_seq``.

    >>> perceiver_layer_flops(1, 256, 64, 1024, 8, 64, 4096)
    1920991232
    """
    width, keys = n_heads * d_head, image_seq + latents
    projections = 2 * linear_flops(latents, d_vision, width) + 2 * linear_flops(keys, d_vision, width)
    return batch * (projections + attention_score_flops(1, n_heads, latents, keys, d_head) + ffn_flops(latents, d_vision, d_ff))


def gated_cross_attention_params(d_model: Value, d_vision: Value, n_heads: Value, d_head: Value, d_ff: Value) -> Value:
    """Parameters of one tanh-gated cross-attention block: projections and FFN without biases, two norms, two gates.

    >>> gated_cross_attention_params(4096, 1024, n_heads=8, d_head=64, d_ff=16384)
    139476994
    """
    width = n_heads * d_head
    return 2 * linear_params(d_model, width) + 2 * linear_params(d_vision, width) + ffn_params(d_model, d_ff) + 4 * d_model + 2


def gated_cross_attention_flops(
    batch: Value, text_seq: Value, image_seq: Value, d_model: Value, d_vision: Value, n_heads: Value, d_head: Value, d_ff: Value
) -> Value:
    """FLOPs of one gated cross-attention block over ``text_seq`` tokens that look at ``image_seq`` visual ones.

    >>> gated_cross_attention_flops(1, 64, 64, 4096, 1024, 8, 64, 16384)
    17859346432
    """
    width = n_heads * d_head
    projections = 2 * linear_flops(text_seq, d_model, width) + 2 * linear_flops(image_seq, d_vision, width)
    return batch * (projections + attention_score_flops(1, n_heads, text_seq, image_seq, d_head) + ffn_flops(text_seq, d_model, d_ff))


# Video and audio ------------------------------------------------------------------------------------------------------


def video_tokens(frames: Value, image: Value, patch: Value, tubelet: Value = 1) -> Value:
    """Tokens of a clip cut into tubelets of ``tubelet`` frames; 1: every frame is cut for itself.

    >>> video_tokens(32, 224, 16, tubelet=2)
    3136
    """
    return frames // tubelet * patch_tokens(image, patch)


def video_tokens_per_s(frames_per_s: Value, image: Value, patch: Value, tubelet: Value = 1) -> Value:
    """Tokens that a second of video brings.

    >>> video_tokens_per_s(1, 336, 14), video_tokens_per_s(25, 224, 16, tubelet=2)
    (576.0, 2450.0)
    """
    return frames_per_s / tubelet * patch_tokens(image, patch)


def joint_space_time_score_flops(n_layers: Value, frames: Value, frame_seq: Value, d_model: Value) -> Value:
    """FLOPs of attention scores when every token of a clip sees every other; ``frame_seq`` tokens a frame."""
    return n_layers * attention_score_flops(1, 1, frames * frame_seq, frames * frame_seq, d_model)


def divided_space_time_score_flops(n_layers: Value, frames: Value, frame_seq: Value, d_model: Value) -> Value:
    """FLOPs of attention scores within each frame, then along time at each place.

    >>> joint_space_time_score_flops(1, 16, 196, 768) / divided_space_time_score_flops(1, 16, 196, 768)
    14.79245283018868
    """
    space = attention_score_flops(frames, 1, frame_seq, frame_seq, d_model)
    return n_layers * (space + attention_score_flops(frame_seq, 1, frames, frames, d_model))


def tubelet_clip_flops(
    frames: Value, image: Value, patch: Value, tubelet: Value, n_layers: Value, d_model: Value, d_ff: Value, channels: Value = 3
) -> Value:
    """FLOPs of encoding a clip whose tubelets all see each other (ViViT, model 1), with a class token and without a head.

    >>> round(tubelet_clip_flops(32, 224, 16, 2, 12, 768, 3072) / 2e9)  # GMACs
    452
    """
    tokens = video_tokens(frames, image, patch, tubelet)
    embedding = linear_flops(tokens, channels * patch**2 * tubelet, d_model)
    return embedding + n_layers * layer_flops(1, tokens + 1, tokens + 1, d_model, d_ff, 1, 1, d_model)


def divided_clip_flops(
    frames: Value, image: Value, patch: Value, n_layers: Value, d_model: Value, d_ff: Value, channels: Value = 3
) -> Value:
    """FLOPs of encoding a clip with attention along time, then within frames, in each layer (TimeSformer), without a head.

    Time has projections of its own and one more linear map; each frame attends with a copy of the class token.

    >>> round(3 * divided_clip_flops(8, 224, 16, 12, 768, 3072) / 2e12, 2)  # TMACs of three crops
    0.59
    """
    places = patch_tokens(image, patch)
    time = 5 * linear_flops(frames * places, d_model, d_model) + attention_score_flops(places, 1, frames, frames, d_model)
    space = 4 * linear_flops(frames * (places + 1), d_model, d_model) + attention_score_flops(frames, 1, places + 1, places + 1, d_model)
    embedding = linear_flops(frames * places, channels * patch**2, d_model)
    return embedding + n_layers * (time + space + ffn_flops(frames * places + 1, d_model, d_ff))


def per_frame_clip_flops(
    frames: Value, image: Value, patch: Value, n_layers: Value, d_model: Value, d_ff: Value, temporal_layers: Value = 0, channels: Value = 3
) -> Value:
    """FLOPs of a ViT on every frame for itself, then ``temporal_layers`` of the same width over one token a frame, without a head.

    >>> round(per_frame_clip_flops(8, 224, 16, 12, 768, 3072) / 2e9)  # GMACs: eight ViT-B/16
    141
    """
    frame = vit_flops(1, image, n_layers, d_model, d_ff, patch, channels, 0)
    return frames * frame + temporal_layers * layer_flops(1, frames, frames, d_model, d_ff, 1, 1, d_model)


def spectrogram_frames(samples: Value, window: Value = 400, hop: Value = 160) -> Value:
    """Columns of a spectrogram whose windows lie wholly inside the signal; 25 ms every 10 ms at 16 kHz unless said.

    >>> spectrogram_frames(16000)
    98
    """
    return (samples - window) // hop + 1


def spectrogram_tokens(frames: Value, mels: Value = 128, patch: Value = 16, stride: Value = 10) -> Value:
    """Tokens of a spectrogram that overlapping square patches are cut from.

    >>> spectrogram_tokens(1024)
    1212
    """
    return ((mels - patch) // stride + 1) * ((frames - patch) // stride + 1)
