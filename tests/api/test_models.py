"""Taking a model into use: every process follows, open cases are weighed anew, decisions stay."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import event

from api import db, rematch
from api.embedded import EmbeddedPostgres
from api.reweigh import reviewed, reweigh
from api.state import FOLLOW_SECONDS
from dedup import cases, model, models
from dedup.refusal import ModelUnreadable
from tests.api.house import own_database
from tests.api.peopled import Place, open_place
from tests.cbi import world
from tests.cbi.world import ALFA, AT, BETA, again, staff
from tests.conftest import PARTNER_A

ADJUDICATOR = staff(0, PARTNER_A, {"adjudicator"})


@pytest.fixture
async def place(postgres: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Place]:
    async with own_database(postgres) as name, open_place(postgres, tmp_path, name) as opened:
        await opened.partners()
        yield opened


def variant(**changes: object) -> model.Model:
    """The program's model with other words, as if it had been learned elsewhere."""
    return model.build(msgspec.structs.replace(model.load().content, note="other", **changes))


def sceptic() -> model.Model:
    """A model that takes many more pairs for kin."""
    return variant(prior_kin=model.load().content.prior_kin * 8)


async def use(place: Place, wanted: model.Model) -> None:
    async with db.transaction(place.service.engine, db.SYSTEM) as conn:
        await models.activate(conn, wanted, reason="try", actor_id=db.SYSTEM.actor_id, at=AT)


async def views(place: Place) -> list[cases.CaseView]:
    async with place.acting(ADJUDICATOR) as conn:
        found = await cases.list_cases(conn, limit=100)
    return [view for view in found if view.case.household_b is not None]


async def enter(place: Place, raw: dict[str, object], who: db.Actor = ALFA):
    """Register as the running service does."""
    async with place.service.begin(who, request_id="enter") as conn:
        return await world.registered(conn, raw, who, place.service.desk)


async def test_every_process_follows_within_a_second_and_stores_by_what_it_weighed(place):
    raw = world.family(1)
    await enter(place, raw)
    await enter(place, again(raw), BETA)
    (before,) = await views(place)
    assert before.case.model_id == model.load().model_id
    wanted = variant()
    await use(place, wanted)
    async with asyncio.timeout(10 * FOLLOW_SECONDS):
        while place.service.desk.model.model_id != wanted.model_id:
            async with place.service.begin(ALFA):
                pass
    await enter(place, world.family(2))
    await enter(place, again(world.family(2)), BETA)
    after = (await views(place))[-1]
    assert after.case.model_id == wanted.model_id
    assert {pair.model_id for pair in after.pairs} == {wanted.model_id}
    # Back to the program's own.
    await use(place, model.load())
    async with place.service.begin(ALFA) as conn:
        await place.service.model.follow(conn, at_once=True)
        assert place.service.model.current is model.load()


async def test_a_process_asks_for_the_model_once_a_second_at_most(place):
    asked = []

    def listen(_conn: object, _cursor: object, statement: str, *_more: object) -> None:
        asked.extend(["asked"] * ("model_activation" in statement))

    event.listen(place.service.engine.sync_engine, "before_cursor_execute", listen)
    begin = time.monotonic()
    for _ in range(50):
        async with place.service.begin(ALFA):
            pass
    assert 1 <= len(asked) <= 1 + (time.monotonic() - begin) / FOLLOW_SECONDS


async def test_a_model_that_can_not_be_read_stops_checks_instead_of_changing_them(place):
    await place.one(
        "WITH added AS (INSERT INTO dedup.model VALUES ('v9-new', '{}', now(), uuidv7())"
        " RETURNING model_id) SELECT 1"
    )
    await place.one(
        "INSERT INTO dedup.model_activation (model_id, since, actor_id, reason)"
        " VALUES ('v9-new', now(), uuidv7(), 'a newer version') RETURNING 1"
    )
    with pytest.raises(ModelUnreadable):
        await enter(place, world.family(1))
    assert await place.one("SELECT count(*) FROM cbi.household") == 0
    # What weighs nothing goes on, showing cases by the model before.
    async with place.service.begin(ALFA) as conn:
        assert await cases.list_cases(conn, limit=1) == []
    assert place.service.model.readable is model.load()
    await use(place, model.load())
    await enter(place, world.family(1))


async def test_open_cases_are_weighed_anew_and_decided_ones_stay(place):
    for seed in range(3):
        await place.twins(seed)
    await place.run()
    decided, *still_open = await views(place)
    async with place.acting(ALFA) as conn:
        await world.judged(conn, decided.case.case_id, "different")
    before = {view.case.case_id: view for view in await views(place)}
    wanted = sceptic()
    await use(place, wanted)
    async with rematch.turn(place.service):
        assert await reweigh(place.service, wanted) == (2, 0)
        assert await reweigh(place.service, wanted) == (0, 0)
    after = {view.case.case_id: view for view in await views(place)}
    assert set(after) == set(before)
    assert after[decided.case.case_id] == before[decided.case.case_id]
    for view in still_open:
        old, new = before[view.case.case_id], after[view.case.case_id]
        assert {pair.model_id for pair in new.pairs} == {wanted.model_id}
        assert new.standing.model_id == wanted.model_id
        persons = [{(one.person_a, one.person_b) for one in each.pairs} for each in (old, new)]
        assert persons[0] == persons[1]
        assert new.pairs[0].weight_bits < old.pairs[0].weight_bits - 2


async def test_weighed_anew_a_case_shows_what_a_run_under_that_model_finds(place):
    await place.people(households=40)
    await place.run()
    wanted = sceptic()
    await use(place, wanted)
    await reweigh(place.service, wanted)
    weighed = await place.cases()
    async with place.service.begin(ALFA) as conn:
        await place.service.model.follow(conn, at_once=True)
    ended = await place.run()
    assert (ended.opened, ended.reopened, ended.strengthened) == (0, 0, 0)
    assert ended.unchanged > 3
    assert await place.cases() == weighed


async def test_a_pair_stays_to_be_seen_however_little_the_new_model_thinks_of_it(place):
    await place.twins(1)
    await place.run()
    wanted = variant(review_bits=500.0, strong_bits=600.0)
    await use(place, wanted)
    assert await reweigh(place.service, wanted) == (1, 0)
    (view,) = await views(place)
    assert len(view.pairs) == 2
    assert wanted.strength(view.pairs[0].weight_bits) == "weak"


async def test_a_case_of_a_household_that_withdrew_stays_as_it_was(place):
    home, _ = await place.twins(1)
    await place.run()
    (before,) = await views(place)
    async with place.acting(ALFA) as conn:
        await world.withdraw(conn, home, "duplicate_check")
    wanted = variant()
    await use(place, wanted)
    assert await reweigh(place.service, wanted) == (0, 1)
    assert await views(place) == [before]


async def test_weighing_anew_is_on_record(place):
    homes = await place.twins(1)
    await place.run()
    wanted = variant()
    await use(place, wanted)
    await reweigh(place.service, wanted)
    opened = await place.column(
        "SELECT household_id FROM cbi.access_log WHERE request_id = 'cli' ORDER BY 1"
    )
    assert opened == sorted(homes)


async def test_decisions_become_labels_with_the_weights_of_the_model_in_use(place):
    verdicts = ("different", "same_household", "same_person", "household_split", "relative")
    for seed, _ in enumerate(verdicts):
        await place.twins(seed)
    await place.run()
    decided = await views(place)
    for view, verdict in zip(decided, verdicts, strict=True):
        async with place.acting(ALFA) as conn:
            await world.judged(conn, view.case.case_id, verdict)
    weights = [[pair.weight_bits for pair in view.pairs] for view in decided]
    assert [len(each) for each in weights] == [2] * 5
    found = await reviewed(place.service, model.load())
    expected = [
        *((weight, False) for weight in weights[0]),
        *((weight, True) for weight in weights[1]),
        (weights[2][0], True),
        *((weight, False) for weight in weights[4]),
    ]
    assert found == [(pytest.approx(weight), is_one) for weight, is_one in expected]
    other = await reviewed(place.service, sceptic())
    assert [is_one for _, is_one in other] == [is_one for _, is_one in expected]
    assert all(new[0] < old[0] for new, old in zip(other, found, strict=True))


async def test_what_is_undecided_or_can_not_be_compared_teaches_nothing(place):
    homes = await place.twins(1)
    await place.twins(2)
    await place.enter(world.family(3, duplicate_check=False))
    await place.run()
    assert await reviewed(place.service, model.load()) == []
    (first, _) = await views(place)
    async with place.acting(ALFA) as conn:
        await world.judged(conn, first.case.case_id, "different")
        await world.erase(conn, homes[0])
    assert await reviewed(place.service, model.load()) == []
