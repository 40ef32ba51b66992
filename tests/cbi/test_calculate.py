"""A round is calculated by pages: the same list, and nothing is signed before the last page."""

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from api import clock, db
from cbi import tables
from cbi.calculate import LEFT_OUT_MAX, Calculated, load_left_out
from cbi.disburse import load_entitlements, load_list
from cbi.disbursement import Progress, Step
from cbi.enrol import close
from cbi.entitlement import list_digest
from cbi.refusal import NothingToPay, StepDone, StepOutOfOrder
from tests.cbi.agreed import basis_by_hand
from tests.cbi.deciding import join
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    a_round,
    calculated,
    calculated_once,
    cancelled,
    count,
    enrolled,
    enrolled_families,
    family,
    opened,
    programme_of,
    registered,
    rolled_back,
    signed,
    staff,
    withdraw,
)
from tests.conftest import PARTNER_A


async def page_by_hand(conn, round_id, **changes):
    """Write a page of the calculation past the program."""
    facts = {
        "round_id": round_id,
        "page_no": 1,
        "partner_id": PARTNER_A,
        "actor_id": ALFA.actor_id,
        "at": AT,
        "upto_enrolment": clock.new_id(),
        "payments": 0,
        "amount_minor": 0,
        "left_out": 0,
        "is_last": True,
        "expected": 0,
    }
    await db.set_facts(conn, ALFA)
    await conn.execute(insert(tables.calculation_page).values(facts | changes))


async def step_by_hand(conn, round_id, step, listed, who, **changes):
    """Sign past the program."""
    await db.set_facts(conn, who)
    facts = {
        "round_id": round_id,
        "step": int(step),
        "partner_id": who.partner_id,
        "actor_id": who.actor_id,
        "at": AT,
        "payments": listed.payments,
        "amount_minor": listed.total.amount_minor,
        "list_digest": listed.list_digest,
    }
    await conn.execute(insert(tables.round_step).values(facts | changes))


@pytest.mark.parametrize("chunk_max", [1, 2, 4, 5])
async def test_a_list_made_by_pages_is_the_list_made_at_once(conn, chunk_max):
    _, household_ids, round_id = await a_round(conn, 5)
    await withdraw(conn, household_ids[3])
    async with rolled_back(conn):
        at_once = await calculated(conn, round_id)
    by_pages = await calculated(conn, round_id, chunk_max=chunk_max)
    assert by_pages == at_once
    assert by_pages.left_out == {str(household_ids[3]): ("consent",)}
    assert await count(conn, "cbi.calculation_page") == -(-5 // chunk_max)


async def test_progress_says_how_far_it_is_and_a_repeat_goes_on(conn):
    _, household_ids, round_id = await a_round(conn, 5)
    first = await calculated_once(conn, round_id, chunk_max=2)
    assert first == Progress(step="calculated", chunks_done=1, chunks=3, done=2, of=5)
    assert await count(conn, "cbi.entitlement") == 2
    # Somebody else may go on, and in other pages.
    second = await calculated_once(conn, round_id, staff(7), chunk_max=1)
    assert (second.chunks_done, second.done, second.of) == (2, 3, 5)
    last = await calculated_once(conn, round_id)
    assert isinstance(last, Calculated)
    assert last.signed.payments == len(household_ids)
    with pytest.raises(StepDone):
        await calculated_once(conn, round_id)


async def test_the_database_digests_a_list_as_the_program_does(conn):
    programme, _, round_id = await a_round(conn, 4)
    empty = await load_list(conn, round_id, programme.currency)
    assert (empty.payments, empty.list_digest) == (0, list_digest([]))
    made = await calculated(conn, round_id)
    first, *_ = await load_entitlements(conn, round_id)
    await cancelled(conn, round_id, first.entitlement_id)
    left = await load_entitlements(conn, round_id)
    listed = await load_list(conn, round_id, programme.currency)
    assert (listed.payments, listed.total.amount_minor) == (
        3,
        sum(each.money.amount_minor for each in left),
    )
    assert listed.list_digest == list_digest(
        [(each.entitlement_id, each.money.amount_minor) for each in left]
    )
    assert listed.list_digest.hex() != made.signed.list_digest


async def test_nothing_is_signed_of_a_round_that_is_calculated_in_part(conn):
    programme, _, round_id = await a_round(conn, 3)
    await calculated_once(conn, round_id, chunk_max=2)
    with pytest.raises(StepOutOfOrder):
        async with conn.begin_nested():
            await signed(conn, round_id, Step.PREPARED, staff(1))
    listed = await load_list(conn, round_id, programme.currency)
    with pytest.raises(DBAPIError, match="round_step_of_pages"):
        async with conn.begin_nested():
            await step_by_hand(conn, round_id, Step.CALCULATED, listed, ALFA)


@pytest.mark.parametrize("change", [{"payments": 1}, {"amount_minor": 7}, {"list_digest": b"x"}])
async def test_a_signature_on_another_list_is_refused(conn, change):
    programme, _, round_id = await a_round(conn, 2)
    await calculated(conn, round_id)
    listed = await load_list(conn, round_id, programme.currency)
    with pytest.raises(DBAPIError, match="round_step_of_list"):
        async with conn.begin_nested():
            await step_by_hand(conn, round_id, Step.PREPARED, listed, staff(1), **change)
    await step_by_hand(conn, round_id, Step.PREPARED, listed, staff(1))


async def test_a_page_says_what_is_on_the_list_and_follows_the_one_before(conn):
    _, _, round_id = await a_round(conn, 3)
    await calculated_once(conn, round_id, chunk_max=2)
    for change, rule in (
        ({"page_no": 2, "payments": 1}, "calculation_page_sums"),
        ({"page_no": 2, "left_out": 1}, "calculation_page_sums"),
        ({"page_no": 3}, "calculation_page_in_order"),
        ({"page_no": 2, "upto_enrolment": PARTNER_A}, "calculation_page_in_order"),
        ({"page_no": 1}, "calculation_page_pkey"),
    ):
        with pytest.raises(DBAPIError, match=rule):
            async with conn.begin_nested():
                await page_by_hand(conn, round_id, **change)
    await calculated(conn, round_id)
    with pytest.raises(DBAPIError, match="calculation_page_before_signatures"):
        async with conn.begin_nested():
            await page_by_hand(conn, round_id, page_no=3)
    with pytest.raises(DBAPIError, match="left_out_before_signatures"):
        async with conn.begin_nested():
            await conn.execute(
                text("INSERT INTO cbi.left_out VALUES (:round, :round, :partner, :round, '{x}')"),
                {"round": round_id, "partner": PARTNER_A},
            )


async def test_of_two_households_of_a_family_one_is_paid_also_on_different_pages(conn):
    programme = await programme_of(conn)
    household_ids = await enrolled_families(conn, programme, 3)
    round_id = (await opened(conn, programme)).round_id
    await join(conn, household_ids[0], household_ids[2], partners=(PARTNER_A, PARTNER_A))
    made = await calculated(conn, round_id, chunk_max=1)
    assert made.signed.payments == 2
    assert made.left_out == {str(household_ids[2]): ("paid_in_these_months",)}


async def test_who_enrols_or_leaves_between_two_pages_counts_as_then(conn):
    programme, _, round_id = await a_round(conn, 2)
    await calculated_once(conn, round_id, chunk_max=1)
    late = await registered(conn, family(90))
    enrolment = await enrolled(conn, programme, late.household_id)
    assert isinstance(await calculated_once(conn, round_id, chunk_max=1), Progress)
    # Nobody is left for the last page.
    await close(conn, enrolment_id=enrolment.enrolment_id, at=AT)
    assert (await calculated(conn, round_id, chunk_max=1)).signed.payments == 2


async def test_a_round_of_which_nobody_can_be_paid_is_not_calculated(conn):
    _, household_ids, round_id = await a_round(conn, 2)
    for household_id in household_ids:
        await withdraw(conn, household_id)
    assert isinstance(await calculated_once(conn, round_id, chunk_max=1), Progress)
    with pytest.raises(NothingToPay):
        await calculated_once(conn, round_id, chunk_max=1)


async def test_of_many_left_out_the_first_are_told_and_all_are_counted_and_listed(conn):
    _, household_ids, round_id = await a_round(conn, 3)
    for household_id in household_ids[:2]:
        await withdraw(conn, household_id)
    made = await calculated_once(conn, round_id, left_out_max=1)
    assert made.left_out == {str(household_ids[0]): ("consent",)}
    assert made.left_out_by_reason == {"consent": 2}
    listed = await load_left_out(conn, round_id, limit=LEFT_OUT_MAX)
    assert [one.household_id for one in listed] == household_ids[:2]
    after = listed[0].enrolment_id
    assert await load_left_out(conn, round_id, after=after, limit=5) == listed[1:]


async def test_an_entitlement_is_of_its_own_round_and_enrolment(conn):
    programme, _, round_id = await a_round(conn, 1)
    theirs = await registered(conn, family(50), BETA)
    other = await programme_of(conn, BETA)
    foreign = await enrolled(conn, other, theirs.household_id, BETA)
    mine = await registered(conn, family(51))
    own = await enrolled(conn, programme, mine.household_id)
    statement = text(
        "INSERT INTO cbi.entitlement (entitlement_id, round_id, partner_id, enrolment_id,"
        " household_id, beneficiary_id, kind, assistance_group, months, household_size,"
        " value_version, amount_minor, currency, computed_at) VALUES (uuidv7(), :round_id,"
        " :partner_id, :enrolment_id, :household_id, :household_id, 'instalment', 'mpca',"
        " CAST(:months AS text)::daterange, 1, :version, 1, 'PEN', now())"
    )
    right = {
        "round_id": round_id,
        "partner_id": PARTNER_A,
        "enrolment_id": own.enrolment_id,
        "household_id": mine.household_id,
        "months": "[2026-07-01,2026-08-01)",
        "version": 1,
    }
    await db.set_facts(conn, ALFA)
    for change, rule in (
        ({"enrolment_id": foreign.enrolment_id}, "is not of enrolment"),
        ({"months": "[2026-07-01,2026-09-01)"}, "is not of round"),
    ):
        with pytest.raises(DBAPIError, match=rule):
            async with conn.begin_nested():
                await conn.execute(statement, right | change)
    with pytest.raises(DBAPIError, match="is not on the basis"):
        async with conn.begin_nested():
            await conn.execute(statement, right)
    await basis_by_hand(conn, round_id, ALFA)
    with pytest.raises(DBAPIError, match="is not on the basis"):
        async with conn.begin_nested():
            await conn.execute(statement, right | {"version": 2})
    await conn.execute(statement, right)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM cbi.enrolment",
        "TRUNCATE cbi.enrolment CASCADE",
        "UPDATE cbi.enrolment SET household_id = uuidv7()",
    ],
)
async def test_an_enrolment_only_closes_whoever_asks(own, statement):
    async with own.begin() as conn:
        programme = await programme_of(conn)
        await enrolled_families(conn, programme, 1)
    async with own.owner.connect() as conn, conn.begin() as outer:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        with pytest.raises(DBAPIError, match=r"only closes|append-only"):
            await conn.execute(text(statement))
        await outer.rollback()
