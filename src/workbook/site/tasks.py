"""What the comparison compares: tasks with the architectures that compete, and each preset's ledger as polynomials in batch and length.

A count of FLOPs or values is a sum of products of dimensions: few terms, which are solved for exactly from a few ledgers and then held
against others. A preset whose rows are something else (windows that are padded, experts beside cross-attention) is not offered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from napkinmath.errors import InputError
from napkinmath.whiteboard.experts import experts_touched

#: Terms of batch b and length n that rows are made of; ``m`` is n within the window, ``r`` the experts that are reached.
_TERMS: Mapping[str, tuple[str, ...]] = {"fixed": ("1", "b"), "forward": ("1", "n", "b", "bn", "bnn"), "decode": ("1", "b", "bn")}


@dataclass(frozen=True)
class Task:
    """Architectures that compete, and how they run.

    They ``decode`` a token, or run ``forward`` over ``size``; none where all sizes are the preset's. ``chosen`` are ticked at first;
    ``items`` is what a batch counts.
    """

    title: str
    families: tuple[str, ...]
    items: str
    chosen: tuple[str, ...]
    size: str = ""
    mode: str = "forward"
    length: int = 1
    longest: int = 1


TASKS = {
    "read-text": Task(
        "Encode text", ("encoder",), "sequences", ("bert-base", "distilbert", "minilm-l6"), "seq", length=128, longest=512
    ),
    "write-text": Task(
        "Generate text: one token", ("decoder", "mixture-of-experts", "state space"), "tokens", ("llama-3-8b", "llama-3-70b", "mistral-7b"),
        "context", "decode", 4096, 131072,
    ),
    "prompt": Task(
        "Generate text: read the prompt", ("decoder", "mixture-of-experts", "state space"), "prompts", ("llama-3-8b", "mistral-7b"),
        "seq", length=2048, longest=131072,
    ),
    "images": Task(
        "Classify images", ("cnn", "vit", "swin"), "images", ("resnet-50", "mobilenet-v2", "efficientnet-b0", "vit-b-16", "swin-t")
    ),
    "draw": Task("Generate images: one network pass", ("unet", "diffusion-transformer", "gan"), "images", ("sd-1.5", "sdxl", "dit-xl-2")),
    "speech": Task(
        "Transcribe or tag audio", ("speech", "audio"), "clips", ("whisper-small", "whisper-large-v3", "whisper-large-v3-turbo")
    ),
    "rank": Task("Rank items", ("recommender",), "examples", ("dcn-v2", "deepfm", "wide-and-deep", "dlrm-kaggle")),
    "retrieve": Task("Retrieve items", ("two-tower",), "users", ("two-tower", "youtube-candidates")),
}  # fmt: skip


# Ledgers as polynomials ----------------------------------------------------------------------------------------------


def terms_of(spec: Any, task: Task) -> tuple[str, ...]:
    """The terms that a preset's rows may have in a task."""
    terms = _TERMS["fixed" if not task.size else task.mode]
    if task.size and getattr(spec, "window", None):
        terms += ("bm",) if task.mode == "decode" else ("bnm",)
    if "candidates" in spec.SIZES:
        terms += ("bb",)  # a user against the batch's items
    return terms + (("r",) if task.size and getattr(spec, "moe", None) else ())


def term_value(term: str, spec: Any, task: Task, batch: int, length: int) -> Fraction:
    """The value of a term; ``r`` depends on the tokens of the pass."""
    if term == "r":
        return Fraction(experts_touched(spec.moe.n_experts, spec.moe.top_k, batch * (1 if task.mode == "decode" else length)))
    letters = {"1": 1, "b": batch, "n": length, "m": min(length, getattr(spec, "window", None) or length)}
    return Fraction(math.prod(letters[letter] for letter in term))


@dataclass(frozen=True)
class Polynomials:
    """A preset in a task: its rows, each ``[count, FLOPs, values moved, params]`` of one execution, as coefficients of ``terms``.

    ``kept`` and ``kept_wide`` are bytes that stay between passes: of which the first do not, and the second do grow with the dtype's width.
    """

    terms: tuple[str, ...]
    rows: tuple[tuple[int, tuple[float, ...], tuple[float, ...], float], ...]
    params: int
    kept: tuple[float, ...]
    kept_wide: tuple[float, ...]
    longest: int


def polynomials(spec: Any, task: Task) -> Polynomials | None:
    """Solve for a preset's rows; None where they are no polynomials of these terms, or the preset does not run the task."""
    if task.mode == "decode" and not spec.decodes:
        return None
    terms = terms_of(spec, task)
    longest = min(task.longest, getattr(spec, "max_positions", None) or task.longest)
    window = getattr(spec, "window", 0)
    few = (1, 2, 5) if "r" in terms else (1, 3)
    lengths = [*((1, 4) if "r" in terms else ()), 16, 48, 112, *([2 * window] if 0 < 2 * window <= longest else [])] if task.size else [1]
    points = [(batch, length) for length in lengths for batch in (few if task.size else (1, 2, 3, 5))]
    try:
        matrix = [[term_value(term, spec, task, *point) for term in terms] for point in points]
        basis = _independent(matrix)
        if len(basis) < len(terms):
            return None
        solve = _inverse([matrix[index] for index in basis])
        ledgers = [_ledger(spec, task, *point) for point in points]
        rows = _rows(ledgers, [ledgers[index] for index in basis], solve, matrix, exact="r" not in terms)
        kept = {dtype: [_kept(spec, task, dtype, *points[index]) for index in basis] for dtype in ("bf16", "fp32")}
    except (InputError, _NotPolynomial):
        return None
    wide = [(four - two) / 2 for two, four in zip(kept["bf16"], kept["fp32"], strict=True)]
    narrow = [two - 2 * growing for two, growing in zip(kept["bf16"], wide, strict=True)]
    return Polynomials(terms, rows, ledgers[0].params, _solved(solve, narrow), _solved(solve, wide), longest)


class _NotPolynomial(Exception):
    """The ledgers do not follow the terms."""


def _ledger(spec: Any, task: Task, batch: int, length: int) -> Any:
    return spec.ledger(**_sizes(spec, task, batch, length), dtype="bf16")


def _sizes(spec: Any, task: Task, batch: int, length: int) -> dict[str, int]:
    sizes = {task.size: length} if task.size else {}
    resolved: dict[str, int] = spec.resolve(batch=batch, **(spec.decode_sizes(sizes) if task.mode == "decode" else sizes))
    return resolved


def _kept(spec: Any, task: Task, dtype: str, batch: int, length: int) -> Fraction:
    return Fraction(sum(spec.kept_bytes(_sizes(spec, task, batch, length), dtype).values()))


def _rows(ledgers: Sequence[Any], chosen: Sequence[Any], solve: Any, matrix: Any, *, exact: bool) -> Any:
    """Equal rows together; every ledger, also those that were not solved from, has to follow."""
    merged: dict[tuple[Any, ...], int] = {}
    if len({len(ledger.ops) for ledger in ledgers}) > 1:
        raise _NotPolynomial
    for index, op in enumerate(ledgers[0].ops):
        ops = [ledger.ops[index] for ledger in ledgers]
        if any((other.name, other.count) != (op.name, op.count) for other in ops):
            raise _NotPolynomial
        key: list[Any] = []
        for column in ("flops", "bytes_moved"):
            width = 2 if column == "bytes_moved" else 1
            found = [Fraction(getattr(ledger.ops[index], column), op.count * width) for ledger in chosen]
            coefficients = _solved(solve, found, whole=not exact)
            for other, line in zip(ops, matrix, strict=True):
                expected = sum(Fraction(c) * term for c, term in zip(coefficients, line, strict=True))
                actual = Fraction(getattr(other, column), op.count * width)
                if abs(expected - actual) > (0 if exact else 1):  # the ledger cuts expected experts to whole bytes
                    raise _NotPolynomial
            key.append(coefficients)
        if any(key[0]) or any(key[1]):
            params = op.params / op.count
            row = (*key, int(params) if params == int(params) else params)
            merged[row] = merged.get(row, 0) + op.count
    return tuple((count, *row) for row, count in merged.items())


def _independent(matrix: Sequence[Sequence[Fraction]]) -> list[int]:
    """Indices of the first rows that are linearly independent."""
    reduced: list[list[Fraction]] = []
    chosen = []
    for index, row in enumerate(matrix):
        left = list(row)
        for done in reduced:
            pivot = next(i for i, value in enumerate(done) if value)
            left = [a - left[pivot] / done[pivot] * b for a, b in zip(left, done, strict=True)]
        if any(left):
            reduced.append(left)
            chosen.append(index)
    return chosen


def _inverse(matrix: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    """By Gauss and Jordan, exactly."""
    size = len(matrix)
    work = [[*row, *(Fraction(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if work[i][column])
        work[column], work[pivot] = work[pivot], work[column]
        work[column] = [value / work[column][column] for value in work[column]]
        for i in range(size):
            if i != column and work[i][column]:
                work[i] = [a - work[i][column] * b for a, b in zip(work[i], work[column], strict=True)]
    return [row[size:] for row in work]


def _solved(solve: Sequence[Sequence[Fraction]], values: Sequence[Fraction], *, whole: bool = False) -> tuple[float, ...]:
    found = [sum((a * b for a, b in zip(row, values, strict=True)), Fraction(0)) for row in solve]
    return tuple(round(value) if whole or value.denominator == 1 else float(value) for value in found)
