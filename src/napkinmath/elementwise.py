"""FLOPs per element of everything that is not a matmul: one table for closed forms and traces.

The rule: each arithmetic step an element goes through is one FLOP, and a transcendental (exp, tanh, erf, rsqrt) is one as well.
fvcore and DeepSpeed use other small integers; no two tools agree, which is why these never enter ``flops``.
"""

FLOPS_PER_ELEMENT: dict[str, int] = {
    "add": 1,
    "mul": 1,
    "softmax": 5,  # running max, subtract, exp, sum, divide
    "layernorm": 7,  # sum, subtract, square, sum, scale by 1/std, weight, bias
    "batchnorm": 4,  # at inference: subtract the running mean, scale by 1/std, weight, bias
    "rmsnorm": 4,  # square, sum, scale by 1/rms, weight
    "gelu": 5,  # x/sqrt(2), erf, add, x/2, multiply
    "gelu_tanh": 9,  # cube (2), scale, add, scale, tanh, add, x/2, multiply
    "quick_gelu": 5,  # scale, negate, exp, add, divide
    "silu": 4,  # negate, exp, add, divide
    "relu": 1,
    "sigmoid": 4,  # negate, exp, add, divide
    "relu6": 2,  # maximum with 0, minimum with 6
    "tanh": 1,
    "softplus": 3,  # exp, add, log
    "skip": 2,  # scale, add
    "rnn_cell": 2,  # add, tanh
    "gru_cell": 17,  # 2 adds and sigmoids; gate, add and tanh of the candidate; 1 - z, two products, add
    "lstm_cell": 22,  # 4 adds, 3 sigmoids, 2 tanh; three products and an add
    "rotary": 3,  # two products and a sum per value
    "bicubic": 31,  # 16 products and 15 sums per resampled value
}
