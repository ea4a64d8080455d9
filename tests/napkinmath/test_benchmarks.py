"""The scripts in ``benchmarks/`` that take minutes: that what they run still runs."""

import pytest

from napkinmath import preset


def test_every_closed_form_takes_plain_numbers(benchmark):
    forms = dict(benchmark("whiteboard").closed_forms())
    assert {"attention_score_flops", "conv2d_flops", "kv_cache_bytes"} <= forms.keys()
    assert all(form() is not None for form in forms.values())


def test_a_counter_answers_in_a_process_of_its_own(benchmark):
    row = benchmark("counters").count("whiteboard", "lenet-5", {"batch": 2}, {})
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
def test_a_counter_without_a_count_says_why(benchmark, stderr, says):
    assert benchmark("counters").reason("thop", stderr).startswith(says)


def test_the_long_run_of_batching_takes_its_server_from_the_lab(benchmark):
    *cells, run = benchmark("batching").cells(300)
    assert any("async def compare(" in source for source in cells)
    assert not any("commit_guess(" in source.partition("import")[0] for source in cells)
    assert run.startswith("plan, requests = (('/one', 0.5)")
    compile("\n".join(cells[:2]), "cells", "exec")


def test_no_workload_is_developed_on_and_held_out(benchmark):
    lists = {which: benchmark("predictor").workloads(which) for which in ("development", "int8", "test")}
    presets = {which: {workload.preset for workload in chosen} for which, chosen in lists.items()}
    assert not presets["test"] & (presets["development"] | presets["int8"])
    assert len(lists["development"]) == len(lists["test"]) == 30
    assert {workload.dtype for workload in lists["int8"]} == {"int8"}


def test_every_int8_workload_can_be_rounded(benchmark):
    from napkinmath import reference
    from napkinmath.references.int8 import require_linear

    for name in {workload.preset for workload in benchmark("predictor").workloads("int8")}:
        require_linear(name, reference(name, 1).module)
