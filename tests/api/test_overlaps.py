"""Rules, reservations, waiting and conflicts over HTTP, and what `cbi simulate` prints."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from click.testing import CliRunner

from api import clock
from api.cli import main
from api.embedded import EmbeddedPostgres
from cbi.overlap import example
from tests.api.house import House, own_database, programme, registration
from tests.api.overlaps import FIRST, conflicts, deciders, enrol, household, joined, rules


async def twice(house: House) -> tuple[str, str]:
    """One family that both partners registered and found to be one."""
    one = registration()
    mine = await house.made("/v1/households", "A/registrar", one)
    other = {**one, "reference": registration()["reference"]}
    theirs = await house.made("/v1/households", "B/registrar", other)
    for letter in "AB":
        judged = {"verdict": "same_household", "reason": "x"}
        case_id = theirs["flags"][0]["case_id"]
        await house.made(f"/v1/cases/{case_id}/judgements", f"{letter}/adjudicator", judged)
    return mine["household_id"], theirs["household_id"]


async def test_the_loser_is_told_until_when_and_whom_to_ask_and_never_who(house: House):
    mine, theirs = await twice(house)
    body = {"assistance": "health", "first_month": FIRST, "months": 2}
    made = await house.made("/v1/reservations", "A/programme", {**body, "household_id": mine})
    assert (made["state"], made["first_month"], made["end_month"]) == ("open", FIRST, "2027-03-01")
    refused = await house.post("/v1/reservations", "B/programme", {**body, "household_id": theirs})
    assert refused.status_code == 409
    told = refused.json()
    assert told["type"] == "urn:cbi:problem:overlap"
    assert (told["household_id"], told["until"]) == (theirs, "2027-03-01")
    assert told["ask"]
    for secret in (mine, "PARTNER-A", "desk@a", made["reservation_id"], str(house.partners["A"])):
        assert secret not in refused.text
    waiting = {"household_id": theirs, "assistance": "health"}
    entry = await house.made("/v1/waiting", "B/programme", waiting)
    assert (entry["is_free"], entry["free_until"]) == (False, None)
    path = f"/v1/reservations/{made['reservation_id']}"
    assert (await house.post(f"{path}/cancellation", "B/programme")).status_code == 404
    assert (await house.made(f"{path}/cancellation", "A/programme"))["state"] == "cancelled"
    over = await house.post(f"{path}/renewal", "A/programme")
    assert over.json()["type"] == "urn:cbi:problem:reservation-over"
    listed = (await house.get("/v1/waiting", "B/programme", params={"limit": "200"})).json()
    free = {each["waiting_id"]: each["is_free"] for each in listed["items"]}
    assert free[entry["waiting_id"]] is not None
    theirs_too = (await house.get("/v1/waiting", "A/programme", params={"limit": "200"})).json()
    assert entry["waiting_id"] not in {each["waiting_id"] for each in theirs_too["items"]}


async def test_an_enrolment_for_months_is_shown_with_them(house: House):
    opened = await house.made("/v1/programmes", "A/programme", programme())
    path = f"/v1/programmes/{opened['programme_id']}/enrolments"
    body = {"household_id": await household(house), "first_month": FIRST, "months": 3}
    made = await house.made(path, "A/programme", body)
    assert (made["first_month"], made["end_month"]) == (FIRST, "2027-04-01")
    assert (await house.get(path, "A/programme")).json()["items"] == [made]
    for wrong in ({"months": None}, {"first_month": None}, {"first_month": "2027-01-02"}):
        answer = await house.post(path, "A/programme", {**body, **wrong})
        assert answer.json()["type"] == "urn:cbi:problem:bad-value"


async def test_rules_are_proposed_approved_by_two_and_read_by_all(house: House):
    sent = rules()
    made = await house.made("/v1/overlap-rules", "A/adjudicator", sent)
    path = f"/v1/overlap-rules/{made['version']}/approval"
    own = await house.post(path, "A/adjudicator")
    assert (own.status_code, own.json()["type"]) == (403, "urn:cbi:problem:own-proposal")
    assert (await house.made(path, "A/coordinator"))["since"] is None
    again = await house.post(path, "A/coordinator")
    assert again.json()["type"] == "urn:cbi:problem:rules-approved"
    assert (await house.made(path, "B/adjudicator"))["since"] == sent["effective_from"]
    on = {"on": sent["effective_from"]}
    answer = await house.get("/v1/overlap-rules/in-force", "B/registrar", params=on)
    assert (answer.json()["version"], answer.json()["rules"]) == (made["version"], example())
    today = (await house.get("/v1/overlap-rules/in-force", "B/finance")).json()
    assert today["version"] == 0
    listed = (await house.get("/v1/overlap-rules", "B/auditor", params={"limit": "200"})).json()
    assert made["version"] in {each["version"] for each in listed["items"]}


async def test_rules_with_faults_are_refused_with_all_of_them_in_two_languages(house: House):
    wrong = {**example(), "contact": "", "blocks": [{"first": "cash", "then": "mpca"}]}
    day = str(clock.today() - timedelta(days=9))
    for path, who, body in (
        ("/v1/overlap-rules", "A/adjudicator", {"rules": wrong, "effective_from": day}),
        ("/v1/overlap-rules/simulation", "A/coordinator", {"rules": wrong}),
    ):
        answer = await house.post(path, who, body)
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:cbi:problem:invalid-rules"
        faults = answer.json()["faults"]
        assert {fault["path"] for fault in faults} == {"contact", "blocks[0].first"}
        assert all(fault["es"] and fault["en"] for fault in faults)
    late = {"rules": example(), "effective_from": day}
    answer = await house.post("/v1/overlap-rules", "A/adjudicator", late)
    assert answer.json()["field"] == "effective_from"
    gone = await house.post("/v1/overlap-rules/99999/approval", "A/adjudicator")
    assert gone.status_code == 404
    huge = await house.post(f"/v1/overlap-rules/{10**30}/approval", "A/adjudicator")
    assert huge.json()["type"] == "urn:cbi:problem:bad-value"


async def test_a_conflict_names_organisations_and_months_and_nobody(house: House):
    households = await joined(house)
    found = (await conflicts(house))[-1]
    assert (found["earlier"]["partner"], found["later"]["partner"]) == ("PARTNER-A", "PARTNER-B")
    assert found["state"] == "open"
    assert not any(household_id in json.dumps(found) for household_id in households)
    path = f"/v1/conflicts/{found['conflict_id']}/decision"
    body = {"decision": "end_later", "month": "2027-02-01", "reason": "earlier_promise"}
    first, second = await deciders(house)
    side = await house.post(path, "B/coordinator", body)
    assert side.json()["type"] == "urn:cbi:problem:conflict-of-others"
    done = await house.made(path, first, body)
    assert (done["state"], done["later"]["end_month"]) == ("proposed", "2027-04-01")
    own = (await house.get("/v1/conflicts/own", "B/programme", params={"limit": "200"})).json()
    mine = own["items"][-1]
    assert [each["household_id"] for each in mine["promises"]] == [households[1]]
    assert mine["state"] == "open"
    assert households[0] not in json.dumps(own)
    assert "PARTNER" not in json.dumps(mine["promises"])
    path = path.replace("decision", "confirmation")
    body = {"decision_no": done["decisions"][-1]["decision_no"]}
    again = await house.post(path, first, body)
    assert again.json()["type"] == "urn:cbi:problem:conflict-two-people"
    done = await house.made(path, second, body)
    assert (done["state"], done["later"]["end_month"]) == ("decided", "2027-02-01")
    assert [each["decision"] for each in done["decisions"]] == ["end_later"]


async def test_a_simulation_tells_an_organisation_little_and_only_of_itself(house: House):
    await joined(house)
    path = "/v1/overlap-rules/simulation"
    version = (await house.made("/v1/overlap-rules", "A/adjudicator", rules()))["version"]
    answer = await house.post(path, "A/programme", {"version": version, "months": 1})
    assert answer.status_code == 200, answer.text
    # What was promised this month is told when the month is over.
    assert answer.json()["outcomes"] == []
    assert answer.json()["total"] is None
    tries = "SELECT count(*) FROM cbi.simulation WHERE is_exact = :exact"
    before = [await house.sql(tries, exact=exact) for exact in (False, True)]
    for body in ({"rules": example()}, {"rules": example(), "version": version}, {}):
        refused = await house.post(path, "A/programme", body)
        assert refused.json()["type"] == "urn:cbi:problem:rules-not-proposed", body
    body = {"rules": example(), "months": 1}
    every = (await house.post(path, "A/coordinator", body)).json()
    assert {each["partner_id"] for each in every["outcomes"]} == {
        str(house.partners[letter]) for letter in "AB"
    }
    for body in ({}, {"rules": example(), "version": version}):
        refused = await house.post(path, "A/coordinator", body)
        assert refused.json()["type"] == "urn:cbi:problem:bad-value"
    gone = await house.post(path, "A/programme", {"version": 2**31 - 1})
    assert gone.status_code == 404
    # What was refused is not kept as a try.
    after = [await house.sql(tries, exact=exact) for exact in (False, True)]
    assert after == [before[0], before[1] + 1]
    newest = await house.sql("SELECT max(simulation_no) FROM cbi.simulation WHERE is_exact")
    shown = await house.get(f"/v1/overlap-rules/simulations?after={newest - 1}", "A/auditor")
    (tried,) = shown.json()["items"][:1]
    assert (tried["rules_version"], tried["months"]) == (None, 1)
    assert tried["partner_id"] == str(house.partners["A"])


async def test_a_refused_attempt_is_kept_once_with_and_without_an_idempotency_key(house: House):
    mine, theirs = await twice(house)
    await enrol(house, "A", mine)
    opened = await house.made("/v1/programmes", "B/programme", programme())
    path = f"/v1/programmes/{opened['programme_id']}/enrolments"
    counted = "SELECT count(*) FROM cbi.refused_attempt"
    before = await house.sql(counted)
    for month, key in (("2027-01-01", None), ("2027-02-01", "k-1"), ("2027-02-01", "k-1")):
        body = {"household_id": theirs, "first_month": month, "months": 1}
        headers = {"Idempotency-Key": key} if key else {}
        answer = await house.post(path, "B/programme", body, headers=headers)
        assert answer.json()["type"] == "urn:cbi:problem:overlap", answer.text
    assert await house.sql(counted) == before + 2
    body = {"household_id": theirs, "assistance": "mpca", "first_month": FIRST, "months": 2}
    answer = await house.post("/v1/reservations", "B/programme", body)
    assert answer.json()["type"] == "urn:cbi:problem:overlap", answer.text
    assert await house.sql(counted) == before + 3


@pytest.fixture
def own_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database for a command that keeps what it did."""
    with asyncio.Runner() as runner:
        database = own_database(postgres)
        name = runner.run(database.__aenter__())
        yield postgres.url("cbi_app").replace("/cbi?", f"/{name}?")
        runner.run(database.__aexit__(None, None, None))


def test_the_command_tries_a_document_and_tells_its_faults(own_url, tmp_path, monkeypatch):
    monkeypatch.setenv("CBI_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CBI_DATABASE_URL", own_url)
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(example()), encoding="utf-8")
    done = CliRunner().invoke(main, ["simulate", "overlap", "--rules", str(file)])
    assert done.exit_code == 0, done.output
    assert "version 0" in done.output
    shown = CliRunner().invoke(main, ["simulate", "overlap", "--rules", str(file), "--json"])
    assert json.loads(shown.stdout)["outcomes"] == []
    for content, code in ((b"{}", 3), (b"\xff", 2), (b"[" * 99_999, 2), (b" " * 1_000_001, 3)):
        file.write_bytes(content)
        done = CliRunner().invoke(main, ["simulate", "overlap", "--rules", str(file)])
        assert done.exit_code == code, (content[:9], done.output)
