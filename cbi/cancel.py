"""Take a family off a round that is not released."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.disbursement import Step
from cbi.refusal import EntitlementSettled, NotFound, SamePerson
from ledger.violation import constraint_of


async def cancel(
    conn: AsyncConnection,
    *,
    round_id: UUID,
    entitlement_id: UUID,
    because: str,
    actor_id: UUID,
    at: datetime,
) -> None:
    """Take one family off an unreleased round, with the reason.

    Raises EntitlementSettled, NotFound, and SamePerson for who has begun to release the round: with
    it they could not go on.
    """
    entitlement, funding = tables.entitlement.c, tables.funding.c
    begun = select(funding.round_id).where(
        funding.round_id == round_id, funding.actor_id == actor_id
    )
    if (await conn.execute(begun)).one_or_none() is not None:
        raise SamePerson(round_id=round_id, step=Step.RELEASED.word)
    try:
        async with conn.begin_nested():
            result = await conn.execute(
                update(tables.entitlement)
                .where(
                    entitlement.entitlement_id == entitlement_id, entitlement.round_id == round_id
                )
                .values(cancelled_at=at, cancelled_by=actor_id, cancelled_because=because)
            )
    except IntegrityError as error:
        if constraint_of(error) == "entitlement_settled":
            raise EntitlementSettled(entitlement_id=entitlement_id) from error
        raise
    if result.rowcount == 0:
        raise NotFound(what="entitlement", wanted=entitlement_id)


async def no_own_cancellation(conn: AsyncConnection, round_id: UUID, actor_id: UUID) -> None:
    """Refuse who took a family off the list and would release the rest: one alone did both."""
    row = tables.entitlement.c
    own = select(row.entitlement_id).where(
        # The few that were taken off have an index; a large round must not be read for them.
        row.round_id == round_id,
        row.cancelled_at.is_not(None),
        row.cancelled_by == actor_id,
    )
    if (await conn.execute(own.limit(1))).one_or_none() is not None:
        raise SamePerson(round_id=round_id, step=Step.RELEASED.word)
