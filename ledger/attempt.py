"""Attempts to pay, how they ended, and what came back."""

from typing import Literal
from uuid import UUID

import msgspec

from ledger.money import Money


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at one payment; `end_to_end_id` is what the bank will answer with.

    One after the first stands on the void outcome of the one before, or, `after_return`, on the
    return of what that delivered.
    """

    payment_id: UUID
    attempt_no: int
    end_to_end_id: str
    money: Money
    after_return: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended: "post" is delivered, "void" is not paid and never will be.

    A time-out is no outcome. `line_id` is the statement line that says so, if one does. `part` is
    what was delivered where that is less than the attempt; the rest never will be by this payment.
    """

    payment_id: UUID
    attempt_no: int
    outcome: Literal["post", "void"]
    reason: str = ""
    line_id: UUID | None = None
    part: Money | None = None


class Giveback(msgspec.Struct, frozen=True, kw_only=True):
    """A delivered attempt whose money came back."""

    payment_id: UUID
    attempt_no: int
    reason: str = ""
    line_id: UUID | None = None


class AttemptState(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt with how it ended, if it did, and whether its money came back."""

    attempt: Attempt
    outcome: Literal["post", "void"] | None
    part: Money | None = None
    reason: str
    returned: bool
    return_reason: str

    @property
    def delivered(self) -> Money:
        """What the payee got by this attempt, if it is not returned."""
        got = self.attempt.money if self.part is None else self.part
        return got if self.outcome == "post" else msgspec.structs.replace(got, amount_minor=0)
