"""Organisations judge: states, two who agree, words taken back, assignments, groups, races."""

import re
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from dedup import judge
from dedup.refusal import (
    AlreadyJudged,
    AssignElsewhere,
    CannotSupersede,
    CaseDecided,
    CaseNotFound,
)
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.dedup.judging import (
    AT,
    PARTNER_C,
    PARTNER_D,
    as_actor,
    decide,
    insert_judgement,
    open_case,
    say,
    view_of,
)

TABLES = ("match_case", "case_pair", "scoring", "judgement", "decision", "assignment")


@pytest.mark.parametrize(
    ("verdicts", "where", "verdict"),
    [
        ((), "open", None),
        (("same_person",), "second_review", None),
        (("unresolved",), "second_review", None),
        (("same_person", "same_person"), "decided", "same_person"),
        (("same_person", "different"), "disputed", None),
        (("same_person", "different", "different"), "decided", "different"),
        (("same_person", "different", "relative"), "disputed", None),
        (("unresolved", "unresolved"), "disputed", None),
        (("unresolved", "different", "different"), "decided", "different"),
    ],
)
async def test_a_case_moves_as_organisations_judge(conn, verdicts, where, verdict):
    case = await open_case(conn)
    for place, word in enumerate(verdicts):
        await say(conn, case, (PARTNER_A, PARTNER_B, PARTNER_C)[place], word)
    view = await view_of(conn, case)
    assert (view.state, view.decision.verdict if view.decision else None) == (where, verdict)


async def test_a_decided_case_is_not_judged_by_others(conn):
    case = await open_case(conn)
    await decide(conn, case, "relative")
    for partner_id in (PARTNER_A, PARTNER_C):
        with pytest.raises(CaseDecided) as refusal:
            await say(conn, case, partner_id, "different")
        assert (refusal.value.case_id, refusal.value.verdict) == (case.case_id, "relative")
    with pytest.raises(DBAPIError, match="takes no such judgement"):
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
    for again, refused in ((who, "one_per_organisation"), (turned, "takes no such")):
        with pytest.raises(DBAPIError, match=refused):
            async with conn.begin_nested():
                await insert_judgement(conn, case, again)


def word_of(view, partner_id):
    return [one for one in view.judgements if one.partner_id == partner_id][-1].judgement_id


async def test_an_organisation_takes_its_word_back_before_the_decision(conn):
    case = await open_case(conn)
    first = await say(conn, case, PARTNER_A, "different")
    second = await say(conn, case, PARTNER_A, "same_person", supersedes=word_of(first, PARTNER_A))
    assert second.state == "second_review"
    assert [one.verdict for one in second.judgements] == ["different", "same_person"]
    assert (await say(conn, case, PARTNER_B, "different")).state == "disputed"
    assert (await say(conn, case, PARTNER_C, "same_person")).decision.verdict == "same_person"


async def test_a_decision_stays_in_force_until_two_agree_on_another(conn):
    case = await open_case(conn)
    decided = await decide(conn, case, "same_household")
    later = AT + timedelta(days=9)
    doubted = await say(
        conn, case, PARTNER_A, "different", supersedes=word_of(decided, PARTNER_A), at=later
    )
    assert (doubted.state, doubted.decision.verdict) == ("disputed", "same_household")
    assert doubted.standing.waiting_since == later
    # A third may speak now, and the other organisation may follow.
    other = await say(conn, case, PARTNER_C, "relative")
    assert other.state == "disputed"
    undone = await say(conn, case, PARTNER_B, "different", supersedes=word_of(decided, PARTNER_B))
    assert (undone.state, undone.decision.verdict) == ("decided", "different")
    assert [one.verdict for one in undone.decisions] == ["same_household", "different"]
    with pytest.raises(CaseDecided):
        await say(conn, case, PARTNER_D, "different")


async def test_a_decision_stands_while_two_organisations_stand_by_it(conn):
    case = await open_case(conn)
    decided = await decide(conn, case, "different")
    doubted = await say(
        conn, case, PARTNER_A, "same_person", supersedes=word_of(decided, PARTNER_A)
    )
    assert doubted.state == "disputed"
    upheld = await say(conn, case, PARTNER_C, "different")
    assert (upheld.state, len(upheld.decisions)) == ("decided", 1)


async def test_only_ones_own_word_in_force_is_taken_back(conn):
    case, other = await open_case(conn), await open_case(conn)
    first = word_of(await say(conn, case, PARTNER_A, "different"), PARTNER_A)
    theirs = word_of(await say(conn, case, PARTNER_B, "same_person"), PARTNER_B)
    elsewhere = word_of(await say(conn, other, PARTNER_A, "different"), PARTNER_A)
    await say(conn, case, PARTNER_A, "relative", supersedes=first)
    for judgement_id, refused in (
        (first, "judgement_superseded_once"),
        (theirs, "judgement_supersedes_own"),
        (elsewhere, "judgement_supersedes_own"),
        (uuid4(), "judgement_supersedes_own"),
    ):
        with pytest.raises(CannotSupersede):
            await say(conn, case, PARTNER_A, "different", supersedes=judgement_id)
        with pytest.raises(DBAPIError, match=refused):
            async with conn.begin_nested():
                await insert_judgement(
                    conn, case, actor(PARTNER_A, "adjudicator"), supersedes=judgement_id
                )


async def test_only_an_adjudicator_or_coordinator_judges(conn):
    case = await open_case(conn)
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await insert_judgement(conn, case, actor(PARTNER_A, "registrar"))
    await insert_judgement(conn, case, actor(PARTNER_A, "coordinator"))


async def test_the_database_refuses_a_decision_that_two_do_not_share(conn):
    alone = text(
        "INSERT INTO dedup.decision (case_id, verdict, decided_at, supersedes)"
        " VALUES (:case_id, :verdict, :at, :supersedes)"
    )

    async def refused(case, verdict, match, supersedes=None):
        facts = {"case_id": case.case_id, "verdict": verdict, "at": AT, "supersedes": supersedes}
        with pytest.raises(DBAPIError, match=match):
            async with conn.begin_nested():
                await conn.execute(alone, facts)

    case = await open_case(conn)
    await say(conn, case, PARTNER_A, "different")
    for verdict in ("different", "same_person"):
        await refused(case, verdict, "two organisations that agree")
    view = await say(conn, case, PARTNER_B, "different")
    await refused(case, "different", "decision_first_of_case")
    # A word that was taken back is none.
    await say(conn, case, PARTNER_B, "relative", supersedes=word_of(view, PARTNER_B))
    await refused(case, "different", "two organisations that agree", view.decision.decision_no)


async def test_a_partner_outside_the_case_sees_nothing(conn):
    case = await open_case(conn)
    await say(conn, case, PARTNER_B, "same_person")
    await as_actor(conn, PARTNER_C, "registrar", "programme", "finance", "admin")
    for table in (*TABLES, "case_standing", "judgement_in_force"):
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


async def ask(conn, case, who, to_partner_id, to_actor_id=None):
    await db.set_facts(conn, who)
    return await judge.assign(
        conn,
        case.case_id,
        to_partner_id=to_partner_id,
        to_actor_id=to_actor_id,
        is_coordinator="coordinator" in who.roles,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
    )


async def test_the_last_to_be_asked_counts_and_anybody_may_judge(conn):
    case = await open_case(conn)
    me = actor(PARTNER_A, "adjudicator")
    mine = await ask(conn, case, me, PARTNER_A, me.actor_id)
    assert (mine.state, mine.standing.assigned_actor_id) == ("assigned", me.actor_id)
    view = await ask(conn, case, actor(PARTNER_C, "coordinator"), PARTNER_B)
    assert view.standing.assigned_partner_id == PARTNER_B
    assert view.standing.assigned_actor_id is None
    assert (await say(conn, case, PARTNER_C, "different")).state == "second_review"


async def test_only_a_coordinator_asks_another_organisation(conn):
    case = await open_case(conn)
    who = actor(PARTNER_A, "adjudicator")
    with pytest.raises(AssignElsewhere):
        await ask(conn, case, who, PARTNER_B)
    forged = (
        "INSERT INTO dedup.assignment (case_id, partner_id, assigned_by, assigned_at)"
        " VALUES (:case, :partner, :by, now())"
    )
    for partner, by, role in (
        (PARTNER_B, who.actor_id, "adjudicator"),
        (PARTNER_A, uuid4(), "coordinator"),
        (PARTNER_A, who.actor_id, "registrar"),
    ):
        await db.set_facts(
            conn,
            db.Actor(
                actor_id=who.actor_id,
                partner_id=PARTNER_A,
                partner_code="",
                roles=frozenset({role}),
            ),
        )
        with pytest.raises(DBAPIError, match="row-level security"):
            async with conn.begin_nested():
                await conn.execute(
                    text(forged), {"case": case.case_id, "partner": partner, "by": by}
                )


async def test_nobody_is_asked_about_a_decided_case(conn):
    case = await open_case(conn)
    await decide(conn, case, "different")
    who = actor(PARTNER_C, "coordinator")
    with pytest.raises(CaseDecided):
        await ask(conn, case, who, PARTNER_B)
    with pytest.raises(DBAPIError, match="is decided"):
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO dedup.assignment (case_id, partner_id, assigned_by, assigned_at)"
                    " VALUES (:case, :partner, :by, now())"
                ),
                {"case": case.case_id, "partner": PARTNER_B, "by": who.actor_id},
            )


def worked_example() -> list[list[str]]:
    page = Path(__file__).parents[2] / "docs" / "adjudication.md"
    rows = re.findall(r"^\| \d+ \|.*\|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in rows]


async def test_the_worked_example_of_the_page_on_adjudication(conn):
    case = await open_case(conn)
    partners = {"ALFA": PARTNER_A, "BETA": PARTNER_B, "GAMA": PARTNER_C}
    words: dict[str, UUID] = {}
    steps = worked_example()
    assert len(steps) == 4
    for number, who, verdict, instead_of, state, in_force in steps:
        view = await say(conn, case, partners[who], verdict, supersedes=words.get(instead_of))
        words[number] = word_of(view, partners[who])
        assert view.state == state
        assert (view.decision.verdict if view.decision else "") == in_force
