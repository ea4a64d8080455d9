"""napkinmath: FLOPs, memory and latency of neural architectures, computed and then measured.

    >>> import napkinmath as nm
    >>> nm.bert_base.params()
    109482240
    >>> nm.linear_flops(tokens=1024, d_in=768, d_out=3072)
    4831838208

Presets (``nm.bert_base``), devices (``nm.a100_80gb``) and closed forms (``nm.kv_cache_bytes``) resolve on first use, so that
importing the package loads neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import InputError

__version__ = "0.1.0"

#: Public names and the module each comes from; the modules load on first use.
_EXPORTS = {
    "Ledger": "ledger",
    "Op": "ledger",
    "Spec": "specs",
    "TransformerSpec": "specs",
    "LatentAttention": "specs.blocks",
    "EncoderDecoderSpec": "specs.encoder_decoder",
    "VisionSpec": "specs.vision",
    "RecurrentSpec": "specs.recurrent",
    "Seq2SeqSpec": "specs.seq2seq",
    "StateSpaceSpec": "specs.state_space",
    "MultimodalSpec": "specs.multimodal",
    "ConvSpec": "specs.conv",
    "UNetSpec": "specs.unet",
    "AutoencoderSpec": "specs.autoencoder",
    "DiTSpec": "specs.dit",
    "GANSpec": "specs.gan",
    "RecommenderSpec": "specs.recommender",
    "TwoTowerSpec": "specs.two_tower",
    "Features": "specs.recommender",
    "preset": "specs",
    "from_config": "specs.config",
    "presets": "specs",
    "bytes_per_value": "dtypes",
    "trace": "tracing",
    "trace_training": "tracing",
    "memory": "footprint",
    "peak_memory": "peak",
    "measured_peak": "peak",
    "reference": "references",
    "witness_table": "witnesses",
    "device": "hardware",
    "devices": "hardware",
    "Profile": "profile",
    "load_profile": "profile",
    "recorded_profile": "profile",
    "recorded_profiles": "profile",
    "calibrate": "calibration",
    "fuse": "fusion",
    "kernel_count": "fusion",
    "kernels_s": "fusion",
    "predict": "latency",
    "measure": "measurement",
    "compare": "candidates",
    "Constraints": "candidates",
    "fmt": "units",
    "parse": "units",
}
_SUBMODULES = ("charts", "glossary", "units", "specs", "hardware", "latency", "whiteboard", "witnesses")
_CLOSED_FORMS = (
    "whiteboard.linear",
    "whiteboard.transformer",
    "whiteboard.attention",
    "whiteboard.recurrent",
    "whiteboard.seq2seq",
    "whiteboard.state_space",
    "whiteboard.encoder_decoder",
    "whiteboard.windows",
    "whiteboard.latent",
    "whiteboard.long_context",
    "whiteboard.experts",
    "whiteboard.scaling",
    "whiteboard.memory",
    "whiteboard.adaptation",
    "whiteboard.conv",
    "whiteboard.vision",
    "whiteboard.multimodal",
    "whiteboard.unet",
    "whiteboard.diffusion",
    "whiteboard.dit",
    "whiteboard.gan",
    "whiteboard.recommender",
    "whiteboard.retrieval",
    "collectives",
    "parallel",
    "queueing",
    "serving",
    "compression",
    "timing",
    "runtimes",
    "edge",
    "evaluation",
)

__all__ = ["InputError", "namespace", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(f".{_EXPORTS[name]}", __name__), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f".{name}", __name__)
    elif name.startswith("_"):
        raise AttributeError(f"module 'napkinmath' has no attribute {name!r}")
    else:
        value = _closed_form(name) or _named(name)
        if value is None:
            raise AttributeError(f"napkinmath has no closed form, preset or device named {name!r}")
    globals()[name] = value  # later look-ups skip this function; it also wins over a submodule of the same name
    return value


def _closed_form(name: str) -> Any:
    for module_name in _CLOSED_FORMS:
        module = importlib.import_module(f".{module_name}", __name__)
        function = getattr(module, name, None)
        if callable(function) and function.__module__ == module.__name__:
            return function
    return None


def _named(name: str) -> Any:
    from . import hardware, specs

    if name in specs.preset_identifiers():
        return specs.preset(name)
    if name in hardware.device_identifiers():
        return hardware.device(name)
    return None


def closed_form_names() -> list[str]:
    """Names of all whiteboard functions."""
    names = []
    for module_name in _CLOSED_FORMS:
        module = importlib.import_module(f".{module_name}", __name__)
        names += [
            n for n, f in vars(module).items() if callable(f) and not n.startswith("_") and getattr(f, "__module__", "") == module.__name__
        ]
    return names


class _Namespace(Mapping[str, Any]):
    """Everything an expression in prose or in a question may name, resolved on use."""

    def __getitem__(self, name: str) -> Any:
        try:
            return globals()[name] if name in globals() else __getattr__(name)
        except AttributeError as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        from . import hardware, specs

        yield from (*_EXPORTS, *_SUBMODULES, *closed_form_names(), *specs.preset_identifiers(), *hardware.device_identifiers())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def namespace() -> Mapping[str, Any]:
    """The mapping in which ``{n}`` expressions and question answers are evaluated."""
    return _Namespace()


def __dir__() -> list[str]:
    return sorted({*globals(), *namespace()})
