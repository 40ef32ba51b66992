"""What happens to households, over HTTP: who sees it, who may do it, what it tells."""

from uuid import UUID

from tests.api.happening import a_correction, a_departure, a_household, an_erasure, today
from tests.api.house import House, registration


async def test_the_history_tells_who_did_what_and_when(house: House):
    path, who, body = await a_correction(house)
    await house.made(path, who, body)
    home = path.removesuffix("/corrections")
    listed = (await house.get(f"{home}/events", "A/registrar")).json()
    told = [(row["version"], row["kind"], row["reason"], row["by"]) for row in listed["items"]]
    assert told == [(1, "registered", None, "registrar"), (2, "updated", "changed", "registrar")]
    assert listed["next"] is None
    first = (await house.get(f"{home}/events?limit=1", "A/programme")).json()
    assert [row["version"] for row in first["items"]] == [1]
    rest = (await house.get(f"{home}/events?after={first['next']}", "A/programme")).json()
    assert [row["version"] for row in rest["items"]] == [2]


async def test_a_note_is_opened_for_a_purpose_and_that_is_logged(house: House):
    path, who, body = await a_departure(house)
    await house.made(path, who, {**body, "note": "vive con su tía"})
    home = path.removesuffix("/departures")
    plain = (await house.get(f"{home}/events", "A/registrar")).json()["items"][-1]
    assert (plain["has_note"], plain["note"]) == (True, None)
    opened = await house.get(f"{home}/events?purpose=complaint", "A/registrar")
    assert opened.json()["items"][-1]["note"] == "vive con su tía"
    logged = (
        "SELECT count(*) FROM cbi.access_log WHERE household_id = :id AND purpose = 'complaint'"
    )
    assert await house.sql(logged, id=UUID(home.rsplit("/", 1)[1])) == 1


async def test_another_organisation_sees_and_changes_nothing(house: House):
    for make in (a_correction, a_departure):
        path, _, body = await make(house)
        assert (await house.post(path, "B/registrar", body)).status_code == 404
        history = f"{path.rsplit('/', 1)[0]}/events"
        assert (await house.get(history, "B/registrar")).status_code == 404


async def test_a_key_of_another_area_changes_nothing(house: House):
    await house.issue("A", "in-lima", "registrar", area="15")
    path, _, body = await a_correction(house)
    assert (await house.post(path, "A/in-lima", body)).status_code == 403
    path, _, body = await a_departure(house)
    assert (await house.post(path, "A/in-lima", body)).status_code == 404


async def test_who_lost_a_household_reads_it_no_more(house: House):
    path, who, _ = await an_erasure(house)
    home = path.removesuffix("/erasure")
    read = await house.get(f"{home}?purpose=complaint", "A/registrar")
    assert read.status_code == 200
    assert (await house.post(path, "A/registrar")).status_code == 403
    await house.made(path, who)
    read = await house.get(f"{home}?purpose=complaint", "A/registrar")
    assert read.json()["type"] == "urn:cbi:problem:identity-erased"
    kinds = [
        row["kind"] for row in (await house.get(f"{home}/events", "A/registrar")).json()["items"]
    ]
    assert kinds == ["registered", "withdrawn", "erased"]


async def test_faults_of_a_person_who_joins_are_told_as_those_of_a_registration(house: House):
    path, *_ = await a_household(house)
    body = {"reason": "arrived", "on": today(), "persons": [{"given_names": ""}]}
    answer = await house.post(f"{path}/persons", "A/registrar", body)
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:cbi:problem:invalid-registration"
    assert {fault["path"] for fault in answer.json()["faults"]} >= {"persons[0].given_names"}


async def test_a_day_to_come_is_refused(house: House):
    path, *_ = await a_household(house)
    for what, body in (
        ("withdrawals", {"kind": "fsp"}),
        ("persons", {"reason": "born", "persons": registration()["persons"]}),
    ):
        answer = await house.post(f"{path}/{what}", "A/registrar", {**body, "on": "2099-01-01"})
        assert answer.json()["type"] == "urn:cbi:problem:bad-value", answer.text


async def test_a_version_is_read_as_it_stood(house: House):
    path, form, receipt = await a_household(house)
    leaver = receipt["person_ids"][1:2]
    body = {"reason": "moved_out", "on": today(), "person_ids": leaver}
    await house.made(f"{path}/departures", "A/registrar", body)
    mended = {**form, "ubigeo": "240102", "persons": [form["persons"][0], form["persons"][2]]}
    mended["persons"][0] = {**form["persons"][0], "preferred_name": "Yaya"}
    correction = {"reason": "data_error", "form": mended}
    await house.made(f"{path}/corrections", "A/registrar", correction)

    async def seen(version: int) -> tuple[str, int, str]:
        asked = f"{path}/versions/{version}?purpose=complaint"
        told = (await house.get(asked, "A/registrar")).json()
        return told["ubigeo"], len(told["persons"]), told["persons"][0]["preferred_name"]

    assert [await seen(version) for version in (1, 2, 3)] == [
        ("240101", 3, ""),
        ("240101", 2, ""),
        ("240102", 2, "Yaya"),
    ]
    for who, version in (("A/registrar", 4), ("B/registrar", 1)):
        answer = await house.get(f"{path}/versions/{version}?purpose=complaint", who)
        assert answer.status_code == 404
    await house.issue("A", "elsewhere", "registrar", area="15")
    answer = await house.get(f"{path}/versions/1?purpose=complaint", "A/elsewhere")
    assert answer.status_code == 404


async def test_whoever_judges_sees_that_the_papers_are_those_of_the_dead(house: House):
    path, form, receipt = await a_household(house)
    body = {"on": today(), "person_ids": receipt["person_ids"][1:2]}
    await house.made(f"{path}/deaths", "A/registrar", body)
    papers = {**form["persons"][1], "relationship": "head"}
    theirs = await house.made("/v1/households", "B/registrar", registration(persons=[papers]))
    (flag,) = theirs["flags"]
    assert (flag["deceased"], flag["left"]) == (1, 0)
    for who in ("A/adjudicator", "B/registrar"):
        case = (await house.get(f"/v1/cases/{flag['case_id']}", who)).json()
        assert (case["deceased"], case["left"]) == (1, 0)
