"""Cases that hang together: listed, shown and judged as a group; and lists of cases."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from api import db
from dedup import cases, judge
from dedup.refusal import AlreadyJudged, CaseDecided, GroupChanged, GroupTooLarge
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.dedup.judging import (
    AT,
    MATCHER,
    MODEL,
    PARTNER_C,
    as_actor,
    chain,
    decide,
    found_by,
    matched,
    open_case,
    pair_of,
    said,
    say,
    somebody,
    view_of,
)


async def group(conn, case_id, partner_id, verdict="different", **more):
    who = actor(partner_id, "adjudicator")
    await db.set_facts(conn, who)
    return await judge.judge_group(conn, case_id, said(partner_id, verdict, who), **more)


async def test_cases_that_share_households_are_a_group(conn):
    together = await chain(conn, 3)
    other = await open_case(conn)
    await as_actor(conn, PARTNER_C, "coordinator")
    views = [await judge.load_case(conn, case.case_id) for case in [*together, other]]
    found = await cases.groups_of(conn, views)
    first = together[0].case_id
    assert [(found[c.case_id].group_id, found[c.case_id].size) for c in together] == [
        (first, 3)
    ] * 3
    assert (found[other.case_id].group_id, found[other.case_id].size) == (other.case_id, 1)
    # From any one of them, and no further than decisions leave.
    for case in together:
        assert await cases.group_members(conn, case) == [one.case_id for one in together]
    middle = await case_in_the_middle(conn, together)
    await decide(conn, middle, "different")
    await as_actor(conn, PARTNER_C, "coordinator")
    ends = [case for case in together if case != middle]
    for case in ends:
        assert await cases.group_members(conn, case) == [case.case_id]
    decided = await judge.load_case(conn, middle.case_id)
    assert await cases.groups_of(conn, [decided]) == {}


async def case_in_the_middle(conn, together):
    def shared(case):
        return sum(
            len({case.household_a, case.household_b} & {one.household_a, one.household_b})
            for one in together
            if one != case
        )

    return max(together, key=shared)


async def test_a_partner_learns_nothing_of_cases_that_it_may_not_see(conn):
    mine, theirs, others = somebody(), somebody(), somebody()
    (case,) = await found_by(conn, pair_of(mine, theirs))
    await db.set_facts(conn, MATCHER)
    await judge.open_batch(
        conn,
        matched(pair_of(theirs, others, None, PARTNER_C), partner_id=PARTNER_B),
        model=MODEL,
        at=AT,
        actor_id=MATCHER.actor_id,
    )
    sizes = []
    for role in ("registrar", "coordinator"):
        await as_actor(conn, PARTNER_A, role)
        view = await judge.load_case(conn, case.case_id)
        sizes.append((await cases.groups_of(conn, [view]))[case.case_id].size)
    assert sizes == [1, 2]


async def test_one_word_for_all_cases_of_a_group(conn):
    together = await chain(conn, 3)
    first = await group(conn, together[1].case_id, PARTNER_A, size=3)
    assert [view.state for view in first] == ["second_review"] * 3
    # One was judged by itself in between; the word for the group passes it over.
    await say(conn, together[0], PARTNER_C, "relative")
    await say(conn, together[2], PARTNER_B, "relative")
    second = await group(conn, together[1].case_id, PARTNER_B)
    assert [view.case.case_id for view in second] == [one.case_id for one in together[:2]]
    assert [view.state for view in second] == ["decided", "decided"]
    assert (await view_of(conn, together[2])).state == "disputed"


async def test_a_group_is_judged_as_it_was_seen(conn):
    together = await chain(conn, 2)
    with pytest.raises(GroupChanged) as refused:
        await group(conn, together[0].case_id, PARTNER_A, size=3)
    assert refused.value.size == 2
    await group(conn, together[0].case_id, PARTNER_A)
    with pytest.raises(AlreadyJudged):
        await group(conn, together[0].case_id, PARTNER_A)
    await group(conn, together[0].case_id, PARTNER_B)
    with pytest.raises(CaseDecided):
        await group(conn, together[0].case_id, PARTNER_C)


async def test_a_group_that_nobody_can_have_seen_is_not_judged_at_once(conn, monkeypatch):
    monkeypatch.setattr(judge, "GROUP_JUDGED_MAX", 2)
    together = await chain(conn, 3)
    with pytest.raises(GroupTooLarge):
        await group(conn, together[0].case_id, PARTNER_A)
    assert (await view_of(conn, together[0])).state == "open"


async def test_cases_are_listed_by_state_and_page(conn):
    await as_actor(conn, PARTNER_C, "coordinator")
    last = (await conn.execute(text("SELECT uuidv7()"))).scalar()
    opened = [await open_case(conn) for _ in range(6)]
    await say(conn, opened[1], PARTNER_A, "same_person")
    for partner_id, verdict in ((PARTNER_A, "same_person"), (PARTNER_B, "different")):
        await say(conn, opened[2], partner_id, verdict)
    await decide(conn, opened[3], "different")
    me = await as_actor(conn, PARTNER_C, "coordinator")
    await judge.assign(
        conn,
        opened[5].case_id,
        to_partner_id=PARTNER_C,
        to_actor_id=me.actor_id,
        is_coordinator=True,
        partner_id=PARTNER_C,
        actor_id=me.actor_id,
        at=AT,
    )

    async def listed(state=None, after=last, limit=50, **more):
        views = await judge.list_cases(conn, state=state, after=after, limit=limit, **more)
        assert state is None or {view.state for view in views} <= {state}
        return [view.case for view in views]

    assert await listed("open") == [opened[0], opened[4]]
    assert await listed("assigned") == [opened[5]]
    assert await listed("second_review") == [opened[1]]
    assert await listed("disputed") == [opened[2]]
    assert await listed("decided") == [opened[3]]
    assert await listed(limit=2) == opened[:2]
    assert await listed(after=opened[1].case_id) == opened[2:]
    assert await listed(assigned_partner_id=PARTNER_C) == [opened[5]]
    assert await listed(assigned_actor_id=me.actor_id) == [opened[5]]
    assert await listed(assigned_actor_id=PARTNER_C) == []
    assert await listed(case_ids=[opened[4].case_id, opened[1].case_id]) == [opened[1], opened[4]]
    assert await listed(waiting_before=AT) == []
    # What is decided waits for nobody.
    assert await listed(waiting_before=AT + timedelta(seconds=1)) == [*opened[:3], *opened[4:]]
