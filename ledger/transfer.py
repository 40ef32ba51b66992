"""Transfers: one immutable, balanced movement between two accounts of one currency."""

from datetime import date
from typing import Literal
from uuid import UUID, uuid5

import msgspec

from ledger.account import Account
from ledger.money import Money

Kind = Literal["fund", "reserve", "post", "void", "reverse", "fee", "exchange", "adjust", "close"]
NAMESPACE = UUID("5b0a1f0e-6d0c-5c55-9a7e-0c6b1f4f2a12")


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A debit and a credit of the same positive amount; it can't be out of balance.

    Raises ValueError for an amount that is not positive, accounts that are the same or of another
    currency, half an attempt, or a reversal that does not name its original.
    """

    transfer_id: UUID
    entry_id: UUID
    kind: Kind
    debit: Account
    credit: Account
    money: Money
    effective_on: date
    payment_id: UUID | None = None
    attempt_no: int | None = None
    reverses: UUID | None = None

    def __post_init__(self) -> None:
        if self.money.amount_minor <= 0:
            raise ValueError("a transfer moves a positive amount")
        if not self.debit.currency == self.credit.currency == self.money.currency:
            raise ValueError("a transfer stays in one currency")
        if self.debit.account_id == self.credit.account_id:
            raise ValueError("a transfer needs two accounts")
        if (self.payment_id is None) != (self.attempt_no is None):
            raise ValueError("a payment and its attempt go together")
        if (self.kind == "reverse") != (self.reverses is not None):
            raise ValueError("a reversal, and nothing else, names what it reverses")


def transfer_id(*parts: object) -> UUID:
    """Derive the id of a transfer from what it is, so that a repeat is the same row.

    Each part goes in with its length: ("ab", "c") and ("a", "bc") differ.
    """
    texts = [str(part) for part in parts]
    return uuid5(NAMESPACE, "".join(f"{len(text)}:{text}" for text in texts))


def reversal(original: Transfer, *, entry_id: UUID, effective_on: date) -> Transfer:
    """Return the exact mirror of `original`; there is only one, so reversing twice is a repeat."""
    return Transfer(
        transfer_id=transfer_id("reverse", original.transfer_id),
        entry_id=entry_id,
        kind="reverse",
        debit=original.credit,
        credit=original.debit,
        money=original.money,
        effective_on=effective_on,
        payment_id=original.payment_id,
        attempt_no=original.attempt_no,
        reverses=original.transfer_id,
    )
