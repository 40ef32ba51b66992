"""The trace of one beneficiary's payments, from entitlement to proof; it names nobody.

Ids are shortened: enough to tell two apart on paper, not enough to look anybody up.
"""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from cbi.reports.sheet import (
    Column,
    Draft,
    Drafts,
    Section,
    count,
    day,
    moment,
    money,
    named,
    text,
    word,
)
from ledger.matching import Allocation
from ledger.money import Money

SHORT = 8


class Entitled(msgspec.Struct, frozen=True, kw_only=True):
    """A family's claim in one round."""

    payment_id: UUID
    household_id: UUID
    round_name: str
    first_month: date
    household_size: int
    money: Money
    cancelled_at: datetime | None


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt with how it ended; `outcome` is None while nobody knows."""

    payment_id: UUID
    attempt_no: int
    opened_at: datetime
    money: Money
    outcome: str | None
    reason: str
    decided_at: datetime | None
    returned_at: datetime | None
    return_reason: str


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer of a payment; `leaf_no` is its place in the sealed log, once it is sealed."""

    transfer_id: UUID
    payment_id: UUID
    attempt_no: int
    kind: str
    debit: str
    credit: str
    money: Money
    effective_on: date
    leaf_no: int | None


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of some payments, each list in its order."""

    entitled: Sequence[Entitled]
    tried: Sequence[Tried]
    proofs: Sequence[Allocation]
    moved: Sequence[Moved]


def short(wanted: UUID) -> str:
    return f"{wanted.hex[:SHORT]}…"


def sections(trace: Trace) -> list[Section]:
    """Return entitlements, attempts, evidence and transfers, by currency where there is money."""
    return [
        *_entitled(trace.entitled).sections(),
        *_tried(trace.tried).sections(),
        _proofs(trace.proofs),
        *_moved(trace.moved).sections(),
    ]


def _entitled(found: Sequence[Entitled]) -> Drafts:
    drafts = Drafts("entitlements", _entitled_columns)
    for each in found:
        drafts.of(each.money.currency).add(
            short(each.payment_id),
            short(each.household_id),
            each.round_name,
            each.first_month,
            each.household_size,
            each.money.amount_minor,
            each.cancelled_at,
        )
    return drafts


def _entitled_columns(currency: str) -> list[Column]:
    return [
        named("payment"),
        named("household"),
        text("round"),
        day("first_month"),
        count("household_size", adds_up=False),
        money("amount", currency),
        moment("cancelled_at"),
    ]


def _tried(found: Sequence[Tried]) -> Drafts:
    drafts = Drafts("attempts", _tried_columns)
    for each in found:
        state = {"post": "delivered", "void": "rejected", None: "pending"}[each.outcome]
        drafts.of(each.money.currency).add(
            short(each.payment_id),
            each.attempt_no,
            each.opened_at,
            each.money.amount_minor,
            "returned" if each.returned_at is not None else state,
            each.return_reason or each.reason,
            each.returned_at or each.decided_at,
        )
    return drafts


def _tried_columns(currency: str) -> list[Column]:
    return [
        named("payment"),
        count("attempt", adds_up=False),
        moment("opened_at"),
        money("amount", currency, adds_up=False),
        word("state"),
        text("reason"),
        moment("decided_at"),
    ]


def _proofs(found: Sequence[Allocation]) -> Section:
    draft = Draft(
        "evidence",
        named("payment"),
        count("attempt", adds_up=False),
        word("claim"),
        text("source"),
        day("booked_on"),
        text("rule"),
        named("line"),
    )
    for each in found:
        draft.add(
            short(each.payment_id),
            each.attempt_no,
            each.claim,
            each.source,
            each.booked_on,
            each.rule,
            short(each.line_id),
        )
    return draft.section()


def _moved(found: Sequence[Moved]) -> Drafts:
    drafts = Drafts("transfers", _moved_columns)
    for each in found:
        drafts.of(each.money.currency).add(
            each.effective_on,
            short(each.payment_id),
            each.attempt_no,
            each.kind,
            each.debit,
            each.credit,
            each.money.amount_minor,
            short(each.transfer_id),
            each.leaf_no,
        )
    return drafts


def _moved_columns(currency: str) -> list[Column]:
    return [
        day("on"),
        named("payment"),
        count("attempt", adds_up=False),
        word("kind"),
        word("debit_account"),
        word("credit_account"),
        money("amount", currency, adds_up=False),
        named("transfer"),
        count("leaf_no", adds_up=False),
    ]
