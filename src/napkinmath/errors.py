"""The one error that bad input raises, and the near-miss hint that goes into it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: the message names the input, what is allowed, and the nearest valid choice.

    The command line prints the message alone and exits with 2.
    """


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """``" Did you mean 'bert-base'?"``, or a list of the choices when nothing is near.

    >>> did_you_mean("bert-bse", ["bert-base", "gpt2"])
    " Did you mean 'bert-base'?"
    """
    choices = sorted(choices)
    near = difflib.get_close_matches(str(name).lower(), choices, n=3, cutoff=0.5)
    if near:
        return f" Did you mean {' or '.join(map(repr, near))}?"
    return f" Choose from: {', '.join(choices)}."
