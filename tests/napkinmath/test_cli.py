"""The command line as a reader uses it: answers, JSON, and one clear line with exit code 2 for bad input."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napkinmath.cli import COMMANDS, main


def run(capsys, *argv):
    code = main(list(argv))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_cost_as_json_has_every_column(capsys):
    code, out, err = run(capsys, "cost", "llama-3-8b", "--mode", "decode", "--context", "8192", "--json")
    cost = json.loads(out)
    assert (code, err) == (0, "")
    assert cost["params"] == 8_030_261_248
    assert cost["kv_cache_bytes"] == 2**30
    assert (
        cost["flops"]
        == 2 * cost["macs"]
        == sum(g["flops"] for g in cost["by_kind"].values())
        == sum(g["flops"] for g in cost["by_module"].values())
    )


def test_cost_in_words_names_its_conditions(capsys):
    code, out, _ = run(capsys, "cost", "bert-base", "--batch", "8", "--seq", "128")
    assert code == 0
    assert "bert-base: forward, batch 8, seq 128, bf16" in out
    assert "178,787,450,880" in out


def test_presets_carry_sources_and_counts(capsys):
    rows = json.loads(run(capsys, "presets", "--family", "encoder", "--json")[1])
    assert {r["name"] for r in rows} >= {"bert-base", "bert-large", "distilbert"}
    assert {r["family"] for r in rows} == {"encoder"}
    assert all(r["params"] == (r["published_params"] or r["params"]) and r["source"].startswith("https://") for r in rows)


def test_witnesses_explain_every_difference(capsys):
    readings = json.loads(run(capsys, "witnesses", "distilbert", "--seq", "16", "--json")[1])["readings"]
    assert [r["unexplained"] for r in readings] == [0, 0, 0, 0]
    assert "prints multiply-accumulates" in run(capsys, "witnesses", "distilbert", "--seq", "16")[1]


def test_predict_on_a_datasheet_device_is_an_interval(capsys):
    prediction = json.loads(run(capsys, "predict", "bert-base", "--on", "a100-80gb", "--dtype", "fp16", "--json")[1])
    assert 0 < prediction["low_s"] < prediction["p50_s"] < prediction["high_s"]


def test_a_training_step_is_three_forward_passes_of_matmuls(capsys):
    forward, train = (
        json.loads(run(capsys, "cost", "bert-base", "--seq", "16", "--attention", "eager", "--mode", mode, "--json")[1])
        for mode in ("forward", "train")
    )
    assert train["flops"] == 3 * forward["flops"]
    assert train["params"] == forward["params"]


def test_a_decode_step_of_latent_attention_is_what_a_server_runs(capsys):
    cost = json.loads(run(capsys, "cost", "deepseek-v3", "--mode", "decode", "--context", "4096", "--json")[1])
    assert 140e9 < cost["flops"] < 145e9  # transformers, which rebuilds keys and values of all tokens, spends 8.5 TFLOP


def test_tables_that_a_training_step_updates_whole_are_named(capsys):
    argv = ("cost", "dlrm-mlperf", "--mode", "train")
    assert "dense gradients" in run(capsys, *argv)[1]
    assert any("dense gradients" in note for note in json.loads(run(capsys, *argv, "--json")[1])["notes"])
    assert "dense gradients" not in run(capsys, "cost", "gpt2", "--mode", "train")[1]


def test_families_have_short_names(capsys):
    moe, spelled = (json.loads(run(capsys, "presets", "--family", name, "--json")[1]) for name in ("moe", "Mixture-of-Experts"))
    assert moe == spelled and {row["family"] for row in moe} == {"mixture-of-experts"}
    assert json.loads(run(capsys, "presets", "--family", "state-space", "--json")[1])


def test_a_prediction_says_when_the_device_is_too_small(capsys):
    argv = ("predict", "llama-3-70b", "--dtype", "fp16", "--on")
    assert "does not fit: llama-3-70b needs 141 GB and t4 has 16 GB" in run(capsys, *argv, "t4")[1]
    assert not json.loads(run(capsys, *argv, "t4", "--json")[1])["fits_memory"]
    assert "does not fit" not in run(capsys, *argv, "b200")[1]


def test_a_device_without_the_dtype_is_a_row_that_does_not_fit(capsys):
    argv = ("compare", "gpt2", "--on", "t4", "h100-sxm", "--dtype", "bf16")
    fits, fails = json.loads(run(capsys, *argv, "--json")[1])
    assert (fits["device"], fits["fits"], fails["device"], fails["fails"], fails["p50_s"]) == ("h100-sxm", True, "t4", "dtype", None)
    assert "fails: no bf16" in run(capsys, *argv)[1]


def test_a_reader_that_has_enough_ends_it_quietly():
    done = subprocess.run(f"{sys.executable} -m napkinmath.cli presets | head -1", shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("name")
    assert done.stderr == ""


def test_compare_ranks_presets_under_constraints(capsys):
    command = [
        "compare",
        "bert-base",
        "distilbert",
        "--on",
        "t4",
        "a100-80gb",
        "--batch",
        "1",
        "8",
        "--dtype",
        "fp16",
        "--max-latency",
        "20ms",
    ]
    rows = json.loads(run(capsys, *command, "--json")[1])
    assert len(rows) == 8
    assert [row["fits"] for row in rows] == sorted((row["fits"] for row in rows), reverse=True)
    assert all((row["high_s"] <= 0.02) == row["fits"] for row in rows)
    text = run(capsys, *command)[1]
    assert "fits" in text and "$ per 1k" in text


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["compare", "bert-base", "--on", "t4", "--dtype", "fp16", "--max-memory", "16 s"], "--max-memory"),
        (["compare", "bert-base", "--on", "t5"], "device 't5' is not in the table"),
        (["cost", "brt-base"], "preset 'brt-base' is not known. Did you mean 'bert-base'"),
        (["cost", "gpt2", "--batch", "-3"], "batch=-3 is out of range; allowed: 1 to"),
        (["cost", "gpt2", "--batch", "2.5"], "'2.5' is not a whole number; nearest: 2"),
        (["cost", "gpt2", "--batch", "many"], "'many' is not a whole number"),
        (["cost", "gpt2", "--seq", "5000"], "seq=5000 exceeds the 1024 positions of gpt2; nearest: 1024"),
        (["cost", "gpt2", "--dtype", "fp23"], "dtype='fp23' is not known. Did you mean 'fp32'"),
        (["cost", "bert-base", "--mode", "decode"], "bert-base generates no tokens"),
        (["csot", "gpt2"], "'csot' is not a command. Did you mean 'cost'"),
        (["cost"], "PRESET"),
        (["presets", "--family", "encodr"], "family='encodr' is not known. Did you mean 'encoder'"),
        (["predict", "gpt2", "--on", "a100-8gb"], "device 'a100-8gb' is not in the table. Did you mean 'a100-80gb'"),
        (["measure", "llama-3-405b"], "llama-3.1-405b in fp32 takes 1.62 TB"),
        (["compare", "bert-base", "--on", "t4", "--max-memory", "16"], "'16' of what? Write the unit too, as in 16GB"),
        (["compare", "bert-base", "--on", "t4", "--max-latency", "20"], "'20' of what? Write the unit too, as in 20ms"),
        (["cost", "gpt2", "--bacth", "8"], "'--bacth' is not an option of 'napkinmath cost'. Did you mean '--batch'"),
        (["cost", "gpt2", "bert-base"], "'bert-base' is one argument too many for 'napkinmath cost'"),
        (["cost", "gpt2", "--mode", "decod"], "'decod' is not allowed for --mode. Did you mean 'decode'"),
        (["cost", "gpt2", "--mode", "a'decode"], "is not allowed for --mode. Did you mean 'decode'"),
        (["cost", "gpt2", "--mode", "decode", "--seq", "9", "--context", "99"], "seq=9 with context=99: a decode step has one query token"),
        (["cost", "t5-small", "--mode", "decode", "--target", "9", "--context", "99"], "target=9 with context=99: a decode step has one"),
        (["cost", "gpt2", "--mode", "decode", "--context", "0"], "context=0 is out of range"),
        (["cost", "none-such-as-this"], "'napkinmath presets' lists all"),
        (["calibrate", "--budget", "1"], "budget_s=1"),
        (["calibrate", "--budget", "soon"], "soon"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(capsys, argv, says):
    code, out, err = run(capsys, *argv)
    assert code == 2
    assert out == ""
    assert says in err
    assert err.startswith("napkinmath: ")
    assert err.count("\n") == 1


numbers = st.one_of(st.integers(-(10**14), 10**14).map(str), st.floats().map(str), st.text(max_size=6))


@settings(max_examples=60, deadline=None)
@given(
    name=st.one_of(st.sampled_from(["gpt2", "bert-base", "llama-3-405b"]), st.text(max_size=8)),
    flags=st.dictionaries(st.sampled_from(["--batch", "--seq", "--context", "--dtype", "--mode", "--attention"]), numbers, max_size=3),
)
def test_any_input_gives_an_answer_or_one_line(name, flags):
    argv = ["cost", name, "--json", *(part for flag in flags.items() for part in flag)]
    if {"-h", "--help"} & set(argv):
        return
    assert main(argv) in (0, 2)


def test_help_lists_every_command():
    text = subprocess.run([sys.executable, "-m", "napkinmath.cli", "--help"], capture_output=True, text=True, check=True).stdout
    assert all(command in text for command in COMMANDS)


def test_counting_loads_nothing_heavy():
    program = (
        "import sys; from napkinmath.cli import main; main(['cost', 'llama-3-405b', '--seq', '8192']);"
        "import napkinmath; napkinmath.a100_80gb;"
        "print([m for m in ('torch', 'pandas', 'sympy', 'altair', 'numpy', 'transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_the_quick_commands_are_much_quicker_than_loading_torch():
    def cpu_seconds(program):
        code = f"{program}; import resource; r = resource.getrusage(resource.RUSAGE_SELF); print(r.ru_utime + r.ru_stime)"
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()[-1])

    quick = "from napkinmath.cli import main; main(['cost', 'llama-3-405b', '--seq', '8192'])"
    assert cpu_seconds(quick) < cpu_seconds("import torch") / 2
