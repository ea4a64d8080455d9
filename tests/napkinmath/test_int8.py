"""int8: modules with packed weights or their own codes as ledgers, references with rounded linear layers, and their predictions."""

import dataclasses
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

import napkinmath as nm  # noqa: E402
from napkinmath import environment  # noqa: E402
from napkinmath.candidates import compare  # noqa: E402
from napkinmath.costmodel import work_of  # noqa: E402
from napkinmath.errors import DtypeError, InputError  # noqa: E402
from napkinmath.references.int8 import quantize_linear  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not environment.packs_int8(), reason="this build of PyTorch has no int8 kernels"),
    pytest.mark.filterwarnings("ignore:.*quantiz.*"),  # a later PyTorch will leave this to another library
]


def layers() -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.GELU(), torch.nn.Linear(64, 16, bias=False)).eval()


def products(ledger):
    return [op for op in ledger if op.kind == "matmul"]


class Codes(torch.nn.Module):
    """A layer that keeps its int8 codes itself, as buffers, beside a table of int8 that no product reads."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(32, 16, dtype=torch.int8))
        self.register_buffer("table", torch.ones(8, 8, dtype=torch.int8))

    def forward(self, x):
        return torch._int_mm(x, self.weight) + torch._int_mm(x, self.weight) + self.table[0].sum()


def test_a_packed_layer_has_its_weights_and_counts_as_the_plain_one():
    x, plain = torch.randn(5, 32), layers()
    before, ledger = nm.trace(plain, x), nm.trace(quantize_linear(plain), x, strict=True)
    assert (ledger.params, ledger.flops) == (before.params, before.flops) == (32 * 64 + 64 + 64 * 16, 2 * 5 * (32 * 64 + 64 * 16))
    assert ledger.weight_bytes == 32 * 64 + 4 * 64 + 64 * 16
    first, second = products(ledger)
    assert (first.dtype, first.params, first.bytes_read, first.bytes_written) == ("int8", 2112, 4 * 5 * 32 + 2048 + 4 * 64, 4 * 5 * 64)
    assert (first.other_flops, second.other_flops) == (5 * 64, 0)  # a bias is added once a result
    assert dict(first.layout)["weight_bytes"] == 2304


def test_a_packed_layer_that_runs_twice_is_counted_once():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(16, 16)

        def forward(self, x):
            return self.layer(self.layer(x))

    ledger = nm.trace(quantize_linear(Twice()), torch.randn(2, 16))
    assert [op.params for op in products(ledger)] == [272, 0]
    assert [dict(op.layout)["weight_bytes"] for op in products(ledger)] == [320, 320]
    assert ledger.params == 272


def test_packed_weights_that_nothing_reads_have_a_row():
    class Unused(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = torch.nn.Linear(16, 16), torch.nn.Linear(16, 8)

        def forward(self, x):
            return self.used(x)

    ledger = nm.trace(quantize_linear(Unused()), torch.randn(2, 16))
    rows = [op for op in ledger if op.kind == "parameters"]
    assert [(op.name, op.params, op.dtype) for op in rows] == [("unused/_packed_params/_packed_params", 136, "int8")]
    assert (ledger.params, ledger.weight_bytes) == (272 + 136, 256 + 64 + 128 + 32)


def test_codes_in_a_buffer_are_weights_where_a_product_reads_them():
    ledger = nm.trace(Codes(), torch.ones(4, 32, dtype=torch.int8))
    assert [op.params for op in products(ledger)] == [512, 0]
    assert all(op.dtype == "int8" and dict(op.layout)["weight_bytes"] == 512 for op in products(ledger))
    assert (ledger.params, ledger.weight_bytes) == (512, 512)


def test_a_packed_convolution_says_how_it_runs():
    layer = torch.ao.nn.quantized.Conv2d(16, 32, 3, stride=2, padding=1, groups=4)
    x = torch.quantize_per_tensor(torch.randn(1, 16, 8, 8), 0.1, 0, torch.quint8)
    ledger = nm.trace(torch.nn.Sequential(layer), x, strict=True)
    (row,) = [op for op in ledger if op.kind == "conv"]
    options = dict(row.layout)
    assert (options["stride"], options["groups"], row.dtype) == ((2, 2), 4, "int8")
    assert (row.flops, row.params) == (2 * 16 * 32 * 4 * 9, 32 * 4 * 9 + 32)


def test_the_law_of_a_packed_layer():
    cold, *_ = products(nm.trace(quantize_linear(layers()), torch.randn(5, 32)))
    assert work_of(cold).key == "gemm.packed/int8"
    assert work_of(cold).dims == (5, 32, 64, 1, 2)
    assert work_of(cold, weights_hot=True).key == "gemm.packed.hot/int8"
    one = dataclasses.replace(cold, shape=((1, 1, 32), (1, 32, 64)))
    assert work_of(one).key == "gemm.packed/int8"  # one token is no law of its own here
    again, *_ = products(nm.trace(Codes(), torch.ones(1, 32, dtype=torch.int8)))
    assert (work_of(again).key, work_of(again, weights_hot=True).key) == ("gemm/int8", "gemm.hot/int8")


@pytest.mark.parametrize(
    ("name", "sizes"), [("distilbert", {"seq": 16}), ("gpt2", {"seq": 1, "context": 8}), ("deit-ti", {}), ("t5-small", {})]
)
def test_a_reference_in_int8_gives_nearly_the_same(name, sizes):
    sizes = {"seq": 8, "target": 4} if name == "t5-small" else sizes
    torch.manual_seed(0)
    exact = nm.reference(name, 1, device="cpu", attention="sdpa", **sizes)
    torch.manual_seed(0)
    rounded = nm.reference(name, 1, device="cpu", attention="sdpa", dtype="int8", **sizes)
    with torch.inference_mode():
        a, b = (next(iter(built.module(**built.inputs).values())) for built in (exact, rounded))
    assert 0 < (a - b).norm() / a.norm() < 0.1
    before, after = (nm.trace(built.repeatable(), **built.inputs, strict=True) for built in (exact, rounded))
    assert after.flops == before.flops
    linear = sum(op.flops for op in before if op.op.startswith(("aten.addmm", "aten.mm")))
    assert sum(op.flops for op in after if op.dtype == "int8") == linear > 0.8 * before.flops


def test_what_cannot_be_int8_is_one_line():
    with pytest.raises(
        DtypeError, match="resnet-18 cannot be built in int8: .* 4% of this model's matrices are in such layers; use fp32 or bf16"
    ):
        nm.reference("resnet-18", 1, device="cpu", dtype="int8")
    with pytest.raises(DtypeError, match="on a CPU; build it with device='cpu'$"):
        nm.reference("bert-base", 1, 8, dtype="int8")
    with pytest.raises(DtypeError, match="device='cpu' and fake=False"):
        nm.reference("bert-base", 1, 8, device="cpu", fake=True, dtype="int8")
    with pytest.raises(InputError, match="can be fp32, bf16, fp16, fp64, int8. Did you mean 'int8'"):
        nm.reference("bert-base", 1, 8, dtype="int4")


def test_a_rounded_model_is_predicted_by_its_own_laws(synthetic_profile):
    plain = torch.nn.Sequential(torch.nn.Linear(256, 512), torch.nn.GELU(), torch.nn.Linear(512, 256))
    ledger = nm.trace(quantize_linear(plain), torch.randn(64, 256))
    prediction = nm.predict(ledger, dataclasses.replace(synthetic_profile, cache_bytes=0))
    assert prediction.extrapolated_share == 0
    for row, op in zip((r for r in prediction.rows if r.kind == "matmul"), products(ledger), strict=True):
        true_s = 3e-6 + op.flops / 400e9 + op.bytes_moved / 20e9  # the synthetic machine's dispatch, int8 peak and bandwidth
        assert row.seconds == pytest.approx(true_s, rel=0.25)
    without = {key: rows for key, rows in synthetic_profile.samples.items() if not key.endswith("int8")}
    with pytest.raises(InputError, match="dtype='int8' was not calibrated on this cpu"):
        nm.predict(ledger, dataclasses.replace(synthetic_profile, samples=without, peaks={"fp32": [1e9]}))


def test_candidates_in_int8_on_this_machine(synthetic_profile):
    table = compare(["distilbert", "mobilenet-v2"], synthetic_profile, dtype="int8").set_index("preset")
    assert table.loc["mobilenet-v2", "fails"] == "dtype"
    row = table.loc["distilbert"]
    assert row["fits"] and row["low_s"] < row["p50_s"] < row["high_s"]
    spec = nm.preset("distilbert")
    tables = (spec.vocab + spec.max_positions) * spec.d_model
    # Tables stay in fp32, the rest takes a byte a weight; on top comes the largest operation.
    assert row["memory_bytes"] > 4 * tables + (spec.params() - tables)


@pytest.mark.parametrize(
    ("capabilities", "works", "expected"),
    [
        ({}, True, ("fp32",)),
        ({"avx512_vnni": True}, True, ("fp32", "int8")),
        ({"avx_vnni": True, "avx512_bf16": True}, True, ("fp32", "bf16", "int8")),
        ({"dot": True, "bf16": False}, True, ("fp32", "int8")),
        ({"amx_int8": True, "amx_tile": True}, False, ("fp32", "bf16")),
    ],
)
def test_int8_is_calibrated_where_the_processor_has_it(monkeypatch, capabilities, works, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(environment, "_multiplies_int8", lambda device: works)
    assert environment.native_dtypes("cpu") == expected


def test_an_integer_product_is_tried(monkeypatch):
    assert environment._multiplies_int8("cpu")

    def refuses(*_):
        raise RuntimeError("not here")

    monkeypatch.setattr(torch, "_int_mm", refuses)
    assert not environment._multiplies_int8("cpu")


def test_the_command_says_what_cannot_be_rounded(synthetic_profile, napkinmath_home):
    synthetic_profile.save()
    command = [sys.executable, "-m", "napkinmath.cli", "predict", "--dtype", "int8"]
    done = subprocess.run([*command, "resnet-18"], capture_output=True, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1) and "cannot be built in int8" in done.stderr
    done = subprocess.run([*command, "deit-ti"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "fitted to a 60 s calibration" in done.stdout


def test_packed_weights_take_memory():
    x, module = torch.randn(64, 256), quantize_linear(torch.nn.Sequential(torch.nn.Linear(256, 512), torch.nn.Linear(512, 256)))
    predicted, measured = nm.peak_memory(module, x), nm.measured_peak(module, x)
    weights = 2 * 256 * 512 + 4 * (512 + 256)
    assert predicted.parts()["weights"] == weights
    assert measured.events[0] == ("forward", weights + x.nbytes)
    assert predicted.peak_bytes == pytest.approx(measured.peak_bytes, rel=0.05)


def test_a_model_too_large_to_be_rounded_here_is_refused_before_it_is_built(monkeypatch, synthetic_profile):
    monkeypatch.setattr(nm.references, "free_memory_bytes", lambda: 1e6)
    with pytest.raises(DtypeError, match=r"distilbert in fp32 takes 265 MB and 1 MB can be used here"):
        nm.reference("distilbert", 1, 8, device="cpu", dtype="int8")
    assert compare("distilbert", synthetic_profile, dtype="int8", seq=8).iloc[0]["fails"] == "dtype"
