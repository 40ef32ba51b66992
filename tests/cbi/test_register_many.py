"""Many households at once: every table as if they had come one after the other."""

import random
from copy import deepcopy
from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import text

from api import clock, db
from cbi import household, register_many
from cbi.imported import registration_of
from cbi.ready import Maker, make_ready
from dedup.blocking import key_hasher
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    DESK,
    TODAY,
    add_partners,
    again,
    family,
    registered,
    staff,
)
from tests.conftest import PARTNER_A

# What a table says, without ids that are made afresh each time: rows as a sorted list of facts.
SAYS = {
    "household": "SELECT reference_key, content_key, ubigeo, population_type, size, registered_at,"
    " registered_by, partner_id FROM cbi.household",
    "data_key": "SELECT h.reference_key, k.kek_id, length(k.wrapped) FROM cbi.data_key k"
    " JOIN cbi.household h USING (household_id)",
    "person": "SELECT h.reference_key, p.ordinal, p.partner_id, length(p.sealed)"
    " FROM cbi.person p JOIN cbi.household h USING (household_id)",
    "need": "SELECT h.reference_key, p.ordinal FROM cbi.specific_need n"
    " JOIN cbi.person p USING (person_id) JOIN cbi.household h USING (household_id)",
    "consent": "SELECT h.reference_key, c.kind, c.granted, c.text_version, c.language, c.channel,"
    " c.given_on, c.withdrawn_on, c.recorded_at FROM cbi.consent c"
    " JOIN cbi.household h USING (household_id)",
    "membership": "SELECT h.reference_key, m.beneficiary_id = m.household_id, m.since, m.case_id"
    " FROM cbi.membership m JOIN cbi.household h USING (household_id)",
    "key_entry": "SELECT e.key, h.reference_key, p.ordinal FROM dedup.key_entry e"
    " JOIN cbi.person p USING (person_id) JOIN cbi.household h USING (household_id)",
    "match_case": "SELECT least(a.reference_key, b.reference_key),"
    " greatest(a.reference_key, b.reference_key), c.reason, c.why, c.opened_at, c.opened_by,"
    " c.model_id, c.strength_bits, c.reopens FROM dedup.match_case c"
    " JOIN cbi.household a ON a.household_id = c.household_a"
    " LEFT JOIN cbi.household b ON b.household_id = c.household_b",
    "case_pair": "SELECT CASE WHEN a.reference_key < b.reference_key"
    " THEN ARRAY[a.reference_key, x.ordinal, b.reference_key, y.ordinal]"
    " ELSE ARRAY[b.reference_key, y.ordinal, a.reference_key, x.ordinal] END,"
    " p.model_id, p.weight_bits, p.probability, p.evidence::text FROM dedup.case_pair p"
    " JOIN cbi.person x ON x.person_id = p.person_a JOIN cbi.person y ON y.person_id = p.person_b"
    " JOIN cbi.household a ON a.household_id = x.household_id"
    " JOIN cbi.household b ON b.household_id = y.household_id",
    # Each household opened is told once for a search: of several at once, once for all.
    "access_log": "SELECT DISTINCT h.reference_key, l.actor_id, l.partner_id, l.purpose"
    " FROM cbi.access_log l JOIN cbi.household h USING (household_id)",
}
NORTH = staff(3, area="2401")


async def told(conn) -> dict[str, list[str]]:
    await conn.execute(text("SET LOCAL ROLE postgres"))
    says = {
        name: sorted(repr(tuple(row)) for row in await conn.execute(text(query)))
        for name, query in SAYS.items()
    }
    await conn.execute(text("RESET ROLE"))
    return says


def ready(raws, who=ALFA):
    maker = Maker(
        vault=DESK.vault,
        matching_key=DESK.matching_key,
        hasher=key_hasher(DESK.matching_key),
        new_id=clock.new_id,
        partner_id=who.partner_id,
        today=TODAY,
    )
    made = []
    for raw in raws:
        registration = household.read(raw, today=TODAY).registration
        # As it comes back from staging.
        made.append(make_ready(registration_of(msgspec.json.encode(registration)), maker))
    return made


async def together(conn, raws, who=ALFA, *, at_once=1_000):
    await db.set_facts(conn, who, request_id="request-1")
    made = ready(raws, who)
    results = []
    for start in range(0, len(made), at_once):
        results += await register_many.register_many(
            conn,
            made[start : start + at_once],
            desk=DESK,
            partner_id=who.partner_id,
            actor_id=who.actor_id,
            area=who.area,
            at=AT,
        )
    return results


def someone_like(one: dict, rng: random.Random) -> dict:
    """A person again as somebody hurried would write it."""
    slip = deepcopy(one)
    slip["given_names"] = slip["given_names"].split()[0]
    if rng.random() < 0.5:
        slip["documents"] = []
    if rng.random() < 0.3:
        slip["surnames"] = slip["surnames"].replace("a", "e", 1)
    return slip


def a_file(rng: random.Random, count: int, present: list[dict]) -> list[dict]:
    """Families, among them some of those present and some twice, whole, in part, and misspelt."""
    raws: list[dict] = []
    for number in range(count):
        raw = family(10_000 + number, size=1 + number % 5, ubigeo=rng.choice(["240101", "150101"]))
        like = rng.choice(present) if rng.random() < 0.25 else None
        if like is None and raws and rng.random() < 0.25:
            like = rng.choice(raws)
        if like is not None:
            kept = [someone_like(one, rng) for one in like["persons"]][: 1 + number % 3]
            kept[0]["relationship"] = "head"
            raw["persons"] = kept + raw["persons"][1:]
        if number % 17 == 0:
            raw["consents"][2]["granted"] = False
        if number % 13 == 0:
            raw["persons"][0]["specific_needs"] = ["disability"]
        # Many were born on one day in one place, or share a phone: crowds.
        if number % 3 == 0:
            raw["persons"][0] |= {"birth_date": "1990-01-01", "phones": ["999888777"]}
        raws.append(raw)
    return raws


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("at_once", [50, 1_000])
async def test_every_table_says_the_same_as_one_after_the_other(owner_conn, seed, at_once):
    conn = owner_conn
    await conn.execute(text("SET LOCAL ROLE cbi_app"))
    rng = random.Random(seed)
    await add_partners(conn)
    present = [family(number, size=1 + number % 4) for number in range(60)]
    for place, raw in enumerate(present):
        await registered(conn, raw, BETA if place % 2 else ALFA)
    raws = a_file(rng, 150, present)
    before = await conn.begin_nested()
    one_by_one = [await registered(conn, raw) for raw in raws]
    expected = await told(conn)
    await before.rollback()
    results = await together(conn, raws, at_once=at_once)
    assert [each.status for each in results] == [each.status for each in one_by_one]
    said = await told(conn)
    for name, rows in expected.items():
        assert said[name] == rows, name
    assert {each.status for each in results} == {"clear", "review"}
    assert len(expected["case_pair"]) > 40


async def test_the_same_again_is_known_and_another_under_its_reference_is_refused(conn):
    await add_partners(conn)
    await registered(conn, family(1))
    await registered(conn, family(2), BETA)
    (twin,) = await together(conn, [again(family(2))])
    raws = [family(1), family(3), family(3), family(4) | {"reference": "REF-000001-X"}]
    results = await together(conn, [*raws, again(family(2))])
    assert [(each.status, each.is_known, each.refusal) for each in results] == [
        ("clear", True, None),
        ("clear", False, None),
        ("clear", True, None),
        ("faulty", False, "reference_taken"),
        ("review", True, None),
    ]
    assert results[2].household_id == results[1].household_id
    assert results[4].household_id == twin.household_id


async def test_what_is_outside_the_area_is_refused_and_the_rest_registered(conn):
    await add_partners(conn)
    raws = [family(1), family(2, ubigeo="150101"), family(3)]
    results = await together(conn, raws, NORTH)
    assert [each.refusal for each in results] == [None, "outside_area", None]


async def test_one_household_that_fails_stops_no_other(conn):
    await add_partners(conn)
    await db.set_facts(conn, ALFA)
    made = ready([family(number) for number in range(9)])
    made[5] = msgspec.structs.replace(made[5], size=31)
    results = await register_many.register_many(
        conn,
        made,
        desk=DESK,
        partner_id=PARTNER_A,
        actor_id=ALFA.actor_id,
        area="",
        at=datetime(2026, 6, 1, tzinfo=UTC),
    )
    refused = [place for place, each in enumerate(results) if each.refusal == "not_registered"]
    assert refused == [5]
    assert [each.status for each in results].count("clear") == 8


async def test_nobody_else_adds_keys_while_many_are_registered(conn, engine):
    await add_partners(conn)
    await together(conn, [family(1)])
    async with engine.connect() as other, other.begin():
        waits = text("SELECT pg_try_advisory_xact_lock_shared(hashtextextended(:key, 0))")
        assert not await other.scalar(waits, {"key": "dedup.key_entry"})


async def test_what_was_opened_for_one_that_fails_stays_in_the_access_log(conn):
    await add_partners(conn)
    theirs = (await registered(conn, family(2), BETA)).household_id
    await db.set_facts(conn, BETA)
    for statement in (
        "DELETE FROM cbi.data_key WHERE household_id = :id",
        "INSERT INTO cbi.data_key VALUES (:id, cbi.partner_id(), 'test', 'not a key')",
    ):
        await conn.execute(text(statement), {"id": theirs})
    conn.info["openings"] = []
    results = await together(conn, [again(family(2)), family(3)])
    assert [each.refusal for each in results] == ["not_registered", None]
    await db.set_facts(conn, staff(5, roles={"auditor"}))
    opened = "SELECT count(*) FROM cbi.access_log WHERE household_id = :id"
    assert await conn.scalar(text(opened), {"id": theirs}) == 1
