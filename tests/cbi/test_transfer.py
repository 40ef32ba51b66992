"""A household handed over to another organisation, with the family's consent."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi import transfer
from cbi.enrol import consents_missing, families
from cbi.identities import open_households
from cbi.overlap_refusal import Overlap
from cbi.refusal import (
    BadValue,
    ConsentMissing,
    HouseholdEnded,
    InvalidRegistration,
    NotFound,
    NothingToPay,
    OfferClosed,
    OfferStands,
    OutsideArea,
    ReferenceTaken,
)
from ledger.violation import constraint_of
from tests.cbi import overlapping
from tests.cbi.events import (
    accepted,
    amended,
    days_later,
    gone,
    happened_to,
    offered,
    referable,
    refused,
    standing,
    withdrawn,
)
from tests.cbi.overlapping import AUGUST, JULY
from tests.cbi.world import (
    ALFA,
    BETA,
    DESK,
    GAMA,
    again,
    approved,
    calculated,
    count,
    enrolled,
    family,
    judged,
    opened,
    programme_of,
    registered,
    released,
    rolled_back,
    staff,
)
from tests.conftest import PARTNER_B


async def taken_over(conn, raw):
    """The household before and after; BETA acts."""
    one = (await registered(conn, raw)).household_id
    made = await offered(conn, one)
    return one, await accepted(conn, made.offer_id)


async def test_before_accepting_only_the_district_and_the_size_are_seen(conn):
    one = (await registered(conn, referable(301, size=3))).household_id
    made = await offered(conn, one)
    assert (made.household_id, made.state, made.size) == (one, "open", 3)
    await db.set_facts(conn, BETA)
    (seen,) = await transfer.list_offers(conn, at=days_later(2), limit=9)
    assert (seen.household_id, seen.ubigeo, seen.size) == (None, "240101", 3)
    assert (seen.from_partner, seen.to_partner) == ("ALFA", "BETA")
    row = (await conn.execute(text("SELECT * FROM cbi.transfer_offer"))).one()
    assert one not in tuple(row)
    assert await count(conn, "cbi.household") == 0
    # Nor is there a way to look and then decline.
    sealed = await conn.execute(text("SELECT * FROM cbi.offered(:id)"), {"id": made.offer_id})
    assert sealed.all() == []
    await db.set_facts(conn, GAMA)
    assert await transfer.list_offers(conn, at=days_later(2), limit=9) == []


async def test_an_accepted_household_is_the_receivers_under_its_own_id_key_and_reference(conn):
    raw = referable(302, size=3)
    raw["persons"][1]["specific_needs"] = ["gbv_survivor"]
    one, receipt = await taken_over(conn, raw)
    assert receipt.household_id != one
    assert receipt.status == "clear"
    found = await open_households(conn, [receipt.household_id], vault=DESK.vault, purpose="test")
    identity = found[receipt.household_id]
    assert identity.household.reference == "B-1"
    told = [person["given_names"] for person in raw["persons"]]
    assert [each.given_names for each in identity.persons] == told
    assert await count(conn, "cbi.specific_need") == 0
    assert await happened_to(conn, receipt.household_id) == [(2, "received", "referred", 3, 0)]
    await db.set_facts(conn, ALFA)
    assert (await standing(conn, one)).ended_at is not None
    kinds = [(kind, out) for _, kind, _, _, out in await happened_to(conn, one)]
    assert kinds == [("offered", 0), ("transferred", 3)]
    with pytest.raises(HouseholdEnded):
        await amended(conn, one, raw | {"ubigeo": "240102"}, days=3)


async def test_who_pays_the_family_now_asks_for_that_consent_anew(conn):
    _, receipt = await taken_over(conn, referable(303))
    home = receipt.household_id
    assert await consents_missing(conn, [home]) == {home: ["fsp"]}
    kinds = await conn.scalars(text("SELECT kind FROM cbi.consent ORDER BY kind"))
    assert kinds.all() == ["duplicate_check", "referral", "registration"]


async def test_it_stays_one_family_and_no_month_is_paid_twice(conn):
    programme = await programme_of(conn)
    raw = referable(304)
    one = (await registered(conn, raw)).household_id
    await enrolled(conn, programme, one)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    made = await offered(conn, one)
    receipt = await accepted(conn, made.offer_id)
    form = raw | {"reference": "B-1", "consents": [*raw["consents"]]}
    await amended(conn, receipt.household_id, form, BETA, days=3)
    home = receipt.household_id
    both = await families(conn, [one, home])
    assert both[one] == both[home]
    theirs = await programme_of(conn, BETA)
    with pytest.raises(Overlap) as refused:
        await overlapping.promised(conn, theirs, home, BETA, first=JULY, at=days_later(4))
    assert refused.value.until == AUGUST
    await overlapping.promised(conn, theirs, home, BETA, first=AUGUST, at=days_later(4))
    month = (await opened(conn, theirs, BETA)).round_id
    with pytest.raises(NothingToPay):
        await calculated(conn, month, BETA)
    # What was promised before is still paid, to the collector of then.
    await released(conn, round_id)
    await db.set_facts(conn, ALFA)
    assert await count(conn, "ledger.attempt") == 1


async def test_its_places_in_programmes_close_and_the_receiver_may_enrol_it(conn):
    programme = await programme_of(conn)
    raw = referable(305)
    one = (await registered(conn, raw)).household_id
    await enrolled(conn, programme, one)
    receipt = await accepted(conn, (await offered(conn, one)).offer_id)
    await amended(conn, receipt.household_id, raw | {"reference": "B-1"}, BETA, days=3)
    theirs = await programme_of(conn, BETA)
    await overlapping.promised(
        conn, theirs, receipt.household_id, BETA, first=JULY, at=days_later(4)
    )
    await db.set_facts(conn, ALFA)
    assert await count(conn, "cbi.enrolment WHERE closed_at IS NULL") == 0
    # And whoever registers it anew finds one registration of it, not two.
    flags = (await registered(conn, again(raw), GAMA)).flags
    assert len(flags) == 1
    assert flags[0].ask.startswith("BETA")


async def test_families_that_are_placed_later_keep_it_with_the_one_before(conn):
    raw = referable(306)
    one, receipt = await taken_over(conn, raw)
    flags = (await registered(conn, again(raw), GAMA)).flags
    await judged(conn, flags[0].case_id, "same_household")
    theirs = (await registered(conn, again(raw), GAMA)).household_id
    found = await families(conn, [one, receipt.household_id, theirs])
    assert len(set(found.values())) == 1
    with pytest.raises(Overlap):
        await enrol_both(conn, receipt.household_id, theirs, raw)


async def enrol_both(conn, home, theirs, raw):
    await amended(conn, home, raw | {"reference": "B-1"}, BETA, days=3)
    await enrolled(conn, await programme_of(conn, BETA), home, BETA)
    await enrolled(conn, await programme_of(conn, GAMA), theirs, GAMA)


async def test_who_had_left_or_died_stays_findable_at_the_receiver(conn):
    raw = referable(307, size=3)
    one = await registered(conn, raw)
    await gone(conn, one.household_id, one.person_ids[2:], kind="deceased")
    receipt = await accepted(conn, (await offered(conn, one.household_id)).offer_id)
    assert len(receipt.person_ids) == 2
    assert (await standing(conn, receipt.household_id)).size == 2
    flags = (await registered(conn, again(raw), GAMA)).flags
    assert [flag.deceased for flag in flags] == [1]


async def test_nothing_is_offered_without_the_familys_standing_word(conn):
    silent = (await registered(conn, family(308))).household_id
    with pytest.raises(ConsentMissing):
        await offered(conn, silent)
    one = (await registered(conn, referable(309))).household_id
    made = await offered(conn, one)
    await withdrawn(conn, one, "referral", days=2)
    with pytest.raises(OfferClosed):
        await accepted(conn, made.offer_id, days=3)


async def test_an_offer_is_answered_once_and_in_time(conn):
    one = (await registered(conn, referable(310))).household_id
    made = await offered(conn, one)
    with pytest.raises(OfferStands):
        await offered(conn, one, "GAMA", days=2)
    for who in (GAMA, staff(0, PARTNER_B, {"programme"})):
        with pytest.raises((NotFound, OfferClosed)):
            await accepted(conn, made.offer_id, who)
    assert (await refused(conn, made.offer_id)).state == "refused"
    with pytest.raises(OfferClosed):
        await accepted(conn, made.offer_id, days=3)
    second = await offered(conn, one, days=4)
    assert (await refused(conn, second.offer_id, ALFA, days=5)).state == "taken_back"
    third = await offered(conn, one, days=6)
    with pytest.raises(OfferClosed):
        await accepted(conn, third.offer_id, days=20)
    with pytest.raises(OfferClosed):
        await refused(conn, third.offer_id, days=20)
    await db.set_facts(conn, BETA)
    states = [each.state for each in await transfer.list_offers(conn, at=days_later(20), limit=9)]
    assert states == ["refused", "taken_back", "expired"]
    fourth = await offered(conn, one, days=21)
    await accepted(conn, fourth.offer_id, days=22)
    with pytest.raises(OfferClosed):
        await accepted(conn, fourth.offer_id, reference="B-2", days=23)


async def test_what_cannot_be_offered_or_accepted_is_refused(conn):
    one = (await registered(conn, referable(311))).household_id
    for nobody in ("ALFA", "NOBODY"):
        with pytest.raises(BadValue):
            await offered(conn, one, nobody)
    with pytest.raises(NotFound):
        await offered(conn, one, "GAMA", BETA)
    made = await offered(conn, one)
    with pytest.raises(InvalidRegistration):
        await accepted(conn, made.offer_id, reference="B\u202e1")
    async with rolled_back(conn):
        with pytest.raises(OutsideArea):
            await accepted(conn, made.offer_id, staff(0, PARTNER_B, {"registrar"}, "15"))
    await registered(conn, family(312, reference="B-1"), BETA)
    with pytest.raises(ReferenceTaken):
        await accepted(conn, made.offer_id)
    with pytest.raises(NotFound):
        await refused(conn, made.offer_id, GAMA)


async def test_the_database_itself_keeps_offers_and_successions(conn):
    one = (await registered(conn, referable(313))).household_id
    made = await offered(conn, one)
    await db.set_facts(conn, BETA)
    answer = (
        "INSERT INTO cbi.transfer_answer SELECT offer_id, partner_id, to_partner_id, '{}',"
        " cbi.actor_id(), {}, 0 FROM cbi.transfer_offer"
    )
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await conn.execute(text(answer.format("accepted", "offered_at")))
    for statement, constraint in (
        ("SELECT cbi.succeed(:offer, :one, now())", "succession_of_event"),
        (
            "SELECT cbi.hand_over(:offer, :one, '2026-06-01', now())",
            "transfer_offer_stands",
        ),
        (answer.format("refused", "expires_at"), "transfer_answer_in_time"),
    ):
        with pytest.raises(DBAPIError) as error:
            async with conn.begin_nested():
                await conn.execute(text(statement), {"offer": made.offer_id, "one": one})
        assert constraint_of(error.value) == constraint
