"""Bank match: what each statement holds, what of it is matched, and whether they follow."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import msgspec

from cbi.reports.sheet import Column, Drafts, Section, count, day, money, named, text, word


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """One statement or report that was taken in. Sums are in minor units of its currency."""

    statement_id: UUID
    source: str
    currency: str
    booked_on: date | None
    sequence: int | None
    lines: int
    matched: int
    rejected: int
    debit_minor: int
    credit_minor: int
    matched_minor: int
    opening_minor: int | None
    closing_minor: int | None
    continuity: str  # a kind of break, "whole", "repeats_another" or "no_balances"


def sections(statements: Sequence[Matched]) -> list[Section]:
    """Return the statements of each currency, in the order given."""
    drafts = Drafts("statements", _columns)
    for each in statements:
        facts = [
            each.booked_on,
            each.source,
            each.sequence,
            each.statement_id,
            each.lines,
            each.matched,
            each.lines - each.matched,
            each.rejected,
        ]
        if each.currency:
            facts += [each.opening_minor, each.debit_minor, each.credit_minor]
            facts += [each.closing_minor, each.matched_minor]
        drafts.of(each.currency).add(*facts, each.continuity)
    return drafts.sections()


def _columns(currency: str) -> list[Column]:
    columns = [
        day("booked_on"),
        text("source"),
        count("sequence", adds_up=False),
        named("statement_id"),
        count("lines"),
        count("matched"),
        count("unmatched"),
        count("rejected"),
    ]
    if currency:
        columns += [
            money("opening", currency, adds_up=False),
            money("debit", currency),
            money("credit", currency),
            money("closing", currency, adds_up=False),
            money("matched_sum", currency),
        ]
    return [*columns, word("continuity")]
