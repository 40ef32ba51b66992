"""Caps of payment instruments: what a payment may be at most, and whether one is above."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

Unit = Literal["minor", "uit_thousandths"]
Instrument = Literal["bank_account", "mobile_wallet", "otc_cash"]


class Uit(msgspec.Struct, frozen=True, kw_only=True):
    """What a Peruvian tax unit (UIT) is worth from a day on, in céntimos, once it is approved."""

    uit_no: int
    effective_from: date
    amount_minor: int
    source: str
    is_example: bool
    entered_by: UUID | None = None
    approved_by: UUID | None = None


class Cap(msgspec.Struct, frozen=True, kw_only=True):
    """What an instrument may be paid at most from a day on, once it is approved.

    None where there is no limit.
    """

    cap_no: int
    instrument_kind: Instrument
    currency: str
    effective_from: date
    unit: Unit
    per_transaction: int | None
    per_month: int | None
    balance: int | None
    source: str
    is_example: bool
    entered_by: UUID | None = None
    approved_by: UUID | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """A cap in minor units of its currency."""

    cap_no: int
    per_transaction_minor: int | None
    per_month_minor: int | None
    balance_minor: int | None

    def is_above(self, largest_minor: int, total_minor: int, month_minor: int) -> bool:
        """Say whether payments are above: the largest, all of a round, and others of its month.

        Nobody knows what a family has on it already, so the balance is held against the round.
        """
        return (
            _above(largest_minor, self.per_transaction_minor)
            or _above(total_minor + month_minor, self.per_month_minor)
            or _above(total_minor, self.balance_minor)
        )


def limits_in_force(
    caps: Iterable[Cap], uits: Iterable[Uit], *, currency: str, on: date
) -> tuple[Mapping[str, Limits], Uit | None]:
    """Return the limits of each instrument in a currency on a day, and the UIT they stand on."""
    uit = max(
        (each for each in uits if each.effective_from <= on),
        key=lambda each: (each.effective_from, each.uit_no),
        default=None,
    )
    newest: dict[str, Cap] = {}
    for cap in sorted(caps, key=lambda each: (each.effective_from, each.cap_no)):
        if cap.currency == currency and cap.effective_from <= on:
            newest[cap.instrument_kind] = cap
    limits = {kind: limits_of(cap, uit) for kind, cap in sorted(newest.items())}
    uses_uit = any(cap.unit == "uit_thousandths" for cap in newest.values())
    return limits, uit if uses_uit else None


def limits_of(cap: Cap, uit: Uit | None) -> Limits:
    """A cap in minor units, rounded down; one in UIT needs its value."""
    return Limits(
        cap_no=cap.cap_no,
        per_transaction_minor=_minor(cap.per_transaction, cap.unit, uit),
        per_month_minor=_minor(cap.per_month, cap.unit, uit),
        balance_minor=_minor(cap.balance, cap.unit, uit),
    )


def _minor(amount: int | None, unit: Unit, uit: Uit | None) -> int | None:
    if amount is None or unit == "minor":
        return amount
    assert uit is not None, "a cap in UIT has a value from its first day on"
    return amount * uit.amount_minor // 1000


def _above(minor: int, limit_minor: int | None) -> bool:
    return limit_minor is not None and minor > limit_minor
