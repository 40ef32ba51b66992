"""The program dies before any statement: nothing is left, and the retry does the same thing."""

import asyncio

import pytest
from sqlalchemy import text

from api import db
from cbi.disburse import load_list, load_steps
from cbi.payout import read_file
from cbi.refusal import StepDone
from ledger.trial import trial_balance
from tests.cbi.bank import line, settled, statement, taken_in
from tests.cbi.conftest import Crash, cancelled_at
from tests.cbi.world import (
    ALFA,
    DESK,
    a_round,
    approved,
    calculated,
    calculated_once,
    enrolled_families,
    family,
    opened,
    programme_of,
    registered,
    released,
    released_once,
    staff,
)

STATEMENTS_MAX = 200
AWAITS_MAX = 1_000


async def transfers(conn):
    rows = await conn.execute(
        text(
            "SELECT transfer_id, entry_id, kind, amount_minor FROM ledger.transfer"
            " ORDER BY transfer_id"
        )
    )
    return [tuple(row) for row in rows]


async def dies_everywhere(own, job) -> int:
    """Let `job` die before its first, second, … statement until it lives; return how often."""
    before = await own.rows()
    for place in range(STATEMENTS_MAX):
        try:
            async with own.dying(place) as conn:
                await job(conn)
        except Crash:
            assert await own.rows() == before
        else:
            return place
    pytest.fail("the job never ends")


async def rehearsed(own, job, look):
    """What the job would do without a crash, seen in a transaction that is rolled back."""
    async with own.app.connect() as conn, conn.begin() as outer:
        await job(conn)
        seen = await look(conn)
        await outer.rollback()
    return seen


async def test_a_release_that_dies_anywhere_leaves_nothing_and_is_done_again_the_same(own):
    async with own.begin() as conn:
        programme = await programme_of(conn)
        await enrolled_families(conn, programme, 3)
        round_id = (await opened(conn, programme)).round_id
        await approved(conn, round_id)

    async def job(conn):
        await released(conn, round_id)

    async def look(conn):
        await db.set_facts(conn, ALFA)
        file = await read_file(conn, round_id, vault=DESK.vault)
        return file, await transfers(conn), await trial_balance(conn)

    wanted = await rehearsed(own, job, look)
    assert await dies_everywhere(own, job) > 20
    async with own.begin() as conn:
        assert await look(conn) == wanted


async def cancelled_everywhere(own, job) -> int:
    """Cancel `job`, a transaction, at its first, second, … await until it is done; how often."""
    before = await state(own)
    for place in range(AWAITS_MAX):
        try:
            await asyncio.create_task(as_task(cancelled_at(place, job())))
        except asyncio.CancelledError:
            # Cancelled while it commits, it may have done so.
            if await state(own) != before:
                return place
        else:
            return place
    pytest.fail("the job never ends")


async def as_task(steps):
    return await steps


async def state(own):
    """How many rows there are; of who looked at whom each try leaves its own."""
    rows = await own.rows()
    del rows["cbi.access_log"]
    return rows


async def test_a_release_in_chunks_cancelled_at_any_await_goes_on_to_the_same_end(own):
    async with own.begin() as conn:
        programme = await programme_of(conn)
        await enrolled_families(conn, programme, 3)
        round_id = (await opened(conn, programme)).round_id
        await approved(conn, round_id)

    async def job():
        async with own.begin(staff(4)) as conn:
            return await released_once(conn, round_id, chunk_max=2)

    async def all_of_it(conn):
        await released(conn, round_id, chunk_max=2)

    async def look(conn):
        await db.set_facts(conn, ALFA)
        files = [
            await read_file(conn, round_id, vault=DESK.vault, part_no=part_no) for part_no in (1, 2)
        ]
        return files, await transfers(conn), await trial_balance(conn)

    wanted = await rehearsed(own, all_of_it, look)
    # Funding, two chunks, the release; each dies everywhere and then lives.
    tries = [await cancelled_everywhere(own, job) for _ in range(4)]
    assert min(tries) > 5, tries
    async with own.begin(staff(4)) as conn:
        assert await look(conn) == wanted
    with pytest.raises(StepDone):
        await job()


async def test_a_calculation_by_pages_cancelled_at_any_await_goes_on_to_the_same_list(own):
    async with own.begin() as conn:
        _, _, round_id = await a_round(conn, 3)

    async def job():
        async with own.begin() as conn:
            return await calculated_once(conn, round_id, chunk_max=2)

    async def all_of_it(conn):
        await calculated(conn, round_id, chunk_max=2)

    async def look(conn):
        await db.set_facts(conn, ALFA)
        return await load_list(conn, round_id, "PEN"), await load_steps(conn, round_id, "PEN")

    wanted = await rehearsed(own, all_of_it, look)
    tries = [await cancelled_everywhere(own, job) for _ in range(2)]
    assert min(tries) > 5, tries
    async with own.begin() as conn:
        assert await look(conn) == wanted


async def test_a_settlement_that_dies_anywhere_leaves_nothing_and_is_done_again_the_same(own):
    async with own.begin() as conn:
        programme = await programme_of(conn)
        await enrolled_families(conn, programme, 3)
        round_id = (await opened(conn, programme)).round_id
        await approved(conn, round_id)
        await released(conn, round_id)
        rows = await conn.execute(
            text("SELECT end_to_end_id, amount_minor FROM ledger.attempt ORDER BY payment_id")
        )
        (kept, kept_minor), (back, back_minor), (lost, _) = rows.all()
        await taken_in(
            conn,
            statement(
                line("camt.053", 1, kept, kept_minor),
                line("camt.053", 2, back, back_minor),
                line("camt.053", 3, back, back_minor, direction="credit"),
                message_id="S1",
            ),
        )
        rejection = line("pain.002", 1, lost, 0, status="rejected")
        await taken_in(conn, statement(rejection, message_id="R1"))

    async def look(conn):
        await db.set_facts(conn, ALFA)
        return await transfers(conn), await trial_balance(conn)

    wanted = await rehearsed(own, settled, look)
    assert await dies_everywhere(own, settled) > 20
    async with own.begin() as conn:
        assert await look(conn) == wanted
        again = await settled(conn)
    assert (again.matched, again.delivered, again.rejected, again.returned) == (0, 0, 0, 0)


async def test_a_registration_that_dies_anywhere_leaves_nothing(own):
    async with own.begin() as conn:
        await registered(conn, family(1))

    async def job(conn):
        receipt = await registered(conn, family(1, reference="other"))
        assert receipt.status == "review"

    assert await dies_everywhere(own, job) > 10
