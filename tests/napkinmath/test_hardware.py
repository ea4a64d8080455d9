"""The datasheet table: every row complete, dense, sourced; look-ups forgiving and errors clear."""

import datetime
import json

import pytest

import napkinmath
from napkinmath.errors import InputError
from napkinmath.hardware import device, device_identifiers, devices


@pytest.mark.parametrize("row", devices(), ids=lambda d: d.name)
def test_every_row_is_complete_and_sourced(row):
    assert row.peaks
    assert all(1e11 < rate < 1e16 for rate in row.peaks.values())
    assert 3e10 < row.bandwidth_bytes_per_s < 1e13
    assert 1e9 < row.memory_bytes < 1e13
    assert row.source.startswith("https://")
    assert isinstance(row.checked, datetime.date)
    assert row.kind in {"gpu", "tpu", "cpu", "soc"}
    assert (row.interconnect_bytes_per_s > 0) == bool(row.interconnect)
    # A class of CPU has no datasheet that prints a peak: the row has to say where it comes from.
    assert row.kind != "cpu" or row.derivation
    json.dumps(row.to_dict())


@pytest.mark.parametrize("row", devices(), ids=lambda d: d.name)
def test_a_narrower_type_is_never_slower(row):
    order = ["fp32", "tf32", "bf16", "fp8"]
    rates = [row.peaks[dtype] for dtype in order if dtype in row.peaks]
    assert rates == sorted(rates)
    assert row.peaks.get("fp16", row.peaks.get("bf16")) == row.peaks.get("bf16", row.peaks.get("fp16"))


def test_published_figures():
    # NVIDIA's data sheets; H100 and later print the figure with sparsity, which is twice the dense one.
    assert device("a100-80gb").peak_flops("bf16") == 312e12
    assert device("a100-80gb").bandwidth_bytes_per_s == 2039e9
    assert 2 * device("h100-sxm").peak_flops("bf16") == pytest.approx(1979e12, rel=1e-3)
    assert 2 * device("h100-pcie").peak_flops("fp8") == 3026e12
    assert 2 * device("l4").peak_flops("int8") == 485e12
    assert device("h200").peaks == device("h100-sxm").peaks
    assert device("a10g").peak_flops("bf16") == 70e12  # not the A10's 125
    assert device("tpu-v5p").memory_bytes == 95e9


def test_derived_cpu_peaks_follow_from_cores_clock_and_width():
    assert device("cpu-2core-vm").peak_flops("fp32") == 2 * 2.0e9 * 64
    assert device("xeon-8480").peak_flops("bf16") == 56 * 2.0e9 * 1024
    assert device("epyc-9654").peak_flops("fp32") == pytest.approx(96 * 2.4e9 * 32)
    assert device("epyc-9654").bandwidth_bytes_per_s == pytest.approx(12 * 4.8e9 * 8)


def test_ridge_intensity_is_peak_over_bandwidth():
    assert device("a100-80gb").ridge_intensity("bf16") == pytest.approx(312e12 / 2039e9)


@pytest.mark.parametrize("spelling", ["a100-80gb", "A100_80GB", " a100 80gb ", "a100"])
def test_spelling_is_forgiven(spelling):
    assert device(spelling) is device("a100-80gb")


def test_devices_are_attributes_of_the_package():
    assert napkinmath.a100_80gb is device("a100-80gb")
    assert {"h100", "h100_sxm", "tpu_v5e"} <= device_identifiers()


def test_unknown_device_names_the_nearest():
    with pytest.raises(InputError, match=r"device 'a100-90gb' is not in the table\. Did you mean .*'a100-80gb'"):
        device("a100-90gb")
    with pytest.raises(InputError, match="kind='gpus'.*'gpu'"):
        devices("gpus")


def test_a_peak_that_is_not_published_is_refused():
    with pytest.raises(InputError, match=r"t4 has no published peak for it; it has fp32, fp16, int8"):
        device("t4").peak_flops("bf16")
    with pytest.raises(InputError, match="dtype='bf17'"):
        device("t4").peak_flops("bf17")


def test_price_is_the_share_of_one_device():
    price = device("h100-sxm").price
    assert price is not None
    assert device("h100-sxm").price_usd_per_hour == price.usd_per_hour == pytest.approx(55.04 / 8)
    assert price.instance == "p5.48xlarge" and price.source.startswith("https://")


def test_missing_price_says_which_are_known():
    assert device("m1").price is None
    with pytest.raises(InputError, match=r"no price on record for m1; priced devices: a100-40gb, "):
        _ = device("m1").price_usd_per_hour
