"""Closed forms of Mamba's selective state space, after Gu and Dao 2023 (arXiv:2312.00752).

A block widens ``d_model`` to ``d_inner``, convolves over the last ``conv_kernel`` tokens, and carries ``d_state`` values for each of the
``d_inner`` channels; ``dt_rank`` is the width of the step size's low-rank projection. Its big matrix products are linear in ``seq``.
"""

from __future__ import annotations

from ..dtypes import bytes_per_value
from .linear import Value, linear_flops


def mamba_block_params(d_model: Value, d_inner: Value, d_state: Value, dt_rank: Value, conv_kernel: Value = 4) -> Value:
    """Parameters of one block without its norm: projections in and out, convolution, selection, decay rates and skip.

    >>> mamba_block_params(768, 1536, d_state=16, dt_rank=48)
    3770880
    """
    projections = d_model * 2 * d_inner + d_inner * d_model
    selection = d_inner * (dt_rank + 2 * d_state) + (dt_rank + 1) * d_inner
    return projections + d_inner * (conv_kernel + 1) + selection + d_inner * (d_state + 1)


def mamba_block_flops(
    batch: Value, seq: Value, d_model: Value, d_inner: Value, d_state: Value, dt_rank: Value, conv_kernel: Value = 4
) -> Value:
    """FLOPs of one block: three quarters of them and more are the projections in and out. The scan's own are :func:`scan_flops`.

    Of the scan only the product that reads the state out is a matrix product and counted here.

    >>> mamba_block_flops(1, 1, 768, 1536, d_state=16, dt_rank=48) // 2 - 3 * 768 * 1536
    227328
    """
    tokens = batch * seq
    projections = linear_flops(tokens, d_model, 2 * d_inner) + linear_flops(tokens, d_inner, d_model)
    selection = linear_flops(tokens, d_inner, dt_rank + 2 * d_state) + linear_flops(tokens, dt_rank, d_inner)
    return projections + 2 * tokens * d_inner * conv_kernel + selection + 2 * tokens * d_inner * d_state


def scan_flops(batch: Value, seq: Value, d_inner: Value, d_state: Value) -> Value:
    """Arithmetic of the scan that is no matrix product: of each state value and token two to decay it, two to write, two to update.

    The decay ``exp(dt * A)``, the input ``dt * B * x``, then ``state = decay * state + input``.
    """
    return 6 * batch * seq * d_inner * d_state


def scan_state_bytes(batch: Value, seq: Value, d_inner: Value, d_state: Value, dtype: Value = "fp32") -> Value:
    """Bytes of the decays, or of the inputs, of all tokens when they are written out: what the fused scan kernel avoids.

    >>> scan_state_bytes(batch=1, seq=2048, d_inner=1536, d_state=16) / 2**20
    192.0
    """
    return batch * seq * d_inner * d_state * bytes_per_value(dtype)


def mamba_state_bytes(n_layers: Value, d_inner: Value, d_state: Value, conv_kernel: Value, batch: Value, dtype: Value = "bf16") -> Value:
    """Bytes that a sequence leaves behind: the scan's state and the convolution's last inputs, whatever the context.

    >>> mamba_state_bytes(24, 1536, 16, 4, batch=1, dtype="fp32")
    2949120
    """
    return n_layers * batch * d_inner * (d_state + conv_kernel) * bytes_per_value(dtype)
