"""What makes the book work: the Sphinx extension, the questions, the labs, and the server that readers start."""

from pathlib import Path

#: The repository: the book is built and served from a clone, where this package is installed in place.
ROOT = Path(__file__).resolve().parents[2]
