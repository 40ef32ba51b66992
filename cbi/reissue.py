"""Release a follow-up: open the next attempts, book them, and write their file, all at once."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, failed, follow, payout, tables
from cbi.disburse import Signed, load_round, lock_round
from cbi.disbursement import Step
from cbi.entitlement import Entitlement
from cbi.followup import Followup
from cbi.identities import note_access
from cbi.payout import PaymentFile
from cbi.refusal import NotReleased, SamePerson, StepDone, StepOutOfOrder
from cbi.vault import Vault, WrappedKey, open_bytes, seal
from ledger import post
from ledger.attempts import open_attempts

KIND = "payment file of a follow-up"


async def release_followup(
    conn: AsyncConnection,
    *,
    followup_id: UUID,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    vault: Vault,
) -> Signed:
    """Pay a follow-up's list again, as a fourth person; raises as `follow.sign_followup` does."""
    followup = await follow.load_followup(conn, followup_id)
    programme = await follow.programme_of(conn, followup)
    await lock_round(conn, followup.round_id)
    await _must_be_next(conn, followup, programme.currency, actor_id)
    await follow.gate(conn, followup, programme)
    listed = await follow.load_listed(conn, followup_id, programme.currency)
    attempts = [each.attempt() for each in listed]
    opened = await load_round(conn, followup.round_id)
    order = payout.Order(
        # The file is the follow-up's: named after it, and paid on its day.
        opened=msgspec.structs.replace(opened, round_id=followup_id, pays_on=followup.pays_on),
        programme=programme,
        part_no=1,
        is_whole=True,
        at=at,
    )
    entitlements = await _entitlements(conn, followup, {each.payment_id for each in listed})
    sealed = await payout.load_sealed(conn, order, attempts, entitlements, vault=vault)
    content = await asyncio.to_thread(payout.compose, sealed)
    await open_attempts(conn, attempts, partner_id=partner_id, at=at)
    total = (await follow.load_sums(conn, followup_id, programme.currency)).total
    promised = bookings.reissued(
        opened.round_id,
        followup_id,
        attempts,
        currency=programme.currency,
        on=followup.pays_on,
    )
    owed = bookings.reinstructed(opened.round_id, followup_id, total, on=followup.pays_on)
    for transfers in (promised, [owed]):
        await post.post(conn, transfers, partner_id=partner_id, actor_id=actor_id, at=at)
    key, wrapped = vault.new_key(followup_id)
    await conn.execute(
        insert(tables.followup_file).values(
            followup_id=followup_id,
            round_id=followup.round_id,
            partner_id=partner_id,
            message_id=order.message_id,
            sha256=sha256(content).digest(),
            kek_id=wrapped.kek_id,
            wrapped=wrapped.wrapped,
            sealed=seal(key, content, kind=KIND, owner=followup_id),
            written_at=at,
        )
    )
    return await follow.add_step(
        conn, followup, Step.RELEASED, programme, partner_id=partner_id, actor_id=actor_id, at=at
    )


async def read_file(conn: AsyncConnection, followup_id: UUID, *, vault: Vault) -> PaymentFile:
    """Return the exact bytes that were released, and log whose identities they show.

    Raises NotReleased, NotFound.
    """
    followup = await follow.load_followup(conn, followup_id)
    file = tables.followup_file
    row = (await conn.execute(select(file).where(file.c.followup_id == followup_id))).one_or_none()
    if row is None:
        raise NotReleased(round_id=followup.round_id)
    payment = tables.followup_payment.c
    shown = await conn.scalars(
        select(payment.household_id).where(payment.followup_id == followup_id)
    )
    await note_access(conn, list(shown), purpose=payout.PURPOSE)
    key = vault.unwrap(WrappedKey(kek_id=row.kek_id, wrapped=row.wrapped), followup_id)
    return PaymentFile(
        message_id=row.message_id,
        sha256=row.sha256.hex(),
        content=open_bytes(key, row.sealed, kind=KIND, owner=followup_id),
        part_no=1,
        parts=1,
    )


async def _must_be_next(
    conn: AsyncConnection, followup: Followup, currency: str, actor_id: UUID
) -> None:
    """Refuse before anything is done what the constraints would refuse in the end."""
    steps = await follow.load_followup_steps(conn, followup.followup_id, currency)
    done = [signed.step for signed in steps]
    word, round_id = Step.RELEASED.word, followup.round_id
    if word in done:
        raise StepDone(round_id=round_id, step=word)
    if Step.APPROVED.word not in done:
        raise StepOutOfOrder(round_id=round_id, step=word)
    if actor_id in [each.actor_id for each in steps if each.step != Step.CALCULATED.word]:
        raise SamePerson(round_id=round_id, step=word)


async def _entitlements(
    conn: AsyncConnection, followup: Followup, wanted: set[UUID]
) -> Sequence[Entitlement]:
    return [each.entitlement for each in await failed.failed_of(conn, followup.round_id, wanted)]
