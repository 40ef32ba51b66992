"""Persons who join a household, leave it, or die."""

import pytest

from api import db
from cbi.identities import load_sealed_payees, open_households, open_payee
from cbi.payment_files.profile import Profile
from cbi.profiles import load_profile
from cbi.refusal import (
    BadValue,
    HouseholdEnded,
    InvalidRegistration,
    NotFound,
    NothingToPay,
    PersonDeceased,
)
from tests.cbi.events import alone, amended, gone, happened_to, joined, standing
from tests.cbi.world import (
    ALFA,
    BETA,
    DESK,
    calculated,
    count,
    enrolled,
    family,
    opened,
    programme_of,
    registered,
)


async def test_a_newborn_joins_and_the_family_is_larger(conn):
    one = await registered(conn, family(101))
    child = family(102)["persons"][1] | {"specific_needs": ["child_at_risk"]}
    receipt = await joined(conn, one.household_id, [child])
    assert receipt.person_ids[:2] == one.person_ids
    assert len(receipt.person_ids) == 3
    assert receipt.status == "clear"
    assert (await standing(conn, one.household_id)).size == 3
    assert await happened_to(conn, one.household_id) == [(2, "joined", "born", 1, 0)]
    assert await count(conn, "cbi.specific_need") == 1


async def test_who_joins_is_checked_against_everybody(conn):
    await registered(conn, family(103, size=1), BETA)
    one = await registered(conn, family(104))
    assert one.status == "clear"
    lodger = family(103, size=1)["persons"][0] | {"relationship": "not_related"}
    receipt = await joined(conn, one.household_id, [lodger], reason="arrived")
    assert receipt.status == "review"
    assert receipt.flags[0].persons == 1


async def test_faults_of_who_joins_are_told_by_place(conn):
    raw = family(105)
    one = (await registered(conn, raw)).household_id
    nameless = family(106)["persons"][1] | {"given_names": ""}
    with pytest.raises(InvalidRegistration) as refused:
        await joined(conn, one, [family(107)["persons"][1], nameless])
    assert {fault.path for fault in refused.value.faults} == {"persons[1].given_names"}
    # Two who show one document are seen, also when one of them was there before.
    same = {"documents": raw["persons"][0]["documents"]}
    with pytest.raises(InvalidRegistration) as refused:
        await joined(conn, one, [family(107)["persons"][1] | same])
    assert {fault.code for fault in refused.value.faults} == {"document_repeated"}
    with pytest.raises(InvalidRegistration):
        await joined(conn, one, [family(107)["persons"][0]])  # a second head
    with pytest.raises(BadValue):
        await joined(conn, one, [family(seed)["persons"][1] for seed in range(200, 229)])
    assert await happened_to(conn, one) == []


async def test_who_left_is_found_and_told_as_such(conn):
    raw = family(108, size=3)
    one = await registered(conn, raw)
    receipt = await gone(conn, one.household_id, one.person_ids[2:])
    assert receipt.person_ids == one.person_ids[:2]
    assert (await standing(conn, one.household_id)).size == 2
    flags = (await registered(conn, alone(raw, 2, 109), BETA)).flags
    assert [(flag.left, flag.deceased) for flag in flags] == [(1, 0)]


async def test_whoever_registers_with_the_documents_of_the_dead_is_flagged_so(conn):
    raw = family(110)
    one = await registered(conn, raw)
    await gone(conn, one.household_id, one.person_ids[:1], kind="deceased")
    flags = (await registered(conn, alone(raw, 0, 111), BETA)).flags
    assert [(flag.left, flag.deceased) for flag in flags] == [(0, 1)]


async def test_without_its_collector_a_household_has_no_payee_until_another_is_named(conn):
    raw = family(112, size=3)
    one = await registered(conn, raw)
    programme = await programme_of(conn)
    await enrolled(conn, programme, one.household_id)
    profile = await load_profile(conn, programme.programme_id)
    assert await payee(conn, one.household_id, profile) is not None
    await gone(conn, one.household_id, one.person_ids[:1], kind="deceased")
    assert await payee(conn, one.household_id, profile) is None
    rest = raw | {"persons": [raw["persons"][1] | {"relationship": "head"}, raw["persons"][2]]}
    receipt = await amended(conn, one.household_id, rest, days=2)
    assert receipt.person_ids == one.person_ids[1:]
    named = await payee(conn, one.household_id, profile)
    assert named.given_names == raw["persons"][1]["given_names"]


async def payee(conn, household_id, profile: Profile):
    found = await load_sealed_payees(conn, [household_id], purpose="payment")
    return open_payee(found[household_id], DESK.vault, profile)


async def test_a_form_that_has_the_dead_is_refused_unless_that_was_the_error(conn):
    raw = family(113, size=3)
    one = await registered(conn, raw)
    await gone(conn, one.household_id, one.person_ids[2:], kind="deceased")
    moved = raw | {"ubigeo": "240102"}
    with pytest.raises(PersonDeceased):
        await amended(conn, one.household_id, moved, days=2)
    receipt = await amended(conn, one.household_id, moved, days=2, reason="data_error")
    assert receipt.person_ids == one.person_ids


async def test_when_nobody_lives_the_household_ends_and_stays_findable(conn):
    raw = family(114, size=1)
    one = await registered(conn, raw)
    programme = await programme_of(conn)
    await enrolled(conn, programme, one.household_id)
    await gone(conn, one.household_id, one.person_ids, kind="deceased")
    assert (await standing(conn, one.household_id)).ended_at is not None
    with pytest.raises(HouseholdEnded):
        await enrolled(conn, programme, one.household_id)
    with pytest.raises(HouseholdEnded):
        await registered(conn, raw)
    round_id = (await opened(conn, programme)).round_id
    with pytest.raises(NothingToPay):
        await calculated(conn, round_id)
    flags = (await registered(conn, alone(raw, 0, 115), BETA)).flags
    assert [flag.deceased for flag in flags] == [1]


async def test_nobody_takes_out_a_stranger_or_somebody_twice(conn):
    one = await registered(conn, family(116))
    theirs = await registered(conn, family(117))
    with pytest.raises(NotFound):
        await gone(conn, one.household_id, theirs.person_ids[:1])
    await gone(conn, one.household_id, one.person_ids[1:])
    with pytest.raises(NotFound):
        await gone(conn, one.household_id, one.person_ids[1:])
    with pytest.raises(NotFound):
        await gone(conn, one.household_id, one.person_ids[:1], BETA)


async def test_what_is_noted_with_an_event_is_sealed(conn):
    one = await registered(conn, family(118))
    await gone(conn, one.household_id, one.person_ids[1:], note="went to her aunt in Lima")
    await db.set_facts(conn, ALFA)
    opened_ = await open_households(conn, [one.household_id], vault=DESK.vault, purpose="test")
    assert len(opened_[one.household_id].persons) == 1
    assert await count(conn, "cbi.household_event WHERE note IS NOT NULL") == 1
    assert await count(conn, "cbi.household_event WHERE strpos(note::text, 'aunt') > 0") == 0


async def test_who_left_and_comes_back_is_the_same_person_and_the_dead_do_not(conn):
    raw = family(119, size=3)
    one = await registered(conn, raw)
    await gone(conn, one.household_id, one.person_ids[1:2])
    await gone(conn, one.household_id, one.person_ids[2:], kind="deceased", days=2)
    back = await joined(conn, one.household_id, [raw["persons"][1]], reason="arrived", days=3)
    assert back.person_ids == one.person_ids[:2]
    with pytest.raises(PersonDeceased):
        await joined(conn, one.household_id, [raw["persons"][2]], reason="arrived", days=4)
