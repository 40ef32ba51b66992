"""Match what the bank reports to what we instructed. Pure, and blind to the order of its input.

A line proves a step of an attempt when a key of ours, amount, currency and direction agree and
nothing else could be meant. Every other line, and every silence, is a named break.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from ledger.money import Money
from ledger.statement import Source, Status, part_of

Claim = Literal[
    "status",
    "rejection",
    "unclaimed",
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
    "wrong_beneficiary",
    "paid_after_void",
    "fsp_and_bank_disagree",
    "entitlement_and_instruction_disagree",
    "delivered_unproved",
    "batch_unexplained",
    "credit_unexplained",
    "status_unexplained",
    "line_unreadable",
    "statement_gap",
    "statement_unbalanced",
]
SettledBy = Literal["statement", "report"]
# The version of all that decides what is matched and what is a break.
RULES = "2026-11"
EXACT = "end-to-end-id-exact/1"
PAID: tuple[Claim, ...] = ("notification", "statement")
ENDED: tuple[Claim, ...] = ("rejection", "unclaimed")
CAME_BACK: tuple[Claim, ...] = ("return_notice", "return_notification", "return")
# Reports say how a payment stands; they move no money.
SAID: tuple[Claim, ...] = ("status", "rejection", "unclaimed")


class OpenAttempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An attempt as matching sees it: what was instructed, and how it ended if it did.

    `settled_by` says whose word delivers it: the bank's statement, or the provider's own report
    where it pays from money that lies with it. `account_token` is the payee's, "" if not known.
    """

    payment_id: UUID
    attempt_no: int
    end_to_end_id: str
    money: Money
    opened_on: date
    outcome: Literal["post", "void"] | None = None
    settled_by: SettledBy = "statement"
    account_token: str = ""


class StoredLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A statement line that was taken in, with its number among the matches of this line."""

    line_id: UUID
    source: Source
    status: Status
    direction: Literal["debit", "credit"]
    end_to_end_id: str
    bank_reference: str
    money: Money | None
    booked_on: date | None
    reason: str
    account_token: str = ""
    identity: UUID | None = None  # the same for the same movement, in whatever statement
    nth: int = 1
    rule: str = EXACT  # how it was found to name its attempt


class Allocation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line, or a part of it, that proves one step (`claim`) of one attempt, by `rule`."""

    line_id: UUID
    payment_id: UUID
    attempt_no: int
    claim: Claim
    source: Source
    status: Status
    direction: Literal["debit", "credit"]
    end_to_end_id: str
    bank_reference: str
    money: Money | None  # how much of the line; None for a report
    booked_on: date | None
    reason: str
    rule: str
    identity: UUID | None = None
    nth: int = 1


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
    parted: frozenset[tuple[UUID, UUID, int]] = frozenset(),
) -> Matching:
    """Match unclaimed lines to attempts; `claimed` is what these attempts were matched with before.

    An attempt without proof of delivery, a rejection or another break is pending until it is older
    than `pending_days`; then its silence is a break. What a person has parted (line, payment,
    attempt) is not matched again by itself.
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
        own = groups[attempt.end_to_end_id]
        held = before.get((attempt.payment_id, attempt.attempt_no), ())
        if len(own) == 1 and not held and not parted and is_plain(attempt, own[0]):
            allocations.append(allocate(attempt, own[0], claim_of(own[0])))
            continue
        one = _Group(attempt, own, held, parted)
        one.settle(as_of=as_of, pending_days=pending_days)
        allocations += one.allocations
        breaks += one.breaks
    allocations.sort(key=lambda a: (a.end_to_end_id, a.claim))
    return Matching(allocations=allocations, breaks=sorted_breaks(breaks))


def is_plain(attempt: OpenAttempt, line: StoredLine) -> bool:
    """Whether this only line says that the attempt was paid as instructed: most are such."""
    return (
        attempt.outcome is None
        and attempt.settled_by == "statement"
        and line.money == attempt.money
        and line.status == "booked"
        and claim_of(line) == "statement"
        and not is_strange_account(attempt, line)
    )


def is_strange_account(attempt: OpenAttempt, line: StoredLine) -> bool:
    """Whether the money went to another account than the payee's; unknown is not strange."""
    return "" != attempt.account_token != line.account_token != ""


def sorted_breaks(breaks: Iterable[Break]) -> list[Break]:
    """Return breaks in the one order in which reports show them."""
    return sorted(
        breaks, key=lambda b: (b.kind, b.end_to_end_id, str(b.line_id), str(b.statement_id))
    )


def unexplained(line: StoredLine) -> Break:
    """Return the break of a line that names none of our attempts."""
    kind: BreakKind = "paid_not_instructed" if line.direction == "debit" else "credit_unexplained"
    if part_of(line.source, line.status) == "status":
        kind = "status_unexplained"
    return Break(
        kind=kind,
        end_to_end_id=line.end_to_end_id,
        line_id=line.line_id,
        actual_minor=line.money.amount_minor if line.money else None,
        currency=line.money.currency if line.money else "",
    )


def claim_of(line: StoredLine) -> Claim:
    """Say which step of an attempt this kind of line can prove."""
    match part_of(line.source, line.status), line.direction:
        case "status", _:
            if line.status == "rejected":
                return "rejection"
            return "unclaimed" if line.status == "unclaimed" else "status"
        case "return_notice", _:
            return "return_notice"
        case "notification", "debit":
            return "notification"
        case "notification", _:
            return "return_notification"
        case _, "debit":
            return "statement"
    return "return"


def allocate(
    attempt: OpenAttempt,
    line: StoredLine,
    claim: Claim,
    *,
    part: Money | None = None,
) -> Allocation:
    """Claim the line, or a part of it, for a step of the attempt."""
    money = line.money if part is None else part
    return Allocation(
        line_id=line.line_id,
        payment_id=attempt.payment_id,
        attempt_no=attempt.attempt_no,
        nth=line.nth,
        claim=claim,
        source=line.source,
        status=line.status,
        direction=line.direction,
        end_to_end_id=attempt.end_to_end_id,
        bank_reference=line.bank_reference,
        money=None if claim in SAID else money,
        booked_on=line.booked_on,
        reason=line.reason,
        rule=line.rule,
        identity=line.identity,
    )


class _Group:
    """One attempt with the lines that name it."""

    def __init__(
        self,
        attempt: OpenAttempt,
        lines: Sequence[StoredLine],
        held: Sequence[Allocation],
        parted: frozenset[tuple[UUID, UUID, int]],
    ) -> None:
        self.attempt = attempt
        self.held: dict[Claim, Allocation] = {each.claim: each for each in held}
        self.lines: dict[Claim, list[StoredLine]] = {}
        self.allocations: list[Allocation] = []
        self.breaks: list[Break] = []
        for line in sorted(lines, key=lambda line: line.line_id):
            if (line.line_id, attempt.payment_id, attempt.attempt_no) in parted:
                self.breaks.append(unexplained(line))
            else:
                self.lines.setdefault(claim_of(line), []).append(line)

    def settle(self, *, as_of: date, pending_days: int) -> None:
        ends = [line for claim in ENDED for line in self.lines.pop(claim, [])]
        paid = self.attempt.outcome == "post" or any(
            self.lines.get(claim) or claim in self.held for claim in PAID
        )
        if ends and paid and not self._has_ended():
            # The one says it paid, the other that it did not: neither is believed.
            self._break("fsp_and_bank_disagree", ends[0])
            for claim in PAID:
                for line in self.lines.pop(claim, []):
                    self._break("fsp_and_bank_disagree", line)
        else:
            self._settle_said(ends)
        for claim in PAID:
            self._settle_money(claim)
        overdue = (as_of - self.attempt.opened_on).days > pending_days
        for claim in CAME_BACK:
            self._settle_return(claim, overdue=overdue)
        self._settle_silence(overdue=overdue)

    def _settle_silence(self, *, overdue: bool) -> None:
        """Break over an attempt of which nothing is proved, once it is old enough."""
        proves = "notification" if self.attempt.settled_by == "report" else "statement"
        if self.breaks or proves in self.held or self._has_ended():
            return
        if self.attempt.outcome == "post":
            # It is booked as delivered, and what proved it was taken away.
            self._break("delivered_unproved", None)
        elif self.attempt.outcome is None and overdue:
            # A debit that was announced and never booked is not the same as no debit.
            announced = any(claim in self.held for claim in PAID)
            self._break("fsp_and_bank_disagree" if announced else "instructed_not_paid", None)

    def _settle_return(self, claim: Claim, *, overdue: bool) -> None:
        """Match a return once its debit was seen; until then it waits, but not for ever."""
        # The credit on a statement answers a debit on a statement: only that one is delivered.
        is_strict = claim == "return" and self.attempt.settled_by == "statement"
        debits: tuple[Claim, ...] = ("statement",) if is_strict else PAID
        if self.attempt.outcome is not None or any(debit in self.held for debit in debits):
            self._settle_money(claim)
        elif overdue:
            for line in self.lines.get(claim, []):
                self._break("fsp_and_bank_disagree", line)

    def _settle_said(self, ends: Sequence[StoredLine]) -> None:
        """Claim the first acceptance and the first ending; further reports are no news."""
        for line in self.lines.pop("status", [])[:1]:
            if "status" not in self.held:
                self._fit("status", line)
        for line in ends[:1]:
            if not self._has_ended():
                self._fit(claim_of(line), line)

    def _settle_money(self, claim: Claim) -> None:
        movements: dict[object, StoredLine] = {}
        for line in self.lines.get(claim, []):
            if movements.setdefault(_movement(line), line) is not line:
                self._break("line_twice", line)
        fitting = [line for line in movements.values() if self._differs(line, claim) is None]
        for line in movements.values():
            differs = self._differs(line, claim)
            if differs is not None:
                self._break(differs, line)
        held = self.held.get(claim)
        for line in fitting:
            if held is not None:
                same = _movement(line) == _movement(held)
                self._break("line_twice" if same else "paid_twice", line)
            elif self.attempt.outcome == "void":
                self._break("paid_after_void" if claim in PAID else "late_return", line)
            elif claim in PAID and self._has_ended():
                self._break("fsp_and_bank_disagree", line)
            elif len(fitting) > 1:
                # Which of them was ours can't be known, so none is matched by itself.
                self._break("paid_twice", line)
            else:
                self._fit(claim, line)

    def _has_ended(self) -> bool:
        return any(claim in self.held for claim in ENDED)

    def _differs(self, line: StoredLine, claim: Claim) -> BreakKind | None:
        if line.money is not None and line.money != self.attempt.money:
            same = line.money.currency == self.attempt.money.currency
            return "amount_differs" if same else "currency_differs"
        if claim in PAID and is_strange_account(self.attempt, line):
            return "wrong_beneficiary"
        return None

    def _fit(self, claim: Claim, line: StoredLine) -> None:
        """Claim the line, or break over its amount, its currency or who got it."""
        differs = self._differs(line, claim)
        if differs is not None:
            self._break(differs, line)
            return
        self.held[claim] = made = allocate(self.attempt, line, claim)
        self.allocations.append(made)

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


def _movement(line: StoredLine | Allocation) -> object:
    """What makes two lines of one kind the same movement, reported twice."""
    if line.identity is not None:
        return line.identity
    if line.bank_reference:
        return (line.bank_reference, line.money, line.direction, line.booked_on)
    return line.line_id
