"""A profile is kept whole or not at all, and refused wherever it does not hold."""

import dataclasses
import json

import pytest

from napkinmath.errors import InputError
from napkinmath.laws import Law
from napkinmath.profile import Profile, load_profile, profile_path


def test_saved_and_read_back(synthetic_profile, napkinmath_home):
    path = synthetic_profile.save()
    assert path == profile_path("cpu") == napkinmath_home / "profile-cpu.json"
    assert load_profile("cpu") == synthetic_profile
    assert [p.name for p in napkinmath_home.iterdir()] == ["profile-cpu.json"]  # no temporary file is left


def test_a_profile_with_fits_prices_the_same_without_a_search(synthetic_profile, monkeypatch):
    fitted = synthetic_profile.fitted()
    again = Profile.from_dict(json.loads(json.dumps(fitted.to_dict())))
    monkeypatch.setattr(Law, "_search", lambda *_: pytest.fail("searched, although the profile says what was found"))
    for key in synthetic_profile.samples:
        works = fitted._works(key)
        assert again.law(key).price(works).seconds == pytest.approx(synthetic_profile.law(key).price(works).seconds, rel=1e-9)


def test_a_failed_save_leaves_the_old_profile(synthetic_profile, napkinmath_home):
    synthetic_profile.save()
    with pytest.raises(TypeError):
        dataclasses.replace(synthetic_profile, machine={"cpu": object()}).save()
    assert load_profile("cpu") == synthetic_profile
    assert [p.name for p in napkinmath_home.iterdir()] == ["profile-cpu.json"]


def test_missing_profile_says_what_to_run(napkinmath_home):
    with pytest.raises(InputError, match=r"no profile yet .*napkinmath calibrate"):
        load_profile("cpu")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"machine": {"system": "Linux", "cpu": "another", "cores": 1}},
            r"another machine \(Linux, another, 1, here .*napkinmath calibrate",
        ),
        ({"torch": "1.0"}, r"another torch version \(1\.0, here .*napkinmath calibrate"),
        ({"threads": 4096}, r"another thread count \(4096, here .*napkinmath calibrate"),
        ({"schema": 0}, r"schema 0, this version reads 5; .*napkinmath calibrate"),
        ({"bandwidths": [0.0, 1.0]}, "not of the right form"),
        ({"samples": {}}, "not of the right form"),
        ({"samples": {"gemm/fp32": [[[1, 1, 1, 1], 2, 4]]}}, "not of the right form"),
        ({"fits": {"gemm/fp32": {"constants": [0.0], "scales": [1.0], "amplitude": 0.1, "noise": 0.1}}}, "not of the right form"),
        ({"fits": {"no such": {}}}, "not of the right form"),
        ({"extra": 1}, "fields extra are missing or unknown"),
    ],
)
def test_a_profile_that_does_not_hold_here_is_refused_in_one_line(synthetic_profile, napkinmath_home, change, says):
    profile_path("cpu").write_text(json.dumps(synthetic_profile.to_dict() | change))
    with pytest.raises(InputError, match=says) as caught:
        load_profile("cpu")
    assert "\n" not in str(caught.value)


def test_missing_field_is_named(synthetic_profile):
    data = synthetic_profile.to_dict()
    del data["peaks"]
    with pytest.raises(InputError, match="fields peaks are missing or unknown"):
        Profile.from_dict(data)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1', "\x00"])
def test_corrupt_file_is_refused(napkinmath_home, text):
    profile_path("cpu").write_text(text)
    with pytest.raises(InputError, match="napkinmath calibrate"):
        load_profile("cpu")


def test_speeds_and_their_errors(synthetic_profile):
    assert synthetic_profile.peak_flops("fp32") == 100e9
    assert synthetic_profile.ridge_intensity("fp32") == 5.0
    assert synthetic_profile.drift == 0.0
    with pytest.raises(InputError, match="dtype='bf16' was not calibrated"):
        synthetic_profile.peak_flops("bf16")
    assert "100 GFLOP/s" in str(synthetic_profile) and "20 GB/s" in str(synthetic_profile)


def test_a_profile_of_a_busy_machine_says_so(synthetic_profile):
    assert dataclasses.replace(synthetic_profile, noise=0.05).verdict == "quiet"
    drifted = dataclasses.replace(synthetic_profile, noise=0.05, bandwidths=[10e9, 20e9])
    assert "drifted by 50%" in drifted.verdict
    assert "repeats differed by 40%" in dataclasses.replace(synthetic_profile, noise=0.4).verdict
