"""Load what a break may turn out to be."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.differences import load_about
from ledger.breaks import Kept
from ledger.money import Money
from ledger.suggestion import (
    CANDIDATES_MAX,
    Payable,
    Suggestion,
    suggest_debit,
    suggest_exchange,
)

# The oldest open payments of the programme that are not more than the line.
_OPEN = text("""
    SELECT a.payment_id, a.attempt_no, a.amount_minor, a.currency
    FROM ledger.attempt a JOIN cbi.entitlement e ON e.entitlement_id = a.payment_id
    JOIN cbi.round r USING (round_id)
    WHERE r.programme_id = :programme_id AND a.currency = :currency
        AND a.amount_minor <= :amount_minor AND NOT EXISTS (SELECT FROM ledger.outcome o
            WHERE o.payment_id = a.payment_id AND o.attempt_no = a.attempt_no)
    ORDER BY a.opened_at, a.payment_id LIMIT :limit""")

_NAMED = text("""
    SELECT payment_id, attempt_no, amount_minor, currency FROM ledger.attempt
    WHERE payment_id = :payment_id AND attempt_no = :attempt_no""")

_RATE = text("""
    SELECT CASE WHEN x.sold_currency = :line THEN x.rate ELSE 1 / x.rate END AS rate
    FROM ledger.exchange x
    WHERE (x.sold_currency, x.bought_currency) IN ((:line, :payment), (:payment, :line))
    ORDER BY x.rate_on DESC, x.entry_id LIMIT 1""")


async def suggest(conn: AsyncConnection, kept: Kept) -> list[Suggestion]:
    """Say what an open break about a debit may be; nothing for any other."""
    for about in await load_about(conn, [kept.break_id]):
        if about.direction == "debit":
            return await _suggest(conn, kept, about.programme_id, about.money)
    return []


async def _suggest(
    conn: AsyncConnection, kept: Kept, programme_id: UUID, money: Money
) -> list[Suggestion]:
    facts = {"programme_id": programme_id, "currency": money.currency, "limit": CANDIDATES_MAX}
    rows = await conn.execute(_OPEN, {**facts, "amount_minor": money.amount_minor})
    payments = [_payable(*row) for row in rows]
    expected = None
    if kept.found.payment_id is not None:
        named = {"payment_id": kept.found.payment_id, "attempt_no": kept.found.attempt_no}
        expected = _payable(*(await conn.execute(_NAMED, named)).one())
    if expected is None or expected.money.currency == money.currency:
        return suggest_debit(money, payments, expected=expected)
    pair = {"line": money.currency, "payment": expected.money.currency}
    rate: Decimal | None = await conn.scalar(_RATE, pair)
    return [] if rate is None else suggest_exchange(money, expected, rate)


def _payable(payment_id: UUID, attempt_no: int, amount_minor: int, currency: str) -> Payable:
    return Payable(
        payment_id=payment_id,
        attempt_no=attempt_no,
        money=Money(amount_minor=amount_minor, currency=currency),
    )
