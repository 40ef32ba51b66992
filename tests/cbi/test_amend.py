"""A household amended: its next version, matching that follows, and the past that is kept."""

from copy import deepcopy

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi import household
from cbi.event import pair
from cbi.identities import open_households
from cbi.refusal import (
    BadValue,
    HouseholdEnded,
    IdentityErased,
    InvalidRegistration,
    NotFound,
    OutsideArea,
)
from ledger.violation import constraint_of
from tests.cbi.events import alone, amended, day, happened_to, standing
from tests.cbi.world import (
    ALFA,
    BETA,
    DESK,
    TODAY,
    again,
    count,
    enrolled,
    erase,
    family,
    programme_of,
    registered,
    staff,
    withdraw,
)
from tests.conftest import PARTNER_A

OTHER_NUMBER = [{"type": "ve-cedula", "number": "V11222333"}]


async def opened(conn, household_id, who=ALFA):
    await db.set_facts(conn, who)
    found = await open_households(conn, [household_id], vault=DESK.vault, purpose="test")
    return found[household_id]


async def refused_by(conn, statement, **facts):
    with pytest.raises(DBAPIError) as error:
        async with conn.begin_nested():
            await conn.execute(text(statement), facts)
    return constraint_of(error.value)


async def test_a_changed_form_is_the_next_version_and_the_first_stays(conn):
    raw = family(1)
    one = (await registered(conn, raw)).household_id
    changed = raw | {"ubigeo": "240102", "population_type": "pendular"}
    receipt = await amended(conn, one, changed)
    assert (receipt.household_id, receipt.status) == (one, "clear")
    assert (await opened(conn, one)).ubigeo == "240102"
    assert await happened_to(conn, one) == [(2, "updated", "changed", 0, 0)]
    kept = await conn.execute(
        text("SELECT version, ubigeo, population_type FROM cbi.household_version")
    )
    assert [tuple(row) for row in kept] == [(1, "240101", "in_destination")]
    assert await count(conn, "cbi.person_version") == 0


async def test_the_same_content_again_is_no_event(conn):
    raw = family(2)
    one = await registered(conn, raw)
    assert await amended(conn, one.household_id, raw) == one
    assert await happened_to(conn, one.household_id) == []


async def test_registering_the_amended_content_again_changes_nothing_and_the_old_is_refused(conn):
    raw = family(3)
    one = await registered(conn, raw)
    changed = raw | {"ubigeo": "240102"}
    await amended(conn, one.household_id, changed)
    assert (await registered(conn, changed)).household_id == one.household_id
    assert [kind for _, kind, *_ in await happened_to(conn, one.household_id)] == ["updated"]


async def test_a_document_left_out_stays_known_for_matching(conn):
    raw = family(4, size=1)
    one = (await registered(conn, raw)).household_id
    later = deepcopy(raw)
    later["persons"][0]["documents"] = OTHER_NUMBER
    await amended(conn, one, later)
    persons = (await opened(conn, one)).persons
    assert [each.number for each in persons[0].documents] == ["V11222333"]
    flags = (await registered(conn, stranger_with(raw), BETA)).flags
    assert [flag.agreeing for flag in flags] != []
    assert "document" in flags[0].agreeing


async def test_a_document_that_was_an_error_speaks_for_nobody_any_more(conn):
    raw = family(5, size=1)
    one = (await registered(conn, raw)).household_id
    later = deepcopy(raw)
    later["persons"][0]["documents"] = OTHER_NUMBER
    await amended(conn, one, later, reason="data_error")
    flags = (await registered(conn, stranger_with(raw), BETA)).flags
    assert all("document" not in flag.agreeing for flag in flags)
    right = deepcopy(raw)
    right["persons"][0]["documents"] = OTHER_NUMBER
    assert (await registered(conn, again(right), BETA)).status == "review"


def stranger_with(raw):
    """Somebody with the first person's document and name, born on another day."""
    stranger = family(999, size=1)
    first = raw["persons"][0]
    stranger["persons"][0] |= {
        name: first[name] for name in ("documents", "given_names", "surnames")
    }
    return stranger


async def test_an_amended_household_is_checked_again(conn):
    theirs = await registered(conn, family(6), BETA)
    one = await registered(conn, family(7))
    assert one.status == "clear"
    now_alike = family(6) | {"reference": family(7)["reference"]}
    receipt = await amended(conn, one.household_id, now_alike, reason="data_error")
    assert receipt.status == "review"
    assert receipt.flags[0].ask.startswith("BETA")
    assert theirs.household_id != one.household_id


async def test_who_is_new_in_the_form_joins_and_who_is_missing_has_left(conn):
    raw = family(8, size=3)
    one = await registered(conn, raw)
    later = deepcopy(raw)
    later["persons"][2] = family(9)["persons"][1]
    receipt = await amended(conn, one.household_id, later)
    assert receipt.person_ids[:2] == one.person_ids[:2]
    assert receipt.person_ids[2] not in one.person_ids
    assert await happened_to(conn, one.household_id) == [(2, "updated", "changed", 1, 1)]
    # Who left stays findable, and whoever registers him anew is told.
    flags = (await registered(conn, alone(raw, 2, 10), BETA)).flags
    assert [(flag.left, flag.deceased) for flag in flags] == [(1, 0)]
    # He comes back as the same person.
    back = await amended(conn, one.household_id, raw, days=2)
    assert back.person_ids == one.person_ids


async def test_a_form_that_mends_an_error_takes_nobody_for_somebody_new(conn):
    raw = family(11, size=2)
    one = await registered(conn, raw)
    mended = deepcopy(raw)
    mended["persons"][1] = family(12)["persons"][1]
    receipt = await amended(conn, one.household_id, mended, reason="data_error")
    assert receipt.person_ids == one.person_ids
    kept = await conn.execute(text("SELECT person_id, version FROM cbi.person_version"))
    assert [tuple(row) for row in kept] == [(one.person_ids[1], 1)]


async def test_a_form_does_not_take_a_withdrawal_back(conn):
    raw = family(13)
    one = (await registered(conn, raw)).household_id
    await withdraw(conn, one, "duplicate_check")
    receipt = await amended(conn, one, raw | {"ubigeo": "240102"})
    assert [flag.why for flag in receipt.flags] == ["declined"]
    assert (await registered(conn, again(raw), BETA)).status == "clear"
    answer = {"kind": "duplicate_check", "granted": True, "text_version": "2026-1"}
    answer |= {"language": "es", "channel": "phone", "given_on": day(400).isoformat()}
    yes = raw | {"consents": [*raw["consents"][:2], answer]}
    flags = (await amended(conn, one, yes, days=400)).flags
    assert {flag.reason for flag in flags} == {"duplicate", "unchecked"}


async def test_needs_follow_and_stay_with_the_registrars(conn):
    raw = family(14)
    one = (await registered(conn, raw)).household_id
    needy = deepcopy(raw)
    needy["persons"][1]["specific_needs"] = ["disability"]
    await amended(conn, one, needy)
    await amended(conn, one, needy | {"ubigeo": "240102"}, days=2)
    await amended(conn, one, raw, days=3)
    rows = await conn.execute(text("SELECT version FROM cbi.specific_need ORDER BY version"))
    assert [row.version for row in rows] == [2, 4]


async def test_a_larger_family_is_paid_as_one_from_then_on(conn):
    raw = family(15, size=2)
    one = (await registered(conn, raw)).household_id
    await enrolled(conn, await programme_of(conn), one)
    larger = raw | {"persons": [*raw["persons"], family(16)["persons"][1]]}
    await amended(conn, one, larger)
    assert (await standing(conn, one)).size == 3


async def test_what_cannot_be_amended_is_refused(conn):
    raw = family(17)
    one = (await registered(conn, raw)).household_id
    changed = raw | {"ubigeo": "240102"}
    with pytest.raises(InvalidRegistration):
        await amended(conn, one, raw | {"ubigeo": "x"})
    with pytest.raises(BadValue):
        await amended(conn, one, changed | {"reference": "another"})
    with pytest.raises(NotFound):
        await amended(conn, one, changed, BETA)
    for area in ("15", "240102"):
        with pytest.raises((NotFound, OutsideArea)):
            await amended(conn, one, changed, staff(0, PARTNER_A, {"registrar"}, area))
    moved = raw | {"ubigeo": "150101"}
    with pytest.raises(OutsideArea):
        await amended(conn, one, moved, staff(0, PARTNER_A, {"registrar"}, "24"))
    await erase(conn, one)
    with pytest.raises(IdentityErased):
        await amended(conn, one, changed)


async def test_nothing_of_a_household_changes_without_an_event(conn):
    one = (await registered(conn, family(18))).household_id
    await db.set_facts(conn, ALFA)
    for change in ("size = 9", "version = 2", "ended_at = now()", "size = 9, version = 2"):
        assert (
            await refused_by(
                conn, f"UPDATE cbi.household SET {change} WHERE household_id = :i", i=one
            )
            == "household_by_event"
        )
    for change in ("gone = 'left'", "version = 2, gone = 'left'"):
        assert (
            await refused_by(conn, f"UPDATE cbi.person SET {change} WHERE household_id = :i", i=one)
            == "person_by_event"
        )
    assert (
        await refused_by(
            conn,
            "INSERT INTO cbi.person (person_id, household_id, partner_id, ordinal, sealed, version)"
            " SELECT uuidv7(), household_id, partner_id, 9, '', 2 FROM cbi.household",
        )
        == "person_by_event"
    )
    assert (
        await refused_by(
            conn,
            "INSERT INTO cbi.household_version SELECT household_id, 1, partner_id, content_key,"
            " ubigeo, population_type, 9, sealed FROM cbi.household",
        )
        == "version_kept"
    )
    assert (
        await refused_by(
            conn, "SELECT dedup.drop(ARRAY(SELECT person_id FROM cbi.person), '{1}', '{1}')"
        )
        == "keys_by_event"
    )


async def test_an_event_is_the_next_version_and_no_other(conn):
    one = (await registered(conn, family(19))).household_id
    await amended(conn, one, family(19) | {"ubigeo": "240102"})
    event = (
        "INSERT INTO cbi.household_event (event_id, household_id, partner_id, version, kind,"
        " reason, happened_on, actor_id, at, transaction_no) VALUES (uuidv7(), :i, :p, :v,"
        " 'updated', 'changed', '2026-06-01', :a, now(), 0)"
    )
    for version in (2, 4):
        facts = {"i": one, "p": PARTNER_A, "a": ALFA.actor_id, "v": version}
        assert await refused_by(conn, event, **facts) == "household_event_turn"


async def test_two_clerks_amend_one_household_one_after_the_other(own):
    async with own.begin() as conn:
        one = (await registered(conn, family(20))).household_id
    for ubigeo in ("240102", "240103"):
        async with own.begin() as conn:
            await amended(conn, one, family(20) | {"ubigeo": ubigeo})
    async with own.begin() as conn:
        assert [version for version, *_ in await happened_to(conn, one)] == [2, 3]


async def test_the_owner_of_the_database_can_not_rewrite_a_household_either(own):
    async with own.begin() as conn:
        one = (await registered(conn, family(21))).household_id
        await amended(conn, one, family(21) | {"ubigeo": "240102"})
    async with own.owner.connect() as conn:
        await conn.execute(text("SET session_replication_role = replica"))
        for statement in (
            "UPDATE cbi.household SET size = 9",
            "UPDATE cbi.person SET gone = 'left'",
            "DELETE FROM cbi.household_version",
            "DELETE FROM cbi.household_event",
        ):
            with pytest.raises(DBAPIError):
                async with conn.begin_nested():
                    await conn.execute(text(statement))


def test_people_are_told_apart_by_documents_then_names_then_dates():
    read = household.read(family(22, size=3), today=TODAY)
    people = list(read.registration.persons)
    assert pair(people, people[::-1]) == [2, 1, 0]
    assert pair(people, household.read(family(23), today=TODAY).registration.persons) == [None] * 2


def test_an_ended_household_has_a_refusal_of_its_own():
    assert HouseholdEnded(household_id=None).household_id is None
