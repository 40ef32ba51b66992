"""Who decides a conflict of promises, and what the organisations with a promise see of it."""

from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi import conflicts
from cbi.overlap_refusal import ConflictDecidedAnew, ConflictOfOthers, ConflictTwoPeople
from cbi.refusal import NotFound
from ledger.violation import constraint_of
from tests.cbi.deciding import join
from tests.cbi.overlapping import AUGUST, agreed, who
from tests.cbi.test_conflicts import listed, proposed, two_promised
from tests.cbi.test_reserve import DAY
from tests.cbi.world import ALFA, AT, BETA, GAMA, PARTNER_C, staff
from tests.conftest import PARTNER_A, PARTNER_B

PARTNER_D = UUID("00000000-0000-4000-8000-00000000000d")
A, B, C, D = (
    staff(7, partner_id, {"coordinator"})
    for partner_id in (PARTNER_A, PARTNER_B, PARTNER_C, PARTNER_D)
)


async def working(conn, *coordinators, until=AT + 30 * DAY):
    """Give these coordinators keys."""
    await db.set_facts(conn, db.SYSTEM)
    for one in coordinators:
        facts = {
            "actor": one.actor_id,
            "partner": one.partner_id,
            "code": f"P{one.partner_id.hex[-2:].upper()}",
            "prefix": one.actor_id.hex[:12],
            "at": AT,
            "until": until,
        }
        for statement in (
            (
                "INSERT INTO cbi.partner (partner_id, code, name, contact, added_at)"
                " VALUES (:partner, :code, :code, 'ask@x.example', :at) ON CONFLICT DO NOTHING"
            ),
            (
                "INSERT INTO cbi.actor (actor_id, partner_id, handle, added_at)"
                " VALUES (:actor, :partner, :prefix, :at) ON CONFLICT DO NOTHING"
            ),
            (
                "INSERT INTO cbi.api_key (key_id, prefix, digest, actor_id, roles, issued_at,"
                " expires_at) VALUES (uuidv7(), :prefix, sha256(convert_to(:prefix, 'UTF8')),"
                " :actor, ARRAY['coordinator'], :at, :until)"
            ),
        ):
            needed = {name: facts[name] for name in facts if f":{name}" in statement}
            await conn.execute(text(statement), needed)


async def a_conflict(conn, *coordinators):
    await working(conn, *coordinators)
    mine, theirs, *_ = await two_promised(conn)
    await join(conn, mine, theirs)
    return mine, theirs, (await listed(conn))[0]


async def confirmed(conn, found, actor, *, decision_no=1):
    await db.set_facts(conn, actor)
    by = who(actor, AT)
    return await conflicts.confirm(conn, found.conflict_id, decision_no, by=by)


async def test_two_organisations_that_have_neither_promise_decide(conn):
    *_, found = await a_conflict(conn, A, B, C, D)
    for side in (A, B):
        with pytest.raises(ConflictOfOthers):
            await proposed(conn, found, "end_later", AUGUST, actor=side)
    made = await proposed(conn, found, "end_later", AUGUST, actor=C)
    assert (made.state, made.later.end_month) == ("proposed", date(2027, 1, 1))
    for side in (A, B):
        with pytest.raises(ConflictOfOthers):
            await confirmed(conn, found, side)
    with pytest.raises(ConflictTwoPeople):
        await confirmed(conn, found, C)
    with pytest.raises(ConflictTwoPeople):
        await confirmed(conn, found, staff(8, PARTNER_C, {"coordinator"}))
    done = await confirmed(conn, found, D)
    assert (done.state, done.later.end_month) == ("decided", AUGUST)
    assert [each.confirmed_by for each in done.decisions] == [D.actor_id]
    # Twice is once.
    assert await confirmed(conn, found, D) == done


@pytest.mark.parametrize(("first", "second"), [(A, C), (C, B)])
async def test_where_one_other_organisation_works_it_is_one_of_the_two(conn, first, second):
    *_, found = await a_conflict(conn, A, B, C)
    await proposed(conn, found, "end_later", AUGUST, actor=first)
    if first is A:
        with pytest.raises(ConflictOfOthers):
            await confirmed(conn, found, B)
    assert (await confirmed(conn, found, second)).state == "decided"


async def test_where_none_other_works_the_two_decide_together(conn):
    *_, found = await a_conflict(conn, A, B)
    await proposed(conn, found, "end_later", AUGUST, actor=A)
    with pytest.raises(ConflictTwoPeople):
        await confirmed(conn, found, staff(8, PARTNER_A, {"coordinator"}))
    assert (await confirmed(conn, found, B)).state == "decided"


async def test_keys_that_have_ended_count_for_nobody(conn):
    await working(conn, C, D, until=AT)
    *_, found = await a_conflict(conn, A, B)
    assert (await proposed(conn, found, "no_overlap", actor=A)).state == "proposed"


async def test_only_the_newest_decision_is_confirmed_and_the_one_before_counts_until_then(conn):
    *_, found = await a_conflict(conn, A, B, C, D)
    await proposed(conn, found, "end_later", AUGUST, actor=C)
    await confirmed(conn, found, D)
    made = await proposed(conn, found, "end_later", date(2026, 10, 1), actor=D)
    assert (made.state, made.later.end_month) == ("decided", AUGUST)
    await proposed(conn, found, "end_later", date(2026, 9, 1), actor=C)
    with pytest.raises(ConflictDecidedAnew):
        await confirmed(conn, found, C, decision_no=2)
    done = await confirmed(conn, found, D, decision_no=3)
    assert done.later.end_month == date(2026, 9, 1)
    with pytest.raises(NotFound):
        await confirmed(conn, found, C, decision_no=9)


async def test_nobody_writes_a_decision_that_counts_alone(conn):
    *_, found = await a_conflict(conn, A, B, C, D)
    await db.set_facts(conn, C)
    with pytest.raises(DBAPIError) as refused:
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO cbi.conflict_decision (conflict_id, decision_no, decision,"
                    " reason, is_alone, partner_id, actor_id, at) VALUES (:id, 1, 'no_overlap',"
                    " 'other', true, :partner, :actor, :at)"
                ),
                {
                    "id": found.conflict_id,
                    "partner": C.partner_id,
                    "actor": C.actor_id,
                    "at": AT,
                },
            )
    assert constraint_of(refused.value) == "conflict_two_organisations"


async def test_an_organisation_sees_that_its_own_household_is_in_a_conflict(conn):
    await agreed(conn)
    mine, theirs, found = await a_conflict(conn, A, B, C, D)
    for actor, household_id in ((ALFA, mine), (BETA, theirs)):
        await db.set_facts(conn, actor)
        (own,) = await conflicts.list_own(conn, after=None, limit=9, at=AT + 4 * DAY)
        assert [(each.household_id, each.assistance) for each in own.promises] == [
            (household_id, "mpca")
        ]
        assert (own.state, own.age_days, own.is_overdue) == ("open", 4, True)
        assert own.ask == "coordination@cbi.example"
        assert str(theirs if household_id == mine else mine) not in str(own)
        assert await conflicts.list_own(conn, after=found.conflict_id, limit=9, at=AT) == []
    await db.set_facts(conn, GAMA)
    assert await conflicts.list_own(conn, after=None, limit=9, at=AT) == []
    await proposed(conn, found, "no_overlap", actor=C)
    await confirmed(conn, found, D)
    await db.set_facts(conn, ALFA)
    (own,) = await conflicts.list_own(conn, after=None, limit=9, at=AT + timedelta(hours=1))
    assert own.state == "decided"


async def test_a_key_for_an_area_sees_the_conflicts_of_its_area(conn):
    await a_conflict(conn, A, B)
    await db.set_facts(conn, staff(0, PARTNER_A, {"programme"}, "23"))
    assert await conflicts.list_own(conn, after=None, limit=9, at=AT) == []
