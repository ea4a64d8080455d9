"""What a family's ``plan(spec, sizes, how)`` takes and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import InputError
from ..specs import Spec


@dataclass(frozen=True)
class How:
    """How a module is to run.

    Attributes:
        dtype: of weights and activations.
        attention: ``eager`` or ``sdpa``, as transformers names them.
        real: tensors have values: the device is neither ``meta`` nor faked.
    """

    dtype: torch.dtype
    attention: str
    real: bool


@dataclass(frozen=True)
class Plan:
    """How to build a module and the inputs of one forward pass; both are called where the device and dtype are set.

    Attributes:
        module: makes the module.
        inputs: makes the arguments of ``forward``, by name.
        names: patterns of traced rows' names, in order, and the whiteboard's name for the part they belong to.
    """

    module: Callable[[], torch.nn.Module]
    inputs: Callable[[], dict[str, Any]]
    names: dict[str, str]


def require(spec: Spec, **expected: Any) -> None:
    """Refuse a spec that the reference architecture cannot express.

    Raises:
        InputError: names the field, and what the architecture has.
    """
    for field, value in expected.items():
        if getattr(spec, field) != value:
            raise InputError(f"{field}={getattr(spec, field)!r}: the {spec.reference} architecture has {field}={value!r}")
