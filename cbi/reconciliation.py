"""The reconciliation of one round: every payment, every sum, every difference. Pure.

    entitled = delivered + undelivered (by reason) + pending
    ledger   = outcomes = bank debits less bank credits
What a payment delivered in part is delivered, its rest undelivered. Each equation is a check with
both sides; a side that differs is never hidden in the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from cbi.entitlement import Entitlement, EntitlementKind
from ledger.attempt import AttemptState
from ledger.matching import Allocation, Break, Claim, SettledBy
from ledger.money import Money

State = Literal[
    "pending", "delivered", "partly_delivered", "rejected", "returned", "not_instructed"
]
INSTRUCTED = ("pending", "delivered", "partly_delivered", "rejected", "returned")
# So many rows a report holds; of a larger round only sums, checks and breaks.
ROWS_MAX = 20_000
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
    kind: EntitlementKind = "instalment"


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


NONE = Sums(payments=0, amount_minor=0)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A round's reconciliation. `ties` says that what must hold holds; breaks may be open still.

    `unassigned` are breaks of the organisation that belong to no payment of any round. Payments
    beyond some ten thousand are left out, which is told; they are listed page by page elsewhere.
    """

    round_id: UUID
    currency: str
    entitled: Sums
    instructed: Sums
    by_state: dict[str, Sums]
    undelivered_by_reason: dict[str, Sums]
    by_kind: dict[str, Sums]
    checks: tuple[Check, ...]
    ties: bool
    breaks: tuple[Break, ...]
    unassigned: tuple[Break, ...]
    payments: tuple[PaymentRow, ...]
    payments_left_out: bool | msgspec.UnsetType = msgspec.UNSET


class LedgerSide(msgspec.Struct, frozen=True, kw_only=True):
    """The round's control accounts in minor units, without what chunks to come will reserve."""

    available_minor: int
    pending_minor: int  # committed and payable
    delivered_minor: int
    given_back_minor: int = 0  # to the programme, when the round was closed


class Tally:
    """Adds up a round's payments a page at a time; of a large round no more is kept than sums."""

    def __init__(self, breaks: Sequence[Break], *, rows_max: int = ROWS_MAX) -> None:
        self._breaks = breaks
        self._rows_max = rows_max
        self._of_round: list[Break] = []
        self._by_payment: dict[UUID, list[Break]] = {}
        for found in breaks:
            if found.payment_id is not None:
                self._by_payment.setdefault(found.payment_id, []).append(found)
        self.rows: list[PaymentRow] = []
        self.by_state: dict[State, Sums] = {}
        self.by_reason: dict[str, Sums] = {}
        self.by_kind: dict[EntitlementKind, Sums] = {}
        self.delivered_minor = 0
        self.proved_minor: dict[Claim, int] = {}

    def add(
        self,
        entitlements: Sequence[Entitlement],
        attempts: Mapping[UUID, Sequence[AttemptState]],
        proofs: Mapping[UUID, Sequence[Allocation]],
    ) -> None:
        """Add a page of payments, in the order of ids, with their attempts and what proves them."""
        for each in entitlements:
            payment_id = each.entitlement_id
            of_payment = proofs.get(payment_id, ())
            row = payment_row(each, attempts.get(payment_id, ()), of_payment)
            self.by_state[row.state] = _more(self.by_state.get(row.state), row.money)
            self.by_kind[row.kind] = _more(self.by_kind.get(row.kind), row.money)
            self.delivered_minor += row.delivered.amount_minor
            if row.state in ("rejected", "returned", "partly_delivered"):
                reason = f"{row.state}:{row.reason or 'unknown'}"
                rest = row.money - row.delivered
                self.by_reason[reason] = _more(self.by_reason.get(reason), rest)
            for proof in of_payment:
                if proof.money is not None:
                    proved = self.proved_minor.get(proof.claim, 0) + proof.money.amount_minor
                    self.proved_minor[proof.claim] = proved
            self._of_round += self._by_payment.get(payment_id, ())
            if len(self.rows) <= self._rows_max:
                self.rows.append(row)

    def report(
        self,
        round_id: UUID,
        *,
        currency: str,
        ledger: LedgerSide,
        settled_by: SettledBy = "statement",
    ) -> Report:
        """Put entitlement, instruction, ledger, provider's report and bank statement together."""
        instructed = _total(sums for state, sums in self.by_state.items() if state in INSTRUCTED)
        checks = _checks(self, instructed, ledger, settled_by)
        of_round = {id(found) for found in self._of_round}
        is_small = len(self.rows) <= self._rows_max
        return Report(
            round_id=round_id,
            currency=currency,
            entitled=_total(self.by_state.values()),
            instructed=instructed,
            by_state=dict(sorted(self.by_state.items())),
            undelivered_by_reason=dict(sorted(self.by_reason.items())),
            by_kind=dict(sorted(self.by_kind.items())),
            checks=checks,
            ties=all(check.difference_minor == 0 for check in checks if check.must_hold),
            breaks=tuple(found for found in self._breaks if id(found) in of_round),
            unassigned=tuple(found for found in self._breaks if found.payment_id is None),
            payments=tuple(self.rows) if is_small else (),
            payments_left_out=msgspec.UNSET if is_small else True,
        )


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
    """Reconcile a round of one page."""
    tally = Tally(breaks)
    tally.add(sorted(entitlements, key=lambda each: each.entitlement_id), attempts, proofs)
    return tally.report(round_id, currency=currency, ledger=ledger)


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
        kind=entitlement.kind,
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
    tally: Tally, instructed: Sums, ledger: LedgerSide, settled_by: SettledBy
) -> tuple[Check, ...]:
    pending, waiting = (
        tally.by_state.get(state, NONE).amount_minor for state in ("pending", "not_instructed")
    )
    delivered = tally.delivered_minor
    undelivered = _total(tally.by_reason.values()).amount_minor
    held = ledger.available_minor + ledger.pending_minor + ledger.delivered_minor
    held += ledger.given_back_minor
    proved = tally.proved_minor
    bank = proved.get(BANK_DEBIT, 0) - proved.get(BANK_CREDIT, 0)
    provider = proved.get("notification", 0) - proved.get("return_notification", 0)
    entitled = _total(tally.by_state.values()).amount_minor
    return (
        _check(
            "entitled = delivered + undelivered + pending",
            entitled - waiting,
            delivered + undelivered + pending,
        ),
        _check("instructed = held by the round or given back", instructed.amount_minor, held),
        _check("ledger delivered = delivered", ledger.delivered_minor, delivered),
        _check("ledger committed and payable = pending", ledger.pending_minor, pending),
        # What delivers is what must be the same sum; the other may be late, or never come.
        _check("bank debits less returns = delivered", bank, delivered)
        if settled_by == "statement"
        else _check("provider's report less returns = delivered", provider, delivered),
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


def _more(sums: Sums | None, money: Money) -> Sums:
    before = sums or NONE
    return Sums(payments=before.payments + 1, amount_minor=before.amount_minor + money.amount_minor)


def _total(sums: Iterable[Sums]) -> Sums:
    every = list(sums)
    return Sums(
        payments=sum(each.payments for each in every),
        amount_minor=sum(each.amount_minor for each in every),
    )
