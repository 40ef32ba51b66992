"""The reconciliation of one round: every payment, every sum, every difference. Pure.

    entitled = delivered + undelivered (by reason) + pending
    ledger   = outcomes = bank debits less bank credits
What a payment delivered in part is delivered, its rest undelivered. Each equation is a check with
both sides; a side that differs is never hidden in the other.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from cbi.entitlement import Entitlement
from ledger.attempt import AttemptState
from ledger.matching import Allocation, Break, Claim
from ledger.money import EXPONENTS, Money

State = Literal[
    "pending", "delivered", "partly_delivered", "rejected", "returned", "not_instructed"
]
COLUMNS = (
    "row",
    "name",
    "payment_id",
    "end_to_end_id",
    "attempt",
    "currency",
    "amount",
    "actual",
    "difference",
    "reason",
    "booked_on",
    "evidence",
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
BANK_DEBIT: Claim = "statement"
BANK_CREDIT: Claim = "return"


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One payment as it stands, with the reports that prove it."""

    payment_id: UUID
    end_to_end_id: str
    attempt_no: int
    money: Money
    delivered: Money
    state: State
    reason: str
    booked_on: date | None
    evidence: tuple[str, ...]  # "statement camt.053", …


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One equation of the round in minor units; it holds when the difference is zero.

    One that need not hold shows a provider's notices that are late or that it never sends.
    """

    name: str
    left_minor: int
    right_minor: int
    difference_minor: int
    must_hold: bool


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and minor units of the payments in one state."""

    payments: int
    amount_minor: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A round's reconciliation. `ties` says that what must hold holds; breaks may be open still.

    `unassigned` are breaks of the organisation that belong to no payment of any round.
    """

    round_id: UUID
    currency: str
    entitled: Sums
    instructed: Sums
    by_state: dict[str, Sums]
    undelivered_by_reason: dict[str, Sums]
    checks: tuple[Check, ...]
    ties: bool
    breaks: tuple[Break, ...]
    unassigned: tuple[Break, ...]
    payments: tuple[PaymentRow, ...]


class LedgerSide(msgspec.Struct, frozen=True, kw_only=True):
    """The round's control accounts, in minor units."""

    available_minor: int
    pending_minor: int  # committed and payable
    delivered_minor: int


def reconcile_round(
    round_id: UUID,
    *,
    currency: str,
    entitlements: Sequence[Entitlement],
    attempts: Mapping[UUID, Sequence[AttemptState]],
    proofs: Mapping[UUID, Sequence[Allocation]],
    ledger: LedgerSide,
    breaks: Sequence[Break],
) -> Report:
    """Put entitlement, instruction, ledger, provider's report and bank statement side by side."""
    rows = tuple(
        payment_row(
            each, attempts.get(each.entitlement_id, ()), proofs.get(each.entitlement_id, ())
        )
        for each in sorted(entitlements, key=lambda each: each.entitlement_id)
    )
    by_state: dict[str, Sums] = {
        state: _sums(rows, state) for state in sorted({row.state for row in rows})
    }
    by_reason = _undelivered(rows)
    of_round = {row.payment_id for row in rows}
    instructed = _total(row for row in rows if row.state != "not_instructed")
    checks = _checks(rows, instructed, by_reason, proofs, ledger)
    return Report(
        round_id=round_id,
        currency=currency,
        entitled=_total(rows),
        instructed=instructed,
        by_state=by_state,
        undelivered_by_reason=by_reason,
        checks=checks,
        ties=all(check.difference_minor == 0 for check in checks if check.must_hold),
        breaks=tuple(found for found in breaks if found.payment_id in of_round),
        unassigned=tuple(found for found in breaks if found.payment_id is None),
        payments=rows,
    )


def _undelivered(rows: Sequence[PaymentRow]) -> dict[str, Sums]:
    """Add up what did not reach anybody, by state and reason."""
    missing: dict[str, list[int]] = {}
    for row in rows:
        if row.state in ("rejected", "returned", "partly_delivered"):
            rest = row.money - row.delivered
            reason = f"{row.state}:{row.reason or 'unknown'}"
            missing.setdefault(reason, []).append(rest.amount_minor)
    return {
        reason: Sums(payments=len(amounts), amount_minor=sum(amounts))
        for reason, amounts in sorted(missing.items())
    }


def to_csv(report: Report) -> str:
    """Write the report as one table: the payments, then the checks, then the breaks.

    Amounts are decimals of their currency, or minor units where it is not known. A text from
    outside that a spreadsheet would take for a formula gets a leading apostrophe. Lines end with
    CRLF (RFC 4180).
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(_cells_of_payment(row) for row in report.payments)
    writer.writerows(_cells_of_check(check, report.currency) for check in report.checks)
    writer.writerows(
        _cells_of_break(found, report.currency) for found in (*report.breaks, *report.unassigned)
    )
    return out.getvalue()


def _cells_of_payment(row: PaymentRow) -> dict[str, object]:
    return {
        "row": "payment",
        "name": row.state,
        "payment_id": row.payment_id,
        "end_to_end_id": _text(row.end_to_end_id),
        "attempt": row.attempt_no,
        "currency": row.money.currency,
        "amount": row.money,
        "reason": _text(row.reason),
        "booked_on": row.booked_on or "",
        "evidence": "; ".join(row.evidence),
    }


def _cells_of_check(check: Check, currency: str) -> dict[str, object]:
    return {
        "row": "check",
        "name": check.name,
        "currency": currency,
        "amount": _decimal(check.left_minor, currency),
        "actual": _decimal(check.right_minor, currency),
        "difference": _decimal(check.difference_minor, currency),
    }


def _cells_of_break(found: Break, currency: str) -> dict[str, object]:
    # A break may be in another currency than the round's: that may be what it is about.
    own = found.currency or currency
    return {
        "row": "break",
        "name": found.kind,
        "payment_id": found.payment_id or "",
        "end_to_end_id": _text(found.end_to_end_id),
        "attempt": found.attempt_no or "",
        "currency": _text(own),
        "amount": _decimal(found.expected_minor, own),
        "actual": _decimal(found.actual_minor, own),
    }


def _decimal(minor: int | None, currency: str) -> str:
    # A break repeats what a bank sent: a sum of any size, in a currency that we may not know.
    # Then nobody can say where the point stands, and the minor units are written as they are.
    if minor is None:
        return ""
    digits = EXPONENTS.get(currency, 0)
    whole, rest = divmod(abs(minor), 10**digits)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole}.{rest:0{digits}d}" if digits else f"{sign}{whole}"


def _text(cell: str) -> str:
    # A spreadsheet would run such a text of a bank or a person as a formula.
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def payment_row(
    entitlement: Entitlement, attempts: Sequence[AttemptState], proofs: Sequence[Allocation]
) -> PaymentRow:
    """Say where one payment stands: its last attempt counts."""
    last = max(attempts, key=lambda each: each.attempt.attempt_no, default=None)
    state: State = "not_instructed"
    reason = ""
    delivered = msgspec.structs.replace(entitlement.money, amount_minor=0)
    if last is not None:
        state, reason = _state(last)
        delivered = delivered if last.returned else last.delivered
    of_last = [p for p in proofs if last is not None and p.attempt_no == last.attempt.attempt_no]
    booked = {proof.claim: proof.booked_on for proof in of_last}
    return PaymentRow(
        payment_id=entitlement.entitlement_id,
        end_to_end_id=last.attempt.end_to_end_id if last else "",
        attempt_no=last.attempt.attempt_no if last else 0,
        money=entitlement.money,
        delivered=delivered,
        state=state,
        reason=reason,
        booked_on=booked.get(BANK_CREDIT) or booked.get(BANK_DEBIT),
        evidence=tuple(sorted(f"{proof.claim} {proof.source}" for proof in of_last)),
    )


def _state(attempt: AttemptState) -> tuple[State, str]:
    if attempt.returned:
        return "returned", attempt.return_reason
    match attempt.outcome:
        case "post" if attempt.part is not None:
            return "partly_delivered", attempt.reason
        case "post":
            return "delivered", ""
        case "void":
            return "rejected", attempt.reason
    return "pending", ""


def _checks(
    rows: Sequence[PaymentRow],
    instructed: Sums,
    by_reason: Mapping[str, Sums],
    proofs: Mapping[UUID, Sequence[Allocation]],
    ledger: LedgerSide,
) -> tuple[Check, ...]:
    delivered = sum(row.delivered.amount_minor for row in rows)
    pending = _sums(rows, "pending").amount_minor
    undelivered = sum(sums.amount_minor for sums in by_reason.values())
    waiting = _sums(rows, "not_instructed").amount_minor
    held = ledger.available_minor + ledger.pending_minor + ledger.delivered_minor
    bank = _proved(proofs, BANK_DEBIT) - _proved(proofs, BANK_CREDIT)
    provider = _proved(proofs, "notification") - _proved(proofs, "return_notification")
    entitled = _total(rows).amount_minor
    return (
        _check(
            "entitled = delivered + undelivered + pending",
            entitled - waiting,
            delivered + undelivered + pending,
        ),
        _check("instructed = held in the round's accounts", instructed.amount_minor, held),
        _check("ledger delivered = delivered", ledger.delivered_minor, delivered),
        _check("ledger committed and payable = pending", ledger.pending_minor, pending),
        _check("bank debits less returns = delivered", bank, delivered),
        _check("provider's notices = bank statement", provider, bank, must_hold=False),
    )


def _check(name: str, left_minor: int, right_minor: int, *, must_hold: bool = True) -> Check:
    return Check(
        name=name,
        left_minor=left_minor,
        right_minor=right_minor,
        difference_minor=left_minor - right_minor,
        must_hold=must_hold,
    )


def _proved(proofs: Mapping[UUID, Sequence[Allocation]], claim: Claim) -> int:
    return sum(
        proof.money.amount_minor
        for allocations in proofs.values()
        for proof in allocations
        if proof.claim == claim and proof.money is not None
    )


def _sums(rows: Iterable[PaymentRow], state: State) -> Sums:
    return _total(row for row in rows if row.state == state)


def _total(rows: Iterable[PaymentRow]) -> Sums:
    amounts = [row.money.amount_minor for row in rows]
    return Sums(payments=len(amounts), amount_minor=sum(amounts))
