"""An interview round as ``questions/rounds/<round>.yml`` holds it. ``questions/rounds/README.md`` shows one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from napkinmath.errors import InputError, did_you_mean
from napkinmath.units import fmt

from ..questions.schema import Answer, Grade, Model, Slip
from ..yaml_lines import Lines

#: The stages of a round and the minutes of each, in order: 45 in all.
STAGES = {"requirements": 5, "estimates": 10, "choice": 7, "design": 13, "serving": 5, "risks": 5}
Stage = Literal["requirements", "estimates", "choice", "design", "serving", "risks"]
#: The three answers with which readers calibrate how they score.
GRADES = ("weak", "hire", "strong")

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Chapter = Annotated[str, Field(pattern=r"^[a-z-]+/[a-z0-9-]+$")]


class Given(Model):
    """A requirement that is drawn."""

    say: str
    """What it is, as a row of the table of requirements names it."""
    values: tuple[str, ...] = Field(min_length=1)
    """Quantities such as ``200 ms``. The page uses the first."""


class Candidate(Model):
    """An architecture that could be the answer."""

    say: str
    facts: dict[Name, str] = Field(default={})
    """Expressions that its columns use: ``spec: bert_base``."""
    devices: tuple[str, ...] = ()
    """The devices that it may run on; all of the round's unless said."""


class Column(Model):
    """A figure of the comparison, computed for each candidate on each device."""

    say: str
    value: str
    """An expression over the requirements, the definitions, the candidate's facts, ``device``, ``dtype`` and the columns before."""
    unit: str = Field(default="", min_length=0)
    hidden: bool = False
    """Computed for others, and not shown."""

    @field_validator("unit")
    @classmethod
    def _shown(cls, unit: str) -> str:
        fmt(1.0, unit)  # which names the units that there are
        return unit


class Limit(Model):
    """What an answer has to hold."""

    column: Name
    say: str
    """What it asks, over the requirements: ``within {limit}``."""
    at_most: str | None = None
    at_least: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Limit:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("give either 'at_most' or 'at_least'")
        return self


class Flip(Model):
    """The requirement whose change turns the choice, looked for between two ends."""

    given: Name
    low: str
    high: str
    unit: str = Field(min_length=0)
    """In which readers are asked for it."""
    grade: Grade = Grade(exact=1.15, good=1.5, order=4)
    explain: str
    """Why the choice turns there, for who has estimated it."""
    chapter: Chapter
    """Where it is taught."""


class Estimate(Model):
    """A number to estimate, graded as in the self-check."""

    id: Slug
    prompt: str
    answer: Answer
    grade: Grade = Grade()
    slips: tuple[Slip, ...] = ()
    explain: str
    chapter: Chapter
    """Where it is taught."""


class Ask(Model):
    """Something to answer in one's own words."""

    stage: Stage
    prompt: str


class RubricPoint(Model):
    """Something that an answer does or does not say."""

    id: Slug
    stage: Stage
    point: str
    worth: int = Field(default=1, ge=1)
    chapter: Chapter
    """Where it is taught."""


class Sample(Model):
    """An answer to score: each point that it earns with the words that earn it, and why it misses others."""

    answer: str
    earns: dict[Slug, str]
    misses: dict[Slug, str] = Field(default={})


class Round(Model):
    """A whole round."""

    version: int = Field(default=1, ge=1)
    title: str
    prompt: str
    """What the interviewer says; ``{name}`` is a requirement."""
    given: dict[Name, Given]
    let: str = ""
    """Definitions, as in a page's ``{let}``."""
    devices: dict[str, str] = Field(min_length=1)
    """Devices of the catalogue, and the precision on each."""
    candidates: dict[Slug, Candidate] = Field(min_length=3)
    columns: dict[Name, Column]
    limits: tuple[Limit, ...] = Field(min_length=1)
    least: Name
    """The column by which the best of those that hold the limits is chosen."""
    flip: Flip
    draws: int = Field(default=24, ge=20, le=60)
    estimates: tuple[Estimate, ...] = Field(min_length=3)
    asks: tuple[Ask, ...] = Field(min_length=3)
    rubric: tuple[RubricPoint, ...] = Field(min_length=10)
    samples: dict[str, Sample]

    @property
    def worth(self) -> int:
        return sum(point.worth for point in self.rubric)

    def question_ids(self, name: str) -> list[str]:
        """The ids of its estimates and of its turn, as questions of the self-check."""
        return [f"{name}-{id}" for id in (*(one.id for one in self.estimates), "flip")]

    def score(self, sample: str) -> int:
        """The points of the rubric that a sample answer earns, by their worth."""
        return sum(point.worth for point in self.rubric if point.id in self.samples[sample].earns)

    @model_validator(mode="after")
    def _named(self) -> Round:
        for name in (self.least, *(limit.column for limit in self.limits)):
            if name not in self.columns:
                raise ValueError(f"{name!r} is no column.{did_you_mean(name, self.columns)}")
        if self.flip.given not in self.given:
            raise ValueError(f"flip: {self.flip.given!r} is no requirement.{did_you_mean(self.flip.given, self.given)}")
        for name, candidate in self.candidates.items():
            for device in candidate.devices:
                if device not in self.devices:
                    raise ValueError(f"candidates.{name}: {device!r} is none of the devices.{did_you_mean(device, self.devices)}")
        return self

    @model_validator(mode="after")
    def _scored(self) -> Round:
        """Every sample earns points with its own words, and a better one earns more."""
        points = {point.id for point in self.rubric}
        if len(points) < len(self.rubric) or len({one.id for one in self.estimates}) < len(self.estimates):
            raise ValueError("an id stands twice")
        if tuple(self.samples) != GRADES:
            raise ValueError(f"samples are {', '.join(GRADES)}, in this order")
        for name, sample in self.samples.items():
            text = " ".join(sample.answer.split())
            for id in (*sample.earns, *sample.misses):
                if id not in points:
                    raise ValueError(f"samples.{name}: {id!r} is no point of the rubric.{did_you_mean(id, points)}")
            for id, words in sample.earns.items():
                if id in sample.misses:
                    raise ValueError(f"samples.{name}: {id!r} is both earned and missed")
                if " ".join(words.split()) not in text:
                    raise ValueError(f"samples.{name}: the words that earn {id!r} are not in the answer: {words!r}")
            if unsaid := points - {*sample.earns, *sample.misses}:
                raise ValueError(f"samples.{name}: neither earned nor missed: {', '.join(sorted(unsaid))}")
        weak, hire, strong = (self.score(name) for name in GRADES)
        if not weak < hire < strong:
            raise ValueError(f"a better answer earns more: weak {weak}, hire {hire}, strong {strong}")
        return self


def read(path: Path) -> Round:
    """A round from its file.

    Raises:
        InputError: with file and line of the first problem.
    """
    lines = Lines.read(path)
    if not isinstance(lines.data, dict):
        raise InputError(f"{path}:1: expected a mapping with title, prompt, given, ...")
    if lines.twice:
        raise lines.error(*lines.twice[0])
    try:
        return Round.model_validate(lines.data)
    except ValidationError as error:
        problem = error.errors()[0]
        where = tuple(part for part in problem["loc"] if isinstance(part, int) or re.fullmatch(r"[\w-]+", part))
        said = ".".join(map(str, where)) + ": " * bool(where) + problem["msg"].removeprefix("Value error, ")
        raise lines.error(where, said) from None
