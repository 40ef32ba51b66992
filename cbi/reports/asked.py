"""What can be asked of reports: their names, who reads which, what each must be told."""

from collections.abc import Sized
from datetime import date, datetime
from typing import Literal, TypeVar, get_args
from uuid import UUID

import msgspec

from cbi.refusal import BadValue

Name = Literal[
    "round-summary",
    "payments",
    "line-exceptions",
    "unclaimed",
    "advance-liquidation",
    "fees",
    "exchanges",
    "grants",
    "grant-use",
    "bank-match",
    "control",
    "trace",
    "trial-balance",
]
NAMES: tuple[Name, ...] = get_args(Name)
# Of the whole books of an organisation, or of its bank: programme staff read what is of a round or
# a programme.
OF_THE_BOOKS: frozenset[Name] = frozenset({"bank-match", "grant-use", "trial-balance", "trace"})
NEEDS_ROUND: frozenset[Name] = frozenset({"round-summary", "payments", "control"})
NEEDS_PROGRAMME: frozenset[Name] = frozenset({"advance-liquidation"})
BETWEEN_DAYS: frozenset[Name] = frozenset(
    {"advance-liquidation", "fees", "exchanges", "bank-match"}
)
# What each can be told. Anything else would stand at its head and change nothing below.
TAKES: dict[str, frozenset[Name]] = {
    "round_id": NEEDS_ROUND | {"line-exceptions", "unclaimed"},
    "programme_id": NEEDS_PROGRAMME | {"unclaimed", "fees", "exchanges", "grants"},
    "household_id": frozenset({"trace"}),
    "payment_id": frozenset({"trace"}),
    "since": BETWEEN_DAYS,
    "until": BETWEEN_DAYS,
    "booked_until": frozenset({"trial-balance"}),
    "known_at": frozenset({"trial-balance"}),
}


# A report that holds its rows in memory has no more than these; nothing is cut off unsaid.
LINES_MAX = 100_000
Rows = TypeVar("Rows", bound=Sized)


def all_of(rows: Rows) -> Rows:
    """Return them; raises BadValue when there are more than LINES_MAX."""
    if len(rows) > LINES_MAX:
        reason = f"more than {LINES_MAX} lines: ask for fewer days"
        raise BadValue(field="from", reason=reason)
    return rows


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A report that somebody wants. `partner_id` is whose books are meant where nothing else says.

    `since` and `until` are days, both included.
    """

    name: Name
    partner_id: UUID
    as_of: date
    round_id: UUID | None = None
    programme_id: UUID | None = None
    household_id: UUID | None = None
    payment_id: UUID | None = None
    since: date | None = None
    until: date | None = None
    booked_until: date | None = None
    known_at: datetime | None = None
