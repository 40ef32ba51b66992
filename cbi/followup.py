"""A follow-up: another try at the payments of a released round that failed. Pure."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

from cbi.disbursement import end_to_end_id
from cbi.entitlement import Entitlement, Why
from ledger.attempt import Attempt
from ledger.money import Money

PAYMENTS_MAX = 10_000  # one batch of the ledger
ATTEMPTS_MAX = 99  # an end-to-end id has two digits for it

Reason = Why | Literal["partly_delivered", "frozen", "too_many_attempts"]


class Followup(msgspec.Struct, frozen=True, kw_only=True):
    """The follow-up number `followup_no` of a round, paid on `pays_on`.

    `waiting` failed payments had no room: the follow-up after this one looks at them.
    """

    followup_id: UUID
    round_id: UUID
    followup_no: int
    pays_on: date
    waiting: int
    opened_by: UUID
    opened_at: datetime


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A payment on the list, and the attempt that it gets."""

    payment_id: UUID
    household_id: UUID
    attempt_no: int
    after: Literal["void", "returned"]  # what ended the attempt before
    money: Money

    def attempt(self) -> Attempt:
        return Attempt(
            payment_id=self.payment_id,
            attempt_no=self.attempt_no,
            end_to_end_id=end_to_end_id(self.payment_id, self.attempt_no),
            money=self.money,
            after_return=self.after == "returned",
        )


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that failed and is not on the list, with every reason."""

    payment_id: UUID
    household_id: UUID
    reasons: tuple[Reason, ...]


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A payment whose last attempt did not stay with the family, or not all of it."""

    entitlement: Entitlement
    attempt_no: int
    is_returned: bool
    is_part: bool

    def own_reasons(self) -> tuple[Reason, ...]:
        """Say what in the payment itself forbids another attempt.

        What a family got a part of is not sent again: its rest is a decision of its own.
        """
        reasons: list[Reason] = []
        if self.is_part and not self.is_returned:
            reasons.append("partly_delivered")
        if self.attempt_no >= ATTEMPTS_MAX:
            reasons.append("too_many_attempts")
        return tuple(reasons)

    def again(self) -> Again:
        return Again(
            payment_id=self.entitlement.entitlement_id,
            household_id=self.entitlement.household_id,
            attempt_no=self.attempt_no + 1,
            after="returned" if self.is_returned else "void",
            money=self.entitlement.money,
        )


def divide(
    failed: Iterable[Failed], blocked: dict[UUID, Sequence[Reason]]
) -> tuple[list[Again], list[LeftOut]]:
    """Divide failed payments into those paid again and those left out; `blocked` by payment."""
    listed: list[Again] = []
    left_out: list[LeftOut] = []
    for each in failed:
        one = each.entitlement
        reasons = (*each.own_reasons(), *blocked.get(one.entitlement_id, ()))
        if reasons:
            left_out.append(
                LeftOut(
                    payment_id=one.entitlement_id, household_id=one.household_id, reasons=reasons
                )
            )
        else:
            listed.append(each.again())
    return listed, left_out
