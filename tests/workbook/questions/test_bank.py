"""Reading banks: every bad question is refused with file, line, id and what to do."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from napkinmath.errors import InputError
from workbook import ROOT
from workbook.questions import load_bank
from workbook.questions.bank import bank_files, find, find_root, read, read_all

CHOICE = """\
- id: one
  kind: choice
  level: 1
  prompt: Which?
  options:
    - {text: this, correct: true, feedback: because}
    - {text: that, feedback: because not}
"""

NUMERIC = """\
- id: two
  kind: numeric
  level: 2
  params: {tokens: [1, 2, 4, 8, 16]}
  prompt: "FLOPs of a linear layer for {tokens} tokens?"
  answer: {call: linear_flops, args: {d_in: 768, d_out: 3072}, unit: FLOP}
  slips:
    - {factor: 0.5, say: Those are MACs.}
  explain: "It is {answer}, and {= 2 * 768 * 3072} a token."
"""

ORDER = """\
- id: four
  kind: order
  level: 2
  prompt: From small to large?
  options:
    - {text: one, value: "bert_base.params()", feedback: because}
    - {text: two, value: "bert_large.params()", feedback: because}
    - {text: three, value: "llama_3_8b.params()", feedback: because}
"""

ESTIMATE = """\
- id: five
  template: find-the-error
  level: 3
  task: Does it fit?
  estimate:
    - {line: "It has {= bert_base.params()}.", feedback: it has}
    - {line: At four bytes each., error: at two}
    - {line: So no., feedback: it follows}
  explain: It does.
"""

OPEN = """\
- id: three
  kind: open
  level: 3
  prompt: Why?
  rubric:
    - {point: because}
    - {point: and so}
  model_answer: Because.
"""


def problems(repository: Callable[[str], Path], text: str) -> list[str]:
    path = repository(text)
    _, found = read(path)
    return [str(problem).removeprefix(f"{path}:") for problem in found]


def test_what_the_mutations_below_start_from_is_sound(repository: Callable[[str], Path]) -> None:
    assert [question.id for question in load_bank(repository(CHOICE + NUMERIC + OPEN + ORDER + ESTIMATE))] == [
        "one",
        "two",
        "three",
        "four",
        "five",
    ]


def test_above_and_below_may_compare(repository: Callable[[str], Path]) -> None:
    assert load_bank(repository(CHOICE.replace("that,", "it stays below the ridge,")))


@pytest.mark.parametrize(
    ("bank", "old", "new", "problem"),
    [
        (CHOICE, "  level: 1\n", "", "1: one: missing field 'level'"),
        (CHOICE, "level: 1", "level: 4", "3: one: level: Input should be 1, 2 or 3"),
        (CHOICE, "prompt: Which?", "promt: Which?", "4: one: unknown field 'promt'. Did you mean 'prompt'?"),
        (CHOICE, "kind: choice", "kind: choise", "2: one: kind: 'choise' is unknown. Did you mean 'choice'?"),
        (CHOICE, "kind: choice", "kind: [choice]", "2: one: kind: ['choice'] is unknown. Did you mean 'choice'?"),
        (CHOICE, "id: one", "id: One Two", "1: One Two: id: String should match pattern '^[a-z0-9]+(-[a-z0-9]+)*$'"),
        (CHOICE, ", feedback: because not", "", "7: one: missing field 'options[1].feedback'"),
        (CHOICE, "correct: true, ", "", "1: one: 0 of 2 options are correct; a choice has exactly one correct option"),
        (CHOICE, "that, ", "that, correct: true, ", "1: one: 2 of 2 options are correct; a choice has exactly one correct option"),
        (CHOICE, "text: that", "text: this", "1: one: two options have the same text"),
        (
            CHOICE,
            "that,",
            "all of the above,",
            "1: one: 'the above' points at a place, but options are shuffled; name the thing, or set 'shuffle: false'",
        ),
        (CHOICE, "because not", "the first option is right", "1: one: 'first option' points at a place"),
        (CHOICE, "that,", '"{tokens} tokens",', "5: one: options: field {tokens} is not supplied. Only {= expression} may stand here."),
        (
            CHOICE,
            "Which?",
            '"Which {cite}`x`?"',
            "4: one: prompt: role {cite}: a notebook cannot render it; write {= expression} for a number",
        ),
        (CHOICE, "- id: one", "- id: one\n  id: two", "2: 'id' stands twice in the same mapping"),
        (CHOICE, "- id: one\n  kind", "- kind", "1: question 1: missing field 'id'"),
        (
            NUMERIC,
            "{tokens} tokens?",
            "{token} tokens?",
            "5: two: prompt: field {token} is not supplied. Did you mean 'tokens'? (variant 0: tokens=1)",
        ),
        (NUMERIC, "[1, 2, 4, 8, 16]", "[1, 2]", "4: two: params: 2 draws are possible; 5 or more are needed, so list more values"),
        (NUMERIC, "[1, 2, 4, 8, 16]", "[0, 2, 4, 8, 16]", "6: two: answer: 0 is not a finite number above zero (variant 0: tokens=0)"),
        (NUMERIC, "call: linear_flops", "call: linear_flop", "unknown name 'linear_flop'. Did you mean 'linear_flops'"),
        (NUMERIC, "args: {d_in: 768, d_out: 3072}", "args: {d_in: 768}", "missing 1 required positional argument: 'd_out'"),
        (NUMERIC, "unit: FLOP", "unit: GB", "'-> GB' is a unit of B; this has the unit FLOP"),
        (NUMERIC, "unit: FLOP", "unit: FLIP", "6: two: answer: I read the number but not the unit 'FLIP'"),
        (NUMERIC, "call: linear_flops,", "expr: '1', call: linear_flops,", "6: two: answer: give either 'call' (with 'args') or 'expr'"),
        (
            NUMERIC,
            "factor: 0.5",
            "factor: 0.99",
            "7: two: slips[0] (4.67141e+06) cannot be told from the exact answer (4.71859e+06) with exact=1.02",
        ),
        (NUMERIC, "MACs.}", "MACs.}\n    - {factor: 0.501, say: x}", "slips[1] (2.36401e+06) cannot be told from slips[0] (2.3593e+06)"),
        (
            NUMERIC,
            "factor: 0.5",
            "expr: answer / tokens / tokens",
            "7: two: slips[0] (4.71859e+06) cannot be told from the exact answer (4.71859e+06)",
        ),
        (NUMERIC, "factor: 0.5", "expr: answer - answer", "7: two: slips[0]: 0.0 is not a finite number above zero"),
        (NUMERIC, "factor: 0.5, ", "", "8: two: slips[0]: give either 'factor' (of the answer) or 'expr'"),
        (NUMERIC, "  slips:", "  grade: {good: 1.01}\n  slips:", "7: two: grade: bands must widen: exact < good < order"),
        (NUMERIC, "{= 2 * 768 * 3072}", "{= 2 * open('x')}", "9: two: explain: `2 * open('x')`: unknown name 'open'"),
        (NUMERIC, "Those are MACs.", "no", "8: two: slips[0].say: YAML reads False as a bool; put it in quotes"),
        (ORDER, "text: two", "text: one", "1: four: two options have the same text"),
        (
            ORDER,
            "text: two",
            "text: the second option",
            "1: four: 'second option' points at a place, but options are shuffled; name the thing",
        ),
        (ORDER, 'value: "bert_base.params()", ', "", "1: four: give a 'value' to every option or to none"),
        (ORDER, "bert_base.params()", "llama_3_70b.params()", "5: four: options[2].value: 8.03026e+09 is not 10% or more below options[1]"),
        (ORDER, "bert_large.params()", "bert_base.params()", "5: four: options[1].value: 1.09482e+08 is not 10% or more above options[0]"),
        (ORDER, "bert_base.params()", "bert_bse.params()", "5: four: options[0].value: `bert_bse.params()`: unknown name 'bert_bse'"),
        (ORDER, ", feedback: because}\n    - {text: three", "}\n    - {text: three", "7: four: missing field 'options[1].feedback'"),
        (ESTIMATE, "find-the-error", "find-error", "2: five: template: 'find-error' is unknown. Did you mean 'find-the-error'?"),
        (ESTIMATE, "  task", "  prompt", "1: five: missing field 'task'"),
        (ESTIMATE, "error: at two", "feedback: at two", "1: five: 0 of 3 lines have an 'error'; exactly one is wrong"),
        (ESTIMATE, "error: at two", "says: at two", "7: five: unknown field 'estimate[1].says'"),
        (ESTIMATE, "bert_base.params", "bert_bse.params", "5: five: estimate: `bert_bse.params()`: unknown name 'bert_bse'"),
        (ESTIMATE, "fit?", '"fit {x}?"', "4: five: task: field {x} is not supplied."),
        (
            NUMERIC,
            "answer: {call: linear_flops, args: {d_in: 768, d_out: 3072}, unit: FLOP}",
            'answer: {expr: tokens / 2, unit: "", whole: true}',
            "6: two: answer: 0.5 is not a whole number, and 'whole' says that the answer is (variant 0: tokens=1)",
        ),
        (CHOICE, "Which?", '"[This](../x.md)?"', "4: one: prompt: the link '](../x.md)' leads nowhere in a notebook"),
        (CHOICE, "  level: 1", "  level: 1\n  tags: [Big Tag]", "4: one: tags[0]: String should match pattern"),
        (OPEN, "    - {point: and so}\n", "", "5: three: rubric: Tuple should have at least 2 items after validation, not 1"),
        (CHOICE, CHOICE, "id: x", "1: expected a list of questions, each beginning with '- id: ...'"),
        (CHOICE, CHOICE, "- [", "not YAML: "),
        (CHOICE, CHOICE, "- hello", "1: question 1: expected a mapping with id, kind, level, prompt, ..."),
    ],
)
def test_a_bad_question_is_refused(repository: Callable[[str], Path], bank: str, old: str, new: str, problem: str) -> None:
    assert old in bank
    found = problems(repository, bank.replace(old, new))
    assert any(problem in line for line in found), found
    assert not any("\n" in line for line in found)


def test_lines_are_those_of_the_file(repository: Callable[[str], Path]) -> None:
    found = problems(repository, CHOICE + "\n# a comment\n" + NUMERIC.replace("{answer}", "{anser}"))
    line = (CHOICE + "\n# a comment\n" + NUMERIC).splitlines().index('  explain: "It is {answer}, and {= 2 * 768 * 3072} a token."') + 1
    assert found == [f"{line}: two: explain: field {{anser}} is not supplied. Did you mean 'answer'? (variant 0: tokens=1)"]


def test_an_id_stands_once_in_a_bank_and_once_in_all(repository: Callable[[str], Path], tmp_path: Path) -> None:
    assert problems(repository, CHOICE + CHOICE) == ["8: one: id is taken by the question in line 1"]
    path = repository(CHOICE)
    other = path.with_name("other.yml")
    other.write_text(OPEN + CHOICE)
    _, found = read_all([path, other])
    assert [str(problem) for problem in found] == [f"{other}:9: one: id is taken by a question in {path}"]


def test_the_message_of_load_bank_names_the_first_and_counts_the_rest(repository: Callable[[str], Path]) -> None:
    path = repository(CHOICE.replace("  level: 1\n", "").replace("  prompt: Which?\n", ""))
    with pytest.raises(InputError) as error:
        load_bank(path)
    assert str(error.value) == f"{path}:1: one: missing field 'level' (1 more: run 'workbook questions check')"


def test_positional_words_are_fine_where_nothing_is_shuffled(repository: Callable[[str], Path]) -> None:
    assert load_bank(repository(CHOICE.replace("that,", "all of the above,").replace("  level: 1", "  level: 1\n  shuffle: false")))


def test_source_keys(repository: Callable[[str], Path]) -> None:
    path = repository(CHOICE + '  sources: [vaswani2016, "https://arxiv.org/abs/1706.03762", "Vaswani et al. 2017, table 3"]\n')
    _, found = read(path, keys=frozenset({"vaswani2017", "devlin2019"}))
    assert str(found[0]) == f"{path}:8: one: sources: 'vaswani2016' is not in the bibliography. Did you mean 'vaswani2017'?"
    assert len(found) == 1
    assert read(path)[1] == []


def test_a_missing_bank(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_bank(tmp_path / "none.yml")


def test_find_searches_upwards(repository: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository(CHOICE + NUMERIC).parents[1]
    below = root.parent / "labs" / "part"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find_root() == root
    assert find("two").id == "two"
    with pytest.raises(InputError, match=textwrap.dedent("question 'tow' is not in any bank. Did you mean 'two'")):
        find("tow")


def test_find_reads_no_other_bank(repository: Callable[[str], Path]) -> None:
    path = repository(CHOICE)
    path.with_name("broken.yml").write_text("- id: broken\n")
    assert find("one").prompt == "Which?"
    with pytest.raises(InputError, match="broken"):
        find("two")


def test_find_sees_an_edited_bank(repository: Callable[[str], Path]) -> None:
    path = repository(CHOICE)
    assert find("one").prompt == "Which?"
    path.write_text(CHOICE.replace("Which?", "Which one?"))
    assert find("one").prompt == "Which one?"


def test_outside_the_repository(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder 'questions' with a bank in it"):
        find_root(tmp_path)


def test_every_bank_of_the_book_is_sound() -> None:
    """Reading computes every variant of every question: its texts fill, its answer is finite, its slips are distinct."""
    banks, found = read_all(bank_files(ROOT / "questions"))
    assert not found, "\n".join(map(str, found))
    assert all(banks.values())


def test_the_examples_in_the_readme_are_sound(repository: Callable[[str], Path]) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "questions" / "README.md").read_text(), re.DOTALL)
    assert {question.kind for question in load_bank(repository("".join(blocks)))} == {"choice", "numeric", "open", "order"}
