"""The same request twice is one piece of work and one answer."""

import json
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text

from api import access
from api.once import HEADER
from tests.api.appealing import APPEALS, NOT_KEPT
from tests.api.breaking import BREAKS, CAMT, a_period
from tests.api.happening import EVENTS
from tests.api.house import (
    SIGNERS,
    House,
    new_round,
    open_case,
    open_round,
    programme,
    registration,
)
from tests.api.jobbing import JOBS
from tests.api.overlaps import OVERLAPS
from tests.api.overlaps import UNKEPT as SIMULATED
from tests.api.profiling import PROFILES
from tests.api.terming import TERMS, UNKEPT
from tests.api.test_wind_up import rejected, released

STEPS = ("calculate", "prepare", "review", "approve", "release")


class Prepared(msgspec.Struct, frozen=True):
    """A request that will be done, and another one of the same route."""

    path: str
    who: str
    body: object = None
    content: bytes = b""


async def a_registration(house: House) -> Prepared:
    return Prepared("/v1/households", "A/registrar", registration())


async def an_import(house: House) -> Prepared:
    content = json.dumps([registration(), registration()]).encode()
    return Prepared("/v1/imports?format=json&ubigeo_system=inei", "A/registrar", content=content)


async def a_judgement(house: House) -> Prepared:
    path = f"/v1/cases/{await open_case(house)}/judgements"
    return Prepared(path, "A/adjudicator", {"verdict": "different", "reason": "otra familia"})


async def an_assignment(house: House) -> Prepared:
    path = f"/v1/cases/{await open_case(house)}/assignments"
    return Prepared(path, "A/adjudicator", {"person": "adjudicator"})


async def a_group_judgement(house: House) -> Prepared:
    path = f"/v1/case-groups/{await open_case(house)}/judgements"
    return Prepared(path, "A/adjudicator", {"verdict": "different", "size": 1})


async def a_programme(house: House) -> Prepared:
    return Prepared("/v1/programmes", "A/programme", programme())


async def values(house: House) -> Prepared:
    opened = await house.made("/v1/programmes", "A/programme", programme())
    body = {"effective_from": "2026-01-01", "by_size": ["1.00", "2.50"]}
    return Prepared(f"/v1/programmes/{opened['programme_id']}/values", "A/programme", body)


async def funds(house: House) -> Prepared:
    opened = await house.made("/v1/programmes", "A/programme", programme())
    body = {"deposit_id": str(uuid4()), "amount": "10.50", "on": "2026-01-01"}
    return Prepared(f"/v1/programmes/{opened['programme_id']}/funds", "A/finance", body)


async def an_allotment(house: House) -> Prepared:
    asked = await funds(house)
    await house.made(asked.path, asked.who, {**asked.body, "grant": "G-1"})
    body = {"allotment_id": str(uuid4()), "grant": "G-1", "amount": "3.00", "on": "2026-01-02"}
    return Prepared(asked.path.replace("funds", "allotments"), asked.who, body)


async def an_exchange(house: House) -> Prepared:
    asked = await funds(house)
    await house.made(asked.path, asked.who, {**asked.body, "currency": "USD"})
    sale = {"reference": "TC-1", "sold": "10.00", "sold_currency": "USD", "bought": "37.45"}
    sale |= {"bought_currency": "PEN", "rate": "3.745", "rate_source": "SBS venta"}
    sale |= {"rate_on": "2026-01-02", "on": "2026-01-02", "received": "37.00"}
    return Prepared(asked.path.replace("funds", "exchanges"), asked.who, sale)


async def a_fee(house: House) -> Prepared:
    asked = await funds(house)
    await house.made(asked.path, asked.who, asked.body)
    body = {"fee_id": str(uuid4()), "amount": "1.00", "on": "2026-01-02"}
    return Prepared(asked.path.replace("funds", "fees"), asked.who, body)


async def an_enrolment(house: House) -> Prepared:
    opened = await house.made("/v1/programmes", "A/programme", programme())
    receipt = await house.made("/v1/households", "A/registrar", registration())
    body = {"household_id": receipt["household_id"]}
    return Prepared(f"/v1/programmes/{opened['programme_id']}/enrolments", "A/programme", body)


async def a_closing(house: House) -> Prepared:
    asked = await an_enrolment(house)
    opened = await house.made(asked.path, asked.who, asked.body)
    return Prepared(f"/v1/enrolments/{opened['enrolment_id']}/closing", asked.who)


async def a_round(house: House) -> Prepared:
    opened = await house.made("/v1/programmes", "A/programme", programme())
    return Prepared("/v1/rounds", "A/finance", new_round(opened["programme_id"]))


def a_step(step: str) -> Callable[[House], Awaitable[Prepared]]:
    async def prepare(house: House) -> Prepared:
        opened = await open_round(house)
        signers = dict(zip(STEPS, ("first", *SIGNERS), strict=True))
        for before in STEPS[: STEPS.index(step)]:
            await house.made(f"{opened.path}/{before}", f"A/{signers[before]}")
        return Prepared(f"{opened.path}/{step}", f"A/{signers[step]}")

    return prepare


async def a_cancellation(house: House) -> Prepared:
    opened = await open_round(house, households=2)
    await house.made(f"{opened.path}/calculate", "A/first")
    payments = (await house.get(f"{opened.path}/payments", "A/first")).json()["items"]
    body = {"entitlement_id": payments[0]["payment_id"], "because": "se mudó"}
    return Prepared(f"{opened.path}/cancellations", "A/first", body)


async def a_round_that_is_over(house: House) -> Prepared:
    path = await released(house)
    await rejected(house, path)
    return Prepared(f"{path}/closing", "A/finance")


async def a_followup(house: House) -> Prepared:
    path = await released(house)
    await rejected(house, path)
    return Prepared(f"{path}/followups", "A/finance", {"pays_on": "2026-03-20"})


def a_step_again(step: str) -> Callable[[House], Awaitable[Prepared]]:
    async def prepare(house: House) -> Prepared:
        asked = await a_followup(house)
        made = await house.made(asked.path, asked.who, asked.body)
        path = f"/v1/followups/{made['followup']['followup_id']}"
        signers = dict(zip(STEPS[1:], SIGNERS, strict=True))
        for before in STEPS[1 : STEPS.index(step)]:
            await house.made(f"{path}/{before}", f"A/{signers[before]}")
        return Prepared(f"{path}/{step}", f"A/{signers[step]}")

    return prepare


async def a_statement(house: House) -> Prepared:
    account = f"PE{uuid4().int % 10**12:012d}"
    await house.made("/v1/programmes", "A/programme", programme() | {"payer_account": account})
    content = CAMT.format(id=uuid4().hex, account=account).encode()
    return Prepared("/v1/statements", "A/finance", content=content)


async def a_reconciliation(house: House) -> Prepared:
    return Prepared("/v1/reconciliations", "A/finance")


def asked(make: Callable[[House], Awaitable[tuple[str, str, object]]]):
    async def prepare(house: House) -> Prepared:
        return Prepared(*await make(house))

    return prepare


PREPARE: dict[str, Callable[[House], Awaitable[Prepared]]] = {
    "/v1/households": a_registration,
    "/v1/imports": an_import,
    "/v1/cases/{case_id}/judgements": a_judgement,
    "/v1/cases/{case_id}/assignments": an_assignment,
    "/v1/case-groups/{case_id}/judgements": a_group_judgement,
    "/v1/programmes": a_programme,
    "/v1/programmes/{programme_id}/values": values,
    "/v1/programmes/{programme_id}/funds": funds,
    "/v1/programmes/{programme_id}/allotments": an_allotment,
    "/v1/programmes/{programme_id}/exchanges": an_exchange,
    "/v1/programmes/{programme_id}/fees": a_fee,
    "/v1/programmes/{programme_id}/enrolments": an_enrolment,
    "/v1/enrolments/{enrolment_id}/closing": a_closing,
    "/v1/rounds": a_round,
    **{f"/v1/rounds/{{round_id}}/{step}": a_step(step) for step in STEPS},
    "/v1/rounds/{round_id}/closing": a_round_that_is_over,
    "/v1/rounds/{round_id}/cancellations": a_cancellation,
    "/v1/rounds/{round_id}/followups": a_followup,
    **{f"/v1/followups/{{followup_id}}/{step}": a_step_again(step) for step in STEPS[1:]},
    "/v1/statements": a_statement,
    "/v1/reconciliations": a_reconciliation,
    **{
        path: asked(make)
        for path, make in (BREAKS | PROFILES | JOBS | TERMS | EVENTS | APPEALS | OVERLAPS).items()
    },
    "/v1/ledger/periods": asked(a_period),
}


async def rows(house: House) -> dict[str, int]:
    """How many rows each table has; what is added in the background is left out."""
    async with house.owner.connect() as conn:
        names = (
            await conn.execute(
                text(
                    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                    " WHERE schemaname IN ('cbi', 'dedup', 'ledger')"
                    " AND tablename NOT LIKE ALL ('{leaf,checkpoint,notice,delivery%}') ORDER BY 1"
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
