"""Settle: turn what the bank proved into outcomes and transfers, each exactly once.

A payment is delivered when the statement shows its debit, void when the bank rejected it, and
returned when the statement shows its credit. A notification alone books nothing.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, tables
from ledger import post, reconcile
from ledger.attempt import AttemptState, Giveback, Outcome
from ledger.attempts import record_outcomes, record_returns
from ledger.matching import Allocation, Break, Claim
from ledger.standing import load_states
from ledger.transfer import Transfer

What = Literal["delivered", "rejected", "returned"]
# A batch of the ledger holds 10,000 transfers, and a return makes three.
BATCH = 3_000


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What one reconciliation matched and booked, and what nobody can explain yet."""

    matched: int
    delivered: int
    rejected: int
    returned: int
    breaks: tuple[Break, ...]


class _Home(msgspec.Struct, frozen=True, kw_only=True):
    """The round and programme that a payment belongs to."""

    payment_id: UUID
    round_id: UUID
    programme_id: UUID


async def settle(
    conn: AsyncConnection, *, partner_id: UUID, actor_id: UUID, at: datetime, as_of: date
) -> Settled:
    """Match what came in since, book what is proved, and name every break.

    Ids are derived from the payment and its attempt, so that running it twice, or dying in the
    middle, books nothing twice and loses nothing.
    """
    found = await reconcile.reconcile(
        conn, partner_id=partner_id, at=at, actor_id=actor_id, as_of=as_of
    )
    proved = [(what_of(allocation), allocation) for allocation in found.allocations]
    booked: dict[What, list[Allocation]] = {"delivered": [], "rejected": [], "returned": []}
    for what, allocation in proved:
        if what is not None:
            booked[what].append(allocation)
    homes = await _homes(conn, [allocation.payment_id for _, allocation in proved])
    for what, allocations in booked.items():
        for start in range(0, len(allocations), BATCH):
            await _book(
                conn,
                what,
                allocations[start : start + BATCH],
                homes,
                partner_id=partner_id,
                actor_id=actor_id,
                at=at,
            )
    return Settled(
        matched=len(found.allocations),
        delivered=len(booked["delivered"]),
        rejected=len(booked["rejected"]),
        returned=len(booked["returned"]),
        breaks=tuple(found.breaks),
    )


def what_of(allocation: Allocation) -> What | None:
    """Say what an allocation proves about its payment; most corroborate and prove nothing new."""
    claim: Claim = allocation.claim
    if claim == "statement":
        return "delivered"
    if claim == "return":
        return "returned"
    if claim == "rejection":
        return "rejected"
    return None


async def _book(
    conn: AsyncConnection,
    what: What,
    allocations: Sequence[Allocation],
    homes: dict[UUID, _Home],
    *,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> None:
    if what == "returned":
        await record_returns(
            conn,
            [
                Giveback(
                    payment_id=each.payment_id,
                    attempt_no=each.attempt_no,
                    reason=each.reason,
                    line_id=each.line_id,
                )
                for each in allocations
            ],
            partner_id=partner_id,
            at=at,
        )
    else:
        await record_outcomes(
            conn,
            [
                Outcome(
                    payment_id=each.payment_id,
                    attempt_no=each.attempt_no,
                    outcome="post" if what == "delivered" else "void",
                    reason=each.reason,
                    line_id=each.line_id,
                )
                for each in allocations
            ],
            partner_id=partner_id,
            at=at,
        )
    states = await _states(conn, allocations)
    transfers = [
        transfer
        for each in allocations
        for transfer in _transfers(
            what, homes[each.payment_id], states[each.payment_id, each.attempt_no], each, at
        )
    ]
    if transfers:
        await post.post(conn, transfers, partner_id=partner_id, at=at, actor_id=actor_id)


def _transfers(
    what: What, home: _Home, state: AttemptState, allocation: Allocation, at: datetime
) -> list[Transfer]:
    on = allocation.booked_on or at.date()
    match what:
        case "delivered":
            return bookings.paid(
                home.programme_id, home.round_id, state.attempt, on=on, part=state.part
            )
        case "rejected":
            return [bookings.rejected(home.round_id, state.attempt, on=on)]
        case "returned":
            return bookings.returned(
                home.programme_id, home.round_id, state.attempt, on=on, part=state.part
            )


async def _states(
    conn: AsyncConnection, allocations: Sequence[Allocation]
) -> dict[tuple[UUID, int], AttemptState]:
    states = await load_states(conn, [each.payment_id for each in allocations])
    return {
        (state.attempt.payment_id, state.attempt.attempt_no): state
        for of_payment in states.values()
        for state in of_payment
    }


async def _homes(conn: AsyncConnection, payment_ids: Sequence[UUID]) -> dict[UUID, _Home]:
    entitlement, opened = tables.entitlement.c, tables.round_.c
    rows = await conn.execute(
        select(
            entitlement.entitlement_id.label("payment_id"),
            entitlement.round_id,
            opened.programme_id,
        )
        .join_from(tables.entitlement, tables.round_, opened.round_id == entitlement.round_id)
        .where(entitlement.entitlement_id.in_(set(payment_ids)))
    )
    return {
        row.payment_id: msgspec.convert(row._mapping, _Home)  # noqa: SLF001 -- public by its docs
        for row in rows
    }
