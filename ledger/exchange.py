"""Exchanges: money of one currency given for money of another, at a rate somebody published."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from ledger.account import Account
from ledger.money import Money, exponent
from ledger.transfer import Transfer, transfer_id

Sides = tuple[Account, Account]  # debit, credit


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """`sold` was given for `bought`; `rate` is units bought for one unit sold.

    `name` tells it from another exchange of that day (a bank's reference, never a person's name).
    Raises ValueError for one currency, or when rate and amounts differ by more than one minor unit
    of what was bought.
    """

    partner_id: UUID
    name: str
    sold: Money
    bought: Money
    rate: Decimal
    rate_source: str
    rate_on: date

    def __post_init__(self) -> None:
        if self.sold.currency == self.bought.currency:
            raise ValueError("an exchange has two currencies")
        if not self.rate.is_finite() or self.rate <= 0:
            raise ValueError("a rate is a positive number")
        if min(self.sold.amount_minor, self.bought.amount_minor) <= 0:
            raise ValueError("an exchange moves positive amounts")
        shift = exponent(self.bought.currency) - exponent(self.sold.currency)
        expected = self.sold.amount_minor * self.rate.scaleb(shift)
        if abs(self.bought.amount_minor - expected) > 1:
            raise ValueError(f"at this rate {self.sold} {self.sold.currency} is another amount")

    @property
    def entry_id(self) -> UUID:
        """The id of both legs: a digest of all the facts, so that none can be changed later."""
        return transfer_id(
            "exchange",
            self.partner_id,
            self.name,
            self.sold.amount_minor,
            self.sold.currency,
            self.bought.amount_minor,
            self.bought.currency,
            f"{self.rate.normalize():f}",
            self.rate_source,
            self.rate_on.isoformat(),
        )

    def legs(self, *, sold: Sides, bought: Sides, effective_on: date) -> list[Transfer]:
        """Return the two transfers, one in each currency."""
        return [
            Transfer(
                transfer_id=transfer_id("exchange", self.entry_id, money.currency),
                entry_id=self.entry_id,
                kind="exchange",
                debit=debit,
                credit=credit,
                money=money,
                effective_on=effective_on,
            )
            for money, (debit, credit) in ((self.sold, sold), (self.bought, bought))
        ]
