"""What the rules keep apart between kinds holds for months before an enrolment's own, too."""

from datetime import date

import pytest
from sqlalchemy.exc import DBAPIError

from api import db
from cbi.disbursement import Step
from cbi.overlap_refusal import Overlap
from cbi.refusal import MonthsOverlap, NothingToPay, PayeesBlocked
from ledger.violation import constraint_of
from tests.cbi.deciding import join
from tests.cbi.overlapping import agreed, one, promised
from tests.cbi.test_event_races import during
from tests.cbi.test_reserve import reserved
from tests.cbi.world import (
    BETA,
    again,
    approved,
    calculated,
    cancelled,
    count,
    enrolled,
    family,
    judged,
    opened,
    programme_of,
    registered,
    signed,
    staff,
)
from tests.conftest import PARTNER_A, PARTNER_B

FEBRUARY, MARCH, APRIL, MAY, JUNE = (date(2026, month, 1) for month in range(2, 7))


async def a_family(conn, seed):
    """One family at ALFA, and at BETA."""
    raw = family(seed)
    mine = await one(conn, raw)
    theirs = await registered(conn, again(raw), BETA)
    await judged(conn, theirs.flags[0].case_id, "same_household")
    return mine, theirs.household_id


async def food_for(conn, household_id, first, end, programme=None):
    """A round of BETA's that pays food for these months, on an enrolment that starts in June."""
    if programme is None:
        programme = await programme_of(conn, BETA, group="food")
        await enrolled(conn, programme, household_id, BETA)
    return (await opened(conn, programme, BETA, first=first, end=end)).round_id


async def test_a_month_promised_of_another_kind_is_not_paid_before_ones_own(conn):
    await agreed(conn)
    mine, theirs = await a_family(conn, 701)
    await promised(conn, await programme_of(conn), mine, first=APRIL, months=2)
    other = (await registered(conn, family(702), BETA)).household_id
    programme = await programme_of(conn, BETA, group="food")
    for household_id in (theirs, other):
        await enrolled(conn, programme, household_id, BETA)
    for first, end in ((MAY, JUNE), (MARCH, APRIL)):
        # Food keeps cash away in the month after it: March as well.
        round_id = await food_for(conn, theirs, first, end, programme)
        made = await calculated(conn, round_id, BETA)
        assert made.left_out == {str(theirs): ("not_promised",)}
        assert made.signed.payments == 1
    round_id = await food_for(conn, theirs, FEBRUARY, MARCH, programme)
    assert (await calculated(conn, round_id, BETA)).signed.payments == 2


async def test_without_rules_two_kinds_are_paid_for_one_month_as_before(conn):
    mine, theirs = await a_family(conn, 703)
    await promised(conn, await programme_of(conn), mine, first=APRIL, months=2)
    round_id = await food_for(conn, theirs, MAY, JUNE)
    assert (await calculated(conn, round_id, BETA)).signed.payments == 1


async def test_one_enrolment_is_paid_for_any_months_before_its_own(conn):
    await agreed(conn)
    mine = await one(conn, family(704))
    programme = await programme_of(conn)
    await enrolled(conn, programme, mine)
    # Cash keeps cash away for three months after it: not the family's own.
    for first, end in ((MAY, JUNE), (FEBRUARY, APRIL), (APRIL, MAY), (JUNE, date(2026, 7, 1))):
        round_id = (await opened(conn, programme, first=first, end=end)).round_id
        await approved(conn, round_id)
    assert await count(conn, "cbi.hold WHERE before_hold IS NOT NULL") == 3


async def test_a_month_that_was_paid_before_ones_own_is_not_promised_of_another_kind(conn):
    await agreed(conn)
    mine, theirs = await a_family(conn, 705)
    round_id = await food_for(conn, theirs, FEBRUARY, MARCH)
    await calculated(conn, round_id, BETA)
    programme = await programme_of(conn)
    with pytest.raises(Overlap):
        await promised(conn, programme, mine, first=FEBRUARY, months=1)
    await db.set_facts(conn, BETA)
    found = await conn.exec_driver_sql("SELECT entitlement_id FROM cbi.entitlement")
    await cancelled(conn, round_id, found.scalar_one(), BETA)
    assert await promised(conn, programme, mine, first=FEBRUARY, months=1)


async def two_enrolled(conn, seed):
    """Two families that were enrolled for cash and for food, and are found to be one."""
    mine, theirs = await one(conn, family(seed)), await one(conn, family(seed + 1), BETA)
    cash, food = await programme_of(conn), await programme_of(conn, BETA, group="food")
    await enrolled(conn, cash, mine)
    await enrolled(conn, food, theirs, BETA)
    return mine, theirs, cash, food


async def test_of_two_lists_for_an_earlier_month_the_first_pays(conn):
    await agreed(conn)
    mine, theirs, cash, food = await two_enrolled(conn, 706)
    await join(conn, mine, theirs)
    first = (await opened(conn, cash, first=APRIL, end=MAY)).round_id
    await calculated(conn, first)
    second = await food_for(conn, theirs, APRIL, MAY, food)
    with pytest.raises(NothingToPay):
        await calculated(conn, second, BETA)
    await approved(conn, (await opened(conn, cash, first=MAY, end=JUNE)).round_id)


async def test_of_two_calculated_lists_the_later_is_stopped_when_it_is_one_family(conn):
    await agreed(conn)
    mine, theirs, cash, food = await two_enrolled(conn, 708)
    first = (await opened(conn, cash, first=APRIL, end=MAY)).round_id
    await calculated(conn, first)
    second = await food_for(conn, theirs, APRIL, MAY, food)
    await calculated(conn, second, BETA)
    await join(conn, mine, theirs)
    refusals = []
    for round_id, partner_id in ((first, PARTNER_A), (second, PARTNER_B)):
        for place, step in enumerate((Step.PREPARED, Step.REVIEWED, Step.APPROVED), start=1):
            try:
                await signed(conn, round_id, step, staff(place, partner_id))
            except PayeesBlocked as refused:
                refusals.append((round_id, refused.blocked))
    assert refusals == [(second, {theirs: ("not_promised",)})]


async def test_an_enrolment_for_months_is_not_paid_before_them_whatever_writes_it(conn):
    mine = await one(conn, family(710))
    programme = await programme_of(conn)
    await promised(conn, programme, mine, first=MAY, months=2)
    round_id = (await opened(conn, programme, first=MAY, end=JUNE)).round_id
    await calculated(conn, round_id)
    earlier = (await opened(conn, programme, first=APRIL, end=MAY)).round_id
    with pytest.raises(DBAPIError) as refused:
        async with conn.begin_nested():
            await conn.exec_driver_sql(
                "INSERT INTO cbi.entitlement (entitlement_id, round_id, partner_id, enrolment_id,"
                " household_id, beneficiary_id, kind, assistance_group, months, household_size,"
                " value_version, amount_minor, currency, computed_at, paid_months)"
                f" SELECT uuidv7(), '{earlier}', partner_id, enrolment_id, household_id,"
                " beneficiary_id, kind, assistance_group, '[2026-04-01,2026-05-01)',"
                " household_size, value_version, amount_minor, currency, computed_at, paid_months"
                " FROM cbi.entitlement"
            )
    assert constraint_of(refused.value) in {"entitlement_promised", "entitlement_on_basis"}


async def test_a_reservation_of_the_month_keeps_it_while_it_stands(conn):
    await agreed(conn)
    mine, theirs = await a_family(conn, 711)
    await reserved(conn, mine, first_month=APRIL, months=1)
    round_id = await food_for(conn, theirs, APRIL, MAY)
    with pytest.raises(NothingToPay):
        await calculated(conn, round_id, BETA)


async def test_of_two_kinds_calculated_at_the_same_moment_one_is_refused(own):
    async with own.begin() as conn:
        await agreed(conn)
        mine, theirs, cash, food = await two_enrolled(conn, 712)
        await join(conn, mine, theirs)
        first = (await opened(conn, cash, first=APRIL, end=MAY)).round_id
        second = await food_for(conn, theirs, APRIL, MAY, food)
    refused = await during(
        own,
        lambda conn: calculated(conn, first),
        lambda conn: calculated(conn, second, BETA),
    )
    assert isinstance(refused, MonthsOverlap)
    async with own.begin(BETA) as conn:
        with pytest.raises(NothingToPay):
            await calculated(conn, second, BETA)
