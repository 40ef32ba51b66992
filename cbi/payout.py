"""The payment file of a round: written from opened identities, kept sealed, handed out again."""

from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import payer, tables
from cbi.account import compact
from cbi.disbursement import Round, message_id
from cbi.enrol import Programme
from cbi.entitlement import Entitlement
from cbi.identities import Identity, bank_of, can_be_paid, holder_of, note_access, open_households
from cbi.payment_files import pain001
from cbi.refusal import NotReleased, PayeesBlocked
from cbi.vault import Vault, WrappedKey, open_bytes, seal
from ledger.attempt import Attempt


class PaymentFile(msgspec.Struct, frozen=True, kw_only=True):
    """The exact bytes that were released, and their SHA-256 in hexadecimal."""

    message_id: str
    sha256: str
    content: bytes


async def write_file(
    conn: AsyncConnection,
    opened: Round,
    programme: Programme,
    attempts: list[Attempt],
    entitlements: list[Entitlement],
    *,
    vault: Vault,
    partner_id: UUID,
    at: datetime,
) -> PaymentFile:
    """Write the file of a round and keep it; raises PayeesBlocked when a payee can't be named."""
    household_of = {each.entitlement_id: each.household_id for each in entitlements}
    identities = await open_households(
        conn, list(household_of.values()), vault=vault, purpose="payment file"
    )
    payments, blocked = [], {}
    for attempt in attempts:
        household_id = household_of[attempt.payment_id]
        identity = identities.get(household_id)
        if identity is None:
            blocked[household_id] = ("erased",)
        elif not can_be_paid(identity):
            blocked[household_id] = ("no_instrument",)
        else:
            payments.append(_payment(attempt, identity))
    if blocked:
        raise PayeesBlocked(round_id=opened.round_id, blocked=blocked)
    content = pain001.write(
        pain001.PaymentInstruction(
            message_id=message_id(opened.round_id),
            created_at=at.replace(microsecond=0),
            execution_on=opened.pays_on,
            debtor_name=programme.payer_name,
            debtor_account=await payer.load(conn, programme.programme_id, vault=vault),
            debtor_agent=programme.payer_agent,
            currency=programme.currency,
            payments=tuple(payments),
        )
    )
    digest = sha256(content)
    key, wrapped = vault.new_key(opened.round_id)
    await conn.execute(
        insert(tables.payment_file).values(
            round_id=opened.round_id,
            partner_id=partner_id,
            message_id=message_id(opened.round_id),
            sha256=digest.digest(),
            kek_id=wrapped.kek_id,
            wrapped=wrapped.wrapped,
            sealed=seal(key, content, kind="payment file", owner=opened.round_id),
            written_at=at,
        )
    )
    return PaymentFile(
        message_id=message_id(opened.round_id), sha256=digest.hexdigest(), content=content
    )


async def read_file(conn: AsyncConnection, round_id: UUID, *, vault: Vault) -> PaymentFile:
    """Return the bytes as they were released, and log whose identities they show.

    Raises NotReleased.
    """
    row = (
        await conn.execute(
            select(tables.payment_file).where(tables.payment_file.c.round_id == round_id)
        )
    ).one_or_none()
    if row is None:
        raise NotReleased(round_id=round_id)
    entitlement = tables.entitlement.c
    household_ids = await conn.scalars(
        select(entitlement.household_id).where(
            entitlement.round_id == round_id, entitlement.cancelled_at.is_(None)
        )
    )
    await note_access(conn, list(household_ids), purpose="payment file")
    key = vault.unwrap(WrappedKey(kek_id=row.kek_id, wrapped=row.wrapped), round_id)
    content = open_bytes(key, row.sealed, kind="payment file", owner=round_id)
    return PaymentFile(message_id=row.message_id, sha256=row.sha256.hex(), content=content)


def _payment(attempt: Attempt, identity: Identity) -> pain001.Payment:
    instrument = identity.household.instrument
    assert instrument is not None
    holder = holder_of(identity)
    assert holder is not None
    return pain001.Payment(
        end_to_end_id=attempt.end_to_end_id,
        money=attempt.money,
        creditor_name=f"{holder.given_names} {holder.surnames}",
        creditor_account=compact(instrument.account),
        creditor_bank=bank_of(instrument),
    )
