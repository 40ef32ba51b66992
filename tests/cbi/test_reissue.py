"""What failed in a round is paid again, once, and the books still tie."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from api import db
from cbi import reissue, report, wind_up
from cbi.disbursement import Step, end_to_end_id
from cbi.refusal import (
    FollowupSuperseded,
    MoneyGivenBack,
    NothingToReissue,
    NotReleased,
    PayeesBlocked,
    SamePerson,
    StepDone,
    StepOutOfOrder,
)
from ledger.trial import trial_balance
from ledger.violation import constraint_of
from tests.cbi.conftest import Crash
from tests.cbi.follow import (
    a_sent_round,
    approved_again,
    came,
    followed,
    reissued,
    released_again,
    signed_on,
)
from tests.cbi.test_races import at_once
from tests.cbi.world import ALFA, AT, BETA, DESK, TODAY, a_round, erase, staff, withdraw
from tests.ledger.test_seal import faults, sealed, verified


async def ties(conn, round_id):
    found = await report.round_report(conn, round_id=round_id)
    assert found.ties, found.checks
    rows = await trial_balance(conn)
    debit = sum(row.debit_minor for row in rows)
    assert debit == sum(row.credit_minor for row in rows)
    return {state: (sums.payments, sums.amount_minor) for state, sums in found.by_state.items()}


async def test_a_rejected_payment_is_paid_again_and_the_report_ties(conn):
    _, round_id, paid = await a_sent_round(conn)
    await came(conn, "rejected", paid[:1])
    await came(conn, "delivered", paid[1:])
    made = await reissued(conn, round_id)
    assert [(one.payment_id, one.attempt_no, one.after) for one in made.listed] == [
        (paid[0].entitlement_id, 2, "void")
    ]
    minor = paid[0].money.amount_minor
    assert (await ties(conn, round_id))["pending"] == (1, minor)
    await came(conn, "delivered", paid[:1], 2)
    total = sum(each.money.amount_minor for each in paid)
    assert await ties(conn, round_id) == {"delivered": (3, total)}


async def test_a_returned_payment_is_paid_again_and_the_report_ties(conn):
    _, round_id, paid = await a_sent_round(conn)
    await came(conn, "delivered", paid)
    await came(conn, "returned", paid[:1])
    made = await reissued(conn, round_id)
    assert [(one.attempt_no, one.after) for one in made.listed] == [(2, "returned")]
    await came(conn, "delivered", paid[:1], 2)
    total = sum(each.money.amount_minor for each in paid)
    assert await ties(conn, round_id) == {"delivered": (3, total)}


async def test_a_payment_can_fail_twice_and_be_paid_the_third_time(conn):
    _, round_id, paid = await a_sent_round(conn, 1)
    await came(conn, "rejected", paid)
    await reissued(conn, round_id)
    await came(conn, "rejected", paid, 2)
    made = await reissued(conn, round_id)
    assert (made.followup.followup_no, made.listed[0].attempt_no) == (2, 3)
    await came(conn, "delivered", paid, 3)
    assert (await ties(conn, round_id))["delivered"][0] == 1


async def test_only_what_failed_is_on_the_list_and_nothing_that_is_pending(conn):
    _, round_id, paid = await a_sent_round(conn)
    with pytest.raises(NothingToReissue):
        await followed(conn, round_id)
    await came(conn, "delivered", paid[:1])
    await came(conn, "rejected", paid[1:2])
    made = await followed(conn, round_id)
    assert [one.payment_id for one in made.listed] == [paid[1].entitlement_id]
    assert (made.payments, made.total, made.left_out) == (1, paid[1].money, ())


async def test_a_round_that_is_not_released_has_no_follow_up(conn):
    *_, round_id = await a_round(conn, 1)
    with pytest.raises(NotReleased):
        await followed(conn, round_id)


async def test_who_can_not_be_paid_now_is_left_out_with_the_reasons(conn):
    _, round_id, paid = await a_sent_round(conn)
    await came(conn, "rejected", paid)
    await withdraw(conn, paid[0].household_id)
    await erase(conn, paid[1].household_id)
    made = await followed(conn, round_id)
    assert [one.payment_id for one in made.listed] == [paid[2].entitlement_id]
    assert {one.payment_id: one.reasons for one in made.left_out} == {
        paid[0].entitlement_id: ("consent",),
        paid[1].entitlement_id: ("erased",),
    }


async def test_who_can_not_be_paid_any_more_stops_the_approval_and_a_new_follow_up_goes_on(conn):
    _, round_id, paid = await a_sent_round(conn)
    await came(conn, "rejected", paid)
    first = (await followed(conn, round_id)).followup.followup_id
    await signed_on(conn, first, Step.PREPARED, staff(1))
    await signed_on(conn, first, Step.REVIEWED, staff(2))
    await withdraw(conn, paid[0].household_id)
    with pytest.raises(PayeesBlocked) as refused:
        await signed_on(conn, first, Step.APPROVED, staff(3))
    assert refused.value.blocked == {paid[0].household_id: ("consent",)}
    made = await reissued(conn, round_id)
    assert made.payments == 2
    with pytest.raises(FollowupSuperseded) as superseded:
        await signed_on(conn, first, Step.APPROVED, staff(3))
    assert superseded.value.newest == made.followup.followup_id


async def test_what_has_no_room_waits_for_the_next_follow_up(conn):
    _, round_id, paid = await a_sent_round(conn)
    await came(conn, "rejected", paid)
    made = await followed(conn, round_id, payments_max=2)
    assert (made.payments, made.followup.waiting) == (2, 1)


async def test_a_follow_up_takes_four_people_in_order(conn):
    _, round_id, paid = await a_sent_round(conn)
    await came(conn, "rejected", paid[:1])
    one = (await followed(conn, round_id)).followup.followup_id
    with pytest.raises(StepOutOfOrder):
        await signed_on(conn, one, Step.REVIEWED, staff(2))
    with pytest.raises(StepOutOfOrder):
        await released_again(conn, one)
    await signed_on(conn, one, Step.PREPARED, staff(1))
    with pytest.raises(StepDone):
        await signed_on(conn, one, Step.PREPARED, staff(2))
    with pytest.raises(SamePerson):
        await signed_on(conn, one, Step.REVIEWED, staff(1))
    await signed_on(conn, one, Step.REVIEWED, staff(2))
    await signed_on(conn, one, Step.APPROVED, staff(3))
    with pytest.raises(SamePerson):
        await released_again(conn, one, staff(3))
    await released_again(conn, one)
    with pytest.raises(StepDone):
        await released_again(conn, one, staff(5))


async def test_money_that_was_given_back_is_not_paid_again(conn):
    _, round_id, paid = await a_sent_round(conn, 1)
    await came(conn, "rejected", paid)
    await wind_up.wind_up(
        conn, round_id=round_id, partner_id=ALFA.partner_id, actor_id=ALFA.actor_id, on=TODAY, at=AT
    )
    one = (await followed(conn, round_id)).followup.followup_id
    await signed_on(conn, one, Step.PREPARED, staff(1))
    await signed_on(conn, one, Step.REVIEWED, staff(2))
    with pytest.raises(MoneyGivenBack) as refused:
        await signed_on(conn, one, Step.APPROVED, staff(3))
    assert refused.value.given_back_minor == paid[0].money.amount_minor


async def test_the_file_names_the_new_attempt_and_is_kept_as_it_was(conn):
    _, round_id, paid = await a_sent_round(conn)
    await came(conn, "rejected", paid[:1])
    made = await followed(conn, round_id)
    followup_id = made.followup.followup_id
    with pytest.raises(NotReleased):
        await reissue.read_file(conn, followup_id, vault=DESK.vault)
    await approved_again(conn, followup_id)
    await released_again(conn, followup_id)
    file = await reissue.read_file(conn, followup_id, vault=DESK.vault)
    assert end_to_end_id(paid[0].entitlement_id, 2).encode() in file.content
    assert end_to_end_id(paid[0].entitlement_id, 1).encode() not in file.content
    assert str(made.followup.pays_on).encode() in file.content
    assert followup_id.hex.upper() in file.message_id


async def test_of_two_clerks_who_release_a_follow_up_at_once_one_pays(own):
    async with own.begin() as conn:
        _, round_id, paid = await a_sent_round(conn)
        await came(conn, "rejected", paid)
        one = (await followed(conn, round_id)).followup.followup_id
        await approved_again(conn, one)
    before = await own.rows()
    assert await at_once(
        own,
        *(lambda conn, place=place: released_again(conn, one, staff(place)) for place in (4, 5)),
    ) == ["Signed", "StepDone"]
    after = await own.rows()
    assert after["ledger.attempt"] == before["ledger.attempt"] + 3
    assert after["ledger.transfer"] == before["ledger.transfer"] + 4
    assert after["cbi.followup_file"] == 1


async def test_a_release_that_dies_anywhere_leaves_nothing(own):
    async with own.begin() as conn:
        _, round_id, paid = await a_sent_round(conn, 1)
        await came(conn, "rejected", paid)
        one = (await followed(conn, round_id)).followup.followup_id
        await approved_again(conn, one)
    before = await own.rows()
    for place in range(200):
        try:
            async with own.dying(place) as conn:
                await released_again(conn, one)
        except Crash:
            assert await own.rows() == before
        else:
            break
    assert place > 5
    assert (await own.rows())["ledger.attempt"] == before["ledger.attempt"] + 1


async def test_the_sealed_ledger_is_whole_after_payments_were_paid_again(own):
    async with own.begin() as conn:
        _, round_id, paid = await a_sent_round(conn)
        await came(conn, "rejected", paid[:1])
        await came(conn, "delivered", paid[1:])
        await came(conn, "returned", paid[1:2])
        await reissued(conn, round_id)
        await came(conn, "delivered", paid[:2], 2)
    await sealed(own)
    assert faults(await verified(own)) == set()


async def test_another_organisation_sees_no_follow_up_and_signs_none(conn):
    _, round_id, paid = await a_sent_round(conn, 1)
    await came(conn, "rejected", paid)
    await reissued(conn, round_id)
    await db.set_facts(conn, BETA)
    for table in ("", "_payment", "_left_out", "_step", "_file"):
        seen = await conn.scalar(text(f"SELECT count(*) FROM cbi.followup{table}"))
        assert seen == 0, table


async def test_a_list_can_not_be_added_to_after_its_first_step(conn):
    _, round_id, paid = await a_sent_round(conn)
    await came(conn, "rejected", paid)
    await followed(conn, round_id, payments_max=1)
    with pytest.raises(IntegrityError) as refused:
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO cbi.followup_payment (followup_id, payment_id, round_id,"
                    " partner_id, household_id, attempt_no, after_return, amount_minor)"
                    " SELECT followup_id, :other, round_id, partner_id, :household, 2, false,"
                    " :minor FROM cbi.followup_payment"
                ),
                {
                    "other": paid[1].entitlement_id,
                    "household": paid[1].household_id,
                    "minor": paid[1].money.amount_minor,
                },
            )
    assert constraint_of(refused.value) == "followup_payment_before_signatures"
