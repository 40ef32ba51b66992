"""What a bank or another financial service provider reports, whatever file it came in.

A `Line` is one reported fact about one payment or one movement of money, seen from our own
account: "debit" is money leaving it. Sources: ISO 20022 pain.002, camt.053, camt.054, pacs.004;
MT940; and tables (CSV, XLSX) of a bank's statement or of a provider's report.
"""

from datetime import date
from typing import Literal

import msgspec

from ledger.money import Money

Source = Literal[
    "pain.002", "camt.054", "camt.053", "pacs.004", "mt940", "statement-table", "report-table"
]
Status = Literal["accepted", "rejected", "booked", "returned", "unclaimed"]
Part = Literal["statement", "notification", "status", "return_notice"]

PARTS: dict[Source, Part] = {
    "camt.053": "statement",
    "mt940": "statement",
    "statement-table": "statement",
    "camt.054": "notification",
    "pain.002": "status",
    "pacs.004": "return_notice",
}
MOVED = frozenset({"booked", "returned"})


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One reported fact. A text is "" where the file has none.

    `account` and `reference` may name a person: they are for the reader's caller, who keeps a
    keyed hash of the one in `account_token` and nothing but an id of ours of the other.
    """

    source: Source
    ordinal: int  # 1-based position in the file
    status: Status
    direction: Literal["debit", "credit"]
    end_to_end_id: str
    bank_reference: str
    money: Money | None  # a pain.002 need not repeat the amount
    booked_on: date | None
    reason: str  # ISO 20022 external reason code such as AC04, or ""
    uetr: str = ""
    provider_id: str = ""  # the provider's own id of the payment
    batch_id: str = ""  # our PmtInfId or MsgId, as a batch booking names it
    batch_count: int | None = None  # payments in an entry that has no details
    account: str = ""  # the other side's account as the file gives it; never stored
    account_token: str = ""  # its keyed hash
    reference: str = ""
    value_on: date | None = None
    fees: Money | None = None
    identity: str = ""  # what tells this movement from all others; "" if only its content does

    def __repr__(self) -> str:
        """Tell no account and no text of the bank's, wherever this is printed."""
        return f"Line(source={self.source!r}, ordinal={self.ordinal})"


class RejectedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the file that could not be read; it never stops the rest."""

    ordinal: int
    where: str  # element path or line of the file, never its content
    reason: str


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says besides its lines. Balances are set for a statement only."""

    source: Source
    message_id: str
    original_message_id: str  # the MsgId of our payment file, or ""
    account: str  # the account's identification as the file gives it, or ""
    currency: str
    sequence: int | None
    booked_on: date | None
    opening: Money | None
    closing: Money | None


class Statement(Frame, frozen=True, kw_only=True):
    """One message of a bank, whole."""

    lines: tuple[Line, ...]
    rejected: tuple[RejectedLine, ...]


def part_of(source: Source, status: Status = "booked") -> Part:
    """Say which part a line plays, whatever its format.

    A provider's own report plays two: of money that moved it notifies, of the rest it tells how
    the payment stands.
    """
    if source == "report-table":
        return "notification" if status in MOVED else "status"
    return PARTS[source]


def movement(line: Line) -> str:
    """Return what tells a movement from all others of its account, as one text.

    That is the bank's reference, or its identity where several share the reference; else all that
    is known of it, and then two that are equal may both be real. It may name a person.
    """
    money = "" if line.money is None else f"{line.money.amount_minor} {line.money.currency}"
    known = line.identity or line.bank_reference
    if known:
        return f"known\x1f{known}\x1f{line.direction}\x1f{money}\x1f{line.end_to_end_id}"
    days = f"{line.booked_on}\x1f{line.value_on}"
    account = line.account or line.account_token
    facts = ("told", line.direction, money, days, line.reference, account, line.end_to_end_id)
    return "\x1f".join(facts)
