"""Top-ups beside the instalment: lines of a term, and what a household is due by them."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal

import msgspec

from cbi.entitlement import Due
from cbi.facts import age_span
from cbi.person import Person

LINES_MAX = 10
Age = Annotated[int, msgspec.Meta(ge=0, le=120)] | None


class NewLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line as it is sent: a decimal as text, for the household or for each person who fits.

    Who fits is told by age at the round's first month; without ages everybody does.
    """

    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,39}\Z")]
    amount: str
    per: Literal["household", "person"]
    each: Literal["round", "month"] = "round"
    age_min: Age = None
    age_max: Age = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line as it is kept, in minor units."""

    code: str
    amount_minor: int
    per: Literal["household", "person"]
    each: Literal["round", "month"]
    age_min: int | None
    age_max: int | None

    @property
    def asks_ages(self) -> bool:
        return self.age_min is not None or self.age_max is not None


class NewTopUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lines of a programme's top-up; their sum is one payment of the round."""

    lines: Annotated[tuple[NewLine, ...], msgspec.Meta(min_length=1, max_length=LINES_MAX)]


def lines_of(content: dict[str, Any]) -> tuple[Line, ...]:
    """Read the lines of a kept term."""
    return msgspec.convert(content["lines"], tuple[Line, ...])


def asks_persons(lines: Sequence[Line]) -> bool:
    """Say whether somebody must be opened to know who fits."""
    return any(line.per == "person" or line.asks_ages for line in lines)


def due(lines: Sequence[Line], persons: Sequence[Person], on: date) -> Due:
    """What a household is due by the lines: once, and for each month it is paid.

    Only who surely fits counts: somebody without a date of birth fits no age.
    """
    living = [person for person in persons if person.lives_in_household]
    once = monthly = 0
    for line in lines:
        fitting = sum(_fits(line, person, on) for person in living)
        if line.per == "household":
            fitting = min(fitting, 1) if line.asks_ages else 1
        if line.each == "month":
            monthly += fitting * line.amount_minor
        else:
            once += fitting * line.amount_minor
    return Due(once_minor=once, monthly_minor=monthly)


def _fits(line: Line, person: Person, on: date) -> bool:
    if not line.asks_ages:
        return True
    age = age_span(person, on)
    if age is None:
        return False
    return (line.age_min is None or age.low >= line.age_min) and (
        line.age_max is None or age.high <= line.age_max
    )
