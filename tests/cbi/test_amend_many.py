"""Many households amended at once: every table as if they had been amended one after the other."""

import random
from copy import deepcopy

import msgspec
import pytest
from sqlalchemy import text

from api import db
from cbi import amend_many, household
from cbi.amend import amend
from cbi.household import Read
from cbi.imported import registration_of
from cbi.register_many import Registered
from tests.cbi.events import day, facts_of, gone, happened_to, withdrawn
from tests.cbi.test_register_many import SAYS, someone_like
from tests.cbi.world import ALFA, BETA, DESK, add_partners, consent, family, registered
from tests.cbi.world import erase as erase_key

PAST = {
    "event": "SELECT h.reference_key, e.version, e.kind, e.reason, e.happened_on, e.persons_in,"
    " e.persons_out, e.actor_id, e.at FROM cbi.household_event e"
    " JOIN cbi.household h USING (household_id)",
    "household_version": "SELECT h.reference_key, v.version, v.content_key, v.ubigeo,"
    " v.population_type, v.size FROM cbi.household_version v"
    " JOIN cbi.household h USING (household_id)",
    "person_version": "SELECT h.reference_key, p.ordinal, v.version, v.gone, length(v.sealed)"
    " FROM cbi.person_version v JOIN cbi.person p USING (person_id)"
    " JOIN cbi.household h ON h.household_id = p.household_id",
    "gone": "SELECT h.reference_key, p.ordinal, p.version, p.gone FROM cbi.person p"
    " JOIN cbi.household h USING (household_id)",
    "standing": "SELECT reference_key, version, ended_at FROM cbi.household",
}


async def told(conn) -> dict[str, list[str]]:
    await conn.execute(text("SET LOCAL ROLE postgres"))
    says = {
        name: sorted(repr(tuple(row)) for row in await conn.execute(text(query)))
        for name, query in (SAYS | PAST).items()
    }
    await conn.execute(text("RESET ROLE"))
    return says


def content(raw: dict) -> bytes:
    return msgspec.json.encode(household.read(raw, today=day(1)).registration)


def changed(rng: random.Random, raw: dict, number: int, present: list[dict]) -> dict:
    """The form of a family as it is a while later."""
    form = deepcopy(raw)
    match number % 6:
        case 0:
            form["population_type"] = "pendular"
        case 1:
            form["ubigeo"] = "240102"
            form["persons"][0]["phones"] = [f"9{rng.randint(20_000_000, 89_999_999)}"]
        case 2:
            # Somebody whom another organisation has registered comes to live there.
            guest = someone_like(present[number // 6]["persons"][0], rng)
            form["persons"].append(guest | {"relationship": "other_relative"})
        case 3:
            form["persons"] = form["persons"][:1]
            form["persons"][0]["specific_needs"] = ["disability"]
        case 4:
            form["persons"][0]["documents"] = [{"type": "pe-ptp", "number": f"{rng.random():.9f}"}]
            form["persons"][0]["documents"][0]["number"] = f"{rng.randint(1, 10**9 - 1):09}"
        case 5:
            later = consent("duplicate_check", granted=False) | {"given_on": "2026-03-01"}
            form["consents"] = [*form["consents"][:2], later]
    return form


async def together(conn, ids, raws, who=ALFA, *, days=1):
    await db.set_facts(conn, who, request_id="request-4")
    rows = [
        (number, content(raw), Registered(status="faulty", taken_by=household_id))
        for number, (household_id, raw) in enumerate(zip(ids, raws, strict=True), start=1)
    ]
    return await amend_many.amend_changed(
        conn, rows, desk=DESK, area=who.area, today=day(days), **facts_of(who, days)
    )


async def one_by_one(conn, ids, raws, who=ALFA, *, days=1):
    await db.set_facts(conn, who, request_id="request-4")
    return [
        await amend(
            conn,
            household_id,
            Read(registration=registration_of(content(raw)), faults=()),
            desk=DESK,
            reason="changed",
            area=who.area,
            today=day(days),
            by_reference=True,
            **facts_of(who, days),
        )
        for household_id, raw in zip(ids, raws, strict=True)
    ]


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_table_says_the_same_as_one_after_the_other(owner_conn, seed):
    conn = owner_conn
    await conn.execute(text("SET LOCAL ROLE cbi_app"))
    rng = random.Random(seed)
    await add_partners(conn)
    present = [family(number, size=1 + number % 3) for number in range(30)]
    for raw in present:
        await registered(conn, raw, BETA)
    raws = [family(1_000 + number, size=1 + number % 4) for number in range(48)]
    ids = [(await registered(conn, raw)).household_id for raw in raws]
    forms = [changed(rng, raw, number, present) for number, raw in enumerate(raws)]
    before = await conn.begin_nested()
    receipts = await one_by_one(conn, ids, forms)
    expected = await told(conn)
    await before.rollback()
    outcomes = await together(conn, ids, forms)
    assert [each.status for each in outcomes] == [each.status for each in receipts]
    assert all(each.is_changed for each in outcomes)
    said = await told(conn)
    for name, rows in expected.items():
        assert said[name] == rows, name
    assert {each.status for each in outcomes} == {"clear", "review"}
    assert len(expected["event"]) == len(raws)


async def test_what_is_the_same_or_was_so_before_is_no_event(conn):
    await add_partners(conn)
    raws = [family(1), family(2)]
    ids = [(await registered(conn, raw)).household_id for raw in raws]
    later = [raw | {"ubigeo": "240102"} for raw in raws]
    await together(conn, ids, later)
    again = await together(conn, ids, [later[0], raws[1]], days=2)
    assert [(each.status, each.is_known, each.is_changed) for each in again] == [
        ("clear", True, False),
        ("clear", True, False),
    ]
    assert [len(await happened_to(conn, one)) for one in ids] == [1, 1]


async def test_of_two_rows_about_one_household_the_later_is_what_it_is(conn):
    await add_partners(conn)
    one = (await registered(conn, family(1))).household_id
    forms = [family(1, ubigeo="240102"), family(1, ubigeo="240103")]
    outcomes = await together(conn, [one, one], forms)
    assert [each.is_changed for each in outcomes] == [True, True]
    assert [version for version, *_ in await happened_to(conn, one)] == [2, 3]
    found = await conn.scalar(
        text("SELECT ubigeo FROM cbi.household WHERE household_id = :id"), {"id": one}
    )
    assert found == "240103"


async def test_two_that_become_alike_find_each_other(conn):
    await add_partners(conn)
    raws = [family(1, size=1), family(2, size=1)]
    ids = [(await registered(conn, raw)).household_id for raw in raws]
    guest = family(3)["persons"][1] | {"relationship": "partner"}
    forms = [raw | {"persons": [*raw["persons"], guest]} for raw in raws]
    outcomes = await together(conn, ids, forms)
    assert [each.status for each in outcomes] == ["review", "review"]
    cases = "SELECT count(*) FROM dedup.match_case WHERE household_b IS NOT NULL"
    assert await conn.scalar(text(cases)) == 1


async def test_each_that_can_not_be_amended_says_why_and_stops_no_other(conn):
    await add_partners(conn)
    raws = [family(number, size=2) for number in range(1, 8)]
    receipts = [await registered(conn, raw) for raw in raws]
    ids = [each.household_id for each in receipts]
    forms = [raw | {"ubigeo": "240102"} for raw in raws]
    forms[1]["persons"] = family(99)["persons"]
    await gone(conn, ids[2], receipts[2].person_ids[1:], kind="deceased")
    await withdrawn(conn, ids[3], "registration")
    forms[4]["reference"] = "REF-OTHER"
    await erase_key(conn, ids[5])
    outcomes = await together(conn, ids, forms, days=2)
    assert [each.refusal for each in outcomes] == [
        None,
        "reference_taken",
        "person_deceased",
        "household_ended",
        "bad_value",
        "identity_erased",
        None,
    ]


async def test_one_that_does_not_open_is_told_and_what_was_opened_stays_in_the_log(
    conn, monkeypatch
):
    await add_partners(conn)
    raws = [family(number) for number in range(1, 5)]
    ids = [(await registered(conn, raw)).household_id for raw in raws]
    whole = amend_many.hold_many

    async def broken(conn, household_ids, **how):
        held = await whole(conn, household_ids, **how)
        if ids[2] in held:
            raise amend_many.OF_ONE[0]
        return held

    monkeypatch.setattr(amend_many, "hold_many", broken)
    before = len(conn.info.setdefault("openings", []))
    outcomes = await together(conn, ids, [raw | {"ubigeo": "240102"} for raw in raws])
    assert [each.refusal for each in outcomes] == [None, None, "not_registered", None]
    opened = {one for each in conn.info["openings"][before:] for one in each.household_ids}
    assert set(ids) <= opened
