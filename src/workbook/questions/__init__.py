"""The self-check: one bank of questions (``questions/<part>/<chapter>.yml``), one grader, several renderings."""

from .bank import load_bank
from .notebook import check

__all__ = ["check", "load_bank"]
