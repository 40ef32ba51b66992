"""Keep what an exchange was, before its two legs are posted; and read it back."""

from collections.abc import AsyncIterator
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.exchange import Exchange
from ledger.money import Money

PAGE = 1_000

# The id follows from the rest, so one that is there already is the same.
_RECORD = text("""
    INSERT INTO ledger.exchange (entry_id, partner_id, name, sold_minor, sold_currency,
        bought_minor, bought_currency, rate, rate_source, rate_on)
    VALUES (:entry_id, :partner_id, :name, :sold_minor, :sold_currency, :bought_minor,
        :bought_currency, :rate, :rate_source, :rate_on)
    ON CONFLICT (entry_id) DO NOTHING""")

_EXCHANGES = text("""
    SELECT entry_id, partner_id, name, sold_minor, sold_currency, bought_minor, bought_currency,
        rate, rate_source, rate_on
    FROM ledger.exchange WHERE entry_id > :after ORDER BY entry_id LIMIT :page""")


async def record_exchange(conn: AsyncConnection, exchange: Exchange) -> None:
    """Record an exchange; the same again is no news."""
    await conn.execute(
        _RECORD,
        {
            "entry_id": exchange.entry_id,
            "partner_id": exchange.partner_id,
            "name": exchange.name,
            "sold_minor": exchange.sold.amount_minor,
            "sold_currency": exchange.sold.currency,
            "bought_minor": exchange.bought.amount_minor,
            "bought_currency": exchange.bought.currency,
            "rate": exchange.rate,
            "rate_source": exchange.rate_source,
            "rate_on": exchange.rate_on,
        },
    )


async def exchanges(conn: AsyncConnection) -> AsyncIterator[tuple[UUID, Exchange | None]]:
    """Yield each exchange under the id it is kept by; None where it makes no sense."""
    after = UUID(int=0)
    while rows := (await conn.execute(_EXCHANGES, {"after": after, "page": PAGE})).all():
        for row in rows:
            try:
                yield (
                    row.entry_id,
                    Exchange(
                        partner_id=row.partner_id,
                        name=row.name,
                        sold=Money(amount_minor=row.sold_minor, currency=row.sold_currency),
                        bought=Money(amount_minor=row.bought_minor, currency=row.bought_currency),
                        rate=row.rate,
                        rate_source=row.rate_source,
                        rate_on=row.rate_on,
                    ),
                )
            except ValueError:
                yield row.entry_id, None
        after = rows[-1].entry_id
