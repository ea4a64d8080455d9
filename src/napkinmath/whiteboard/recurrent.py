"""Closed forms of recurrent layers: gates, sequential steps, state, and what backpropagation through time keeps.

``gates`` is 1 for a plain RNN (Elman 1990), 3 for a GRU (Cho et al. 2014, arXiv:1406.1078) and 4 for an LSTM (Hochreiter and Schmidhuber
1997, with forget gates). ``states`` is 1, and 2 for an LSTM, which carries a cell beside its hidden state. ``d_in`` is the width of a
layer's input, ``d_hidden`` that of its state. Layers are PyTorch's, with two bias vectors per gate where the papers have one.
"""

from __future__ import annotations

from ..dtypes import bytes_per_value
from ..scalar import floor, log, log2, maximum, minimum
from .linear import Value, linear_flops

#: Matrices of a step of each cell, and vectors that it carries to the next.
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
STATES = {"rnn": 1, "gru": 1, "lstm": 2}

# One layer --------------------------------------------------------------------------------------------------------------


def recurrent_params(d_in: Value, d_hidden: Value, gates: Value = 4) -> Value:
    """Parameters of one layer and direction: weights ``[gates * d_hidden, d_in]`` and ``[gates * d_hidden, d_hidden]``, two biases.

    >>> recurrent_params(512, 512, gates=4), recurrent_params(512, 512, gates=3), recurrent_params(512, 512, gates=1)
    (2101248, 1575936, 525312)
    """
    return gates * d_hidden * (d_in + d_hidden + 2)


def recurrent_flops(batch: Value, seq: Value, d_in: Value, d_hidden: Value, gates: Value = 4) -> Value:
    """FLOPs of one layer and direction over ``[batch, seq, d_in]``: each weight once per token, so linear in ``seq``.

    >>> recurrent_flops(batch=1, seq=1, d_in=512, d_hidden=512, gates=4) == 2 * 4 * 512 * (512 + 512)
    True
    """
    return linear_flops(batch * seq, d_in + d_hidden, gates * d_hidden)


def projected_lstm_params(d_in: Value, d_hidden: Value, d_out: Value) -> Value:
    """Parameters of an LSTM whose hidden state is projected to ``d_out`` before it goes anywhere: Sak et al. 2014 (arXiv:1402.1128).

    >>> projected_lstm_params(1024, 8192, 1024) / recurrent_params(1024, 8192) < 0.26
    True
    """
    return 4 * d_hidden * (d_in + d_out + 2) + d_hidden * d_out


def projected_lstm_flops(batch: Value, seq: Value, d_in: Value, d_hidden: Value, d_out: Value) -> Value:
    """FLOPs of a projected LSTM layer: the gates, and the projection behind each step."""
    return linear_flops(batch * seq, d_in + d_out, 4 * d_hidden) + linear_flops(batch * seq, d_hidden, d_out)


# The critical path ------------------------------------------------------------------------------------------------------


def sequential_steps(seq: Value, n_layers: Value = 1) -> Value:
    """Steps that must follow each other when layers run one behind the other like a wave: ``seq + n_layers - 1``.

    Layer by layer, as PyTorch's CPU kernels go, it is ``seq * n_layers``. Attention has ``n_layers``, whatever the length.

    >>> sequential_steps(seq=512, n_layers=2)
    513
    """
    return seq + n_layers - 1


def recurrent_step_intensity(batch: Value, dtype: Value = "fp32") -> Value:
    """FLOPs per byte of hidden-to-hidden weights in one step: two FLOPs per weight and sequence, whatever the width.

    >>> recurrent_step_intensity(batch=1, dtype="fp32"), recurrent_step_intensity(batch=64, dtype="fp32")
    (0.5, 32.0)
    """
    return 2 * batch / bytes_per_value(dtype)


def recurrent_floor_s(
    steps: Value, d_hidden: Value, weight_bandwidth_bytes_per_s: Value, step_overhead_s: Value, gates: Value = 4, dtype: Value = "fp32"
) -> Value:
    """Seconds below which ``steps`` cannot come: each reads ``[gates * d_hidden, d_hidden]`` weights again, or waits for its dispatch.

    ``weight_bandwidth_bytes_per_s`` is that of the cache that holds the weights, or of memory where none does. More compute does not help.

    >>> round(recurrent_floor_s(512, 1024, 20e9, 5e-6), 3)
    0.429
    """
    return steps * maximum(gates * d_hidden**2 * bytes_per_value(dtype) / weight_bandwidth_bytes_per_s, step_overhead_s)


# State --------------------------------------------------------------------------------------------------------------------


def recurrent_state_bytes(n_layers: Value, d_hidden: Value, batch: Value, states: Value = 2, dtype: Value = "bf16") -> Value:
    """Bytes that a stack carries from token to token, however many there were.

    >>> recurrent_state_bytes(n_layers=2, d_hidden=1500, batch=1, states=2, dtype="fp32")
    24000
    """
    return states * n_layers * batch * d_hidden * bytes_per_value(dtype)


def state_cache_crossover_context(state_values: Value, n_layers: Value, n_kv_heads: Value, d_head: Value) -> Value:
    """Context at which a transformer's KV cache takes as many values as a recurrent state of ``state_values``; beyond it, more.

    >>> state_cache_crossover_context(24 * 1536 * (16 + 4), n_layers=12, n_kv_heads=12, d_head=64)
    40.0
    """
    return state_values / (2 * n_layers * n_kv_heads * d_head)


def recurrent_step_bytes(batch: Value, d_in: Value, d_hidden: Value, gates: Value = 4, states: Value = 2, dtype: Value = "fp32") -> Value:
    """Bytes that one step of one layer moves beside its weights: the input read, gates written and read, states read and written.

    A kernel that keeps the gates on chip, between matrix product and nonlinearity, saves ``2 * gates`` of the terms.

    >>> recurrent_step_bytes(batch=1, d_in=80, d_hidden=512, dtype="bf16")
    12448
    """
    return batch * (d_in + 2 * (gates + states) * d_hidden) * bytes_per_value(dtype)


def live_streams(
    interval_s: Value,
    flops: Value,
    moved_bytes: Value,
    kept_bytes: Value,
    weight_bytes: Value,
    peak_flops: Value,
    bandwidth_bytes_per_s: Value,
    memory_bytes: Value,
) -> Value:
    """Streams that a device keeps up with when all of them pass in one batch every ``interval_s``; 0 where not even the weights fit.

    ``flops`` and ``moved_bytes`` are those of one stream and pass, ``kept_bytes`` is what it leaves behind for the next. The least of what
    arithmetic, bandwidth (which also reads the weights once a pass) and memory allow. Ignores launches, transfers and jitter.

    >>> live_streams(0.01, 7e6, 25e3, 4e3, weight_bytes=7e6, peak_flops=7e13, bandwidth_bytes_per_s=2e11, memory_bytes=2e10)
    79720
    """
    by_compute = interval_s * peak_flops / flops
    by_bandwidth = (interval_s * bandwidth_bytes_per_s - weight_bytes) / moved_bytes
    by_memory = (memory_bytes - weight_bytes) / kept_bytes
    return floor(maximum(0, minimum(by_compute, by_bandwidth, by_memory)))


# Training -----------------------------------------------------------------------------------------------------------------


def bptt_activation_bytes(
    batch: Value, steps: Value, d_in: Value, d_hidden: Value, gates: Value = 4, states: Value = 2, dtype: Value = "fp32"
) -> Value:
    """Bytes that one layer keeps for backpropagation through ``steps``: of each token its input, its gates and its states.

    Truncated backpropagation through time (Williams and Peng 1990) keeps ``steps`` at the truncation, not at the sequence's length: 35 in
    the Penn Treebank models. Of a plain RNN the one gate is the state: ``gates=0``. The tanh of an LSTM's cell is computed again.

    >>> bptt_activation_bytes(batch=20, steps=35, d_in=1500, d_hidden=1500) / bptt_activation_bytes(20, 3500, 1500, 1500)
    0.01
    """
    return batch * steps * (d_in + (gates + states) * d_hidden) * bytes_per_value(dtype)


def gradient_decay(rate: Value, distance: Value) -> Value:
    """Bound on the factor by which a gradient shrinks or grows over ``distance`` steps, each of which scales it by at most ``rate``.

    ``rate`` is the largest singular value of the recurrent weights times the largest slope of the nonlinearity (1 for tanh): Pascanu,
    Mikolov and Bengio 2012 (arXiv:1211.5063). Of an LSTM's cell it is the forget gate.

    >>> round(gradient_decay(0.9, 100), 7)
    2.66e-05
    """
    return rate**distance


def gradient_half_distance(rate: Value) -> Value:
    """Steps over which a gradient halves, where each scales it by ``rate`` (less than 1).

    >>> round(gradient_half_distance(0.99))
    69
    """
    return log(0.5) / log(rate)


# Convolutions along time --------------------------------------------------------------------------------------------------


def conv1d_params(d_in: Value, d_out: Value, kernel: Value, bias: Value = 1) -> Value:
    """Parameters of a ``[d_out, d_in, kernel]`` convolution; dilation adds none.

    >>> conv1d_params(80, 384, kernel=3)
    92544
    """
    return d_out * (d_in * kernel + bias)


def conv1d_flops(batch: Value, seq: Value, d_in: Value, d_out: Value, kernel: Value) -> Value:
    """FLOPs of a convolution with an output of ``[batch, d_out, seq]``; all positions at once, none waits for another."""
    return linear_flops(batch * seq, d_in * kernel, d_out)


def dilated_receptive_field(n_layers: Value, kernel: Value = 2, stacks: Value = 1) -> Value:
    """Time steps that a causal convolution sees when dilations double from layer to layer, ``1, 2, 4, ...``, in each of ``stacks``.

    WaveNet (van den Oord et al. 2016, arXiv:1609.03499) has ten such layers a stack. A TCN (Bai et al. 2018, arXiv:1803.01271) with
    two convolutions per dilation counts as two stacks.

    >>> dilated_receptive_field(n_layers=10, kernel=2)
    1024
    """
    return 1 + stacks * (kernel - 1) * (2**n_layers - 1)


def dilated_layers(receptive_field: Value, kernel: Value = 2, stacks: Value = 1) -> Value:
    """Layers a stack needs to see ``receptive_field`` steps: logarithmic, where attention needs one and recurrence as many steps.

    >>> dilated_layers(1024, kernel=2)
    10.0
    """
    return log2((receptive_field - 1) / (stacks * (kernel - 1)) + 1)
