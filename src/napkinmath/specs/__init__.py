"""Specs: the dimensions of an architecture, and the named presets.

A spec is a frozen dataclass whose methods unpack it into the closed forms of :mod:`napkinmath.whiteboard`. Input is validated
here, once; the closed forms are plain arithmetic. Presets are rows of ``data/presets/<family>.toml``, each figure with its source.

A family of architectures is one stem in five places: ``specs/`` (its dimensions), ``whiteboard/`` (its closed forms),
``whiteboard/ledgers/`` (those laid out as rows), ``references/`` (the published module, or ours in ``zoo/``) and ``data/presets/``.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from ..errors import InputError, did_you_mean, shown
from .architectures import STYLES
from .base import Published, Spec, unique
from .checks import positive_int
from .transformer import TransformerSpec

__all__ = ["STYLES", "Published", "Spec", "TransformerSpec", "identifier", "positive_int", "preset", "preset_identifiers", "presets"]

#: The stem of each family, and its spec.
FAMILIES = {
    "transformer": "TransformerSpec",
    "encoder_decoder": "EncoderDecoderSpec",
    "recurrent": "RecurrentSpec",
    "seq2seq": "Seq2SeqSpec",
    "state_space": "StateSpaceSpec",
    "vision": "VisionSpec",
    "multimodal": "MultimodalSpec",
    "conv": "ConvSpec",
    "unet": "UNetSpec",
    "autoencoder": "AutoencoderSpec",
    "dit": "DiTSpec",
    "gan": "GANSpec",
    "recommender": "RecommenderSpec",
    "two_tower": "TwoTowerSpec",
}


#: What people call a family for short, as :func:`identifier` spells both.
_SHORT_FAMILIES = {"moe": "mixture_of_experts", "ssm": "state_space", "vlm": "vision_language"}


@functools.cache
def _rows() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every preset's family stem and row, in the order of the families and their files.

    A row with ``like = "other"`` starts from the dimensions (not the sources and published figures) of that preset of its file.
    """
    folder = resources.files("napkinmath").joinpath("data/presets")
    own = {"aliases", *(field.name for field in dataclasses.fields(Spec))}
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for stem in FAMILIES:
        rows = tomllib.loads(folder.joinpath(f"{stem}.toml").read_text(encoding="utf-8"))
        for name, row in rows.items():
            model = rows[row.pop("like")] if "like" in row else {}
            found[name] = (stem, {key: value for key, value in model.items() if key not in own} | row)
    return found


@functools.cache
def _names() -> Mapping[str, str]:
    """Every accepted spelling of a preset, to its name."""
    names = {}
    for name, (_, row) in _rows().items():
        for spelling in (name, *row.get("aliases", ())):
            names[spelling] = name
            names[identifier(spelling)] = name
    return names


def identifier(name: str) -> str:
    """A preset's or device's name as a Python identifier: ``identifier("llama-3.1-405b") == "llama_3_1_405b"``."""
    return name.replace("-", "_").replace(".", "_").replace(" ", "_")


def spec_class(stem: str) -> type[Spec]:
    """The spec of a family, by its stem."""
    found: type[Spec] = getattr(importlib.import_module(f".{stem}", __name__), FAMILIES[stem])
    return found


def size_names() -> list[str]:
    """The sizes that passes of any family take beside ``batch``, such as ``seq`` and ``image``."""
    return unique(size for stem in FAMILIES for size in spec_class(stem).SIZES)


@functools.cache
def preset(name: str) -> Any:
    """The preset of that name, a :class:`Spec` of its family; dashes, underscores and capitals are alike.

    >>> preset("bert-base").params()
    109482240

    Raises:
        InputError: no such preset; the message names the nearest ones.
    """
    key = str(name).lower()
    found = _names().get(key) or _names().get(identifier(key))
    if found is None:
        near = did_you_mean(key, _rows(), "'napkinmath presets' lists all")
        raise InputError(f"preset {shown(name)} is not known.{near}")
    stem, row = _rows()[found]
    return spec_class(stem).from_row(found, {key: value for key, value in row.items() if key != "aliases"})


def presets(family: str | None = None) -> list[Any]:
    """All presets, or those of one family, in the data files' order; ``moe`` and ``ssm`` are families too, dashes and spaces alike.

    Raises:
        InputError: no preset has that family.
    """
    specs = [preset(name) for name in _rows()]
    if family is None:
        return specs
    families = {identifier(spec.family): spec.family for spec in specs}
    key = identifier(str(family).lower())
    asked = families.get(_SHORT_FAMILIES.get(key, key))
    if asked is None:
        raise InputError(f"family={shown(family)} is not known.{did_you_mean(family, families.values())}")
    return [spec for spec in specs if spec.family == asked]


def preset_identifiers() -> dict[str, str]:
    """Preset names as Python identifiers, for ``napkinmath.llama_3_8b`` and for expressions in prose."""
    return {spelling: name for spelling, name in _names().items() if spelling.isidentifier()}
