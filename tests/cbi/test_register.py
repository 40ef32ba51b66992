"""Registering: sealed, checked against everybody, once, and told to nobody else."""

import asyncio
import re
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import clock, db
from cbi.identities import Candidates, open_households
from cbi.refusal import InvalidRegistration, NotFound, OutsideArea, ReferenceTaken
from cbi.register import receipt
from dedup.judge import open_case_ids
from tests.cbi.world import (
    ALFA,
    BETA,
    DESK,
    PARTNER_B,
    PARTNER_C,
    STAFF_ROLES,
    add_partners,
    again,
    count,
    erase,
    family,
    judged,
    registered,
    staff,
    withdraw,
)
from tests.conftest import PARTNER_A

NEEDY = family(1, size=3)
NEEDY["persons"][1]["specific_needs"] = ["gbv_survivor", "pregnant_or_nursing"]


def clear_values(raw) -> set[str]:
    """Every value of a form that says who somebody is or what they need."""
    names = {word for one in raw["persons"] for word in one["given_names"].split()}
    names |= {word for one in raw["persons"] for word in one["surnames"].split()}
    born = {one["birth_date"] for one in raw["persons"]}
    numbers = {doc["number"][1:] for one in raw["persons"] for doc in one["documents"]}
    phones = {phone for one in raw["persons"] for phone in one.get("phones", ())}
    needs = {need for one in raw["persons"] for need in one.get("specific_needs", ())}
    account = raw["instrument"]["account"]
    return names | born | numbers | phones | needs | {account, account[6:18], raw["reference"]}


async def everything(conn) -> str:
    """All rows of all tables as text, with binary columns decoded as far as they are text."""
    tables = await conn.scalars(
        text(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables"
            " WHERE table_schema IN ('cbi', 'dedup', 'ledger') AND table_type = 'BASE TABLE'"
        )
    )
    dump = []
    for table in tables.all():
        for row in await conn.execute(text(f"SELECT CAST(t AS text) FROM {table} t")):
            dump.append(row[0])
            for found in re.findall(r"\\x([0-9a-f]+)", row[0]):
                dump.append(bytes.fromhex(found).decode("utf-8", "ignore"))
                dump.append(bytes.fromhex(found).decode("utf-16-le", "ignore"))
    return "\n".join(dump)


async def test_the_database_shows_nobody(owner_conn):
    await add_partners(owner_conn)
    await registered(owner_conn, NEEDY)
    await registered(owner_conn, again(NEEDY), BETA)
    await registered(owner_conn, family(2, duplicate_check=False))
    dump = await everything(owner_conn)
    assert str(ALFA.actor_id) in dump
    values = clear_values(NEEDY) | clear_values(family(2))
    assert len(values) > 20
    assert {value for value in values if value.casefold() in dump.casefold()} == set()


async def test_a_household_opens_as_it_was_registered_without_its_needs(conn):
    stored = await registered(conn, NEEDY)
    opened = await open_households(conn, [stored.household_id], vault=DESK.vault, purpose="reading")
    identity = opened[stored.household_id]
    assert [one.given_names for one in identity.persons] == [
        one["given_names"] for one in NEEDY["persons"]
    ]
    assert identity.household.reference == NEEDY["reference"]
    assert identity.household.instrument.account == NEEDY["instrument"]["account"]
    assert all(one.specific_needs == () for one in identity.persons)


async def access(conn):
    await db.set_facts(conn, staff(8, PARTNER_A, {"auditor"}))
    rows = await conn.execute(
        text(
            "SELECT household_id, actor_id, partner_id, purpose, request_id FROM cbi.access_log"
            " ORDER BY access_no"
        )
    )
    return [tuple(row) for row in rows]


async def test_every_opening_says_who_why_and_in_which_request(conn):
    mine = await registered(conn, family(1))
    assert await access(conn) == []
    theirs = await registered(conn, again(family(1)), BETA)
    seen = (mine.household_id, BETA.actor_id, PARTNER_B, "duplicate check", "request-1")
    assert await access(conn) == [seen]
    await db.set_facts(conn, BETA, request_id="request-9")
    await open_households(conn, [theirs.household_id], vault=DESK.vault, purpose="reading")
    assert (await access(conn))[1:] == [
        (theirs.household_id, BETA.actor_id, PARTNER_B, "reading", "request-9")
    ]


async def test_nobody_writes_the_access_log_in_another_name(conn):
    for column, value in (("actor_id", uuid4()), ("partner_id", PARTNER_B)):
        with pytest.raises(DBAPIError, match="row-level security"):
            async with conn.begin_nested():
                await conn.execute(
                    text(
                        f"INSERT INTO cbi.access_log (purpose, household_id, {column})"
                        " VALUES ('x', :id, :value)"
                    ),
                    {"id": uuid4(), "value": value},
                )


WARNED = family(3)
WARNED["persons"][0]["documents"][0]["number"] = "V123"


@pytest.mark.parametrize("raw", [family(1), family(2, duplicate_check=False), WARNED])
async def test_the_same_registration_again_gives_the_same_receipt(conn, raw):
    first = await registered(conn, raw)
    before = {table: await count(conn, f"cbi.{table}") for table in ("person", "consent")}
    assert await registered(conn, raw) == first
    assert {table: await count(conn, f"cbi.{table}") for table in before} == before
    assert bool(first.warnings) == (raw is WARNED)


async def test_other_content_under_the_same_reference_is_refused(conn):
    first = await registered(conn, family(1))
    changed = family(1, population_type="in_transit")
    with pytest.raises(ReferenceTaken) as refused:
        await registered(conn, changed)
    assert refused.value.household_id == first.household_id
    # Another partner's references are its own.
    await registered(conn, family(2, reference=family(1)["reference"]), BETA)


async def test_a_faulty_form_is_refused_with_its_faults(conn):
    with pytest.raises(InvalidRegistration) as refused:
        await registered(conn, family(1) | {"ubigeo": "2401"})
    assert [fault.path for fault in refused.value.faults] == ["ubigeo"]
    assert await count(conn, "cbi.household") == 0


async def test_both_partners_see_the_match_and_nothing_of_the_other(conn):
    mine = await registered(conn, family(1))
    assert (mine.status, mine.flags) == ("clear", ())
    theirs = await registered(conn, again(family(1)), BETA)
    await db.set_facts(conn, ALFA)
    mine = await receipt(conn, mine.household_id, model=DESK.model)
    (flag,), (other,) = theirs.flags, mine.flags
    assert (theirs.status, mine.status) == ("review", "review")
    assert (flag.strength, flag.persons, flag.reason, flag.state) == (
        "strong",
        2,
        "duplicate",
        "open",
    )
    assert set(flag.agreeing) == {"name", "birth_date", "document", "phone", "sex"}
    assert (flag.ask, other.ask) == ("ALFA: ask@ALFA.example", "BETA: ask@BETA.example")
    assert msgspec.structs.replace(other, ask="") == msgspec.structs.replace(flag, ask="")
    told = msgspec.json.encode(theirs).decode()
    assert str(mine.household_id) not in told
    assert not any(str(person_id) in told for person_id in mine.person_ids)
    assert {value for value in clear_values(family(1)) if value in told} == set()


async def test_the_other_household_stays_out_of_sight(conn):
    mine = await registered(conn, family(1))
    await registered(conn, again(family(1)), BETA)
    with pytest.raises(NotFound):
        await receipt(conn, mine.household_id, model=DESK.model)
    assert (
        await open_households(conn, [mine.household_id], vault=DESK.vault, purpose="curious") == {}
    )
    await db.set_facts(conn, staff(0, PARTNER_C, {"registrar", "programme", "finance"}))
    assert await count(conn, "dedup.match_case") == 0


async def test_a_decided_case_makes_both_clear_again(conn):
    mine = await registered(conn, family(1))
    theirs = await registered(conn, again(family(1)), BETA)
    await judged(conn, theirs.flags[0].case_id, "different")
    await db.set_facts(conn, ALFA)
    told = await receipt(conn, mine.household_id, model=DESK.model)
    assert (told.status, told.flags[0].verdict) == ("clear", "different")


async def test_who_declines_the_check_goes_to_a_person_and_is_never_searched(conn):
    declined = await registered(conn, family(1, duplicate_check=False))
    (flag,) = declined.flags
    assert (declined.status, flag.reason, flag.why, flag.ask) == (
        "review",
        "unchecked",
        "declined",
        "",
    )
    theirs = await registered(conn, again(family(2)), BETA)
    assert theirs.status == "clear"
    twin = family(1)
    assert (await registered(conn, again(twin), BETA)).status == "clear"
    assert await Candidates(conn, DESK.vault).persons(declined.person_ids) == {}


async def test_who_withdraws_from_the_check_is_no_candidate_any_more(conn):
    mine = await registered(conn, family(1))
    assert len(await Candidates(conn, DESK.vault).persons(mine.person_ids)) == 2
    await withdraw(conn, mine.household_id, "duplicate_check")
    assert await Candidates(conn, DESK.vault).persons(mine.person_ids) == {}
    assert (await registered(conn, again(family(1)), BETA)).status == "clear"


async def test_another_partner_can_not_answer_for_a_household(conn):
    mine = await registered(conn, family(1))
    with pytest.raises(DBAPIError, match="consent_of_household"):
        async with conn.begin_nested():
            await withdraw(conn, mine.household_id, "duplicate_check", who=BETA)
    assert len(await Candidates(conn, DESK.vault).persons(mine.person_ids)) == 2


async def test_an_erased_household_is_no_candidate_and_opens_for_nobody(conn):
    mine = await registered(conn, family(1))
    await erase(conn, mine.household_id)
    assert await Candidates(conn, DESK.vault).persons(mine.person_ids) == {}
    opened = await open_households(conn, [mine.household_id], vault=DESK.vault, purpose="reading")
    assert opened == {}
    assert (await registered(conn, again(family(1)), BETA)).status == "clear"


async def test_only_a_coordinator_or_administrator_of_the_partner_erases(conn):
    mine = await registered(conn, family(1))
    for who in (staff(0, roles={"registrar", "programme", "finance"}), BETA):
        with pytest.raises(AssertionError):
            await erase(conn, mine.household_id, who)
    await erase(conn, mine.household_id)


async def test_specific_needs_are_for_the_partners_registrars_only(conn):
    stored = await registered(conn, NEEDY)
    assert await count(conn, "cbi.specific_need") == 1
    everyone_else = STAFF_ROLES - {"registrar"} | {"admin", "auditor", "adjudicator"}
    for who in (BETA, staff(0, PARTNER_A, everyone_else), staff(0, PARTNER_B)):
        await db.set_facts(conn, who)
        assert await count(conn, "cbi.specific_need") == 0
    found = await Candidates(conn, DESK.vault).persons(stored.person_ids)
    assert "gbv" not in msgspec.json.encode(list(found.values())).decode()


async def test_no_door_reads_specific_needs(owner_conn):
    await owner_conn.execute(text("SET LOCAL ROLE cbi_door"))
    with pytest.raises(DBAPIError, match="permission denied"):
        await owner_conn.execute(text("SELECT sealed FROM cbi.specific_need"))


async def test_a_key_for_an_area_registers_and_reads_there_only(conn):
    tumbes, tacna = staff(0, area="24"), staff(0, area="2301")
    with pytest.raises(OutsideArea) as refused:
        await registered(conn, family(1), tacna)
    assert refused.value.area == "2301"
    mine = await registered(conn, family(1), tumbes)
    await registered(conn, family(2, ubigeo="230101"), tacna)
    await db.set_facts(conn, tacna)
    assert await count(conn, "cbi.household") == 1
    with pytest.raises(NotFound):
        await receipt(conn, mine.household_id, model=DESK.model)
    assert (
        await open_households(conn, [mine.household_id], vault=DESK.vault, purpose="reading") == {}
    )


async def test_a_reference_that_is_taken_outside_the_area_is_refused_without_saying_by_whom(conn):
    await registered(conn, family(1))
    with pytest.raises(OutsideArea):
        await registered(
            conn, family(2, reference=family(1)["reference"], ubigeo="230101"), staff(0, area="23")
        )


async def test_a_search_by_thousands_of_candidates_leaves_out_nobody(conn):
    stored = await registered(conn, family(1))
    # Ids that sort before and after ours, more than the door hands out at once.
    wanted = sorted([*(clock.new_id() for _ in range(5_100)), *stored.person_ids])
    assert set(await Candidates(conn, DESK.vault).persons(wanted)) == set(stored.person_ids)
    wanted = [*(uuid4() for _ in range(5_100)), *stored.person_ids]
    assert set(await Candidates(conn, DESK.vault).persons(wanted)) == set(stored.person_ids)


async def at_once(own, *jobs):
    """Run the registrations at the same moment, each in its own transaction."""
    begun = asyncio.Barrier(len(jobs))

    async def run(raw, who):
        async with own.begin(who) as conn:
            await begun.wait()
            return await registered(conn, raw, who)

    return await asyncio.gather(*(run(*job) for job in jobs), return_exceptions=True)


async def test_one_person_registered_at_two_partners_at_once_makes_one_case(own):
    for seed in range(1, 6):
        raw = family(seed)
        one, other = await at_once(own, (raw, ALFA), (again(raw), BETA))
        assert sorted((one.status, other.status)) == ["clear", "review"]
        async with own.begin() as conn:
            cases = await open_case_ids(conn, [one.household_id, other.household_id])
        assert cases[one.household_id] == cases[other.household_id]
        assert len(cases[one.household_id]) == 1
    assert (await own.rows())["dedup.match_case"] == 5


async def test_the_same_registration_sent_twice_at_once_is_one_household(own):
    for seed in range(1, 6):
        raw = family(seed)
        one, other, third = await at_once(own, (raw, ALFA), (raw, ALFA), (raw, ALFA))
        assert one == other == third
    assert (await own.rows())["cbi.household"] == 5


async def test_two_registrations_under_one_reference_at_once_are_not_mixed(own):
    one, other = await at_once(
        own, (family(1), ALFA), (family(2, reference=family(1)["reference"]), ALFA)
    )
    assert {type(one).__name__, type(other).__name__} == {"Receipt", "ReferenceTaken"}
    assert (await own.rows())["cbi.household"] == 1


async def test_a_person_entered_twice_in_one_form_is_told_and_nothing_refused(conn):
    await add_partners(conn)
    raw = family(77, size=3)
    head = dict(raw["persons"][0])
    again_as_child = head | {"relationship": "child", "phones": [], "documents": []}
    receipt_ = await registered(conn, raw | {"persons": [*raw["persons"], again_as_child]})
    assert [(one.path, one.code, one.level) for one in receipt_.warnings] == [
        ("persons[3]", "person_twice", "warning")
    ]
    assert "person 1" in receipt_.warnings[0].en
    alone = await registered(conn, raw | {"reference": "without-a-second-entry"})
    assert alone.warnings == ()
