"""A turn that comes is told once; people are written to in the daytime, and not too often."""

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import text

from api import db
from api.messages import MESSENGER
from cbi import outbox, wait
from tests.cbi.appealing import case_of
from tests.cbi.overlapping import agreed, one, who
from tests.cbi.test_outbox import claimed, hooked, noted, notices, states, swept
from tests.cbi.test_reserve import DAY, reserved
from tests.cbi.test_wait import WAITING, entered, three
from tests.cbi.world import ALFA, AT, BETA, PARTNER_B, consent, family, registered, withdraw
from tests.conftest import PARTNER_A

FREE = AT + 14 * DAY
HOUR = timedelta(hours=1)


async def looked(conn, at, most=100) -> None:
    """Go through the whole list as the service does."""
    await db.set_facts(conn, MESSENGER)
    after = None
    while (
        found := await outbox.make_turn_notices(conn, after=after, most=most, at=at)
    ) is not None:
        assert after is None or found > after
        after = found


async def waiting(conn):
    """BETA waits a day longer than ALFA for a family that GAMA reserved."""
    mine, theirs, _ = await three(conn)
    await entered(conn, theirs, BETA, at=AT + DAY)
    await entered(conn, mine, at=AT + 2 * DAY)
    return mine, theirs


async def turns(conn) -> list[tuple]:
    return [(row[0], row[4]["household_id"]) for row in await notices(conn, "%.turn")]


async def test_a_turn_is_told_once_to_whose_it_is_and_then_the_next(conn):
    mine, theirs = await waiting(conn)
    await looked(conn, FREE - DAY)
    assert await turns(conn) == []
    for hours in range(3):
        await looked(conn, FREE + hours * HOUR, most=1)
    assert await turns(conn) == [(PARTNER_B, str(theirs))]
    (told,) = await notices(conn, "waiting.turn")
    # Until when, and nothing of since when or of how many wait.
    assert set(told[4]) == {"waiting_id", "household_id", "free_until"}
    assert datetime.fromisoformat(told[4]["free_until"]) == FREE + 10 * DAY
    await looked(conn, FREE + 10 * DAY)
    assert await turns(conn) == [(PARTNER_A, str(mine)), (PARTNER_B, str(theirs))]
    await looked(conn, FREE + 20 * DAY)
    assert len(await turns(conn)) == 2


async def test_a_turn_that_is_given_up_is_told_to_the_next_at_once(conn):
    mine, theirs = await waiting(conn)
    await looked(conn, FREE)
    await db.set_facts(conn, BETA)
    (entry,) = await wait.list_waiting(conn, after=None, limit=2, at=FREE)
    await wait.withdraw(conn, waiting_id=entry.waiting_id, by=who(BETA, FREE + DAY))
    await looked(conn, FREE + DAY)
    assert await turns(conn) == [(PARTNER_A, str(mine)), (PARTNER_B, str(theirs))]


async def test_another_turn_of_the_same_entry_is_told_as_well(conn):
    mine, theirs = await waiting(conn)
    await looked(conn, FREE)
    # ALFA comes first, in BETA's turn, and its reservation comes to nothing.
    await reserved(conn, mine, ALFA, at=FREE + DAY)
    await looked(conn, FREE + 2 * DAY)
    assert await turns(conn) == [(PARTNER_B, str(theirs))]
    await looked(conn, FREE + 15 * DAY)
    assert await turns(conn) == [(PARTNER_B, str(theirs))] * 2


async def test_the_family_hears_of_its_turn_only_with_its_consent(conn):
    silent = await one(conn, family(8))
    answers = [*family(9)["consents"], {**consent("contact"), "language": "en-GB"}]
    asked = await one(conn, family(9, consents=answers))
    await agreed(conn, waiting=WAITING)
    for household_id in (silent, asked):
        await reserved(conn, household_id)
        await entered(conn, household_id)
    await looked(conn, FREE)
    assert len(await notices(conn, "waiting.turn")) == 2
    ((partner, _, _, _, body),) = await notices(conn, "person.turn")
    assert (partner, body) == (PARTNER_A, {"household_id": str(asked), "language": "en"})


async def test_nobody_but_the_messenger_looks_for_turns(conn):
    await waiting(conn)
    for actor in (ALFA, db.SYSTEM, None):
        await db.set_facts(conn, actor)
        assert await outbox.make_turn_notices(conn, after=None, most=9, at=FREE) is None
    assert await turns(conn) == []


async def a_contact(conn, seed=5):
    answers = [*family(seed)["consents"], consent("contact")]
    return (await registered(conn, family(seed, consents=answers))).household_id


async def three_turns(conn):
    """A household whose turn comes thrice on one day, for three kinds of assistance."""
    household_id = await a_contact(conn)
    await agreed(conn, waiting={**WAITING, "open_max": 9})
    for assistance in ("rent", "health", "education"):
        await reserved(conn, household_id, assistance=assistance)
        await entered(conn, household_id, assistance=assistance)
    await looked(conn, FREE)
    await hooked(conn)
    return household_id


def persons(found):
    return [one for one in found if one.kind.startswith("person.")]


async def test_a_household_is_written_to_twice_a_day_at_most_and_the_rest_tomorrow(conn):
    await three_turns(conn)
    first = persons(await claimed(conn, FREE, most=20))
    assert len(first) == 2
    for each in first:
        await noted(conn, each, "delivered", FREE)
    assert persons(await claimed(conn, FREE + HOUR)) == []
    (last,) = persons(await claimed(conn, FREE + DAY))
    assert last.notice_id not in {each.notice_id for each in first}


async def test_what_could_not_be_sent_keeps_its_place_of_the_day(conn):
    await three_turns(conn)
    first = persons(await claimed(conn, FREE))
    for each in first:
        await noted(conn, each, "status", FREE, 500)
    later = persons(await claimed(conn, FREE + HOUR))
    assert {each.notice_id for each in later} == {each.notice_id for each in first}


async def test_a_limited_household_does_not_keep_others_from_hearing(conn):
    await three_turns(conn)
    found = [len(await claimed(conn, FREE, most=1)) for _ in range(6)]
    # Three for the organisation and two for the household; the third doesn't stand in their way.
    assert found == [1, 1, 1, 1, 1, 0]
    assert [state for _, state, _, _ in await states(conn, FREE)].count("waiting") == 6


async def test_a_person_is_not_written_to_at_night_and_an_organisation_is(conn):
    await three_turns(conn)
    # AT is seven in the morning in Peru.
    for one_ in await claimed(conn, FREE + 13 * HOUR):
        assert one_.kind == "waiting.turn"
        await noted(conn, one_, "delivered", FREE + 13 * HOUR)
    assert await claimed(conn, FREE + DAY - timedelta(seconds=1)) == []
    assert len(persons(await claimed(conn, FREE + DAY))) == 2


async def test_who_has_much_to_hear_does_not_keep_another_from_hearing(conn):
    await three_turns(conn)
    await case_of(conn, 1)
    await hooked(conn, BETA)
    await swept(conn, FREE.date(), at=FREE + HOUR)
    found = await claimed(conn, FREE + HOUR, most=2)
    assert {each.partner_id for each in found} == {PARTNER_A, PARTNER_B}


async def test_what_is_made_at_night_for_a_person_is_due_in_the_morning(conn):
    household_id = await a_contact(conn)
    await agreed(conn, waiting=WAITING)
    await reserved(conn, household_id)
    await entered(conn, household_id)
    await hooked(conn)
    await looked(conn, FREE + 14 * HOUR)
    assert {each.kind for each in await claimed(conn, FREE + 14 * HOUR)} == {"waiting.turn"}
    assert persons(await claimed(conn, FREE + DAY - timedelta(seconds=1))) == []
    assert len(persons(await claimed(conn, FREE + DAY))) == 1


async def test_a_try_that_ends_late_does_not_bring_the_next_one_forward(conn):
    await three_turns(conn)
    slow = (await claimed(conn, FREE, most=1))[0]
    minute = timedelta(minutes=1)
    later = [
        one_ for one_ in await claimed(conn, FREE + minute) if one_.notice_id == slow.notice_id
    ]
    assert [one_.attempt_no for one_ in later] == [2]
    await noted(conn, slow, "timeout", FREE + minute)
    soon = FREE + minute + timedelta(seconds=30)
    assert slow.notice_id not in {one_.notice_id for one_ in await claimed(conn, soon)}
    # Unless it was received: then there is no next one.
    await noted(conn, later[0], "delivered", soon)
    found = await claimed(conn, FREE + 3 * minute)
    assert slow.notice_id not in {one_.notice_id for one_ in found}


async def test_what_could_not_be_told_in_its_time_is_not_told_late(conn):
    await three_turns(conn)
    assert persons(await claimed(conn, FREE + 4 * DAY)) == []
    assert {state for _, state, _, _ in await states(conn, FREE + 4 * DAY)} == {"no_endpoint"}
    await swept(conn, (FREE + 4 * DAY).date())
    await db.set_facts(conn, db.SYSTEM)
    assert await claimed(conn, FREE + 5 * HOUR) == []


async def test_a_household_that_withdrew_its_consent_is_not_written_to(conn):
    household_id = await three_turns(conn)
    await withdraw(conn, household_id, "contact")
    assert persons(await claimed(conn, FREE)) == []


async def test_two_messengers_never_write_to_a_household_more_than_twice(own):
    async with own.begin() as conn:
        await three_turns(conn)
    async with own.begin(MESSENGER) as other:
        async with own.begin(MESSENGER) as first:
            mine = persons(await outbox.claim(first, at=FREE, most=5))
            # It waits for the places of the day that the first one took.
            asked = asyncio.create_task(outbox.claim(other, at=FREE, most=20))
            while not await first.scalar(text("SELECT bool_or(NOT granted) FROM pg_locks")):
                await asyncio.wait({asked}, timeout=0.01)
        theirs = persons(await asked)
    assert (len(mine), len(theirs)) == (2, 0)
