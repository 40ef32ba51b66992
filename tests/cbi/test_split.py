"""Households that part, and households that become one."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import clock, db
from cbi.enrol import families
from cbi.identities import open_households
from cbi.overlap_refusal import Overlap
from cbi.refusal import (
    BadValue,
    FamiliesApart,
    HouseholdEnded,
    InvalidRegistration,
    NotFound,
    NothingToPay,
    OpenCase,
    ReferenceTaken,
)
from ledger.violation import constraint_of
from tests.cbi import overlapping
from tests.cbi.events import (
    accepted,
    amended,
    days_later,
    happened_to,
    merged,
    of_their_own,
    offered,
    parted,
    referable,
    standing,
)
from tests.cbi.overlapping import AUGUST, JULY
from tests.cbi.world import (
    ALFA,
    BETA,
    DESK,
    END,
    again,
    approved,
    calculated,
    cancelled,
    consent,
    count,
    enrolled,
    family,
    judged,
    opened,
    programme_of,
    registered,
    released,
)


async def promised(conn, programme, household_id):
    """Enrol a family and promise it July."""
    await enrolled(conn, programme, household_id)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    return round_id


async def test_who_parts_is_a_household_of_its_own_and_both_are_linked(conn):
    raw = family(401, size=4)
    one = await registered(conn, raw)
    receipt = await parted(conn, one.household_id, of_their_own(raw, (2, 3), 402))
    assert receipt.status == "clear"
    assert (await standing(conn, one.household_id)).size == 2
    assert (await standing(conn, receipt.household_id)).size == 2
    assert await happened_to(conn, one.household_id) == [(2, "split", "separated", 0, 2)]
    assert await happened_to(conn, receipt.household_id) == [(2, "split_off", "separated", 0, 0)]
    links = await conn.execute(
        text("SELECT household_id, other_household_id FROM cbi.household_event ORDER BY event_id")
    )
    pair = (one.household_id, receipt.household_id)
    assert [tuple(row) for row in links] == [pair, pair[::-1]]
    both = await families(conn, list(pair))
    assert len(set(both.values())) == 2
    # Each person is found once, in the household where he is now.
    flags = (await registered(conn, again(raw), BETA)).flags
    assert {flag.persons for flag in flags} == {2}
    assert len(flags) == 2


async def test_a_document_shown_before_the_split_is_known_after_it(conn):
    raw = family(403, size=3)
    one = await registered(conn, raw)
    later = raw | {"persons": [*raw["persons"]]}
    number = [{"type": "ve-cedula", "number": "V11222333"}]
    later["persons"][2] = raw["persons"][2] | {"documents": number}
    await amended(conn, one.household_id, later)
    receipt = await parted(conn, one.household_id, of_their_own(later, (2,), 404), days=2)
    sealed = await conn.execute(
        text("SELECT person_id FROM cbi.person WHERE household_id = :h"),
        {"h": receipt.household_id},
    )
    assert len(sealed.all()) == 1
    alike = family(405, size=1)
    same = ("documents", "given_names", "surnames", "birth_date")
    alike["persons"][0] |= {name: raw["persons"][2][name] for name in same}
    flags = (await registered(conn, alike, BETA)).flags
    assert "document" in flags[0].agreeing


async def test_a_month_promised_before_the_split_is_not_promised_again(conn):
    programme = await programme_of(conn)
    raw = family(406, size=3)
    one = (await registered(conn, raw)).household_id
    round_id = await promised(conn, programme, one)
    new = (await parted(conn, one, of_their_own(raw, (2,), 407))).household_id
    other = await programme_of(conn)
    await enrolled(conn, other, new)
    july = (await opened(conn, other)).round_id
    with pytest.raises(NothingToPay):
        await calculated(conn, july)
    # August was promised to nobody; both get it, each for its size.
    august = (await opened(conn, other, first=END, end=END.replace(month=9))).round_id
    assert (await calculated(conn, august)).signed.payments == 1
    # What was promised stays, for those who were there.
    await released(conn, round_id)
    assert await count(conn, "ledger.attempt") == 1


async def test_a_promise_that_was_cancelled_frees_the_month(conn):
    programme = await programme_of(conn)
    raw = family(408, size=3)
    one = (await registered(conn, raw)).household_id
    also = (await registered(conn, family(409))).household_id
    await enrolled(conn, programme, also)
    round_id = await promised(conn, programme, one)
    new = (await parted(conn, one, of_their_own(raw, (2,), 410))).household_id
    entitlement = await conn.scalar(
        text("SELECT entitlement_id FROM cbi.entitlement WHERE household_id = :h"), {"h": one}
    )
    await cancelled(conn, round_id, entitlement)
    other = await programme_of(conn)
    await enrolled(conn, other, new)
    assert (await calculated(conn, (await opened(conn, other)).round_id)).signed.payments == 1


async def test_what_another_organisation_promised_counts_too(conn):
    raw = family(411, size=3)
    one = await registered(conn, raw)
    theirs = await registered(conn, again(raw), BETA)
    await judged(conn, theirs.flags[0].case_id, "same_household")
    programme = await programme_of(conn, BETA)
    await enrolled(conn, programme, theirs.household_id, BETA)
    await calculated(conn, (await opened(conn, programme, BETA)).round_id, BETA)
    new = (await parted(conn, one.household_id, of_their_own(raw, (2,), 412))).household_id
    await judged(conn, await case_of(conn, new), "household_split")
    mine = await programme_of(conn)
    await enrolled(conn, mine, new)
    with pytest.raises(NothingToPay):
        await calculated(conn, (await opened(conn, mine)).round_id)


async def case_of(conn, household_id):
    await db.set_facts(conn, ALFA)
    return await conn.scalar(
        text(
            "SELECT case_id FROM dedup.match_case WHERE :h IN (household_a, household_b)"
            " AND reason = 'duplicate'"
        ),
        {"h": household_id},
    )


async def test_handing_the_new_household_over_is_no_way_round_it_either(conn):
    programme = await programme_of(conn)
    raw = family(413, size=3)
    one = (await registered(conn, raw)).household_id
    await promised(conn, programme, one)
    own = of_their_own(raw, (2,), 414)
    own["consents"] = [*own["consents"], consent("referral")]
    new = (await parted(conn, one, own)).household_id
    there = await accepted(conn, (await offered(conn, new, days=2)).offer_id, days=3)
    await amended(conn, there.household_id, own | {"reference": "B-1"}, BETA, days=4)
    theirs = await programme_of(conn, BETA)
    await enrolled(conn, theirs, there.household_id, BETA)
    with pytest.raises(NothingToPay):
        await calculated(conn, (await opened(conn, theirs, BETA)).round_id, BETA)


async def test_the_database_refuses_the_month_even_if_the_program_forgets(conn):
    programme = await programme_of(conn)
    raw = family(415, size=3)
    one = (await registered(conn, raw)).household_id
    await promised(conn, programme, one)
    new = (await parted(conn, one, of_their_own(raw, (2,), 416))).household_id
    other = await programme_of(conn)
    enrolment = await enrolled(conn, other, new)
    round_id = (await opened(conn, other)).round_id
    with pytest.raises(DBAPIError) as error:
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO cbi.entitlement (entitlement_id, round_id, partner_id,"
                    " enrolment_id, household_id, beneficiary_id, kind, assistance_group, months,"
                    " household_size, value_version, amount_minor, currency, computed_at)"
                    " SELECT :id, r.round_id, r.partner_id, :enrolment, :home, :family,"
                    " 'instalment', 'mpca', r.months, 1, 1, 1, 'PEN', now()"
                    " FROM cbi.round r WHERE r.round_id = :round"
                ),
                {
                    "id": clock.new_id(),
                    "enrolment": enrolment.enrolment_id,
                    "home": new,
                    "family": enrolment.beneficiary_id,
                    "round": round_id,
                },
            )
    assert constraint_of(error.value) == "entitlement_after_split"


async def test_what_cannot_part_is_refused(conn):
    raw = family(417, size=3)
    one = (await registered(conn, raw)).household_id
    with pytest.raises(BadValue):  # nobody of it
        await parted(conn, one, family(418))
    with pytest.raises(BadValue):  # nobody stays
        await parted(conn, one, of_their_own(raw, (0, 1, 2), 419))
    with pytest.raises(ReferenceTaken):
        await parted(conn, one, of_their_own(raw, (2,), 419) | {"reference": raw["reference"]})
    with pytest.raises(InvalidRegistration):
        await parted(conn, one, of_their_own(raw, (2,), 419) | {"consents": []})
    with pytest.raises(NotFound):
        await parted(conn, one, of_their_own(raw, (2,), 419), BETA)
    assert await count(conn, "cbi.household_event") == 0


async def test_two_households_become_one_and_who_was_in_both_is_one_person(conn):
    raw, more = family(421, size=2), family(422, size=3)
    more["persons"][2] = raw["persons"][1]
    more["persons"][1] = more["persons"][1] | {"specific_needs": ["disability"]}
    one, other = await registered(conn, raw), await registered(conn, more)
    receipt = await merged(conn, one.household_id, other.household_id)
    assert receipt.person_ids[:2] == one.person_ids
    assert len(receipt.person_ids) == 4
    assert (await standing(conn, one.household_id)).size == 4
    assert (await standing(conn, other.household_id)).ended_at is not None
    assert await happened_to(conn, one.household_id) == [(2, "merged", "same_household", 2, 0)]
    assert await happened_to(conn, other.household_id) == [
        (2, "merged_into", "same_household", 0, 3)
    ]
    found = await open_households(conn, [one.household_id], vault=DESK.vault, purpose="test")
    roles = [each.roles for each in found[one.household_id].persons]
    assert roles == [("head", "primary_collector"), (), (), ()]
    assert await count(conn, "cbi.specific_need") == 2
    both = await families(conn, [one.household_id, other.household_id])
    assert len(set(both.values())) == 1
    flags = (await registered(conn, again(more), BETA)).flags
    assert len(flags) == 1
    with pytest.raises(HouseholdEnded):
        await merged(conn, other.household_id, one.household_id, days=2)


async def test_no_month_is_paid_to_both_of_two_that_became_one(conn):
    programme = await programme_of(conn)
    one = (await registered(conn, family(423))).household_id
    other = (await registered(conn, family(424))).household_id
    round_id = await promised(conn, programme, other)
    await merged(conn, one, other)
    with pytest.raises(Overlap):
        await overlapping.promised(conn, programme, one, first=JULY, at=days_later(4))
    await overlapping.promised(conn, programme, one, first=AUGUST, at=days_later(4))
    with pytest.raises(NothingToPay):
        await calculated(conn, (await opened(conn, programme)).round_id)
    await released(conn, round_id)
    await db.set_facts(conn, ALFA)
    assert await count(conn, "ledger.attempt") == 1
    assert await count(conn, "cbi.enrolment WHERE closed_at IS NULL") == 1


async def test_a_split_can_be_undone_by_joining_again(conn):
    programme = await programme_of(conn)
    raw = family(425, size=3)
    one = (await registered(conn, raw)).household_id
    round_id = await promised(conn, programme, one)
    new = (await parted(conn, one, of_their_own(raw, (2,), 426))).household_id
    await merged(conn, one, new, days=2)
    assert (await standing(conn, one)).size == 3
    # Its own July is nothing that it would have to be kept from.
    assert await count(conn, f"cbi.split_promise WHERE household_id = '{one}'") == 0
    both = await families(conn, [one, new])
    assert len(set(both.values())) == 1
    await released(conn, round_id)
    assert await count(conn, "ledger.attempt") == 1


async def test_households_that_were_decided_to_be_strangers_do_not_become_one(conn):
    raw = family(427)
    one, other = await registered(conn, raw), await registered(conn, again(raw))
    await judged(conn, other.flags[0].case_id, "different")
    with pytest.raises(FamiliesApart):
        await merged(conn, one.household_id, other.household_id)
    with pytest.raises(BadValue):
        await merged(conn, one.household_id, one.household_id)
    theirs = await registered(conn, referable(428), BETA)
    with pytest.raises(NotFound):
        await merged(conn, one.household_id, theirs.household_id)


async def test_a_case_between_two_that_became_one_stops_nobody(conn):
    raw = family(431)
    one, other = await registered(conn, raw), await registered(conn, again(raw))
    assert other.status == "review"
    programme = await programme_of(conn)
    with pytest.raises(OpenCase):
        await enrolled(conn, programme, one.household_id)
    await merged(conn, one.household_id, other.household_id)
    await enrolled(conn, programme, one.household_id)
