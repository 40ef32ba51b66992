"""What can be asked of reports: their names, who reads which, what each must be told."""

from datetime import date, datetime
from typing import Literal, get_args
from uuid import UUID

import msgspec

Name = Literal[
    "round-summary",
    "payments",
    "line-exceptions",
    "unclaimed",
    "advance-liquidation",
    "fees",
    "exchanges",
    "grants",
    "bank-match",
    "control",
    "trace",
    "trial-balance",
]
NAMES: tuple[Name, ...] = get_args(Name)
# Of the whole books of an organisation, or of its bank: programme staff read what is of a round or
# a programme.
OF_THE_BOOKS: frozenset[Name] = frozenset({"bank-match", "trial-balance", "trace"})
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
