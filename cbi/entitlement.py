"""What a family is entitled to in a round: a pure function of its size and the terms."""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256
from typing import Annotated, Literal
from uuid import UUID, uuid5

import msgspec

from cbi.cap import Limits
from ledger.money import Money, split

NAMESPACE = UUID("5b0a1f0e-6d0c-5c55-9a7e-0c6b1f4f2a21")
MONTHS_MAX = 12

Why = Literal[
    "open_case",
    "consent",
    "no_instrument",
    "erased",
    "paid_in_these_months",
    "no_value",
    "instalments_done",
    "enrolled_later",
    "above_instrument_cap",
    "not_promised",
]
EntitlementKind = Literal["instalment", "top_up"]
Proration = Literal["full", "by_days", "none"]


class ValueTable(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts per month by household size, 1 … N without a gap; larger families get N's."""

    version: int
    effective_from: date
    currency: str
    by_size: Mapping[int, int]  # size → minor units
    area: str = ""  # an INEI prefix; "" is everywhere

    def __post_init__(self) -> None:
        if sorted(self.by_size) != list(range(1, len(self.by_size) + 1)) or not self.by_size:
            raise ValueError("a value table runs from size 1 without a gap")

    def monthly(self, household_size: int) -> Money:
        capped = min(household_size, len(self.by_size))
        return Money(amount_minor=self.by_size[capped], currency=self.currency)


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many instalments an enrolment gets (None: no end), each of so many months.

    `proration` says what the month of the enrolment itself is worth.
    """

    instalments: Annotated[int, msgspec.Meta(ge=1, le=120)] | None = None
    every_months: Annotated[int, msgspec.Meta(ge=1, le=12)] = 1
    proration: Proration = "full"


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What a household is due beside its instalment: once, and for each month it is paid."""

    once_minor: int = 0
    monthly_minor: int = 0


NOTHING_DUE = Due()


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What a round is calculated on: the versions that counted on the day it pays."""

    tables: tuple[ValueTable, ...]  # one for each area, the most specific first
    first_month: date
    months: int
    schedule: Schedule | None = None
    schedule_version: int | None = None
    top_up_version: int | None = None
    limits: Mapping[str, Limits] = {}  # of instruments
    uit_no: int | None = None

    @property
    def is_plain(self) -> bool:
        """Say whether everybody who is not blocked gets every month by one table."""
        return (
            self.schedule is None
            and not self.limits
            and len(self.tables) == 1
            and not self.tables[0].area
        )

    def table_for(self, ubigeo: str) -> ValueTable | None:
        """The table of the most specific area that the household lives in."""
        return next((table for table in self.tables if ubigeo.startswith(table.area)), None)


class Payee(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolled family as it stands now, with every reason that keeps it from being paid."""

    enrolment_id: UUID
    household_id: UUID
    beneficiary_id: UUID
    household_size: int
    ubigeo: str = ""
    enrolled_on: date = date.min
    months_before: int = 0  # that the enrolment was promised already
    instrument_kind: str = ""
    month_minor: int = 0  # what other rounds pay it in the month of this one
    due: Due = NOTHING_DUE
    blocked: tuple[Why, ...] = ()


class Award(msgspec.Struct, frozen=True):
    """What a payee gets, by which table and for how many months."""

    value_version: int
    amount_minor: int
    months: int
    top_up_minor: int


class Entitlement(msgspec.Struct, frozen=True, kw_only=True):
    """What one family gets in one round. Its id is the payment's id in the ledger."""

    entitlement_id: UUID
    enrolment_id: UUID
    household_id: UUID
    beneficiary_id: UUID
    household_size: int
    value_version: int
    money: Money
    kind: EntitlementKind = "instalment"
    paid_months: int | None = None


def in_force(tables: Sequence[ValueTable], on: date) -> tuple[ValueTable, ...]:
    """Return the newest table of each area that is effective, the most specific area first."""
    newest: dict[str, ValueTable] = {}
    for table in sorted(tables, key=lambda table: (table.effective_from, table.version)):
        if table.effective_from <= on:
            newest[table.area] = table
    return tuple(sorted(newest.values(), key=lambda table: (-len(table.area), table.area)))


def award(payee: Payee, basis: Basis) -> Award | Why:
    """Say what a payee gets, or why nothing.

    Without a schedule every month of the round. With one, no month before that of the enrolment,
    that one as the schedule says, and no more months than its instalments have.
    """
    table = basis.table_for(payee.ubigeo)
    if table is None:
        return "no_value"
    monthly = table.monthly(payee.household_size)
    if basis.schedule is None:
        worth = [monthly.amount_minor] * basis.months
        return _within_cap(payee, basis, table.version, worth)
    worth = _months_worth(monthly, payee.enrolled_on, basis, basis.schedule.proration)
    if not worth:
        return "enrolled_later"
    if basis.schedule.instalments is not None:
        months_max = basis.schedule.instalments * basis.schedule.every_months
        worth = worth[: max(0, months_max - payee.months_before)]
    if not worth:
        return "instalments_done"
    return _within_cap(payee, basis, table.version, worth)


def _within_cap(
    payee: Payee, basis: Basis, value_version: int, worth: Sequence[int]
) -> Award | Why:
    """What so many months are worth, unless the payee's instrument may not be paid so much."""
    top_up_minor = payee.due.once_minor + payee.due.monthly_minor * len(worth)
    got = Award(value_version, sum(worth), len(worth), top_up_minor)
    limits = basis.limits.get(payee.instrument_kind)
    if limits is not None:
        largest_minor = max(got.amount_minor, top_up_minor)
        if limits.is_above(largest_minor, got.amount_minor + top_up_minor, payee.month_minor):
            return "above_instrument_cap"
    return got


def compute(payees: Sequence[Payee], basis: Basis, *, round_id: UUID) -> list[Entitlement]:
    """Compute the entitlements of the payees who can be paid, ordered by id.

    One per family, and one more for its top-up where it is due any. Of two enrolments of one
    family only the first counts, by enrolment id, which grows with time.
    """
    if not 1 <= basis.months <= MONTHS_MAX:
        raise ValueError(f"a round covers 1 to {MONTHS_MAX} months")
    chosen: dict[UUID, tuple[Payee, Award]] = {}
    # Of a plain round an award follows from the size alone.
    of_size: dict[int, Award] | None = {} if basis.is_plain else None
    for payee in sorted(payees, key=lambda payee: payee.enrolment_id):
        if payee.blocked or payee.beneficiary_id in chosen:
            continue
        got: Award | Why | None = None
        if of_size is not None and payee.due is NOTHING_DUE:
            got = of_size.get(payee.household_size)
        if got is None:
            got = award(payee, basis)
            if of_size is not None and payee.due is NOTHING_DUE and isinstance(got, Award):
                of_size[payee.household_size] = got
        if isinstance(got, Award):
            chosen[payee.beneficiary_id] = (payee, got)
    currency = basis.tables[0].currency if basis.tables else ""
    computed = [
        _entitlement(payee, got, "instalment", got.value_version, round_id, currency)
        for payee, got in chosen.values()
    ]
    if basis.top_up_version is not None:
        computed += [
            _entitlement(payee, got, "top_up", basis.top_up_version, round_id, currency)
            for payee, got in chosen.values()
            if got.top_up_minor > 0
        ]
    return sorted(computed, key=lambda entitlement: entitlement.entitlement_id)


def _entitlement(
    payee: Payee,
    got: Award,
    kind: EntitlementKind,
    value_version: int,
    round_id: UUID,
    currency: str,
) -> Entitlement:
    minor = got.amount_minor if kind == "instalment" else got.top_up_minor
    return Entitlement(
        entitlement_id=uuid5(NAMESPACE, f"{round_id}|{payee.beneficiary_id}|{kind}"),
        enrolment_id=payee.enrolment_id,
        household_id=payee.household_id,
        beneficiary_id=payee.beneficiary_id,
        household_size=payee.household_size,
        value_version=value_version,
        money=Money(amount_minor=minor, currency=currency),
        kind=kind,
        paid_months=got.months,
    )


def _months_worth(
    monthly: Money, enrolled_on: date, basis: Basis, proration: Proration
) -> list[int]:
    """What each month of the round is worth in minor units, from that of the enrolment on."""
    begins = (enrolled_on.year, enrolled_on.month)
    worth = []
    for place in range(basis.months):
        year, month = divmod(basis.first_month.year * 12 + basis.first_month.month - 1 + place, 12)
        if (year, month + 1) > begins:
            worth.append(monthly.amount_minor)
        elif (year, month + 1) == begins:
            days = monthrange(year, month + 1)[1]
            worth.append(_first_month(monthly, enrolled_on.day, days, proration))
    return [minor for minor in worth if minor > 0]


def _first_month(monthly: Money, day: int, days: int, proration: Proration) -> int:
    match proration:
        case "full":
            return monthly.amount_minor
        case "by_days":
            return split(monthly, (day - 1, days - day + 1))[1].amount_minor
        case "none":
            return monthly.amount_minor if day == 1 else 0


def months_between(first: date, after: date) -> int:
    """Count the whole months from `first` to `after` (exclusive), both on a first of a month."""
    if first.day != 1 or after.day != 1:
        raise ValueError("a round begins and ends on the first of a month")
    return (after.year - first.year) * 12 + after.month - first.month


def list_digest(entitlements: Sequence[tuple[UUID, int]]) -> bytes:
    """Digest a payment list (id, minor units): what the four signatures of a round stand on."""
    lines = (f"{entitlement_id} {minor}\n" for entitlement_id, minor in sorted(entitlements))
    return sha256("".join(lines).encode()).digest()
