"""Wait for a family that is held, and say whose turn it is."""

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import exists, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import agree, holds
from cbi.overlap_refusal import NotHeld, ReservationQuotaSpent
from cbi.overlap_tables import waiting, waiting_withdrawal
from cbi.refusal import NotFound
from cbi.who import Who
from ledger.violation import constraint_of

_WAITING = """
    SELECT w.waiting_id, w.partner_id, w.household_id, w.assistance, w.since, w.expires_at,
        w.is_free, w.free_until
    FROM cbi.waiting_at(:at, :after ::uuid, :most) AS w"""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A family that one's organisation waits for; `is_free` tells that it is its turn.

    It is until `free_until`, in which time the organisation reserves or enrols; that the family is
    free keeps nobody else from doing so first.
    """

    waiting_id: UUID
    partner_id: UUID
    household_id: UUID
    assistance: str
    since: datetime
    expires_at: datetime
    is_free: bool
    free_until: datetime | None


async def enter(
    conn: AsyncConnection, *, household_id: UUID, assistance: str, waiting_id: UUID, by: Who
) -> Entry:
    """Put a held family on the list; one that is on it stays where it was.

    Raises NotFound, HouseholdEnded, NotHeld, ReservationQuotaSpent.
    """
    await holds.must_stand(conn, household_id)
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"),
        {"what": f"cbi.reservation {by.partner_id}"},
    )
    _, rules = await agree.in_force(conn, holds.day_of(by.at))
    own = select(waiting.c.waiting_id).where(
        waiting.c.partner_id == by.partner_id,
        waiting.c.expires_at > by.at,
        ~exists().where(waiting_withdrawal.c.waiting_id == waiting.c.waiting_id),
    )
    same = own.where(
        waiting.c.household_id == household_id, waiting.c.assistance == assistance
    ).order_by(waiting.c.waiting_id)
    for entered in (await conn.scalars(same.limit(10))).all():
        with suppress(NotFound):
            return await load_entry(conn, entered, at=by.at)
    found = await holds.held(conn, [household_id], at=by.at)
    if assistance not in {each.assistance for each in found}:
        raise NotHeld(household_id=household_id, assistance=assistance)
    counted = await conn.scalar(select(func.count()).select_from(own.subquery()))
    if (counted or 0) >= rules.waiting.open_max:
        raise ReservationQuotaSpent(open_max=rules.waiting.open_max)
    await conn.execute(
        insert(waiting).values(
            waiting_id=waiting_id,
            partner_id=by.partner_id,
            household_id=household_id,
            assistance=assistance,
            since=by.at,
            entered_by=by.actor_id,
            expires_at=by.at + timedelta(days=rules.waiting.days_max),
        )
    )
    return await load_entry(conn, waiting_id, at=by.at)


async def withdraw(conn: AsyncConnection, *, waiting_id: UUID, by: Who) -> Entry:
    """Take an entry off the list; raises NotFound for one that doesn't wait any more."""
    entry = await load_entry(conn, waiting_id, at=by.at)
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(waiting_withdrawal).values(
                    waiting_id=waiting_id,
                    partner_id=by.partner_id,
                    actor_id=by.actor_id,
                    at=by.at,
                )
            )
    except IntegrityError as error:
        if constraint_of(error) in {"waiting_withdrawal_once", "waiting_withdrawal_of_entry"}:
            raise NotFound(what="waiting", wanted=waiting_id) from error
        raise
    return entry


async def load_entry(conn: AsyncConnection, waiting_id: UUID, *, at: datetime) -> Entry:
    """Load an entry that waits at a moment; raises NotFound."""
    before = UUID(int=max(waiting_id.int - 1, 0))
    found = await list_waiting(conn, after=before, limit=1, at=at)
    if not found or found[0].waiting_id != waiting_id:
        raise NotFound(what="waiting", wanted=waiting_id)
    return found[0]


async def list_waiting(
    conn: AsyncConnection, *, after: UUID | None, limit: int, at: datetime
) -> list[Entry]:
    """List what the organisation waits for, oldest first, and whether it is its turn."""
    rows = await conn.execute(
        text(f"{_WAITING} ORDER BY w.waiting_id"),
        {"at": at, "after": after, "most": limit},
    )
    return [msgspec.convert(row._asdict(), Entry) for row in rows]
