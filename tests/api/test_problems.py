"""Every failure is a problem: told in two languages, and never with what was sent."""

import asyncio
import json
from uuid import UUID, uuid4

import httpx
import pytest
from litestar.testing import RequestFactory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from api import problems, refusal
from cbi.refusal import CbiRefusal
from dedup.refusal import DedupRefusal
from ledger.refusal import LedgerRefusal
from tests.api.house import House, programme, registration
from tests.api.slugs import SLUGS, SLUGS_OF_CONSTRAINTS

JSON = {"Content-Type": "application/json"}
NOBODY = UUID(int=7)


def told(answer: httpx.Response, status: int, slug: str) -> dict:
    """Check the form of a problem and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:cbi:problem:{slug}"
    assert body["status"] == status
    assert body["title"]
    assert body["title_es"]
    assert body["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Traceback" not in answer.text
    return body


def subclasses(base: type) -> set[type]:
    below = set(base.__subclasses__())
    return below.union(*(subclasses(one) for one in below))


def test_every_refusal_has_words():
    wanted = set().union(*map(subclasses, (CbiRefusal, DedupRefusal, LedgerRefusal)))
    assert wanted <= set(problems.REFUSALS)
    of_once = {refusal.KeyMalformed, refusal.KeyRunning, refusal.KeyReused}
    assert set(problems.REFUSALS) == wanted | of_once
    assert set(problems.HANDLERS) >= of_once | {CbiRefusal, DedupRefusal, LedgerRefusal}


def test_the_slugs_of_refusals_are_stable():
    assert sorted({wording.slug for wording in problems.REFUSALS.values()}) == SLUGS


def test_the_slugs_of_constraints_are_stable():
    slugs = sorted({wording.slug for wording in problems.CONSTRAINTS.values()})
    assert slugs == SLUGS_OF_CONSTRAINTS


def is_to_be_tried_again(error: DBAPIError) -> None:
    answer = problems.on_database(RequestFactory().get("/"), error)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == str(problems.RETRY_SECONDS)
    assert answer.content["type"] == "urn:cbi:problem:unavailable"


LOCK = text("SELECT pg_advisory_xact_lock(:key)")


async def test_a_lock_that_was_waited_for_in_vain_is_to_be_tried_again(engine: AsyncEngine):
    async with engine.connect() as first, engine.connect() as second:
        await first.execute(LOCK, {"key": 71})
        await second.execute(text("SET LOCAL lock_timeout = '20ms'"))
        with pytest.raises(DBAPIError) as refused:
            await second.execute(LOCK, {"key": 71})
    is_to_be_tried_again(refused.value)


async def test_a_deadlock_is_to_be_tried_again(engine: AsyncEngine):
    async with engine.connect() as first, engine.connect() as second:
        await first.execute(LOCK, {"key": 81})
        await second.execute(LOCK, {"key": 82})
        crossed = first.execute(LOCK, {"key": 82}), second.execute(LOCK, {"key": 81})
        both = await asyncio.gather(*crossed, return_exceptions=True)
    errors = [one for one in both if isinstance(one, BaseException)]
    assert len(errors) == 1
    assert isinstance(errors[0], DBAPIError)
    is_to_be_tried_again(errors[0])


def test_every_wording_is_whole_and_a_slug_has_one_status():
    tables = (problems.REFUSALS, problems.CONSTRAINTS, problems.HTTP)
    statuses: dict[str, int] = {}
    for wording in (each for table in tables for each in table.values()):
        assert 400 <= wording.status < 500
        assert wording.es
        assert wording.en
        assert statuses.setdefault(wording.slug, wording.status) == wording.status


async def test_an_unknown_path_is_told_without_and_with_a_key(house: House):
    for path in ("/", "/nope", "/v1/nope", "/v1/households/not-a-uuid", "/docs/nope", "/v1//x"):
        told(await house.call("GET", path), 404, "not-found")
        told(await house.get(path, "A/registrar"), 404, "not-found")


async def test_an_unknown_id_is_told_as_not_found(house: House):
    for path, who in (
        (f"/v1/households/{NOBODY}?purpose=correction", "A/registrar"),
        (f"/v1/households/{NOBODY}/receipt", "A/registrar"),
        (f"/v1/cases/{NOBODY}", "A/adjudicator"),
        (f"/v1/rounds/{NOBODY}", "A/finance"),
        (f"/v1/rounds/{NOBODY}/payments", "A/finance"),
        (f"/v1/rounds/{NOBODY}/payment-file", "A/finance"),
        (f"/v1/rounds/{NOBODY}/report", "A/finance"),
        (f"/v1/programmes/{NOBODY}/enrolments", "A/programme"),
    ):
        told(await house.get(path, who), 404, "not-found")


async def test_a_wrong_method_is_told_with_those_allowed(house: House):
    for method, path, allowed in (
        ("DELETE", "/v1/households", {"GET", "POST", "OPTIONS"}),
        ("PUT", "/v1/me", {"GET", "OPTIONS"}),
        ("GET", "/v1/imports/kobo", {"POST", "OPTIONS"}),
        ("POST", "/health/live", {"GET", "OPTIONS"}),
        ("BREW", "/v1/me", {"GET", "OPTIONS"}),
    ):
        answer = await house.call(method, path, "A/registrar")
        told(answer, 405, "method-not-allowed")
        assert set(answer.headers["allow"].split(", ")) == allowed


async def test_a_missing_key_and_a_key_without_the_role_are_told(house: House):
    told(await house.call("GET", "/v1/me"), 401, "unauthenticated")
    told(await house.get("/v1/access-log", "A/finance"), 403, "forbidden")
    told(await house.call("OPTIONS", "/v1/me"), 401, "unauthenticated")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"null",
        b"12",
        b'{"a":1}{"b":2}',
        b"\xff\xfe",
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udfff\\ud800"}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' * 50_000,
        b"[" * 50_000 + b"]" * 50_000,
        b"\x00",
        b'\xef\xbb\xbf{"a":1}',
    ],
    ids=lambda body: repr(body[:12]),
)
@pytest.mark.parametrize("key", ["", "some-key"])
async def test_a_body_that_is_no_json_object_is_malformed(house: House, body, key):
    for path, who in (
        ("/v1/households", "A/registrar"),
        ("/v1/programmes", "A/programme"),
        (f"/v1/cases/{NOBODY}/judgements", "A/adjudicator"),
    ):
        answer = await house.post(path, who, content=body, headers=JSON, key=key)
        told(answer, 400, "bad-request")


async def test_a_body_above_the_limit_is_too_large_whether_announced_or_not(house: House):
    async def pieces():
        for _ in range(11):
            yield b"x" * 1_000_000

    for path, who in (
        ("/v1/households", "A/registrar"),
        (f"/v1/breaks/{NOBODY}/remarks", "A/finance"),
    ):
        answer = await house.post(path, who, content=b"x" * 10_500_000, headers=JSON)
        told(answer, 413, "too-large")
        told(await house.post(path, who, content=pieces(), headers=JSON), 413, "too-large")


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "\x7f;;=", "a/b;c"],
)
async def test_a_wrong_content_type_breaks_nothing(house: House, kind):
    for content in (b"a=b", b"", b"{}", b"--x\r\n"):
        headers = {"Content-Type": kind}
        answer = await house.post("/v1/households", "A/registrar", content=content, headers=headers)
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"


QUERIES = [
    "limit=0", "limit=201", "limit=x", "limit=", "limit=-1", "limit=1.5", f"limit={10**30}",
    "after=x", "after=%00", "after=%ff", f"after={10**30}", "after=' OR 1=1",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    "path",
    [
        "/v1/households",
        "/v1/partners",
        "/v1/cases",
        "/v1/programmes",
        "/v1/rounds",
        "/v1/statements",
        "/v1/ledger/transfers",
        "/v1/ledger/checkpoints",
        "/v1/access-log",
    ],
)
async def test_a_bad_query_is_told_with_its_place(house: House, everywhere, path, query):
    answer = await house.get(f"{path}?{query}", everywhere)
    body = told(answer, 400, "bad-request")
    assert body["faults"] == [{"path": query.partition("=")[0], "source": "query"}]


@pytest.fixture(scope="session")
async def everywhere(house: House) -> str:
    await house.issue("A", "everywhere", "registrar", "programme", "finance", "auditor")
    return "A/everywhere"


async def test_other_queries_are_told_too(house: House, everywhere, paid):
    household = paid.household_ids[0]
    for path, name in (
        ("/v1/cases?state=nonsense", "in_state"),
        ("/v1/access-log?household_id=x", "household_id"),
        ("/v1/access-log?after=-1", "after"),
        (f"/v1/households/{household}?purpose=curiosity", "purpose"),
        ("/v1/reports/fees?format=doc", "format"),
    ):
        body = told(await house.get(path, everywhere), 400, "bad-request")
        assert [fault["path"] for fault in body["faults"]] == [name]


async def test_a_registration_is_refused_with_all_its_faults_and_none_of_its_values(house: House):
    canary = "Zzcanaryzz"
    body = registration(
        ubigeo="999999",
        registered_on=canary,
        population_type=canary,
        consents=[],
        persons=[
            {"given_names": canary, "surnames": "", "birth_date": "1066-10-14", canary: canary},
            {"given_names": 7, "documents": [{"type": "pe-dni", "number": f"{canary}1"}]},
        ],
    )
    answer = await house.post("/v1/households", "A/registrar", body)
    told_ = told(answer, 422, "invalid-registration")
    assert len(told_["faults"]) >= 8
    for fault in told_["faults"]:
        assert set(fault) == {"path", "code", "level", "es", "en", "remedy_es", "remedy_en"}
        assert fault["es"]
        assert fault["en"]
    paths = {fault["path"] for fault in told_["faults"]}
    assert {"ubigeo", "registered_on", "population_type", "consents"} <= paths
    assert "persons[1].documents[0].number" in paths
    # A field's own name may be repeated, for a clerk must find it; a value never.
    values = answer.text.replace(f"persons[0].{canary}", "")
    assert canary not in values
    assert "1066" not in values


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a\0b"},
        {"name": "a\nb"},
        {"name": ""},
        {"name": 1},
        {"name": None},
        {"name": "x" * 71},
        {"code": "ABC\n"},
        {"code": "abc"},
        {"currency": "PEN\n"},
        {"payer_account": "PE1910000001\n"},
        {"assistance_group": "mpca\n"},
        {"canary": "x"},
        {"code": 10**40},
    ],
    ids=repr,
)
async def test_a_programme_with_a_bad_field_is_refused_without_its_values(house: House, change):
    answer = await house.post("/v1/programmes", "A/programme", {**programme(), **change})
    body = told(answer, 400, "bad-request")
    assert len(body["faults"]) == 1
    assert "canary" not in answer.text


async def test_a_currency_that_is_none_is_refused(house: House):
    answer = await house.post("/v1/programmes", "A/programme", {**programme(), "currency": "ZZZ"})
    assert told(answer, 422, "bad-value")["field"] == "currency"


async def test_a_code_that_is_taken_is_refused_by_its_constraint(house: House):
    await house.made("/v1/programmes", "A/programme", programme("TWICE"))
    again = await house.post("/v1/programmes", "A/programme", programme("TWICE"))
    told(again, 409, "code-taken")
    await house.made("/v1/programmes", "B/programme", programme("TWICE"))


async def test_money_and_dates_at_their_edges_are_refused_or_booked(house: House):
    opened = await house.made("/v1/programmes", "A/programme", programme())
    path = f"/v1/programmes/{opened['programme_id']}"
    for amount in ("0", "0.00", "999999999999.9999", "1.001", "-1", "1e3", "١", "NaN", "1\n"):
        deposit = {"deposit_id": str(uuid4()), "amount": amount, "on": "2026-01-01"}
        answer = await house.post(f"{path}/funds", "A/finance", deposit)
        assert 400 <= answer.status_code < 500, (amount, answer.text)
        values = {"effective_from": "2026-01-01", "by_size": [amount]}
        answer = await house.post(f"{path}/values", "A/programme", values)
        assert 400 <= answer.status_code < 500, (amount, answer.text)
    for day in ("0001-01-01", "9999-12-31"):
        deposit = {"deposit_id": str(uuid4()), "amount": "1", "on": day}
        answer = await house.post(f"{path}/funds", "A/finance", deposit)
        assert answer.status_code < 500, answer.text
        answer = await house.get(f"/v1/ledger/transfers?after={NOBODY}", "A/finance")
        assert answer.status_code == 200


@pytest.mark.parametrize("name", ["", "x" * 201, b"\xff\xfe", "a\tb", "é"], ids=repr)
async def test_a_malformed_idempotency_key_is_told(house: House, name):
    value = name if isinstance(name, bytes) else name.encode("latin-1")
    answer = await house.post(
        "/v1/programmes", "A/programme", programme(), headers={b"Idempotency-Key": value}
    )
    told(answer, 400, "idempotency-key-malformed")


async def test_a_file_that_is_no_file_is_told(house: House):
    for content in (b"", b"\x00" * 100, b"[" * 60_000, b"<a>", b"\xff\xfe\x00", b"{}", b"<" * 999):
        for path, who, slug in (
            ("/v1/statements", "A/finance", "statement-unreadable"),
            ("/v1/imports?format=kobo&ubigeo_system=inei", "A/registrar", "file-unreadable"),
            ("/v1/imports?format=csv&ubigeo_system=inei", "A/registrar", "file-unreadable"),
        ):
            answer = await house.post(path, who, content=content, key=str(uuid4()))
            if answer.status_code != 201:
                told(answer, 422, slug)
    for query in ("", "format=csv", "format=pdf&ubigeo_system=inei"):
        answer = await house.post(f"/v1/imports?{query}", "A/registrar", content=b"x")
        told(answer, 400, "bad-request")
    answer = await house.post(
        "/v1/imports?format=csv&ubigeo_system=%00", "A/registrar", content=b""
    )
    told(answer, 422, "file-unreadable")


async def test_facts_of_a_problem_are_json_of_the_callers_own(house: House, paid):
    answer = await house.post(
        f"/v1/programmes/{paid.programme_id}/enrolments",
        "A/programme",
        {"household_id": paid.household_ids[0]},
    )
    body = told(answer, 409, "already-enrolled")
    assert body["household_id"] == paid.household_ids[0]
    assert json.loads(answer.content) == body
