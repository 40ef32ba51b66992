"""Money when a joining is undone: what was promised stays, and from then on each counts alone."""

import asyncio
from datetime import date
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi.disbursement import Step
from cbi.enrol import families
from cbi.overlap_refusal import Overlap
from cbi.refusal import NothingToPay
from tests.cbi.deciding import insert_enrolment, taken_back
from tests.cbi.world import (
    ALFA,
    BETA,
    again,
    approved,
    calculated,
    enrolled,
    family,
    judged,
    opened,
    programme_of,
    registered,
    released,
    signed,
    staff,
)

JULY = {"first": date(2026, 7, 1), "end": date(2026, 8, 1)}
AUGUST = {"first": date(2026, 8, 1), "end": date(2026, 9, 1)}


async def wrongly_joined(conn):
    """Two registrations that two organisations took for one family, and the case."""
    mine = (await registered(conn, family(1))).household_id
    theirs = await registered(conn, again(family(1)), BETA)
    case_id = theirs.flags[0].case_id
    await judged(conn, case_id, "same_household")
    return mine, theirs.household_id, case_id


async def paid(conn, programme, who, months) -> UUID:
    """Release a round of one programme."""
    round_id = (await opened(conn, programme, who, **months)).round_id
    await approved(conn, round_id, who.partner_id)
    await released(conn, round_id, staff(4, who.partner_id))
    return round_id


async def promised(conn, *households) -> list[list[int]]:
    """The months that each of these registrations was promised."""
    found = []
    for household_id, who in zip(households, (ALFA, BETA), strict=True):
        await db.set_facts(conn, who)
        rows = await conn.scalars(
            text(
                "SELECT extract(month FROM lower(months))::integer FROM cbi.entitlement"
                " WHERE household_id = :id AND cancelled_at IS NULL ORDER BY 1"
            ),
            {"id": household_id},
        )
        found.append(list(rows))
    return found


@pytest.mark.parametrize("first_paid", [0, 1])
async def test_what_was_paid_stays_and_each_family_counts_alone_from_then_on(conn, first_paid):
    mine, theirs, case_id = await wrongly_joined(conn)
    sides = [(mine, ALFA), (theirs, BETA)]
    (one, here), (other, there) = sides[first_paid], sides[1 - first_paid]
    first, second = await programme_of(conn, here), await programme_of(conn, there)
    await enrolled(conn, first, one, here)
    await paid(conn, first, here, JULY)
    with pytest.raises(Overlap):
        await enrolled(conn, second, other, there)
    assert (await taken_back(conn, case_id, "different")).households_parted == 2
    # The other family gets what it was kept from, also for the month that is paid.
    await enrolled(conn, second, other, there)
    for months in (JULY, AUGUST):
        await paid(conn, second, there, months)
    # And nobody gets a month twice, under whatever id it was promised.
    with pytest.raises(NothingToPay):
        await paid(conn, first, here, JULY)
    await paid(conn, first, here, AUGUST)
    assert await promised(conn, mine, theirs) == [[7, 8], [7, 8]]


async def test_an_enrolment_from_before_still_counts_after_the_families_part(conn):
    mine, _, case_id = await wrongly_joined(conn)
    await enrolled(conn, await programme_of(conn), mine)
    await taken_back(conn, case_id, "different")
    with pytest.raises(Overlap):
        await enrolled(conn, await programme_of(conn), mine)
    await enrolled(conn, await programme_of(conn, group="rent"), mine)


async def test_the_constraint_itself_keeps_a_registration_from_one_month_twice(conn):
    mine, _, case_id = await wrongly_joined(conn)
    programme = await programme_of(conn)
    await enrolled(conn, programme, mine)
    await paid(conn, programme, ALFA, JULY)
    await taken_back(conn, case_id, "different")
    await db.set_facts(conn, ALFA)
    other = (await opened(conn, programme, **JULY)).round_id
    with pytest.raises(DBAPIError, match="entitlement_no_overlap_of_household"):
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO cbi.entitlement SELECT uuidv7(), :round, partner_id,"
                    " enrolment_id, household_id, :family, kind, assistance_group, months,"
                    " household_size, value_version, amount_minor, currency, computed_at"
                    " FROM cbi.entitlement WHERE household_id = :mine"
                ),
                {"round": other, "mine": mine, "family": (await families(conn, [mine]))[mine]},
            )


async def test_a_list_from_before_is_approved_after_the_families_part(conn):
    """Who was left out as the same family is not added to a list; those on it go on."""
    mine, _, case_id = await wrongly_joined(conn)
    programme = await programme_of(conn)
    await enrolled(conn, programme, mine)
    round_id = (await opened(conn, programme, **JULY)).round_id
    await calculated(conn, round_id)
    await taken_back(conn, case_id, "different")
    for place, step in enumerate((Step.PREPARED, Step.REVIEWED, Step.APPROVED), start=1):
        await signed(conn, round_id, step, staff(place))
    assert (await released(conn, round_id)).payments == 1


async def test_a_promise_and_a_change_of_families_follow_one_another(own):
    async with own.begin() as conn:
        mine, theirs, case_id = await wrongly_joined(conn)
        programme = await programme_of(conn)
        await enrolled(conn, programme, mine)
        rounds = [(await opened(conn, programme, **JULY)).round_id for _ in range(2)]

    async def undo():
        async with own.begin() as conn:
            return await taken_back(conn, case_id, "different")

    async with own.begin() as conn:
        await calculated(conn, rounds[0])
        undoing = asyncio.create_task(undo())
        # The families wait for the promise, so that who promises next knows of both.
        assert await own.waits(undoing)
    assert (await undoing).households_parted == 2
    async with own.begin() as conn:
        with pytest.raises(NothingToPay):
            await calculated(conn, rounds[1])
        assert await promised(conn, mine, theirs) == [[7], []]


async def test_a_promise_to_a_family_that_has_just_changed_is_refused(own):
    async with own.begin() as conn:
        _, theirs, case_id = await wrongly_joined(conn)
    async with own.begin(BETA) as later:
        programme = await programme_of(later, BETA)
        before = (await families(later, [theirs]))[theirs]

        async def promise():
            async with later.begin_nested():
                await insert_enrolment(later, programme, theirs, before, BETA)

        async with own.begin() as conn:
            await taken_back(conn, case_id, "different")
            promising = asyncio.create_task(promise())
            assert await own.waits(promising)
        with pytest.raises(DBAPIError, match="is of another family"):
            await promising
