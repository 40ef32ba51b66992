"""The same request twice is one piece of work and one answer."""

import json
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from api import access
from api.once import HEADER
from tests.api.appealing import NOT_KEPT
from tests.api.house import (
    House,
    open_round,
    programme,
    registration,
)
from tests.api.overlaps import UNKEPT as SIMULATED
from tests.api.preparing import PREPARE, an_enrolment, an_import
from tests.api.terming import UNKEPT


async def rows(house: House) -> dict[str, int]:
    """How many rows each table has; what is added in the background is left out."""
    async with house.owner.connect() as conn:
        names = (
            await conn.execute(
                text(
                    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                    " WHERE schemaname IN ('cbi', 'dedup', 'ledger')"
                    " AND tablename NOT LIKE ALL ('{leaf,mark,checkpoint,notice,delivery%}')"
                    " ORDER BY 1"
                )
            )
        ).scalars()
        return {name: await conn.scalar(text(f"SELECT count(*) FROM {name}")) for name in names}


def otherwise(body: object) -> bytes:
    """The same JSON with its keys in another order and other blanks."""
    turned = dict(reversed(body.items()))
    return json.dumps(turned, indent=3, ensure_ascii=False).encode()


async def test_every_post_route_of_the_table_is_tried_here_and_takes_a_key(house: House):
    posts = {path for method, path in access.MAY if method == "POST"}
    assert set(PREPARE) == posts - UNKEPT - SIMULATED - NOT_KEPT
    document = (await house.call("GET", "/docs/openapi.json")).json()
    for path in PREPARE:
        parameters = document["paths"][path]["post"]["parameters"]
        assert HEADER in {each["name"] for each in parameters if each["in"] == "header"}, path


@pytest.mark.parametrize("route", PREPARE)
async def test_the_same_request_twice_does_its_work_once(house: House, route: str):
    asked, key = await PREPARE[route](house), str(uuid4())
    sent = {"content": asked.content} if asked.content else {}
    before = await rows(house)
    first = await house.post(asked.path, asked.who, asked.body, key=key, **sent)
    assert first.status_code == 201, first.text
    assert "Idempotency-Replayed" not in first.headers
    done = await rows(house)
    assert done["cbi.answer"] == before["cbi.answer"] + 1
    again = {"content": otherwise(asked.body)} if asked.body else sent
    second = await house.post(asked.path, asked.who, key=key, **again)
    assert second.status_code == 201, second.text
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert await rows(house) == done


@pytest.mark.parametrize("route", PREPARE)
async def test_a_key_is_for_one_request_only(house: House, route: str):
    asked, key = await PREPARE[route](house), str(uuid4())
    await house.made("/v1/programmes", "A/everything", programme(), key=key)
    before = await rows(house)
    sent = {"content": asked.content} if asked.content else {}
    reused = await house.post(asked.path, "A/everything", asked.body, key=key, **sent)
    assert reused.status_code == 422, reused.text
    assert reused.json()["type"] == "urn:cbi:problem:idempotency-key-reused"
    assert await rows(house) == before


@pytest.fixture(scope="module", autouse=True)
async def everything(house: House) -> None:
    roles = ("registrar", "programme", "finance", "adjudicator", "coordinator")
    await house.issue("A", "everything", *roles)


async def test_another_body_or_query_under_a_key_is_refused(house: House):
    key, body = str(uuid4()), programme()
    await house.made("/v1/programmes", "A/programme", body, key=key)
    other = await house.post("/v1/programmes", "A/programme", {**body, "name": "Otra"}, key=key)
    assert other.status_code == 422
    key = str(uuid4())
    await house.made("/v1/reconciliations", "A/finance", key=key)
    other = await house.post("/v1/reconciliations?as_of=2026-01-01", "A/finance", key=key)
    assert other.status_code == 422


async def test_the_same_key_of_somebody_else_is_another_key(house: House):
    key = str(uuid4())
    made = [
        await house.made("/v1/programmes", who, programme(), key=key)
        for who in ("A/programme", "A/first", "B/programme")
    ]
    assert len({each["programme_id"] for each in made}) == 3


async def test_without_a_key_nothing_is_stored(house: House):
    before = await rows(house)
    await house.made("/v1/programmes", "A/programme", programme())
    assert (await rows(house))["cbi.answer"] == before["cbi.answer"]


async def test_a_request_that_is_still_running_is_told_so(house: House):
    key, body = str(uuid4()), programme()
    me = (await house.get("/v1/me", "A/programme")).json()["actor_id"]
    async with house.owner.connect() as conn, conn.begin():
        # What a first request holds from its beginning until its commit.
        await conn.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 1))"), {"key": f"{me}|{key}"}
        )
        running = await house.post("/v1/programmes", "A/programme", body, key=key)
        assert running.status_code == 409
        assert running.json()["type"] == "urn:cbi:problem:idempotency-key-running"
        assert int(running.headers["Retry-After"]) >= 1
        other = await house.post("/v1/programmes", "A/programme", programme(), key=str(uuid4()))
        assert other.status_code == 201
    done = await house.post("/v1/programmes", "A/programme", body, key=key)
    assert done.status_code == 201
    assert "Idempotency-Replayed" not in done.headers


async def test_a_refusal_is_an_answer_and_another_try_has_another_key(house: House):
    opened = await open_round(house)
    await house.made(f"{opened.path}/calculate", "A/first")
    key, path = str(uuid4()), f"{opened.path}/review"
    before = await rows(house)
    refused = await house.post(path, "A/second", key=key)
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "urn:cbi:problem:step-out-of-order"
    after = await rows(house)
    assert {name for name in after if after[name] != before[name]} == {"cbi.answer"}
    await house.made(f"{opened.path}/prepare", "A/first")
    again = await house.post(path, "A/second", key=key)
    assert (again.status_code, again.json()) == (409, refused.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["content-type"] == "application/problem+json"
    assert (await house.post(path, "A/second", key=str(uuid4()))).status_code == 201


async def test_money_that_was_refused_is_not_moved_by_the_same_request_later(house: House):
    opened = await house.made("/v1/programmes", "A/programme", programme())
    path, key = f"/v1/programmes/{opened['programme_id']}", str(uuid4())
    fee = {"fee_id": str(uuid4()), "amount": "5.00", "on": "2026-01-01"}
    refused = await house.post(f"{path}/fees", "A/finance", fee, key=key)
    assert refused.json()["type"] == "urn:cbi:problem:insufficient-funds"
    body = {"deposit_id": str(uuid4()), "amount": "10.00", "on": "2026-01-01"}
    await house.made(f"{path}/funds", "A/finance", body)
    again = await house.post(f"{path}/fees", "A/finance", fee, key=key)
    assert again.json() == refused.json()
    booked = (
        "SELECT count(*) FROM ledger.transfer JOIN ledger.account ON account_id = debit_account"
        " WHERE kind = 'fee' AND code LIKE :mine"
    )
    mine = f"programme:{opened['programme_id']}:%"
    assert await house.sql(booked, mine=mine) == 0
    assert (await house.post(f"{path}/fees", "A/finance", fee)).status_code == 201
    assert await house.sql(booked, mine=mine) == 2


async def test_what_was_opened_before_a_refusal_stays_in_the_access_log(house: House):
    asked = await an_enrolment(house)
    poor = await house.made("/v1/households", "A/registrar", registration(instrument=None))
    body = {"household_id": poor["household_id"]}
    refused = await house.post(asked.path, asked.who, body, key=str(uuid4()))
    assert refused.json()["type"] == "urn:cbi:problem:no-instrument"
    opened = (
        "SELECT count(*) FROM cbi.access_log WHERE household_id = :id AND purpose = 'enrolment'"
    )
    assert await house.sql(opened, id=UUID(poor["household_id"])) == 1


async def test_a_request_that_was_wrong_in_itself_may_be_mended_under_its_key(house: House):
    key, body = str(uuid4()), registration()
    wrong = {**body, "ubigeo": "999999"}
    assert (await house.post("/v1/households", "A/registrar", wrong, key=key)).status_code == 422
    assert (await house.post("/v1/households", "A/registrar", body, key=key)).status_code == 201


async def test_a_registration_is_the_same_by_its_reference_without_any_key(house: House):
    body = registration()
    first = await house.made("/v1/households", "A/registrar", body)
    before = await rows(house)
    assert await house.made("/v1/households", "A/registrar", body) == first
    assert await rows(house) == before
    taken = await house.post("/v1/households", "A/registrar", {**body, "ubigeo": "240102"})
    assert taken.status_code == 409
    assert taken.json()["household_id"] == first["household_id"]
    theirs = await house.made("/v1/households", "B/registrar", body)
    assert theirs["household_id"] != first["household_id"]


async def test_a_file_sent_again_registers_nobody_twice(house: House):
    asked = await an_import(house)
    first = await house.made(asked.path, asked.who, content=asked.content)
    assert first["clear"] == 2
    before = await rows(house)
    assert await house.made(asked.path, asked.who, content=asked.content) == first
    assert await rows(house) == before
