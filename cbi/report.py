"""Load what a round's reports stand on."""

from datetime import date
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, tables
from cbi.disburse import load_entitlements, load_round
from cbi.enrol import load_programme
from cbi.reconciliation import LedgerSide, PaymentRow, Report, payment_row, reconcile_round
from ledger import post, reconcile, standing


async def round_report(conn: AsyncConnection, *, round_id: UUID, as_of: date) -> Report:
    """Reconcile one round from what is booked and matched; writes nothing. Raises NotFound."""
    opened = await load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    # The breaks of whoever pays the round, also when another organisation's auditor reads it.
    row = tables.round_.c
    payer = (
        await conn.execute(select(row.partner_id).where(row.round_id == round_id))
    ).scalar_one()
    entitlements = await load_entitlements(conn, round_id)
    payment_ids = [entitlement.entitlement_id for entitlement in entitlements]
    accounts = bookings.of_round(round_id, programme.currency)
    balances = await post.balances(conn, accounts)
    available, committed, payable, delivered = (
        balances[account.account_id] for account in accounts
    )
    return reconcile_round(
        round_id,
        currency=programme.currency,
        entitlements=entitlements,
        attempts=await standing.load_states(conn, payment_ids),
        proofs=await reconcile.evidence(conn, payment_ids),
        ledger=LedgerSide(
            available_minor=available,
            pending_minor=committed + payable,
            delivered_minor=delivered,
        ),
        breaks=await reconcile.breaks(conn, partner_id=payer, as_of=as_of),
    )


async def payment_rows(
    conn: AsyncConnection, *, round_id: UUID, after: UUID | None, limit: int
) -> list[PaymentRow]:
    """Return a page of a round's payments as they stand, by id. Raises NotFound."""
    await load_round(conn, round_id)
    entitlements = await load_entitlements(conn, round_id, after=after, limit=limit)
    payment_ids = [entitlement.entitlement_id for entitlement in entitlements]
    states = await standing.load_states(conn, payment_ids)
    proofs = await reconcile.evidence(conn, payment_ids)
    return [
        payment_row(each, states[each.entitlement_id], proofs[each.entitlement_id])
        for each in entitlements
    ]
