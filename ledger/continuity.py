"""Prove that a row of statements is whole before anything is concluded from it."""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from uuid import UUID

import msgspec

from ledger.matching import Break


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """A camt.053 statement's frame; `lines_minor` is credits less debits of its lines."""

    statement_id: UUID
    account_token: str
    currency: str
    sequence: int | None
    booked_on: date | None
    opening_minor: int | None
    closing_minor: int | None
    lines_minor: int


def continuity(statements: Sequence[Balances]) -> list[Break]:
    """Return a break for each statement that does not add up and each that is missing.

    Opening plus lines is closing; closing is the next opening; sequence numbers of one account
    have no gap. Does not depend on the order of `statements`.
    """
    breaks = [found for statement in statements for found in _adds_up(statement)]
    rows: dict[tuple[str, str], list[Balances]] = {}
    for statement in statements:
        rows.setdefault((statement.account_token, statement.currency), []).append(statement)
    for key in sorted(rows):
        for earlier, later in pairwise(sorted(rows[key], key=_order)):
            breaks += _follows(earlier, later)
    return breaks


def _order(statement: Balances) -> tuple[date, int, UUID]:
    # Numbering may begin anew each year, so the day goes first.
    return (statement.booked_on or date.min, statement.sequence or 0, statement.statement_id)


def _adds_up(statement: Balances) -> list[Break]:
    if statement.opening_minor is None or statement.closing_minor is None:
        return []
    expected = statement.opening_minor + statement.lines_minor
    if expected == statement.closing_minor:
        return []
    return [
        Break(
            kind="statement_unbalanced",
            statement_id=statement.statement_id,
            expected_minor=expected,
            actual_minor=statement.closing_minor,
            currency=statement.currency,
        )
    ]


def _follows(earlier: Balances, later: Balances) -> list[Break]:
    skipped = (
        earlier.sequence is not None
        and later.sequence is not None
        and later.sequence > earlier.sequence + 1
    )
    known = earlier.closing_minor is not None and later.opening_minor is not None
    if not skipped and (not known or earlier.closing_minor == later.opening_minor):
        return []
    return [
        Break(
            kind="statement_gap",
            statement_id=later.statement_id,
            expected_minor=earlier.closing_minor,
            actual_minor=later.opening_minor,
            currency=later.currency,
        )
    ]
