"""Runs over everybody: how far they are, how they ended, and which of their pairs are new."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from api import clock, db
from dedup import judge, models, runs
from dedup.model import load
from dedup.runs import Ids, Progress, Run, state
from tests.conftest import PARTNER_A, actor
from tests.dedup.judging import (
    AT,
    MATCHER,
    MODEL,
    Person,
    decide,
    matched,
    pair_of,
    scored,
    somebody,
)


async def begun(conn, *, at=AT, partners: tuple[UUID, ...] = ()) -> Run:
    await db.set_facts(conn, MATCHER)
    await models.store(conn, load(), actor_id=MATCHER.actor_id, at=at)
    run = Run(
        run_id=clock.new_id(),
        model_id=load().model_id,
        engine="local",
        partners=partners,
        started_at=at,
        started_by=MATCHER.actor_id,
    )
    await runs.start(conn, run)
    return run


@pytest.mark.parametrize(
    ("phase", "is_running", "expected"),
    [
        ("reading", True, "running"),
        ("opening", True, "running"),
        ("reading", False, "interrupted"),
        ("matching", False, "interrupted"),
        ("finished", True, "finished"),
        ("finished", False, "finished"),
        ("failed", True, "failed"),
        ("failed", False, "failed"),
    ],
)
def test_the_state_follows_from_the_newest_step_and_from_who_is_at_work(
    phase, is_running, expected
):
    assert state(phase, is_running=is_running) == expected


async def test_a_run_shows_its_newest_progress(conn):
    run = await begun(conn, partners=(PARTNER_A,))
    (view,) = await runs.list_runs(conn)
    assert (view.run, view.progress.phase, view.at) == (run, "reading", AT)
    later = AT + timedelta(minutes=1)
    steps = (
        Progress(phase="reading", done=3, total=9),
        Progress(phase="finished", counts={"pairs": 4, "crowds": {"phone-year": 2}}),
    )
    for step in steps:
        await runs.note(conn, run.run_id, step, at=later)
        (view,) = await runs.list_runs(conn)
        assert (view.progress, view.at) == (step, later)
    assert view.state == "finished"


async def test_runs_are_listed_newest_first_page_by_page(conn):
    begins = [await begun(conn, at=AT + timedelta(hours=hour)) for hour in range(3)]
    newest = sorted((run.run_id for run in begins), reverse=True)
    listed = await runs.list_runs(conn, limit=2)
    assert [view.run.run_id for view in listed] == newest[:2]
    rest = await runs.list_runs(conn, after=newest[1])
    assert [view.run.run_id for view in rest] == newest[2:]


async def test_only_a_run_that_did_not_finish_can_go_on(conn):
    assert await runs.unfinished(conn) is None
    run = await begun(conn)
    assert await runs.unfinished(conn) == run
    await runs.note(conn, run.run_id, Progress(phase="failed", counts={"fault": "Broken"}), at=AT)
    assert await runs.unfinished(conn) == run
    await runs.note(conn, run.run_id, Progress(phase="finished"), at=AT)
    assert await runs.unfinished(conn) is None


@pytest.mark.parametrize(
    ("step", "rule"),
    [
        (Progress(phase="opening", done=5, total=4), "run_step_done"),
        (Progress(phase="opening", done=-1, total=4), "run_step_done"),
        (Progress(phase="resting"), "run_step_phase"),
    ],
)
async def test_a_step_that_can_not_be_is_refused(conn, step, rule):
    run = await begun(conn)
    with pytest.raises(IntegrityError, match=rule):
        async with conn.begin_nested():
            await runs.note(conn, run.run_id, step, at=AT)


async def test_a_run_finishes_once(conn):
    run = await begun(conn)
    await runs.note(conn, run.run_id, Progress(phase="finished"), at=AT)
    with pytest.raises(IntegrityError, match="run_step_finished_once"):
        async with conn.begin_nested():
            await runs.note(conn, run.run_id, Progress(phase="finished"), at=AT)


@pytest.mark.parametrize("role", ["registrar", "coordinator", "auditor", "admin"])
async def test_nobody_but_matching_writes_runs(conn, role):
    run = await begun(conn)
    await db.set_facts(conn, actor(PARTNER_A, role))
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await runs.note(conn, run.run_id, Progress(phase="finished"), at=AT)
    seen = len(await runs.list_runs(conn))
    assert seen == (role != "registrar")


def of_pairs(*pairs) -> list[Ids]:
    found = []
    for pair in pairs:
        sides = sorted(
            (
                (pair.household_id, pair.person_id),
                (pair.other_household_id, pair.other_person_id),
            )
        )
        (home_a, one), (home_b, other) = sides
        found.append(Ids(household_a=home_a, household_b=home_b, person_a=one, person_b=other))
    return found


async def opened(conn, *pairs, model=MODEL) -> None:
    await db.set_facts(conn, MATCHER)
    await judge.open_batch(conn, matched(*pairs), model=model, at=AT, actor_id=MATCHER.actor_id)


async def are_new(conn, *pairs, model_id: str = MODEL.model_id) -> list[bool]:
    await db.set_facts(conn, MATCHER)
    return await runs.are_new(conn, of_pairs(*pairs), model_id=model_id)


async def test_what_a_case_shows_is_known_and_one_new_pair_makes_its_households_new(conn):
    mine, theirs, others = uuid4(), uuid4(), uuid4()
    known, also = (pair_of(somebody(mine), somebody(theirs)) for _ in range(2))
    elsewhere = pair_of(somebody(mine), somebody(others))
    assert await are_new(conn, known, elsewhere) == [True, True]
    await opened(conn, known, elsewhere)
    assert await are_new(conn, known, elsewhere) == [False, False]
    assert await are_new(conn, known, also, elsewhere) == [True, True, False]
    await opened(conn, known, also)
    assert await are_new(conn, known, also, elsewhere) == [False] * 3


async def test_under_another_model_all_is_new_until_the_case_shows_it(conn):
    pair = pair_of(somebody(), somebody())
    await opened(conn, pair)
    assert await are_new(conn, pair, model_id="v2-other") == [True]
    again = pair_of(
        Person(pair.person_id, pair.household_id),
        Person(pair.other_person_id, pair.other_household_id),
        scored(model_id="v2-other"),
    )
    other = type(MODEL)(
        **{name: getattr(MODEL, name) for name in MODEL.__struct_fields__}
        | {"model_id": "v2-other"}
    )
    await opened(conn, again, model=other)
    assert await are_new(conn, pair, model_id="v2-other") == [False]
    # What was shown before is not shown now.
    assert await are_new(conn, pair) == [True]


async def test_what_was_decided_is_known_as_long_as_nothing_else_is_found(conn):
    mine, theirs = uuid4(), uuid4()
    pair = pair_of(somebody(mine), somebody(theirs))
    await opened(conn, pair)
    (view,) = await judge.list_cases(conn, limit=10)
    await decide(conn, view.case, "different")
    assert await are_new(conn, pair) == [False]
    assert await are_new(conn, pair, pair_of(somebody(mine), somebody(theirs))) == [True, True]
