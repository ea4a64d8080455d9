"""The dispatch mode behind :func:`napkinmath.trace`: each operator that PyTorch dispatches becomes a row of a ledger."""

from __future__ import annotations

import bisect
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from .formulas import Call, Work
from .ledger import COMPUTE_KINDS, Op, Phase
from .operators import classify
from .packed import Weights, int8_codes, packed_ids, packed_weights
from .shapes import Shapes

_DTYPES = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.int8: "int8",
    torch.uint8: "int8",
    torch.qint8: "int8",
    torch.quint8: "int8",
    torch.int32: "int32",
    torch.int64: "int64",
    torch.bool: "bool",
    torch.float8_e4m3fn: "fp8",
    torch.float8_e5m2: "fp8",
}

#: Kinds whose work is the larger of what goes in and what comes out: a pool shrinks, an upsampling grows, a sum collapses.
_BY_LARGER_SIDE = ("pool", "reduce")

#: Modules whose frames lie between whoever called into PyTorch and a dispatch mode.
_WRAPPERS = ("torch._dynamo", "torch._compile")


class ModulePath:
    """Which module is running: in a forward pass by hooks, in a backward pass by where autograd's node was made."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.phase: Phase = "forward"
        self.names = {child: name.replace(".", "/") + "/" if name else "" for name, child in module.named_modules()}
        self._stack = [""]
        self._of_parameter = {id(p): name.rpartition(".")[0].replace(".", "/") + "/" for name, p in module.named_parameters()}
        # Autograd numbers its nodes as the forward pass makes them: those below _upto[i] and not below _upto[i - 1] are _made_by[i]'s.
        self._upto: list[int] = []
        self._made_by: list[str] = []

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Keep the path at the module that is running, also when it raises."""

        def enter(module: torch.nn.Module, _args: Any) -> None:
            self._stack.append(self.names.get(module, self._stack[-1]))

        def leave(_module: torch.nn.Module, _args: Any, _out: Any) -> None:
            self._stack.pop()

        # Hooks on all modules, not on each: nn.TransformerEncoderLayer leaves its fast path when it sees hooks of its own.
        handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def here(self) -> str:
        """Path of the running module with a slash at its end; empty at the root."""
        if self.phase == "forward":
            if torch.is_grad_enabled():
                self._note_nodes()
            return self._stack[-1]
        if self.phase == "optimizer":
            return "optimizer/"
        if len(self._stack) > 1:  # a checkpoint runs the forward pass again
            self._note_nodes()
            return self._stack[-1]
        node = torch._C._current_autograd_node()
        if node is None:
            return ""
        if hasattr(node, "variable"):  # a parameter's gradient is being added up
            return self._of_parameter.get(id(node.variable), "")
        found = bisect.bisect_right(self._upto, node._sequence_nr())
        return self._made_by[found] if found < len(self._upto) else ""

    def _note_nodes(self) -> None:
        following = torch._C._autograd._get_sequence_nr()
        if self._upto and self._upto[-1] == following:
            return
        if self._made_by and self._made_by[-1] == self._stack[-1]:
            self._upto[-1] = following
        else:
            self._upto.append(following)
            self._made_by.append(self._stack[-1])


class Recorder(TorchDispatchMode):
    """Turns dispatched operators into rows."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.uncounted: set[str] = set()
        self.path = ModulePath(module)
        self.parameters = list(module.parameters())  # tied parameters come once
        self._parameter_names = {id(p): name for name, p in module.named_parameters()}
        self._unclaimed: dict[int, list[torch.nn.Parameter]] = {}
        for parameter in self.parameters:
            self._unclaimed.setdefault(storage_id(parameter), []).append(parameter)
        self._weights = set(self._unclaimed)
        self._codes = {storage_id(buffer): buffer for buffer in int8_codes(module)}
        self._packed = packed_weights(module)
        self._unclaimed_packed = dict(self._packed)
        self.weight_bytes = sum(p.numel() * p.element_size() for p in self.parameters) + sum(w.bytes for w in self._packed.values())
        self._kinds: dict[Any, tuple[str, Any]] = {}
        self._shapes = Shapes()
        self._views = 0  # since the last row: what takes time and moves nothing
        self._moved = 0  # bytes, by all rows so far
        self._caller: tuple[int, int] | None = None  # of the last row: the frame, and the instruction in it, that called into PyTorch
        self._written: dict[int, int] = {}  # of each memory: what had been moved when the operation began that wrote it last

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        how = self._kinds.get(func)
        if how is None:
            how = self._kinds[func] = classify(func)
        if how[0] == "uncounted" and func._can_decompose():  # under inference mode PyTorch leaves that to us
            with self:
                return func.decompose(*args, **kwargs)
        if how[0] != "skip":
            before, self._caller = self._caller, _caller()
            out = self._shapes.call(func, args, kwargs)
            self._record(func, how, args, kwargs, out, inner=self._caller == before)
            return out
        out = func(*args, **kwargs)
        self._views += len(out) if isinstance(out, list | tuple) else 1
        if torch.is_grad_enabled():
            self.path.here()  # a view has a node of autograd as well
        return out

    def _record(self, func: Any, how: tuple[str, Any], args: Any, kwargs: Any, out: Any, inner: bool) -> None:
        """Add the row of one call; ``inner`` where the row before came from the same call into PyTorch, with no Python between."""
        operands = tensors_in((args, kwargs.values()) if kwargs else args)
        in_place = func._schema.is_mutable
        results = tensors_in((out,)) or (tensors_in(args[:1]) if in_place else [])
        packet = func.overloadpacket.__name__
        if how[0] == "compute" and not any(map(_is_sparse, operands)):
            work = how[1](Call(func, args, kwargs, out))
        elif how[0] == "other":
            kind, flops_per_element = how[1]
            work = Work(kind, 0, tuple(map(_shape, operands)), other_flops=flops_per_element * _elements(kind, out, operands, results))
        else:
            if not results:
                return  # answers a question in Python
            self.uncounted.add(f"{func.namespace}.{packet}")
            work = Work("uncounted", 0, tuple(map(_shape, operands)))
        packed = {key: self._packed[key] for key in packed_ids(args) if key in self._packed} if self._packed else {}
        params, weight_bytes = self._claim(operands, packed, work.kind)
        read, written = _traffic(work.kind, packet, in_place, operands, results)
        read += sum(weights.bytes for weights in packed.values())
        layout = work.layout
        if weight_bytes:
            layout = (*layout, ("weight_bytes", weight_bytes))
        if work.kind not in ("matmul", "attention") and not all(t.is_nested or _is_sparse(t) or t.is_contiguous() for t in operands):
            layout = (*layout, ("contiguous", False))
        age = self._age(operands)
        if age is not None:
            layout = (*layout, ("age", age))
        if inner:
            layout = (*layout, ("inner", True))
        if self._views:
            layout, self._views = (*layout, ("views", self._views)), 0
        self._written.update((storage, self._moved) for result in results if (storage := storage_id(result)))
        self._moved += read + written
        self.ops.append(
            Op(
                f"{self.path.here()}{packet}",
                work.kind,
                work.flops,
                work.useful,
                work.other_flops,
                read,
                written,
                params,
                dtype=_dtype(operands, results, packed),
                shape=work.shape,
                op=f"{func.namespace}.{packet}.{func._overloadname}",
                layout=layout,
                phase=self.path.phase,
            )
        )

    def _claim(self, operands: list[torch.Tensor], packed: dict[int, Weights], kind: str) -> tuple[int, int]:
        """Parameters that these operands are the first to read, and the bytes of all weights among them."""
        params = sum(self._unclaimed_packed.pop(key).params for key in packed if key in self._unclaimed_packed)
        weight_bytes = sum(weights.bytes for weights in packed.values())
        for operand in operands:
            storage = storage_id(operand)
            if kind in COMPUTE_KINDS and storage in self._codes:  # a product reads them: they are weights
                codes = self._codes.pop(storage)
                params, self.weight_bytes = params + codes.numel(), self.weight_bytes + codes.numel()
                self._weights.add(storage)
            if storage in self._weights:
                weight_bytes += operand.numel() * operand.element_size()
                if storage in self._unclaimed:
                    params += sum(p.numel() for p in self._unclaimed.pop(storage))
        return params, weight_bytes

    def _age(self, operands: list[torch.Tensor]) -> int | None:
        """Bytes moved since the operations began that wrote the operands, the mean over their elements.

        None where the largest is a weight, or what no operation here wrote, and on ``meta``, where there is no memory to be in. What
        reads nothing waits for nothing.
        """
        if not operands:
            return 0
        largest = max(operands, key=torch.Tensor.numel)
        if largest.device.type == "meta" or storage_id(largest) not in self._written:  # 0, of what has no memory, is never there
            return None
        written = [(t.numel(), self._written[storage]) for t in operands if (storage := storage_id(t)) in self._written]
        elements = sum(numel for numel, _ in written)
        return self._moved - sum(numel * began for numel, began in written) // elements if elements else 0

    def unread_parameters(self) -> tuple[Op, ...]:
        """A row for each parameter that no operator read."""
        left = [p for group in self._unclaimed.values() for p in group]
        rows = [
            Op(
                self._parameter_names[id(p)].replace(".", "/"),
                "parameters",
                params=p.numel(),
                dtype=_dtype([p], []),
                shape=(tuple(p.shape),),
            )
            for p in left
        ]
        return (*rows, *(Op(w.name, "parameters", params=w.params, dtype=_DTYPES[w.dtype]) for w in self._unclaimed_packed.values()))


def _caller() -> tuple[int, int]:
    """The Python frame that called into PyTorch, and the instruction in it; PyTorch puts its own between that and a dispatch mode."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_WRAPPERS):
        frame = frame.f_back
    return id(frame), frame.f_lasti


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """Tensors among an operator's arguments or results, which nest no deeper than lists. Far quicker than a general tree walk."""
    found: list[torch.Tensor] = []
    for item in tree:
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif isinstance(item, list | tuple | type({}.values())):
            found += tensors_in(item)
    return found


def storage_id(tensor: torch.Tensor) -> int:
    """What two views of one memory share; 0 for tensors that have no single memory (nested, sparse, oneDNN's own)."""
    if tensor.layout is not torch.strided or tensor.is_nested:
        return 0
    return tensor.untyped_storage()._cdata


def _is_sparse(tensor: torch.Tensor) -> bool:
    """Whether only some elements are stored: the work depends on how many, so no formula holds."""
    return tensor.layout is not torch.strided and tensor.layout is not torch._mkldnn  # type: ignore[attr-defined]


def _shape(tensor: torch.Tensor) -> tuple[int, ...]:
    return (tensor.numel(),) if tensor.is_nested else tuple(tensor.shape)


def _elements(kind: str, out: Any, operands: list[torch.Tensor], results: list[torch.Tensor]) -> int:
    """Elements that the work is proportional to: the first result's, or all of them where a list is worked on at once."""
    if kind in _BY_LARGER_SIDE and operands:
        return max(operands[0].numel(), results[0].numel() if results else 0)
    if out is None or isinstance(out, list):
        return sum(t.numel() for t in results)
    return results[0].numel() if results else 0


def _traffic(kind: str, packet: str, in_place: bool, operands: list[torch.Tensor], results: list[torch.Tensor]) -> tuple[int, int]:
    """Bytes read and written: every operand once, of a table the rows that are looked up, of a target the places that are written."""
    written = sum(t.numel() * t.element_size() for t in results)
    if kind == "gather" and len(operands) > 1:
        if packet.startswith("_embedding_bag"):
            table, indices = operands[:2]
            rows = indices.numel() * table.shape[-1] * table.element_size()
            return rows + sum(map(_bytes, operands[1:])), written
        return results[0].numel() * results[0].element_size() + sum(map(_bytes, operands[1:])), written
    if kind == "scatter" and in_place and len(operands) > 1:
        target, *others = operands
        places = max(t.numel() for t in others)
        return sum(map(_bytes, others)), min(places, target.numel()) * target.element_size()
    if kind == "copy" and in_place:
        return sum(map(_bytes, operands[1:])), written  # what was there is not read
    return sum(map(_bytes, operands)), written


def _bytes(tensor: torch.Tensor) -> int:
    """Bytes of the distinct elements: a broadcast dimension (stride 0) is read once."""
    if tensor.layout is not torch.strided or tensor.is_nested:
        return tensor.numel() * tensor.element_size()
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= size if stride else 1
    return elements * tensor.element_size()


def _dtype(operands: list[torch.Tensor], results: list[torch.Tensor], packed: dict[int, Weights] | None = None) -> str:
    """What is computed in: of packed int8 weights theirs, because inputs are rounded to it; else of the first floating operand."""
    if packed and (dtype := _DTYPES[next(iter(packed.values())).dtype]) == "int8":
        return dtype
    for tensor in (*operands, *results):
        if tensor.is_floating_point():
            return _DTYPES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))
    first = next(iter((*operands, *results)), None)
    return "fp32" if first is None else _DTYPES.get(first.dtype, str(first.dtype).removeprefix("torch."))
