import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napkinmath.errors import InputError
from napkinmath.ledger import KINDS, Ledger, Op

counts = st.integers(0, 10**15)
ops = st.builds(
    Op,
    name=st.sampled_from(["a/x", "a/y", "b/c/x", "z"]),
    kind=st.sampled_from(KINDS),
    flops=counts,
    other_flops=counts,
    bytes_read=counts,
    bytes_written=counts,
    params=counts,
    dtype=st.sampled_from(["fp32", "bf16"]),
    shape=st.just(((1, 2, 3), (1, 3, 4))),
    layout=st.just((("causal", True),)),
)
ledgers = st.builds(Ledger, name=st.just("random"), origin=st.just("whiteboard"), ops=st.lists(ops, max_size=8).map(tuple))


@given(ledgers, st.sampled_from(["kind", "module", "name", "dtype"]), st.sampled_from([None, 1, 2]))
def test_groups_add_up_to_the_total(ledger, key, depth):
    groups = ledger.by(key, depth).values()
    total = ledger.totals()
    for column in ("flops", "useful_causal_flops", "other_flops", "bytes_read", "bytes_written", "params"):
        assert sum(getattr(g, column) for g in groups) == getattr(total, column)


@given(ledgers)
def test_survives_json(ledger):
    assert Ledger.from_dict(json.loads(json.dumps(ledger.to_dict()))) == ledger


def test_macs_are_half_of_flops():
    ledger = Ledger("one", "whiteboard", (Op("x", "matmul", flops=10),))
    assert ledger.macs == ledger.totals().macs == 5


def test_useful_flops_default_to_all_of_them():
    assert Op("x", "attention", flops=8).useful_causal_flops == 8
    assert Op("x", "attention", flops=8, useful_causal_flops=5).useful_causal_flops == 5


def test_frame_has_one_row_per_op_and_summary_has_shares():
    ledger = Ledger("two", "whiteboard", (Op("a/x", "matmul", flops=30, params=1), Op("b/y", "conv", flops=10)))
    assert list(ledger.frame()["flops"]) == [30, 10]
    assert ledger.summary("kind").loc["matmul", "flops_share"] == 0.75


def test_uncounted_operators_are_shown():
    assert "UNCOUNTED: aten.mystery" in str(Ledger("x", "trace:cpu", (), ("aten.mystery",)))


@pytest.mark.parametrize("data", [{}, {"name": "x", "origin": "whiteboard", "ops": [{"bogus": 1}], "uncounted": [], "notes": []}])
def test_bad_data_is_refused_in_one_line(data):
    with pytest.raises(InputError, match=r"ledger data: .*Ledger.to_dict"):
        Ledger.from_dict(data)


def test_unknown_key_is_named():
    with pytest.raises(InputError, match="key='knd'"):
        Ledger("x", "whiteboard", (Op("a", "matmul"),)).by("knd")
