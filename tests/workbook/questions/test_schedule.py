"""The schedule and the progress file, against the table that the website passes too (``tests/browser/test_self_check.py``)."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napkinmath.errors import InputError
from workbook.questions import progress, schedule
from workbook.questions.grader import Verdict
from workbook.questions.progress import Record
from workbook.questions.schedule import INTERVALS, Answered

FIXTURES = json.loads((Path(__file__).parents[2] / "fixtures" / "schedule.json").read_text())


def log(entries: list[Any]) -> tuple[Answered, ...]:
    return tuple(Answered(*entry) for entry in entries)


def record(item: dict[str, Any]) -> Record:
    return Record(**{**item, "log": log(item["log"])})


@pytest.mark.parametrize("case", FIXTURES["due"], ids=str)
def test_due(case: list[Any]) -> None:
    entries, box, day = case
    assert schedule.due(log(entries)) == (box, day)


@pytest.mark.parametrize("case", FIXTURES["graded"], ids=str)
def test_the_first_answer_of_a_day_counts(case: list[Any]) -> None:
    entries, day, right, after = case
    verdict = Verdict("good" if right else "off", right, "", log_ratio=0.25)
    assert Record(log=log(entries)).graded(verdict, day).log == log(after)


@pytest.mark.parametrize("when", ["due", "new", "missed", "all"])
def test_choose(when: schedule.When) -> None:
    given = FIXTURES["choose"]
    logs = {name: log(entries) for name, entries in given["logs"].items()}
    assert schedule.choose(logs, given["day"], when) == given[when]


@given(st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=60))
def test_a_state_is_sane_whatever_happened(answers: list[tuple[int, bool]]) -> None:
    entries: tuple[Answered, ...] = ()
    for day, right in answers:
        entries = schedule.add(entries, Answered(day, right))
    assert [entry.day for entry in entries] == sorted({entry.day for entry in entries})
    box, due = schedule.due(entries)
    assert 0 <= box < len(INTERVALS)
    if entries:
        assert due is not None
        assert due > entries[-1].day or (entries[-1].right and due > max(entry.day for entry in entries)), "never due again at once"
        assert entries[-1].right or (box, due) == (0, entries[-1].day + INTERVALS[0])


def test_right_once_stays_right_and_the_schedule_sees_the_miss() -> None:
    wrong, right = Verdict("off", False, ""), Verdict("exact", True, "", log_ratio=0.0)
    after = Record().graded(right, 5).graded(wrong, 5).graded(wrong, 8)
    assert after == Record(right=True, tries=3, log=(Answered(5, True, 0.0), Answered(8, False)))


# The file -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", FIXTURES["merge"], ids=str)
def test_merge(case: list[dict[str, Any]]) -> None:
    one, other, both = map(record, case)
    assert one.merged(other) == both


@pytest.mark.parametrize("text", FIXTURES["refused"])
def test_a_file_that_is_not_ours_is_refused_with_one_sentence(text: str) -> None:
    with pytest.raises(InputError) as error:
        progress.load(text)
    assert str(error.value) in progress.SAYS.values()


def test_another_version_is_told_from_another_file() -> None:
    with pytest.raises(InputError, match="another version"):
        progress.load(progress.dump({}).replace('"version": 2', '"version": 3'))


def test_a_file_reads_back() -> None:
    records = {"a-b@1": Record(True, 2, 1, log([[5, True, 0.1], [9, False, None]]), "so: 'x' \u00e9"), "c@12": Record()}
    assert progress.load(progress.dump(records, session={"left": []})) == records


@given(st.text(max_size=60) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5).map(json.dumps))
def test_any_text_is_refused_or_read(text: str) -> None:
    with contextlib.suppress(InputError):
        progress.load(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert progress.read_file(tmp_path / "none.json") == {}
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="bad.json cannot be read: not text"):
        progress.read_file(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(InputError, match="bad.json: That file does not hold progress"):
        progress.read_file(tmp_path / "bad.json")
