"""Two people at the same moment: exactly one wins, and nothing is paid twice."""

import asyncio
from datetime import date

import pytest
from sqlalchemy import text

from cbi.disburse import load_entitlements
from cbi.disbursement import Progress, Step
from cbi.refusal import EntitlementSettled
from tests.cbi.world import (
    a_round,
    approved,
    calculated,
    calculated_once,
    cancelled,
    opened,
    released,
    released_once,
    signed,
    staff,
)


async def at_once(own, *jobs):
    begun = asyncio.Barrier(len(jobs))

    async def run(job):
        async with own.begin() as conn:
            await begun.wait()
            return await job(conn)

    done = await asyncio.gather(*map(run, jobs), return_exceptions=True)
    return sorted(type(one).__name__ for one in done)


async def test_of_two_clerks_who_approve_at_once_one_wins(own):
    async with own.begin() as conn:
        _, _, round_id = await a_round(conn, 1)
        await calculated(conn, round_id)
        await signed(conn, round_id, Step.PREPARED, staff(1))
        await signed(conn, round_id, Step.REVIEWED, staff(2))
    assert await at_once(
        own,
        *(
            lambda conn, place=place: signed(conn, round_id, Step.APPROVED, staff(place))
            for place in (3, 4, 5)
        ),
    ) == ["Signed", "StepDone", "StepDone"]


async def test_of_two_calculations_at_once_one_wins(own):
    async with own.begin() as conn:
        _, _, round_id = await a_round(conn, 2)
    assert await at_once(own, *([lambda conn: calculated(conn, round_id)] * 2)) == [
        "Calculated",
        "StepDone",
    ]
    assert (await own.rows())["cbi.entitlement"] == 2


async def test_of_two_releases_at_once_one_pays(own):
    async with own.begin() as conn:
        _, _, round_id = await a_round(conn, 3)
        await approved(conn, round_id)
    assert await at_once(
        own, *(lambda conn, place=place: released(conn, round_id, staff(place)) for place in (4, 5))
    ) == ["Signed", "StepDone"]
    rows = await own.rows()
    assert (rows["ledger.attempt"], rows["cbi.payment_file"]) == (3, 1)
    # The donor's deposit, the round's funding, three reservations, and the instruction.
    assert rows["ledger.transfer"] == 6


async def to_the_end(own, piece):
    """Do piece after piece, each in a transaction of its own."""
    while isinstance(done := await piece(), Progress):
        continue
    return done


async def both_to_the_end(own, one, other):
    done = await asyncio.gather(
        to_the_end(own, one), to_the_end(own, other), return_exceptions=True
    )
    return sorted(type(each).__name__ for each in done)


async def test_two_who_release_a_round_in_chunks_share_the_work_and_one_signs(own):
    async with own.begin() as conn:
        _, _, round_id = await a_round(conn, 5)
        await approved(conn, round_id)

    def by(who):
        async def piece():
            async with own.begin(who) as conn:
                return await released_once(conn, round_id, who, chunk_max=1)

        return piece

    assert await both_to_the_end(own, by(staff(4)), by(staff(5))) == ["Signed", "StepDone"]
    rows = await own.rows()
    assert (rows["cbi.funding"], rows["cbi.chunk"], rows["cbi.payment_file"]) == (1, 5, 5)
    assert rows["ledger.attempt"] == 5
    # The donor's deposit, the round's funding, five reservations.
    assert rows["ledger.transfer"] == 8


async def test_two_who_calculate_a_round_by_pages_share_the_work_and_one_signs(own):
    async with own.begin() as conn:
        _, _, round_id = await a_round(conn, 4)

    async def piece():
        async with own.begin() as conn:
            return await calculated_once(conn, round_id, chunk_max=1)

    assert await both_to_the_end(own, piece, piece) == ["Calculated", "StepDone"]
    rows = await own.rows()
    assert (rows["cbi.calculation_page"], rows["cbi.entitlement"]) == (4, 4)


@pytest.mark.parametrize("done", [0, 1, 2])
async def test_of_two_at_the_same_piece_the_second_waits_and_does_the_next(own, done):
    """Funding, a chunk, the release: whoever comes second finds it done."""
    async with own.begin() as conn:
        _, _, round_id = await a_round(conn, 2)
        await approved(conn, round_id)
    for _ in range(done):
        async with own.begin() as conn:
            await released_once(conn, round_id, chunk_max=1)

    async def second():
        async with own.begin(staff(5)) as conn:
            return await released_once(conn, round_id, staff(5), chunk_max=1)

    async with own.begin() as conn:
        await released_once(conn, round_id, chunk_max=1)
        waiting = asyncio.create_task(second())
        assert await own.waits(waiting)
    await waiting
    rows = await own.rows()
    assert rows["cbi.funding"] == 1
    assert rows["cbi.chunk"] == rows["ledger.attempt"] == min(done + 1, 2)


async def test_money_for_two_rounds_that_is_there_once_funds_one(own):
    async with own.begin() as conn:
        programme, _, first = await a_round(conn, 2, grant=25_000)
        await approved(conn, first)
        other = (
            await opened(conn, programme, first=date(2026, 9, 1), end=date(2026, 10, 1))
        ).round_id
        await approved(conn, other)
    jobs = (
        lambda conn, round_id=round_id: released_once(conn, round_id, chunk_max=1)
        for round_id in (first, other)
    )
    assert await at_once(own, *jobs) == ["InsufficientFunds", "Progress"]
    assert (await own.rows())["cbi.funding"] == 1


@pytest.mark.parametrize("first", ["cancelled", "released"])
async def test_a_payment_is_either_cancelled_or_released_never_both(own, first):
    async with own.begin() as conn:
        _, _, round_id = await a_round(conn, 2)
        await approved(conn, round_id)
        one, other = await load_entitlements(conn, round_id)

    async def cancel(conn):
        await cancelled(conn, round_id, one.entitlement_id)

    async def release(conn):
        await released(conn, round_id)

    async def alone(job):
        async with own.begin() as conn:
            await job(conn)

    jobs = [cancel, release] if first == "cancelled" else [release, cancel]
    async with own.begin() as conn:
        await jobs[0](conn)
        second = asyncio.create_task(alone(jobs[1]))
        assert await own.waits(second)
    (done,) = await asyncio.gather(second, return_exceptions=True)
    async with own.begin() as conn:
        standing = {each.entitlement_id for each in await load_entitlements(conn, round_id)}
        paid = set(await conn.scalars(text("SELECT payment_id FROM ledger.attempt")))
    both = {one.entitlement_id, other.entitlement_id}
    assert paid == standing == (both if first == "released" else {other.entitlement_id})
    assert type(done) is (EntitlementSettled if first == "released" else type(None))
