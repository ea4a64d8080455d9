"""The published implementation of a preset: the library's own module, unmodified, from a config, with random weights.

Where transformers or diffusers has the architecture, theirs is built; where no library has it, ours from :mod:`napkinmath.zoo`.
Nothing is downloaded. On ``meta`` nothing is allocated either. ``fake=True`` builds the module under ``FakeTensorMode``, whose trace has
the operators that the real device would dispatch. One module per family has ``plan(spec, sizes, how)``.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ..environment import free_memory_bytes
from ..errors import DtypeError, InputError, did_you_mean
from ..ledger import Op
from ..specs import Spec, preset, presets
from ..units import fmt
from .plan import How

#: Dtypes that a module's weights can have.
TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "fp64": torch.float64}
_DTYPES = (*TORCH_DTYPES, "int8")


class SameCache(torch.nn.Module):
    """A model whose KV cache is as long after a call as before it."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module
        self.training = module.training

    def forward(self, **inputs: Any) -> Any:
        out = self.module(**inputs)
        if "past_key_values" in inputs:
            queries = inputs["decoder_input_ids"] if "decoder_input_ids" in inputs else inputs["input_ids"]
            inputs["past_key_values"].crop(-queries.shape[1])
        return out


@dataclass
class Reference:
    """A module, the inputs of one forward pass, and the spec both follow."""

    spec: Any
    module: torch.nn.Module
    inputs: dict[str, Any]
    module_names: dict[str, str]

    def repeatable(self) -> torch.nn.Module:
        """The module, made to forget what a call appends to the cache: every run with the same inputs is the same decode step."""
        return SameCache(self.module)

    def group(self, op: Op) -> str:
        """The whiteboard's name for the part of the model that a traced row belongs to."""
        for pattern, group in self.module_names.items():
            if re.search(pattern, op.name):
                return group
        return "rest"


def reference(
    spec: Spec | str,
    *sizes: int | None,
    device: str = "meta",
    dtype: str = "fp32",
    attention: str = "eager",
    fake: bool = False,
    **named: Any,
) -> Reference:
    """Build the published module of ``spec`` and the inputs of one forward pass.

    Args:
        spec: a preset's name, or a spec whose ``reference`` names an architecture.
        sizes, named: ``batch`` and the family's sizes, as :meth:`Spec.resolve` takes them: a transformer's ``seq`` token ids a
            sequence and ``context`` (when longer than ``seq``, the cache holds the first ``context - seq``), a CNN's ``image``...
        device: where the weights live; ``meta`` allocates nothing.
        dtype: of weights and activations; ``int8`` rounds the linear layers of an fp32 module (:mod:`.int8`), and so needs its weights.
        attention: ``eager`` (scores written out) or ``sdpa`` (PyTorch's fused attention).
        fake: build under ``FakeTensorMode``: the given device's operators, without its memory.

    Raises:
        InputError: sizes that do not fit, a spec that names no architecture, or one that the named architecture cannot express; int8
            elsewhere than on a CPU with real weights, for a model with few linear layers, or for one whose fp32 weights do not fit there.
    """
    spec = preset(spec) if isinstance(spec, str) else spec
    resolved = spec.resolve(*sizes, **named)
    if spec.REFERENCES and not spec.reference:
        raise InputError(f"{spec.name} names no architecture that can be built; give its reference: {', '.join(spec.REFERENCES)}")
    if dtype not in _DTYPES:
        raise InputError(f"dtype={dtype!r}: a module's weights can be {', '.join(_DTYPES)}.{did_you_mean(dtype, _DTYPES)}")
    if dtype == "int8" and (device != "cpu" or fake):
        raise DtypeError(f"dtype='int8': PyTorch rounds real weights, on a CPU; build it with device='cpu'{' and fake=False' * fake}")
    if attention not in ("eager", "sdpa"):
        raise InputError(f"attention={attention!r}: use 'eager' or 'sdpa'")
    how = How(dtype=TORCH_DTYPES.get(dtype, torch.float32), attention=attention, real=device != "meta" and not fake)
    family = importlib.import_module(f".{type(spec).__module__.rpartition('.')[2]}", __name__)
    try:
        plan = family.plan(spec, resolved, how)
    except InputError:
        raise
    except (
        Exception
    ) as error:  # libraries check their configs, transformers among others that heads divide d_model, with errors of their own
        reason = str(error.__cause__ or error).splitlines()[0]
        raise InputError(f"{spec.name} cannot be built as {spec.reference}: {reason}") from error
    if dtype == "int8":
        from . import int8

        with torch.device("meta"):
            int8.require_linear(spec.name, plan.module())
        require_memory(spec, "fp32")  # int8 weights are rounded from fp32
    with _fake_mode(fake), torch.device(device), _default_dtype(how.dtype):
        inputs = plan.inputs()
        if how.real:
            _fill(inputs)
        module = plan.module().eval()
    return Reference(spec, int8.quantize_linear(module) if dtype == "int8" else module, inputs, plan.names)


def require_memory(spec: Any, dtype: str) -> None:
    """Refuse to build real weights that do not fit.

    Raises:
        DtypeError: the weights take more than what is free; names the nearest preset that fits.
    """
    free = free_memory_bytes()
    if spec.weight_bytes(dtype) > free:
        fits = [s for s in presets(spec.family) if s.weight_bytes(dtype) <= free]
        nearest = max(fits, key=lambda s: s.params(), default=None)
        hint = f"; the largest {spec.family} that fits: {nearest.name}" if nearest else ""
        raise DtypeError(f"{spec.name} in {dtype} takes {fmt(spec.weight_bytes(dtype), 'B')} and {fmt(free, 'B')} can be used here{hint}")


def can_be_fake(device: str, dtype: str) -> bool:
    """Whether a module that is only traced needs no memory: on a CPU, unless its weights are rounded and packed."""
    return device == "cpu" and dtype != "int8"


def _fill(inputs: dict[str, Any]) -> None:
    """Images, sounds and features as varied as real ones, always the same: what looks for a maximum is three times as fast among zeros."""
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and "mask" not in name:
            value.normal_(generator=torch.Generator(value.device).manual_seed(0))


def _fake_mode(fake: bool) -> Any:
    if not fake:
        return contextlib.nullcontext()
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode()


@contextlib.contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
