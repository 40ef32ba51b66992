"""Close a period of an organisation's books: nothing is booked in it any more."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.period import Period, digest, digest_id, trial_bytes, trial_rows
from ledger.refusal import PeriodOutOfOrder
from ledger.trial import trial_balance
from ledger.violation import constraint_of

_LOCK = text("SELECT pg_advisory_xact_lock(ledger.period_lock(:partner_id))")

_DIGEST = text("""
    INSERT INTO ledger.digest (digest_id, partner_id, subject, sha256, made_at, actor_id)
    VALUES (:digest_id, :partner_id, 'period', :sha256, :at, :actor_id)""")

_PERIOD = text("""
    INSERT INTO ledger.period (partner_id, until, trial, digest_id, closed_at, actor_id)
    VALUES (:partner_id, :until, :trial, :digest_id, :at, :actor_id)""")

_PERIODS = text("""
    SELECT until, trial, closed_at, actor_id FROM ledger.period
    WHERE partner_id = :partner_id AND until >= :since ORDER BY until LIMIT :limit""")


async def close_period(
    conn: AsyncConnection, *, until: date, partner_id: UUID, actor_id: UUID, at: datetime
) -> Period:
    """Close the books up to and with `until`, and let the digest of the trial balance be sealed.

    Waits for whoever is booking, so that nothing is left out. The same again is no news. Raises
    PeriodOutOfOrder for one that is not over, or before one that is closed.
    """
    await conn.execute(_LOCK, {"partner_id": partner_id})
    for period in await closed_periods(conn, partner_id=partner_id, since=until, limit=1):
        if period.until == until:
            return period
    rows = await trial_balance(conn, booked_until=until, partner_id=partner_id)
    trial = trial_bytes(until, rows)
    facts = {"partner_id": partner_id, "until": until, "digest_id": digest_id(partner_id, until)}
    facts |= {"at": at, "actor_id": actor_id}
    try:
        async with conn.begin_nested():
            await conn.execute(_DIGEST, {**facts, "sha256": digest(trial)})
            await conn.execute(_PERIOD, {**facts, "trial": trial})
    except IntegrityError as error:
        if constraint_of(error) in ("period_in_order", "period_over"):
            raise PeriodOutOfOrder(until=until) from error
        raise
    (period,) = await closed_periods(conn, partner_id=partner_id, since=until, limit=1)
    return period


async def closed_periods(
    conn: AsyncConnection, *, partner_id: UUID, since: date, limit: int
) -> list[Period]:
    """Return the organisation's closed periods that end on that day or later, oldest first."""
    facts = {"partner_id": partner_id, "since": since, "limit": limit}
    return [
        Period(
            until=row.until,
            trial=trial_rows(row.trial),
            sha256=digest(row.trial).hex(),
            closed_at=row.closed_at,
            actor_id=row.actor_id,
        )
        for row in await conn.execute(_PERIODS, facts)
    ]
