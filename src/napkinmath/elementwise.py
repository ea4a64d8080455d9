"""FLOPs per element of everything that is not a matmul: one table for closed forms and traces.

The rule: each arithmetic step an element goes through is one FLOP, and a transcendental (exp, tanh, erf, rsqrt) is one as well.
fvcore and DeepSpeed use other small integers; no two tools agree, which is why these never enter ``flops``.
"""

FLOPS_PER_ELEMENT: dict[str, int] = {
    "add": 1,
    "mul": 1,
    "softmax": 5,  # running max, subtract, exp, sum, divide
    "layernorm": 7,  # sum, subtract, square, sum, scale by 1/std, weight, bias
    "rmsnorm": 4,  # square, sum, scale by 1/rms, weight
    "gelu": 5,  # x/sqrt(2), erf, add, x/2, multiply
    "gelu_tanh": 9,  # cube (2), scale, add, scale, tanh, add, x/2, multiply
    "silu": 4,  # negate, exp, add, divide
    "relu": 1,
    "tanh": 1,
    "rotary": 3,  # two products and a sum per value
}
