"""Line exceptions: every open break, whose it is and since when, by currency."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

import msgspec

from cbi.reports.sheet import (
    Column,
    Draft,
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


class Exceptional(msgspec.Struct, frozen=True, kw_only=True):
    """A difference that a person has to explain. Amounts are in minor units of `currency`."""

    kind: str
    owner: str
    opened_on: date
    payment_id: UUID | None
    attempt_no: int | None
    end_to_end_id: str
    line_id: UUID | None
    expected_minor: int | None
    actual_minor: int | None
    currency: str


class Exceptions:
    """Fills the report a page at a time."""

    def __init__(self, as_of: date) -> None:
        self._as_of = as_of
        self._drafts = Drafts("exceptions", _columns)
        self._kinds: dict[str, int] = {}

    def add(self, page: Iterable[Exceptional]) -> None:
        for each in page:
            self._kinds[each.kind] = self._kinds.get(each.kind, 0) + 1
            amounts = (each.expected_minor, each.actual_minor) if each.currency else ()
            self._drafts.of(each.currency).add(
                each.kind,
                each.owner,
                each.opened_on,
                max(0, (self._as_of - each.opened_on).days),
                each.payment_id,
                each.attempt_no,
                each.end_to_end_id,
                each.line_id,
                *amounts,
            )

    def sections(self) -> list[Section]:
        """Return how many there are of each kind, then each."""
        by_kind = Draft("breaks", word("break"), count("lines"))
        for kind in sorted(self._kinds):
            by_kind.add(kind, self._kinds[kind])
        return [by_kind.section(), *self._drafts.sections()]


def _columns(currency: str) -> list[Column]:
    facts = [
        word("break"),
        word("owner"),
        day("opened_on"),
        days("age"),
        named("payment_id"),
        count("attempt", adds_up=False),
        text("end_to_end_id"),
        named("line_id"),
    ]
    # What names no currency names no amount.
    if not currency:
        return facts
    return [*facts, money("expected", currency), money("actual", currency)]
