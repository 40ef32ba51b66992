"""What rules may ask about a household, from what was registered; what is missing stays missing."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec

from cbi.eligibility import NEEDS, Fact, Facts, Span
from cbi.person import Person

CHILD_YEARS = 18


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a household; None where it is not, or is not the asker's to know."""

    ubigeo: str
    population_type: str
    size: int
    persons: Sequence[Person] | None = None
    intention: str | None = None
    registered_on: date | None = None
    specific_needs: frozenset[str] | None = None
    scores: Mapping[tuple[str, str], float] = {}


def facts_of(known: Known, on: date) -> Facts:
    """The facts of a household on a day."""
    facts: dict[str | tuple[str, str], Fact] = {
        "area": known.ubigeo,
        "population_type": known.population_type,
        "size": Span(known.size, known.size),
        "intention": None if known.intention == "not_stated" else known.intention,
        # The code for survivors is dropped here too: no rule asks for it, and none can.
        "specific_needs": None if known.specific_needs is None else known.specific_needs & NEEDS,
    }
    if known.registered_on is not None:
        months = _months_since(known.registered_on, on)
        facts["months_since_registration"] = Span(months, months)
    if known.persons is not None:
        facts |= _of_persons([one for one in known.persons if one.lives_in_household], on)
    facts |= {name: Span(score, score) for name, score in known.scores.items()}
    return facts


def age_span(person: Person, on: date) -> Span | None:
    """How old somebody is at least and at most; None when no date of birth is known."""
    if person.birth_date is None:
        return None
    earliest, latest = _born(person.birth_date, person.birth_precision)
    return Span(_age(latest, on), _age(earliest, on))


def _of_persons(persons: Sequence[Person], on: date) -> dict[str | tuple[str, str], Fact]:
    ages = [age_span(one, on) for one in persons]
    head = next((place for place, one in enumerate(persons) if "head" in one.roles), None)
    return {
        "children_under_5": _younger(ages, 5),
        "children_under_18": _younger(ages, CHILD_YEARS),
        "age_of_head": None if head is None else ages[head],
        "single_parent": _is_single_parent(persons, ages),
    }


def _younger(ages: Sequence[Span | None], years: int) -> Span:
    """How many are younger, at least and at most."""
    surely = sum(age is not None and age.high < years for age in ages)
    maybe = sum(age is None or age.low < years for age in ages)
    return Span(surely, maybe)


def _is_single_parent(persons: Sequence[Person], ages: Sequence[Span | None]) -> bool | None:
    """Whether the head lives with children and without a partner."""
    if any(one.relationship == "partner" for one in persons):
        return False
    of_head = [age for one, age in zip(persons, ages, strict=True) if one.relationship == "child"]
    unstated = any(one.relationship == "not_stated" for one in persons)
    children = _younger(of_head, CHILD_YEARS)
    if children.low > 0:
        return None if unstated else True
    return None if unstated or children.high > 0 else False


def _born(day: date, precision: str) -> tuple[date, date]:
    match precision:
        case "month":
            after = date(day.year + day.month // 12, day.month % 12 + 1, 1)
            return day.replace(day=1), after - timedelta(days=1)
        case "year":
            return date(day.year, 1, 1), date(day.year, 12, 31)
        case "age":
            return day - timedelta(days=183), day + timedelta(days=183)
        case _:
            return day, day


def _age(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _months_since(day: date, on: date) -> int:
    return (on.year - day.year) * 12 + on.month - day.month - (on.day < day.day)
