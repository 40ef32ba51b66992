"""Two people at the same moment: exactly one wins, and nothing is paid twice."""

import asyncio

import pytest
from sqlalchemy import text

from cbi.disburse import load_entitlements
from cbi.disbursement import Step
from cbi.refusal import EntitlementSettled
from tests.cbi.world import (
    a_round,
    approved,
    calculated,
    cancelled,
    released,
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
