"""A round of disbursement: its steps, and the names its payments carry outside."""

from datetime import date, datetime
from enum import IntEnum
from typing import Literal
from uuid import UUID

import msgspec

from ledger.money import Money

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ROUND_DIGITS = 25  # 36 ** 25 > 2 ** 128
PARTS_MAX = 999_999


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A round pays the months from `first_month` until before `end_month`, on `pays_on`."""

    round_id: UUID
    programme_id: UUID
    name: str
    first_month: date
    end_month: date
    pays_on: date


# Words, for free text would name people and outlive their erasure.
CancelledBecause = Literal[
    "family_asked",
    "moved_away",
    "deceased",
    "helped_elsewhere",
    "duplicate",
    "wrong_payee",
    "wrong_amount",
    "other",
]


class Step(IntEnum):
    """The steps of a round, in order; the last four need four different people."""

    CALCULATED = 1
    PREPARED = 2
    REVIEWED = 3
    APPROVED = 4
    RELEASED = 5

    @property
    def word(self) -> str:
        return self.name.lower()


class PaymentList(msgspec.Struct, frozen=True, kw_only=True):
    """What a round pays as it stands: number, sum, and a digest of ids and amounts."""

    payments: int
    total: Money
    list_digest: bytes


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a round: who did it, when, and the payment list as it stood."""

    step: str
    actor_id: UUID
    at: datetime
    payments: int
    total: Money
    list_digest: str  # SHA-256, hexadecimal


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A large round's step that is under way: call again, and it goes on where it stopped.

    A chunk is a page of enrolments to calculate, or of payments to reserve; what is in stays.
    """

    step: str
    chunks_done: int
    chunks: int
    done: int  # enrolments looked at, or payments reserved
    of: int
    next: Literal["call again"] = "call again"


def end_to_end_id(payment_id: UUID, attempt_no: int) -> str:
    """Name a payment's attempt towards the bank: opaque, at most 35 characters.

    The same attempt always has the same name, so that sending it again can't pay it twice.
    """
    if not 1 <= attempt_no <= 99:
        raise ValueError("an attempt has two digits")
    return f"{payment_id.hex}{attempt_no:02d}"


def message_id(round_id: UUID, part_no: int | None = None) -> str:
    """Name a round's payment file, or one of its parts: the same release has the same names.

    At most 35 characters, as ISO 20022 has it.
    """
    if part_no is None:
        return f"CBI{round_id.hex.upper()}"
    if not 1 <= part_no <= PARTS_MAX:
        raise ValueError(f"a file has 1 to {PARTS_MAX} parts")
    # 36 digits instead of 16, so that there is room for the number of the part.
    rest, digits = round_id.int, ""
    for _ in range(ROUND_DIGITS):
        rest, digit = divmod(rest, len(DIGITS))
        digits = DIGITS[digit] + digits
    return f"CBI{digits}-{part_no}"
