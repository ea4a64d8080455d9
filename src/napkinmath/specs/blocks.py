"""What may stand in a transformer layer's place of dense feed-forward network and of full keys and values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import InputError
from .checks import check_fields

if TYPE_CHECKING:
    from .transformer import TransformerSpec


@dataclass(frozen=True, kw_only=True)
class Experts:
    """A mixture of experts in place of the feed-forward network.

    Attributes:
        n_experts: routed experts of a layer.
        top_k: experts that each token goes to.
        d_ff: width of an expert; the spec's ``d_ff`` when 0.
        shared: experts of the same width that every token goes to, beside the routed ones.
        dense_layers: first layers that keep a feed-forward network of the spec's ``d_ff``.

    Raises:
        InputError: a count that is no positive integer, or more experts per token than there are.
    """

    n_experts: int
    top_k: int
    d_ff: int = 0
    shared: int = 0
    dense_layers: int = 0

    def __post_init__(self) -> None:
        check_fields(self, prefix="moe.")
        if self.top_k > self.n_experts:
            raise InputError(f"moe.top_k={self.top_k} is more than moe.n_experts={self.n_experts}; nearest: {self.n_experts}")

    def within(self, spec: TransformerSpec) -> Experts:
        """Itself, with the width of its experts filled in.

        Raises:
            InputError: the spec is an encoder, has biases, or no layer left for experts.
        """
        if spec.bias or not spec.causal or self.dense_layers >= spec.n_layers:
            raise InputError(
                f"moe: experts are counted in decoders without biases, with moe.dense_layers below n_layers={spec.n_layers}; "
                f"got causal={spec.causal}, bias={spec.bias}, moe.dense_layers={self.dense_layers}"
            )
        return replace(self, d_ff=self.d_ff or spec.d_ff)


@dataclass(frozen=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention (MLA): keys and values are rebuilt from one cached vector per token.

    Attributes:
        kv_rank: width of the cached latent.
        query_rank: width of the queries' latent, which is not cached; 0 for one projection instead of two.
        d_nope, d_rope: parts of a head without and with rotary positions; the rotary key is shared by all heads.
        d_value: width of a head's value.

    Raises:
        InputError: a width that is no positive integer, or an odd ``d_rope``.
    """

    kv_rank: int
    d_nope: int
    d_rope: int
    d_value: int
    query_rank: int = 0

    def __post_init__(self) -> None:
        check_fields(self, prefix="mla.")
        if self.d_rope % 2:
            raise InputError(f"mla.d_rope={self.d_rope}: rotary positions turn pairs, so it must be even; nearest: {self.d_rope + 1}")

    def within(self, spec: TransformerSpec) -> int:
        """The width of a head.

        Raises:
            InputError: the spec has grouped heads, heads of another width, biases or a window.
        """
        width = self.d_nope + self.d_rope
        if spec.bias or spec.qkv_bias or spec.window or spec.n_kv_heads != spec.n_heads or spec.d_head not in (0, width):
            raise InputError(
                f"mla: latent attention has heads of d_nope + d_rope = {width}, none grouped, no biases and no window; got "
                f"d_head={spec.d_head}, n_kv_heads={spec.n_kv_heads}, bias={spec.bias}, qkv_bias={spec.qkv_bias}, window={spec.window}"
            )
        return width
