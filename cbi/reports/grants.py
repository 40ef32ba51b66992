"""By donor and grant: given, allotted, left; and what the money of a programme was used for.

Money is allotted into one fund, where nobody can say of which grant a sol is. So its use is told
for the programme, not for the grant.
"""

from collections.abc import Sequence
from datetime import date

import msgspec

from cbi.reports.movement import Movement, what_is
from cbi.reports.sheet import Column, Drafts, Section, money, text, word
from ledger.account import TrialRow

SPENT = ("expense", "fees", "exchange")
ON_BEHALF = ("fund", "available", "committed", "payable", "delivered")


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """A programme's accounts and its rounds', and what moved its grants and its fund."""

    programme: str
    as_of: date
    accounts: tuple[TrialRow, ...]
    movements: tuple[Movement, ...]


def sections(pools: Sequence[Pool]) -> list[Section]:
    """Return the grants, then what became of what was allotted, by currency."""
    grants, uses = Drafts("grants", _grant_columns), Drafts("uses", _use_columns)
    for pool in pools:
        _grants(grants, pool)
        _uses(uses, pool)
    return [*grants.sections(), *uses.sections()]


def _grants(grants: Drafts, pool: Pool) -> None:
    for row in pool.accounts:
        if what_is(row.code) != "grant":
            continue
        own = [m for m in pool.movements if (m.code, m.currency) == (row.code, row.currency)]
        given = -sum(m.signed_minor for m in own if m.other == "advance")
        allotted = sum(m.signed_minor for m in own if m.other == "fund")
        # Something else than deposits and allotments would show here.
        other = row.balance_minor - given + allotted
        code = row.code.split(":", 3)[3]
        grants.of(row.currency).add(pool.programme, code, given, allotted, other, row.balance_minor)


def _uses(uses: Drafts, pool: Pool) -> None:
    for currency in sorted({row.currency for row in pool.accounts}):
        own = [m for m in pool.movements if m.currency == currency and what_is(m.code) == "fund"]
        allotted = -sum(m.signed_minor for m in own if m.other == "grant")
        direct = -sum(m.signed_minor for m in own if m.other == "advance" and m.kind != "exchange")
        exchanged = -sum(
            m.signed_minor for m in own if m.other == "advance" and m.kind == "exchange"
        )
        held = {what: _sum(pool, currency, what) for what in (*SPENT, *ON_BEHALF)}
        in_rounds = held["available"] + held["committed"] + held["payable"]
        left = allotted + direct + exchanged - sum(held[what] for what in SPENT)
        draft = uses.of(currency)
        for use, minor in (
            ("allotted", allotted),
            ("given_at_once", direct),
            ("exchanged", exchanged),
            ("delivered", -held["expense"]),
            ("fees_and_taxes", -held["fees"]),
            ("exchange_result", -held["exchange"]),
            ("other", held["fund"] + in_rounds - left),
        ):
            draft.add(pool.programme, use, minor, None)
        draft.add(pool.programme, "left_in_fund", None, held["fund"])
        draft.add(pool.programme, "left_in_rounds", None, in_rounds)


def _sum(pool: Pool, currency: str, what: str) -> int:
    return sum(
        row.balance_minor
        for row in pool.accounts
        if row.currency == currency and what_is(row.code) == what
    )


def _grant_columns(currency: str) -> list[Column]:
    sums = ("given", "allotted", "other", "left_over")
    return [text("programme"), text("grant"), *(money(key, currency) for key in sums)]


def _use_columns(currency: str) -> list[Column]:
    return [
        text("programme"),
        word("use"),
        money("amount", currency),
        money("left_over", currency),
    ]
