"""The rule that no number with a unit is typed by hand, as a check of Markdown text.

A number with a unit in prose has to be computed (``{n}``), marked as set by the author (``{given}``), or carry its source in
the same sentence: a link to another site, a footnote or a ``{cite}``. :func:`bare_numbers` finds those that do none of these.

Not looked at: code, math, the contents of roles, link targets, comments and front matter. Not a number with a unit:
``batch 8``, ``layer 12``, a year, a section number, ``768`` alone, ``16x16``, ``BERT-110M`` or ``a 7B model`` (names).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Finding(NamedTuple):
    """A number with a unit that nothing vouches for: its line (from 1), itself, and the sentence around it."""

    line: int
    text: str
    sentence: str


def bare_numbers(markdown: str) -> list[Finding]:
    """Numbers with a unit in ``markdown`` that are neither computed, given nor cited.

    >>> [finding.text for finding in bare_numbers("It takes 12 ms and {n}`x_bytes()`, batch 8.")]
    ['12 ms']
    """
    findings = []
    for start, sentence in _sentences(_mask(markdown)):
        if _CITATION.search(sentence):
            continue
        for match in _NUMBER_WITH_UNIT.finditer(sentence):
            line = markdown.count("\n", 0, start + match.start()) + 1
            findings.append(Finding(line, " ".join(match.group().split()), " ".join(sentence.split())))
    return findings


_DIGITS = r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?:\s?[x×]\s?10\^?[\d⁰¹²³⁴⁵⁶⁷⁸⁹⁻-]+)?"
_WORDS = (
    "one two three four five six seven eight nine ten eleven twelve fifteen sixteen twenty thirty forty fifty sixty hundred thousand dozen"
)
_WORD_NUMBER = rf"(?:{'|'.join(_WORDS.split())})(?:[ -](?:{'|'.join(_WORDS.split())}))?"
_SCALE = r"(?:hundred|thousand|million|billion|trillion)s?"

#: Units that stand as symbols after digits; case matters (``GB`` but not ``gb``; ``s`` but not ``S``).
_SYMBOLS = (
    r"(?:[kKMGTPE]i?B(?:/s|ps)?|[kMGTPE]?FLOPs?(?:/s|/B)?|[kMGTPE]?FLOPS|[kMGTPE]?MACs?(?:/s)?|[TP]OPS|[kMGT]?bps|[kMGT]bit/s"
    r"|ns|[µμu]s|ms|s|sec|min|h|QPS|qps|rps|req/s|tok/s|[kMG]?Hz|[mkM]?W|kWh|USD)(?![\w-])"
)
#: Units that are words, after digits or a number word.
_SPELLED = (
    r"(?:(?:kilo|mega|giga|tera|peta|kibi|mebi|gibi|tebi)?bytes?|bits|(?:kilo|mega|giga|tera|peta|exa)?flops?|(?:nano|micro|milli)?seconds?|minutes?|hours?"
    r"|per\s?cent|percentage points?|param(?:eter)?s?|macs|dollars?|cents?|watts?|times|requests?(?:/s| per second| a second)"
    r"|tokens?(?:/s| per second| a second)|queries per second)\b"
)

_NUMBER_WITH_UNIT = re.compile(
    rf"(?<![\w.^_-])(?:"
    rf"{_DIGITS}\s?%"
    rf"|{_DIGITS}\s?[x×](?![\w×]|\s*\d)"
    rf"|{_DIGITS}[\s\u00a0-]?{_SYMBOLS}"
    rf"|(?i:{_DIGITS}[kMBT]?[\s\u00a0-]*(?:{_SCALE}\s+)?{_SPELLED})"
    rf"|(?i:{_DIGITS}\s+{_SCALE})\b"
    rf"|(?i:{_WORD_NUMBER}[\s-]+(?:{_SCALE}\s+)?{_SPELLED})"
    rf"|(?i:(?:{_DIGITS}|{_WORD_NUMBER})-?fold)\b"
    rf")|\\?[$€£]\d[\d,.]*\d|\\[$€£]\d"
)

#: What vouches for the figures of its sentence.
_CITATION = re.compile(r"\]\(https?://|<https?://|\[\^[^\]]+\]|\{cite[a-z:]*\}|\]\[[^\]]+\]")

#: Headings that are part of every chapter's shape, and name no figure.
_FIXED = re.compile(r"^#+ +The answer in 60 seconds *$", re.MULTILINE)

_FENCE = re.compile(r"^(?P<indent>[ >]*)(?P<fence>`{3,}|~{3,}|:{3,})(?P<info>.*)$")
#: Directives whose content is not prose: everything that is not one of these is read as an admonition.
_NOT_PROSE = {
    "chart",
    "self-check",
    "this-machine",
    "calculator",
    "math",
    "mermaid",
    "image",
    "raw",
    "eval-rst",
    "toctree",
    "download-lab",
    "contents",
}
_PROSE_OPTION = re.compile(r"^\s*:(?:alt|caption|label):")


def _mask(markdown: str) -> str:
    """``markdown`` with everything that is not prose blanked out, character for character, so that offsets hold."""
    text = _FIXED.sub(_blank, markdown)
    text = re.sub(r"\A---\n.*?\n---\n", _blank, text, flags=re.DOTALL)
    text = _mask_fences(text)
    text = re.sub(r"<!--.*?-->", _blank, text, flags=re.DOTALL)
    text = re.sub(r"^%.*$", _blank, text, flags=re.MULTILINE)
    text = re.sub(r"^\([\w:-]+\)=$", _blank, text, flags=re.MULTILINE)
    text = re.sub(r"(?<!`)(`+)(?!`)(?:(?!\n\n).)+?(?<!`)\1(?!`)", _blank_role, text, flags=re.DOTALL)
    text = re.sub(r"(?<!\\)\$\$.+?(?<!\\)\$\$", _blank, text, flags=re.DOTALL)
    text = re.sub(r"(?<![\\$\w])\$(?![\s$])(?:(?!\n\n)[^$])+?(?<![\\\s])\$(?![\w$])", _blank, text)
    text = re.sub(r"(\]\((?:https?://)?)([^)\s]*)([^)]*\))", lambda m: m[1] + "_" * len(m[2]) + re.sub(r"[^\n]", "_", m[3]), text)
    return re.sub(r"<(?!https?://)/?[a-zA-Z][^<>]*>", _blank, text)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _blank_role(match: re.Match[str]) -> str:
    # A word stands in for the code, so that "`x` 3 times" keeps its words apart.
    return re.sub(r"[^\n]", "_", match.group())


def _mask_fences(text: str) -> str:
    lines, out = text.split("\n"), []
    inside: list[tuple[str, str]] = []  # open fences: the marker that closes it, and how its lines are read
    for line in lines:
        fence = _FENCE.match(line)
        if inside and fence and not fence["info"].strip() and fence["fence"].startswith(inside[-1][0]):
            inside.pop()
            out.append(" " * len(line))
        elif fence and (not inside or inside[-1][1] == "prose"):
            directive = re.match(r"\{([\w:-]+)\}(.*)", fence["info"].strip())
            if directive is None or directive[1] in _NOT_PROSE or directive[1].startswith("code"):
                kind = "options" if directive and directive[1] in _NOT_PROSE else "code"
                out.append(" " * len(line))
            else:
                kind = "prose"
                out.append(" " * (len(line) - len(directive[2])) + directive[2])
            inside.append((fence["fence"], kind))
        elif inside and (inside[-1][1] == "code" or (inside[-1][1] == "options" and not _PROSE_OPTION.match(line))):
            out.append(" " * len(line))
        else:
            out.append(line)
    return "\n".join(out)


_BLOCK_END = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+[.)])\s)|\n(?=\s*\|)|\n(?=\s*#)|\n(?=\s*:[\w-]+:)|(?<=\|)\n")
_SENTENCE_END = re.compile(r"(?<=[.!?])[)\"'*_]*\s+(?=[\"'(\[*_]*[A-Z0-9])")


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    """Sentences with their offsets. A table row, a heading and a list item end a sentence as a full stop does."""
    for block_start, block in _split(text, _BLOCK_END):
        for start, sentence in _split(block, _SENTENCE_END):
            yield block_start + start, sentence


def _split(text: str, boundary: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    start = 0
    for match in boundary.finditer(text):
        yield start, text[start : match.start()]
        start = match.end()
    yield start, text[start:]
