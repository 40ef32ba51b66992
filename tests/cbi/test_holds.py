"""Families are held for what is promised: refusals say until when, and races have one winner."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi import enrol, holds
from cbi.disburse import load_entitlements
from cbi.overlap import example
from cbi.overlap_refusal import Overlap
from tests.cbi.deciding import join, taken_back
from tests.cbi.overlapping import AUGUST, JULY, OCTOBER, agreed, one, promised
from tests.cbi.test_enrol import one_family
from tests.cbi.test_parted import paid, wrongly_joined
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    calculated,
    cancelled,
    count,
    family,
    opened,
    programme_of,
)
from tests.conftest import PARTNER_A

JANUARY = date(2027, 1, 1)
AFTER_TRANSIT = {"first": "transit_grant", "then": "mpca", "cooldown_months": 1}
IN_JULY = {"first": JULY, "end": AUGUST}


async def told(conn, household_id, at=AT):
    return [
        (each.assistance, each.span.first, each.span.end)
        for each in await holds.held(conn, [household_id], at=at)
    ]


async def test_months_are_held_from_the_first_to_the_last_whoever_asks(conn):
    mine, theirs = await one_family(conn)
    await promised(conn, await programme_of(conn), mine, first=JULY)
    other = await programme_of(conn, BETA)
    with pytest.raises(Overlap) as refused:
        await promised(conn, other, theirs, BETA, first=date(2026, 9, 1))
    assert refused.value.until == OCTOBER
    assert refused.value.ask
    said = msgspec.json.encode(vars(refused.value)).decode() + str(refused.value)
    assert not any(str(secret) in said for secret in (PARTNER_A, mine, "ALFA", "ask@"))
    await db.set_facts(conn, BETA)
    assert await told(conn, theirs) == [("mpca", JULY, OCTOBER)]


async def test_until_a_refusal_says_the_family_is_free_from_then_on(conn):
    mine, theirs = await one_family(conn)
    await agreed(conn)
    await promised(conn, await programme_of(conn), mine, first=JULY)
    other = await programme_of(conn, BETA, group="food")
    with pytest.raises(Overlap) as refused:
        await promised(conn, other, theirs, BETA, first=JULY, months=1)
    assert (refused.value.until, refused.value.ask) == (OCTOBER, "coordination@cbi.example")
    await enrol.close(
        conn,
        enrolment_id=(await promised(conn, other, theirs, BETA, first=OCTOBER)).enrolment_id,
        at=AT,
    )
    cash = await programme_of(conn, BETA)
    with pytest.raises(Overlap) as refused:
        await promised(conn, cash, theirs, BETA, first=OCTOBER)
    assert refused.value.until == JANUARY


async def test_from_that_day_on_another_organisation_may_promise_though_nobody_closed(conn):
    mine, theirs = await one_family(conn)
    await promised(conn, await programme_of(conn), mine, first=JULY)
    other = await programme_of(conn, BETA)
    with pytest.raises(Overlap) as refused:
        await promised(conn, other, theirs, BETA, first=JULY)
    await promised(conn, other, theirs, BETA, first=refused.value.until)


async def test_what_may_stand_beside_it_is_not_kept_away(conn):
    mine, theirs = await one_family(conn)
    await agreed(conn)
    await promised(conn, await programme_of(conn), mine, first=JULY)
    for group in ("rent", "transit_grant", "health"):
        await promised(conn, await programme_of(conn, BETA, group=group), theirs, BETA, first=JULY)


async def test_a_one_off_grant_keeps_its_own_kind_away_for_some_days_only(conn):
    mine, theirs = await one_family(conn)
    await agreed(conn)
    await promised(conn, await programme_of(conn, group="transit_grant"), mine)
    other = await programme_of(conn, BETA, group="transit_grant")
    with pytest.raises(Overlap) as refused:
        await promised(conn, other, theirs, BETA, first=date(2026, 6, 1), at=AT + timedelta(3))
    assert refused.value.until == date(2026, 6, 15)
    await promised(conn, await programme_of(conn, BETA), theirs, BETA)


async def test_a_one_off_grant_keeps_another_kind_away_for_months_if_the_rules_say_so(conn):
    mine, theirs = await one_family(conn)
    await agreed(conn, blocks=[AFTER_TRANSIT])
    await promised(conn, await programme_of(conn, group="transit_grant"), mine)
    other = await programme_of(conn, BETA)
    with pytest.raises(Overlap) as refused:
        await promised(conn, other, theirs, BETA, first=JULY)
    assert refused.value.until == AUGUST
    await promised(conn, await programme_of(conn, BETA, group="food"), theirs, BETA, first=JULY)
    await promised(conn, other, theirs, BETA, first=AUGUST)


async def test_a_cool_down_of_the_later_one_reaches_what_was_promised_before_it(conn):
    mine, theirs = await one_family(conn)
    await agreed(conn)
    await promised(conn, await programme_of(conn), mine, first=OCTOBER)
    food = await programme_of(conn, BETA, group="food")
    with pytest.raises(Overlap) as refused:
        await promised(conn, food, theirs, BETA, first=JULY, months=3)
    assert refused.value.until == JANUARY
    await promised(conn, food, theirs, BETA, first=JULY, months=2)


async def test_without_months_an_enrolment_holds_until_it_is_closed(conn):
    mine, theirs = await one_family(conn)
    enrolment = await promised(conn, await programme_of(conn), mine)
    other = await programme_of(conn, BETA)
    with pytest.raises(Overlap) as refused:
        await promised(conn, other, theirs, BETA, first=date(2030, 1, 1))
    assert refused.value.until is None
    await db.set_facts(conn, ALFA)
    await enrol.close(conn, enrolment_id=enrolment.enrolment_id, at=AT)
    await promised(conn, other, theirs, BETA, first=JULY)


async def test_a_closed_enrolment_holds_what_it_promised_and_its_cool_down(conn):
    mine, theirs = await one_family(conn)
    await agreed(conn)
    programme = await programme_of(conn)
    enrolment = await promised(conn, programme, mine, first=JULY, months=6)
    await paid(conn, programme, ALFA, IN_JULY)
    await db.set_facts(conn, ALFA)
    await enrol.close(conn, enrolment_id=enrolment.enrolment_id, at=AT)
    with pytest.raises(Overlap) as refused:
        await promised(conn, await programme_of(conn, BETA), theirs, BETA, first=AUGUST)
    # July is promised, and three months are to pass after it.
    assert refused.value.until == date(2026, 11, 1)


async def test_what_is_cancelled_after_the_closing_holds_nothing(conn):
    mine, theirs = await one_family(conn)
    await agreed(conn)
    programme = await programme_of(conn)
    enrolment = await promised(conn, programme, mine, first=JULY, months=6)
    round_id = (await opened(conn, programme)).round_id
    await calculated(conn, round_id)
    (entitlement,) = await load_entitlements(conn, round_id)
    await enrol.close(conn, enrolment_id=enrolment.enrolment_id, at=AT)
    other = await programme_of(conn, BETA)
    with pytest.raises(Overlap):
        await promised(conn, other, theirs, BETA, first=OCTOBER)
    await cancelled(conn, round_id, entitlement.entitlement_id)
    await promised(conn, other, theirs, BETA, first=JULY)


async def test_rules_of_today_count_for_what_was_promised_before_them(conn):
    mine, theirs = await one_family(conn)
    await promised(conn, await programme_of(conn), mine, first=JULY)
    food = await programme_of(conn, BETA, group="food")
    await agreed(conn, effective=date(2026, 6, 10))
    later = AT + timedelta(days=10)
    with pytest.raises(Overlap):
        await promised(conn, food, theirs, BETA, first=JULY, at=later)
    await agreed(conn, effective=date(2026, 6, 12), blocks=[])
    await promised(conn, food, theirs, BETA, first=JULY, at=AT + timedelta(days=12))
    cash = await programme_of(conn, BETA)
    with pytest.raises(Overlap) as refused:
        await promised(conn, cash, theirs, BETA, first=JULY, at=AT + timedelta(days=12))
    assert refused.value.until == OCTOBER


async def test_a_promise_under_an_older_family_counts_after_families_are_joined(conn):
    mine, theirs = await one(conn, family(1)), await one(conn, family(2), BETA)
    await promised(conn, await programme_of(conn, BETA), theirs, BETA, first=JULY)
    await join(conn, mine, theirs)
    programme = await programme_of(conn)
    with pytest.raises(Overlap):
        await promised(conn, programme, mine, first=JULY)
    await promised(conn, programme, mine, first=OCTOBER)


async def test_families_that_are_parted_are_held_each_for_its_own(conn):
    mine, theirs, case_id = await wrongly_joined(conn)
    await promised(conn, await programme_of(conn), mine, first=JULY)
    other = await programme_of(conn, BETA)
    with pytest.raises(Overlap):
        await promised(conn, other, theirs, BETA, first=JULY)
    await taken_back(conn, case_id, "different")
    await promised(conn, other, theirs, BETA, first=JULY)
    with pytest.raises(Overlap):
        await promised(conn, await programme_of(conn), mine, first=JULY)


async def test_what_is_over_is_not_told(conn):
    mine, _ = await one_family(conn)
    await promised(conn, await programme_of(conn), mine, first=JULY)
    assert await told(conn, mine, datetime(2026, 9, 30, tzinfo=UTC)) != []
    assert await told(conn, mine, datetime(2026, 10, 1, 12, tzinfo=UTC)) == []
    assert await told(conn, uuid4()) == []


async def test_the_service_writes_no_hold_by_itself(conn):
    mine, _ = await one_family(conn)
    await promised(conn, await programme_of(conn), mine, first=JULY)
    for statement in (
        "INSERT INTO cbi.hold SELECT * FROM cbi.hold",
        "DELETE FROM cbi.hold",
        "UPDATE cbi.hold SET standing = 'empty'",
        "DELETE FROM cbi.hold_pair",
        "UPDATE cbi.hold_pair SET months = 'empty'",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with conn.begin_nested():
                await conn.execute(text(statement))
    await db.set_facts(conn, BETA)
    assert await count(conn, "cbi.hold") == await count(conn, "cbi.hold_pair") == 0


async def test_the_exclusion_constraint_alone_keeps_two_holds_apart(own):
    """Also when nothing looks before it: here the trigger that looks is off."""
    async with own.begin() as conn:
        mine, theirs = await one_family(conn)
        await promised(conn, await programme_of(conn), mine, first=JULY)
    async with own.owner.connect() as conn, conn.begin() as outer:
        await conn.execute(text("ALTER TABLE cbi.hold DISABLE TRIGGER hold_checked"))
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(
            text(
                "INSERT INTO cbi.hold (partner_id, household_id, beneficiary_id, assistance,"
                " promised, months, standing, held_on, held_at, reservation_id) SELECT"
                " h.partner_id, h.household_id, (SELECT beneficiary_id FROM cbi.hold), 'mpca',"
                " '[2026-09-01,2026-10-01)', '[2026-09-01,2026-10-01)', '[2026-06-01,)',"
                " '2026-06-01', '2026-06-01', uuidv7() FROM cbi.household h"
                " WHERE h.household_id = :theirs"
            ),
            {"theirs": theirs},
        )
        with pytest.raises(DBAPIError, match="hold_no_overlap"):
            await conn.execute(
                text(
                    "INSERT INTO cbi.hold_pair SELECT hold_id, 'mpca mpca', hold_id::text,"
                    " partner_id, household_id, beneficiary_id, months, standing, 0 FROM cbi.hold"
                    " WHERE reservation_id IS NOT NULL"
                )
            )
        await outer.rollback()


@pytest.mark.parametrize(
    "kinds", [("mpca", "mpca"), ("mpca", "food"), ("food", "mpca"), ("transit_grant", "mpca")]
)
@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_partners_at_the_same_moment_the_first_wins_and_the_other_is_told(
    own, kinds, first
):
    async with own.begin() as conn:
        await agreed(conn, blocks=[*example()["blocks"], AFTER_TRANSIT])
        mine, theirs = await one_family(conn)
        jobs = [
            (await programme_of(conn, ALFA, group=kinds[0]), mine, ALFA),
            (await programme_of(conn, BETA, group=kinds[1]), theirs, BETA),
        ]
    winner, loser = jobs[first], jobs[1 - first]

    async def late():
        async with own.begin(loser[2]) as conn:
            return await promised(conn, *loser, first=AUGUST, months=1)

    async with own.begin(winner[2]) as conn:
        await promised(conn, *winner, first=JULY, months=2)
        second = asyncio.create_task(late())
        assert await own.waits(second)
    (done,) = await asyncio.gather(second, return_exceptions=True)
    assert isinstance(done, Overlap)
    assert done.until is not None
    assert (await own.rows())["cbi.hold"] == 1


async def test_of_many_at_once_for_one_family_exactly_one_is_promised(own):
    async with own.begin() as conn:
        mine, theirs = await one_family(conn)
        jobs = [
            (await programme_of(conn, who), household_id, who)
            for who, household_id in ((ALFA, mine), (BETA, theirs)) * 3
        ]
    begun = asyncio.Barrier(len(jobs))

    async def run(*job):
        async with own.begin(job[2]) as conn:
            await begun.wait()
            return await promised(conn, *job, first=JULY)

    done = await asyncio.gather(*(run(*job) for job in jobs), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["Enrolment", *["Overlap"] * 5]
    rows = await own.rows()
    assert (rows["cbi.enrolment"], rows["cbi.hold"], rows["cbi.hold_pair"]) == (1, 1, 1)


async def test_few_families_are_locked_each_and_many_by_one_lock(conn):
    taken = text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"
        " AND pid = pg_backend_pid()"
    )
    for families, locks in ((3, 3), (1001, 1)):
        async with conn.begin_nested() as save:
            await conn.execute(
                text(
                    "SELECT cbi.lock_holds(ARRAY(SELECT uuidv7()"
                    " FROM generate_series(1, CAST(:families AS integer))))"
                ),
                {"families": families},
            )
            assert await conn.scalar(taken) == locks
            await save.rollback()


async def test_nothing_is_promised_on_what_was(own):
    async with own.begin() as conn:
        mine, _ = await one_family(conn)
        programme = await programme_of(conn)
    frozen = own.app.execution_options(isolation_level="REPEATABLE READ")
    async with frozen.connect() as conn, conn.begin():
        with pytest.raises(DBAPIError, match="decided on what is"):
            await promised(conn, programme, mine, first=JULY)
