"""The one error that bad input raises, and the near-miss hint that goes into it."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: the message names the input, what is allowed, and the nearest valid choice.

    The command line prints the message alone and exits with 2.
    """


class DtypeError(InputError):
    """An element type that a model cannot be built in where it is asked for."""


#: More choices than this are not listed when none of them is near.
_LISTED = 24

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def did_you_mean(name: str, choices: Iterable[str], listing: str = "") -> str:
    """``" Did you mean 'bert-base'?"``, or the choices when nothing is near: all of them if they are few, else the nearest few.

    ``listing`` says where all choices of a long list can be seen.

    >>> did_you_mean("bert-bse", ["bert-base", "gpt2"])
    " Did you mean 'bert-base'?"
    """
    choices = sorted(set(choices))
    near = difflib.get_close_matches(str(name)[:99].lower(), choices, n=3, cutoff=0.5)
    if near:
        return f" Did you mean {' or '.join(map(repr, near))}?"
    if len(choices) <= _LISTED:
        return f" Choose from: {', '.join(choices)}."
    some = difflib.get_close_matches(str(name)[:99].lower(), choices, n=5, cutoff=0.0)
    return f" There are {len(choices)}, such as {', '.join(some)}{listing and f'; {listing}'}."


def shown(value: object) -> str:
    """``repr(value)`` on one line of bounded length, whatever was given: what a message quotes.

    >>> shown([1] * 1000)
    '[1, 1, 1, 1, 1, 1, ...]'
    """
    try:
        return _SHORT.repr(value).replace("\n", " ")
    except ValueError:  # Python writes out no whole number of more than some thousand digits
        return "a number of thousands of digits"
