"""Two people, or a person and a run, at one case at the same moment: each sees the other."""

import asyncio

import pytest
from sqlalchemy import text

from api import db
from dedup import judge
from dedup.judge import Opened
from dedup.refusal import AlreadyJudged, CannotSupersede, CaseDecided, CaseReopened
from tests.api.house import own_database
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.dedup.judging import (
    AT,
    MATCHER,
    MODEL,
    PARTNER_C,
    cases_between,
    chain,
    decide,
    found_by,
    insert_judgement,
    matched,
    open_case,
    pair_of,
    said,
    say,
    scored,
    somebody,
    view_of,
)

STRONGER = {"name": "agrees", "document": "agrees"}


@pytest.fixture(scope="module")
async def engine(postgres):
    """The service's engine on a database of its own: what is committed here stays here."""
    async with own_database(postgres) as name:
        engine = db.connect(postgres.url("cbi_app").replace("/cbi?", f"/{name}?"))
        yield engine
        await engine.dispose()


@pytest.fixture
async def found(engine):
    """Two households with a case."""
    mine, theirs = somebody(), somebody()
    async with engine.begin() as conn:
        case = await open_case(conn, mine, theirs)
    return mine, theirs, case


async def at_once(engine, *acts):
    """Begin all transactions, then let each act; a refusal is an answer."""
    begun = asyncio.Barrier(len(acts))

    async def one(act):
        async with engine.begin() as conn:
            await conn.execute(text("SELECT 1"))
            await begun.wait()
            return await act(conn)

    return await asyncio.gather(*map(one, acts), return_exceptions=True)


async def in_turn(engine, first, second):
    """Let the second act while the first hasn't ended; it must wait for it."""

    async def alone():
        async with engine.begin() as conn:
            return await second(conn)

    async with engine.begin() as conn:
        done = await first(conn)
        other = asyncio.create_task(alone())
        while not await conn.scalar(text("SELECT bool_or(NOT granted) FROM pg_locks")):
            assert not other.done()
            await asyncio.wait({other}, timeout=0.01)
    return done, (await asyncio.gather(other, return_exceptions=True))[0]


def judging(case, partner_id, verdict, **more):
    return lambda conn: say(conn, case, partner_id, verdict, **more)


def running(*pairs):
    async def run(conn):
        await db.set_facts(conn, MATCHER)
        return await judge.open_batch(
            conn, matched(*pairs), model=MODEL, at=AT, actor_id=MATCHER.actor_id
        )

    return run


def asking(case):
    async def ask(conn):
        who = actor(PARTNER_C, "coordinator")
        await db.set_facts(conn, who)
        return await judge.assign(
            conn,
            case.case_id,
            to_partner_id=PARTNER_B,
            is_coordinator=True,
            partner_id=PARTNER_C,
            actor_id=who.actor_id,
            at=AT,
        )

    return ask


async def test_two_reviewers_at_the_same_moment_make_one_decision(engine, found):
    *_, case = found
    done = await at_once(
        engine,
        judging(case, PARTNER_A, "same_household"),
        judging(case, PARTNER_B, "same_household"),
    )
    assert sorted(view.state for view in done) == ["decided", "second_review"]
    async with engine.begin() as conn:
        assert (await view_of(conn, case)).decision.verdict == "same_household"


async def test_of_two_colleagues_at_the_same_moment_one_speaks(engine, found):
    *_, case = found
    done = await at_once(engine, *[judging(case, PARTNER_A, "different")] * 2)
    assert sorted(type(one).__name__ for one in done) == ["AlreadyJudged", "CaseView"]
    assert AlreadyJudged in map(type, done)


async def test_a_word_is_taken_back_once(engine, found):
    *_, case = found
    async with engine.begin() as conn:
        view = await decide(conn, case, "same_person")
    word = next(one.judgement_id for one in view.judgements if one.partner_id == PARTNER_A)
    done = await at_once(engine, *[judging(case, PARTNER_A, "different", supersedes=word)] * 2)
    assert sorted(type(one).__name__ for one in done) == ["CannotSupersede", "CaseView"]
    assert CannotSupersede in map(type, done)


async def test_nobody_is_asked_about_a_case_that_is_being_decided(engine, found):
    *_, case = found
    async with engine.begin() as conn:
        await say(conn, case, PARTNER_A, "different")
    decided, asked = await in_turn(engine, judging(case, PARTNER_B, "different"), asking(case))
    assert decided.state == "decided"
    assert type(asked) is CaseDecided


async def test_who_decides_waits_for_who_is_being_asked(engine, found):
    *_, case = found
    async with engine.begin() as conn:
        await say(conn, case, PARTNER_A, "different")
    _, decided = await in_turn(engine, asking(case), judging(case, PARTNER_B, "different"))
    assert (decided.state, decided.standing.assigned_partner_id) == ("decided", PARTNER_B)


@pytest.mark.parametrize("first", ["the decision", "the run"])
async def test_evidence_found_as_a_case_is_decided_is_decided_on_or_opens_it_anew(
    engine, found, first
):
    mine, theirs, case = found
    async with engine.begin() as conn:
        await say(conn, case, PARTNER_A, "different")
    more = pair_of(somebody(mine.household_id), somebody(theirs.household_id))
    deciding = judging(case, PARTNER_B, "different")
    opening = running(pair_of(mine, theirs), more)
    if first == "the run":
        opened, decided = await in_turn(engine, opening, deciding)
        assert (opened, len(decided.pairs)) == (Opened(strengthened=1), 2)
    else:
        decided, opened = await in_turn(engine, deciding, opening)
        assert (opened, len(decided.pairs)) == (Opened(reopened=1), 1)
    async with engine.begin() as conn:
        states = [view.state for view in await cases_between(conn, mine, theirs)]
    assert states == (["decided"] if first == "the run" else ["decided", "open"])


async def test_two_runs_at_the_same_moment_open_and_reopen_once(engine, found):
    mine, theirs, case = found
    async with engine.begin() as conn:
        await decide(conn, case, "different")
    pairs = [
        pair_of(mine, theirs, scored(25.0, **STRONGER)),
        *(pair_of(mine, somebody()) for _ in range(20)),
    ]
    done = await at_once(engine, running(*pairs), running(*reversed(pairs)))
    assert sorted(done, key=lambda one: one.opened) == [
        Opened(unchanged=21),
        Opened(opened=20, reopened=1),
    ]


@pytest.mark.parametrize("first", ["the word", "the run"])
async def test_a_word_is_taken_back_before_the_case_is_reopened_or_not_at_all(engine, found, first):
    mine, theirs, case = found
    async with engine.begin() as conn:
        view = await decide(conn, case, "different")
    word = next(one.judgement_id for one in view.judgements if one.partner_id == PARTNER_A)
    saying = judging(case, PARTNER_A, "same_person", supersedes=word)
    opening = running(pair_of(mine, theirs, scored(25.0, **STRONGER)))
    if first == "the run":
        opened, said = await in_turn(engine, opening, saying)
        assert type(said) is CaseReopened
    else:
        said, opened = await in_turn(engine, saying, opening)
        assert said.state == "disputed"
    assert opened == Opened(reopened=1)
    async with engine.begin() as conn:
        assert [one.state for one in await cases_between(conn, mine, theirs)][1] == "open"


async def test_a_registration_that_finds_a_case_being_decided_waits_for_it(engine, found):
    mine, theirs, case = found
    async with engine.begin() as conn:
        await say(conn, case, PARTNER_A, "different")

    async def again(conn):
        return await found_by(conn, pair_of(mine, theirs))

    decided, opened = await in_turn(engine, judging(case, PARTNER_B, "different"), again)
    assert decided.state == "decided"
    assert opened == [case]


async def test_who_judges_a_group_passes_over_what_is_being_decided(engine, found):
    mine, _, case = found
    async with engine.begin() as conn:
        other = await open_case(conn, mine)
        await say(conn, case, PARTNER_A, "different")

    async def all_of_it(conn):
        who = actor(PARTNER_C, "adjudicator")
        await db.set_facts(conn, who)
        return await judge.judge_group(conn, other.case_id, said(PARTNER_C, "relative", who))

    decided, judged = await in_turn(engine, judging(case, PARTNER_B, "different"), all_of_it)
    assert decided.state == "decided"
    assert [view.case.case_id for view in judged] == [other.case_id]


async def test_judgements_past_the_program_wait_for_each_other_too(engine, found):
    *_, case = found

    def inserting(partner_id):
        return lambda conn: insert_judgement(conn, case, actor(partner_id, "adjudicator"))

    assert await in_turn(engine, inserting(PARTNER_A), inserting(PARTNER_B)) == (None, None)
    async with engine.begin() as conn:
        assert (await view_of(conn, case)).state == "disputed"


async def test_two_reviewers_of_a_group_at_the_same_moment_decide_all_of_it(engine):
    async with engine.begin() as conn:
        together = await chain(conn, 4)

    def all_of_it(partner_id, case):
        async def judge_all(conn):
            who = actor(partner_id, "adjudicator")
            await db.set_facts(conn, who)
            return await judge.judge_group(conn, case.case_id, said(partner_id, "different", who))

        return judge_all

    done = await at_once(
        engine, all_of_it(PARTNER_A, together[0]), all_of_it(PARTNER_B, together[-1])
    )
    assert [len(views) for views in done] == [4, 4]
    async with engine.begin() as conn:
        assert {(await view_of(conn, case)).state for case in together} == {"decided"}
