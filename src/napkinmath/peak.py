"""Peak memory of a module: what is alive when, followed through a run on ``meta``, on fake tensors or on the real device.

Every storage is followed from the operator that makes it to the moment when nothing refers to it. On ``meta`` and under
``FakeTensorMode`` nothing is allocated, and yet tensors live and die as they would, because PyTorch's autograd and Python hold and release
them all the same. :func:`measured_peak` asks the real device's allocator the same question.
"""

from __future__ import annotations

import contextlib
import copy
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .errors import InputError, did_you_mean
from .ledger import Phase
from .packed import packed_weights
from .recorder import ModulePath, tensors_in
from .tracing import check_module, clear_errors, device_type, fake_mode_of
from .training import Loss, Optimizer, TrainingStep
from .workspace import hidden_result_bytes, workspace_bytes

if TYPE_CHECKING:
    import pandas as pd

Mode = Literal["inference", "training"]

#: What a byte at the peak can be.
PARTS = ("weights", "buffers", "inputs", "optimizer", "gradients", "activations", "temporary", "workspace")

#: CUDA's caching allocator hands out multiples of this many bytes; the CPU's takes what is asked for.
_CUDA_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Block:
    """One storage: how large, what made it where, and which of :data:`PARTS` it is."""

    bytes: int
    made_by: str
    phase: Phase
    part: str


@dataclass(frozen=True)
class Peak:
    """Live bytes through a run.

    Attributes:
        name: what ran.
        origin: ``trace:`` or ``measured:``, and the device type.
        peak_bytes: the most that was alive at once.
        at: the operator that ran then; empty when measured.
        phase: the part of the step that it belongs to.
        live: storages alive at the peak; empty when measured.
        events: phase and live bytes after every allocation and release, in order.
    """

    name: str
    origin: str
    peak_bytes: int
    at: str = ""
    phase: Phase = "forward"
    live: tuple[Block, ...] = ()
    events: tuple[tuple[Phase, int], ...] = ()

    def parts(self) -> dict[str, int]:
        """Bytes at the peak by :data:`PARTS`; they add up to ``peak_bytes``."""
        sums = dict.fromkeys(PARTS, 0)
        for block in self.live:
            sums[block.part] += block.bytes
        return {part: total for part, total in sums.items() if total}

    def largest(self, top: int = 10) -> pd.DataFrame:
        """The ``top`` largest storages at the peak, each with what made it."""
        import pandas as pd

        rows = sorted(self.live, key=lambda block: -block.bytes)[:top]
        return pd.DataFrame({"made_by": [b.made_by for b in rows], "part": [b.part for b in rows], "bytes": [b.bytes for b in rows]})

    def __str__(self) -> str:
        from .units import fmt

        parts = ", ".join(f"{part} {fmt(size, 'B')}" for part, size in self.parts().items())
        return f"{self.name} [{self.origin}]: {fmt(self.peak_bytes, 'B')} at {self.at or 'its peak'}" + (f" ({parts})" if parts else "")


def peak_memory(
    module: torch.nn.Module,
    *inputs: Any,
    mode: Mode = "inference",
    optimizer: Optimizer = "adamw",
    loss: Loss = None,
    **kwargs: Any,
) -> Peak:
    """Follow every storage through one forward pass, or one training step, of ``module``.

    Args:
        module, inputs, kwargs: as :func:`napkinmath.trace` takes them, on ``meta``, fake or real.
        mode: ``inference`` (forward without gradients) or ``training`` (the step of :func:`napkinmath.trace_training`).
        optimizer, loss: of the training step.

    Returns:
        The peak, what it is made of, and every change. Fake tensors of a device tell most: ``meta`` writes attention scores out.

    Raises:
        InputError: an unknown mode, and as :func:`napkinmath.trace_training`.

    Ignores: fragmentation, the framework's own memory (a CUDA context takes hundreds of MB), and what kernels allocate inside, but for
    the cases in :mod:`napkinmath.workspace`.
    """
    check_module(module)
    device = device_type(module, inputs, kwargs)
    watch = _Storages(module, rounding=_CUDA_BLOCK if device == "cuda" else 1)
    with _prepared(module, mode, optimizer, loss, inputs, kwargs) as step:
        watch.hold(module.parameters(), "weights")
        watch.hold_packed(module)
        watch.hold(module.buffers(), "buffers")
        watch.hold(_held_by((inputs, kwargs)), "inputs")
        fake = fake_mode_of(inputs, kwargs)
        with watch.path.following(), watch:
            if step is None:
                with torch.no_grad(), fake:
                    module(*inputs, **kwargs)
            else:
                watch.hold(_held_by(list(step.optimizer.state.values()) if step.optimizer else []), "optimizer")
                step.run(inputs, kwargs, lambda phase: watch.enter(phase, step), fake)
    return watch.peak(f"{type(module).__name__} {mode}", f"trace:{device}")


def measured_peak(
    module: torch.nn.Module,
    *inputs: Any,
    mode: Mode = "inference",
    optimizer: Optimizer = "adamw",
    loss: Loss = None,
    **kwargs: Any,
) -> Peak:
    """What the allocator says of the same run: allocation events of ``torch.profiler`` on CPU, ``max_memory_allocated`` on CUDA.

    Weights, inputs and optimizer state lie there before it begins and count; on CUDA, so does whatever else the process holds.

    Raises:
        InputError: as :func:`peak_memory`, and a device without memory (``meta``, fake tensors).
    """
    check_module(module)
    device = device_type(module, inputs, kwargs)
    if device not in ("cpu", "cuda") or not isinstance(fake_mode_of(inputs, kwargs), contextlib.nullcontext):
        raise InputError(f"nothing is allocated on {device} here: measured_peak takes a module and inputs that really lie on cpu or cuda")
    with _prepared(module, mode, optimizer, loss, inputs, kwargs) as step:

        def run() -> None:
            if step is None:
                with torch.no_grad():
                    module(*inputs, **kwargs)
            else:
                step.run(inputs, kwargs, lambda phase: None, contextlib.nullcontext())

        name = f"{type(module).__name__} {mode}"
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            run()
            torch.cuda.synchronize()
            return Peak(name, "measured:cuda", torch.cuda.max_memory_allocated())
        before = _Storages(module, rounding=1)
        state = list(step.optimizer.state.values()) if step and step.optimizer else []
        before.hold(_held_by([list(module.parameters()), list(module.buffers()), inputs, kwargs, state]), "weights")
        before.hold_packed(module)
        events: list[tuple[Phase, int]] = [("forward", before.total)]
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler writes to stderr when it starts and when it stops
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
            run()
        for event in profiler.profiler.kineto_results.events():
            if event.name() == "[memory]" and event.device_type() == torch.profiler.DeviceType.CPU:
                events.append(("forward", events[-1][1] + event.nbytes()))
        return Peak(name, "measured:cpu", max(total for _, total in events), events=tuple(events))


@contextlib.contextmanager
def _prepared(
    module: torch.nn.Module, mode: str, optimizer: Optimizer, loss: Loss, inputs: Any, kwargs: Any
) -> Iterator[TrainingStep | None]:
    """The training step, ready to run, or None for inference."""
    if mode not in ("inference", "training"):
        raise InputError(f"mode={mode!r}.{did_you_mean(mode, ('inference', 'training'))}")
    with clear_errors(module, inputs, kwargs):
        if mode == "inference":
            yield None
            return
        step = TrainingStep(module, optimizer, loss)
        with step.prepared():
            step.allocate_state()
            yield step


def fake_copy(module: torch.nn.Module, *inputs: Any, **kwargs: Any) -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
    """The module and its inputs as fake tensors of the same device: a trace of them runs nothing and allocates nothing.

    For modules whose construction reads values, which fails under ``FakeTensorMode``; others are better built under it.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode = FakeTensorMode()
    memo: dict[int, Any] = {id(b): mode.from_tensor(b) for b in module.buffers()}
    memo |= {id(p): torch.nn.Parameter(mode.from_tensor(p.detach()), p.requires_grad) for p in module.parameters()}
    memo |= {id(t): mode.from_tensor(t) for t in _held_by((inputs, kwargs))}
    return copy.deepcopy(module, memo), copy.deepcopy(inputs, memo), copy.deepcopy(kwargs, memo)


class _Storages(TorchDispatchMode):
    """Notes every storage when it is made and when it is gone."""

    def __init__(self, module: torch.nn.Module, rounding: int) -> None:
        super().__init__()
        self.path = ModulePath(module)
        self.total = 0
        self._rounding = rounding
        self._blocks: list[Block] = []
        self._changes: list[tuple[int, int, Phase]] = []  # a block's index, the bytes that it adds or gives back, and when
        self._alive: dict[int, tuple[int, weakref.ref[Any]]] = {}  # a storage's address: its block, and what tells of its end
        self._marked: dict[int, str] = {}  # blocks whose part shows only later

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        made_by = f"{self.path.here()}{func.overloadpacket.__name__}"
        for position, tensor in enumerate(tensors_in((out,))):
            part = "activations" if self.path.phase == "forward" else "temporary"
            self._follow(tensor, made_by, part, hidden_result_bytes(func, args, position))
        inside = workspace_bytes(func, args, out)
        if inside:
            self._blocks.append(Block(inside, made_by, self.path.phase, "workspace"))
            self._changes += [(len(self._blocks) - 1, change, self.path.phase) for change in (inside, -inside)]
        return out

    def hold(self, tensors: Any, part: str) -> None:
        """Count what lies there before the run."""
        for tensor in tensors:
            self._follow(tensor, part, part)

    def hold_packed(self, module: torch.nn.Module) -> None:
        """Count the weights that a library keeps for itself."""
        for weights in packed_weights(module).values():
            self._add(weights.bytes, weights.name, "weights")

    def enter(self, phase: Phase, step: TrainingStep) -> None:
        """Begin a phase; when the optimizer's turn comes, what the parameters' gradients are is known."""
        self.path.phase = phase
        if phase == "optimizer":
            for parameter in step.parameters:
                if parameter.grad is not None:
                    self._marked[self._alive[parameter.grad.untyped_storage()._cdata][0]] = "gradients"

    def _follow(self, tensor: torch.Tensor, made_by: str, part: str, hidden: int = 0) -> None:
        if tensor.layout is not torch.strided or tensor.is_nested:
            return
        storage = tensor.untyped_storage()
        address = storage._cdata
        size = -(-(storage.nbytes() or hidden) // self._rounding) * self._rounding
        known = self._alive.get(address)
        if known is not None and self._blocks[known[0]].bytes == size:
            return
        if known is not None:  # resized
            self._gone(address)
        if not size:
            return
        self._alive[address] = self._add(size, made_by, part), weakref.ref(storage, lambda _: self._gone(address))

    def _add(self, size: int, made_by: str, part: str) -> int:
        """Note a block from now on; its index."""
        self._blocks.append(Block(size, made_by, self.path.phase, part))
        self._changes.append((len(self._blocks) - 1, size, self.path.phase))
        self.total += size
        return len(self._blocks) - 1

    def _gone(self, address: int) -> None:
        index = self._alive.pop(address)[0]
        self._changes.append((index, -self._blocks[index].bytes, self.path.phase))
        self.total -= self._blocks[index].bytes

    def peak(self, name: str, origin: str) -> Peak:
        """The highest point of what was noted."""
        total, highest, until, events = 0, 0, 0, []
        for position, (_, change, phase) in enumerate(self._changes):
            total += change
            events.append((phase, total))
            if total > highest:
                highest, until = total, position
        alive: dict[int, Block] = {}
        for index, change, _ in self._changes[: until + 1]:
            if change > 0:
                block = self._blocks[index]
                alive[index] = Block(block.bytes, block.made_by, block.phase, self._marked.get(index, block.part))
            else:
                del alive[index]
        last = self._blocks[self._changes[until][0]] if self._changes else None
        return Peak(
            name, origin, highest, last.made_by if last else "", last.phase if last else "forward", tuple(alive.values()), tuple(events)
        )


def _held_by(tree: Any, depth: int = 6) -> list[torch.Tensor]:
    """Tensors in containers and in objects' attributes (a KV cache is an object)."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    elif hasattr(tree, "__dict__") and not isinstance(tree, torch.nn.Module | type):
        tree = list(vars(tree).values())
    if not depth or not isinstance(tree, list | tuple):
        return []
    return [tensor for item in tree for tensor in _held_by(item, depth - 1)]
