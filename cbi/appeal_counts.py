"""Count appeals over all organisations, for the figures that are published."""

from datetime import date

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.figures import Count, Figures, Stops, check_quarter, figures


async def count(conn: AsyncConnection, *, first_day: date, next_day: date, today: date) -> Figures:
    """Return what may be published of a quarter that is over; raises BadValue for other days."""
    check_quarter(first_day, next_day, today=today)
    rows = await conn.execute(
        text("SELECT * FROM cbi.appeal_counts(:first_day ::date, :next_day ::date)"),
        {"first_day": first_day, "next_day": next_day},
    )
    counts = [msgspec.convert(row._mapping, Count) for row in rows]  # noqa: SLF001 -- public by its docs
    found = await conn.execute(
        text("SELECT * FROM cbi.stop_counts(:first_day ::date, :next_day ::date)"),
        {"first_day": first_day, "next_day": next_day},
    )
    stops = [msgspec.convert(row._mapping, Stops) for row in found]  # noqa: SLF001 -- public by its docs
    return figures(counts, stops, first_day=first_day, next_day=next_day)
