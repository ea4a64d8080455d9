"""What a model's memory is made of, as a candidate writes it down: a table of closed forms that adds up.

What a module really keeps alive, and when, :func:`napkinmath.peak_memory` follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .dtypes import DTYPE_BYTES
from .errors import InputError, did_you_mean
from .ledger import Ledger, Op
from .whiteboard import memory as forms

if TYPE_CHECKING:
    import pandas as pd

    from .specs import Spec

Checkpoint = Literal["none", "selective", "full"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Bytes that each parameter takes in a precision recipe, and the width of activations.

    Attributes:
        weights, gradients, master: bytes per parameter; ``master`` is a second copy that the optimizer updates.
        state: bytes of one value of optimizer state.
        activations: bytes of one activation.
        source: where the recipe is described.
    """

    weights: float
    gradients: float
    master: float
    state: float
    activations: float
    source: str


#: Precision recipes by name.
RECIPES = {
    "fp32": Recipe(4, 4, 0, 4, 4, "PyTorch's default"),
    "amp": Recipe(4, 4, 0, 4, 2, "torch.autocast: weights stay fp32, which makes them the master copy; cached 16-bit weights are ignored"),
    "mixed_bf16": Recipe(2, 2, 4, 4, 2, "Rajbhandari et al. 2020, arXiv:1910.02054, section 3.1: 16 bytes per parameter with Adam"),
    "megatron": Recipe(2, 4, 4, 4, 2, "github.com/NVIDIA/Megatron-LM, theoretical_memory_usage.py: gradients in fp32, 18 bytes with Adam"),
    "bf16": Recipe(2, 2, 0, 2, 2, "everything in bf16: torch.optim makes its state in the weights' dtype"),
    "fp8": Recipe(1, 1, 2, 1.5, 2, "MS-AMP O3 (huggingface.co/docs/accelerate, low_precision_training): fp16 master, fp8 and fp16 moments"),
}


@dataclass(frozen=True, slots=True)
class OptimizerCost:
    """Values of state per parameter, and rough FLOPs per parameter of one step."""

    state_values: float
    flops: int


#: Optimizers by name. Adafactor's state depends on the weights' shapes, and 8-bit Adam's has scales: :func:`state_bytes_of`.
OPTIMIZERS = {
    "sgd": OptimizerCost(0, 2),
    "momentum": OptimizerCost(1, 4),
    "adam": OptimizerCost(2, 12),
    "adamw": OptimizerCost(2, 14),
    "adam8bit": OptimizerCost(2, 18),
    "adafactor": OptimizerCost(0, 10),
}


@dataclass(frozen=True)
class Memory:
    """Bytes by what they hold; the rows add up to :attr:`total_bytes`."""

    name: str
    rows: dict[str, float]

    @property
    def total_bytes(self) -> float:
        return sum(self.rows.values())

    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame, with each one's share."""
        import pandas as pd

        table = pd.DataFrame({"bytes": self.rows})
        table["share"] = table["bytes"] / (self.total_bytes or 1)
        return table.rename_axis("part")

    def __str__(self) -> str:
        from .units import fmt

        parts = ", ".join(f"{part} {fmt(size, 'B')}" for part, size in self.rows.items())
        return f"{self.name}: {fmt(self.total_bytes, 'B')} ({parts})"


def memory(
    what: Spec | Ledger | str,
    *sizes: int | None,
    mode: Literal["training", "inference"] = "training",
    recipe: str = "mixed_bf16",
    optimizer: str = "adamw",
    attention: Literal["fused", "eager"] = "fused",
    checkpoint: Checkpoint = "none",
    workspace_bytes: float = 0,
    **named: Any,
) -> Memory:
    """The whiteboard's memory table of one device that holds the whole model.

    Args:
        what: a preset's name, a spec or a ledger. Transformer specs keep the closed form ``layer_saved_bytes``; every other spec
            or ledger keeps each operation's result, a rough upper estimate.
        sizes, named: of a spec's forward pass, as :meth:`Spec.resolve` takes them: ``batch``, ``seq``, ``context``, ``image``...
        mode: ``training``, or ``inference``: weights, KV cache or state, and the operation with the largest operands.
        recipe: one of :data:`RECIPES`.
        optimizer: one of :data:`OPTIMIZERS`.
        attention: ``fused`` keeps no scores, ``eager`` does.
        checkpoint: ``selective`` recomputes the scores, ``full`` all but each layer's input; transformers only.
        workspace_bytes: what kernels reserve.

    Raises:
        InputError: an unknown name or choice, or a size that does not fit.
    """
    from .specs import TransformerSpec, preset

    subject: Any = preset(what) if isinstance(what, str) else what
    bytes_of = RECIPES[_one_of("recipe", recipe, RECIPES)]
    _one_of("optimizer", optimizer, OPTIMIZERS)
    _one_of("mode", mode, ("training", "inference"))
    _one_of("attention", attention, ("fused", "eager"))
    _one_of("checkpoint", checkpoint, ("none", "selective", "full"))
    passed = {} if isinstance(subject, Ledger) else subject.resolve(*sizes, **named)
    ledger = subject if isinstance(subject, Ledger) else subject.ledger(**passed)
    params = ledger.params
    rows = {"weights": params * bytes_of.weights}
    if mode == "inference":
        if passed:
            kept = subject.kept_bytes(passed, "bf16" if bytes_of.activations == 2 else "fp32")
            rows |= {name.removesuffix("_bytes"): size for name, size in kept.items()}
        rows["activations"] = largest_operation_values(ledger) * bytes_of.activations
    else:
        rows["gradients"] = params * bytes_of.gradients
        rows["master_weights"] = params * bytes_of.master
        rows["optimizer"] = state_bytes_of(ledger, optimizer, bytes_of.state)
        if isinstance(subject, TransformerSpec):
            rows["activations"] = _transformer_saved_bytes(subject, passed, bytes_of.activations, attention, checkpoint)
        elif checkpoint != "none":
            raise InputError(f"checkpoint={checkpoint!r}: the closed form knows the layers of transformer specs only; use 'none'")
        else:
            rows["activations"] = sum(op.bytes_written / _width(op) for op in ledger) * bytes_of.activations
    rows["workspace"] = workspace_bytes
    return Memory(f"{ledger.name} {mode} {recipe}", {part: float(size) for part, size in rows.items() if size})


def _transformer_saved_bytes(spec: Any, sizes: dict[str, int], width: float, attention: str, checkpoint: str) -> float:
    batch, seq = sizes["batch"], sizes["seq"]
    shape = (batch, seq, spec.d_model, spec.d_ff, spec.n_heads, spec.n_kv_heads, spec.d_head, spec.gated)
    layer = forms.layer_saved_bytes(*shape, keep_scores=attention == "eager" and checkpoint != "selective", dtype=width)
    layers = spec.n_layers * layer
    if checkpoint == "full":
        layers = forms.checkpoint_bytes(batch, seq, spec.d_model, spec.n_layers, layer, width)
    return layers + (forms.logits_saved_bytes(batch, seq, spec.d_model, spec.vocab, width) if spec.lm_head else 0)


def state_bytes_of(ledger: Ledger, optimizer: str, state: float) -> float:
    """Bytes of an optimizer's state over a ledger's parameters; ``state`` bytes a value where it is not factored or quantized."""
    if optimizer == "adam8bit":
        return forms.adam8bit_state_bytes(ledger.params)
    if optimizer == "adafactor":
        return sum(map(_adafactor_bytes, ledger))
    return forms.optimizer_state_bytes(ledger.params, OPTIMIZERS[optimizer].state_values, state)


def _adafactor_bytes(op: Op) -> float:
    """Matrices factored, the rest (biases, norms) in full; a convolution's are its last two axes, as PyTorch factors them."""
    if not op.params:
        return 0
    shape = op.shape[1][-2:] if op.kind == "matmul" and len(op.shape) == 2 else op.shape[0] if op.kind == "gather" and op.shape else ()
    if op.kind == "conv" and len(op.shape) > 1:
        shape = op.shape[1][-2:]
    if len(shape) != 2:
        return 4 * op.params
    matrices = op.params // math.prod(shape)
    return forms.adafactor_state_bytes(*shape, matrices) + 4 * (op.params - matrices * math.prod(shape))


def largest_operation_values(ledger: Ledger) -> float:
    """Values that the operation with the largest operands reads and writes beside its weights: what inference needs at once."""
    return max(((op.bytes_moved / _width(op) - op.params) / op.count for op in ledger), default=0.0)


def _width(op: Op) -> float:
    return DTYPE_BYTES.get(op.dtype, 4)


def _one_of(name: str, value: str, allowed: Any) -> str:
    if value not in allowed:
        raise InputError(f"{name}={value!r}.{did_you_mean(str(value), allowed)}")
    return value
