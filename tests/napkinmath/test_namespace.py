"""What an expression in prose may name: every name means one thing, and every closed form explains itself."""

import inspect
from collections import Counter

import pytest

import napkinmath as nm
from napkinmath import hardware, specs


def test_every_name_means_one_thing():
    names = [*nm.closed_form_names(), *specs.preset_identifiers(), *hardware.device_identifiers()]
    assert not [name for name, count in Counter(names).items() if count > 1]


@pytest.mark.parametrize("name", nm.closed_form_names())
def test_closed_forms_explain_themselves(name):
    function = getattr(nm, name)
    assert inspect.getdoc(function), name
    assert all(p.annotation is not inspect.Parameter.empty for p in inspect.signature(function).parameters.values())
