"""What operators answer on ``meta``, remembered: there an answer is a shape, and PyTorch derives many of them in slow Python."""

from __future__ import annotations

import contextlib
from typing import Any

import torch


class Unremembered(Exception):
    """An argument or a result that shapes do not describe."""


class Shapes:
    """Calls operators, and those on ``meta`` once for each combination of shapes, strides, dtypes and other arguments.

    A model repeats its layers, so that nearly every call is a repetition. What may return a view of an operand, or change it, is always
    called; so is everything on other devices, where tensors have values.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}
        self._fresh: dict[Any, bool] = {}

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``func(*args, **kwargs)``, or new tensors like those that it returned before."""
        fresh = self._fresh.get(func)
        if fresh is None:
            schema = func._schema
            fresh = self._fresh[func] = not schema.is_mutable and all(r.alias_info is None for r in schema.returns)
        if not fresh:
            return func(*args, **kwargs)
        try:
            key = (func, _described(args), _described(tuple(kwargs.items())))
            known = self._known.get(key)
        except (Unremembered, TypeError):  # a TypeError: an argument that cannot be a key
            return func(*args, **kwargs)
        if known is not None:
            return _made(known)
        out = func(*args, **kwargs)
        with contextlib.suppress(Unremembered):
            self._known[key] = _described(out)
        return out


def _described(value: Any) -> Any:
    """A tensor's shape, strides and dtype; of lists and tuples their type and parts; anything else with its type, since 1 == 1.0 == True.

    Raises:
        Unremembered: a tensor that is not plain or not on ``meta``.
    """
    if isinstance(value, torch.Tensor):
        if (
            type(value) not in (torch.Tensor, torch.nn.Parameter)
            or not value.is_meta
            or value.layout is not torch.strided
            or value.is_nested
        ):
            raise Unremembered
        return torch.Tensor, value.shape, value.stride(), value.dtype
    if isinstance(value, list | tuple):
        return type(value), tuple(map(_described, value))
    return type(value), value


def _made(described: Any) -> Any:
    """The inverse of :func:`_described`, with new storages."""
    kind, *what = described
    if kind is torch.Tensor:
        shape, stride, dtype = what
        return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
    if kind in (list, tuple):
        return kind(map(_made, what[0]))
    return what[0]
