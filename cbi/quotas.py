"""How many persons an organisation may check a day: the service's number, or one agreed for it."""

from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.check_tables import check_quota
from cbi.import_tables import import_check
from cbi.refusal import BadValue, NotFound

DAYS_MAX = 183


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """How many persons an organisation may check on this day, and when the next one begins."""

    persons_per_day: int
    day: date
    opens_again_at: datetime


class Agreed(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed for an organisation until a last day, by whom and when."""

    quota_no: int
    partner_id: UUID
    persons_per_day: int
    until: date
    at: datetime
    actor_id: UUID
    set_by: UUID
    request_id: str


async def agree(
    conn: AsyncConnection,
    *,
    partner_id: UUID,
    persons_per_day: int,
    until: date,
    at: datetime,
    today: date,
) -> Agreed:
    """Set another organisation's quota until its last day; raises NotFound and BadValue.

    The database refuses one's own.
    """
    if not today <= until <= today + timedelta(days=DAYS_MAX):
        raise BadValue(field="until", reason=f"from today on, {DAYS_MAX} days at most")
    partner = tables.partner.c.partner_id
    if await conn.scalar(select(partner).where(partner == partner_id)) is None:
        raise NotFound(what="partner", wanted=partner_id)
    row = await conn.execute(
        insert(check_quota)
        .values(partner_id=partner_id, persons_per_day=persons_per_day, until=until, at=at)
        .returning(check_quota)
    )
    return msgspec.convert(row.one()._mapping, Agreed)  # noqa: SLF001 -- public by its docs


async def list_agreed(conn: AsyncConnection, *, after: int, limit: int) -> list[Agreed]:
    """List what was agreed, as far as the caller may see it, oldest first."""
    column = check_quota.c
    query = select(check_quota).where(column.quota_no > after).order_by(column.quota_no)
    rows = await conn.execute(query.limit(limit))
    return [msgspec.convert(row._mapping, Agreed) for row in rows]  # noqa: SLF001


async def in_force(conn: AsyncConnection, quota: Quota, *, partner_id: UUID) -> Quota:
    """Return the organisation's quota of that day: the last that was agreed, else `quota`."""
    column = check_quota.c
    agreed = await conn.scalar(
        select(column.persons_per_day)
        .where(column.partner_id == partner_id, column.until >= quota.day)
        .order_by(column.quota_no.desc())
        .limit(1)
    )
    return quota if agreed is None else msgspec.structs.replace(quota, persons_per_day=agreed)


async def persons_left(conn: AsyncConnection, *, quota: Quota, partner_id: UUID) -> int:
    """Return how many persons the organisation may compare yet today, by checks or staged files.

    Until the transaction ends nobody else of the organisation is told.
    """
    # One check of an organisation at a time, or two at once would both find room for themselves.
    await conn.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"cbi.check {partner_id}", 0)))
    )
    allowed = await in_force(conn, quota, partner_id=partner_id)
    return max(allowed.persons_per_day - await spent(conn, quota, partner_id=partner_id), 0)


async def spent(conn: AsyncConnection, quota: Quota, *, partner_id: UUID) -> int:
    """Return how many persons the organisation has compared on that day."""
    done, staged = tables.duplicate_check.c, import_check.c
    checked = select(func.coalesce(func.sum(done.persons), 0)).where(
        done.partner_id == partner_id, done.day == quota.day
    )
    compared = select(func.coalesce(func.sum(staged.persons), 0)).where(
        staged.partner_id == partner_id,
        staged.persons > 0,
        staged.checked_at >= quota.opens_again_at - timedelta(days=1),
        staged.checked_at < quota.opens_again_at,
    )
    both = await conn.scalar(select(checked.scalar_subquery() + compared.scalar_subquery()))
    return int(both or 0)
