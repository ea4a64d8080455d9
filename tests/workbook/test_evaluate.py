"""The evaluator: values against Python, units from names, and everything it must refuse."""

import pytest

import napkinmath as nm
from napkinmath.errors import InputError
from napkinmath.units import Quantity
from workbook.evaluate import Evaluated, evaluate
from workbook.naming import unit_of


@pytest.mark.parametrize(
    ("expression", "value", "unit", "text"),
    [
        ("bert_base.params()", nm.bert_base.params(), "params", "109 M params"),
        ("bert_base.params() -> int", nm.bert_base.params(), "params", "109,482,240"),
        ("bert_base.params() -> number", nm.bert_base.params(), "params", "109,482,240"),
        ("bert_base.d_model", 768, "", "768"),
        ("bert_base.flops(batch=8, seq=128) -> GFLOP:4", nm.bert_base.flops(8, 128), "FLOP", None),
        ("bert_base.macs(batch=8, seq=128)", nm.bert_base.macs(8, 128), "MAC", None),
        ("llama_3_8b.kv_cache_bytes(batch=1, context=8192) -> GiB", 2**30, "B", "1 GiB"),
        ("llama_3_8b.kv_cache_bytes(batch=1, context=8192)", 2**30, "B", "1.07 GB"),
        ("llama_3_8b.kv_cache_bytes(batch=1, context=8192) / 2", 2**29, "B", "537 MB"),
        ("bert_base.score_flops_share(seq=128) -> %:2", nm.bert_base.score_flops_share(128), "%", None),
        ("bert_base.score_flops_share(seq=128)", nm.bert_base.score_flops_share(128), "%", None),
        ("bert_base.flops(batch=1, seq=512) / bert_base.flops(batch=1, seq=128) -> x", None, "", None),
        ("3 / 2 -> x", 1.5, "", "1.5\N{MULTIPLICATION SIGN}"),
        ("0.27 -> %", 0.27, "", "27%"),
        ("2 * bert_base.params() * 128 -> GFLOP", 2 * nm.bert_base.params() * 128, "params", "28 GFLOP"),
        ("min(bert_base.params(), 5)", 5, "params", "5 params"),
        ("max([1, 2][0], {'a': 3}['a'])", 3, "", "3"),
        ("1 if bert_base.d_model > 700 else 2", 1, "", "1"),
        ("-(2**10) // 3 % 5", -(2**10) // 3 % 5, "", "3"),
    ],
)
def test_value_unit_and_text(expression: str, value: float | None, unit: str, text: str | None) -> None:
    result = evaluate(expression)
    assert result.unit == unit
    if value is not None:
        assert result.value == value
    if text is not None:
        assert result.text == text


def test_a_quotient_of_units_reads_as_its_own_unit() -> None:
    extra = {
        "work": Quantity(1e12, "FLOP"),
        "rate": Quantity(5e12, "FLOP/s"),
        "traffic": Quantity(1e10, "B"),
        "price": Evaluated(2.0, "$", ""),
    }
    assert evaluate("work / rate", extra) == Evaluated(0.2, "s", "200 ms")
    assert evaluate("work / traffic", extra).unit == "FLOP/B"
    assert evaluate("traffic / (work / rate)", extra).text == "50 GB/s"
    assert evaluate("price * 3", extra).text == "$6"
    assert evaluate("work / rate -> us", extra).text == "200,000 us"


def test_given_names_win_over_the_package_and_unknown_ones_get_a_hint() -> None:
    assert evaluate("bert_base", {"bert_base": 4}).value == 4
    with pytest.raises(InputError, match="bert_bas.*Did you mean 'bert_base'"):
        evaluate("bert_bas.params()")
    with pytest.raises(InputError, match="has no 'parms'.*Did you mean 'params'"):
        evaluate("bert_base.parms()")


@pytest.mark.parametrize(
    "expression",
    [
        "bert_base.__class__",
        "bert_base._x",
        "__import__('os')",
        "(lambda: 1)()",
        "[x for x in (1, 2)]",
        "open('x')",
        "'{0.__class__}'.format(1)",
        "f'{bert_base}'",
        "charts.alt",
        "charts.os",
        "importlib",
        "bert_base.params.__func__",
        "(x := 1)",
        "max(*[1, 2])",
        "TransformerSpec(name='x')",
        "1 if",
        "",
        "2 ** 9999",
        "10 << 3",
        "'a' * 3",
        "b'x'",
        "1 / 0",
        "[1][4]",
    ],
)
def test_what_is_refused_names_the_expression(expression: str) -> None:
    with pytest.raises(InputError) as error:
        evaluate(expression)
    assert str(error.value).startswith(f"`{expression}`") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("bert_base.params() + bert_base.flops(batch=1, seq=1) + bert_base.weight_bytes()", "mixes FLOP and B"),
        ("bert_base.macs(batch=1, seq=1) -> FLOP", "unit of FLOP; this has the unit MAC"),
        ("bert_base.weight_bytes() -> ms", "unit of s; this has the unit B"),
        ("bert_base.weight_bytes() -> %", "needs a ratio"),
        ("bert_base.weight_bytes() -> furlong", "furlong"),
        ("bert_base.weight_bytes() -> GB:99", "whole number from 1 to 15"),
        ("bert_base.weight_bytes() * bert_base.flops(batch=1, seq=1)", "works out as"),
        ("bert_base -> GB", "needs a number"),
        ("bert_base.flops(batch=0, seq=1)", "batch"),
    ],
)
def test_units_that_do_not_fit_are_errors(expression: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        evaluate(expression)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("kv_cache_bytes", "B"),
        ("bandwidth_bytes_per_s", "B/s"),
        ("peak_flops_per_s", "FLOP/s"),
        ("flops_per_token", "FLOP/tokens"),
        ("score_flops_share", "%"),
        ("price_usd", "$"),
        ("p99_s", "s"),
        ("linear_intensity", "FLOP/B"),
        ("bytes_moved", "B"),
        ("score_ffn_crossover_seq", "tokens"),
        ("d_model", ""),
        ("n_layers", ""),
        ("seq", ""),
        ("classes", ""),
        ("bytes_per_value", "B"),
    ],
)
def test_a_name_says_its_unit(name: str, unit: str) -> None:
    assert unit_of(name) == unit
