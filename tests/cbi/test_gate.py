"""The gate before money moves: what has changed since the calculation stops the round by name."""

from datetime import date

import pytest

from api import db
from cbi.disburse import load_entitlements
from cbi.disbursement import Step
from cbi.overlap_refusal import Overlap
from cbi.refusal import PayeesBlocked
from tests.cbi.deciding import join
from tests.cbi.world import (
    ALFA,
    BETA,
    again,
    approved,
    calculated,
    cancelled,
    count,
    enrolled,
    enrolled_families,
    erase,
    family,
    opened,
    programme_of,
    registered,
    released,
    signed,
    staff,
    withdraw,
)
from tests.conftest import PARTNER_A


async def open_a_case(conn, household_ids):
    theirs = await registered(conn, again(family(1)), BETA)
    assert theirs.status == "review"


async def withdraw_consent(conn, household_ids):
    await withdraw(conn, household_ids[0], "fsp")


async def erase_identity(conn, household_ids):
    await erase(conn, household_ids[0])


async def pay_elsewhere(conn, household_ids):
    """Another partner has promised these months to what turns out to be the same family."""
    theirs = await registered(conn, family(80), BETA)
    programme = await programme_of(conn, BETA)
    await enrolled(conn, programme, theirs.household_id, BETA)
    round_ = await opened(conn, programme, BETA)
    await calculated(conn, round_.round_id, BETA)
    await join(conn, household_ids[0], theirs.household_id)


CHANGES = [
    (open_a_case, "open_case"),
    (withdraw_consent, "consent"),
    (erase_identity, "erased"),
    (pay_elsewhere, "paid_in_these_months"),
]


@pytest.mark.parametrize(("change", "why"), CHANGES)
@pytest.mark.parametrize("at_release", [False, True])
async def test_a_change_stops_the_round_and_a_cancellation_lets_the_rest_through(
    conn, change, why, at_release
):
    programme = await programme_of(conn)
    household_ids = await enrolled_families(conn, programme, 3)
    round_id = (await opened(conn, programme)).round_id
    await calculated(conn, round_id)
    await signed(conn, round_id, Step.PREPARED, staff(1))
    await signed(conn, round_id, Step.REVIEWED, staff(2))
    if at_release:
        await signed(conn, round_id, Step.APPROVED, staff(3))
    await change(conn, household_ids)

    async def go_on():
        if at_release:
            await released(conn, round_id)
        else:
            await signed(conn, round_id, Step.APPROVED, staff(3))

    await db.set_facts(conn, ALFA)
    before = await count(conn, "ledger.transfer")
    with pytest.raises(PayeesBlocked) as refused:
        async with conn.begin_nested():
            await go_on()
    assert dict(refused.value.blocked) == {household_ids[0]: (why,)}
    await db.set_facts(conn, ALFA)
    assert await count(conn, "ledger.transfer") == before
    (blocked,) = [
        each
        for each in await load_entitlements(conn, round_id)
        if each.household_id == household_ids[0]
    ]
    await cancelled(conn, round_id, blocked.entitlement_id)
    await go_on()


@pytest.mark.parametrize(("change", "why"), CHANGES)
async def test_a_calculation_leaves_out_who_is_blocked_and_says_why(conn, change, why):
    programme = await programme_of(conn)
    household_ids = await enrolled_families(conn, programme, 3)
    await change(conn, household_ids)
    made = await calculated(conn, (await opened(conn, programme)).round_id)
    assert made.left_out == {str(household_ids[0]): (why,)}
    assert made.signed.payments == 2


async def test_of_two_households_of_a_round_that_were_joined_one_is_paid(conn):
    programme = await programme_of(conn)
    household_ids = await enrolled_families(conn, programme, 2)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    await join(conn, *household_ids, partners=(PARTNER_A, PARTNER_A))
    with pytest.raises(PayeesBlocked) as refused:
        async with conn.begin_nested():
            await released(conn, round_id)
    ((blocked, why),) = refused.value.blocked.items()
    assert (blocked in household_ids, why) == (True, ("paid_in_these_months",))
    # Two enrolments of one family are one payment from now on.
    august = await opened(conn, programme, first=date(2026, 8, 1), end=date(2026, 9, 1))
    assert (await calculated(conn, august.round_id)).signed.payments == 1


@pytest.mark.parametrize("first_paid", ["earlier", "later"])
async def test_a_family_found_to_be_one_is_not_paid_by_both_partners(conn, first_paid):
    mine = (await registered(conn, family(1))).household_id
    theirs = (await registered(conn, family(2), BETA)).household_id
    sides = [(ALFA, mine), (BETA, theirs)]
    (payer, paid), (other, unpaid) = sides if first_paid == "earlier" else sides[::-1]
    programme = await programme_of(conn, payer)
    await enrolled(conn, programme, paid, payer)
    round_ = await opened(conn, programme, payer)
    await approved(conn, round_.round_id, payer.partner_id)
    await released(conn, round_.round_id, staff(4, payer.partner_id))
    late = await programme_of(conn, other)
    await enrolled(conn, late, unpaid, other)
    neighbour = (await registered(conn, family(3), other)).household_id
    await enrolled(conn, late, neighbour, other)
    await join(conn, mine, theirs)
    late_round = await opened(conn, late, other)
    made = await calculated(conn, late_round.round_id, other)
    assert made.left_out == {str(unpaid): ("paid_in_these_months",)}
    with pytest.raises(Overlap):
        await enrolled(conn, await programme_of(conn, other), unpaid, other)


async def test_a_case_does_not_take_away_what_a_family_gets_already(conn):
    """Any registration can open a case; whoever was paid before goes on being paid."""
    programme = await programme_of(conn)
    household_ids = await enrolled_families(conn, programme, 2)
    first = await opened(conn, programme)
    await approved(conn, first.round_id)
    await released(conn, first.round_id)
    await open_a_case(conn, household_ids)
    second = await opened(conn, programme, first=date(2026, 10, 1), end=date(2026, 11, 1))
    await approved(conn, second.round_id)
    await released(conn, second.round_id)
    paid = await load_entitlements(conn, second.round_id)
    assert {each.household_id for each in paid} == set(household_ids)
