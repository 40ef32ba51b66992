"""Caps of instruments: enter, approve and load them, and find payments that are above."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import Table, insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.cap import Cap, Limits, Uit, limits_in_force, limits_of
from cbi.disbursement import Round
from cbi.entitlement import Entitlement
from cbi.refusal import NotFound
from cbi.term_refusal import ApprovedByAuthor, NoUit, TermApproved
from cbi.term_tables import cap_approval, instrument_cap, uit_approval, uit_value
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


_CAPS = """
    SELECT c.*, a.approved_by FROM cbi.instrument_cap AS c
    LEFT JOIN cbi.cap_approval AS a USING (cap_no, entered_by)"""
_UITS = """
    SELECT u.*, a.approved_by FROM cbi.uit_value AS u
    LEFT JOIN cbi.uit_approval AS a USING (uit_no, entered_by)"""
_NEWEST_CAPS = text(f"""
    SELECT DISTINCT ON (n.instrument_kind) n.* FROM ({_CAPS}) AS n
    WHERE n.currency = :currency AND n.effective_from <= :on AND n.approved_by IS NOT NULL
    ORDER BY n.instrument_kind, n.effective_from DESC, n.cap_no DESC""")  # noqa: S608 -- our own
_NEWEST_UIT = text(f"""
    SELECT n.* FROM ({_UITS}) AS n WHERE n.effective_from <= :on AND n.approved_by IS NOT NULL
    ORDER BY n.effective_from DESC, n.uit_no DESC LIMIT 1""")  # noqa: S608 -- our own
# Facts that the database gives, or another person.
_LATER = ("uit_no", "cap_no", "approved_by")


async def add_uit(conn: AsyncConnection, uit: Uit, *, who: Who) -> Uit:
    """Enter what a UIT is worth from a day on; it counts when another person approves it."""
    uit_no = await conn.scalar(
        insert(uit_value).values(**_entered(uit, who)).returning(uit_value.c.uit_no)
    )
    assert uit_no is not None
    return await load_uit(conn, uit_no)


async def add_cap(conn: AsyncConnection, cap: Cap, *, who: Who) -> Cap:
    """Enter a cap; it counts when another person approves it."""
    cap_no = await conn.scalar(
        insert(instrument_cap).values(**_entered(cap, who)).returning(instrument_cap.c.cap_no)
    )
    assert cap_no is not None
    return await load_cap(conn, cap_no)


async def approve_uit(conn: AsyncConnection, *, uit_no: int, who: Who) -> Uit:
    """Let a value count; raises NotFound, ApprovedByAuthor, TermApproved."""
    found = await load_uit(conn, uit_no)
    await _approve(
        conn, uit_approval, {"uit_no": uit_no, "entered_by": found.entered_by}, what="uit", who=who
    )
    return msgspec.structs.replace(found, approved_by=who.actor_id)


async def approve_cap(conn: AsyncConnection, *, cap_no: int, who: Who) -> Cap:
    """Let a cap count; one in UIT needs a value that counts on its first day, else NoUit.

    Raises NotFound, ApprovedByAuthor, TermApproved.
    """
    found = await load_cap(conn, cap_no)
    try:
        await _approve(
            conn,
            cap_approval,
            {"cap_no": cap_no, "entered_by": found.entered_by},
            what="cap",
            who=who,
        )
    except IntegrityError as error:
        if constraint_of(error) == "cap_approval_has_uit":
            raise NoUit(on=found.effective_from) from error
        raise
    return msgspec.structs.replace(found, approved_by=who.actor_id)


async def load_uits(conn: AsyncConnection, *, after: int, limit: int) -> list[Uit]:
    rows = await conn.execute(
        text(f"{_UITS} WHERE u.uit_no > :after ORDER BY u.uit_no LIMIT :limit"),
        {"after": after, "limit": limit},
    )
    return [msgspec.convert(found._mapping, Uit) for found in rows]  # noqa: SLF001 -- public by its docs


async def load_uit(conn: AsyncConnection, uit_no: int) -> Uit:
    """Load one; raises NotFound."""
    for found in await load_uits(conn, after=uit_no - 1, limit=1):
        if found.uit_no == uit_no:
            return found
    raise NotFound(what="uit", wanted=uit_no)


async def load_caps(conn: AsyncConnection, *, after: int, limit: int) -> list[Cap]:
    rows = await conn.execute(
        text(f"{_CAPS} WHERE c.cap_no > :after ORDER BY c.cap_no LIMIT :limit"),
        {"after": after, "limit": limit},
    )
    return [msgspec.convert(found._mapping, Cap) for found in rows]  # noqa: SLF001 -- public by its docs


async def load_cap(conn: AsyncConnection, cap_no: int) -> Cap:
    """Load one; raises NotFound."""
    for found in await load_caps(conn, after=cap_no - 1, limit=1):
        if found.cap_no == cap_no:
            return found
    raise NotFound(what="cap", wanted=cap_no)


def _entered(made: Uit | Cap, who: Who) -> dict[str, object]:
    facts = {key: value for key, value in msgspec.structs.asdict(made).items() if key not in _LATER}
    return facts | {
        "partner_id": who.partner_id,
        "entered_by": who.actor_id,
        "entered_at": who.at,
    }


async def _approve(
    conn: AsyncConnection, table: Table, made: Mapping[str, object], *, what: str, who: Who
) -> None:
    number = made[f"{what}_no"]
    assert isinstance(number, int)
    facts = {"partner_id": who.partner_id, "approved_by": who.actor_id, "approved_at": who.at}
    try:
        async with conn.begin_nested():
            await conn.execute(insert(table).values(**made, **facts))
    except IntegrityError as error:
        rule = constraint_of(error)
        if rule == f"{what}_approval_two_people":
            raise ApprovedByAuthor(kind=what, version=number) from error
        if rule == f"{what}_approval_once":
            raise TermApproved(kind=what, version=number) from error
        raise


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
        uit = await load_uit(conn, uit_no)
    caps = [await load_cap(conn, cap_no) for cap_no in cap_nos]
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
