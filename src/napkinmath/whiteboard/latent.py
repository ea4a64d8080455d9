"""Closed forms of multi-head latent attention (MLA): keys and values are kept as one short vector per token.

After DeepSeek-V2 (arXiv:2405.04434, section 2.1) and DeepSeek-V3 (arXiv:2412.19437, section 2.1.1). ``kv_rank`` is the width of that
vector, ``query_rank`` the same for queries (which are not cached), ``d_rope`` the part of a head that carries rotary positions (its key
is shared by all heads), ``d_nope`` the part that carries none, ``d_value`` the width of a value. Other symbols as in :mod:`.transformer`.
"""

from __future__ import annotations

from ..dtypes import bytes_per_value
from .linear import Value, linear_flops, linear_params


def latent_cache_bytes(n_layers: Value, kv_rank: Value, d_rope: Value, batch: Value, context: Value, dtype: Value = "bf16") -> Value:
    """Bytes of MLA's cache: per layer and token one latent of ``kv_rank`` and one rotary key of ``d_rope``, whatever the heads.

    >>> latent_cache_bytes(n_layers=61, kv_rank=512, d_rope=64, batch=1, context=1)
    70272
    """
    return n_layers * batch * context * (kv_rank + d_rope) * bytes_per_value(dtype)


def latent_projection_params(
    d_model: Value, n_heads: Value, query_rank: Value, kv_rank: Value, d_nope: Value, d_rope: Value, d_value: Value
) -> Value:
    """Parameters of MLA's projections: queries down and up, keys and values down and up, output. Norms are left out.

    >>> latent_projection_params(7168, 128, 1536, 512, 128, 64, 128)
    187105280
    """
    query = linear_params(d_model, query_rank) + linear_params(query_rank, n_heads * (d_nope + d_rope))
    key_value = linear_params(d_model, kv_rank + d_rope) + linear_params(kv_rank, n_heads * (d_nope + d_value))
    return query + key_value + linear_params(n_heads * d_value, d_model)


def latent_expanded_flops(
    batch: Value, n_heads: Value, seq: Value, context: Value, kv_rank: Value, d_nope: Value, d_rope: Value, d_value: Value
) -> Value:
    """FLOPs of keys and values expanded from all ``context`` latents, and of the attention over them: what suits a prefill.

    Shapes ``[batch * context, kv_rank] @ [kv_rank, n_heads * (d_nope + d_value)]``, then attention with heads of ``d_nope + d_rope``.
    """
    expand = linear_flops(batch * context, kv_rank, n_heads * (d_nope + d_value))
    return expand + 2 * batch * n_heads * seq * context * (d_nope + d_rope + d_value)


def latent_absorbed_flops(
    batch: Value, n_heads: Value, seq: Value, context: Value, kv_rank: Value, d_nope: Value, d_rope: Value, d_value: Value
) -> Value:
    """FLOPs of the same attention on the latents themselves: what suits a decode step, which then reads only the cache.

    The up-projection of the keys moves into the query (``[d_nope, kv_rank]`` a head) and that of the values behind the attention
    (``[kv_rank, d_value]`` a head); between them all heads share one key of ``kv_rank + d_rope`` and one value of ``kv_rank``.

    >>> one_step = dict(batch=1, n_heads=128, seq=1, context=4096, kv_rank=512, d_nope=128, d_rope=64, d_value=128)
    >>> round(latent_expanded_flops(**one_step) / latent_absorbed_flops(**one_step))
    117
    """
    absorb = 2 * batch * n_heads * seq * kv_rank * (d_nope + d_value)
    return absorb + 2 * batch * n_heads * seq * context * (2 * kv_rank + d_rope)
