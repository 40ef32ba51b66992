"""Release a follow-up: open the next attempts, book them, and write their file, all at once."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, failed, follow, payout, profiles
from cbi.disburse import load_round, lock_round
from cbi.disbursement import Signed, Step
from cbi.entitlement import Entitlement
from cbi.file_tables import followup_file
from cbi.followup import Followup
from cbi.payout import Keys, Part, PaymentFile
from cbi.refusal import SamePerson, StepDone, StepOutOfOrder
from cbi.vault import Vault
from dedup.driver import fetch
from ledger import post
from ledger.attempts import open_attempts, record_payees

KIND = "payment file of a follow-up"
_KEEP = payout.KEEP.format(table="cbi.followup_file", owner="followup_id, round_id")


async def release_followup(
    conn: AsyncConnection,
    *,
    followup_id: UUID,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    keys: Keys,
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
        profile=await profiles.load_profile(conn, opened.programme_id, as_of=followup.opened_at),
        first_part=1,
        is_whole=True,
        at=at,
    )
    entitlements = await _entitlements(conn, followup, {each.payment_id for each in listed})
    sealed = await payout.load_sealed(conn, order, attempts, entitlements, keys=keys)
    parts = await asyncio.to_thread(payout.compose, sealed)
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
    await _keep(conn, followup, order, parts, vault=keys.vault, partner_id=partner_id)
    payees = payout.payees_of(parts, attempts)
    await record_payees(conn, payees, partner_id=partner_id)
    return await follow.add_step(
        conn, followup, Step.RELEASED, programme, partner_id=partner_id, actor_id=actor_id, at=at
    )


async def read_file(
    conn: AsyncConnection, followup_id: UUID, *, vault: Vault, part_no: int | None = None
) -> PaymentFile:
    """Return the exact bytes that were released, and log whose identities they show.

    Without `part_no` the only part. Raises NotReleased, NotFound, and WhichPart where there are
    others.
    """
    round_id = (await follow.load_followup(conn, followup_id)).round_id
    stored = payout.Stored(table=followup_file, owner=followup_id, round_id=round_id, purpose=KIND)
    return await payout.read_part(conn, stored, vault=vault, part_no=part_no)


async def _keep(
    conn: AsyncConnection,
    followup: Followup,
    order: payout.Order,
    parts: Sequence[Part],
    *,
    vault: Vault,
    partner_id: UUID,
) -> None:
    owner = followup.followup_id
    key, wrapped = vault.new_key(owner)
    head = payout.kept_with(order, wrapped, partner_id)
    columns = payout.sealed_parts(parts, key, owner, KIND)
    await fetch(conn, _KEEP, owner, followup.round_id, *head, *columns)


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
