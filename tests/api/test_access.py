"""Who may call what: every route, every role, every kind of bad key."""

import re
from datetime import timedelta
from hashlib import sha256
from uuid import uuid4

import pytest
from sqlalchemy import text

from api import access, auth, clock, db
from cbi.reports.asked import NEEDS_ROUND
from tests.api.house import House, open_case, programme, registration, routes

ROUTES = sorted(access.MAY)


async def test_every_route_is_in_the_table_and_the_table_has_no_other(house: House):
    served = set(routes(house.app))
    open_ = {path for _, path in served if access.is_public(path) or access.is_console(path)}
    guarded = {(method, path) for method, path in served if path not in open_}
    assert guarded == set(access.MAY)


async def test_what_is_public_is_health_metrics_figures_and_documentation_only(house: House):
    public = {path for _, path in routes(house.app) if access.is_public(path)}
    assert public - access.PUBLIC <= {
        "/docs",
        "/docs/openapi.json",
        "/docs/oauth2-redirect.html",
        "/docs/{path}",
        "/docs/static/{file_path}",
    }


def concrete(path: str) -> str:
    """Fill a route's path with ids of nothing."""
    told = {"until": "2026-03-31", "piece_no": "1", "version": "1"}
    told |= {"uit_no": "77000", "cap_no": "77000"}
    return re.sub(r"{(\w+)}", lambda name: told.get(name[1], str(uuid4())), path)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_route_lets_exactly_the_roles_of_the_table_in(house: House, method, path):
    for role in access.ROLES:
        answer = await house.call(method, concrete(path), f"A/{role}")
        may = role in access.MAY[method, path]
        assert (answer.status_code == 403) is not may, (role, answer.text)
        assert answer.status_code != 401
        assert answer.status_code < 500, answer.text


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_route_lets_nobody_in_without_a_key(house: House, method, path):
    answer = await house.call(method, concrete(path))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_no_malformed_key_is_let_in(house: House):
    good = house.keys["A/registrar"]
    prefix = good.split("_")[1]
    for header in (
        "",
        "Bearer",
        "Bearer ",
        f"Basic {good}",
        good,
        f"Bearer {good}x",
        f"Bearer {good[:-1]}",
        f"Bearer x{good}",
        f"Bearer cbi_{prefix}_",
        f"Bearer cbi_{prefix}",
        f"Bearer cbi__{good.split('_', 2)[2]}",
        "Bearer cbi_000000000000_" + "A" * 43,
        "Bearer cbi_" + "x" * 5000,
        "Bearer cbi_%00_a",
        "Bearer cbi_' OR true --_x",
        b"Bearer cbi_\xff\xfe_\x80",
    ):
        answer = await house.call("GET", "/v1/me", headers={"Authorization": header})
        assert answer.status_code == 401, header
        assert answer.headers["content-type"] == "application/problem+json"


async def test_the_case_of_the_scheme_does_not_matter(house: House):
    for scheme in ("bearer", "BEARER", "Bearer "):
        header = f"{scheme} {house.keys['A/registrar']}"
        answer = await house.call("GET", "/v1/me", headers={"Authorization": header})
        assert answer.status_code == 200


async def test_an_expired_key_and_a_revoked_key_are_refused(house: House):
    soon = clock.now() - timedelta(seconds=1)
    await house.issue("A", "expired", "registrar", expires_at=soon)
    key = await house.issue("A", "revoked", "registrar")
    assert (await house.get("/v1/me", "A/revoked")).status_code == 200
    async with db.transaction(house.service.engine, db.SYSTEM) as conn:
        assert await auth.revoke(conn, prefix=key.split("_")[1], at=clock.now())
        assert not await auth.revoke(conn, prefix=key.split("_")[1], at=clock.now())
    assert (await house.get("/v1/me", "A/expired")).status_code == 401
    assert (await house.get("/v1/me", "A/revoked")).status_code == 401


async def test_only_a_digest_of_a_key_is_stored(house: House):
    key = house.keys["A/finance"]
    _, prefix, secret = key.split("_", 2)
    async with house.owner.connect() as conn:
        rows = (await conn.execute(text("SELECT row_to_json(k)::text FROM cbi.api_key k"))).all()
        digest = await conn.scalar(
            text("SELECT digest FROM cbi.api_key WHERE prefix = :prefix"), {"prefix": prefix}
        )
    assert digest == sha256(secret.encode()).digest()
    assert not any(secret in row[0] for row in rows)


async def test_a_key_says_whose_it_is(house: House):
    answer = (await house.get("/v1/me", "B/coordinator")).json()
    assert (answer["partner"], answer["roles"], answer["area"]) == (
        "PARTNER-B",
        ["coordinator"],
        "",
    )


async def test_two_partners_see_the_same_list_of_partners(house: House):
    ours, theirs = [
        (await house.get("/v1/partners", who)).json()["items"]
        for who in ("A/registrar", "B/registrar")
    ]
    assert ours == theirs
    assert {"PARTNER-A", "PARTNER-B"} <= {row["code"] for row in ours}


async def items(house: House, path: str, who: str) -> list[dict]:
    answer = await house.get(path, who, params={"limit": "200"})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_a_partner_sees_nothing_of_another_in_any_list(house: House, paid):
    await house.made("/v1/households", "B/registrar", registration())
    foreign = {paid.round_id, paid.programme_id, *paid.household_ids}
    for path, role in (
        ("/v1/households", "registrar"),
        ("/v1/households", "programme"),
        ("/v1/programmes", "programme"),
        ("/v1/rounds", "finance"),
        ("/v1/statements", "finance"),
        ("/v1/statements/unread", "finance"),
        ("/v1/statement-layouts", "finance"),
        ("/v1/ledger/transfers", "finance"),
    ):
        mine = await items(house, path, f"A/{role}")
        theirs = await items(house, path, f"B/{role}")
        shown = {str(value) for row in theirs for value in row.values()}
        assert not foreign & shown, path
        ids = {next(iter(row.values())) for row in mine}
        assert not ids & shown, path
    trial = (await house.get("/v1/ledger/trial-balance", "B/finance")).text
    assert paid.programme_id not in trial
    assert paid.round_id not in trial


async def test_a_partner_finds_nothing_of_another_by_its_id(house: House, paid):
    household, programme = paid.household_ids[0], f"/v1/programmes/{paid.programme_id}"
    signer = "B/first"
    for method, path, who, body in (
        ("GET", f"/v1/households/{household}?purpose=correction", "B/registrar", None),
        ("GET", f"/v1/households/{household}/receipt", "B/registrar", None),
        ("GET", f"{programme}/enrolments", signer, None),
        ("POST", f"{programme}/enrolments", signer, {"household_id": household}),
        ("POST", f"{programme}/values", signer, {"effective_from": "2026-01-01", "by_size": ["1"]}),
        (
            "POST",
            f"{programme}/funds",
            signer,
            {"deposit_id": str(uuid4()), "amount": "1", "on": "2026-01-01"},
        ),
        ("GET", paid.path, signer, None),
        ("GET", f"{paid.path}/payments", signer, None),
        ("GET", f"{paid.path}/payment-file", signer, None),
        ("GET", f"{paid.path}/report", signer, None),
        *(
            ("GET", f"/v1/reports/{name}?round_id={paid.round_id}&format=csv", signer, None)
            for name in sorted(NEEDS_ROUND)
        ),
        *(
            ("POST", f"{paid.path}/{step}", signer, None)
            for step in ("calculate", "prepare", "review", "approve", "release")
        ),
        (
            "POST",
            f"{paid.path}/cancellations",
            signer,
            {"entitlement_id": str(uuid4()), "because": "other"},
        ),
    ):
        answer = (
            await house.call(method, path, who, json=body)
            if body
            else (await house.call(method, path, who))
        )
        assert answer.status_code == 404, (method, path, answer.text)
        assert answer.json()["type"] == "urn:cbi:problem:not-found"


async def test_a_case_is_seen_by_its_two_sides_and_not_by_a_registrar_elsewhere(house: House):
    case_id = await open_case(house)
    house.partners["C"] = uuid4()
    async with house.owner.begin() as conn:
        await conn.execute(
            text(
                "INSERT INTO cbi.partner (partner_id, code, name, contact, added_at)"
                " VALUES (:id, 'PARTNER-C', 'C', '', now())"
            ),
            {"id": house.partners["C"]},
        )
    try:
        await house.issue("C", "registrar", "registrar")
        await house.issue("C", "programme", "programme")
        for who in ("A/registrar", "B/registrar", "A/programme"):
            assert (await house.get(f"/v1/cases/{case_id}", who)).status_code == 200
            assert case_id in {row["case_id"] for row in await items(house, "/v1/cases", who)}
        for who in ("C/registrar", "C/programme"):
            assert (await house.get(f"/v1/cases/{case_id}", who)).status_code == 404
            assert await items(house, "/v1/cases", who) == []
    finally:
        async with house.owner.begin() as conn:
            await conn.execute(
                text(
                    "DELETE FROM cbi.api_key WHERE actor_id IN (SELECT actor_id"
                    " FROM cbi.actor WHERE partner_id = :id)"
                ),
                {"id": house.partners["C"]},
            )
            await conn.execute(
                text("DELETE FROM cbi.actor WHERE partner_id = :id"), {"id": house.partners["C"]}
            )
            await conn.execute(
                text("DELETE FROM cbi.partner WHERE partner_id = :id"),
                {"id": house.partners.pop("C")},
            )


async def test_a_key_of_an_area_registers_and_sees_nothing_outside_it(house: House):
    for role in ("registrar", "programme"):
        await house.issue("A", f"north-{role}", role, area="2401")
    inside = await house.made("/v1/households", "A/north-registrar", registration())
    refused = await house.post("/v1/households", "A/north-registrar", registration(ubigeo="150101"))
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:cbi:problem:outside-area"
    outside = await house.made("/v1/households", "A/registrar", registration(ubigeo="150101"))
    listed = await items(house, "/v1/households", "A/north-registrar")
    assert inside["household_id"] in {row["household_id"] for row in listed}
    assert {row["ubigeo"][:4] for row in listed} == {"2401"}
    for path in ("?purpose=correction", "/receipt"):
        for household, status in ((inside, 200), (outside, 404)):
            where = f"/v1/households/{household['household_id']}{path}"
            answer = await house.get(where, "A/north-registrar")
            assert answer.status_code == status, where


async def test_a_key_of_an_area_enrols_and_lists_nobody_outside_it(house: House):
    await house.issue("A", "north-officer", "programme", area="2401")
    opened = await house.made("/v1/programmes", "A/programme", programme())
    path = f"/v1/programmes/{opened['programme_id']}/enrolments"
    inside, outside = [
        {"household_id": (await house.made("/v1/households", "A/registrar", body))["household_id"]}
        for body in (registration(), registration(ubigeo="150101"))
    ]
    await house.made(path, "A/north-officer", inside)
    assert (await house.post(path, "A/north-officer", outside)).status_code == 404
    await house.made(path, "A/programme", outside)
    listed = await items(house, path, "A/north-officer")
    assert [row["household_id"] for row in listed] == [inside["household_id"]]
    assert len(await items(house, path, "A/programme")) == 2


async def test_every_opening_of_an_identity_is_in_the_access_log(house: House):
    receipt = await house.made("/v1/households", "A/registrar", registration())
    path = f"/v1/households/{receipt['household_id']}"
    opened = await house.get(path, "A/registrar", params={"purpose": "complaint"})
    where = {"household_id": receipt["household_id"], "limit": "200"}
    log = (await house.get("/v1/access-log", "B/auditor", params=where)).json()["items"]
    assert [row["purpose"] for row in log] == ["complaint"]
    assert log[0]["request_id"] == opened.headers["x-request-id"]
    assert (await house.get(path, "A/registrar")).status_code == 400
