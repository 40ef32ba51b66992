"""Accounts: a code, a currency, a normal side and, for some, a floor."""

from functools import cached_property
from typing import Literal
from uuid import UUID, uuid5

import msgspec

from ledger.money import exponent

NAMESPACE = UUID("5b0a1f0e-6d0c-5c55-9a7e-0c6b1f4f2a11")


class Account(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """An account of one currency, which no transfer can cross.

    `normal` is the side on which it usually grows: debit for what we have or have spent, credit
    for what we owe or were given. `floor_minor` is the least balance in that direction.
    """

    code: str
    currency: str
    normal: Literal["debit", "credit"]
    floor_minor: int | None = None

    def __post_init__(self) -> None:
        exponent(self.currency)

    @cached_property
    def account_id(self) -> UUID:
        """The id that follows from all that an account is, so that none of it can be changed."""
        # Only the code may have a colon, and it comes last: no two accounts read the same.
        floor = "" if self.floor_minor is None else self.floor_minor
        return uuid5(NAMESPACE, f"{self.currency}:{self.normal}:{floor}:{self.code}")


class TrialRow(msgspec.Struct, frozen=True, kw_only=True):
    """One account's sums since the beginning."""

    code: str
    currency: str
    normal: Literal["debit", "credit"]
    debit_minor: int
    credit_minor: int

    @property
    def balance_minor(self) -> int:
        """The balance in the account's normal direction."""
        balance = self.debit_minor - self.credit_minor
        return balance if self.normal == "debit" else -balance
