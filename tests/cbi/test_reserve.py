"""The first valid reservation holds a family, expires by itself, and becomes an enrolment."""

import asyncio
from datetime import date, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import clock, db
from cbi import reserve
from cbi.enrol import Enrolment
from cbi.overlap_refusal import (
    Overlap,
    RenewalsSpent,
    ReservationOver,
    ReservationPaused,
    ReservationQuotaSpent,
)
from cbi.refusal import BadValue, NotFound, OpenCase
from cbi.reserve import Wanted
from tests.cbi.overlapping import JULY, OCTOBER, agreed, one, promised, who
from tests.cbi.test_enrol import one_family
from tests.cbi.world import ALFA, AT, BETA, again, count, family, judged, programme_of, registered

DAY = timedelta(days=1)
RESERVING = {"days": 14, "renewals_max": 1, "pause_days": 14, "open_max": 2}


async def reserved(conn, household_id, actor=ALFA, *, at=AT, **wanted):
    await db.set_facts(conn, actor)
    wanted = {"assistance": "mpca", "first_month": JULY, "months": 3, **wanted}
    return await reserve.reserve(
        conn,
        Wanted(household_id=household_id, **wanted),
        reservation_id=clock.new_id(),
        by=who(actor, at),
    )


async def renewed(conn, made, actor=ALFA, *, at):
    await db.set_facts(conn, actor)
    return await reserve.renew(conn, reservation_id=made.reservation_id, by=who(actor, at))


async def test_the_first_reservation_holds_the_family(conn):
    mine, theirs = await one_family(conn)
    made = await reserved(conn, mine)
    assert (made.state, made.expires_at) == ("open", AT + 14 * DAY)
    for at in (AT, AT + 13 * DAY):
        with pytest.raises(Overlap) as refused:
            await reserved(conn, theirs, BETA, at=at)
        assert refused.value.until == OCTOBER
    with pytest.raises(Overlap):
        await promised(conn, await programme_of(conn, BETA), theirs, BETA, first=JULY)
    await reserved(conn, theirs, BETA, assistance="rent")


async def test_an_expired_reservation_keeps_nobody_away_though_nothing_ran(conn):
    mine, theirs = await one_family(conn)
    made = await reserved(conn, mine)
    later = AT + 14 * DAY
    assert (await reserved(conn, theirs, BETA, at=later)).state == "open"
    await db.set_facts(conn, ALFA)
    found = await reserve.load_reservation(conn, made.reservation_id, at=later)
    assert found.state == "expired"
    with pytest.raises(ReservationOver):
        await renewed(conn, made, at=later)
    with pytest.raises(ReservationOver):
        await reserve.cancel(conn, reservation_id=made.reservation_id, by=who(ALFA, later))


async def test_a_reservation_is_renewed_once(conn):
    mine, theirs = await one_family(conn)
    made = await reserved(conn, mine)
    again_ = await renewed(conn, made, at=AT + 10 * DAY)
    assert (again_.expires_at, again_.renewals) == (AT + 24 * DAY, 1)
    with pytest.raises(Overlap):
        await reserved(conn, theirs, BETA, at=AT + 20 * DAY)
    with pytest.raises(RenewalsSpent):
        await renewed(conn, made, at=AT + 20 * DAY)
    await reserved(conn, theirs, BETA, at=AT + 24 * DAY)


async def test_the_database_renews_nothing_that_is_over(conn):
    mine, _ = await one_family(conn)
    made = await reserved(conn, mine)
    statement = text(
        "INSERT INTO cbi.reservation_event (reservation_id, event_no, partner_id, kind, at,"
        " actor_id, expires_at) VALUES (:id, 1, :partner, 'renewed', :at, :actor, :until)"
    )
    facts = {"id": made.reservation_id, "partner": ALFA.partner_id, "actor": ALFA.actor_id}
    at = AT + 15 * DAY
    with pytest.raises(DBAPIError, match="is over"):
        async with conn.begin_nested():
            await conn.execute(statement, {**facts, "at": at, "until": at + DAY})
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await conn.execute(
                text(str(statement).replace("'renewed'", "'enrolled'")),
                {**facts, "at": AT, "until": None},
            )


async def test_a_cancelled_reservation_frees_the_family_at_once(conn):
    mine, theirs = await one_family(conn)
    made = await reserved(conn, mine)
    over = await reserve.cancel(conn, reservation_id=made.reservation_id, by=who(ALFA, AT + DAY))
    assert over.state == "cancelled"
    await reserved(conn, theirs, BETA, at=AT + DAY)


async def test_enrolling_uses_the_organisations_own_reservation(conn):
    mine, theirs = await one_family(conn)
    programme = await programme_of(conn)
    made = await reserved(conn, mine, assistance=None, programme_id=programme.programme_id)
    enrolment = await promised(conn, programme, mine, first=JULY, at=AT + DAY)
    found = await reserve.load_reservation(conn, made.reservation_id, at=AT + DAY)
    assert found.state == "enrolled"
    assert await conn.scalar(text("SELECT enrolment_id FROM cbi.reservation_event")) == (
        enrolment.enrolment_id
    )
    # What it became holds on when the reservation would have expired.
    with pytest.raises(Overlap):
        await reserved(conn, theirs, BETA, at=AT + 30 * DAY)


async def test_enrolling_past_the_reserved_months_meets_what_is_there(conn):
    mine, theirs = await one_family(conn)
    await reserved(conn, theirs, BETA, first_month=OCTOBER, months=1)
    made = await reserved(conn, mine)
    with pytest.raises(Overlap):
        await promised(conn, await programme_of(conn), mine, first=JULY, months=4)
    found = await reserve.load_reservation(conn, made.reservation_id, at=AT)
    assert found.state == "open"


async def test_after_one_that_came_to_nothing_the_same_organisation_pauses(conn):
    mine, theirs = await one_family(conn)
    made = await reserved(conn, mine)
    after = AT + 14 * DAY
    with pytest.raises(ReservationPaused) as refused:
        await reserved(conn, mine, at=after)
    assert refused.value.until == AT + 28 * DAY
    await reserved(conn, mine, at=after, assistance="rent")
    theirs_ = await reserved(conn, theirs, BETA, at=after)
    await reserve.cancel(conn, reservation_id=theirs_.reservation_id, by=who(BETA, after + DAY))
    with pytest.raises(ReservationPaused):
        await reserved(conn, theirs, BETA, at=after + DAY)
    assert (await reserved(conn, mine, at=AT + 28 * DAY)).reservation_id != made.reservation_id


async def test_the_pause_counts_for_the_family_not_the_registration(conn):
    mine = await one(conn, family(1))
    twice = await registered(conn, again(family(1)))
    await judged(conn, twice.flags[0].case_id, "same_household")
    await reserved(conn, mine)
    with pytest.raises(ReservationPaused):
        await reserved(conn, twice.household_id, at=AT + 14 * DAY)


async def test_an_organisation_has_so_many_open_reservations_and_no_more(conn):
    await agreed(conn, reserving=RESERVING)
    households = [await one(conn, family(seed)) for seed in range(1, 5)]
    for household_id in households[:2]:
        await reserved(conn, household_id)
    with pytest.raises(ReservationQuotaSpent) as refused:
        await reserved(conn, households[2])
    assert refused.value.open_max == 2
    await reserved(conn, await one(conn, family(9), BETA), BETA)
    # An expired one is not open.
    await reserved(conn, households[2], at=AT + 14 * DAY)


async def test_without_months_it_is_for_what_the_rules_say(conn):
    mine = await one(conn, family(1))
    with pytest.raises(BadValue):
        await reserved(conn, mine, first_month=None, months=None)
    await agreed(conn)
    made = await reserved(conn, mine, first_month=None, months=None)
    assert (made.first_month, made.end_month) == (date(2026, 6, 1), date(2026, 9, 1))


async def test_what_is_not_valid_is_not_reserved(conn):
    mine = await one(conn, family(1))
    programme = await programme_of(conn)
    for wrong in (
        {"assistance": None},
        {"programme_id": programme.programme_id},
        {"first_month": date(2026, 7, 2)},
    ):
        with pytest.raises(BadValue):
            await reserved(conn, mine, **wrong)
    await registered(conn, again(family(1)), BETA)
    with pytest.raises(OpenCase):
        await reserved(conn, mine)
    for strange in (uuid4(), await one(conn, family(2), BETA)):
        with pytest.raises(NotFound):
            await reserved(conn, strange)


async def test_another_organisation_sees_and_ends_nothing(conn):
    mine, _ = await one_family(conn)
    made = await reserved(conn, mine)
    await db.set_facts(conn, BETA)
    assert await reserve.list_reservations(conn, after=None, limit=9, at=AT) == []
    assert await count(conn, "cbi.reservation") == 0
    for end in (reserve.renew, reserve.cancel):
        with pytest.raises(NotFound):
            await end(conn, reservation_id=made.reservation_id, by=who(BETA))


@pytest.mark.parametrize("first", [0, 1])
async def test_of_a_reservation_and_an_enrolment_at_once_the_first_wins(own, first):
    async with own.begin() as conn:
        mine, theirs = await one_family(conn)
        programme = await programme_of(conn, BETA)

    async def enrolling():
        async with own.begin(BETA) as conn:
            return await promised(conn, programme, theirs, BETA, first=JULY)

    async def reserving():
        async with own.begin() as conn:
            return await reserved(conn, mine)

    jobs = [enrolling, reserving][:: 1 - 2 * first]
    actor = (BETA, ALFA)[first]
    async with own.begin(actor) as conn:
        if first:
            await reserved(conn, mine)
        else:
            await promised(conn, programme, theirs, BETA, first=JULY)
        second = asyncio.create_task(jobs[1]())
        assert await own.waits(second)
    (done,) = await asyncio.gather(second, return_exceptions=True)
    assert isinstance(done, Overlap)


async def test_of_two_renewals_and_an_enrolment_at_once_nothing_is_done_twice(own):
    async with own.begin() as conn:
        mine, _ = await one_family(conn)
        programme = await programme_of(conn)
        made = await reserved(conn, mine)
    begun = asyncio.Barrier(3)

    async def run(job):
        async with own.begin() as conn:
            await begun.wait()
            return await job(conn)

    async def renewing(conn):
        return await renewed(conn, made, at=AT + DAY)

    async def enrolling(conn):
        return await promised(conn, programme, mine, first=JULY, at=AT + DAY)

    done = await asyncio.gather(*map(run, (renewing, renewing, enrolling)), return_exceptions=True)
    kinds = [type(each) for each in done]
    assert kinds.count(reserve.Reservation) <= 1
    # Who enrols at the moment of a renewal may be told to try again, and never gets half.
    async with own.owner.connect() as conn:
        standing = await conn.scalar(
            text("SELECT count(*) FROM cbi.hold WHERE standing @> :at ::timestamptz"),
            {"at": AT + 2 * DAY},
        )
    assert standing == 1
    assert (Enrolment in kinds) or isinstance(done[2], DBAPIError)


async def test_two_at_once_find_no_room_for_both(own):
    async with own.begin() as conn:
        await agreed(conn, reserving={**RESERVING, "open_max": 1})
        households = [await one(conn, family(seed)) for seed in (1, 2)]
    begun = asyncio.Barrier(2)

    async def run(household_id):
        async with own.begin() as conn:
            await begun.wait()
            return await reserved(conn, household_id)

    done = await asyncio.gather(*map(run, households), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["Reservation", "ReservationQuotaSpent"]
