"""A real torch module, run once, as a ledger: every operator that PyTorch really dispatches becomes a row.

On the ``meta`` device nothing is allocated, so a model of any size counts in seconds. Under ``FakeTensorMode`` the operators are
those that the real device would dispatch, again without running them. On a real device the module runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_leaves

from .errors import InputError
from .ledger import Ledger, Origin, Phase
from .recorder import Recorder
from .training import Loss, Optimizer, TrainingStep

_BYTES_NOTE = "Bytes count every operand once per operator and ignore caches."


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
    recorder = _recorder_of(module, inputs, kwargs)
    with torch.no_grad(), fake_mode_of(inputs, kwargs), recorder.path.following(), recorder, clear_errors(module, inputs, kwargs):
        module(*inputs, **kwargs)
    return _ledger(module, recorder, inputs, kwargs, strict, name or type(module).__name__)


def trace_training(
    module: torch.nn.Module,
    *inputs: Any,
    optimizer: Optimizer = "adamw",
    loss: Loss = None,
    strict: bool = False,
    name: str | None = None,
    **kwargs: Any,
) -> Ledger:
    """Run one training step of ``module`` and record each operator with its phase: ``forward``, ``backward``, ``optimizer``.

    A backward row stands under the module whose forward pass it differentiates; the optimizer's rows under ``optimizer/``.
    ``ledger.by("phase")`` adds them up. The backward pass of a linear layer is twice its forward pass, but once where its
    input needs no gradient; fused attention computes its scores again, so its backward pass is 2.5 times its forward pass.

    Args:
        module, inputs, strict, name, kwargs: as :func:`trace` takes them. The module is in train mode meanwhile.
        optimizer: ``sgd``, ``momentum``, ``adam``, ``adamw``, ``adafactor``, a function from parameters to an optimizer, or None for no
            step. A named one has a learning rate of 0, so a real module keeps its weights; it already has its state.
        loss: a function from the module's output to a scalar; without one, the output's own ``loss``, else the sum of all outputs.

    Raises:
        InputError: as :func:`trace`, and an unknown optimizer, nothing to train, or an optimizer that reads values on ``meta``.

    Ignores: what a kernel does inside. A real module's buffers (running statistics) change as in any training step.
    """
    recorder = _recorder_of(module, inputs, kwargs)
    step = TrainingStep(module, optimizer, loss)

    def enter(phase: Phase) -> None:
        recorder.path.phase = phase

    with step.prepared(), clear_errors(module, inputs, kwargs):
        step.allocate_state()
        with recorder.path.following(), recorder:
            step.run(inputs, kwargs, enter, fake_mode_of(inputs, kwargs))
    return _ledger(module, recorder, inputs, kwargs, strict, name or f"{type(module).__name__} training step")


def _recorder_of(module: torch.nn.Module, inputs: Any, kwargs: Any) -> Recorder:
    check_module(module)
    device_type(module, inputs, kwargs)
    return Recorder(module)


def _ledger(module: torch.nn.Module, recorder: Recorder, inputs: Any, kwargs: Any, strict: bool, name: str) -> Ledger:
    uncounted = tuple(sorted(recorder.uncounted))
    if strict and uncounted:
        raise InputError(f"no formula for {', '.join(uncounted)} in {type(module).__name__}; trace with strict=False to count the rest")
    return Ledger(
        name,
        cast(Origin, f"trace:{device_type(module, inputs, kwargs)}"),
        tuple(recorder.ops) + recorder.unread_parameters(),
        uncounted,
        recorder.weight_bytes,
        (_BYTES_NOTE,),
    )


@contextlib.contextmanager
def clear_errors(module: torch.nn.Module, inputs: Any, kwargs: Any) -> Iterator[None]:
    """What the module raises, as one line that says what it was given."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        first_line = (str(error).strip() or "no message").splitlines()[0]
        what = f"{type(module).__name__} raised {type(error).__name__} while being traced"
        raise InputError(f"{what}: {first_line}; inputs were {_describe(inputs, kwargs)}") from error


def check_module(module: Any) -> None:
    """Refuse what hides its operators.

    Raises:
        InputError: no module, or a module that is scripted or compiled, itself or in a part.
    """
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"trace takes a torch.nn.Module; this is {type(module).__name__}")
    for name, child in module.named_modules():
        what = f"its part {name!r}" if name else "the module"
        if isinstance(child, torch.jit.ScriptModule):
            raise InputError(
                f"{type(module).__name__}: {what} is scripted, its operators are hidden; trace the eager module it was made from"
            )
        if hasattr(child, "_orig_mod"):
            raise InputError(f"{what} is compiled: its operators are fused away; trace the eager module (module._orig_mod)")
        if child._compiled_call_impl is not None:
            raise InputError(f"{what} is compiled in place: its operators are fused away; trace it before module.compile()")


def device_type(module: torch.nn.Module, inputs: Any, kwargs: Any) -> str:
    """The one device type of module and inputs.

    Raises:
        InputError: there are several.
    """
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
