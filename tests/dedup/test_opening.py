"""Cases are opened once, gain evidence while undecided, and are opened anew when it is new."""

from itertools import pairwise
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from dedup import judge
from dedup.case import evidence_digest
from dedup.find import Found
from dedup.judge import Opened
from dedup.refusal import CaseReopened
from dedup.score import score
from tests.conftest import PARTNER_A, PARTNER_B
from tests.dedup.judging import (
    AT,
    MATCHER,
    MODEL,
    PARTNER_C,
    as_actor,
    cases_between,
    decide,
    found_by,
    matched,
    open_case,
    pair_of,
    say,
    scored,
    somebody,
    view_of,
)
from tests.dedup.make import person

TABLES = ("match_case", "case_pair", "scoring", "judgement", "decision", "assignment")


async def batch(conn, *pairs, partner_id=PARTNER_A, model=MODEL, who=MATCHER) -> Opened:
    await db.set_facts(conn, who)
    return await judge.open_batch(
        conn, matched(*pairs, partner_id=partner_id), model=model, at=AT, actor_id=who.actor_id
    )


async def test_a_case_holds_its_pairs_and_why(conn):
    mine, theirs = person(), person("Ana / Pérez")
    found = score(mine, theirs, MODEL)
    (case,) = await found_by(conn, pair_of(mine, theirs, found))
    view = await judge.load_case(conn, case.case_id)
    assert {case.household_a, case.household_b} == {mine.household_id, theirs.household_id}
    assert case.household_a < case.household_b
    (pair,) = view.pairs
    mine_is_a = case.household_a == mine.household_id
    assert pair.person_a == (mine if mine_is_a else theirs).person_id
    assert case.partner_a == (PARTNER_A if mine_is_a else PARTNER_B)
    assert pair.evidence == found.fields
    assert case.strength_bits == pair.weight_bits == found.weight_bits
    assert case.model_id == MODEL.model_id


async def test_opening_again_from_either_side_gives_the_same_case(conn):
    mine, theirs = somebody(), somebody()
    first = await open_case(conn, mine, theirs)
    who = await as_actor(conn, PARTNER_B, "registrar")
    (again,) = await judge.open_cases(
        conn,
        theirs.household_id,
        Found(pairs=(pair_of(theirs, mine, None, PARTNER_A),)),
        partner_id=PARTNER_B,
        model=MODEL,
        at=AT,
        actor_id=who.actor_id,
    )
    assert again == first
    assert len((await judge.load_case(conn, first.case_id)).pairs) == 1


async def test_cases_come_strongest_first(conn):
    mine = somebody()
    others = [somebody() for _ in range(3)]
    pairs = [
        pair_of(mine, other, scored(bits)) for other, bits in zip(others, (30, 20, 10), strict=True)
    ]
    opened = await found_by(conn, *pairs, pair_of(somebody(mine.household_id), others[2]))
    assert [case.strength_bits for case in opened] == [30, 20, 12]
    assert len((await view_of(conn, opened[2])).pairs) == 2


async def test_a_household_that_was_not_checked_has_one_case_of_its_own(conn):
    who = await as_actor(conn, PARTNER_A, "registrar")
    facts = {"partner_id": PARTNER_A, "at": AT, "actor_id": who.actor_id}
    household_id = uuid4()
    case = await judge.open_unchecked(conn, household_id, why="declined", **facts)
    assert (case.reason, case.why, case.household_b) == ("unchecked", "declined", None)
    assert await judge.open_unchecked(conn, household_id, why="unsearchable", **facts) == case
    assert await judge.open_case_ids(conn, [household_id]) == {household_id: [case.case_id]}


async def test_a_partner_cannot_open_a_case_between_two_others(conn):
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await open_case(conn, opened_as=PARTNER_C)


async def test_a_run_opens_cases_between_any_partners_and_again_changes_nothing(conn):
    homes = [somebody() for _ in range(60)]
    pairs = [pair_of(one, other, None, PARTNER_C) for one, other in pairwise(homes)]
    assert await batch(conn, *pairs) == Opened(opened=59)
    assert await batch(conn, *pairs) == Opened(unchanged=59)
    (view,) = await cases_between(conn, homes[0], homes[1])
    sides = {view.case.household_a: view.case.partner_a, view.case.household_b: view.case.partner_b}
    assert sides == {homes[0].household_id: PARTNER_A, homes[1].household_id: PARTNER_C}


@pytest.mark.parametrize("roles", [{"admin", "auditor", "coordinator"}, {"registrar"}, {"sealer"}])
async def test_only_a_run_opens_and_scores_cases_between_others(conn, roles):
    case = await open_case(conn)
    who = db.Actor(actor_id=uuid4(), partner_id=uuid4(), partner_code="", roles=frozenset(roles))
    for statement in (
        """INSERT INTO dedup.match_case (household_a, household_b, partner_a, partner_b, reason,
           opened_at, opened_by, model_id, strength_bits)
           VALUES (uuidv7(), 'ffffffff-ffff-ffff-ffff-ffffffffffff', uuidv7(), uuidv7(),
           'duplicate', now(), :who, 'm', 1)""",
        """INSERT INTO dedup.case_pair VALUES (:case, uuidv7(), uuidv7(), 'm', 1, 0.5, '[]')""",
        """INSERT INTO dedup.scoring (case_id, model_id, strength_bits, scored_at, scored_by)
           VALUES (:case, 'm', 1, now(), :who)""",
    ):
        await db.set_facts(conn, who)
        with pytest.raises(DBAPIError, match="row-level security"):
            async with conn.begin_nested():
                await conn.execute(text(statement), {"who": who.actor_id, "case": case.case_id})
        run = msgspec.structs.replace(who, roles=frozenset({"matcher"}))
        await db.set_facts(conn, run)
        await conn.execute(text(statement), {"who": who.actor_id, "case": case.case_id})


async def test_no_key_can_have_the_role_of_a_run(conn, owner_conn):
    with pytest.raises(DBAPIError, match="api_key_roles_known"):
        await owner_conn.execute(
            text(
                "INSERT INTO cbi.api_key VALUES (uuidv7(), 'm', sha256(''), uuidv7(),"
                " ARRAY['matcher'], '', now(), now())"
            )
        )


async def test_an_open_case_gains_evidence(conn):
    mine, theirs = somebody(), somebody()
    case = await open_case(conn, mine, theirs)
    await say(conn, case, PARTNER_A, "different")
    more = pair_of(somebody(mine.household_id), somebody(theirs.household_id))
    assert await batch(conn, pair_of(mine, theirs), more) == Opened(strengthened=1)
    view = await view_of(conn, case)
    assert (len(view.pairs), view.state) == (2, "second_review")


async def test_a_decision_stays_while_the_evidence_does(conn):
    mine, theirs, others = somebody(), somebody(), somebody()
    case = await open_case(conn, mine, theirs)
    view = await decide(conn, case, "different")
    digest = await conn.scalar(
        text("SELECT evidence_digest FROM dedup.decision WHERE case_id = :id"),
        {"id": case.case_id},
    )
    assert digest == evidence_digest(view.pairs)
    assert view.decision.model_id == MODEL.model_id
    weaker = scored(8.0, name="differs", document="missing")
    for pairs in ([pair_of(mine, theirs)], [pair_of(mine, theirs, weaker)]):
        assert await batch(conn, *pairs, pair_of(mine, others)) in (
            Opened(opened=1, unchanged=1),
            Opened(unchanged=2),
        )
        assert await found_by(conn, *pairs) == [case]
    assert [one.case for one in await cases_between(conn, mine, theirs)] == [case]
    assert await judge.open_case_ids(conn, [theirs.household_id]) == {}


async def test_new_evidence_opens_a_decided_case_anew(conn):
    mine, theirs = somebody(), somebody()
    case = await open_case(conn, mine, theirs)
    before = await decide(conn, case, "different")
    stronger = pair_of(mine, theirs, scored(25.0, name="agrees", document="agrees"))
    assert await batch(conn, stronger) == Opened(reopened=1)
    assert await batch(conn, stronger) == Opened(unchanged=1)
    first, second = await cases_between(conn, mine, theirs)
    assert (second.case.reopens, second.state) == (case.case_id, "open")
    assert first.standing.reopened_as == second.case.case_id
    # The decision and what it was taken on stay as they were, and count until the next.
    assert (first.decisions, first.pairs, first.state) == (
        before.decisions,
        before.pairs,
        "decided",
    )
    word = before.judgements[0].judgement_id
    with pytest.raises(CaseReopened) as refused:
        await say(conn, case, PARTNER_A, "same_person", supersedes=word)
    assert refused.value.reopened_as == second.case.case_id
    with pytest.raises(DBAPIError, match="takes no such judgement"):
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO dedup.judgement SELECT uuidv7(), case_id, 'relative', actor_id,"
                    " partner_id, '', now(), judgement_id FROM dedup.judgement"
                    " WHERE judgement_id = :word"
                ),
                {"word": word},
            )
    again = await decide(conn, second.case, "different")
    assert again.decision.verdict == "different"
    # The next run finds the same once more: it was decided on.
    assert await batch(conn, stronger, pair_of(mine, theirs)) == Opened(unchanged=1)
    other = pair_of(somebody(mine.household_id), theirs)
    assert await batch(conn, stronger, other) == Opened(reopened=1)
    assert len(await cases_between(conn, mine, theirs)) == 3


async def test_more_evidence_that_two_are_one_family_doubts_no_decision_that_they_are(conn):
    mine, theirs = somebody(), somebody()
    await decide(conn, await open_case(conn, mine, theirs), "same_household")
    more = pair_of(somebody(mine.household_id), somebody(theirs.household_id), scored(30.0))
    assert await batch(conn, more) == Opened(unchanged=1)


async def test_a_decision_from_before_evidence_was_digested_is_compared_by_its_pairs(owner_conn):
    conn, mine, theirs = owner_conn, somebody(), somebody()
    case = await open_case(conn, mine, theirs)
    for partner_id in (PARTNER_A, PARTNER_B):
        who = await as_actor(conn, partner_id, "adjudicator")
        await conn.execute(
            text(
                "INSERT INTO dedup.judgement (case_id, verdict, actor_id, partner_id, reason,"
                " judged_at) VALUES (:id, 'different', :who, :partner, '', now())"
            ),
            {"id": case.case_id, "who": who.actor_id, "partner": partner_id},
        )
    await conn.execute(
        text("INSERT INTO dedup.decision VALUES (:id, 'different', now())"), {"id": case.case_id}
    )
    assert await batch(conn, pair_of(mine, theirs)) == Opened(unchanged=1)
    stronger = scored(25.0, name="agrees", document="agrees")
    assert await batch(conn, pair_of(mine, theirs, stronger)) == Opened(reopened=1)


async def test_a_pair_of_households_has_one_undecided_case_at_most(conn):
    mine, theirs = somebody(), somebody()
    case = await open_case(conn, mine, theirs)
    add = (
        "INSERT INTO dedup.match_case (household_a, household_b, partner_a, partner_b, reason,"
        " opened_at, opened_by, model_id, strength_bits, reopens) VALUES (:a, :b, :pa, :pb,"
        " 'duplicate', now(), :by, 'm', 1, :reopens)"
    )

    async def refused(match, reopens, b=case.household_b):
        await db.set_facts(conn, MATCHER)
        facts = {"a": case.household_a, "b": b, "pa": PARTNER_A, "pb": PARTNER_B}
        with pytest.raises(DBAPIError, match=match):
            async with conn.begin_nested():
                await conn.execute(text(add), facts | {"by": MATCHER.actor_id, "reopens": reopens})

    await refused("match_case_first_of_pair", None)
    await refused("is not decided", case.case_id)
    await decide(conn, case, "different")
    await refused("match_case_first_of_pair", None)
    await refused("match_case_reopens_same_pair", case.case_id, UUID(int=2**128 - 1))
    await batch(conn, pair_of(mine, theirs, scored(25.0, name="agrees", document="agrees")))
    await refused("match_case_reopened_once", case.case_id)


@pytest.mark.parametrize("table", ["case_pair", "scoring"])
async def test_nothing_is_added_to_what_was_decided_on(conn, table):
    case = await open_case(conn)
    await decide(conn, case, "different")
    await db.set_facts(conn, MATCHER)
    values = {
        "case_pair": "(case_id, person_a, person_b, model_id, weight_bits, probability, evidence)"
        " VALUES (:id, uuidv7(), uuidv7(), 'm', 1, 0.5, '[]')",
        "scoring": "(case_id, model_id, strength_bits, scored_at, scored_by)"
        " VALUES (:id, 'm', 1, now(), :by)",
    }
    with pytest.raises(DBAPIError, match="the case is decided"):
        async with conn.begin_nested():
            await conn.execute(
                text(f"INSERT INTO dedup.{table} {values[table]}"),
                {"id": case.case_id, "by": MATCHER.actor_id},
            )


OTHER = "another-model"


async def rescored(conn, case, *pairs, model) -> bool:
    await db.set_facts(conn, MATCHER)
    return await judge.rescore(conn, case.case_id, pairs, model, at=AT, actor_id=MATCHER.actor_id)


class Named:
    """A model by its name; opening and rescoring need no more of it."""

    def __init__(self, model_id, strong_bits=20.0):
        self.model_id, self.strong_bits = model_id, strong_bits


async def test_another_model_scores_open_cases_anew_and_decisions_stay(conn):
    mine, theirs = somebody(), somebody()
    case, decided = await open_case(conn, mine, theirs), await open_case(conn)
    before = await decide(conn, decided, "different")
    await db.set_facts(conn, MATCHER)
    before_it = UUID(int=case.case_id.int - 1)
    waiting = await judge.cases_of_other_models(conn, OTHER, after=before_it)
    assert case.case_id in {view.case.case_id for view in waiting}
    assert decided.case_id not in {view.case.case_id for view in waiting}
    turned = pair_of(theirs, mine, scored(3.0, OTHER, name="agrees", phone="missing"), PARTNER_A)
    assert await rescored(conn, case, turned, model=Named(OTHER))
    view = await view_of(conn, case)
    (pair,) = view.pairs
    assert (pair.model_id, pair.weight_bits, view.standing.strength_bits) == (OTHER, 3.0, 3.0)
    assert {pair.person_a, pair.person_b} == {mine.person_id, theirs.person_id}
    assert (pair.person_a == mine.person_id) == (case.household_a == mine.household_id)
    assert not await rescored(conn, decided, turned, model=Named(OTHER))
    assert (await view_of(conn, decided)).pairs == before.pairs
    # The first model comes back: its pairs are there.
    assert await rescored(conn, case, pair_of(mine, theirs), model=MODEL)
    (back,) = (await view_of(conn, case)).pairs
    assert back.model_id == MODEL.model_id
    await db.set_facts(conn, MATCHER)
    assert case.case_id in {
        view.case.case_id
        for view in await judge.cases_of_other_models(conn, OTHER, after=before_it)
    }


async def test_a_run_under_another_model_adds_to_open_cases_and_leaves_decided_ones(conn):
    mine, theirs, others = somebody(), somebody(), somebody()
    case = await open_case(conn, mine, theirs)
    await decide(conn, await open_case(conn, mine, others), "different")
    pairs = [pair_of(mine, one, scored(40.0, OTHER)) for one in (theirs, others)]
    assert await batch(conn, *pairs, model=Named(OTHER)) == Opened(strengthened=1, unchanged=1)
    assert await batch(conn, *pairs, model=Named(OTHER)) == Opened(unchanged=2)
    assert [pair.model_id for pair in (await view_of(conn, case)).pairs] == [OTHER]


async def test_what_only_an_earlier_model_showed_was_not_decided_on(conn):
    mine, theirs = somebody(), somebody()
    others = somebody(mine.household_id), somebody(theirs.household_id)
    (case,) = await found_by(conn, pair_of(mine, theirs), pair_of(*others))
    shown = pair_of(mine, theirs, scored(9.0, OTHER))
    assert await rescored(conn, case, shown, model=Named(OTHER))
    await decide(conn, case, "different")
    assert await batch(conn, shown, model=Named(OTHER)) == Opened(unchanged=1)
    both = [shown, pair_of(*others, scored(9.0, OTHER))]
    assert await batch(conn, *both, model=Named(OTHER)) == Opened(reopened=1)


@pytest.mark.parametrize("table", TABLES)
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
    mine, theirs = somebody(), somebody()
    case = await open_case(owner_conn, mine, theirs)
    await rescored(owner_conn, case, pair_of(mine, theirs, scored(9.0, OTHER)), model=Named(OTHER))
    who = await as_actor(owner_conn, PARTNER_C, "coordinator")
    await judge.assign(
        owner_conn,
        case.case_id,
        to_partner_id=PARTNER_C,
        is_coordinator=True,
        partner_id=PARTNER_C,
        actor_id=who.actor_id,
        at=AT,
    )
    await decide(owner_conn, case, "same_person")
    await owner_conn.execute(text("SET LOCAL session_replication_role = replica"))
    for table in TABLES:
        for statement in (
            f"UPDATE dedup.{table} SET case_id = case_id",
            f"DELETE FROM dedup.{table}",
        ):
            with pytest.raises(DBAPIError, match="append-only"):
                async with owner_conn.begin_nested():
                    await owner_conn.execute(text(statement))
