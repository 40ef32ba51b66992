"""A household that has ended reserves nothing, waits for nothing, and is told of in time."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi.refusal import HouseholdEnded
from tests.cbi.events import accepted, days_later, offered, referable, withdrawn
from tests.cbi.overlapping import JULY, one, promised
from tests.cbi.test_conflicts import decided, join, listed
from tests.cbi.test_outbox import notices, swept
from tests.cbi.test_reserve import renewed, reserved
from tests.cbi.test_wait import entered, waits
from tests.cbi.world import ALFA, AT, BETA, TODAY, family, programme_of

OF_ENDED = {
    "reservation": "INSERT INTO cbi.reservation SELECT uuidv7(), partner_id, household_id, NULL,"
    " 'mpca', '[2027-01-01,2027-02-01)', now(), cbi.actor_id(), now() + interval '1 day'"
    " FROM cbi.household WHERE household_id = :household_id",
    "waiting": "INSERT INTO cbi.waiting SELECT uuidv7(), partner_id, household_id, 'mpca', now(),"
    " cbi.actor_id(), now() + interval '1 day' FROM cbi.household"
    " WHERE household_id = :household_id",
}


async def ends(conn, household_id):
    await db.set_facts(conn, ALFA)
    rows = await conn.execute(
        text(
            "SELECT e.kind FROM cbi.reservation AS r"
            " LEFT JOIN cbi.reservation_event AS e USING (reservation_id)"
            " WHERE r.household_id = :household_id ORDER BY e.event_no"
        ),
        {"household_id": household_id},
    )
    return [row.kind for row in rows]


async def test_a_withdrawn_household_gives_up_what_it_reserved(conn):
    mine = await one(conn, family(1))
    made = await reserved(conn, mine)
    await renewed(conn, made, at=AT + timedelta(hours=1))
    await withdrawn(conn, mine, "registration")
    assert await ends(conn, mine) == ["renewed", "cancelled"]
    held = "SELECT upper(standing) FROM cbi.hold WHERE household_id = :household_id"
    assert await conn.scalar(text(held), {"household_id": mine}) == days_later(1)


async def test_a_household_that_was_handed_over_gives_up_what_it_reserved(conn):
    mine = await one(conn, referable(1))
    await reserved(conn, mine)
    await accepted(conn, (await offered(conn, mine)).offer_id)
    assert await ends(conn, mine) == ["cancelled"]


async def test_what_had_expired_is_not_ended_again(conn):
    mine = await one(conn, family(1))
    await reserved(conn, mine)
    await withdrawn(conn, mine, "registration", days=20)
    assert await ends(conn, mine) == [None]


async def test_a_withdrawn_household_waits_no_more(conn):
    mine, theirs = await one(conn, family(1)), await one(conn, family(2), BETA)
    await reserved(conn, theirs, BETA)
    await reserved(conn, mine)
    await entered(conn, mine, at=AT + timedelta(hours=1), assistance="mpca")
    assert len(await waits(conn, ALFA, AT + timedelta(hours=2))) == 1
    await withdrawn(conn, mine, "registration")
    assert await waits(conn, ALFA, days_later(1) + timedelta(hours=1)) == []


async def test_an_organisation_hears_of_reservations_that_end_soon(conn):
    await reserved(conn, await one(conn, family(1)))
    gone = await one(conn, family(2))
    await reserved(conn, gone)
    await withdrawn(conn, gone, "registration")
    await swept(conn, TODAY + timedelta(days=5))
    assert await notices(conn, "reservations.%") == []
    await swept(conn, TODAY + timedelta(days=12))
    ((*_, body),) = await notices(conn, "reservations.%")
    assert body == {"expiring": 1}


async def test_an_ended_household_neither_reserves_nor_waits_again(conn):
    mine = await one(conn, family(1))
    await reserved(conn, mine)
    await withdrawn(conn, mine, "registration")
    later = days_later(2)
    for again in (reserved(conn, mine, at=later), entered(conn, mine, at=later)):
        with pytest.raises(HouseholdEnded):
            await again
    for table in ("reservation", "waiting"):
        with pytest.raises(DBAPIError, match="has ended"):
            async with conn.begin_nested():
                await conn.execute(text(OF_ENDED[table]), {"household_id": mine})


async def test_what_a_decision_had_ended_hinders_no_withdrawal(conn):
    mine, theirs = await one(conn, family(1)), await one(conn, family(2), BETA)
    await promised(conn, await programme_of(conn, BETA), theirs, BETA, first=JULY, months=6)
    await reserved(conn, mine, at=AT + timedelta(hours=1), first_month=JULY)
    await join(conn, mine, theirs)
    (found,) = await listed(conn)
    await decided(conn, found, "end_later", JULY)
    await withdrawn(conn, mine, "registration")
    assert await ends(conn, mine) == [None]
