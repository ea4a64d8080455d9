"""Questions about the reader's machine: computed from its profile, skipped with a reason where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from napkinmath.errors import InputError
from workbook.questions import load_bank, machine, web
from workbook.questions.bank import read
from workbook.questions.machine import NoProfile, this_machine
from workbook.questions.schema import AnyQuestion
from workbook.questions.variants import variants

BANK = (Path(__file__).parents[2] / "fixtures" / "questions" / "sample.yml").read_text()


@pytest.fixture
def peak(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Give this machine a profile with a peak in FLOP/s."""

    def set_peak(flops: float) -> None:
        monkeypatch.setattr(machine, "_load", lambda stamps: SimpleNamespace(peak_flops=lambda dtype: flops))

    return set_peak


def test_without_a_profile_it_is_skipped_and_says_why(own_home: Path, sample: dict[str, AnyQuestion]) -> None:
    question = sample["sample-machine"]
    with pytest.raises(NoProfile, match="napkinmath calibrate"):
        variants(question)
    (drawn,) = web.draw([question])
    assert "napkinmath calibrate" in drawn.why_not
    text = "".join(str(piece) for piece in web.block([drawn]))
    assert "skipped" in text and "This question is about your machine" in text
    assert 'class="sc-item"' not in text and 'sc-data">[]<' in text
    assert web.entry(drawn)["why_not"] == drawn.why_not


def test_with_a_profile_the_answer_is_this_machines(peak: Callable[[float], None], sample: dict[str, AnyQuestion]) -> None:
    for flops in (1e11, 4e11):
        peak(flops)
        first = variants(sample["sample-machine"])[0]
        assert first.answer == pytest.approx(2 * 64 * 768 * 3072 / flops)
        assert f"{flops / 1e9:.0f} GFLOP/s" in first.prompt
        assert not web.draw([sample["sample-machine"]])[0].why_not


def test_a_bank_loads_on_every_machine_though_authors_see_what_does_not_work_out(
    peak: Callable[[float], None], repository: Callable[[str], Path]
) -> None:
    """On this machine the slip falls onto the answer."""
    head, _, last = BANK.rpartition('{factor: 0.5, say: "Those are MACs."}')
    path = repository(head + """{expr: "answer * this_machine.peak_flops('fp32') / 1e11", say: "x"}""" + last)
    peak(1e11)
    _, problems = read(path)
    assert [problem.id for problem in problems] == ["sample-machine"]
    broken = next(question for question in load_bank(path) if question.id == "sample-machine")
    assert "does not work out on your machine" in web.draw([broken])[0].why_not


def test_only_questions_about_the_machine_know_it(repository: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="unknown name 'this_machine'"):
        load_bank(repository(BANK.replace("  machine: true\n", "")))


def test_the_profile_is_read_again_when_it_changes(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[int] = []
    monkeypatch.setattr(machine, "load_profile", lambda: loaded.append(1))
    this_machine()
    this_machine()
    own_home.mkdir()
    (own_home / "profile-cpu.json").write_text("{}")
    this_machine()
    assert len(loaded) == 2
    machine._load.cache_clear()
