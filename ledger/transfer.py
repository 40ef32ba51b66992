"""Transfers: one immutable, balanced movement between two accounts of one currency."""

from datetime import date
from hashlib import sha256
from typing import Literal
from uuid import UUID, uuid5

import msgspec

from ledger.account import Account
from ledger.money import Money

Kind = Literal["fund", "reserve", "post", "void", "reverse", "fee", "exchange", "adjust", "close"]
Move = Literal["reserve", "post", "void"]
HALF = 8  # bytes of an id
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


def transfer_id(*parts: object, payment_id: UUID | None = None) -> UUID:
    """Derive the id of a transfer from what it is, so that a repeat is the same row.

    Each part goes in with its length: ("ab", "c") and ("a", "bc") differ. One of a payment begins
    as the payment's id does, so that these stand together.
    """
    texts = [str(part) for part in parts]
    derived = uuid5(NAMESPACE, "".join(f"{len(text)}:{text}" for text in texts))
    if payment_id is None:
        return derived
    named = payment_id.bytes + derived.bytes
    return UUID(bytes=payment_id.bytes[:HALF] + sha256(named).digest()[:HALF])


def move_id(payment_id: UUID, attempt_no: int, kind: Move, debit: Account) -> UUID:
    """Derive the only id that the database takes for this move of a payment into this account."""
    named = (
        payment_id.bytes,
        attempt_no.to_bytes(4, "big"),
        debit.account_id.bytes,
        kind.encode(),
    )
    return UUID(bytes=payment_id.bytes[:HALF] + sha256(b"".join(named)).digest()[:HALF])


def ids_beside(payment_id: UUID) -> tuple[UUID, UUID]:
    """Return the first and the last id that a transfer of this payment may have."""
    begins = payment_id.bytes[:HALF]
    return UUID(bytes=begins + bytes(HALF)), UUID(bytes=begins + b"\xff" * HALF)


def reversal(
    original: Transfer,
    *,
    entry_id: UUID,
    effective_on: date,
    part: Money | None = None,
    name: object = "",
) -> Transfer:
    """Return the mirror of `original`, or of a part of it, which `name` tells from other parts.

    Of the whole there is only one, so that reversing twice is a repeat. Reversals of one transfer
    never take back more than it moved.
    """
    parts = ("reverse", original.transfer_id, *([] if part is None else [name]))
    return Transfer(
        transfer_id=transfer_id(*parts, payment_id=original.payment_id),
        entry_id=entry_id,
        kind="reverse",
        debit=original.credit,
        credit=original.debit,
        money=original.money if part is None else part,
        effective_on=effective_on,
        payment_id=original.payment_id,
        attempt_no=original.attempt_no,
        reverses=original.transfer_id,
    )
