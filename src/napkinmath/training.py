"""One training step of a module, in three phases, for whoever watches it: the trace, the memory timeline."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves

from .errors import InputError, did_you_mean

if TYPE_CHECKING:
    from .ledger import Phase

#: Optimizers by name, with PyTorch's defaults. A learning rate of 0 leaves the weights of a real module as they are.
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda params: torch.optim.SGD(params, lr=0.0),
    "momentum": lambda params: torch.optim.SGD(params, lr=0.0, momentum=0.9),
    "adam": lambda params: torch.optim.Adam(params, lr=0.0),
    "adamw": lambda params: torch.optim.AdamW(params, lr=0.0),
    "adafactor": lambda params: torch.optim.Adafactor(params, lr=0.0),
}

Optimizer = str | Callable[[Any], torch.optim.Optimizer] | None
Loss = Callable[[Any], torch.Tensor] | None


class TrainingStep:
    """Forward, backward and optimizer step, as often as :meth:`run` is called.

    Args:
        module: the module; only its parameters that require gradients are trained.
        optimizer: one of :data:`OPTIMIZERS`, a function from parameters to an optimizer, or None for no step.
        loss: a function of the output; without one, the output's own ``loss`` if it has one, else the sum of all outputs.

    Raises:
        InputError: an unknown optimizer, or nothing to train.
    """

    def __init__(self, module: torch.nn.Module, optimizer: Optimizer = "adamw", loss: Loss = None) -> None:
        self.module, self.loss = module, loss
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        if not self.parameters:
            raise InputError(f"{type(module).__name__} has no parameter that requires a gradient: there is nothing to train")
        if isinstance(optimizer, str):
            if optimizer not in OPTIMIZERS:
                raise InputError(f"optimizer={optimizer!r}.{did_you_mean(optimizer, OPTIMIZERS)}")
            optimizer = OPTIMIZERS[optimizer]
        self.optimizer = optimizer(self.parameters) if optimizer else None

    def allocate_state(self) -> None:
        """Give the optimizer the state that it has from the second step on."""
        if self.optimizer is not None:
            for parameter in self.parameters:
                parameter.grad = torch.zeros_like(parameter)
            try:
                self.optimizer.step()
            except (RuntimeError, NotImplementedError) as error:  # what meta and fake tensors raise when asked for a value
                if type(self.parameters[0]) is torch.nn.Parameter and not self.parameters[0].is_meta:
                    raise
                name = type(self.optimizer).__name__
                raise InputError(f"optimizer {name} reads values, which meta and fake tensors do not have: give a real module") from error
            self.optimizer.zero_grad()

    def run(self, inputs: Any, kwargs: Any, enter: Callable[[Phase], None], within: Any) -> None:
        """One step. ``enter`` is told each phase as it begins; the model runs ``within`` a fake mode or a null context.

        The optimizer runs outside it: it keeps count of its steps in a real number, which a fake tensor would not give it.
        """
        enter("forward")
        with within:
            out = self.module(*inputs, **kwargs)
            outputs = self._to_differentiate(out)
            del out
            enter("backward")
            torch.autograd.backward(outputs, [torch.ones_like(t) for t in outputs])
            del outputs
        enter("optimizer")
        if self.optimizer is not None:
            self.optimizer.step()
            self.optimizer.zero_grad()

    def _to_differentiate(self, out: Any) -> list[torch.Tensor]:
        if self.loss is not None:
            return [self.loss(out)]
        if isinstance(getattr(out, "loss", None), torch.Tensor):
            return [out.loss]
        outputs = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor) and t.requires_grad]
        if not outputs:
            raise InputError(f"no output of {type(self.module).__name__} depends on a parameter: there is no gradient to take")
        return outputs

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Train mode and empty gradients while it lasts; modes and gradients are put back as they were."""
        modes = {child: child.training for child in self.module.modules()}
        gradients = [p.grad for p in self.parameters]
        self.module.train()
        for parameter in self.parameters:
            parameter.grad = None
        try:
            with torch.enable_grad():
                yield
        finally:
            for child, mode in modes.items():
                child.training = mode
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = gradient
