"""Outside witnesses: fvcore and torch's own FLOP counter, beside ours, with every known difference named.

A witness gives a raw reading in its own convention. Each :class:`Correction` takes it one step towards ours and says why.
After all of them it must agree to the digit; what remains is printed as ``unexplained`` and fails the tests.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_leaves

from .environment import free_memory_bytes
from .errors import InputError
from .ledger import Ledger
from .references import reference
from .specs import Spec, preset
from .tracing import fake_mode_of, trace
from .units import fmt

if TYPE_CHECKING:
    import pandas as pd

#: fvcore's operators that are matmuls or convolutions; it counts norms and pooling beside them.
_FVCORE_COMPUTE = frozenset({"linear", "addmm", "matmul", "bmm", "mm", "baddbmm", "einsum", "conv"})


@dataclass(frozen=True)
class Correction:
    """One known difference between a witness and our convention: FLOPs to add, and why."""

    reason: str
    flops: int


@dataclass(frozen=True)
class Reading:
    """What one counter says of one forward pass.

    Attributes:
        counter: its name.
        raw: the number that it prints.
        unit: what that number means: ``FLOP`` or ``MAC``.
        corrections: steps from the raw number (in its own unit, read as FLOPs) to ours.
        params: distinct parameters, where the counter reports them.
    """

    counter: str
    raw: int
    unit: str
    corrections: tuple[Correction, ...] = ()
    params: int | None = None

    @property
    def flops(self) -> int:
        """The raw number after all corrections, in our convention."""
        return self.raw + sum(c.flops for c in self.corrections)


def fvcore_reading(module: torch.nn.Module, *inputs: Any, **kwargs: Any) -> Reading:
    """Fvcore's count of one forward pass, corrected: it prints MACs, counts norms among them and skips fused attention."""
    ledger = trace(module, *copy.deepcopy(inputs), **copy.deepcopy(kwargs))
    return _fvcore(module, copy.deepcopy(inputs), copy.deepcopy(kwargs), ledger)


def torch_reading(module: torch.nn.Module, *inputs: Any, **kwargs: Any) -> Reading:
    """The count of ``torch.utils.flop_counter``, corrected: on CPU it skips fused attention."""
    ledger = trace(module, *copy.deepcopy(inputs), **copy.deepcopy(kwargs))
    return _torch(module, copy.deepcopy(inputs), copy.deepcopy(kwargs), ledger)


def readings(spec: Spec | str, *sizes: int | None, attention: str = "sdpa", **named: Any) -> list[Reading]:
    """Whiteboard, trace, fvcore and torch's counter on the same forward pass of a preset.

    No weights are allocated, except for a module with convolutions, which fvcore can only count while it really runs.

    Args:
        spec, sizes, named: as in :func:`napkinmath.reference`.
        attention: ``sdpa`` is what runs by default and what two counters miss; ``eager`` writes the scores out.

    Raises:
        InputError: as :func:`napkinmath.reference`, or a module with convolutions does not fit this machine's memory.
    """
    spec = preset(spec) if isinstance(spec, str) else spec

    def built(**where: Any) -> Any:  # a pass with a cache changes the cache, so each counter gets its own
        return reference(spec, *sizes, attention=attention, **where, **named)

    whiteboard, implemented = spec.ledger(*sizes, **named), spec.ledger(*sizes, **named, **spec.IMPLEMENTED)
    # PyTorch shows the CPU's own operators under fake tensors. fvcore runs torch.jit.trace, which takes meta tensors and no fake ones,
    # and in a convolution neither: there the module is real.
    on_cpu, again, traceable = built(device="cpu", fake=True), built(device="cpu", fake=True), built(device="meta")
    if any(isinstance(module, _ConvNd) for module in traceable.module.modules()):
        require_memory(spec.name, implemented)
        traceable = built(device="cpu")
    traced = trace(on_cpu.module, **on_cpu.inputs)
    # Of layers that nobody reads, fused scores are in the correction for those.
    unread = [op for op in implemented if ("unread", True) in op.layout and (attention == "eager" or op.kind != "attention")]
    found = [
        Reading("trace", traced.flops, "FLOP", params=traced.params),
        _fvcore(traceable.module, (), traceable.inputs, traced, sum(op.flops for op in unread), _fused_attention_flops(implemented)),
        _torch(again.module, (), again.inputs, traced),
    ]
    if beyond := implemented.flops - whiteboard.flops:
        rebuilt = Correction("transformers rebuilds the keys and values of all cached tokens, where a server works on the latents", -beyond)
        found = [replace(reading, corrections=(*reading.corrections, rebuilt)) for reading in found]
    return [Reading("whiteboard", whiteboard.flops, "FLOP", params=whiteboard.params), *found]


def require_memory(name: str, ledger: Ledger) -> None:
    """Refuse to build fp32 weights that do not fit here.

    Raises:
        InputError: says what it takes, what there is, and what to do.
    """
    free = free_memory_bytes()
    if 4 * ledger.params > free:
        raise InputError(
            f"{name}: fvcore counts convolutions only in a module that really runs, which takes {fmt(4 * ledger.params, 'B')} of weights, "
            f"and {fmt(free, 'B')} can be used here; napkinmath.trace counts it on meta without any"
        )


def _fvcore(
    module: torch.nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any], ledger: Ledger,
    unread_flops: int = 0, attention_flops: int = 0,
) -> Reading:  # fmt: skip
    from fvcore.nn import FlopCountAnalysis

    wrapped, tensors = positional(module, inputs, kwargs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch.jit.trace warns of everything a transformers module does in Python
        analysis = FlopCountAnalysis(wrapped, tensors).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_operator = {name: int(count) for name, count in analysis.by_operator().items()}
        skipped = analysis.unsupported_ops()
    corrections = [
        Correction(f"counts {name} as {count:,} operations; it is no matmul or convolution", -count)
        for name, count in by_operator.items()
        if name not in _FVCORE_COMPUTE
    ]
    macs = sum(count for name, count in by_operator.items() if name in _FVCORE_COMPUTE)
    corrections.append(Correction("prints multiply-accumulates and calls them flops; 1 MAC is 2 FLOPs", macs))
    # Values narrower than keys (latent attention) have no fused kernel on the CPU: its trace has two matmuls where fvcore saw one call.
    if (fused := _fused_attention_flops(ledger) or attention_flops) and "aten::scaled_dot_product_attention" in skipped:
        corrections.append(Correction("has no formula for scaled_dot_product_attention and counts it as nothing", fused))
    if "aten::_convolution_mode" in skipped:
        worded = _worded_padding_flops(module, ledger)
        corrections.append(
            Correction("has no formula for convolutions whose padding is a word ('same') and counts them as nothing", worded)
        )
    if skipped.keys() & {"aten::lstm", "aten::gru", "aten::rnn_tanh"}:
        layers = _flops_within(module, torch.nn.RNNBase, ledger)
        corrections.append(Correction("has no formula for recurrent layers and counts them as nothing", layers))
    if lost := _lost_batch_flops(module, ledger, tensors[0].shape[0]):
        corrections.append(Correction("counts a weight times a batch of matrices as one product, not one per sequence", lost))
    if unread_flops:
        corrections.append(
            Correction("follows torch.jit.trace, which drops layers whose output nobody reads; they run all the same", unread_flops)
        )
    return Reading("fvcore", sum(by_operator.values()), "MAC", tuple(corrections))


def _torch(module: torch.nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any], ledger: Ledger) -> Reading:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad(), fake_mode_of(inputs, kwargs):
        module(*inputs, **kwargs)
    corrections = []
    for operator, what in (("_scaled_dot_product_flash_attention_for_cpu", "fused attention"), ("mkldnn_rnn_layer", "LSTM layer")):
        if missing := sum(op.flops for op in ledger if op.op.startswith(f"aten.{operator}")):
            corrections.append(Correction(f"has no formula for the CPU's {what} and counts it as nothing", missing))
    return Reading("torch.utils.flop_counter", int(counter.get_total_flops()), "FLOP", tuple(corrections))


def witness_table(spec: Spec | str, *sizes: int | None, attention: str = "sdpa", **named: Any) -> pd.DataFrame:
    """:func:`readings` as a table: what each counter prints, what that is in our convention, what is left, and why."""
    import pandas as pd

    rows = readings(spec, *sizes, attention=attention, **named)
    ours = rows[0].flops
    return pd.DataFrame(
        {
            "counter": [r.counter for r in rows],
            "prints": [r.raw for r in rows],
            "unit": [r.unit for r in rows],
            "error_as_printed": [r.raw / ours - 1 for r in rows],
            "flops": [r.flops for r in rows],
            "unexplained": [r.flops - ours for r in rows],
            "why": ["; ".join(c.reason for c in r.corrections) for r in rows],
        }
    )


def _fused_attention_flops(ledger: Ledger) -> int:
    return sum(op.flops for op in ledger if op.kind == "attention")


def _flops_within(module: torch.nn.Module, kind: type[torch.nn.Module], ledger: Ledger) -> int:
    """FLOPs of the rows that stand directly under modules of one kind."""
    paths = {name.replace(".", "/") for name, m in module.named_modules() if isinstance(m, kind)}
    return sum(op.flops for op in ledger if op.name.rpartition("/")[0] in paths)


def _lost_batch_flops(module: torch.nn.Module, ledger: Ledger, batch: int) -> int:
    """FLOPs of all sequences but one of Mamba's step sizes, ``dt_proj.weight @ x``: the one product with the weight on the left."""
    weights = {name.replace(".", "/"): m.dt_proj.weight.numel() for name, m in module.named_modules() if hasattr(m, "dt_proj")}
    products = [op.flops for op in ledger if op.kind == "matmul" and op.params and op.params == weights.get(op.name.rpartition("/")[0])]
    return sum(flops - flops // batch for flops in products)


def _worded_padding_flops(module: torch.nn.Module, ledger: Ledger) -> int:
    """FLOPs of the convolutions that say ``padding="same"`` or ``"valid"``, which torch.jit.trace records as another operator."""
    worded = {name.replace(".", "/") for name, m in module.named_modules() if isinstance(m, _ConvNd) and isinstance(m.padding, str)}
    return sum(op.flops for op in ledger if op.kind == "conv" and op.name.rpartition("/")[0] in worded)


def positional(module: torch.nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.nn.Module, tuple[Any, ...]]:
    """A module that takes tensors by position and returns tensors, as torch.jit.trace wants it."""
    names = [name for name, value in kwargs.items() if isinstance(value, torch.Tensor)]
    rest = {name: value for name, value in kwargs.items() if name not in names}
    constants = {id(leaf) for leaf in tree_leaves(rest)}

    class Positional(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            count = len(tensors) - len(names)
            out = self.module(*tensors[:count], **dict(zip(names, tensors[count:], strict=True)), **rest)
            # Every output: torch.jit.trace drops what leads to none, such as BERT's pooler. What only passes through is no output.
            return tuple(t for t in tree_leaves(out) if isinstance(t, torch.Tensor) and id(t) not in constants)

    return Positional(), (*inputs, *(kwargs[name] for name in names))
