"""Grants over HTTP: entered, approved, amended, drawn on, and reported to who keeps the books."""

from tests.api.granting import AMENDMENT, a_naming, agreed, drawing, grant
from tests.api.house import House
from tests.api.test_funds import money
from tests.api.test_problems import told


async def test_a_grant_is_entered_by_one_and_approved_by_another(house: House):
    made = await house.made("/v1/grants", "A/first", grant())
    path = f"/v1/grants/{made['grant_id']}"
    own = await house.post(f"{path}/approval", "A/first", {"version": 1})
    told(own, 403, "approved-by-author")
    found = await house.made(f"{path}/approval", "A/second", {"version": 1})
    (version,) = found["versions"]
    assert version["agreed"]["money"] == {"amount_minor": 100_000, "currency": "PEN"}
    assert version["approved_by"] not in (None, version["entered_by"])
    again = await house.post(f"{path}/approval", "A/third", {"version": 1})
    told(again, 409, "term-approved")
    told(await house.post(f"{path}/approval", "A/second", {"version": 2}), 404, "not-found")
    listed = (await house.get("/v1/grants?limit=200", "A/auditor")).json()["items"]
    assert found in listed
    assert made["grant_id"] not in (await house.get("/v1/grants?limit=200", "B/finance")).text
    told(await house.post(f"{path}/amendments", "B/finance", AMENDMENT), 404, "not-found")
    told(await house.post(f"{path}/approval", "B/finance", {"version": 1}), 404, "not-found")


async def test_what_is_no_grant_is_refused_by_its_field(house: House):
    for change in (
        {"amount": "0"},
        {"amount": "1.001"},
        {"currency": "XXX"},
        {"last_day": "2025-12-31"},
        {"last_day": "2200-01-01"},
        {"code": "a grant"},
        {"donor": ""},
        {"more": 1},
    ):
        answer = await house.post("/v1/grants", "A/finance", grant(**change))
        assert answer.status_code in (400, 422), answer.text
    path, _ = await agreed(house)
    less = AMENDMENT | {"amount": "999.99"}
    told(await house.post(f"{path}/amendments", "A/finance", less), 409, "amendment-unfit")


async def test_a_deposit_says_of_which_grant_it_is(house: House):
    path, code = await drawing(house)
    nameless = await house.post(f"{path}/funds", "A/finance", money("1.00"))
    told(nameless, 409, "grant-unnamed")
    for facts, slug in (
        ({"grant": "NOBODYS"}, "grant-not-drawn"),
        ({"grant": code, "currency": "USD"}, "grant-in-other-currency"),
        ({"grant": code, "on": "2027-01-01"}, "outside-grant-days"),
    ):
        answer = await house.post(f"{path}/funds", "A/finance", money("1.00") | facts)
        told(answer, 409, slug)
    await house.made(f"{path}/funds", "A/finance", money("999.00", grant=code))
    more = await house.post(f"{path}/funds", "A/finance", money("1.01", grant=code))
    assert told(more, 409, "grant-spent")["grant"] == code


async def test_a_round_names_the_grant_and_the_books_show_it(house: House):
    path, who, body = await a_naming(house)
    await house.made(path, who, body)
    other = await house.post(path, who, {"grant": "NOBODYS"})
    told(other, 409, "grant-not-drawn")
    told(await house.post(path, "B/finance", body), 404, "not-found")
    report = await house.get("/v1/reports/grant-use", "A/finance")
    assert body["grant"] in report.text
    assert (await house.get("/v1/reports/grant-use", "A/programme")).status_code == 403
    theirs = {"partner_id": str(house.partners["A"])}
    assert (await house.get("/v1/reports/grant-use", "B/finance", params=theirs)).status_code == 404
    seen = await house.get("/v1/reports/grant-use", "B/auditor", params=theirs)
    assert body["grant"] in seen.text
