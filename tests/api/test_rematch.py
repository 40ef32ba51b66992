"""Everybody against everybody: the same cases as one by one, each once, and all of it on record."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asyncpg import UndefinedFunctionError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db, rematch
from api.embedded import EmbeddedPostgres
from api.rematch import MATCHER, Going
from cbi import rematch as reading
from cbi.identities import Candidates
from dedup import runs
from dedup.model import load
from dedup.refusal import RunUnderway
from dedup.train import fit
from tests.api.house import own_database
from tests.api.peopled import Place, open_place
from tests.cbi import world
from tests.cbi.world import ALFA, GAMA, STAFF_ROLES, staff
from tests.conftest import PARTNER_A


@pytest.fixture(scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rematch")


@pytest.fixture(scope="module")
async def registered(postgres: EmbeddedPostgres, folder: Path) -> AsyncIterator[str]:
    """A database of families that nobody was compared with."""
    async with own_database(postgres) as name:
        async with open_place(postgres, folder, name) as opened:
            await opened.partners()
            await opened.people()
        yield name


@pytest.fixture
async def peopled(
    postgres: EmbeddedPostgres, folder: Path, registered: str
) -> AsyncIterator[Place]:
    async with (
        own_database(postgres, registered) as name,
        open_place(postgres, folder, name) as opened,
    ):
        yield opened


@pytest.fixture
async def place(postgres: EmbeddedPostgres, folder: Path) -> AsyncIterator[Place]:
    """Partners, and nobody registered yet."""
    async with own_database(postgres) as name, open_place(postgres, folder, name) as opened:
        await opened.partners()
        yield opened


async def test_a_run_finds_no_more_and_no_less_than_registering_one_by_one(place):
    await place.people(blind=False)
    found = await place.cases()
    ended = await place.run()
    assert len(found) == ended.unchanged > 5
    assert ended.pairs == sum(map(len, found.values()))
    assert ended.opened == ended.reopened == ended.strengthened == 0
    assert await place.cases() == found


async def test_a_run_opens_what_nobody_saw_and_the_next_only_what_is_new(peopled):
    assert await peopled.cases() == {}
    first = await peopled.run(processes=1)
    found = await peopled.cases()
    assert first.opened == len(found) > 5
    # However the work is split.
    second = await peopled.run(processes=3)
    assert (second.opened, second.unchanged) == (0, first.opened)
    assert await peopled.cases() == found
    homes = await peopled.twins(1)
    third = await peopled.run()
    assert (third.opened, third.unchanged) == (1, first.opened)
    assert set(await peopled.cases()) == set(found) | {homes}


async def test_a_decision_stays_where_the_evidence_is_the_same(peopled):
    first = await peopled.run()
    case_ids = await peopled.column(
        "SELECT case_id FROM dedup.match_case WHERE reason = 'duplicate'"
    )
    for case_id in case_ids:
        async with peopled.acting(ALFA) as conn:
            await world.judged(conn, case_id, "different")
    again = await peopled.run()
    assert (again.opened, again.reopened, again.strengthened) == (0, 0, 0)
    assert again.unchanged == first.opened == len(case_ids) > 5


async def test_who_said_no_withdrew_or_was_erased_is_neither_read_nor_compared(place):
    compared, declined, withdrawn, erased = [await place.twins(seed) for seed in range(4)]
    refused = await place.enter(world.family(0, duplicate_check=False, reference="no"), GAMA)
    async with place.acting(ALFA) as conn:
        await world.withdraw(conn, declined[0], "duplicate_check")
        await world.withdraw(conn, withdrawn[0], "duplicate_check")
        await world.erase(conn, erased[0])
    ended = await place.run()
    assert (ended.unread, ended.households) == (4, 5)
    assert set(await place.cases()) == {compared}
    left_out = await place.one("SELECT left_out FROM cbi.bulk_access")
    assert set(left_out) == {declined[0], withdrawn[0], erased[0], refused.household_id}


async def test_who_collects_for_a_family_and_lives_elsewhere_ties_it_to_nobody(place):
    elsewhere = {"relationship": "not_related", "lives_in_household": False}
    collector = world.family(9)["persons"][0] | elsewhere | {"roles": ["alternate_collector"]}
    for seed in (1, 2):
        raw = world.family(seed)
        await place.enter(raw | {"persons": [*raw["persons"], collector]})
    ended = await place.run()
    assert (ended.persons, ended.pairs) == (4, 0)
    # Living there, she is found.
    for seed in (3, 4):
        raw = world.family(seed)
        await place.enter(
            raw | {"persons": [*raw["persons"], collector | {"lives_in_household": True}]}
        )
    assert (await place.run()).pairs == 1


async def test_a_run_for_some_partners_opens_cases_of_theirs_only(peopled):
    theirs = GAMA.partner_id
    ended = await peopled.run(theirs)
    found = await peopled.cases()
    assert 0 < ended.opened == len(found)
    assert all(theirs in pairs[0][:2] for pairs in found.values())
    everybody = await peopled.run()
    assert everybody.opened > 0
    assert everybody.unchanged == ended.opened


async def test_nobody_at_all_is_no_fault(place):
    ended = await place.run()
    assert (ended.households, ended.persons, ended.pairs) == (0, 0, 0)
    everybody, unread = await rematch.read_everybody(
        place.service, purpose="model training", request_id="train", processes=2
    )
    assert (len(everybody), unread) == (0, 0)
    assert fit(everybody.columns, load()) is load()


async def test_the_records_that_spark_is_given_stand_in_the_order_of_rows(peopled):
    everybody, _ = await rematch.read_everybody(
        peopled.service,
        purpose="duplicate check",
        request_id="spark",
        processes=2,
        with_records=True,
    )
    records = list(everybody.records())
    assert len(records) == len(everybody) > 150
    assert [one.person_id for one in records] == [
        everybody.columns.person_ids[row] for row in range(len(everybody))
    ]
    homes = everybody.columns.registrations
    assert [one.household_id for one in records] == [
        homes[number] for number in everybody.columns.registration
    ]
    assert list(homes) == sorted(homes)


async def test_every_household_that_was_read_is_on_record_and_no_other(peopled):
    asked = await peopled.enter(world.family(1, duplicate_check=False))
    async with rematch.turn(peopled.service):
        run = await peopled.start()
        await peopled.go(run)
    rows = "FROM cbi.bulk_access b, cbi.household h WHERE h.household_id > b.after_household"
    rows += " AND h.household_id <= b.upto_household AND h.household_id <> ALL (b.left_out)"
    opened = await peopled.column(f"SELECT h.household_id {rows} ORDER BY 1")
    agreed = await peopled.column(
        "SELECT household_id FROM cbi.consent WHERE kind = 'duplicate_check' AND granted ORDER BY 1"
    )
    assert opened == agreed
    assert asked.household_id not in opened
    assert await peopled.column("SELECT DISTINCT request_id FROM cbi.bulk_access") == [
        str(run.run_id)
    ]
    counted = await peopled.one("SELECT sum(households) FROM cbi.bulk_access")
    assert counted == len(opened)


@pytest.mark.parametrize(
    "who", [ALFA, staff(0, PARTNER_A, {"auditor", "admin", "coordinator"}), None]
)
async def test_nobody_but_matching_reads_everybody(place, who):
    await place.twins(1)
    async with place.acting(MATCHER) as conn:
        (page,) = await reading.pages(conn)
    async with place.acting(who) as conn:
        assert await reading.pages(conn) == []
    with pytest.raises(DBAPIError, match="only matching reads everybody"):
        async with place.acting(who) as conn:
            await conn.execute(
                text("SELECT * FROM cbi.sealed_population(:after, :upto, 'duplicate check')"),
                {"after": page.after, "upto": page.upto},
            )
    assert await place.one("SELECT count(*) FROM cbi.bulk_access") == 0


async def test_no_key_can_be_given_the_role_of_matching(place):
    with pytest.raises(DBAPIError, match="api_key_roles_known"):
        await place.one(
            "INSERT INTO cbi.api_key VALUES (uuidv7(), 'p', sha256(''), uuidv7(), ARRAY['matcher'],"
            " '', now(), now())"
        )


async def test_pages_meet_end_to_end_and_hold_everybody_once(peopled):
    async with peopled.acting(MATCHER) as conn:
        small = await reading.pages(conn, households=6)
    assert [page.households for page in small] == [6] * 10
    assert [page.after for page in small[1:]] == [page.upto for page in small[:-1]]
    async with peopled.acting(MATCHER) as conn:
        rows = [
            row
            for page in small
            for row in await reading.read(conn, page, purpose="model training")
        ]
    ids = [row["household_id"] for row in rows]
    assert ids == sorted(set(ids))


async def test_there_is_one_run_at_a_time_and_the_next_when_it_is_over(place):
    async with rematch.turn(place.service):
        with pytest.raises(RunUnderway):
            async with rematch.turn(place.service):
                pytest.fail("two runs at once")
    await place.run()


async def states(place) -> list[str]:
    async with place.acting(staff(0, PARTNER_A, {"coordinator"})) as conn:
        return [view.state for view in await runs.list_runs(conn)]


async def test_a_run_tells_how_far_it_is_and_how_it_ended(peopled):
    seen = []
    async with rematch.turn(peopled.service):
        run = await peopled.start()
        assert await states(peopled) == ["running"]
        ended = await Going(peopled.service, run, processes=2, told=seen.append).go()
    assert await states(peopled) == ["finished"]
    assert [progress.phase for progress in seen][-1] == "finished"
    assert {progress.phase for progress in seen} == {"reading", "matching", "opening", "finished"}
    read = [progress for progress in seen if progress.phase == "reading"]
    assert (read[-1].done, read[-1].total) == (60, 60)
    async with peopled.acting(staff(0, PARTNER_A, {"auditor"})) as conn:
        (view,) = await runs.list_runs(conn)
    assert view.progress.counts["opened"] == ended.opened
    async with peopled.acting(staff(0, PARTNER_A, STAFF_ROLES - {"coordinator"})) as conn:
        assert await runs.list_runs(conn) == []


async def test_a_run_that_nobody_does_any_more_was_interrupted(place):
    async with rematch.turn(place.service):
        await place.start()
    assert await states(place) == ["interrupted"]
    async with rematch.turn(place.service):
        await place.start()
        assert await states(place) == ["running", "interrupted"]


async def test_a_household_that_does_not_open_is_told_and_keeps_nobody_else_from_being_compared(
    place,
):
    home, _ = await place.twins(1)
    await place.twins(2)
    key = "UPDATE cbi.data_key SET kek_id = :kek WHERE household_id = :home RETURNING 1"
    await place.one(key, kek="k9", home=home)
    ended = await place.run()
    assert (ended.broken_count, ended.broken, ended.unread) == (1, (home,), 0)
    assert (ended.households, ended.opened) == (3, 1)
    told = await place.one("SELECT counts::text FROM dedup.run_step WHERE phase = 'finished'")
    assert str(home) in str(told)
    await place.one(key, kek="k1", home=home)
    mended = await place.run()
    assert (mended.broken_count, mended.opened, mended.unchanged) == (0, 1, 1)


async def test_a_run_that_failed_can_go_on_when_mended(place):
    await place.twins(1)
    rename = "DO $$ BEGIN ALTER FUNCTION cbi.{}(uuid, uuid, text) RENAME TO {}; END $$"
    async with place.owner.begin() as conn:
        await conn.execute(text(rename.format("sealed_population", "hidden")))
    async with rematch.turn(place.service):
        run = await place.start()
        with pytest.raises(UndefinedFunctionError):
            await place.go(run)
    assert await states(place) == ["failed"]
    told = await place.one("SELECT counts::text FROM dedup.run_step WHERE phase = 'failed'")
    assert told == '{"fault": "UndefinedFunctionError"}'
    assert await place.cases() == {}
    async with place.owner.begin() as conn:
        await conn.execute(text(rename.format("hidden", "sealed_population")))
    async with rematch.turn(place.service):
        async with place.acting(MATCHER) as conn:
            assert await runs.unfinished(conn) == run
        assert (await place.go(run)).opened == 1
    assert await states(place) == ["finished"]
    async with place.acting(MATCHER) as conn:
        assert await runs.unfinished(conn) is None


@pytest.mark.parametrize("ending", [asyncio.CancelledError, SystemExit, ValueError])
async def test_what_was_opened_stays_in_the_access_log_however_the_work_ends(place, ending):
    home, _ = await place.twins(1)

    async def work() -> None:
        async with db.transaction(place.service.engine, MATCHER, request_id="undone") as conn:
            (found,) = await Candidates(conn, place.service.vault).households([home])
            assert found.persons
            raise ending

    with pytest.raises(ending):
        await work()
    noted = "SELECT household_id FROM cbi.access_log WHERE request_id = 'undone'"
    assert await place.column(noted) == [home]


async def test_work_that_is_cancelled_while_it_waits_keeps_its_entry_too(place):
    home, _ = await place.twins(1)
    opened = asyncio.Event()

    async def work() -> None:
        async with db.transaction(place.service.engine, MATCHER, request_id="waiting") as conn:
            await Candidates(conn, place.service.vault).households([home])
            opened.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await opened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    noted = "SELECT household_id FROM cbi.access_log WHERE request_id = 'waiting'"
    assert await place.column(noted) == [home]
