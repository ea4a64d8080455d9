"""``check`` in a notebook prints the same at every run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from napkinmath.errors import InputError
from workbook.questions import check

SAMPLE = (Path(__file__).parents[2] / "fixtures" / "questions" / "sample.yml").read_text()


@pytest.fixture(autouse=True)
def _bank(repository: Callable[[str], Path], own_home: Path) -> None:
    repository(SAMPLE)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("sample-linear",),
            'c) Bytes of the weights\n  d) Bytes of the score matrix\nAnswer: check("sample-linear", ...) with letters.\n',
        ),
        (("sample-share",), 'one sequence of 128 tokens?\nAnswer: check("sample-share", ...) with a quantity in FLOP.\n'),
        (("sample-share", 22.3e9), "Right: 22.3 GFLOP.\n"),
        (("sample-share", "22.3 GFLOP"), "Right: 22.3 GFLOP.\n"),
        (("sample-share", "11.2 GFLOP"), "likely reason.\nThose are MACs.\n"),
        (("sample-kv-cache", "2 s"), "'2 s' reads as s; the answer is asked for in GB.\n"),
        (("sample-kv-cache", 2**29), "Two tensors a layer, two bytes a value: 131,072 B a token, times 4,096 tokens is 0.537 GB.\n"),
        (("sample-mask", "b"), "Not this one.\n  b) Half of the scores are *useful*; an eager kernel computes them all.\n"),
        (("sample-mask", "A"), "A fused kernel may skip whole blocks; the whiteboard counts what is executed.\n"),
        (("sample-linear", "a, b, d"), "Right.\n"),
        (("sample-linear", ["a", "b"]), "3 of 4 options judged right.\n"),
        (
            ("sample-sizes",),
            "  b) BERT-base, with $n_{layers} = 12$\n  c) Llama-3-8B <b onclick=alert(1)>x</b>\n  d) BERT-large\n"
            'Answer: check("sample-sizes", ...) with all letters in your order.\n',
        ),
        (("sample-sizes", "a, b, d, c"), "Right.\n  a) It has 66.4 M params: half of BERT-base's layers.\n  b)"),
        (("sample-sizes", "abcd"), "5 of 6 pairs are in the right order.\n  d) It has 335 M params: wider, and twice as deep.\n  c)"),
        (("sample-sizes", ["d", "a", "b", "c"]), "4 of 6 pairs are in the right order.\n"),
        (("sample-sizes", "a, b"), "Name each of the 4 once, in your order.\n"),
        (("sample-line", "b"), "Right.\n  b) There are 8 KV heads, not 32.\nThe cache is 17.2 GB: it fits.\n"),
        (("sample-replicas", 9.5), "'9.5' is not a whole number"),
        (("sample-flip", ""), "The rubric:\n  1. Computes the crossover: 3,072 tokens for the scores to equal the FFN [2]\n"),
        (("sample-flip", "1, 3"), "3 of 4 points.\n"),
    ],
)
def test_check(arguments: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    check(*arguments)
    first = capsys.readouterr().out
    assert text in first
    check(*arguments)
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("sample-masc",), "question 'sample-masc' is not in any bank. Did you mean 'sample-mask'"),
        (("sample-mask", "d"), "answer 'd' to sample-mask: choose from a, b, c"),
        (("sample-mask", 1), "answer '1' to sample-mask: choose from a, b, c"),
        (("sample-flip", "4"), "answer '4' to sample-flip: choose from 1, 2, 3"),
        (("sample-sizes", "abcx"), "answer 'x' to sample-sizes: choose from a, b, c, d"),
        (("sample-machine",), "This question is about your machine, of which there is no profile that holds today."),
        (("sample-share", ["a"]), "answer 'a' to sample-share: choose from a quantity such as 2.1e9 or 2.1 GB"),
    ],
)
def test_check_refuses(arguments: tuple[str, ...], problem: str) -> None:
    with pytest.raises(InputError) as error:
        check(*arguments)
    assert problem in str(error.value)
