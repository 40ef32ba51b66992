"""Settle: turn what the bank proved into outcomes and transfers, each exactly once.

A payment is delivered when the statement shows its debit (or, where a provider pays from money that
lies with it, when its own report says so), void when it was rejected or not claimed, and returned
when the statement shows its credit. What nobody can explain is a break, and is booked as such.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, differences
from cbi.disbursement import Progress
from cbi.homes import Home, Key, load_homes, sent_by_profile
from cbi.place import bank_holidays
from cbi.who import Who
from ledger import breaks, loose, post, reconcile
from ledger.attempt import AttemptState, Giveback, Outcome
from ledger.attempts import record_outcomes, record_returns
from ledger.matching import Allocation, Break, Claim, allocate, match
from ledger.reconcile import Done, Pageful, Run
from ledger.standing import load_states
from ledger.transfer import Transfer

What = Literal["delivered", "rejected", "returned"]
# A batch of the ledger holds 10,000 transfers, and a return makes three.
BATCH = 3_000
BREAKS_SHOWN = 1_000


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What one reconciliation matched and booked, and what nobody can explain yet."""

    run_id: UUID
    matched: int
    delivered: int
    rejected: int
    returned: int
    open_breaks: int
    breaks: tuple[Break, ...]  # the first of them; all are listed page by page elsewhere


async def settle(
    conn: AsyncConnection,
    *,
    run_id: UUID,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    as_of: date,
    page: int = reconcile.PAGE,
) -> Settled | Progress:
    """Do the next piece of a reconciliation, or all of it where its attempts fit one page.

    Progress says that the piece is done and others are left: call again, each time in a transaction
    of its own. Ids are derived from the payment and its attempt, so that running it twice, or dying
    in the middle, books nothing twice and loses nothing. `run_id` names the run if it is new.
    """
    who = Who(partner_id=partner_id, actor_id=actor_id, at=at)
    run, is_new = await reconcile.begin(conn, run_id=run_id, as_of=as_of, **_facts(who))
    if is_new:
        holidays = bank_holidays(range(as_of.year - 1, as_of.year + 1))
        await loose.name_lines(conn, run_id=run.run_id, partner_id=partner_id, holidays=holidays)
        run = await _book_batches(conn, run, who)
    if not run.is_through:
        run = await _settle_page(conn, run, who, page=page)
        if not run.is_through:
            return Progress(
                step="reconcile",
                chunks_done=run.pages,
                chunks=run.pages + 1,
                done=run.pages * page,
                of=(run.pages + 1) * page,
            )
    return await _end(conn, run, who)


async def _book_batches(conn: AsyncConnection, run: Run, who: Who) -> Run:
    """Match batches that were booked as one to the payments that the provider reports of them."""
    shares = await loose.load_batches(conn, partner_id=who.partner_id)
    found = [allocate(attempt, line, "statement", part=share) for line, attempt, share in shares]
    if not found:
        return run
    done = await _book_all(conn, found, who)
    page = Pageful(attempts=[], lines=[], claimed=[], parted=frozenset(), is_last=False)
    return await reconcile.end_page(conn, run, page, found, done, partner_id=who.partner_id)


async def _settle_page(conn: AsyncConnection, run: Run, who: Who, *, page: int) -> Run:
    loaded = await reconcile.load_page(conn, partner_id=who.partner_id, after=run.upto, page=page)
    homes = await load_homes(conn, [(a.payment_id, a.attempt_no) for a in loaded.attempts])
    sent_by = await sent_by_profile(conn, homes)
    by_report = {key for key, profile in sent_by.items() if profile.settled_by == "report"}
    attempts = [
        msgspec.structs.replace(attempt, settled_by="report")
        if (attempt.payment_id, attempt.attempt_no) in by_report
        else attempt
        for attempt in loaded.attempts
    ]
    found = match(
        attempts,
        loaded.lines,
        loaded.claimed,
        as_of=run.as_of,
        pending_days=reconcile.PENDING_DAYS,
        parted=loaded.parted,
    )
    done = await _book_all(conn, found.allocations, who, by_report=by_report, homes=homes)
    await breaks.sight(conn, run, found.breaks, partner_id=who.partner_id)
    return await reconcile.end_page(
        conn, run, loaded, found.allocations, done, partner_id=who.partner_id
    )


async def _end(conn: AsyncConnection, run: Run, who: Who) -> Settled:
    """Name what belongs to no payment, book what breaks are about, and end the run."""
    found = await breaks.of_no_payment(conn, partner_id=who.partner_id)
    found += await differences.of_instruction(conn, partner_id=who.partner_id)
    await breaks.sight(conn, run, found, partner_id=who.partner_id)
    done, gone = await breaks.end(conn, run, **_facts(who))
    await differences.book(conn, gone=gone, **_facts(who))
    standing = await breaks.standing(conn, partner_id=who.partner_id)
    return Settled(
        run_id=run.run_id,
        **msgspec.structs.asdict(done),
        open_breaks=len(standing),
        breaks=tuple(standing[:BREAKS_SHOWN]),
    )


def _facts(who: Who) -> dict[str, Any]:
    return msgspec.structs.asdict(who)


async def _book_all(
    conn: AsyncConnection,
    allocations: Sequence[Allocation],
    who: Who,
    *,
    by_report: Iterable[Key] = (),
    homes: Mapping[Key, Home] | None = None,
) -> Done:
    """Write allocations, and book what they prove."""
    await reconcile.allocate(conn, allocations, **_facts(who))
    reported = frozenset(by_report)
    booked: dict[What, list[Allocation]] = {"delivered": [], "rejected": [], "returned": []}
    for each in allocations:
        what = what_of(each.claim, by_report=(each.payment_id, each.attempt_no) in reported)
        if what is not None:
            booked[what].append(each)
    if homes is None:
        homes = await load_homes(conn, [(e.payment_id, e.attempt_no) for e in allocations])
    for what, proved in booked.items():
        for start in range(0, len(proved), BATCH):
            await _book(conn, what, proved[start : start + BATCH], homes, **_facts(who))
    return Done(
        matched=len(allocations),
        delivered=len(booked["delivered"]),
        rejected=len(booked["rejected"]),
        returned=len(booked["returned"]),
    )


def what_of(claim: Claim, *, by_report: bool) -> What | None:
    """Say what a claim proves about its payment; most corroborate and prove nothing new."""
    if claim == ("notification" if by_report else "statement"):
        return "delivered"
    if claim == ("return_notification" if by_report else "return"):
        return "returned"
    if claim in ("rejection", "unclaimed"):
        return "rejected"
    return None


def reason_of(allocation: Allocation) -> str:
    """Return the bank's reason; what nobody fetched says so itself."""
    if allocation.claim == "unclaimed":
        return allocation.reason or "UNCLAIMED"
    return allocation.reason


async def _book(
    conn: AsyncConnection,
    what: What,
    allocations: Sequence[Allocation],
    homes: Mapping[Key, Home],
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
                    reason=reason_of(each),
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
            what,
            homes[each.payment_id, each.attempt_no],
            states[each.payment_id, each.attempt_no],
            each,
            at,
        )
    ]
    if transfers:
        await post.post(conn, transfers, partner_id=partner_id, at=at, actor_id=actor_id)


def _transfers(
    what: What, home: Home, state: AttemptState, allocation: Allocation, at: datetime
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
