"""End a round: what is left of its money is the programme's again."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings
from cbi.disburse import load_round, load_steps, lock_round
from cbi.disbursement import Step
from cbi.enrol import load_programme
from cbi.refusal import NotReleased, RoundPending
from ledger import post
from ledger.account import Account
from ledger.money import Money
from ledger.trial import trial_balance

_GIVEN_BACK = text("""
    SELECT CAST(coalesce(sum(amount_minor), 0) AS bigint) FROM ledger.transfer
    WHERE kind = 'close' AND debit_account = :available""")


async def wind_up(
    conn: AsyncConnection,
    *,
    round_id: UUID,
    partner_id: UUID,
    actor_id: UUID,
    on: date,
    at: datetime,
) -> Money:
    """Give back what is available to a released round, and say how much that was; again, nothing.

    Money that comes back later is given back by the next call. Raises NotReleased, RoundPending
    while the outcome of a payment is unknown, NotFound.
    """
    opened = await load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    await lock_round(conn, round_id)
    steps = await load_steps(conn, round_id, programme.currency)
    if not steps or steps[-1].step != Step.RELEASED.word:
        raise NotReleased(round_id=round_id)
    accounts = bookings.of_round(round_id, programme.currency)
    # Read at once: what comes back meanwhile is given back by the next call.
    rows = {row.code: row for row in await trial_balance(conn, accounts=accounts)}
    available, committed, payable, _ = (rows[account.code] for account in accounts)
    pending_minor = committed.balance_minor + payable.balance_minor
    if pending_minor:
        raise RoundPending(round_id=round_id, pending_minor=pending_minor)
    left = Money(amount_minor=available.balance_minor, currency=programme.currency)
    if left.amount_minor:
        booked = bookings.closed(
            programme.programme_id,
            round_id,
            left,
            ever_available_minor=available.credit_minor,
            on=on,
        )
        await post.post(conn, [booked], partner_id=partner_id, at=at, actor_id=actor_id)
    return left


async def given_back(conn: AsyncConnection, available: Account) -> int:
    """Return how many minor units a round's closings gave back to its programme."""
    minor: int = await conn.scalar(_GIVEN_BACK, {"available": available.account_id})
    return minor
