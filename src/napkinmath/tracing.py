"""A real torch module, run once, as a ledger: every operator that PyTorch dispatches becomes a row.

On the ``meta`` device nothing is allocated, so a model of any size counts in seconds. Under ``FakeTensorMode`` the operators are
those that the real device would dispatch, again without running them. On a real device the module runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .errors import InputError
from .formulas import Work, classify
from .ledger import Ledger, Op, Origin

_DTYPES = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.int8: "int8",
    torch.uint8: "int8",
    torch.int32: "int32",
    torch.int64: "int64",
    torch.bool: "bool",
    torch.float8_e4m3fn: "fp8",
    torch.float8_e5m2: "fp8",
}


def trace(module: torch.nn.Module, *inputs: Any, strict: bool = False, name: str | None = None, **kwargs: Any) -> Ledger:
    """Run ``module(*inputs, **kwargs)`` once, forward, without gradients, and record each operator.

    Args:
        module: any eager ``nn.Module``, on any device. Its train/eval mode is left as it is.
        inputs, kwargs: what ``forward`` takes, on the module's device.
        strict: raise when an operator that looks like computation has no formula.
        name: the ledger's name; the class name when not given.

    Returns:
        A ledger with origin ``trace:<device type>``. A row's name is the module's path and the operator
        (``encoder/layer/0/attention/self/query/addmm``). Parameters stand on the row that first reads them, tied
        ones once; unread ones stand in rows of kind ``parameters``, so the rows always add up to the module.

    Raises:
        InputError: not a module, compiled or scripted, inputs on another device, ``forward`` raised, or ``strict`` and
            something is uncounted.

    Ignores: what a kernel does inside (a fused kernel's internal traffic, skipped blocks of a causal mask), autograd, and
    masks that arrive as tensors: ``useful_causal_flops`` differs from ``flops`` only where the operator is told it is causal.
    """
    _check_module(module)
    device = _device_type(module, inputs, kwargs)
    recorder = _Recorder(module)
    with torch.no_grad(), fake_mode_of(inputs, kwargs), recorder.following_modules(), recorder:
        try:
            module(*inputs, **kwargs)
        except Exception as error:
            first_line = (str(error).strip() or "no message").splitlines()[0]
            what = f"{type(module).__name__} raised {type(error).__name__} while being traced"
            raise InputError(f"{what}: {first_line}; inputs were {_describe(inputs, kwargs)}") from error
    uncounted = tuple(sorted(recorder.uncounted))
    if strict and uncounted:
        raise InputError(f"no formula for {', '.join(uncounted)} in {type(module).__name__}; trace with strict=False to count the rest")
    return Ledger(
        name or type(module).__name__,
        cast(Origin, f"trace:{device}"),
        tuple(recorder.ops) + recorder.unread_parameters(),
        uncounted,
        sum(p.numel() * p.element_size() for p in recorder.parameters),
        ("Bytes count every operand once per operator and ignore caches.",),
    )


class _Recorder(TorchDispatchMode):
    """Turns dispatched operators into rows, and knows which module is running."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.uncounted: set[str] = set()
        self.path: list[str] = [""]
        self.paths = {child: name.replace(".", "/") + "/" if name else "" for name, child in module.named_modules()}
        self.parameters = list(module.parameters())  # tied parameters come once
        self.parameter_names = {id(p): name for name, p in module.named_parameters()}
        self.unclaimed: dict[int, list[torch.nn.Parameter]] = {}
        for parameter in self.parameters:
            self.unclaimed.setdefault(_storage(parameter), []).append(parameter)
        self.weights = frozenset(self.unclaimed)
        self.kinds: dict[Any, tuple[str, Any]] = {}

    @contextlib.contextmanager
    def following_modules(self) -> Iterator[None]:
        """Keep ``path`` at the module that is running, also when it raises."""

        def enter(module: torch.nn.Module, _args: Any) -> None:
            self.path.append(self.paths[module])

        def leave(_module: torch.nn.Module, _args: Any, _out: Any) -> None:
            self.path.pop()

        handles: list[Any] = []
        for module in self.paths:
            handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave, always_call=True)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        how = self.kinds.get(func)
        if how is None:
            how = self.kinds[func] = classify(func)
        if how[0] != "skip":
            self.record(func, how, args, kwargs or {}, out)
        return out

    def record(self, func: Any, how: tuple[str, Any], args: Any, kwargs: Any, out: Any) -> None:
        operands = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        results = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
        packet = func.overloadpacket.__name__
        if how[0] == "compute":
            work = how[1](args, kwargs, out)
        elif how[0] == "other":
            kind, flops_per_element = how[1]
            # A reduction's work is its input, everything else's its first output.
            elements = operands[0].numel() if kind == "reduce" and operands else results[0].numel() if results else 0
            work = Work(kind, 0, tuple(tuple(t.shape) for t in operands), other_flops=flops_per_element * elements)
        else:
            if not any(t.is_floating_point() or t.is_complex() for t in results):
                return  # shapes, indices, device queries
            self.uncounted.add(f"{func.namespace}.{packet}")
            work = Work("uncounted", 0, tuple(tuple(t.shape) for t in operands))
        params, weight_bytes = self.claim(operands)
        written = sum(t.numel() * t.element_size() for t in results)
        read = written + operands[-1].numel() * operands[-1].element_size() if work.kind == "gather" else sum(map(_bytes, operands))
        layout = work.layout
        if weight_bytes:
            layout = (*layout, ("weight_bytes", weight_bytes))
        if work.kind not in ("matmul", "attention") and not all(t.is_contiguous() for t in operands):
            layout = (*layout, ("contiguous", False))
        self.ops.append(
            Op(
                f"{self.path[-1]}{packet}",
                work.kind,
                work.flops,
                work.useful,
                work.other_flops,
                read,
                written,
                params,
                dtype=_dtype(operands, results),
                shape=work.shape,
                op=f"{func.namespace}.{packet}.{func._overloadname}",
                layout=layout,
            )
        )

    def claim(self, operands: list[torch.Tensor]) -> tuple[int, int]:
        """Parameters that these operands are the first to read, and the bytes of all weights among them."""
        params = weight_bytes = 0
        for operand in operands:
            storage = _storage(operand)
            if storage in self.weights:
                weight_bytes += operand.numel() * operand.element_size()
                params += sum(p.numel() for p in self.unclaimed.pop(storage, ()))
        return params, weight_bytes

    def unread_parameters(self) -> tuple[Op, ...]:
        left = [p for group in self.unclaimed.values() for p in group]
        return tuple(
            Op(
                self.parameter_names[id(p)].replace(".", "/"),
                "parameters",
                params=p.numel(),
                dtype=_dtype([p], []),
                shape=(tuple(p.shape),),
            )
            for p in left
        )


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _bytes(tensor: torch.Tensor) -> int:
    """Bytes of the distinct elements: a broadcast dimension (stride 0) is read once."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= size if stride else 1
    return elements * tensor.element_size()


def _dtype(operands: list[torch.Tensor], results: list[torch.Tensor]) -> str:
    for tensor in (*operands, *results):
        if tensor.is_floating_point():
            return _DTYPES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))
    first = next(iter((*operands, *results)), None)
    return "fp32" if first is None else _DTYPES.get(first.dtype, str(first.dtype).removeprefix("torch."))


def _check_module(module: Any) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise InputError(f"{type(module).__name__} is scripted: its operators are hidden; trace the eager module it was made from")
    if hasattr(module, "_orig_mod"):
        raise InputError("the module is compiled: its operators are fused away; trace the eager module (module._orig_mod)")
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"trace takes a torch.nn.Module; this is {type(module).__name__}")


def _device_type(module: torch.nn.Module, inputs: Any, kwargs: Any) -> str:
    """The one device type of module and inputs."""
    tensors = [*module.parameters(), *_tensors(inputs, kwargs)]
    devices = {t.device.type for t in tensors} or {"cpu"}
    if len(devices) > 1:
        raise InputError(
            f"module and inputs are on different devices ({', '.join(sorted(devices))}); move the inputs to the module's device"
        )
    return devices.pop()


def fake_mode_of(inputs: Any, kwargs: Any) -> Any:
    """The ``FakeTensorMode`` that the inputs were made under, to run the module in; a null context for real tensors."""
    return next((t.fake_mode for t in _tensors(inputs, kwargs) if isinstance(t, FakeTensor)), contextlib.nullcontext())


def _tensors(inputs: Any, kwargs: Any) -> list[torch.Tensor]:
    return [t for t in tree_leaves((inputs, kwargs)) if isinstance(t, torch.Tensor)]


def _describe(inputs: Any, kwargs: Any) -> str:
    parts = [f"{list(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in _tensors(inputs, kwargs)]
    return ", ".join(parts) or "no tensors"
