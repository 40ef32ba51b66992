import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from dedup import judge
from dedup.case import CaseView
from dedup.find import Found, Pair
from dedup.model import load
from dedup.refusal import AlreadyJudged, CaseDecided, CaseNotFound
from dedup.score import score
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.dedup.make import person

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
PARTNER_C = UUID("00000000-0000-4000-8000-00000000000c")
MODEL = load()


def found_pair(mine, theirs, other_partner_id=PARTNER_B):
    return Pair(
        person_id=mine.person_id,
        household_id=mine.household_id,
        other_person_id=theirs.person_id,
        other_household_id=theirs.household_id,
        other_partner_id=other_partner_id,
        score=score(mine, theirs, MODEL),
    )


async def as_actor(conn, partner_id, *roles):
    who = actor(partner_id, *roles)
    await db.set_facts(conn, who)
    return who


async def open_case(conn, mine=None, theirs=None, opened_as=PARTNER_A):
    mine, theirs = mine or person(), theirs or person()
    who = await as_actor(conn, opened_as, "registrar")
    (case,) = await judge.open_cases(
        conn,
        mine.household_id,
        Found(pairs=(found_pair(mine, theirs),)),
        partner_id=PARTNER_A,
        model=MODEL,
        at=AT,
        actor_id=who.actor_id,
    )
    return case


async def say(conn, case, partner_id, verdict, who=None) -> CaseView:
    who = who or actor(partner_id, "adjudicator")
    await db.set_facts(conn, who)
    return await judge.judge(
        conn,
        case_id=case.case_id,
        verdict=verdict,
        reason="seen together",
        at=AT,
        actor_id=who.actor_id,
        partner_id=partner_id,
    )


async def test_a_case_holds_its_pairs_and_why(conn):
    mine, theirs = person(), person("Ana / Pérez")
    case = await open_case(conn, mine, theirs)
    view = await judge.load_case(conn, case.case_id)
    assert {case.household_a, case.household_b} == {mine.household_id, theirs.household_id}
    assert case.household_a < case.household_b
    assert view.state == "open"
    (pair,) = view.pairs
    mine_is_a = case.household_a == mine.household_id
    assert pair.person_a == (mine if mine_is_a else theirs).person_id
    assert case.partner_a == (PARTNER_A if mine_is_a else PARTNER_B)
    assert pair.evidence == score(mine, theirs, MODEL).fields
    assert case.strength_bits == pair.weight_bits
    assert case.model_id == MODEL.model_id


async def test_opening_again_from_either_side_gives_the_same_case(conn):
    mine, theirs = person(), person()
    first = await open_case(conn, mine, theirs)
    who = await as_actor(conn, PARTNER_B, "registrar")
    (again,) = await judge.open_cases(
        conn,
        theirs.household_id,
        Found(pairs=(found_pair(theirs, mine, PARTNER_A),)),
        partner_id=PARTNER_B,
        model=MODEL,
        at=AT,
        actor_id=who.actor_id,
    )
    assert again == first
    assert len((await judge.load_case(conn, first.case_id)).pairs) == 1


async def test_a_household_that_was_not_checked_has_one_case_of_its_own(conn):
    who = await as_actor(conn, PARTNER_A, "registrar")
    facts = {"partner_id": PARTNER_A, "at": AT, "actor_id": who.actor_id}
    household_id = uuid4()
    case = await judge.open_unchecked(conn, household_id, why="declined", **facts)
    assert (case.reason, case.why, case.household_b) == ("unchecked", "declined", None)
    assert await judge.open_unchecked(conn, household_id, why="unsearchable", **facts) == case
    assert await judge.open_case_ids(conn, [household_id]) == {household_id: [case.case_id]}


async def test_two_organisations_that_agree_decide(conn):
    case = await open_case(conn)
    assert (await say(conn, case, PARTNER_A, "same_person")).state == "second_review"
    view = await say(conn, case, PARTNER_B, "same_person")
    assert (view.state, view.decision.verdict) == ("decided", "same_person")
    assert await judge.load_case(conn, case.case_id) == view


async def test_a_third_organisation_breaks_a_tie(conn):
    case = await open_case(conn)
    await say(conn, case, PARTNER_A, "same_person")
    assert (await say(conn, case, PARTNER_B, "different")).state == "disputed"
    view = await say(conn, case, PARTNER_C, "different")
    assert view.decision.verdict == "different"


async def test_a_decided_case_is_not_judged_again(conn):
    case = await open_case(conn)
    for partner_id in (PARTNER_A, PARTNER_B):
        await say(conn, case, partner_id, "relative")
    with pytest.raises(CaseDecided) as refusal:
        await say(conn, case, PARTNER_C, "different")
    assert (refusal.value.case_id, refusal.value.verdict) == (case.case_id, "relative")
    with pytest.raises(DBAPIError, match="is decided"):
        async with conn.begin_nested():
            await insert_judgement(conn, case, actor(PARTNER_C, "adjudicator"))


async def test_an_organisation_judges_once_and_so_does_a_person(conn):
    case = await open_case(conn)
    who = actor(PARTNER_A, "adjudicator")
    await say(conn, case, PARTNER_A, "same_person", who)
    with pytest.raises(AlreadyJudged):
        await say(conn, case, PARTNER_A, "same_person")
    turned = db.Actor(
        actor_id=who.actor_id, partner_id=PARTNER_B, partner_code="b", roles=who.roles
    )
    with pytest.raises(AlreadyJudged):
        await say(conn, case, PARTNER_B, "same_person", turned)


async def insert_judgement(conn, case, who):
    await db.set_facts(conn, who)
    await conn.execute(
        text(
            "INSERT INTO dedup.judgement"
            " (case_id, verdict, actor_id, partner_id, reason, judged_at)"
            " VALUES (:case_id, 'different', :actor_id, :partner_id, '', :at)"
        ),
        {
            "case_id": case.case_id,
            "actor_id": who.actor_id,
            "partner_id": who.partner_id,
            "at": AT,
        },
    )


async def test_only_an_adjudicator_or_coordinator_judges(conn):
    case = await open_case(conn)
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await insert_judgement(conn, case, actor(PARTNER_A, "registrar"))
    await insert_judgement(conn, case, actor(PARTNER_A, "coordinator"))


@pytest.mark.parametrize("verdict", ["different", "same_person"])
async def test_the_database_refuses_a_decision_of_one_organisation(conn, verdict):
    case = await open_case(conn)
    await say(conn, case, PARTNER_A, "different")
    alone = text("INSERT INTO dedup.decision VALUES (:case_id, :verdict, :at)")
    with pytest.raises(DBAPIError, match="two organisations that agree"):
        async with conn.begin_nested():
            await conn.execute(alone, {"case_id": case.case_id, "verdict": verdict, "at": AT})


async def test_a_partner_outside_the_case_sees_nothing(conn):
    case = await open_case(conn)
    await say(conn, case, PARTNER_B, "same_person")
    await as_actor(conn, PARTNER_C, "registrar", "programme", "finance", "admin")
    for table in ("match_case", "case_pair", "judgement", "decision"):
        rows = await conn.execute(
            text(f"SELECT count(*) FROM dedup.{table} WHERE case_id = :case_id"),
            {"case_id": case.case_id},
        )
        assert rows.scalar() == 0
    with pytest.raises(CaseNotFound):
        await judge.load_case(conn, case.case_id)
    # Its programme may still ask whether a household it enrols is in doubt.
    assert await judge.open_case_ids(conn, [case.household_a, uuid4()]) == {
        case.household_a: [case.case_id]
    }


async def test_a_partner_cannot_open_a_case_between_two_others(conn):
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await open_case(conn, opened_as=PARTNER_C)


@pytest.mark.parametrize("table", ["match_case", "case_pair", "judgement", "decision"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET case_id = case_id", "DELETE FROM {}", "TRUNCATE {}"]
)
async def test_history_refuses_change_from_the_service_and_from_a_superuser(
    conn, owner_conn, table, statement
):
    with pytest.raises(DBAPIError, match="permission denied"):
        async with conn.begin_nested():
            await conn.execute(text(statement.format(f"dedup.{table}")))
    await owner_conn.execute(text("SET LOCAL session_replication_role = replica"))
    if statement.startswith("TRUNCATE"):
        with pytest.raises(DBAPIError, match="append-only"):
            await owner_conn.execute(text(statement.format(f"dedup.{table}") + " CASCADE"))


async def test_history_refuses_a_superuser_who_edits_a_row(owner_conn):
    case = await open_case(owner_conn)
    await say(owner_conn, case, PARTNER_A, "same_person")
    await say(owner_conn, case, PARTNER_B, "same_person")
    await owner_conn.execute(text("SET LOCAL session_replication_role = replica"))
    for table in ("match_case", "case_pair", "judgement", "decision"):
        for statement in (
            f"UPDATE dedup.{table} SET case_id = case_id",
            f"DELETE FROM dedup.{table}",
        ):
            with pytest.raises(DBAPIError, match="append-only"):
                async with owner_conn.begin_nested():
                    await owner_conn.execute(text(statement))


async def test_two_reviewers_at_the_same_moment_make_one_decision(engine):
    async with engine.begin() as conn:
        case = await open_case(conn)
    begun = asyncio.Barrier(2)

    async def review(partner_id):
        async with engine.begin() as conn:
            await db.set_facts(conn, actor(partner_id, "adjudicator"))
            await begun.wait()
            return (await say(conn, case, partner_id, "same_household")).state

    states = await asyncio.gather(review(PARTNER_A), review(PARTNER_B))
    assert sorted(states) == ["decided", "second_review"]
    async with engine.begin() as conn:
        await as_actor(conn, PARTNER_A, "auditor")
        view = await judge.load_case(conn, case.case_id)
    assert view.decision.verdict == "same_household"


async def test_cases_are_listed_by_state_and_page(conn):
    await as_actor(conn, PARTNER_C, "coordinator")
    last = (await conn.execute(text("SELECT uuidv7()"))).scalar()
    cases = [await open_case(conn) for _ in range(5)]
    await say(conn, cases[1], PARTNER_A, "same_person")
    for partner_id, verdict in ((PARTNER_A, "same_person"), (PARTNER_B, "different")):
        await say(conn, cases[2], partner_id, verdict)
    for partner_id in (PARTNER_A, PARTNER_B):
        await say(conn, cases[3], partner_id, "different")

    async def listed(state, after=last, limit=50):
        views = await judge.list_cases(conn, state=state, after=after, limit=limit)
        assert state is None or {view.state for view in views} <= {state}
        return [view.case for view in views]

    assert await listed("open") == [cases[0], cases[4]]
    assert await listed("second_review") == [cases[1]]
    assert await listed("disputed") == [cases[2]]
    assert await listed("decided") == [cases[3]]
    assert await listed(None, limit=2) == cases[:2]
    assert await listed(None, after=cases[1].case_id) == cases[2:]
