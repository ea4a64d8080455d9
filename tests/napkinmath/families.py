"""What every family's tests hold a preset to: whiteboard, trace and module agree to the digit, in sum and part by part."""

from __future__ import annotations

from typing import Any

from napkinmath import reference, trace
from napkinmath.specs import Spec


def assert_same_count(spec: Spec, *, device: str = "meta", fake: bool = False, attention: str = "eager", **sizes: Any) -> None:
    """Whiteboard = trace of the published module, in parameters and FLOPs, in sum and by the whiteboard's parts (two names deep)."""
    built = reference(spec, device=device, fake=fake, attention=attention, **sizes)
    traced = trace(built.module, strict=True, **built.inputs)
    whiteboard = spec.ledger(**sizes, **spec.IMPLEMENTED)
    assert traced.params == whiteboard.params == sum(p.numel() for p in built.module.parameters()), spec.name
    assert traced.flops == whiteboard.flops, (spec.name, traced.flops - whiteboard.flops)
    ours, theirs = (
        {part: (t.params, t.flops) for part, t in groups.items()} for groups in (whiteboard.by("module", 2), traced.by(built.group))
    )
    # What a trace has beside the parts computes nothing and holds nothing (masks, casts, position ids).
    assert {part: both for part, both in theirs.items() if any(both)} == {part: both for part, both in ours.items() if any(both)}


def assert_published(spec: Spec) -> None:
    """Exact counts to the digit, rounded figures within their rounding; a figure that differs says why, and does differ."""
    if spec.published_params is not None:
        assert spec.params() == spec.published_params
        assert spec.published_source.startswith("https://")
    for figure in spec.published:
        low, high = figure.bounds()
        assert figure.holds(spec) != bool(figure.differs), (
            f"{spec.name}: {figure.value_of(spec):,} beside {figure.printed} ({low:,} to {high:,})"
        )
        assert figure.source.startswith("https://")
    assert spec.source.startswith("https://")
    assert spec.paper
    assert spec.checked
