import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from dedup import index
from dedup.blocking import key_hasher, texts
from dedup.candidates import Limits
from dedup.find import Household, find
from dedup.model import load
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.dedup.make import person
from tests.dedup.people import World

HASHER = key_hasher(b"a test's secret, long enough")
MODEL = load()
OTHER_PARTNER = uuid4()


class Opener:
    """Stands in for the vault: hands out these records, and remembers what was asked."""

    def __init__(self, *records):
        self.known = records
        self.asked = []

    async def persons(self, person_ids):
        self.asked.append(list(person_ids))
        return {one.person_id: one for one in self.known if one.person_id in person_ids}

    async def households(self, household_ids):
        self.asked.append(list(household_ids))
        return [
            Household(
                household_id=household_id,
                partner_id=OTHER_PARTNER,
                persons=tuple(one for one in self.known if one.household_id == household_id),
            )
            for household_id in household_ids
        ]


def limits(per_key, scan_max=100):
    return Limits(per_key=per_key, per_document=per_key, per_person=per_key, scan_max=scan_max)


async def added(conn, *records):
    await index.add(conn, records, index.keyed(records, HASHER))


async def search(conn, *records, known=(), opener=None, **more):
    keys = index.keyed(records, HASHER)
    return await find(conn, records, keys, model=MODEL, opener=opener or Opener(*known), **more)


async def test_a_person_registered_by_another_partner_is_found(conn):
    theirs, mine = person("Ana María / Pérez Gómez"), person("ANA MARIA / Peres Gomes")
    await db.set_facts(conn, actor(PARTNER_B))
    await added(conn, theirs)
    await db.set_facts(conn, actor(PARTNER_A))
    await added(conn, mine)
    found = await search(conn, mine, known=[theirs])
    (pair,) = found.pairs
    assert (pair.person_id, pair.household_id) == (mine.person_id, mine.household_id)
    assert (pair.other_person_id, pair.other_household_id, pair.other_partner_id) == (
        theirs.person_id,
        theirs.household_id,
        OTHER_PARTNER,
    )
    assert pair.score.strength == "strong"
    assert found.unsearched == found.crowded == ()


async def test_people_of_one_household_are_not_compared(conn):
    household_id = uuid4()
    twins = [person(household_id=household_id), person(household_id=household_id)]
    await added(conn, *twins)
    found = await search(conn, *twins, known=twins)
    assert found.pairs == ()


async def test_all_candidates_are_opened_at_once_and_the_erased_are_passed_over(conn):
    mine, kept, erased = person(), person(), person()
    await added(conn, mine, kept, erased)
    opener = Opener(kept)
    found = await search(conn, mine, opener=opener)
    assert opener.asked == [sorted([kept.person_id, erased.person_id]), [kept.household_id]]
    assert [pair.other_person_id for pair in found.pairs] == [kept.person_id]


async def test_each_person_is_one_person_of_the_other_household(conn):
    here, there = uuid4(), uuid4()
    mine = [person(name, household_id=here) for name in ("Ana / Rojas", "Ana Lucía / Rojas")]
    theirs = [person(name, household_id=there) for name in ("Ana / Rojas", "Ana Lucía / Rojas")]
    await added(conn, *mine, *theirs)
    found = await search(conn, *mine, known=theirs)
    assert {(pair.person_id, pair.other_person_id) for pair in found.pairs} == {
        (mine[0].person_id, theirs[0].person_id),
        (mine[1].person_id, theirs[1].person_id),
    }


CEDULA = (("ve-cedula", "20481516"),)
_SURNAMES = "Bravo Castro Duarte Escobar Fuentes Giraldo Hurtado Ibarra Jurado Lozano"
SURNAMES = _SURNAMES.split()


def strangers(count, **more):
    """People who share nothing but what `more` says."""
    return [
        person(f"{name}ina / {name}", f"19{60 + at}-0{1 + at % 9}-1{at % 9}", **more)
        for at, name in enumerate(SURNAMES[:count])
    ]


async def test_a_crowd_gives_no_candidates_by_its_key_alone(conn):
    phone = ("987654321",)
    crowd = [
        person(f"Ana / {name}", f"19{60 + at}-01-05", phones=phone)
        for at, name in enumerate(SURNAMES[:5])
    ]
    mine = person("Ana / Zerpa", "1999-09-09", phones=phone)
    await added(conn, *crowd, mine)
    opener = Opener()
    found = await search(conn, mine, opener=opener, limits=limits(3))
    assert opener.asked == []
    # All of them and more: a phone and three letters are no reason to trouble anybody.
    assert found.unsearched == found.crowded == ()
    await search(conn, mine, opener=opener, limits=limits(6))
    assert len(opener.asked[0]) == 5


async def test_who_shares_two_keys_is_a_candidate_though_crowds_share_each(conn):
    phone = ("987654321",)
    crowds = [
        *(
            person(f"Ana / {name}", f"19{60 + at}-01-05", phones=phone)
            for at, name in enumerate(SURNAMES[:5])
        ),
        *(person("Ana / Zerpa", f"19{60 + at}-02-06") for at in range(5)),
    ]
    known = person("Ana / Zerpa", "1985-09-08", phones=phone)
    mine = person("Ana / Zerpa", "1999-09-09", phones=phone)
    await added(conn, *crowds, known, mine)
    opener = Opener()
    await search(conn, mine, opener=opener, limits=limits(3))
    assert opener.asked == [[known.person_id]]


async def test_made_up_registrations_with_a_document_hide_nobody_who_has_it(conn):
    known = person("Yaquelin Milagros / Quintero Rondón", "1991-04-12", documents=CEDULA)
    crowd = strangers(8, documents=CEDULA)
    mine = person("Yakelin / Quintero", "1991-04-21", documents=CEDULA)
    await added(conn, known, *crowd, mine)
    opener = Opener(known)
    found = await search(conn, mine, opener=opener, limits=limits(4))
    assert known.person_id in opener.asked[0]
    assert len(opener.asked[0]) < len(crowd)
    assert [pair.other_person_id for pair in found.pairs] == [known.person_id]
    # Somebody of another name may be among them: that takes a person to look.
    assert found.crowded == (mine.person_id,)


async def test_those_who_share_most_with_a_person_come_first_and_the_rest_is_told(conn):
    alike = [person(documents=CEDULA) for _ in range(4)]
    likest = person(documents=CEDULA, phones=("987654321",))
    mine = person(documents=CEDULA, phones=("987654321",))
    many = [person(phones=("987654321",)) for _ in range(3)]
    await added(conn, *alike, *many, likest, mine)
    opener = Opener(likest)
    found = await search(conn, mine, opener=opener, limits=limits(3))
    assert likest.person_id in opener.asked[0]
    assert len(opener.asked[0]) == 3
    assert [pair.other_person_id for pair in found.pairs] == [likest.person_id]
    assert found.crowded == (mine.person_id,)


async def test_a_crowd_too_large_to_look_through_is_told_whatever_it_shares(conn):
    phone = ("987654321",)
    crowd = [
        person(f"Ana / {name}", f"19{60 + at}-01-05", phones=phone)
        for at, name in enumerate(SURNAMES[:6])
    ]
    mine = person("Ana / Zerpa", "1999-09-09", phones=phone)
    await added(conn, *crowd, mine)
    assert (await search(conn, mine, limits=limits(3, 7))).crowded == ()
    assert (await search(conn, mine, limits=limits(3, 6))).crowded == (mine.person_id,)


async def test_who_has_only_the_key_of_a_crowd_is_unsearched(conn):
    crowd = [person("Ana / Rojas", None) for _ in range(4)]
    await added(conn, *crowd)
    found = await search(conn, crowd[0], limits=limits(3))
    assert found.unsearched == (crowd[0].person_id,)
    assert found.crowded == ()


async def test_by_a_weak_key_alone_only_those_are_looked_for_whom_nothing_else_finds(conn):
    here, there = uuid4(), uuid4()
    ana, luz = "Ana María / Pérez Gómez", "Luz Elena / Rojas Parra"
    mine = [person(ana, household_id=here), person(luz, "1981-02-03", household_id=here)]
    theirs = [person(ana, household_id=there)]
    namesakes = [
        person("Ana / Zerpa", "1990-05-17"),
        person("Luz / Zerpa", "1981-02-03"),
        person("Elena / Bravo", "1981-02-03"),
    ]
    await added(conn, *mine, *theirs, *namesakes)
    opener = Opener(*theirs, *namesakes)
    found = await search(conn, *mine, opener=opener)
    assert opener.asked == [
        [theirs[0].person_id],
        [there],
        sorted(one.person_id for one in namesakes[1:]),
    ]
    assert [pair.other_person_id for pair in found.pairs] == [theirs[0].person_id]


async def test_others_of_a_household_are_compared_though_no_key_led_to_them(conn):
    here, there = uuid4(), uuid4()
    mother = "Yaquelin Milagros / Quintero Rondón"
    mine = [
        person(mother, "1991-04-12", household_id=here, documents=CEDULA),
        person("Usnavi José / Marcano Quintero", "2015-09-30", household_id=here, sex="M"),
    ]
    theirs = [
        person(mother, "1991-04-12", household_id=there, documents=CEDULA),
        person("José / Marcano Kintero", "2014-09-30", household_id=there, sex="M"),
    ]
    assert not texts(mine[1]) & texts(theirs[1])
    await added(conn, *theirs, *mine)
    opener = Opener(*theirs)
    found = await search(conn, *mine, opener=opener)
    assert opener.asked == [[theirs[0].person_id], [there]]
    assert {(pair.person_id, pair.other_person_id) for pair in found.pairs} == {
        (one.person_id, other.person_id) for one, other in zip(mine, theirs, strict=True)
    }
    levels = {pair.person_id: pair.score.fields[-1].level for pair in found.pairs}
    assert levels[mine[1].person_id] == "one"
    assert (await search(conn, mine[1], known=theirs)).pairs == ()


async def test_a_person_without_any_key_is_unsearched(conn):
    nobody = person("", None)
    await added(conn, nobody)
    found = await search(conn, nobody)
    assert found.unsearched == (nobody.person_id,)


async def test_adding_twice_changes_nothing(conn, owner_conn):
    mine, other = person(), person()
    for _ in range(2):
        await added(conn, mine, other)
    found = await search(conn, mine, known=[other])
    assert len(found.pairs) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT key FROM dedup.key_entry",
        "SELECT count(*) FROM dedup.key_entry",
        "UPDATE dedup.key_entry SET key = key",
        "DELETE FROM dedup.key_entry",
        "TRUNCATE dedup.key_entry",
        "INSERT INTO dedup.key_entry SELECT 1, uuidv7()",
    ],
)
async def test_the_service_reaches_keys_through_the_doors_only(conn, statement):
    with pytest.raises(DBAPIError, match="permission denied"):
        async with conn.begin_nested():
            await conn.execute(text(statement))


async def test_nobody_adds_keys_without_a_partner(conn):
    await db.set_facts(conn, None)
    with pytest.raises(DBAPIError, match="no partner"):
        async with conn.begin_nested():
            await added(conn, person())


async def test_two_registrations_of_one_person_at_the_same_moment_see_each_other(engine):
    # Committed, so the names must be nobody else's in this database.
    mark = "".join(chr(ord("a") + int(digit, 16)) for digit in uuid4().hex)
    records = [person(f"Zoila {mark[:12]} / {mark[12:24]}") for _ in range(2)]
    both_begun = asyncio.Barrier(2)

    async def register(record, partner_id):
        async with db.transaction(engine, actor(partner_id)) as conn:
            await both_begun.wait()
            await added(conn, record)
            found = await search(conn, record, known=records)
            await asyncio.sleep(0.05)
            return len(found.pairs)

    seen = await asyncio.gather(register(records[0], PARTNER_A), register(records[1], PARTNER_B))
    assert sorted(seen) == [0, 1]


async def test_an_import_of_many_locks_the_whole_index_and_finds_its_duplicates(conn):
    world = World(55, 120)
    assert len({text for one in world.records for text in texts(one)}) > index.KEYS_LOCKED_MAX
    await added(conn, *world.records)
    locks = await conn.execute(
        text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
    )
    assert locks.scalar() == 1
    found = await search(conn, *world.records, known=world.records)
    pairs = {tuple(sorted((one.person_id, one.other_person_id))) for one in found.pairs}
    assert len(pairs & world.true_pairs()) >= 0.9 * len(world.true_pairs())
    assert len(pairs - world.true_pairs()) <= 1
