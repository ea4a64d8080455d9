"""``workbook anki``: the deck in Anki's own importer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anki.collection import Collection, ImportAnkiPackageOptions, ImportAnkiPackageRequest

from workbook.cli import main

SAMPLE = (Path(__file__).parents[2] / "fixtures" / "questions" / "sample.yml").read_text()


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    collection = Collection(str(tmp_path / "collection.anki2"))
    yield collection
    collection.close()


def load(collection: Collection, deck: Path) -> dict[str, dict[str, str]]:
    """Import a deck; the fields of every note, by its id."""
    collection.import_anki_package(ImportAnkiPackageRequest(package_path=str(deck), options=ImportAnkiPackageOptions()))
    notes = [collection.get_note(note) for note in collection.find_notes("")]
    return {note["Id"]: dict(note.items()) for note in notes}


def test_a_deck_imports_twice_without_duplicates_and_updates(
    repository: Callable[[str], Path], collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, deck = repository(SAMPLE), tmp_path / "out.apkg"
    assert main(["anki", str(deck)]) == 0
    first = load(collection, deck)
    assert len(first) == 8
    assert load(collection, deck) == first
    assert collection.note_count() == collection.card_count() == 8
    later = time.time() + 60
    monkeypatch.setattr("time.time", lambda: later)
    path.write_text(SAMPLE.replace("How large is the KV cache", "How big is the KV cache"))
    assert main(["anki", str(deck)]) == 0
    again = load(collection, deck)
    assert collection.note_count() == 8
    assert "How big" in again["sample-kv-cache"]["Question"]
    assert {deck.name for deck in collection.decks.all_names_and_ids()} >= {"Neural Architectures by the Numbers::Part::Chapter"}


def test_what_stands_on_a_card(repository: Callable[[str], Path], collection: Collection, tmp_path: Path) -> None:
    repository(SAMPLE)
    main(["anki", str(tmp_path / "out.apkg")])
    notes = load(collection, tmp_path / "out.apkg")
    cache = notes["sample-kv-cache"]
    assert r"\(2 \cdot n_{layers}" in cache["Question"] and "<i>in GB</i>" in cache["Question"]
    assert "<b>0.537 GB</b>" in cache["Answer"]
    assert "268 MB: Store both K and V." in cache["Wrong roads"]
    mask = notes["sample-mask"]
    assert "&lt;script&gt;" in mask["Question"] and not re.search("<script|<img|<b onclick", "".join(mask.values()))
    assert notes["sample-sizes"]["Answer"] == "<p><b>A, B, D, C</b></p>"
    card = collection.get_card(collection.find_cards("Id:sample-kv-cache")[0])
    assert "Store both K and V." in card.answer()
    assert "Store both" not in card.question()


def test_a_name_that_anki_would_not_open_is_refused(
    repository: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository(SAMPLE)
    assert main(["anki", str(tmp_path / "out.zip")]) == 2
    assert "Anki opens files that end in .apkg, such as out.apkg" in capsys.readouterr().err
    assert main(["anki", str(tmp_path / "none" / "out.apkg")]) == 2
    assert "out.apkg cannot be written: No such file or directory" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.apkg"))
