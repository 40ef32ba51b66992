"""What a family is entitled to in a round: a pure function of the value table and its size."""

from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256
from typing import Literal
from uuid import UUID, uuid5

import msgspec

from ledger.money import Money

NAMESPACE = UUID("5b0a1f0e-6d0c-5c55-9a7e-0c6b1f4f2a21")
MONTHS_MAX = 12

Why = Literal[
    "open_case", "consent", "no_instrument", "erased", "paid_in_these_months", "not_promised"
]


class ValueTable(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts per month by household size, 1 … N without a gap; larger families get N's."""

    version: int
    effective_from: date
    currency: str
    by_size: Mapping[int, int]  # size → minor units

    def __post_init__(self) -> None:
        if sorted(self.by_size) != list(range(1, len(self.by_size) + 1)) or not self.by_size:
            raise ValueError("a value table runs from size 1 without a gap")

    def monthly(self, household_size: int) -> Money:
        capped = min(household_size, len(self.by_size))
        return Money(amount_minor=self.by_size[capped], currency=self.currency)


class Payee(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolled family as it stands now, with every reason that keeps it from being paid."""

    enrolment_id: UUID
    household_id: UUID
    beneficiary_id: UUID
    household_size: int
    blocked: tuple[Why, ...] = ()


class Entitlement(msgspec.Struct, frozen=True, kw_only=True):
    """What one family gets in one round. Its id is the payment's id in the ledger."""

    entitlement_id: UUID
    enrolment_id: UUID
    household_id: UUID
    beneficiary_id: UUID
    household_size: int
    value_version: int
    money: Money


def in_force(tables: Sequence[ValueTable], on: date) -> ValueTable | None:
    """Return the newest table that is effective on that day."""
    effective = [table for table in tables if table.effective_from <= on]
    return max(effective, key=lambda table: (table.effective_from, table.version), default=None)


def compute(
    payees: Sequence[Payee], table: ValueTable, *, round_id: UUID, months: int
) -> list[Entitlement]:
    """Compute the entitlements of the payees who can be paid, one per family, ordered by id.

    Of two enrolments of one family only the first counts, by enrolment id, which grows with time.
    """
    if not 1 <= months <= MONTHS_MAX:
        raise ValueError(f"a round covers 1 to {MONTHS_MAX} months")
    chosen: dict[UUID, Payee] = {}
    for payee in sorted(payees, key=lambda payee: payee.enrolment_id):
        if not payee.blocked:
            chosen.setdefault(payee.beneficiary_id, payee)
    computed = [
        Entitlement(
            entitlement_id=uuid5(NAMESPACE, f"{round_id}|{payee.beneficiary_id}|instalment"),
            enrolment_id=payee.enrolment_id,
            household_id=payee.household_id,
            beneficiary_id=payee.beneficiary_id,
            household_size=payee.household_size,
            value_version=table.version,
            money=Money(
                amount_minor=table.monthly(payee.household_size).amount_minor * months,
                currency=table.currency,
            ),
        )
        for payee in chosen.values()
    ]
    return sorted(computed, key=lambda entitlement: entitlement.entitlement_id)


def months_between(first: date, after: date) -> int:
    """Count the whole months from `first` to `after` (exclusive), both on a first of a month."""
    if first.day != 1 or after.day != 1:
        raise ValueError("a round begins and ends on the first of a month")
    return (after.year - first.year) * 12 + after.month - first.month


def list_digest(entitlements: Sequence[tuple[UUID, int]]) -> bytes:
    """Digest a payment list (id, minor units): what the four signatures of a round stand on."""
    lines = (f"{entitlement_id} {minor}\n" for entitlement_id, minor in sorted(entitlements))
    return sha256("".join(lines).encode()).digest()
