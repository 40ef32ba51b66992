"""Load what a round's reports stand on."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, tables
from cbi.disburse import CHUNK_MAX, FIRST, load_entitlements, load_round, load_steps
from cbi.disbursement import Step
from cbi.enrol import load_programme
from cbi.profiles import load_round_profile
from cbi.reconciliation import LedgerSide, PaymentRow, Report, Tally, payment_row
from cbi.release import load_reserving
from cbi.wind_up import given_back
from ledger import breaks, post, reconcile, standing


async def round_report(conn: AsyncConnection, *, round_id: UUID) -> Report:
    """Reconcile one round from what is booked and matched; writes nothing. Raises NotFound."""
    opened = await load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    # The breaks of whoever pays the round, also when another organisation's auditor reads it.
    row = tables.round_.c
    payer = (
        await conn.execute(select(row.partner_id).where(row.round_id == round_id))
    ).scalar_one()
    tally = Tally(await breaks.standing(conn, partner_id=payer))
    after = FIRST
    while page := await load_entitlements(conn, round_id, after=after, limit=CHUNK_MAX):
        payment_ids = [entitlement.entitlement_id for entitlement in page]
        states = await standing.load_states(conn, payment_ids)
        tally.add(page, states, await reconcile.evidence(conn, payment_ids))
        after = payment_ids[-1]
    ledger = await _ledger_side(conn, round_id, programme.currency)
    profile = await load_round_profile(conn, opened)
    return tally.report(
        round_id, currency=programme.currency, ledger=ledger, settled_by=profile.settled_by
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


async def _ledger_side(conn: AsyncConnection, round_id: UUID, currency: str) -> LedgerSide:
    accounts = bookings.of_round(round_id, currency)
    balances = await post.balances(conn, accounts)
    available, committed, payable, delivered = (balances[one.account_id] for one in accounts)
    reserving = await load_reserving(conn, round_id, currency)
    steps = await load_steps(conn, round_id, currency)
    if reserving is not None and steps[-1].step != Step.RELEASED.word:
        available -= reserving.total.amount_minor - reserving.reserved_total.amount_minor
    return LedgerSide(
        available_minor=available,
        pending_minor=committed + payable,
        delivered_minor=delivered,
        given_back_minor=await given_back(conn, accounts[0]),
    )
