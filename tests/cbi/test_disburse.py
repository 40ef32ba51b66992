"""A round: five steps by four people, checked again at the gate, released whole or not at all."""

from datetime import date
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi.disburse import load_entitlements, load_steps
from cbi.disbursement import Step
from cbi.payout import read_file
from cbi.refusal import (
    EntitlementSettled,
    NotFound,
    NothingToPay,
    NoTransferValue,
    NotReleased,
    SamePerson,
    StepDone,
    StepOutOfOrder,
    TooManyPayees,
)
from ledger.refusal import InsufficientFunds
from tests.cbi.agreed import basis_by_hand
from tests.cbi.deciding import join
from tests.cbi.world import (
    ALFA,
    BETA,
    DESK,
    PARTNER_B,
    a_round,
    approved,
    calculated,
    calculated_once,
    cancelled,
    count,
    enrolled,
    enrolled_families,
    family,
    funded,
    opened,
    programme_of,
    registered,
    released,
    signed,
    staff,
)


async def step_by_hand(conn, round_id, step, who, **other):
    """Write a signature past the program."""
    await db.set_facts(conn, who)
    await conn.execute(
        text(
            "INSERT INTO cbi.round_step (round_id, step, partner_id, actor_id, at, payments,"
            " amount_minor, list_digest) VALUES (:round_id, :step, :partner_id, :actor_id, now(),"
            " 1, 1, '')"
        ),
        {
            "round_id": round_id,
            "step": int(step),
            "partner_id": who.partner_id,
            "actor_id": who.actor_id,
        }
        | other,
    )


async def test_a_round_goes_from_calculation_to_release(conn):
    programme, household_ids, round_id = await a_round(conn, 5)
    made = await calculated(conn, round_id)
    assert (made.signed.payments, made.left_out) == (5, {})
    # Sizes 1, 2, 3, 4 and 1 again; the table ends at 3.
    assert made.signed.total.amount_minor == 10_000 + 15_000 + 20_000 + 20_000 + 10_000
    for place, step in enumerate((Step.PREPARED, Step.REVIEWED, Step.APPROVED), start=1):
        await signed(conn, round_id, step, staff(place))
    await released(conn, round_id)
    steps = await load_steps(conn, round_id, programme.currency)
    assert [step.step for step in steps] == [
        "calculated",
        "prepared",
        "reviewed",
        "approved",
        "released",
    ]
    assert len({step.list_digest for step in steps}) == 1
    assert {each.household_id for each in await load_entitlements(conn, round_id)} == set(
        household_ids
    )
    assert await count(conn, "ledger.attempt") == 5
    file = await read_file(conn, round_id, vault=DESK.vault)
    assert file.content.count(b"<CdtTrfTxInf>") == 5


async def test_a_step_can_not_be_taken_before_the_one_before_it(conn):
    _, _, round_id = await a_round(conn)
    with pytest.raises(NothingToPay):
        await signed(conn, round_id, Step.PREPARED, staff(1))
    await calculated(conn, round_id)
    for step in (Step.REVIEWED, Step.APPROVED):
        with pytest.raises(StepOutOfOrder) as refused:
            await signed(conn, round_id, step, staff(1))
        assert refused.value.step == step.word
    with pytest.raises(StepOutOfOrder):
        await released(conn, round_id)
    for step in (Step.REVIEWED, Step.APPROVED, Step.RELEASED):
        with pytest.raises(DBAPIError, match="round_step_in_order"):
            async with conn.begin_nested():
                await step_by_hand(conn, round_id, step, staff(1))


async def test_a_step_is_taken_once(conn):
    _, _, round_id = await a_round(conn)
    await approved(conn, round_id)
    await released(conn, round_id)
    with pytest.raises(StepDone):
        await calculated(conn, round_id)
    for step in (Step.PREPARED, Step.REVIEWED, Step.APPROVED):
        with pytest.raises(StepDone):
            await signed(conn, round_id, step, staff(7))
    with pytest.raises(StepDone):
        await released(conn, round_id, staff(7))
    with pytest.raises(DBAPIError, match="round_step_once"):
        async with conn.begin_nested():
            await step_by_hand(conn, round_id, Step.RELEASED, staff(8))


@pytest.mark.parametrize("place", [2, 3, 4])
async def test_four_steps_take_four_people(conn, place):
    _, _, round_id = await a_round(conn)
    await calculated(conn, round_id, staff(1))
    steps = (Step.PREPARED, Step.REVIEWED, Step.APPROVED, Step.RELEASED)
    for number, step in enumerate(steps[: place - 1], start=1):
        await signed(conn, round_id, step, staff(number))
    step = steps[place - 1]
    for earlier in range(1, place):
        who = staff(earlier)
        is_last = step is Step.RELEASED
        again = released(conn, round_id, who) if is_last else signed(conn, round_id, step, who)
        with pytest.raises(SamePerson):
            await again
        with pytest.raises(DBAPIError, match="round_step_four_people"):
            async with conn.begin_nested():
                await step_by_hand(conn, round_id, step, staff(earlier))


async def test_nobody_signs_in_another_name_or_for_another_partner(conn):
    _, _, round_id = await a_round(conn)
    await calculated(conn, round_id)
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await step_by_hand(conn, round_id, Step.PREPARED, staff(1), actor_id=uuid4())
    with pytest.raises(NotFound):
        await signed(conn, round_id, Step.PREPARED, staff(1, PARTNER_B))
    with pytest.raises(DBAPIError, match="round_step_of_round"):
        async with conn.begin_nested():
            await step_by_hand(conn, round_id, Step.PREPARED, staff(1, PARTNER_B))


async def test_nothing_is_added_to_a_list_that_was_calculated(conn):
    programme, _, round_id = await a_round(conn)
    await calculated(conn, round_id)
    late = (await registered(conn, family(99))).household_id
    enrolment = await enrolled(conn, programme, late)
    with pytest.raises(DBAPIError, match="is calculated"):
        async with conn.begin_nested():
            await entitle_by_hand(conn, round_id, enrolment, late)


async def entitle_by_hand(conn, round_id, enrolment, beneficiary_id, who=ALFA):
    await db.set_facts(conn, who)
    await conn.execute(
        text(
            "INSERT INTO cbi.entitlement (entitlement_id, round_id, partner_id, enrolment_id,"
            " household_id, beneficiary_id, kind, assistance_group, months, household_size,"
            " value_version, amount_minor, currency, computed_at) VALUES (:id, :round_id,"
            " :partner_id, :enrolment_id, :household_id, :beneficiary_id, 'instalment', 'mpca',"
            " '[2026-07-01,2026-08-01)', 1, 1, 1, 'PEN', now())"
        ),
        {
            "id": uuid4(),
            "round_id": round_id,
            "partner_id": who.partner_id,
            "enrolment_id": enrolment.enrolment_id,
            "household_id": enrolment.household_id,
            "beneficiary_id": beneficiary_id,
        },
    )


async def test_assistance_of_one_kind_never_overlaps_for_a_family(conn):
    programme, (household_id,), round_id = await a_round(conn, 1)
    await calculated(conn, round_id)
    mine = (await opened(conn, programme)).round_id
    theirs = await registered(conn, family(50), BETA)
    other = await programme_of(conn, BETA)
    enrolment = await enrolled(conn, other, theirs.household_id, BETA)
    beta_round = (await opened(conn, other, BETA)).round_id
    # Whichever is asked first.
    with pytest.raises(DBAPIError, match=r"is of another family|entitlement_no_overlap"):
        async with conn.begin_nested():
            await entitle_by_hand(conn, beta_round, enrolment, household_id, BETA)
    await join(conn, household_id, theirs.household_id)
    with pytest.raises(DBAPIError, match="entitlement_no_overlap"):
        async with conn.begin_nested():
            await entitle_by_hand(conn, beta_round, enrolment, household_id, BETA)
    with pytest.raises(DBAPIError, match="is of another family"):
        async with conn.begin_nested():
            await entitle_by_hand(conn, mine, enrolment, uuid4())
    await db.set_facts(conn, ALFA)
    (entitlement,) = await load_entitlements(conn, round_id)
    await cancelled(conn, round_id, entitlement.entitlement_id)
    await basis_by_hand(conn, beta_round, BETA)
    await entitle_by_hand(conn, beta_round, enrolment, household_id, BETA)


async def test_months_that_touch_are_paid_and_months_that_overlap_are_not(conn):
    programme, household_ids, round_id = await a_round(conn, 2)
    await calculated(conn, round_id)
    following = await opened(conn, programme, first=date(2026, 8, 1), end=date(2026, 10, 1))
    made = await calculated(conn, following.round_id)
    assert made.signed.total.amount_minor == 2 * (10_000 + 15_000)
    for first in (date(2026, 6, 1), date(2026, 7, 1)):
        overlapping = await opened(conn, programme, first=first, end=date(2026, 9, 1))
        with pytest.raises(NothingToPay):
            await calculated(conn, overlapping.round_id)
    fresh = (await registered(conn, family(70))).household_id
    await enrolled(conn, programme, fresh)
    made = await calculated(conn, overlapping.round_id)
    assert made.left_out == dict.fromkeys(map(str, household_ids), ("paid_in_these_months",))


async def test_without_a_value_or_anybody_to_pay_there_is_no_calculation(conn):
    programme = await programme_of(conn)
    round_ = await opened(conn, programme)
    with pytest.raises(NothingToPay):
        await calculated(conn, round_.round_id)
    with pytest.raises(NotFound):
        await calculated(conn, uuid4())
    with pytest.raises(NotReleased):
        await read_file(conn, round_.round_id, vault=DESK.vault)


async def test_a_value_table_counts_from_its_day(conn):
    programme = await programme_of(conn, values_from=date(2026, 6, 3))
    await enrolled_families(conn, programme, 1)
    round_ = await opened(conn, programme)
    with pytest.raises(NoTransferValue):
        await calculated(conn, round_.round_id)


async def test_more_payees_than_a_round_can_pay_are_refused_before_anything_is_stored(conn):
    _, _, round_id = await a_round(conn, 3)
    with pytest.raises(TooManyPayees) as refused:
        await calculated_once(conn, round_id, payments_max=2)
    assert (refused.value.payees, refused.value.payees_max) == (3, 2)
    assert await count(conn, "cbi.entitlement") == 0


async def test_a_cancelled_payment_lets_the_rest_through(conn):
    _, _, round_id = await a_round(conn, 3)
    await approved(conn, round_id)
    first, *rest = await load_entitlements(conn, round_id)
    await cancelled(conn, round_id, first.entitlement_id)
    done = await released(conn, round_id)
    assert done.payments == 2
    assert await load_entitlements(conn, round_id) == rest
    assert await count(conn, "ledger.attempt") == 2
    # The control report shows that the list changed after it was approved.
    *before, last = await load_steps(conn, round_id, "PEN")
    assert last.list_digest not in {step.list_digest for step in before}


async def test_who_takes_a_family_off_the_list_does_not_release_the_rest(conn):
    _, _, round_id = await a_round(conn, 2)
    await approved(conn, round_id)
    first, _ = await load_entitlements(conn, round_id)
    await cancelled(conn, round_id, first.entitlement_id, staff(4))
    with pytest.raises(SamePerson):
        async with conn.begin_nested():
            await released(conn, round_id)
    await released(conn, round_id, staff(5))


async def test_a_payment_is_cancelled_once_and_before_the_release(conn):
    _, _, round_id = await a_round(conn, 3)
    await approved(conn, round_id)
    first, second, _ = await load_entitlements(conn, round_id)
    await cancelled(conn, round_id, first.entitlement_id)
    with pytest.raises(EntitlementSettled):
        await cancelled(conn, round_id, first.entitlement_id)
    await released(conn, round_id)
    with pytest.raises(EntitlementSettled):
        await cancelled(conn, round_id, second.entitlement_id)
    for round_asked, entitlement_id in ((uuid4(), second.entitlement_id), (round_id, uuid4())):
        with pytest.raises(NotFound):
            await cancelled(conn, round_asked, entitlement_id)


async def test_another_partner_can_not_cancel(conn):
    _, _, round_id = await a_round(conn, 1)
    await calculated(conn, round_id)
    (one,) = await load_entitlements(conn, round_id)
    with pytest.raises(NotFound):
        await cancelled(conn, round_id, one.entitlement_id, BETA)


@pytest.mark.parametrize(
    "change", ["amount_minor = 1", "cancelled_at = NULL", "household_id = household_id"]
)
async def test_nothing_else_of_an_entitlement_changes(conn, change):
    _, _, round_id = await a_round(conn, 1)
    await calculated(conn, round_id)
    (one,) = await load_entitlements(conn, round_id)
    await cancelled(conn, round_id, one.entitlement_id)
    with pytest.raises(DBAPIError, match=r"permission denied|is settled"):
        async with conn.begin_nested():
            await conn.execute(text(f"UPDATE cbi.entitlement SET {change}"))


async def test_a_round_whose_payments_are_all_cancelled_goes_nowhere(conn):
    _, _, round_id = await a_round(conn, 1)
    await calculated(conn, round_id)
    (one,) = await load_entitlements(conn, round_id)
    await cancelled(conn, round_id, one.entitlement_id)
    with pytest.raises(NothingToPay):
        await signed(conn, round_id, Step.PREPARED, staff(1))


async def test_the_fund_must_cover_the_round_at_approval_and_at_release(conn):
    programme, _, round_id = await a_round(conn, 2, grant=24_999)
    await calculated(conn, round_id)
    await signed(conn, round_id, Step.PREPARED, staff(1))
    await signed(conn, round_id, Step.REVIEWED, staff(2))
    with pytest.raises(InsufficientFunds) as refused:
        await signed(conn, round_id, Step.APPROVED, staff(3))
    assert (refused.value.available_minor, refused.value.wanted_minor) == (24_999, 25_000)
    await funded(conn, programme, 1)
    await signed(conn, round_id, Step.APPROVED, staff(3))
    # Another round takes the money first.
    other = await opened(conn, programme, first=date(2026, 9, 1), end=date(2026, 10, 1))
    await approved(conn, other.round_id)
    await released(conn, other.round_id)
    with pytest.raises(InsufficientFunds):
        async with conn.begin_nested():
            await released(conn, round_id)
    await funded(conn, programme, 25_000)
    await released(conn, round_id)
