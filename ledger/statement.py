"""What a bank or another financial service provider reports, whatever file it came in.

A `Line` is one reported fact about one payment or one movement of money, seen from our own
account: "debit" is money leaving it. Sources: ISO 20022 pain.002, camt.053, camt.054, pacs.004.
"""

from datetime import date
from typing import Literal

import msgspec

from ledger.money import Money

Source = Literal["pain.002", "camt.054", "camt.053", "pacs.004"]
Status = Literal["accepted", "rejected", "booked", "returned"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One reported fact. `end_to_end_id` and `bank_reference` are "" where the file has none."""

    source: Source
    ordinal: int  # 1-based position in the file
    status: Status
    direction: Literal["debit", "credit"]
    end_to_end_id: str
    bank_reference: str
    money: Money | None  # a pain.002 need not repeat the amount
    booked_on: date | None
    reason: str  # ISO 20022 external reason code such as AC04, or ""


class RejectedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the file that could not be read; it never stops the rest."""

    ordinal: int
    where: str  # element path or line of the file, never its content
    reason: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a bank. Balances are set for camt.053 only."""

    source: Source
    message_id: str
    original_message_id: str  # the MsgId of our payment file, or ""
    account: str  # the account's identification as the file gives it, or ""
    currency: str
    sequence: int | None
    booked_on: date | None
    opening: Money | None
    closing: Money | None
    lines: tuple[Line, ...]
    rejected: tuple[RejectedLine, ...]
