"""Take a family off a round that is not released."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.disbursement import CancelledBecause, Step
from cbi.refusal import EntitlementSettled, NotFound, SamePerson
from ledger.violation import constraint_of

# Of a household whose instalment was taken off, unless it is reserved already.
_TOP_UP = text("""
    UPDATE cbi.entitlement AS t SET cancelled_at = :cancelled_at, cancelled_by = :cancelled_by,
        cancelled_because = :cancelled_because
    FROM cbi.entitlement AS e
    WHERE e.entitlement_id = :entitlement_id AND e.kind = 'instalment'
        AND t.enrolment_id = e.enrolment_id AND t.round_id = :round_id AND t.kind = 'top_up'
        AND t.cancelled_at IS NULL AND NOT EXISTS (
            SELECT FROM cbi.chunk AS c WHERE c.round_id = t.round_id
                AND c.upto_payment >= t.entitlement_id)""")


async def cancel(
    conn: AsyncConnection,
    *,
    round_id: UUID,
    entitlement_id: UUID,
    because: CancelledBecause,
    actor_id: UUID,
    at: datetime,
) -> None:
    """Take one family off an unreleased round, with the reason; with its instalment its top-up.

    Raises EntitlementSettled, NotFound, and SamePerson for who has begun to release the round: with
    it they could not go on.
    """
    entitlement, funding = tables.entitlement.c, tables.funding.c
    begun = select(funding.round_id).where(
        funding.round_id == round_id, funding.actor_id == actor_id
    )
    if (await conn.execute(begun)).one_or_none() is not None:
        raise SamePerson(round_id=round_id, step=Step.RELEASED.word)
    facts = {"cancelled_at": at, "cancelled_by": actor_id, "cancelled_because": because}
    try:
        async with conn.begin_nested():
            result = await conn.execute(
                update(tables.entitlement)
                .where(
                    entitlement.entitlement_id == entitlement_id, entitlement.round_id == round_id
                )
                .values(facts)
            )
    except IntegrityError as error:
        if constraint_of(error) == "entitlement_settled":
            raise EntitlementSettled(entitlement_id=entitlement_id) from error
        raise
    if result.rowcount == 0:
        raise NotFound(what="entitlement", wanted=entitlement_id)
    await conn.execute(_TOP_UP, facts | {"entitlement_id": entitlement_id, "round_id": round_id})


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
