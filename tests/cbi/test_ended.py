"""A household that has ended reserves nothing, waits for nothing, and is told of in time."""

from datetime import timedelta

from sqlalchemy import text

from api import db
from tests.cbi.events import accepted, days_later, offered, referable, withdrawn
from tests.cbi.overlapping import one
from tests.cbi.test_outbox import notices, swept
from tests.cbi.test_reserve import renewed, reserved
from tests.cbi.test_wait import entered, waits
from tests.cbi.world import ALFA, AT, BETA, TODAY, family


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
