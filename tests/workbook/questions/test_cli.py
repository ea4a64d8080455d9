"""``workbook questions check``: problems with file and line, and what a bank is short of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from workbook import ROOT
from workbook.cli import main
from workbook.questions.bank import bank_files, changed_ids, read_all
from workbook.questions.cli import report, round_versions, schema_text
from workbook.questions.schema import AnyQuestion

SAMPLE = (Path(__file__).parents[2] / "fixtures" / "questions" / "sample.yml").read_text()


def test_a_sound_bank_is_reported(repository: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = repository(SAMPLE)
    assert main(["questions", "check"]) == 0
    out = capsys.readouterr().out
    assert f"{path}: 9 questions: 4 numeric, 2 choice, 1 multi, 1 open, 1 order\n  levels 1: 1, 2: 6, 3: 2\n" in out
    assert "short of items: 9 of 12" in out
    assert "in no section: sample-linear, sample-flip, sample-share, sample-line" in out


def test_an_invalid_bank_exits_with_2(repository: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = repository(SAMPLE.replace("  level: 1\n", ""))
    assert main(["questions", "check", str(path.parent)]) == 2
    captured = capsys.readouterr()
    line = SAMPLE.splitlines().index("- id: sample-mask") + 1
    assert captured.err == f"{path}:{line}: sample-mask: missing field 'level'\n"


def test_a_path_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["questions", "check", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"workbook: {tmp_path / 'none'}: no such file or folder\n"


def test_the_report_sees_what_gives_the_right_option_away(sample: dict[str, AnyQuestion]) -> None:
    mask = sample["sample-mask"]
    long = mask.model_copy(update={"id": "long", "options": (mask.options[0].model_copy(update={"text": "x" * 90}), *mask.options[1:])})
    assert "right option: longest in 1 of 2 (long); place in the file a: 2" in report([mask, long])
    assert "fewer than half of the questions are level 2 or 3" in report([mask])


def test_the_report_names_sections_of_the_chapter_that_ask_nothing(
    repository: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = repository(SAMPLE)
    page = path.parents[2] / "book" / "part" / "chapter.md"
    page.parent.mkdir(parents=True)
    page.write_text(
        "# T\n\n## The question\n\n## How it works\n\n```{self-check}\n:section: cache\n```\n\n"
        "## What it costs\n\n## Choosing\n\n## Sources\n"
    )
    assert main(["questions", "check"]) == 0
    assert "sections of the chapter that ask nothing: What it costs, Choosing\n" in capsys.readouterr().out


def test_an_id_that_was_published_stays(repository: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = repository(SAMPLE)
    published = path.parents[1] / "published.txt"
    assert main(["questions", "check", "--publish"]) == 0
    assert "\nsample-kv-cache@2\n" in published.read_text()
    before = published.read_text()
    path.write_text(SAMPLE.replace("id: sample-mask", "id: sample-masks").replace("version: 2", "version: 1"))
    capsys.readouterr()
    assert main(["questions", "check", "--publish"]) == 2
    lines = before.splitlines()
    assert capsys.readouterr().err.splitlines() == [
        f"{published}:{lines.index('sample-kv-cache@2') + 1}: sample-kv-cache: version 1 is older than version 2, which was published",
        f"{published}:{lines.index('sample-mask@1') + 1}: sample-mask: was published and is in no bank: "
        "ids are permanent. Did you mean 'sample-masks' or 'sample-machine' or 'sample-sizes'?",
    ]
    assert published.read_text() == before


def test_a_source_that_is_a_key_needs_a_bibliography(repository: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = repository(SAMPLE.replace("  level: 1\n", "  level: 1\n  sources: [vaswani2017]\n"))
    assert main(["questions", "check"]) == 2
    assert "sample-mask: sources: 'vaswani2017' is not in the bibliography." in capsys.readouterr().err
    (path.parents[2] / "book").mkdir()
    (path.parents[2] / "book" / "references.bib").write_text("@article{vaswani2017,\n title={x}}\n")
    assert main(["questions", "check"]) == 0


def test_the_schema_that_is_checked_in_is_the_models() -> None:
    assert (ROOT / "questions" / "schema.json").read_text() == schema_text(), "run 'workbook questions schema'"


@pytest.mark.parametrize("bank", bank_files(ROOT / "questions"), ids=lambda path: path.stem)
def test_editors_find_the_schema_and_a_bank_fits_it(bank: Path) -> None:
    text = bank.read_text()
    assert text.startswith("# yaml-language-server: $schema=../schema.json\n")
    jsonschema.validate(yaml.safe_load(text), json.loads(schema_text()))


def test_the_schema_refuses_what_the_models_refuse() -> None:
    bank = yaml.safe_load(SAMPLE)
    jsonschema.validate(bank, json.loads(schema_text()))
    for broken in ({**bank[0], "levl": 1}, {**bank[0], "kind": "number"}, {**bank[0], "level": 4}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([broken], json.loads(schema_text()))


def test_no_published_id_of_the_book_has_gone() -> None:
    banks, _ = read_all(bank_files(ROOT / "questions"))
    versions = {question.id: question.version for questions in banks.values() for question in questions}
    versions |= round_versions(ROOT / "questions")
    assert not changed_ids(ROOT / "questions" / "published.txt", versions)
