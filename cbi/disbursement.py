"""A round of disbursement: its steps, and the names its payments carry outside."""

from datetime import date
from enum import IntEnum
from uuid import UUID

import msgspec


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A round pays the months from `first_month` until before `end_month`, on `pays_on`."""

    round_id: UUID
    programme_id: UUID
    name: str
    first_month: date
    end_month: date
    pays_on: date


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


def end_to_end_id(payment_id: UUID, attempt_no: int) -> str:
    """Name a payment's attempt towards the bank: opaque, at most 35 characters.

    The same attempt always has the same name, so that sending it again can't pay it twice.
    """
    if not 1 <= attempt_no <= 99:
        raise ValueError("an attempt has two digits")
    return f"{payment_id.hex}{attempt_no:02d}"


def message_id(round_id: UUID) -> str:
    """Name a round's payment file: the same release always has the same name."""
    return f"CBI{round_id.hex.upper()}"
