"""The reader's own machine in questions: its profile where there is one that holds here, and otherwise the reason to skip."""

from __future__ import annotations

import functools

from napkinmath.errors import InputError
from napkinmath.profile import Profile, home, load_profile

#: Why a question about this machine is not asked, and what to do.
NO_PROFILE = (
    "This question is about your machine, of which there is no profile that holds today. 'napkinmath calibrate' makes one in a minute."
)


class NoProfile(InputError):
    """A question about this machine cannot be asked here."""


def this_machine() -> Profile:
    """The profile that :func:`napkinmath.profile.load_profile` finds, read once as long as no profile changes.

    Raises:
        NoProfile: there is none, or it is another machine's.
    """
    return _load(tuple((path, path.stat().st_mtime_ns) for path in sorted(home().glob("profile-*.json"))))


@functools.lru_cache(maxsize=1)
def _load(stamps: tuple[object, ...]) -> Profile:
    try:
        return load_profile()
    except InputError as error:
        raise NoProfile(NO_PROFILE) from error
