"""Unclaimed payments: released, with no outcome yet, by how long that is."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

import msgspec

from cbi.reports.sheet import (
    Column,
    Drafts,
    Section,
    count,
    day,
    days,
    money,
    named,
    text,
    word,
)
from ledger.money import Money

# Days since the release, up to and with.
BUCKETS = ((7, "0-7"), (14, "8-14"), (30, "15-30"), (60, "31-60"))
OLDEST = "over-60"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A payment whose outcome is not known."""

    payment_id: UUID
    attempt_no: int
    end_to_end_id: str
    money: Money
    round_name: str
    released_on: date


def bucket(age_days: int) -> str:
    """Say which bucket an age falls into."""
    return next((name for most, name in BUCKETS if age_days <= most), OLDEST)


class Unclaimed:
    """Fills the report a page at a time."""

    def __init__(self, as_of: date) -> None:
        self._as_of = as_of
        self._lines = Drafts("unclaimed", _columns)
        self._ages: dict[str, dict[str, tuple[int, int]]] = {}

    def add(self, page: Iterable[Waiting]) -> None:
        for each in page:
            currency, minor = each.money.currency, each.money.amount_minor
            age_days = (self._as_of - each.released_on).days
            name = bucket(age_days)
            ages = self._ages.setdefault(currency, {})
            many, sum_minor = ages.get(name, (0, 0))
            ages[name] = (many + 1, sum_minor + minor)
            self._lines.of(currency).add(
                each.payment_id,
                each.attempt_no,
                each.end_to_end_id,
                each.round_name,
                each.released_on,
                age_days,
                name,
                minor,
            )

    def sections(self) -> list[Section]:
        """Return the ages of each currency, then every payment."""
        ages = Drafts("ageing", _ageing)
        for currency, of_currency in self._ages.items():
            for name in (*(name for _, name in BUCKETS), OLDEST):
                ages.of(currency).add(name, *of_currency.get(name, (0, 0)))
        return [*ages.sections(), *self._lines.sections()]


def _columns(currency: str) -> list[Column]:
    return [
        named("payment_id"),
        count("attempt", adds_up=False),
        text("end_to_end_id"),
        text("round"),
        day("released_on"),
        days("age"),
        word("bucket"),
        money("amount", currency),
    ]


def _ageing(currency: str) -> list[Column]:
    return [word("bucket"), count("payments"), money("amount", currency)]
