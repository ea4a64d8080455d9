"""Machines on record: written by the benchmark, listed, predicted from."""

import json

import pytest

import napkinmath as nm
from napkinmath import cli, profile
from napkinmath.calibration import Calibration
from napkinmath.errors import InputError


@pytest.fixture
def recorder(benchmark, monkeypatch, synthetic_profile):
    """``record_profile.py``, with the calibration of a synthetic machine."""
    module = benchmark("record_profile")

    class Synthetic(Calibration):
        def __init__(self, budget, device):
            self.device = device

        def spend(self, share):
            pass

        def profile(self):
            return synthetic_profile

    monkeypatch.setattr(module, "Calibration", Synthetic)
    return module


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(profile, "_recordings", lambda: tmp_path / "profiles")
    return tmp_path / "profiles"


@pytest.fixture
def recorded(recorder, folder, capsys):
    recorder.main(["small-box", "--device", "cpu", "--rounds", "2", "--seconds", "0.01", "--workloads", "dlrm-debug", "--out", str(folder)])
    capsys.readouterr()
    return "small-box"


def test_a_machine_on_record_is_listed_with_its_errors(recorded, capsys):
    assert nm.recorded_profiles() == [recorded]
    assert cli.main(["profiles"]) == 0
    assert "small-box: a cpu on record" in (said := capsys.readouterr().out)
    assert "over 2 cases: MAPE" in said
    assert cli.main(["profiles", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[recorded]["summary"]["cases"] == 2


def test_predictions_are_its_own(recorded, synthetic_profile, capsys):
    assert nm.recorded_profile(recorded).samples == synthetic_profile.samples
    assert cli.main(["predict", "lenet-5", "--on", recorded]) == 0
    assert "a cpu on record" in capsys.readouterr().out


def test_a_failed_write_leaves_what_was_there(recorder, recorded, folder, monkeypatch):
    before = (folder / "small-box.json").read_text()
    monkeypatch.setattr(recorder, "conditions", lambda: {"when": object()})
    with pytest.raises(TypeError):
        recorder.main(
            ["small-box", "--device", "cpu", "--rounds", "2", "--seconds", "0.01", "--workloads", "dlrm-debug", "--out", str(folder)]
        )
    assert [path.name for path in folder.iterdir()] == ["small-box.json"]
    assert (folder / "small-box.json").read_text() == before


def test_an_unknown_machine_is_named_with_the_nearest(recorded):
    with pytest.raises(InputError, match=r"no machine 'smal-box' is on record. Did you mean 'small-box'\?"):
        nm.recorded_profile("smal-box")


@pytest.mark.parametrize("name", ["Small", "../x", "a--b", ""])
def test_a_name_that_is_no_file_name_is_refused(recorder, name, capsys):
    with pytest.raises(SystemExit):
        recorder.main([name])
    assert "small letters, digits and single hyphens" in capsys.readouterr().err


@pytest.mark.parametrize("name", nm.recorded_profiles())
def test_a_machine_in_the_package_can_be_predicted_for(name, capsys):
    record = profile.recording(name)
    assert record["check"]["summary"]["cases"] == len(record["check"]["rows"]) >= 30
    assert record["check"]["when"][:10] == record["profile"]["created"][:10], "calibrated and measured on one day"
    machine = nm.recorded_profile(name)
    assert machine.fits.keys() == machine.samples.keys(), "nothing is left to search for"
    assert machine.duration_s <= 60
    assert cli.main(["predict", "lenet-5", "--on", name]) == 0
    assert f"a {machine.device} on record" in capsys.readouterr().out
