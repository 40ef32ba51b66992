"""Models in the database: stored to the letter, taken into use by few, and never changed."""

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from api import db
from dedup import models
from dedup.model import build, encode, load
from dedup.refusal import ModelNotFound, ModelUnreadable
from tests.conftest import PARTNER_A, actor
from tests.dedup.judging import AT, MATCHER

SYSTEM = {"actor_id": db.SYSTEM.actor_id, "at": AT}


def variant(note: str):
    """The program's model under another name; every word of it makes the id."""
    return build(msgspec.structs.replace(load().content, note=note))


async def as_system(conn):
    await db.set_facts(conn, db.SYSTEM)


async def test_a_model_is_stored_once_and_read_back_as_it_was(conn):
    await as_system(conn)
    wanted = variant("one")
    assert await models.store(conn, wanted, **SYSTEM)
    assert not await models.store(conn, wanted, **SYSTEM)
    found = await models.load(conn, wanted.model_id)
    assert found == wanted
    assert encode(found) == encode(wanted)


async def test_the_models_id_follows_from_all_it_says():
    assert len({variant("one").model_id, variant("two").model_id, load().model_id}) == 3


async def test_an_unknown_model_is_refused_and_the_programs_own_is_always_there(conn):
    await as_system(conn)
    with pytest.raises(ModelNotFound) as refused:
        await models.load(conn, "v2-000000000000")
    assert refused.value.model_id == "v2-000000000000"
    assert await models.load(conn, load().model_id) is load()


@pytest.mark.parametrize(
    "content",
    [
        encode(variant("another")).decode(),
        encode(variant("one")).decode().replace('"review_bits"', '"reviewed_bits"'),
        '{"note": "of a version long ago"}',
    ],
    ids=["another's", "a field renamed", "too old"],
)
async def test_a_model_whose_text_is_not_what_its_id_says_is_refused(conn, content):
    await as_system(conn)
    wanted = variant("one").model_id
    await conn.execute(
        text("INSERT INTO dedup.model VALUES (:id, :content, :at, :actor_id)"),
        {"id": wanted, "content": content, **SYSTEM},
    )
    with pytest.raises(ModelUnreadable):
        await models.load(conn, wanted)


async def test_text_that_is_no_json_is_not_stored(conn):
    await as_system(conn)
    with pytest.raises(IntegrityError, match="model_content"):
        async with conn.begin_nested():
            await conn.execute(
                text("INSERT INTO dedup.model VALUES ('x', 'weights', :at, :actor_id)"), SYSTEM
            )


async def test_the_programs_model_is_in_use_until_another_is_and_the_last_counts(conn):
    await as_system(conn)
    assert await models.active_id(conn) == load().model_id
    one, two = variant("one"), variant("two")
    await models.store(conn, two, **SYSTEM)
    assert await models.active_id(conn) == load().model_id
    for wanted in (one, two, load()):
        await models.activate(conn, wanted, reason=f"try {wanted.content.note}", **SYSTEM)
        assert await models.active_id(conn) == wanted.model_id
    told = [(each.model_id, each.reason, each.actor_id) for each in await models.history(conn)]
    assert told == [
        (wanted.model_id, f"try {wanted.content.note}", db.SYSTEM.actor_id)
        for wanted in (load(), two, one)
    ]


async def test_the_list_shows_all_models_and_which_is_in_use(conn):
    await as_system(conn)
    (own,) = await models.list_models(conn)
    assert (own.model_id, own.added_at, own.is_active) == (load().model_id, None, True)
    one = variant("one")
    await models.activate(conn, one, reason="better", **SYSTEM)
    await models.store(conn, variant("two"), **SYSTEM)
    found = {each.model_id: each for each in await models.list_models(conn)}
    assert set(found) == {load().model_id, one.model_id, variant("two").model_id}
    assert [each.model_id for each in found.values() if each.is_active] == [one.model_id]
    assert found[one.model_id].activated_at == AT
    assert found[variant("two").model_id].activated_at is None


@pytest.mark.parametrize("reason", ["", "   ", "x" * 2001])
async def test_who_takes_a_model_into_use_says_why(conn, reason):
    await as_system(conn)
    with pytest.raises(IntegrityError, match="model_activation_reason"):
        async with conn.begin_nested():
            await models.activate(conn, load(), reason=reason, **SYSTEM)


@pytest.mark.parametrize("role", ["registrar", "adjudicator", "finance", "auditor", "matcher"])
async def test_others_read_models_and_take_none_into_use(conn, role):
    await as_system(conn)
    wanted = variant("one")
    await models.store(conn, wanted, **SYSTEM)
    who = MATCHER if role == "matcher" else actor(PARTNER_A, role)
    await db.set_facts(conn, who)
    assert (await models.load(conn, wanted.model_id)).model_id == wanted.model_id
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await models.activate(conn, wanted, reason="mine", actor_id=who.actor_id, at=AT)


@pytest.mark.parametrize("table", ["model", "model_activation", "run", "run_step"])
@pytest.mark.parametrize(
    "what", ["UPDATE {} SET model_id = 'x'", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
async def test_what_was_in_use_is_never_changed_not_even_by_the_owner(owner_conn, table, what):
    statement = what.replace("model_id = 'x'", "run_id = run_id") if table == "run_step" else what
    await models.activate(owner_conn, variant("one"), reason="try", **SYSTEM)
    run = {"run": "01900000-0000-7000-8000-000000000001", "model": variant("one").model_id}
    for fill in (
        "INSERT INTO dedup.run VALUES (:run, :model, 'local', '{}', now(), uuidv7())",
        """INSERT INTO dedup.run_step (run_id, phase, done, total, counts, at)
           VALUES (:run, 'reading', 0, 0, '{}', now())""",
    ):
        await owner_conn.execute(text(fill), run)
    with pytest.raises(DBAPIError, match="append-only"):
        async with owner_conn.begin_nested():
            await owner_conn.execute(text(statement.format(f"dedup.{table}")))
