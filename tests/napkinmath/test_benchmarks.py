"""The scripts in ``benchmarks/`` that take minutes: that what they run still runs."""

import importlib.util
from pathlib import Path

import pytest

from napkinmath import preset

FOLDER = Path(__file__).parents[2] / "benchmarks"


def load(name):
    found = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_closed_form_takes_plain_numbers():
    forms = dict(load("whiteboard").closed_forms())
    assert {"attention_score_flops", "conv2d_flops", "kv_cache_bytes"} <= forms.keys()
    assert all(form() is not None for form in forms.values())


def test_a_counter_answers_in_a_process_of_its_own():
    row = load("counters").count("whiteboard", "lenet-5", {"batch": 2}, {})
    assert row["printed"] == preset("lenet-5").flops(2)
    assert 0 < row["seconds"] <= row["with_building_s"]
    assert row["peak_mb"] > 1


@pytest.mark.parametrize(
    ("stderr", "says"),
    [
        ("Traceback\nModuleNotFoundError: No module named 'thop'\n", "not installed: see the head"),
        ("Traceback\nModuleNotFoundError: No module named 'distutils'\n", "ModuleNotFoundError: No module named 'distutils'"),
        ("", "ended without a word"),
    ],
)
def test_a_counter_without_a_count_says_why(stderr, says):
    assert load("counters").reason("thop", stderr).startswith(says)
