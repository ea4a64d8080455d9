"""Element types by their short names, and the bytes that one value takes."""

from __future__ import annotations

from typing import Any

from .errors import InputError, did_you_mean, shown

#: Bytes per value. ``tf32`` is how a matmul reads fp32 operands, so it takes fp32's space; int4 packs two values in a byte.
DTYPE_BYTES: dict[str, float] = {
    "fp64": 8, "fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "fp8": 1, "int8": 1, "int4": 0.5,
}  # fmt: skip

_ALIASES = {"float32": "fp32", "float": "fp32", "float16": "fp16", "half": "fp16", "bfloat16": "bf16", "float64": "fp64", "double": "fp64"}


def dtype_name(dtype: str) -> str:
    """The short name of a dtype: ``dtype_name("torch.bfloat16") == "bf16"``.

    Raises:
        InputError: no such dtype.
    """
    given = dtype if isinstance(dtype, str) else shown(dtype)
    name = given.removeprefix("torch.").lower()
    name = _ALIASES.get(name, name)
    if name not in DTYPE_BYTES:
        raise InputError(f"dtype={shown(given)} is not known.{did_you_mean(name, DTYPE_BYTES)}")
    return name


def bytes_per_value(dtype: Any) -> Any:
    """Bytes that one value of ``dtype`` takes; a number, column or symbol passes through as bytes already.

    >>> bytes_per_value("bf16"), bytes_per_value(2)
    (2, 2)
    """
    return DTYPE_BYTES[dtype_name(dtype)] if isinstance(dtype, str) else dtype
