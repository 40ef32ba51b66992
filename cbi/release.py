"""Release a round: set its money aside, reserve it chunk by chunk, hand it out whole.

A round that fits one chunk is released in one transaction. A larger one takes several, and each
leaves the round where the next goes on: funded, some chunks in, all chunks in, released. No file
is handed out before the last of them.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, payout, tables
from cbi.cancel import no_own_cancellation
from cbi.disburse import (
    CHUNK_MAX,
    FIRST,
    add_step,
    load_entitlements,
    load_list,
    load_round,
    lock_round,
    must_be_covered,
)
from cbi.disbursement import PaymentList, Progress, Round, Signed, Step, end_to_end_id
from cbi.enrol import Programme, load_programme
from cbi.entitlement import Entitlement
from cbi.grants import grant_of_round, raise_unfit
from cbi.payees import blocked_of, look_up_by_id
from cbi.payout import Keys
from cbi.profiles import load_round_profile
from cbi.refusal import NothingToPay, PayeesBlocked, SamePerson, StepDone, StepOutOfOrder
from cbi.who import Who
from ledger import post
from ledger.attempt import Attempt
from ledger.attempts import open_attempts, record_payees
from ledger.money import Money
from ledger.transfer import Transfer
from ledger.violation import constraint_of


class Reserved(msgspec.Struct, frozen=True, kw_only=True):
    """The chunks of a round that are in: how many, their payments and sum, and where they end."""

    chunks: int
    payments: int
    amount_minor: int
    upto_payment: UUID
    parts: int


class Reserving(msgspec.Struct, frozen=True, kw_only=True):
    """A funded round: its control total, and what of it is reserved."""

    actor_id: UUID
    at: datetime
    payments: int
    total: Money
    list_digest: str  # SHA-256, hexadecimal
    chunks: int
    reserved_payments: int
    reserved_total: Money


class _Job(msgspec.Struct, frozen=True):
    opened: Round
    programme: Programme
    who: Who
    keys: Keys


async def release(
    conn: AsyncConnection,
    *,
    round_id: UUID,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    keys: Keys,
    chunk_max: int = CHUNK_MAX,
) -> Signed | Progress:
    """Do the next piece of a release, or all of it where the round fits one chunk.

    Progress says that the piece is done and others are left: call again, each time in a
    transaction of its own. A piece that was done is never done twice, whoever calls. Raises
    StepDone, StepOutOfOrder, SamePerson, NothingToPay, PayeesBlocked, GrantUnnamed, GrantNotDrawn,
    OutsideGrantDays, GrantSpent and ledger's InsufficientFunds; after any of them the pieces before
    stand, and the way on is to mend what it names.
    """
    opened = await load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    who = Who(partner_id=partner_id, actor_id=actor_id, at=at)
    job = _Job(opened, programme, who, keys)
    await lock_round(conn, round_id)
    await _must_be_next(conn, round_id, actor_id)
    funded = await load_funding(conn, round_id, programme.currency)
    if funded is None:
        funded = await _fund(conn, job)
        if funded.payments > chunk_max:
            return _progress(funded, await load_reserved(conn, round_id), chunk_max)
        await _reserve_next(conn, job, funded, chunk_max)
    elif await _reserve_next(conn, job, funded, chunk_max):
        return _progress(funded, await load_reserved(conn, round_id), chunk_max)
    return await _sign(conn, job, funded)


async def load_funding(conn: AsyncConnection, round_id: UUID, currency: str) -> PaymentList | None:
    """Load the control total that a round was funded with; None before."""
    row = (
        await conn.execute(select(tables.funding).where(tables.funding.c.round_id == round_id))
    ).one_or_none()
    if row is None:
        return None
    total = Money(amount_minor=row.amount_minor, currency=currency)
    return PaymentList(payments=row.payments, total=total, list_digest=row.list_digest)


async def load_reserving(conn: AsyncConnection, round_id: UUID, currency: str) -> Reserving | None:
    """Load how far a funded round is; None before it is funded."""
    row = (
        await conn.execute(select(tables.funding).where(tables.funding.c.round_id == round_id))
    ).one_or_none()
    if row is None:
        return None
    reserved = await load_reserved(conn, round_id)
    return Reserving(
        actor_id=row.actor_id,
        at=row.at,
        payments=row.payments,
        total=Money(amount_minor=row.amount_minor, currency=currency),
        list_digest=row.list_digest.hex(),
        chunks=reserved.chunks,
        reserved_payments=reserved.payments,
        reserved_total=Money(amount_minor=reserved.amount_minor, currency=currency),
    )


async def load_reserved(conn: AsyncConnection, round_id: UUID) -> Reserved:
    """Add up the chunks of a round that are in."""
    chunk = tables.chunk.c
    rows = (
        await conn.execute(
            select(chunk.payments, chunk.amount_minor, chunk.upto_payment, chunk.parts)
            .where(chunk.round_id == round_id)
            .order_by(chunk.chunk_no)
        )
    ).all()
    return Reserved(
        chunks=len(rows),
        payments=sum(row.payments for row in rows),
        amount_minor=sum(row.amount_minor for row in rows),
        upto_payment=rows[-1].upto_payment if rows else FIRST,
        parts=sum(row.parts for row in rows),
    )


async def _must_be_next(conn: AsyncConnection, round_id: UUID, actor_id: UUID) -> None:
    """Refuse before anything is done what the constraints would refuse in the end."""
    step = tables.round_step.c
    rows = await conn.execute(select(step.step, step.actor_id).where(step.round_id == round_id))
    actor_of = {row.step: row.actor_id for row in rows}
    word = Step.RELEASED.word
    if Step.RELEASED in actor_of:
        raise StepDone(round_id=round_id, step=word)
    if Step.APPROVED not in actor_of:
        raise StepOutOfOrder(round_id=round_id, step=word)
    if actor_id in (actor_of[Step.PREPARED], actor_of[Step.REVIEWED], actor_of[Step.APPROVED]):
        raise SamePerson(round_id=round_id, step=word)
    await no_own_cancellation(conn, round_id, actor_id)


async def _fund(conn: AsyncConnection, job: _Job) -> PaymentList:
    """Set the control total aside, in one transfer; the list is what was approved, or less."""
    round_id, who = job.opened.round_id, job.who
    listed = await load_list(conn, round_id, job.programme.currency)
    if not listed.payments:
        raise NothingToPay(round_id=round_id)
    await must_be_covered(conn, job.programme, listed.total)
    entitlement = tables.entitlement.c
    cancelled = (
        await conn.execute(
            select(func.count(), func.coalesce(func.sum(entitlement.amount_minor), 0)).where(
                entitlement.round_id == round_id, entitlement.cancelled_at.is_not(None)
            )
        )
    ).one()
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(tables.funding).values(
                    round_id=round_id,
                    payments=listed.payments,
                    amount_minor=listed.total.amount_minor,
                    list_digest=listed.list_digest,
                    cancelled_payments=cancelled[0],
                    cancelled_minor=cancelled[1],
                    **msgspec.structs.asdict(who),
                )
            )
    except IntegrityError as error:
        if constraint_of(error) == "funding_fourth_person":
            raise SamePerson(round_id=round_id, step=Step.RELEASED.word) from error
        code = await grant_of_round(conn, round_id)
        raise_unfit(error, job.programme.programme_id, code)
        raise
    transfer = bookings.set_aside(
        job.programme.programme_id, round_id, listed.total, on=job.opened.pays_on
    )
    await post.post(conn, [transfer], **msgspec.structs.asdict(who))
    return listed


async def _reserve_next(
    conn: AsyncConnection, job: _Job, funded: PaymentList, chunk_max: int
) -> bool:
    """Check, reserve and write the next chunk; False when there is none left."""
    round_id, who = job.opened.round_id, job.who
    before = await load_reserved(conn, round_id)
    await look_up_by_id(conn)
    page = await load_entitlements(conn, round_id, after=before.upto_payment, limit=chunk_max)
    if not page:
        return False
    # What is to be booked is worked out while the database looks who can be paid.
    instructing = asyncio.ensure_future(asyncio.to_thread(_instruct, job, page))
    try:
        blocked = await blocked_of(conn, job.opened, job.programme, page)
        if blocked:
            raise PayeesBlocked(round_id=round_id, blocked=blocked)
        attempts, transfers = await instructing
    finally:
        instructing.cancel()
    is_whole = before.chunks == 0 and funded.payments <= chunk_max
    order = payout.Order(
        opened=job.opened,
        programme=job.programme,
        profile=await load_round_profile(conn, job.opened),
        first_part=before.parts + 1,
        is_whole=is_whole,
        at=who.at,
    )
    sealed = await payout.load_sealed(conn, order, attempts, page, keys=job.keys)
    # The file is written while the database reserves: neither needs the other.
    writing = asyncio.ensure_future(asyncio.to_thread(payout.compose, sealed))
    try:
        await open_attempts(conn, attempts, partner_id=who.partner_id, at=who.at)
        await post.post(conn, transfers, **msgspec.structs.asdict(who))
        parts = await writing
    finally:
        writing.cancel()
    await _keep_chunk(conn, job, order, parts, page=page, before=before, digest=funded.list_digest)
    payees = payout.payees_of(parts, attempts)
    await record_payees(conn, payees, partner_id=who.partner_id)
    return True


async def _keep_chunk(
    conn: AsyncConnection,
    job: _Job,
    order: payout.Order,
    parts: Sequence[payout.Part],
    *,
    page: Sequence[Entitlement],
    before: Reserved,
    digest: bytes,
) -> None:
    """Write down that a chunk is in, and keep its parts of the file."""
    chunk_no = before.chunks + 1
    # The chunk says which parts it has, and they come after it.
    await conn.execute(text("SET CONSTRAINTS cbi.chunk_has_file DEFERRED"))
    await conn.execute(
        insert(tables.chunk).values(
            round_id=order.opened.round_id,
            list_digest=digest,
            chunk_no=chunk_no,
            after_payment=before.upto_payment,
            upto_payment=page[-1].entitlement_id,
            payments=len(page),
            amount_minor=sum(each.money.amount_minor for each in page),
            first_part=order.first_part,
            parts=len(parts),
            **msgspec.structs.asdict(job.who),
        )
    )
    await payout.keep(
        conn, order, parts, chunk_no=chunk_no, vault=job.keys.vault, partner_id=job.who.partner_id
    )


async def _sign(conn: AsyncConnection, job: _Job, funded: PaymentList) -> Signed:
    """Release: the chunks are the whole list, and what was taken off goes back to the fund."""
    round_id, who = job.opened.round_id, job.who
    reserved = await load_reserved(conn, round_id)
    currency = job.programme.currency
    if reserved.payments == funded.payments:
        listed = funded
    else:
        listed = await load_list(conn, round_id, currency)
        not_needed = Money(
            amount_minor=funded.total.amount_minor - listed.total.amount_minor, currency=currency
        )
        transfer = bookings.not_needed(
            job.programme.programme_id, round_id, not_needed, on=job.opened.pays_on
        )
        await post.post(conn, [transfer], **msgspec.structs.asdict(who))
    if listed.payments:
        transfer = bookings.instructed(round_id, listed.total, on=job.opened.pays_on)
        await post.post(conn, [transfer], **msgspec.structs.asdict(who))
    return await add_step(conn, round_id, Step.RELEASED, listed, **msgspec.structs.asdict(who))


def _instruct(job: _Job, page: Sequence[Entitlement]) -> tuple[list[Attempt], list[Transfer]]:
    """Make the first attempt of each payment, and its reservation."""
    attempts = [
        Attempt(
            payment_id=each.entitlement_id,
            attempt_no=1,
            end_to_end_id=end_to_end_id(each.entitlement_id, 1),
            money=each.money,
        )
        for each in page
    ]
    transfers = bookings.reserved(
        job.opened.round_id, attempts, currency=job.programme.currency, on=job.opened.pays_on
    )
    return attempts, transfers


def _progress(funded: PaymentList, reserved: Reserved, chunk_max: int) -> Progress:
    left = -(-(funded.payments - reserved.payments) // chunk_max)
    return Progress(
        step=Step.RELEASED.word,
        chunks_done=reserved.chunks,
        chunks=reserved.chunks + left,
        done=reserved.payments,
        of=funded.payments,
    )
