"""Expire what nobody collected: two people say that the provider confirmed it.

Silence alone never voids: a payment that has been open for long is still open.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, tables
from cbi.homes import load_homes, sent_by_profile
from cbi.refusal import (
    ExpiryStands,
    NeverExpires,
    NoExpiry,
    NotFound,
    NotPending,
    SecondPerson,
    ShownAsPaid,
    StillClaimable,
)
from ledger import post
from ledger.attempt import AttemptState, Outcome
from ledger.attempts import record_outcomes
from ledger.standing import load_states
from ledger.violation import constraint_of

REASON = "EXPIRED"

_OPENED = text("""
    SELECT opened_at FROM ledger.attempt
    WHERE payment_id = :payment_id AND attempt_no = :attempt_no""")
# A provider's notice that the payment went out, though no statement shows the debit yet.
_NOTICED = text("""
    SELECT EXISTS (SELECT FROM ledger.allocation_in_force
        WHERE payment_id = :payment_id AND attempt_no = :attempt_no AND claim = 'notification')""")


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that expired, by whose word, and when that was said."""

    payment_id: UUID
    attempt_no: int
    because: str
    claim_days: int
    proposed_by: UUID
    proposed_at: datetime
    confirmed_by: UUID | None = None
    confirmed_at: datetime | None = None


async def propose_expiry(
    conn: AsyncConnection,
    *,
    payment_id: UUID,
    because: str,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> Expiry:
    """Declare that the provider confirmed: the payment was not collected. Books nothing.

    The profile that the attempt was sent by says after how many days. Raises NeverExpires when it
    says none, StillClaimable before they are over, NotPending, ShownAsPaid, ExpiryStands, NotFound.
    """
    await _round_of(conn, payment_id)
    attempt_no = (await _pending(conn, payment_id)).attempt.attempt_no
    claim_days = await _claim_days(conn, payment_id, attempt_no)
    if claim_days is None:
        raise NeverExpires(payment_id=payment_id)
    where = {"payment_id": payment_id, "attempt_no": attempt_no}
    opened_at: datetime = (await conn.execute(_OPENED, where)).scalar_one()
    until = opened_at + timedelta(days=claim_days)
    if at <= until:
        raise StillClaimable(payment_id=payment_id, claim_days=claim_days, until=until)
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(tables.expiry).values(
                    payment_id=payment_id,
                    attempt_no=attempt_no,
                    partner_id=partner_id,
                    actor_id=actor_id,
                    at=at,
                    because=because,
                    claim_days=claim_days,
                )
            )
    except IntegrityError as error:
        if constraint_of(error) == "expiry_pkey":
            raise ExpiryStands(payment_id=payment_id, attempt_no=attempt_no) from error
        raise
    return Expiry(
        payment_id=payment_id,
        attempt_no=attempt_no,
        because=because,
        claim_days=claim_days,
        proposed_by=actor_id,
        proposed_at=at,
    )


async def confirm_expiry(
    conn: AsyncConnection, *, payment_id: UUID, partner_id: UUID, actor_id: UUID, at: datetime
) -> Expiry:
    """Say it too, as another person: the payment is void, and its money the round's again.

    Raises NoExpiry, SecondPerson, NotPending, ShownAsPaid, NotFound.
    """
    round_id = await _round_of(conn, payment_id)
    attempt = (await _pending(conn, payment_id)).attempt
    expiry = tables.expiry
    row = (
        await conn.execute(
            select(expiry).where(
                expiry.c.payment_id == payment_id, expiry.c.attempt_no == attempt.attempt_no
            )
        )
    ).one_or_none()
    if row is None:
        raise NoExpiry(payment_id=payment_id)
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(tables.expiry_confirmation).values(
                    payment_id=payment_id,
                    attempt_no=attempt.attempt_no,
                    partner_id=partner_id,
                    proposed_by=row.actor_id,
                    actor_id=actor_id,
                    at=at,
                )
            )
    except IntegrityError as error:
        match constraint_of(error):
            case "expiry_confirmation_two_people":
                raise SecondPerson(payment_id=payment_id) from error
            case "expiry_confirmation_pkey":
                raise NotPending(payment_id=payment_id) from error
        raise
    ended = Outcome(
        payment_id=payment_id, attempt_no=attempt.attempt_no, outcome="void", reason=REASON
    )
    await record_outcomes(conn, [ended], partner_id=partner_id, at=at)
    booked = bookings.rejected(round_id, attempt, on=at.date())
    await post.post(conn, [booked], partner_id=partner_id, actor_id=actor_id, at=at)
    return Expiry(
        payment_id=payment_id,
        attempt_no=attempt.attempt_no,
        because=row.because,
        claim_days=row.claim_days,
        proposed_by=row.actor_id,
        proposed_at=row.at,
        confirmed_by=actor_id,
        confirmed_at=at,
    )


async def _claim_days(conn: AsyncConnection, payment_id: UUID, attempt_no: int) -> int | None:
    homes = await load_homes(conn, [(payment_id, attempt_no)])
    sent_by = await sent_by_profile(conn, homes)
    return sent_by[payment_id, attempt_no].claim_days


async def _round_of(conn: AsyncConnection, payment_id: UUID) -> UUID:
    row = tables.entitlement.c
    found = await conn.execute(select(row.round_id).where(row.entitlement_id == payment_id))
    round_id: UUID | None = found.scalar_one_or_none()
    if round_id is None:
        raise NotFound(what="payment", wanted=payment_id)
    return round_id


async def _pending(conn: AsyncConnection, payment_id: UUID) -> AttemptState:
    """Return the attempt that is open; refuses where a report shows it as paid."""
    attempts = (await load_states(conn, [payment_id]))[payment_id]
    if not attempts or attempts[-1].outcome is not None:
        raise NotPending(payment_id=payment_id)
    attempt_no = attempts[-1].attempt.attempt_no
    where = {"payment_id": payment_id, "attempt_no": attempt_no}
    if await conn.scalar(_NOTICED, where):
        raise ShownAsPaid(payment_id=payment_id, attempt_no=attempt_no)
    return attempts[-1]
