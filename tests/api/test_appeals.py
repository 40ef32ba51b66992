"""Slips and appeals over HTTP: what each may see, and what is told to nobody."""

from datetime import timedelta

import pytest

from api import clock
from tests.api.appealing import SAID, a_slip, an_appeal, an_outcome
from tests.api.house import House, open_house, own_database, registration

UNKNOWN = "urn:cbi:problem:slip-unknown"


async def test_a_slip_is_printed_for_who_holds_its_token_and_no_address_carries_it(house: House):
    slip = await a_slip(house)
    where = f"{slip['path']}/{slip['slip']['slip_id']}"
    page = await house.get(
        f"{where}?format=pdf&language=en", "A/registrar", headers={"Slip-Token": slip["token"]}
    )
    assert page.status_code == 200, page.text
    assert page.headers["content-type"] == "application/pdf"
    assert page.headers["cache-control"] == "no-store"
    assert page.content.startswith(b"%PDF-")
    again = await house.made(f"{where}/prints", "A/registrar")
    assert (again["print_no"], again["token"] == slip["token"]) == (2, False)
    for token in (slip["token"], "", "x" * 32):
        refused = await house.get(
            f"{where}?format=pdf", "A/registrar", headers={"Slip-Token": token}
        )
        assert (refused.status_code, refused.json()["type"]) == (404, UNKNOWN)
    read = (await house.get(where, "A/registrar")).json()
    assert read["reference"] == slip["slip"]["reference"]
    assert slip["token"] not in str(read)
    assert (await house.get(where, "B/registrar")).status_code == 404
    assert (await house.get(slip["path"], "B/registrar")).status_code == 404
    assert len((await house.get(slip["path"], "A/registrar")).json()["items"]) == 1


async def test_no_token_is_in_the_database_in_any_form_it_was_sent(house: House):
    slip = await a_slip(house)
    key = "one-key-for-a-slip"
    body = {"reason": "no_funds"}
    receipt = await house.made("/v1/households", "A/registrar", registration())
    path = f"/v1/households/{receipt['household_id']}/slips"
    keyed = await house.made(path, "A/registrar", body, key=key)
    await house.made("/v1/appeals", "B/registrar", {**SAID, "token": slip["token"]}, key=key)
    for table in ("cbi.answer", "cbi.slip", "cbi.slip_print", "cbi.appeal", "cbi.appeal_try"):
        dumped = await house.sql(f"SELECT string_agg(t::text, ' ') FROM {table} AS t")
        for token in (slip["token"], keyed["token"]):
            assert token not in (dumped or "")
            assert token.encode().hex() not in (dumped or "")


async def test_who_takes_an_appeal_in_sees_where_it_stands_and_nothing_of_the_household(
    house: House,
):
    appeal = await an_appeal(house)
    assert appeal["state"] == "waiting"
    assert appeal["overdue"] is False
    hidden = ("because", "refused", "refused_by", "reviewer", "effect", "acted")
    assert {appeal[name] for name in hidden} == {None}
    path = f"/v1/appeals/{appeal['appeal_id']}"
    assert (await house.get(path, "B/registrar")).json() == appeal
    theirs = (await house.get(path, "A/programme")).json()
    assert theirs["refused"]["reason"] == "family_assisted"
    assert [event["what"] for event in theirs["history"]] == ["taken"]
    assert (await house.get(path, "G/registrar")).status_code == 404
    listed = (await house.get("/v1/appeals", "G/registrar", params={"limit": "200"})).json()
    assert appeal["appeal_id"] not in {row["appeal_id"] for row in listed["items"]}
    # Who reviews knows what is appealed, and no id of the household.
    review = (await house.get(path, "G/adjudicator")).text
    assert "family_assisted" in review
    assert "household" not in review


async def test_the_holder_of_a_token_asks_for_the_answer_anywhere(house: House):
    await house.hire("G", "registrar", "adjudicator", "coordinator")
    slip = await a_slip(house)
    body = {**SAID, "token": slip["token"]}
    first = await house.made("/v1/appeals", "B/registrar", body)
    again = await house.made("/v1/appeals", "G/registrar", body)
    assert again == first


async def test_a_token_that_is_none_is_refused_alike_and_counted(house: House):
    count = "SELECT count(*) FROM cbi.appeal_try"
    before = await house.sql(count)
    for token in ("A" * 32, "", "¡hola!", "' OR true --"):
        refused = await house.post("/v1/appeals", "B/registrar", {**SAID, "token": token})
        assert (refused.status_code, refused.json()["type"]) == (404, UNKNOWN)
    assert await house.sql(count) == before + 4


async def test_a_slip_is_no_good_after_its_last_day(house: House, monkeypatch):
    slip = await a_slip(house)
    days = house.service.settings.slip_days
    today = clock.today()
    assert slip["slip"]["appeal_until"] == str(today + timedelta(days=days))
    monkeypatch.setattr(clock, "today", lambda: today + timedelta(days=days + 1))
    late = await house.post("/v1/appeals", "B/registrar", {**SAID, "token": slip["token"]})
    assert late.json()["type"] == UNKNOWN
    monkeypatch.setattr(clock, "today", lambda: today + timedelta(days=days))
    assert (
        await house.post("/v1/appeals", "B/registrar", {**SAID, "token": slip["token"]})
    ).status_code == 201


async def test_an_appeal_is_late_after_so_many_working_days(house: House, monkeypatch):
    appeal = await an_appeal(house)
    due = clock.today()
    while str(due) < appeal["due_on"]:
        due += timedelta(days=1)
    assert (due - clock.today()).days >= house.service.settings.appeal_working_days

    async def late() -> set[str]:
        found = await house.get(
            "/v1/appeals", "G/adjudicator", params={"overdue": "true", "limit": "200"}
        )
        return {row["appeal_id"] for row in found.json()["items"] if row["overdue"]}

    assert appeal["appeal_id"] not in await late()
    monkeypatch.setattr(clock, "today", lambda: due + timedelta(days=1))
    assert appeal["appeal_id"] in await late()


async def test_what_was_said_is_for_the_organisation_that_reviews(house: House):
    appeal = await an_appeal(house)
    path = f"/v1/appeals/{appeal['appeal_id']}"
    assert (await house.get(f"{path}/statement", "G/adjudicator")).status_code == 409
    await house.made(f"{path}/assignments", "G/coordinator", {"partner": "PARTNER-G"})
    said = await house.get(f"{path}/statement", "G/adjudicator")
    assert said.json() == {"said": SAID["statement"]}
    assert (await house.get(f"{path}/statement", "A/coordinator")).status_code == 409
    log = (await house.get("/v1/appeal-readings", "A/auditor", params={"limit": "200"})).json()
    rows = [row for row in log["items"] if row["appeal_id"] == appeal["appeal_id"]]
    assert [row["request_id"] for row in rows] == [said.headers["x-request-id"]]


async def test_a_reversal_is_shown_to_who_must_act_until_it_is_done(house: House):
    path, who, body = await an_outcome(house)
    ended = await house.made(path, who, body)
    assert (ended["state"], ended["effect"]["kind"]) == ("to_act", "must_act")
    where = path.replace("/outcome", "")
    # Who took it in learns how it ended, to tell the person.
    told = (await house.get(where, "B/registrar")).json()
    assert (told["outcome"], told["because"], told["effect"]) == ("reversed", None, None)
    mine = await house.get("/v1/appeals", "A/programme", params={"state": "to_act", "limit": "200"})
    assert ended["appeal_id"] in {row["appeal_id"] for row in mine.json()["items"]}
    refused = await house.post(f"{where}/done", "B/programme", {"what": "paid"})
    assert refused.json()["type"] == "urn:cbi:problem:nothing-to-act-on"
    done = await house.made(f"{where}/done", "A/programme", {"what": "enrolled"})
    assert done["state"] == "done"
    again = await house.post(f"{where}/done", "A/programme", {"what": "paid"})
    assert again.status_code == 409


@pytest.mark.parametrize("who", ["A/adjudicator", "A/coordinator"])
async def test_who_refused_does_not_review(house: House, who: str):
    appeal = await an_appeal(house)
    refused = await house.post(f"/v1/appeals/{appeal['appeal_id']}/assignments", who, {})
    assert refused.json()["type"] == "urn:cbi:problem:reviewer-took-part"


async def test_an_organisation_that_tries_too_many_codes_is_told_to_wait(postgres, tmp_path):
    async with (
        own_database(postgres) as name,
        open_house(postgres, name, str(tmp_path), CBI_APPEAL_TRIES_PER_DAY="2") as house,
    ):
        slip = await a_slip(house)
        for token, status in (("A" * 32, 404), ("B" * 32, 404), (slip["token"], 429)):
            answer = await house.post("/v1/appeals", "B/registrar", {**SAID, "token": token})
            assert answer.status_code == status, answer.text
        told = answer.json()
        assert told["type"] == "urn:cbi:problem:appeal-tries-spent"
        assert told["tries_per_day"] == 2
        done = await house.post("/v1/appeals", "A/registrar", {**SAID, "token": slip["token"]})
        assert done.status_code == 201


async def test_who_was_never_registered_appeals_and_who_refused_registers_them(house: House):
    await house.hire("G", "registrar", "adjudicator", "coordinator")
    given = await house.made("/v1/slips", "A/registrar", {"reason": "not_registered"})
    slip_id = given["slip"]["slip_id"]
    assert given["slip"]["household_id"] is None
    page = await house.get(
        f"/v1/slips/{slip_id}?format=pdf", "A/registrar", headers={"Slip-Token": given["token"]}
    )
    assert page.content.startswith(b"%PDF-")
    for who, status in (("B/registrar", 404), ("A/programme", 200)):
        assert (await house.get(f"/v1/slips/{slip_id}", who)).status_code == status
    again = await house.made(f"/v1/slips/{slip_id}/prints", "A/registrar")
    wrong = await house.post("/v1/slips", "A/registrar", {"reason": "overlap"})
    assert wrong.status_code == 422
    appeal = await house.made("/v1/appeals", "B/registrar", {**SAID, "token": again["token"]})
    path = f"/v1/appeals/{appeal['appeal_id']}"
    await house.made(f"{path}/assignments", "G/adjudicator", {"person": "adjudicator"})
    ended = {"outcome": "reversed", "because": "procedure_flawed"}
    await house.made(f"{path}/outcome", "G/adjudicator", ended)
    theirs = (await house.get(path, "A/programme")).json()
    assert (theirs["state"], theirs["effect"]["entitles_to"]) == ("to_act", "registration")
    receipt = await house.made("/v1/households", "A/registrar", registration())
    body = {"what": "registered", "household_id": receipt["household_id"]}
    done = await house.made(f"{path}/done", "A/programme", body)
    assert done["acted"]["household_id"] == receipt["household_id"]
    # Who took it in learns how it ended, and nothing of the household.
    taken_in = await house.get(path, "B/registrar")
    assert taken_in.json()["state"] == "done"
    assert receipt["household_id"] not in taken_in.text
    assert receipt["household_id"] not in (await house.get(path, "G/adjudicator")).text
