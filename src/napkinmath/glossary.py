"""Every dimension and quantity of the book, once: its name in prose, formulas and code, what it means, and its unit.

The glossary page is made from this table, and so are the names that closed forms take.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dimension:
    """One entry.

    Attributes:
        name: as in code: ``n_kv_heads``.
        symbol: as in formulas, in LaTeX without the dollar signs.
        meaning: in a sentence.
        unit: what it counts or measures; empty for a plain size.
    """

    name: str
    symbol: str
    meaning: str
    unit: str = ""


DIMENSIONS = (
    Dimension("batch", r"batch", "Sequences (or images, or users) that go through the model together.", "sequences"),
    Dimension("seq", r"seq", "Query tokens per sequence in this pass. 1 in a decode step.", "tokens"),
    Dimension(
        "context",
        r"context",
        "Key and value tokens that a query may look at, cached ones included. Equals seq in an encoder and in a prefill.",
        "tokens",
    ),
    Dimension("d_model", r"d_{model}", "Width of the residual stream: values per token between layers."),
    Dimension("d_ff", r"d_{ff}", "Width of the feed-forward network's hidden layer."),
    Dimension("n_heads", r"n_{heads}", "Query heads of an attention layer."),
    Dimension(
        "n_kv_heads",
        r"n_{kv}",
        "Key and value heads. Equals n_heads without grouping; of the two head counts, only this one enters the KV cache.",
    ),
    Dimension("d_head", r"d_{head}", "Width of a head. The model's config decides it; often, not always, d_model / n_heads."),
    Dimension("n_layers", r"n_{layers}", "Transformer layers."),
    Dimension("vocab", r"vocab", "Distinct tokens, which are rows of the embedding table.", "tokens"),
    Dimension("height", r"height", "Height of an image or feature map.", "pixels"),
    Dimension("width", r"width", "Width of an image or feature map.", "pixels"),
    Dimension("channels", r"channels", "Values per position of a feature map."),
    Dimension("patch", r"patch", "Side of the square patch that becomes a token.", "pixels"),
)

QUANTITIES = (
    Dimension("params", r"params", "Distinct parameters. Tied weights count once.", "parameters"),
    Dimension("macs", r"\text{MACs}", "Multiply-accumulates of matrix products, convolutions and attention.", "MAC"),
    Dimension(
        "flops",
        r"\text{FLOPs}",
        "Two per MAC, as executed: scores that a kernel computes and then masks are counted. Forward pass unless said.",
        "FLOP",
    ),
    Dimension("useful_causal_flops", "", "The part of flops that a causal mask does not throw away.", "FLOP"),
    Dimension("other_flops", "", "Arithmetic of everything else (softmax, norms, activations), never part of flops.", "FLOP"),
    Dimension("bytes_moved", "", "Bytes that operations read and write, each operand once; caches are ignored.", "B"),
    Dimension("intensity", "I", "FLOPs per byte moved. Below a machine's ridge, memory binds; above it, compute can.", "FLOP/B"),
    Dimension("peak_flops", r"\pi", "The most FLOPs a device does in a second, dense, for one dtype.", "FLOP/s"),
    Dimension("bandwidth_bytes_per_s", r"\beta", "The most bytes that a device's memory delivers in a second.", "B/s"),
    Dimension("ridge_intensity", r"\pi/\beta", "The intensity at which compute and memory take equally long.", "FLOP/B"),
    Dimension("kv_cache_bytes", "", "Keys and values kept so that a decode step computes only its own token.", "B"),
    Dimension("p50, p90, p99", "", "Latency that half, nine in ten and ninety-nine in a hundred runs stay below.", "s"),
)


def meaning(name: str) -> str:
    """What a dimension means, as the glossary says it.

    >>> meaning("patch")
    'Side of the square patch that becomes a token.'
    """
    return next(entry.meaning for entry in DIMENSIONS if entry.name == name)
