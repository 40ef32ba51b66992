import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from dedup import index
from dedup.blocking import key_hasher, texts
from dedup.find import find
from dedup.model import load
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.dedup.make import person
from tests.dedup.people import World

HASHER = key_hasher(b"a test's secret, long enough")
MODEL = load()


def opener(*records):
    """Stand in for the vault: hand out these records, and remember what was asked."""
    known = {record.person_id: record for record in records}
    asked = []

    async def open_records(person_ids):
        asked.append(list(person_ids))
        return {one: known[one] for one in person_ids if one in known}

    open_records.asked = asked
    return open_records


async def search(conn, *records, known=(), **more):
    return await find(
        conn, records, hasher=HASHER, model=MODEL, open_records=opener(*known), **more
    )


async def test_a_person_registered_by_another_partner_is_found(conn):
    theirs, mine = person("Ana María / Pérez Gómez"), person("ANA MARIA / Peres Gomes")
    await db.set_facts(conn, actor(PARTNER_B))
    await index.add(conn, [theirs], partner_id=PARTNER_B, hasher=HASHER)
    await db.set_facts(conn, actor(PARTNER_A))
    await index.add(conn, [mine], partner_id=PARTNER_A, hasher=HASHER)
    found = await search(conn, mine, known=[theirs])
    (pair,) = found.pairs
    assert (pair.person_id, pair.household_id) == (mine.person_id, mine.household_id)
    assert (pair.other_person_id, pair.other_household_id, pair.other_partner_id) == (
        theirs.person_id,
        theirs.household_id,
        PARTNER_B,
    )
    assert pair.score.strength == "strong"
    assert found.unsearched == found.partly == ()


async def test_people_of_one_household_are_not_compared(conn):
    household_id = uuid4()
    twins = [person(household_id=household_id), person(household_id=household_id)]
    await index.add(conn, twins, partner_id=PARTNER_A, hasher=HASHER)
    found = await search(conn, *twins, known=twins)
    assert found.pairs == ()


async def test_all_candidates_are_opened_at_once_and_the_erased_are_passed_over(conn):
    mine, kept, erased = person(), person(), person()
    await index.add(conn, [mine, kept, erased], partner_id=PARTNER_A, hasher=HASHER)
    open_records = opener(kept)
    found = await find(conn, [mine], hasher=HASHER, model=MODEL, open_records=open_records)
    assert open_records.asked == [sorted([kept.person_id, erased.person_id])]
    assert [pair.other_person_id for pair in found.pairs] == [kept.person_id]


async def test_each_person_is_one_person_of_the_other_household(conn):
    here, there = uuid4(), uuid4()
    mine = [person(name, household_id=here) for name in ("Ana / Rojas", "Ana Lucía / Rojas")]
    theirs = [person(name, household_id=there) for name in ("Ana / Rojas", "Ana Lucía / Rojas")]
    await index.add(conn, [*mine, *theirs], partner_id=PARTNER_A, hasher=HASHER)
    found = await search(conn, *mine, known=theirs)
    assert {(pair.person_id, pair.other_person_id) for pair in found.pairs} == {
        (mine[0].person_id, theirs[0].person_id),
        (mine[1].person_id, theirs[1].person_id),
    }


async def test_a_crowded_key_is_not_searched_and_the_result_says_so(conn):
    crowd = [person() for _ in range(4)]
    phone = ("987654321",)
    known, mine = person(phones=phone), person(phones=phone)
    await index.add(conn, [*crowd, known, mine], partner_id=PARTNER_A, hasher=HASHER)
    found = await search(conn, mine, crowd[0], known=[known, *crowd], per_key=3)
    assert found.unsearched == (crowd[0].person_id,)
    assert found.partly == (mine.person_id,)
    assert [pair.other_person_id for pair in found.pairs] == [known.person_id]


async def test_a_person_without_any_key_is_unsearched(conn):
    nobody = person("", None)
    await index.add(conn, [nobody], partner_id=PARTNER_A, hasher=HASHER)
    found = await search(conn, nobody)
    assert found.unsearched == (nobody.person_id,)


async def test_adding_twice_changes_nothing(conn, owner_conn):
    mine, other = person(), person()
    for _ in range(2):
        await index.add(conn, [mine, other], partner_id=PARTNER_A, hasher=HASHER)
    found = await search(conn, mine, known=[other])
    assert len(found.pairs) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT key FROM dedup.key_entry",
        "SELECT count(*) FROM dedup.key_entry",
        "UPDATE dedup.key_entry SET partner_id = partner_id",
        "DELETE FROM dedup.key_entry",
        "TRUNCATE dedup.key_entry",
    ],
)
async def test_the_service_can_neither_read_nor_change_keys(conn, statement):
    with pytest.raises(DBAPIError, match="permission denied"):
        async with conn.begin_nested():
            await conn.execute(text(statement))


async def test_a_partner_cannot_add_keys_in_the_name_of_another(conn):
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await index.add(conn, [person()], partner_id=PARTNER_B, hasher=HASHER)


async def test_two_registrations_of_one_person_at_the_same_moment_see_each_other(engine):
    # Committed, so the names must be nobody else's in this database.
    mark = "".join(chr(ord("a") + int(digit, 16)) for digit in uuid4().hex)
    records = [person(f"Zoila {mark[:12]} / {mark[12:24]}") for _ in range(2)]
    both_begun = asyncio.Barrier(2)

    async def register(record, partner_id):
        async with db.transaction(engine, actor(partner_id)) as conn:
            await both_begun.wait()
            await index.add(conn, [record], partner_id=partner_id, hasher=HASHER)
            found = await search(conn, record, known=records)
            await asyncio.sleep(0.05)
            return len(found.pairs)

    seen = await asyncio.gather(register(records[0], PARTNER_A), register(records[1], PARTNER_B))
    assert sorted(seen) == [0, 1]


async def test_an_import_of_many_locks_the_whole_index_and_finds_its_duplicates(conn):
    world = World(55, 120)
    assert len({text for one in world.records for text in texts(one)}) > index.KEYS_LOCKED_MAX
    await index.add(conn, world.records, partner_id=PARTNER_A, hasher=HASHER)
    locks = await conn.execute(
        text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
    )
    assert locks.scalar() == 1
    found = await search(conn, *world.records, known=world.records)
    pairs = {tuple(sorted((one.person_id, one.other_person_id))) for one in found.pairs}
    assert len(pairs & world.true_pairs()) >= 0.9 * len(world.true_pairs())
    assert len(pairs - world.true_pairs()) <= 1
