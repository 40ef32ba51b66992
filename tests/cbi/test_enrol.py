"""Who may be enrolled, and that a family is enrolled once, whichever partner asks."""

import asyncio
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi.overlap_refusal import Overlap
from cbi.refusal import (
    AlreadyEnrolled,
    ConsentMissing,
    IdentityErased,
    NoInstrument,
    NotFound,
    OpenCase,
)
from tests.cbi.deciding import insert_enrolment
from tests.cbi.world import (
    ALFA,
    BETA,
    PARTNER_B,
    again,
    consent,
    count,
    enrolled,
    erase,
    family,
    judged,
    programme_of,
    registered,
    withdraw,
)
from tests.conftest import PARTNER_A


async def one_family(conn) -> tuple:
    """One family that two partners registered and two reviewers found to be one."""
    mine = await registered(conn, family(1))
    theirs = await registered(conn, again(family(1)), BETA)
    await judged(conn, theirs.flags[0].case_id, "same_household")
    return mine.household_id, theirs.household_id


async def test_a_household_that_may_be_paid_is_enrolled(conn):
    programme = await programme_of(conn)
    household_id = (await registered(conn, family(1))).household_id
    enrolment = await enrolled(conn, programme, household_id)
    assert (enrolment.household_id, enrolment.beneficiary_id) == (household_id, household_id)
    assert await count(conn, "cbi.enrolment") == 1


@pytest.mark.parametrize("verdicts", [(), (PARTNER_A,)])
async def test_an_open_case_comes_first(conn, verdicts):
    programme = await programme_of(conn)
    mine = await registered(conn, family(1))
    case_id = (await registered(conn, again(family(1)), BETA)).flags[0].case_id
    if verdicts:
        await judged(conn, case_id, "different", *verdicts)
    with pytest.raises(OpenCase) as refused:
        await enrolled(conn, programme, mine.household_id)
    assert (refused.value.household_id, refused.value.case_ids) == (mine.household_id, [case_id])
    await judged(conn, case_id, "different", *({PARTNER_A, PARTNER_B} - set(verdicts)))
    await enrolled(conn, programme, mine.household_id)


async def test_who_declined_the_check_is_enrolled_after_a_person_looked(conn):
    programme = await programme_of(conn)
    receipt = await registered(conn, family(1, duplicate_check=False))
    with pytest.raises(OpenCase):
        await enrolled(conn, programme, receipt.household_id)
    await judged(conn, receipt.flags[0].case_id, "different")
    await enrolled(conn, programme, receipt.household_id)


async def test_consent_to_the_provider_is_needed(conn):
    programme = await programme_of(conn)
    consents = [consent("registration"), consent("duplicate_check"), consent("fsp", granted=False)]
    household_id = (await registered(conn, family(1, consents=consents))).household_id
    with pytest.raises(ConsentMissing) as refused:
        await enrolled(conn, programme, household_id)
    assert refused.value.kinds == ["fsp"]


@pytest.mark.parametrize("kind", ["fsp", "registration"])
async def test_a_consent_that_was_withdrawn_is_none(conn, kind):
    programme = await programme_of(conn)
    household_id = (await registered(conn, family(1))).household_id
    await withdraw(conn, household_id, kind)
    with pytest.raises(ConsentMissing) as refused:
        await enrolled(conn, programme, household_id)
    assert refused.value.kinds == [kind]


@pytest.mark.parametrize("instrument", [None, {"kind": "direct_cash"}])
async def test_without_an_account_there_is_no_enrolment(conn, instrument):
    programme = await programme_of(conn)
    household_id = (await registered(conn, family(1, instrument=instrument))).household_id
    with pytest.raises(NoInstrument):
        await enrolled(conn, programme, household_id)


async def test_an_erased_household_is_not_enrolled(conn):
    programme = await programme_of(conn)
    household_id = (await registered(conn, family(1))).household_id
    await erase(conn, household_id)
    with pytest.raises(IdentityErased):
        await enrolled(conn, programme, household_id)


async def test_twice_in_one_programme_is_refused(conn):
    programme = await programme_of(conn)
    household_id = (await registered(conn, family(1))).household_id
    await enrolled(conn, programme, household_id)
    with pytest.raises(AlreadyEnrolled):
        await enrolled(conn, programme, household_id)


async def test_one_kind_of_assistance_for_one_family_across_partners(conn):
    mine, theirs = await one_family(conn)
    await enrolled(conn, await programme_of(conn), mine)
    with pytest.raises(Overlap) as refused:
        await enrolled(conn, await programme_of(conn, BETA), theirs, BETA)
    told = msgspec.json.encode(vars(refused.value)).decode() + str(refused.value)
    assert not any(str(secret) in told for secret in (PARTNER_A, mine, "ALFA"))
    await enrolled(conn, await programme_of(conn, BETA, group="rent"), theirs, BETA)


async def test_a_family_that_was_enrolled_before_it_was_joined_counts_as_one(conn):
    mine = await registered(conn, family(1))
    theirs = await registered(conn, family(2), BETA)
    # The later registration is enrolled under its own id; the joined family has the earlier one.
    await enrolled(conn, await programme_of(conn, BETA), theirs.household_id, BETA)
    await db.set_facts(conn, ALFA)
    low, high = sorted(
        ((mine.household_id, PARTNER_A), (theirs.household_id, PARTNER_B)), key=lambda it: it[0]
    )
    case_id = await conn.scalar(
        text(
            "INSERT INTO dedup.match_case (household_a, partner_a, household_b, partner_b, reason,"
            " opened_at, opened_by, model_id, strength_bits) VALUES (:a, :pa, :b, :pb,"
            " 'duplicate', now(), :by, 'm', 9) RETURNING case_id"
        ),
        {"a": low[0], "pa": low[1], "b": high[0], "pb": high[1], "by": ALFA.actor_id},
    )
    await judged(conn, case_id, "same_household")
    with pytest.raises(Overlap):
        await enrolled(conn, await programme_of(conn), mine.household_id)
    await enrolled(conn, await programme_of(conn, group="rent"), mine.household_id)


async def test_the_constraint_itself_keeps_a_family_from_two_enrolments(conn):
    mine, theirs = await one_family(conn)
    await enrolled(conn, await programme_of(conn), mine)
    programme = await programme_of(conn, BETA)
    with pytest.raises(DBAPIError, match="enrolment_one_open_per_beneficiary"):
        async with conn.begin_nested():
            await insert_enrolment(conn, programme, theirs, mine, BETA)


async def test_the_programme_of_another_partner_does_not_exist(conn):
    programme = await programme_of(conn)
    theirs = await registered(conn, family(1), BETA)
    with pytest.raises(NotFound) as refused:
        await enrolled(conn, programme, theirs.household_id, BETA)
    assert (refused.value.what, refused.value.wanted) == ("programme", programme.programme_id)
    with pytest.raises(DBAPIError, match="enrolment_in_programme"):
        async with conn.begin_nested():
            await insert_enrolment(conn, programme, theirs.household_id, theirs.household_id, BETA)


async def test_the_household_of_another_partner_does_not_exist(conn):
    mine = await registered(conn, family(1))
    programme = await programme_of(conn, BETA)
    for household_id in (mine.household_id, uuid4()):
        with pytest.raises(NotFound):
            await enrolled(conn, programme, household_id, BETA)
    with pytest.raises(DBAPIError, match="is of another family"):
        async with conn.begin_nested():
            await insert_enrolment(conn, programme, mine.household_id, uuid4(), BETA)


async def test_of_two_partners_that_enrol_one_family_at_once_one_wins(own):
    async with own.begin() as conn:
        mine, theirs = await one_family(conn)
        jobs = [
            (await programme_of(conn, ALFA), mine, ALFA),
            (await programme_of(conn, BETA), theirs, BETA),
        ]
    begun = asyncio.Barrier(2)

    async def run(programme, household_id, who):
        async with own.begin(who) as conn:
            await begun.wait()
            return await enrolled(conn, programme, household_id, who)

    done = await asyncio.gather(*(run(*job) for job in jobs), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["Enrolment", "Overlap"]
    assert (await own.rows())["cbi.enrolment"] == 1
