"""The payment file of a round: written from opened identities, kept sealed, handed out again.

A round has one part of the file for each chunk; a part is a file of its own, with its own sums.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import payer, tables
from cbi.disbursement import Round, message_id
from cbi.enrol import Programme
from cbi.entitlement import Entitlement, Why
from cbi.identities import SealedPayee, load_sealed_payees, note_access, open_payee
from cbi.payment_files import pain001
from cbi.refusal import NotReleased, PayeesBlocked, WhichPart
from cbi.vault import Vault, WrappedKey, open_bytes, seal
from ledger.attempt import Attempt

PURPOSE = "payment file"


class PaymentFile(msgspec.Struct, frozen=True, kw_only=True):
    """The exact bytes of a part as they were released, and their SHA-256 in hexadecimal."""

    message_id: str
    sha256: str
    content: bytes
    part_no: int
    parts: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of which round's file is to be written; `is_whole` when there is no other."""

    opened: Round
    programme: Programme
    part_no: int
    is_whole: bool
    at: datetime

    @property
    def message_id(self) -> str:
        return message_id(self.opened.round_id, None if self.is_whole else self.part_no)


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """All that a part is written from, the payees not opened yet."""

    order: Order
    attempts: Sequence[Attempt]
    household_of: dict[UUID, UUID]  # payment → household
    payees: dict[UUID, SealedPayee]  # by household
    debtor_account: str
    vault: Vault


async def load_sealed(
    conn: AsyncConnection,
    order: Order,
    attempts: Sequence[Attempt],
    entitlements: Sequence[Entitlement],
    *,
    vault: Vault,
) -> Sealed:
    """Load what a part is written from; the access log has every household of it."""
    household_of = {each.entitlement_id: each.household_id for each in entitlements}
    return Sealed(
        order=order,
        attempts=attempts,
        household_of=household_of,
        payees=await load_sealed_payees(conn, list(household_of.values()), purpose=PURPOSE),
        debtor_account=await payer.load(conn, order.programme.programme_id, vault=vault),
        vault=vault,
    )


def compose(sealed: Sealed) -> bytes:
    """Write a part; raises PayeesBlocked when a payee can't be named. Pure: a thread may do it."""
    order, programme = sealed.order, sealed.order.programme
    payments: list[pain001.Payment] = []
    blocked: dict[UUID, tuple[Why, ...]] = {}
    for attempt in sealed.attempts:
        household_id = sealed.household_of[attempt.payment_id]
        payee = sealed.payees.get(household_id)
        payable = None if payee is None else open_payee(payee, sealed.vault)
        if payable is None:
            blocked[household_id] = ("erased",) if payee is None else ("no_instrument",)
            continue
        payments.append(
            pain001.Payment(
                end_to_end_id=attempt.end_to_end_id,
                money=attempt.money,
                creditor_name=payable.holder,
                creditor_account=payable.account,
                creditor_bank=payable.bank,
            )
        )
    if blocked:
        raise PayeesBlocked(round_id=order.opened.round_id, blocked=blocked)
    return pain001.write(
        pain001.PaymentInstruction(
            message_id=order.message_id,
            created_at=order.at.replace(microsecond=0),
            execution_on=order.opened.pays_on,
            debtor_name=programme.payer_name,
            debtor_account=sealed.debtor_account,
            debtor_agent=programme.payer_agent,
            currency=programme.currency,
            payments=tuple(payments),
        )
    )


async def keep(
    conn: AsyncConnection, order: Order, content: bytes, *, vault: Vault, partner_id: UUID
) -> None:
    """Keep a part sealed, with its digest; nobody is handed it before the round is released."""
    round_id = order.opened.round_id
    key, wrapped = vault.new_key(round_id)
    await conn.execute(
        insert(tables.payment_file).values(
            round_id=round_id,
            part_no=order.part_no,
            partner_id=partner_id,
            message_id=order.message_id,
            sha256=sha256(content).digest(),
            kek_id=wrapped.kek_id,
            wrapped=wrapped.wrapped,
            sealed=seal(key, content, kind=_kind(order.part_no), owner=round_id),
            written_at=order.at,
        )
    )


async def read_file(
    conn: AsyncConnection, round_id: UUID, *, vault: Vault, part_no: int | None = None
) -> PaymentFile:
    """Return a part as it was released, and log whose identities it shows.

    Without `part_no` the only one. Raises NotReleased, and WhichPart where there are others.
    """
    file, chunk = tables.payment_file, tables.chunk.c
    parts = await conn.scalar(select(func.count()).where(file.c.round_id == round_id))
    if not parts:
        raise NotReleased(round_id=round_id)
    wanted = 1 if part_no is None and parts == 1 else part_no
    if wanted is None or not 1 <= wanted <= parts:
        raise WhichPart(round_id=round_id, parts=parts)
    row = (
        await conn.execute(
            select(file, chunk.after_payment, chunk.upto_payment)
            .join_from(
                file,
                tables.chunk,
                (chunk.round_id == file.c.round_id) & (chunk.chunk_no == file.c.part_no),
            )
            .where(file.c.round_id == round_id, file.c.part_no == wanted)
        )
    ).one()
    entitlement = tables.entitlement.c
    household_ids = await conn.scalars(
        select(entitlement.household_id).where(
            entitlement.round_id == round_id,
            entitlement.entitlement_id > row.after_payment,
            entitlement.entitlement_id <= row.upto_payment,
            entitlement.cancelled_at.is_(None),
        )
    )
    await note_access(conn, list(household_ids), purpose=PURPOSE)
    key = vault.unwrap(WrappedKey(kek_id=row.kek_id, wrapped=row.wrapped), round_id)
    return PaymentFile(
        message_id=row.message_id,
        sha256=row.sha256.hex(),
        content=open_bytes(key, row.sealed, kind=_kind(row.part_no), owner=round_id),
        part_no=row.part_no,
        parts=parts,
    )


def _kind(part_no: int) -> str:
    """Bind a sealed part to its number, so that one can't be passed off as another."""
    return PURPOSE if part_no == 1 else f"{PURPOSE} {part_no}"
