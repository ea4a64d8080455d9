"""The question bank: what a ``questions/<part>/<chapter>.yml`` may hold, as pydantic models. ``questions/README.md`` shows each kind."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

#: Options are shuffled and quizzes are printed, so words for a place mean nothing.
POSITIONAL = re.compile(
    r"\b((the|see|as|shown|listed|given) (above|below)"
    r"|(first|second|third|fourth|fifth|last|previous|next) (option|answer|choice|statement)"
    r"|(option|answer) [b-f1-6])\b",
    re.IGNORECASE,
)


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, str_min_length=1)


class Option(Model):
    """One option of a choice. ``feedback`` says why it is right or wrong, never only that it is."""

    text: str
    feedback: str
    correct: bool = False


class Answer(Model):
    """A computed answer: ``call`` with ``args`` and every param, or an ``expr``. ``unit`` is what the reader is asked for."""

    unit: str = Field(min_length=0)
    call: str | None = None
    args: dict[str, Any] = {}
    expr: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Answer:
        if (self.call is None) == (self.expr is None):
            raise ValueError("give either 'call' (with 'args') or 'expr'")
        if self.args and self.call is None:
            raise ValueError("'args' go with 'call'; write them inside 'expr'")
        return self


class Grade(Model):
    """Bands of ``max(x/a, a/x)`` for a typed ``x`` and an answer ``a``."""

    exact: float = Field(default=1.02, gt=1)
    good: float = 1.5
    order: float = 10

    @model_validator(mode="after")
    def _widening(self) -> Grade:
        if not self.exact < self.good < self.order:
            raise ValueError("bands must widen: exact < good < order")
        return self


class Slip(Model):
    """A known wrong road: the value it leads to, and what to say to who took it."""

    say: str
    factor: float | None = Field(default=None, gt=0)
    expr: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Slip:
        if (self.factor is None) == (self.expr is None):
            raise ValueError("give either 'factor' (of the answer) or 'expr'")
        return self


class Point(Model):
    """A point of a rubric: something that an answer does or does not say."""

    point: str
    worth: int = Field(default=1, ge=1)


class Question(Model):
    """What every kind has. ``version`` goes up when the meaning changes: saved progress of the old version is dropped."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    version: int = Field(default=1, ge=1)
    level: Literal[1, 2, 3]
    prompt: str
    section: str | None = None
    tags: tuple[str, ...] = ()
    explain: str | None = None
    sources: tuple[str, ...] = ()


class _Options(Question):
    options: tuple[Option, ...] = Field(min_length=2, max_length=8)
    shuffle: bool = True

    correct_wanted: ClassVar[tuple[int, int]]

    @property
    def correct(self) -> tuple[int, ...]:
        return tuple(number for number, option in enumerate(self.options) if option.correct)

    @model_validator(mode="after")
    def _right_options(self) -> _Options:
        least, most = self.correct_wanted
        if not least <= len(self.correct) <= min(most, len(self.options) - 1):
            wanted = "exactly one" if most == 1 else f"{least} or more, and not every,"
            kind = type(self).__name__.lower()
            raise ValueError(f"{len(self.correct)} of {len(self.options)} options are correct; a {kind} has {wanted} correct option")
        if len({option.text for option in self.options}) < len(self.options):
            raise ValueError("two options have the same text")
        if self.shuffle:
            for text in (self.prompt, self.explain or "", *(part for option in self.options for part in (option.text, option.feedback))):
                if found := POSITIONAL.search(text):
                    raise ValueError(f"'{found[0]}' points at a place, but options are shuffled; name the thing, or set 'shuffle: false'")
        return self


class Choice(_Options):
    kind: Literal["choice"]
    correct_wanted = (1, 1)


class Multi(_Options):
    kind: Literal["multi"]
    correct_wanted = (1, 8)


Value = int | float | str


class Numeric(Question):
    """An estimate. ``params`` is a grid (a list per name) or a list of rows; each draw of it is a variant with its own answer."""

    kind: Literal["numeric"]
    params: dict[str, list[Value]] | list[dict[str, Value]]
    answer: Answer
    grade: Grade = Grade()
    slips: tuple[Slip, ...] = ()
    variants: int = Field(default=8, ge=5, le=50)

    @field_validator("params", mode="after")
    @classmethod
    def _same_names(cls, params: dict[str, list[Value]] | list[dict[str, Value]]) -> dict[str, list[Value]] | list[dict[str, Value]]:
        if isinstance(params, list) and len({frozenset(row) for row in params}) > 1:
            raise ValueError("every row must have the same names")
        return params


class Open(Question):
    """An answer in words, which readers score themselves by the rubric, beside a model answer."""

    kind: Literal["open"]
    rubric: tuple[Point, ...] = Field(min_length=2)
    model_answer: str

    @property
    def worth(self) -> int:
        return sum(point.worth for point in self.rubric)


AnyQuestion = Choice | Multi | Numeric | Open
ADAPTER: TypeAdapter[AnyQuestion] = TypeAdapter(Annotated[AnyQuestion, Field(discriminator="kind")])
FIELDS = {model.model_fields["kind"].annotation.__args__[0]: set(model.model_fields) for model in (Choice, Multi, Numeric, Open)}  # type: ignore[union-attr]
