"""Who waits for a family that is held: the longest first, whichever organisation it is."""

from datetime import timedelta
from uuid import uuid4

import pytest

from api import clock, db
from cbi import enrol, wait
from cbi.overlap_refusal import NotHeld, ReservationQuotaSpent
from cbi.refusal import NotFound
from tests.cbi.deciding import join
from tests.cbi.overlapping import JULY, agreed, one, promised, who
from tests.cbi.test_enrol import one_family
from tests.cbi.test_reserve import DAY, reserved
from tests.cbi.world import ALFA, AT, BETA, GAMA, PARTNERS, family, programme_of
from tests.conftest import PARTNER_A

WAITING = {"days_max": 60, "offer_days": 10, "open_max": 2}


async def entered(conn, household_id, actor=ALFA, *, at=AT, assistance="mpca"):
    await db.set_facts(conn, actor)
    return await wait.enter(
        conn,
        household_id=household_id,
        assistance=assistance,
        waiting_id=clock.new_id(),
        by=who(actor, at),
    )


async def waits(conn, actor, at):
    await db.set_facts(conn, actor)
    return [
        (each.household_id, each.is_free, each.free_until)
        for each in await wait.list_waiting(conn, after=None, limit=50, at=at)
    ]


async def three(conn):
    """One family at three partners; the third one reserved it."""
    mine, theirs = await one_family(conn)
    third = await one(conn, family(3), GAMA)
    await join(conn, mine, third, partners=(PARTNER_A, PARTNERS["GAMA"]))
    await agreed(conn, waiting=WAITING)
    await reserved(conn, third, GAMA)
    return mine, theirs, third


async def test_the_longest_waiting_is_first_and_then_the_next(conn):
    mine, theirs, _ = await three(conn)
    await entered(conn, theirs, BETA, at=AT + DAY)
    await entered(conn, mine, at=AT + 2 * DAY)
    free = AT + 14 * DAY
    assert await waits(conn, BETA, free - DAY) == [(theirs, False, None)]
    # Each learns of its own entry, and of no other.
    assert await waits(conn, BETA, free) == [(theirs, True, free + 10 * DAY)]
    assert await waits(conn, ALFA, free) == [(mine, False, None)]
    assert await waits(conn, BETA, free + 10 * DAY) == []
    assert await waits(conn, ALFA, free + 10 * DAY) == [(mine, True, free + 20 * DAY)]
    assert await waits(conn, ALFA, free + 20 * DAY) == []


async def test_a_turn_that_is_given_up_passes_at_once(conn):
    mine, theirs, _ = await three(conn)
    first = await entered(conn, theirs, BETA, at=AT + DAY)
    await entered(conn, mine, at=AT + 2 * DAY)
    free = AT + 14 * DAY
    await db.set_facts(conn, BETA)
    await wait.withdraw(conn, waiting_id=first.waiting_id, by=who(BETA, free + 3 * DAY))
    with pytest.raises(NotFound):
        await wait.withdraw(conn, waiting_id=first.waiting_id, by=who(BETA, free + 3 * DAY))
    assert await waits(conn, BETA, free + 3 * DAY) == []
    since = free + 3 * DAY
    assert await waits(conn, ALFA, since) == [(mine, True, since + 10 * DAY)]


async def test_who_reserves_or_enrols_waits_no_more_and_the_others_go_on(conn):
    mine, theirs, _ = await three(conn)
    await entered(conn, theirs, BETA, at=AT + DAY)
    await entered(conn, mine, at=AT + 2 * DAY)
    free = AT + 14 * DAY
    await reserved(conn, theirs, BETA, at=free + DAY)
    assert await waits(conn, BETA, free + DAY) == []
    assert await waits(conn, ALFA, free + DAY) == [(mine, False, None)]
    again = free + 15 * DAY
    assert await waits(conn, ALFA, again) == [(mine, True, again + 10 * DAY)]


async def test_a_family_is_free_when_its_months_and_cool_down_are_over(conn):
    mine, theirs = await one_family(conn)
    await agreed(conn)
    await promised(conn, await programme_of(conn), mine, first=JULY, months=1)
    await entered(conn, theirs, BETA)
    november = AT.replace(month=11, day=1, hour=5)
    assert await waits(conn, BETA, november - timedelta(seconds=1)) == [(theirs, False, None)]
    assert await waits(conn, BETA, november) == [(theirs, True, november + 14 * DAY)]


async def test_a_closed_enrolment_frees_who_waits(conn):
    mine, theirs = await one_family(conn)
    enrolment = await promised(conn, await programme_of(conn), mine)
    await entered(conn, theirs, BETA)
    at = AT + 5 * DAY
    await db.set_facts(conn, ALFA)
    await enrol.close(conn, enrolment_id=enrolment.enrolment_id, at=at)
    assert await waits(conn, BETA, at) == [(theirs, True, at + 14 * DAY)]


async def test_only_a_held_family_is_waited_for_and_once(conn):
    mine, theirs, _ = await three(conn)
    with pytest.raises(NotHeld):
        await entered(conn, mine, assistance="rent")
    first = await entered(conn, mine)
    assert await entered(conn, mine, at=AT + DAY) == first
    with pytest.raises(NotFound):
        await entered(conn, theirs)
    with pytest.raises(NotFound):
        await entered(conn, uuid4())
    await db.set_facts(conn, BETA)
    with pytest.raises(NotFound):
        await wait.withdraw(conn, waiting_id=first.waiting_id, by=who(BETA))


async def test_an_entry_expires_and_there_is_a_limit(conn):
    await agreed(conn, waiting=WAITING)
    programme = await programme_of(conn)
    for seed in (1, 2, 3):
        household_id = await one(conn, family(seed))
        await promised(conn, programme, household_id, first=JULY, months=6)
        if seed < 3:
            await entered(conn, household_id)
    with pytest.raises(ReservationQuotaSpent):
        await entered(conn, household_id)
    assert len(await waits(conn, ALFA, AT + 59 * DAY)) == 2
    assert await waits(conn, ALFA, AT + 60 * DAY) == []
    assert await waits(conn, ALFA, AT.replace(year=2027)) == []
