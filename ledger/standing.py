"""Where payments stand: their attempts, outcomes and returns."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.attempt import Attempt, AttemptState
from ledger.money import Money

_STATES = text("""
    SELECT a.payment_id, a.attempt_no, a.end_to_end_id, a.amount_minor, a.currency, a.after_return,
        o.outcome, o.part_minor, coalesce(o.reason, '') AS reason,
        g.payment_id IS NOT NULL AS returned, coalesce(g.reason, '') AS return_reason
    FROM ledger.attempt a
    LEFT JOIN ledger.outcome o USING (payment_id, attempt_no)
    LEFT JOIN ledger.giveback g USING (payment_id, attempt_no)
    WHERE a.payment_id = ANY(CAST(:payment_ids AS uuid[]))
    ORDER BY a.payment_id, a.attempt_no""")


async def load_states(
    conn: AsyncConnection, payment_ids: Sequence[UUID]
) -> dict[UUID, list[AttemptState]]:
    """Return the attempts of each payment in order; a payment never sent has an empty list."""
    states: dict[UUID, list[AttemptState]] = {payment_id: [] for payment_id in payment_ids}
    for row in await conn.execute(_STATES, {"payment_ids": list(states)}):
        part = None
        if row.part_minor is not None:
            part = Money(amount_minor=row.part_minor, currency=row.currency)
        states[row.payment_id].append(
            AttemptState(
                attempt=Attempt(
                    payment_id=row.payment_id,
                    attempt_no=row.attempt_no,
                    end_to_end_id=row.end_to_end_id,
                    money=Money(amount_minor=row.amount_minor, currency=row.currency),
                    after_return=row.after_return,
                ),
                outcome=row.outcome,
                part=part,
                reason=row.reason,
                returned=row.returned,
                return_reason=row.return_reason,
            )
        )
    return states
