"""Caps of instruments: enter and load them, and find payments that are above."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.cap import Cap, Limits, Uit, limits_in_force, limits_of
from cbi.disbursement import Round
from cbi.entitlement import Entitlement
from cbi.term_refusal import NoUit
from cbi.term_tables import instrument_cap, uit_value
from cbi.who import Who
from dedup.driver import fetch
from ledger.violation import constraint_of

# What a page's enrolments are promised in other rounds that pay in the same month.
_MONTHS = """
    SELECT w.enrolment_id, b.minor FROM unnest($1 ::uuid[]) AS w(enrolment_id)
    CROSS JOIN LATERAL (
        SELECT cbi.paid_in_month(w.enrolment_id, $2 ::date, $3 ::uuid) AS minor OFFSET 0) AS b
    WHERE b.minor > 0"""

# By what these enrolments are paid, and what the round pays them.
_PAID = """
    SELECT w.enrolment_id, n.household_id, n.instrument_kind, b.largest, b.total
    FROM unnest($1 ::uuid[]) AS w(enrolment_id)
    JOIN cbi.enrolment AS n USING (enrolment_id)
    CROSS JOIN LATERAL (
        SELECT max(e.amount_minor) AS largest, sum(e.amount_minor)::bigint AS total
        FROM cbi.entitlement AS e
        WHERE e.enrolment_id = w.enrolment_id AND e.round_id = $2 AND e.cancelled_at IS NULL
        OFFSET 0) AS b
    WHERE n.instrument_kind = ANY ($3 ::text[])"""


_NEWEST_CAPS = text("""
    SELECT DISTINCT ON (c.instrument_kind) c.* FROM cbi.instrument_cap AS c
    WHERE c.currency = :currency AND c.effective_from <= :on
    ORDER BY c.instrument_kind, c.effective_from DESC, c.cap_no DESC""")
_NEWEST_UIT = text("""
    SELECT u.* FROM cbi.uit_value AS u WHERE u.effective_from <= :on
    ORDER BY u.effective_from DESC, u.uit_no DESC LIMIT 1""")


async def add_uit(conn: AsyncConnection, uit: Uit, *, who: Who) -> Uit:
    """Enter what a UIT is worth from a day on; the number given is the database's."""
    facts = msgspec.structs.asdict(uit)
    del facts["uit_no"]
    uit_no = await conn.scalar(
        insert(uit_value)
        .values(**facts, partner_id=who.partner_id, entered_by=who.actor_id, entered_at=who.at)
        .returning(uit_value.c.uit_no)
    )
    assert uit_no is not None
    return msgspec.structs.replace(uit, uit_no=uit_no)


async def add_cap(conn: AsyncConnection, cap: Cap, *, who: Who) -> Cap:
    """Enter a cap; one in UIT needs a value for its first day, else NoUit."""
    facts = msgspec.structs.asdict(cap)
    del facts["cap_no"]
    try:
        async with conn.begin_nested():
            cap_no = await conn.scalar(
                insert(instrument_cap)
                .values(
                    **facts, partner_id=who.partner_id, entered_by=who.actor_id, entered_at=who.at
                )
                .returning(instrument_cap.c.cap_no)
            )
    except IntegrityError as error:
        if constraint_of(error) == "instrument_cap_has_uit":
            raise NoUit(on=cap.effective_from) from error
        raise
    assert cap_no is not None
    return msgspec.structs.replace(cap, cap_no=cap_no)


async def load_uits(conn: AsyncConnection, *, after: int, limit: int) -> list[Uit]:
    row = uit_value.c
    rows = await conn.execute(
        select(row.uit_no, row.effective_from, row.amount_minor, row.source, row.is_example)
        .where(row.uit_no > after)
        .order_by(row.uit_no)
        .limit(limit)
    )
    return [msgspec.convert(found._mapping, Uit) for found in rows]  # noqa: SLF001 -- public by its docs


async def load_caps(conn: AsyncConnection, *, after: int, limit: int) -> list[Cap]:
    row = instrument_cap.c
    rows = await conn.execute(
        select(instrument_cap).where(row.cap_no > after).order_by(row.cap_no).limit(limit)
    )
    return [msgspec.convert(found._mapping, Cap) for found in rows]  # noqa: SLF001 -- public by its docs


async def load_limits(
    conn: AsyncConnection, *, currency: str, on: date
) -> tuple[Mapping[str, Limits], Uit | None]:
    """Load the limits of each instrument on a day, and the UIT they stand on."""
    caps = [
        msgspec.convert(found._mapping, Cap)  # noqa: SLF001 -- public by its docs
        for found in await conn.execute(_NEWEST_CAPS, {"currency": currency, "on": on})
    ]
    if not caps:
        return {}, None
    uits = [
        msgspec.convert(found._mapping, Uit)  # noqa: SLF001 -- public by its docs
        for found in await conn.execute(_NEWEST_UIT, {"on": on})
    ]
    return limits_in_force(caps, uits, currency=currency, on=on)


async def load_limits_kept(
    conn: AsyncConnection, *, cap_nos: Sequence[int], uit_no: int | None
) -> tuple[Mapping[str, Limits], Uit | None]:
    """Load the limits a round was calculated with."""
    if not cap_nos:
        return {}, None
    uit = None
    if uit_no is not None:
        (uit,) = await load_uits(conn, after=uit_no - 1, limit=1)
    caps = []
    for cap_no in cap_nos:
        caps += await load_caps(conn, after=cap_no - 1, limit=1)
    return {each.instrument_kind: limits_of(each, uit) for each in caps}, uit


async def months_paid(
    conn: AsyncConnection, opened: Round, enrolment_ids: Sequence[UUID]
) -> dict[UUID, int]:
    """Return what other rounds pay these enrolments' households in the month of the round."""
    rows = await fetch(conn, _MONTHS, sorted(enrolment_ids), opened.pays_on, opened.round_id)
    return dict(rows)


async def above_cap(
    conn: AsyncConnection, opened: Round, currency: str, entitlements: Sequence[Entitlement]
) -> set[UUID]:
    """Return the households that a round pays above a cap as of now."""
    limits, _ = await load_limits(conn, currency=currency, on=opened.pays_on)
    if not limits:
        return set()
    enrolment_ids = sorted({each.enrolment_id for each in entitlements})
    paid = await fetch(conn, _PAID, enrolment_ids, opened.round_id, list(limits))
    months = await months_paid(conn, opened, [row[0] for row in paid])
    return {
        household_id
        for enrolment_id, household_id, kind, largest, total in paid
        if limits[kind].is_above(largest or 0, total or 0, months.get(enrolment_id, 0))
    }
