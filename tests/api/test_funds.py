"""A programme's money and its books over HTTP."""

from uuid import uuid4

import pytest

from tests.api.house import House, programme


async def opened(house: House) -> str:
    made = await house.made("/v1/programmes", "A/programme", programme())
    return f"/v1/programmes/{made['programme_id']}"


def money(amount: str, what: str = "deposit_id", **more: object) -> dict:
    return {what: str(uuid4()), "amount": amount, "on": "2026-01-05", **more}


async def balances(house: House, path: str, **when: str) -> dict[str, int]:
    rows = (await house.get("/v1/ledger/trial-balance", "A/finance", params=when)).json()
    code = path.rpartition("/")[2]
    return {
        f"{row['code'].partition(code + ':')[2]} {row['currency']}": (
            row["debit_minor"] - row["credit_minor"]
        )
        for row in rows
        if code in row["code"] and row["debit_minor"] != row["credit_minor"]
    }


async def test_a_grant_waits_to_be_allotted_and_is_never_allotted_twice(house: House):
    path = await opened(house)
    await house.made(f"{path}/funds", "A/finance", money("100.00", grant="ECHO-26"))
    part = money("60.00", "allotment_id", grant="ECHO-26")
    first = await house.made(f"{path}/allotments", "A/finance", part)
    assert await house.made(f"{path}/allotments", "A/finance", part) == first
    assert await balances(house, path) == {
        "advance PEN": 10_000,
        "grant:ECHO-26 PEN": -4_000,
        "fund PEN": -6_000,
    }
    more = money("40.01", "allotment_id", grant="ECHO-26")
    refused = await house.post(f"{path}/allotments", "A/finance", more)
    assert refused.status_code == 409
    facts = {key: refused.json()[key] for key in ("available_minor", "wanted_minor")}
    assert facts == {"available_minor": 4_000, "wanted_minor": 4_001}
    nobody = money("1.00", "allotment_id", grant="NOBODY")
    refused = await house.post(f"{path}/allotments", "A/finance", nobody)
    assert refused.json()["type"] == "urn:cbi:problem:account-not-open"


async def test_dollars_become_soles_at_a_rate_and_the_loss_is_shown(house: House):
    path = await opened(house)
    await house.made(f"{path}/funds", "A/finance", money("1000.00", currency="USD"))
    sale = {
        "reference": "TC-1",
        "sold": "1000.00",
        "sold_currency": "USD",
        "bought": "3745.00",
        "bought_currency": "PEN",
        "rate": "3.745",
        "rate_source": "SBS venta",
        "rate_on": "2026-01-05",
        "on": "2026-01-06",
        "received": "3740.00",
    }
    booked = await house.made(f"{path}/exchanges", "A/finance", sale)
    assert await house.made(f"{path}/exchanges", "A/finance", sale) == booked
    assert await balances(house, path) == {
        "advance PEN": 374_000,
        "exchange PEN": 500,
        "spent PEN": -500,
        "fund PEN": -374_000,
    }
    other = await house.post(f"{path}/exchanges", "A/finance", {**sale, "received": "3739.00"})
    assert other.json()["type"] == "urn:cbi:problem:transfer-conflict"
    again = await house.post(f"{path}/exchanges", "A/finance", {**sale, "reference": "TC-2"})
    assert again.json()["type"] == "urn:cbi:problem:insufficient-funds"
    wrong = await house.post(f"{path}/exchanges", "A/finance", {**sale, "rate": "3.9"})
    assert wrong.status_code == 422
    assert wrong.json()["field"] == "rate"


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("funds", {"currency": "XXX"}),
        ("funds", {"currency": "pen"}),
        ("funds", {"grant": "a grant"}),
        ("funds", {"amount": "-1"}),
        ("funds", {"amount": "0"}),
        ("funds", {"amount": "1.001"}),
        ("funds", {"amount": 1}),
        ("fees", {"amount": "1e3"}),
        ("allotments", {}),
    ],
)
async def test_wrong_money_is_refused_by_its_field(house: House, where, body):
    path = await opened(house)
    what = {"funds": "deposit_id", "fees": "fee_id", "allotments": "allotment_id"}[where]
    answer = await house.post(f"{path}/{where}", "A/finance", money("1.00", what) | body)
    assert answer.status_code in (400, 422), answer.text


async def test_another_organisation_books_nothing_in_a_programme(house: House):
    path = await opened(house)
    for where, what in (("funds", "deposit_id"), ("fees", "fee_id")):
        answer = await house.post(f"{path}/{where}", "B/finance", money("1.00", what))
        assert answer.status_code == 404


async def test_a_period_is_closed_and_what_comes_late_keeps_its_value_date(house: House):
    await house.hire("P", "programme", "finance")
    made = await house.made("/v1/programmes", "P/programme", programme())
    path = f"/v1/programmes/{made['programme_id']}"
    await house.made(f"{path}/funds", "P/finance", money("10.00"))
    closed = await house.made("/v1/ledger/periods", "P/finance", {"until": "2026-01-31"})
    assert sum(row["debit_minor"] for row in closed["trial"]) == 1_000
    assert len(closed["sha256"]) == 64
    await house.made(f"{path}/funds", "P/finance", money("7.00"))

    async def fund(**when: str) -> int:
        rows = (await house.get("/v1/ledger/trial-balance", "P/finance", params=when)).json()
        return next(row["credit_minor"] for row in rows if row["code"].endswith(":fund"))

    assert await fund() == 1_700
    assert await fund(as_of="2026-01-31") == 1_700
    assert await fund(booked_until="2026-01-31") == 1_000
    assert await fund(known_at="2026-01-01T00:00:00Z") == 0
    assert await house.made("/v1/ledger/periods", "P/finance", {"until": "2026-01-31"}) == closed
    shown = await house.get("/v1/ledger/periods/2026-01-31", "P/finance")
    assert shown.json() == closed
    listed = (await house.get("/v1/ledger/periods", "P/finance")).json()
    assert [item["sha256"] for item in listed["items"]] == [closed["sha256"]]
    following = await house.get("/v1/ledger/periods", "P/finance", params={"after": "2026-01-31"})
    assert following.json() == {"items": [], "next": None}


async def test_a_period_that_is_not_over_unknown_or_elses_is_refused(house: House):
    future = await house.post("/v1/ledger/periods", "B/finance", {"until": "2089-01-31"})
    assert future.json()["type"] == "urn:cbi:problem:period-out-of-order"
    assert (await house.get("/v1/ledger/periods/2001-01-31", "B/finance")).status_code == 404
    assert (await house.get("/v1/ledger/periods/nonsense", "B/finance")).status_code == 404
    bare = await house.get(
        "/v1/ledger/trial-balance", "B/finance", params={"known_at": "2026-01-01T00:00:00"}
    )
    assert (bare.status_code, bare.json().get("field")) == (422, "known_at")
