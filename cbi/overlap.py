"""Which assistance keeps which other from a family, and until when: rules as data.

A document says which kinds block each other and for how many months after the last promised one.
Read with `check`, which finds every fault at once. Nothing is built in but that no two of one kind
overlap: a document can add to that, and nothing takes it away.
"""

from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from hashlib import sha256
from importlib import resources
from typing import Annotated, Literal

import msgspec

from cbi.fault import Fault, Finding, in_order
from cbi.form import read_form

Assistance = Literal[
    "mpca", "transit_grant", "food", "rent", "health", "protection", "education", "livelihood"
]
MONTHS_MAX = 36
CoolDown = Annotated[int, msgspec.Meta(ge=0, le=24)]
Days = Annotated[int, msgspec.Meta(ge=1, le=366)]
Open = Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class Blocking(msgspec.Struct, frozen=True, kw_only=True):
    """After `first`, no `then` in the same months, nor in so many after them.

    That two kinds may not be in the same months holds both ways; a cool-down only this way. The
    month of a one-off grant is the one in which it can be paid.
    """

    first: Assistance
    then: Assistance
    cooldown_months: CoolDown = 0


class OneOff(msgspec.Struct, frozen=True, kw_only=True):
    """A grant that is paid once: it keeps away its own kind for some days, not for months.

    Other kinds it keeps away only as `blocks` says.
    """

    type: Assistance
    window_days: Days


class Reserving(msgspec.Struct, frozen=True, kw_only=True):
    """How long a reservation stands, how often it is renewed, and when the next may follow it.

    An organisation has `open_max` at most; for `pause_days` after one that came to nothing it
    reserves nothing of that kind for that family.
    """

    days: Days = 14
    renewals_max: Annotated[int, msgspec.Meta(ge=0, le=12)] = 1
    pause_days: Annotated[int, msgspec.Meta(ge=0, le=366)] = 14
    open_max: Open = 200


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """How long an entry waits, and how long the first one has when its family is free."""

    days_max: Days = 180
    offer_days: Days = 14
    open_max: Open = 1000


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """A rule set. Kinds that `blocks` doesn't name together may stand beside each other.

    `contact` is whom a refused organisation asks: the sub-group's coordination. `default_months`
    is what a reservation is for that doesn't say.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    contact: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    default_months: Annotated[int, msgspec.Meta(ge=1, le=MONTHS_MAX)] | None = None
    blocks: Annotated[tuple[Blocking, ...], msgspec.Meta(max_length=64)] = ()
    one_off: Annotated[tuple[OneOff, ...], msgspec.Meta(max_length=8)] = ()
    reserving: Reserving = Reserving()
    waiting: Waiting = Waiting()


# What is in force before any rules are agreed.
FLOOR = Rules(name="no rules agreed", contact="the coordination of the CBI sub-group")


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Days from `first` up to, not with, `end`; None is no end known."""

    first: date
    end: date | None

    def overlaps(self, other: "Span") -> bool:
        return (self.end is None or other.first < self.end) and (
            other.end is None or self.first < other.end
        )


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """Assistance that is promised: which kind, for which months, and on which day it was."""

    assistance: Assistance
    months: Span
    held_on: date


def check(raw: object) -> tuple[Rules, tuple[Fault, ...]]:
    """Read a document from decoded JSON with every fault; it is whole only when there is none."""
    rules, findings = read_form(raw, Rules)
    if isinstance(raw, dict):
        told = {finding.path for finding in findings}
        findings += [each for each in _faults_of(rules) if each.path not in told]
    return rules, in_order(findings, raw)


def example() -> object:
    """Return the example document as decoded JSON: it shows the form, and is nobody's policy."""
    return msgspec.json.decode(resources.files("cbi").joinpath("overlap_example.json").read_bytes())


def digest(rules: Rules) -> bytes:
    """SHA-256 of a document's content, however it was written."""
    return sha256(msgspec.json.encode(rules, order="sorted")).digest()


def windows(promise: Promise, rules: Rules) -> dict[str, Span]:
    """Return which kinds of assistance a promise keeps from its family, and for which days.

    The database's `cbi.overlap_windows` says the same.
    """
    held = promise.assistance
    kinds = {held, *(_other(each, held) for each in rules.blocks if held in _kinds(each))}
    cooldown: dict[str, int] = {
        each.then: each.cooldown_months for each in rules.blocks if each.first == held
    }
    days = next((each.window_days for each in rules.one_off if each.type == held), None)
    paid_on = max(promise.months.first, promise.held_on)
    months = promise.months if days is None else months_of(paid_on, 1)
    found = {
        kind: Span(
            first=months.first,
            end=None if months.end is None else months_after(months.end, cooldown.get(kind, 0)),
        )
        for kind in kinds
    }
    if days is not None:
        found[held] = Span(first=paid_on, end=paid_on + timedelta(days=days))
    return found


def against(one: Promise, other: Promise, rules: Rules) -> bool:
    """Say whether two promises to one family may not both be, whichever came first."""
    mine = windows(one, rules).get(other.assistance)
    theirs = windows(other, rules).get(one.assistance)
    return mine is not None and theirs is not None and mine.overlaps(theirs)


def months_of(first: date, months: int) -> Span:
    """Return so many whole months from the one of `first`; raises ValueError past the calendar."""
    begin = first.replace(day=1)
    return Span(first=begin, end=months_after(begin, months))


def months_after(day: date, months: int) -> date:
    """Return the same day so many months later, or the last of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > date.max.year:
        raise ValueError("past the calendar's end")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def until(spans: Sequence[Span]) -> date | None:
    """Return the first day on which none of these keeps anything away; None if it isn't known."""
    ends = [span.end for span in spans]
    return None if None in ends else max((end for end in ends if end is not None), default=None)


def _faults_of(rules: Rules) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    one_off = {each.type for each in rules.one_off}
    for place, each in enumerate(rules.blocks):
        if (each.first, each.then) in seen:
            yield Finding(("blocks", place), "overlap_twice")
        seen.add((each.first, each.then))
        if each.first == each.then and each.first in one_off:
            yield Finding(("blocks", place), "overlap_one_off")
    for place, grant in enumerate(rules.one_off):
        if grant.type in {each.type for each in rules.one_off[:place]}:
            yield Finding(("one_off", place, "type"), "overlap_twice")


def _kinds(each: Blocking) -> tuple[str, str]:
    return each.first, each.then


def _other(each: Blocking, kind: str) -> str:
    return each.then if each.first == kind else each.first
