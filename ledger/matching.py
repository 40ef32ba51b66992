"""Match what the bank reports to what we instructed. Pure, and blind to the order of its input.

A line proves a step of an attempt when end-to-end id, amount, currency and direction agree and
nothing else could be meant. Every other line, and every silence, is a named break.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from ledger.money import Money
from ledger.statement import Source, Status

Claim = Literal[
    "status",
    "rejection",
    "notification",
    "statement",
    "return_notice",
    "return_notification",
    "return",
]
BreakKind = Literal[
    "paid_not_instructed",
    "instructed_not_paid",
    "amount_differs",
    "paid_twice",
    "line_twice",
    "currency_differs",
    "late_return",
    "paid_after_void",
    "fsp_and_bank_disagree",
    "credit_unexplained",
    "status_unexplained",
    "statement_gap",
    "statement_unbalanced",
]
RULE = "end-to-end-id-exact/1"
PAID: tuple[Claim, ...] = ("notification", "statement")
CAME_BACK: tuple[Claim, ...] = ("return_notice", "return_notification", "return")


class OpenAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as matching sees it: what was instructed, and how it ended if it did."""

    payment_id: UUID
    attempt_no: int
    end_to_end_id: str
    money: Money
    opened_on: date
    outcome: Literal["post", "void"] | None = None


class StoredLine(msgspec.Struct, frozen=True, kw_only=True):
    """A statement line that was taken in."""

    line_id: UUID
    source: Source
    status: Status
    direction: Literal["debit", "credit"]
    end_to_end_id: str
    bank_reference: str
    money: Money | None
    booked_on: date | None
    reason: str


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """A line that proves one step (`claim`) of one attempt, by `rule`."""

    line_id: UUID
    payment_id: UUID
    attempt_no: int
    claim: Claim
    source: Source
    status: Status
    direction: Literal["debit", "credit"]
    end_to_end_id: str
    bank_reference: str
    money: Money | None
    booked_on: date | None
    reason: str
    rule: str


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """A difference that a person has to explain. Amounts are in minor units of `currency`."""

    kind: BreakKind
    payment_id: UUID | None = None
    attempt_no: int | None = None
    end_to_end_id: str = ""
    line_id: UUID | None = None
    statement_id: UUID | None = None
    expected_minor: int | None = None
    actual_minor: int | None = None
    currency: str = ""


class Matching(msgspec.Struct, frozen=True, kw_only=True):
    """New allocations and all breaks, each sorted, so that equal input gives equal output."""

    allocations: list[Allocation]
    breaks: list[Break]


def match(
    attempts: Sequence[OpenAttempt],
    lines: Sequence[StoredLine],
    claimed: Sequence[Allocation] = (),
    *,
    as_of: date,
    pending_days: int,
) -> Matching:
    """Match unclaimed lines to attempts; `claimed` is what these attempts were matched with before.

    An attempt without a debit on a statement, a rejection or another break is pending until it is
    older than `pending_days`; then its silence is a break.
    """
    groups: dict[str, list[StoredLine]] = {attempt.end_to_end_id: [] for attempt in attempts}
    breaks: list[Break] = []
    for line in lines:
        if line.end_to_end_id in groups:
            groups[line.end_to_end_id].append(line)
        else:
            breaks.append(unexplained(line))
    before: dict[tuple[UUID, int], list[Allocation]] = {}
    for allocation in claimed:
        before.setdefault((allocation.payment_id, allocation.attempt_no), []).append(allocation)
    allocations: list[Allocation] = []
    for attempt in attempts:
        held = before.get((attempt.payment_id, attempt.attempt_no), [])
        group = _Group(attempt, groups[attempt.end_to_end_id], held)
        group.settle(as_of=as_of, pending_days=pending_days)
        allocations += group.allocations
        breaks += group.breaks
    return Matching(
        allocations=sorted(allocations, key=lambda a: (a.end_to_end_id, a.claim)),
        breaks=sorted_breaks(breaks),
    )


def sorted_breaks(breaks: Iterable[Break]) -> list[Break]:
    """Return breaks in the one order in which reports show them."""
    return sorted(
        breaks, key=lambda b: (b.kind, b.end_to_end_id, str(b.line_id), str(b.statement_id))
    )


def unexplained(line: StoredLine) -> Break:
    """Return the break of a line whose end-to-end id is none of ours."""
    kind: BreakKind = "paid_not_instructed" if line.direction == "debit" else "credit_unexplained"
    if line.source == "pain.002":
        kind = "status_unexplained"
    return Break(
        kind=kind,
        end_to_end_id=line.end_to_end_id,
        line_id=line.line_id,
        actual_minor=None if line.money is None else line.money.amount_minor,
        currency="" if line.money is None else line.money.currency,
    )


def claim_of(line: StoredLine) -> Claim:
    """Say which step of an attempt this kind of line can prove."""
    match line.source, line.direction:
        case "pain.002", _:
            return "status"
        case "pacs.004", _:
            return "return_notice"
        case "camt.054", "debit":
            return "notification"
        case "camt.054", _:
            return "return_notification"
        case _, "debit":
            return "statement"
    return "return"


class _Group:
    """One attempt with the lines that name it."""

    def __init__(
        self, attempt: OpenAttempt, lines: Sequence[StoredLine], held: Sequence[Allocation]
    ) -> None:
        self.attempt = attempt
        self.held = {allocation.claim: allocation for allocation in held}
        self.lines: dict[Claim, list[StoredLine]] = {}
        for line in sorted(lines, key=lambda line: line.line_id):
            self.lines.setdefault(claim_of(line), []).append(line)
        self.allocations: list[Allocation] = []
        self.breaks: list[Break] = []

    def settle(self, *, as_of: date, pending_days: int) -> None:
        statuses = self.lines.pop("status", [])
        rejected = [line for line in statuses if line.status == "rejected"]
        paid = self.attempt.outcome == "post" or any(
            self.lines.get(claim) or claim in self.held for claim in PAID
        )
        if rejected and paid and not self._is_rejected():
            # The one says it paid, the other that it did not: neither is believed.
            self._break("fsp_and_bank_disagree", rejected[0])
            for claim in PAID:
                for line in self.lines.pop(claim, []):
                    self._break("fsp_and_bank_disagree", line)
        else:
            self._settle_status(statuses, rejected)
        for claim in PAID:
            self._settle_money(claim)
        overdue = (as_of - self.attempt.opened_on).days > pending_days
        for claim in CAME_BACK:
            self._settle_return(claim, overdue=overdue)
        explained = self.attempt.outcome is not None or self._is_rejected() or bool(self.breaks)
        if overdue and not explained and "statement" not in self.held:
            # A debit that was announced and never booked is not the same as no debit.
            announced = "notification" in self.held
            self._break("fsp_and_bank_disagree" if announced else "instructed_not_paid", None)

    def _settle_return(self, claim: Claim, *, overdue: bool) -> None:
        """Match a return once its debit was seen; until then it waits, but not for ever."""
        # The credit on a statement answers a debit on a statement: only that one is delivered.
        debits: tuple[Claim, ...] = ("statement",) if claim == "return" else PAID
        if self.attempt.outcome is not None or any(debit in self.held for debit in debits):
            self._settle_money(claim)
        elif overdue:
            for line in self.lines.get(claim, []):
                self._break("fsp_and_bank_disagree", line)

    def _settle_status(
        self, statuses: Sequence[StoredLine], rejected: Sequence[StoredLine]
    ) -> None:
        """Claim the first acceptance and the first rejection; further reports are no news."""
        accepted = [line for line in statuses if line.status != "rejected"]
        for line in accepted[:1]:
            if "status" not in self.held:
                self._fit("status", line)
        for line in rejected[:1]:
            if not self._is_rejected():
                self._fit("rejection", line)

    def _settle_money(self, claim: Claim) -> None:
        movements: dict[object, StoredLine] = {}
        for line in self.lines.get(claim, []):
            if line.bank_reference and _movement(line) in movements:
                self._break("line_twice", line)
            else:
                movements[_movement(line) if line.bank_reference else line.line_id] = line
        fitting = [line for line in movements.values() if self._differs(line) is None]
        for line in movements.values():
            differs = self._differs(line)
            if differs is not None:
                self._break(differs, line)
        held = self.held.get(claim)
        for line in fitting:
            if held is not None:
                same = line.bank_reference and line.bank_reference == held.bank_reference
                self._break("line_twice" if same else "paid_twice", line)
            elif self.attempt.outcome == "void":
                self._break("paid_after_void" if claim in PAID else "late_return", line)
            elif claim in PAID and self._is_rejected():
                self._break("fsp_and_bank_disagree", line)
            elif len(fitting) > 1:
                # Which of them was ours can't be known, so none is matched by itself.
                self._break("paid_twice", line)
            else:
                self._fit(claim, line)

    def _is_rejected(self) -> bool:
        return "rejection" in self.held

    def _differs(self, line: StoredLine) -> BreakKind | None:
        if line.money is None or line.money == self.attempt.money:
            return None
        same = line.money.currency == self.attempt.money.currency
        return "amount_differs" if same else "currency_differs"

    def _fit(self, claim: Claim, line: StoredLine) -> None:
        """Claim the line, or break over its amount or currency."""
        differs = self._differs(line)
        if differs is not None:
            self._break(differs, line)
            return
        facts = msgspec.structs.asdict(line)
        allocation = Allocation(
            **facts,
            payment_id=self.attempt.payment_id,
            attempt_no=self.attempt.attempt_no,
            claim=claim,
            rule=RULE,
        )
        self.held[claim] = allocation
        self.allocations.append(allocation)

    def _break(self, kind: BreakKind, line: StoredLine | None) -> None:
        attempt = self.attempt
        money = None if line is None else line.money
        self.breaks.append(
            Break(
                kind=kind,
                payment_id=attempt.payment_id,
                attempt_no=attempt.attempt_no,
                end_to_end_id=attempt.end_to_end_id,
                line_id=None if line is None else line.line_id,
                expected_minor=attempt.money.amount_minor,
                actual_minor=None if money is None else money.amount_minor,
                currency=attempt.money.currency if money is None else money.currency,
            )
        )


def _movement(line: StoredLine) -> tuple[object, ...]:
    """What makes two lines of one kind the same movement, reported twice."""
    return (line.bank_reference, line.money, line.direction, line.booked_on)
