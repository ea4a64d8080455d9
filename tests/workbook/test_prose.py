"""The linter of hand-typed numbers, in both directions."""

import pytest

from workbook.prose import bare_numbers

BARE = {
    "It takes 12 ms.": "12 ms",
    "It takes 12\u00a0ms.": "12\u00a0ms",
    "Weights fill 2.15 GB of memory.": "2.15 GB",
    "A 16-GB card.": "16-GB",
    "About 178 GFLOPs a pass.": "178 GFLOPs",
    "A peak of 312 TFLOP/s.": "312 TFLOP/s",
    "Attention is 27% of it.": "27%",
    "Attention is 27 percent of it.": "27 percent",
    "It is 3.2x faster.": "3.2x",
    "It is 8× larger.": "8×",
    "It is 8 times larger.": "8 times",
    "It is three times larger.": "three times",
    "A four-fold saving.": "four-fold",
    "A tenfold saving.": "tenfold",
    "A 10-fold saving.": "10-fold",
    "Each takes two bytes.": "two bytes",
    "Within 200 milliseconds.": "200 milliseconds",
    "At 2,000 requests/s.": "2,000 requests/s",
    "At 2000 QPS.": "2000 QPS",
    r"It costs \$0.002 a call.": r"\$0.002",
    "It has 110 million parameters.": "110 million parameters",
    "It has 110M parameters.": "110M parameters",
    "| A100 | 80 GB |": "80 GB",
    "# The 40 GB card": "40 GB",
    ":::{note}\nThat is 40 GB.\n:::": "40 GB",
    "```{note} At 40 GB\nx\n```": "40 GB",
    "```{chart} f(x)\n:alt: it rises to 40 GB\n```": "40 GB",
    "- It takes 5 s": "5 s",
    "About 3 x 10^8 FLOPs.": "3 x 10^8 FLOPs",
}

FINE = [
    "batch 8, seq 128, layer 12, section 4.2, in 2017, dimension 768 and 12 heads",
    "a 16x16 patch, a 3 x 3 kernel, 16×16",
    "{n}`bert_base.flops(batch=8, seq=128)` in {n}`12 -> ms`",
    "{given}`qps = 2000 requests/s` and {given}`200 ms`",
    "`12 ms` and ``40 GB`` in code",
    "$12 ms$ and $$40 GB$$ in math, $O(n^2)$",
    "```python\nx = '40 GB'\n```",
    "~~~\n40 GB\n~~~",
    "````\n```\n40 GB\n```\n````",
    "```{chart} f('40 GB')\n:alt: it rises\n```",
    "---\ntitle: 40 GB\n---\ntext",
    "<!-- 40 GB -->",
    "[the model](https://example.org/40GB-40-ms) is here",
    "The A100 has 80 GB of memory ([data sheet](https://example.org/a100)).",
    "The A100 has 80 GB of memory.[^sheet]",
    "Llama-3-8B, BERT-110M, GPT-2, a 7B model, bf16, int8, 4-bit weights, fp32",
    "## The answer in 60 seconds",
    "the first time, many times, in half",
    "1. It is first.\n2. Second",
]


@pytest.mark.parametrize(("text", "found"), BARE.items())
def test_a_bare_number_with_a_unit_is_found(text: str, found: str) -> None:
    assert [finding.text for finding in bare_numbers(text)] == [" ".join(found.split())]


@pytest.mark.parametrize("text", FINE)
def test_what_is_computed_given_cited_or_no_unit_is_left_alone(text: str) -> None:
    assert bare_numbers(text) == []


def test_a_citation_covers_its_own_sentence_only() -> None:
    text = "The A100 has 80 GB ([sheet](https://example.org)). It reads them in 40 ms."
    assert [finding.text for finding in bare_numbers(text)] == ["40 ms"]
    assert [finding.text for finding in bare_numbers("It reads 40 ms. See [sheet](https://example.org).")] == ["40 ms"]


def test_a_link_inside_the_book_is_no_citation() -> None:
    assert bare_numbers("It has [80 GB](#glossary).") and bare_numbers("It has 80 GB ([glossary](../glossary.md)).")


def test_a_table_row_and_a_list_item_are_sentences_of_their_own() -> None:
    rows = "| card | memory |\n|---|---|\n| A100 ([sheet](https://example.org)) | 80 GB |\n| other | 40 GB |"
    assert [finding.text for finding in bare_numbers(rows)] == ["40 GB"]
    items = "- A100: 80 GB ([sheet](https://example.org))\n- other: 40 GB\n"
    assert [finding.text for finding in bare_numbers(items)] == ["40 GB"]


def test_the_line_is_that_of_the_number() -> None:
    text = "---\ntitle: x\n---\n# Title\n\nA sentence that\nspans lines and takes\n40 ms in all.\n"
    assert [(finding.line, finding.text) for finding in bare_numbers(text)] == [(8, "40 ms")]
