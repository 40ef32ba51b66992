"""Consents taken back, households that end by it, and their erasure."""

import pytest

from api import db
from cbi.enrol import consents_missing
from cbi.identities import open_households
from cbi.refusal import (
    BadValue,
    ConsentNotGiven,
    HouseholdEnded,
    HouseholdStands,
    IdentityErased,
    NotFound,
    PaymentsPending,
)
from tests.cbi.events import amended, day, erased, happened_to, standing, withdrawn
from tests.cbi.world import (
    ALFA,
    BETA,
    DESK,
    again,
    approved,
    cancelled,
    count,
    enrolled,
    family,
    opened,
    programme_of,
    registered,
    released,
)


async def test_a_consent_taken_back_is_missing_and_cannot_be_taken_back_twice(conn):
    one = (await registered(conn, family(201))).household_id
    await withdrawn(conn, one, "fsp")
    assert await consents_missing(conn, [one]) == {one: ["fsp"]}
    assert await happened_to(conn, one) == [(2, "consent_withdrawn", "family_asked", 0, 0)]
    for kind in ("fsp", "referral"):
        with pytest.raises(ConsentNotGiven):
            await withdrawn(conn, one, kind, days=2)


async def test_without_the_duplicate_check_nobody_finds_the_family_and_a_person_looks(conn):
    raw = family(202)
    one = (await registered(conn, raw)).household_id
    await withdrawn(conn, one, "duplicate_check")
    assert (await registered(conn, again(raw), BETA)).status == "clear"
    receipt = await amended(conn, one, raw | {"ubigeo": "240102"}, days=2)
    assert [(flag.reason, flag.why) for flag in receipt.flags] == [("unchecked", "declined")]


async def test_a_family_that_withdraws_ends_and_every_consent_with_it(conn):
    raw = family(203)
    one = (await registered(conn, raw)).household_id
    programme = await programme_of(conn)
    await enrolled(conn, programme, one)
    await withdrawn(conn, one, "registration")
    assert (await standing(conn, one)).ended_at is not None
    assert await count(conn, "cbi.enrolment WHERE closed_at IS NULL") == 0
    assert await count(conn, "cbi.consent_in_force WHERE granted") == 0
    assert (await registered(conn, again(raw), BETA)).status == "clear"
    await db.set_facts(conn, ALFA)
    for again_ in (enrolled(conn, programme, one), registered(conn, raw)):
        with pytest.raises(HouseholdEnded):
            await again_
    with pytest.raises(HouseholdEnded):
        await withdrawn(conn, one, "fsp", days=2)


async def test_what_was_promised_to_a_family_that_withdrew_is_not_paid_first(conn):
    programme = await programme_of(conn)
    one = (await registered(conn, family(204))).household_id
    await enrolled(conn, programme, one)
    round_id = (await opened(conn, programme)).round_id
    await withdrawn(conn, one, "registration")
    assert await consents_missing(conn, [one]) == {one: ["registration", "fsp"]}
    assert round_id is not None


async def test_only_a_day_that_can_be_is_taken(conn):
    one = (await registered(conn, family(205))).household_id
    with pytest.raises(BadValue):
        await withdrawn(conn, one, "fsp", days=-400)
    with pytest.raises(NotFound):
        await withdrawn(conn, one, "fsp", BETA)


async def test_erasing_ends_the_reading_of_every_version(conn):
    raw = family(206)
    one = (await registered(conn, raw)).household_id
    await amended(conn, one, raw | {"ubigeo": "240102"})
    with pytest.raises(HouseholdStands):
        await erased(conn, one)
    await withdrawn(conn, one, "registration", days=2)
    await erased(conn, one, days=3)
    assert await open_households(conn, [one], vault=DESK.vault, purpose="test") == {}
    assert [kind for _, kind, *_ in await happened_to(conn, one)][-1] == "erased"
    with pytest.raises(IdentityErased):
        await erased(conn, one, days=4)


async def test_a_family_is_not_erased_while_payments_are_on_their_way(conn):
    programme = await programme_of(conn)
    one = (await registered(conn, family(207))).household_id
    await enrolled(conn, programme, one)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    await withdrawn(conn, one, "registration")
    with pytest.raises(PaymentsPending) as refused:
        await erased(conn, one)
    assert refused.value.payments == 1


async def test_a_family_whose_payment_was_cancelled_can_be_erased(conn):
    programme = await programme_of(conn)
    one, other = [(await registered(conn, family(seed))).household_id for seed in (208, 209)]
    for household_id in (one, other):
        await enrolled(conn, programme, household_id)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    await withdrawn(conn, one, "registration")
    entitlement = (
        await conn.exec_driver_sql(
            f"SELECT entitlement_id FROM cbi.entitlement WHERE household_id = '{one}'"
        )
    ).scalar_one()
    await cancelled(conn, round_id, entitlement)
    await erased(conn, one)
    assert await count(conn, "cbi.data_key") == 1


async def test_a_payment_that_was_sent_goes_on_after_the_withdrawal(conn):
    programme = await programme_of(conn)
    one = (await registered(conn, family(210))).household_id
    await enrolled(conn, programme, one)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    await released(conn, round_id)
    await withdrawn(conn, one, "registration")
    assert await count(conn, "ledger.attempt") == 1
    with pytest.raises(PaymentsPending):
        await erased(conn, one, days=3)
    assert day(1) < day(3)
