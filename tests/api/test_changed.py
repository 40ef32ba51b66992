"""What is registered already and comes again otherwise: the next version, through every door."""

import json
from copy import deepcopy

import pytest

from api import clock
from tests.api.happening import a_household
from tests.api.house import House, registration
from tests.api.jobbing import staged, worked

CLERK = "A/registrar"
IMPORT = "/v1/imports?format={}&ubigeo_system=inei"


async def by_itself(house: House, form: dict) -> dict:
    answer = await house.post("/v1/households", CLERK, form)
    told = answer.json()
    if answer.status_code >= 400:
        return {"refused": told["type"].removeprefix("urn:cbi:problem:").replace("-", "_")}
    assert (answer.status_code == 201) == (not told["is_known"] and not told["is_changed"])
    return {**told, "codes": [each["code"] for each in told["warnings"]]}


async def in_a_file(house: House, form: dict) -> dict:
    content = (json.dumps(form) + "\n").encode()
    told = await house.made(IMPORT.format("ndjson"), CLERK, content=content)
    (row,) = told["rows"]
    assert told["known"] + told["changed"] + told["registered"] + told["faulty"] == 1
    return {**row, "codes": [each["code"] for each in row["faults"]]} | refused_of(row)


async def as_a_job(house: House, form: dict) -> dict:
    # Another file each time, for the same one is the import that it already is.
    path = await staged(house, form, registration())
    answer = await house.made(f"{path}/acceptance", CLERK, {"take": "valid"})
    await worked(house, answer["job_id"])
    row = (await house.get(f"{path}/rows", CLERK)).json()["items"][0]
    return {**row, "codes": [each["code"] for each in row["faults"]]} | refused_of(row)


def refused_of(row: dict) -> dict:
    if row["status"] != "faulty":
        return {}
    (fault,) = row["faults"]
    assert fault["remedy_es"].endswith(".")
    assert fault["remedy_en"].endswith(".")
    return {"refused": fault["code"]}


DOORS = [by_itself, in_a_file, as_a_job]
doors = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)


async def history(house: House, household_id: str) -> list[str]:
    found = await house.get(f"/v1/households/{household_id}/events", CLERK)
    return [event["kind"] for event in found.json()["items"]]


@doors
async def test_other_content_is_the_next_version_and_the_same_changes_nothing(house: House, door):
    form = registration()
    first = await house.made("/v1/households", CLERK, form)
    assert (first["version"], first["is_known"], first["is_changed"]) == (1, False, False)
    changed = {**form, "ubigeo": "240102"}
    told = await door(house, changed)
    assert (told["household_id"], told["is_changed"]) == (first["household_id"], True)
    told = await door(house, changed)
    assert (told["household_id"], told["is_known"]) == (first["household_id"], True)
    assert await history(house, first["household_id"]) == ["registered", "updated"]
    kept = "SELECT ubigeo FROM cbi.household_version WHERE household_id = :id"
    assert await house.sql(kept, id=first["household_id"]) == "240101"


@doors
async def test_what_a_household_was_before_is_late_and_changes_nothing(house: House, door):
    form = registration()
    first = await house.made("/v1/households", CLERK, form)
    await house.made("/v1/households", CLERK, {**form, "ubigeo": "240102"})
    told = await door(house, form)
    assert (told["is_known"], told["is_changed"]) == (True, False)
    assert told["codes"] == ["earlier_version"]
    assert await history(house, first["household_id"]) == ["registered", "updated"]


@doors
async def test_another_family_under_a_code_is_refused(house: House, door):
    form = registration()
    first = await house.made("/v1/households", CLERK, form)
    swapped = {**form, "persons": registration()["persons"]}
    assert (await door(house, swapped))["refused"] == "reference_taken"
    assert await history(house, first["household_id"]) == ["registered"]


@doors
async def test_who_died_stays_dead_and_who_withdrew_stays_out(house: House, door):
    path, form, receipt = await a_household(house)
    death = {"on": clock.today().isoformat(), "person_ids": receipt["person_ids"][1:2]}
    await house.made(f"{path}/deaths", CLERK, death)
    changed = {**deepcopy(form), "ubigeo": "240102"}
    assert (await door(house, changed))["refused"] == "person_deceased"
    withdrawal = {"kind": "registration", "on": clock.today().isoformat()}
    await house.made(f"{path}/withdrawals", CLERK, withdrawal)
    assert (await door(house, changed))["refused"] == "household_ended"


@doors
async def test_a_changed_household_is_checked_against_everybody_again(house: House, door):
    theirs = registration()
    await house.made("/v1/households", "B/registrar", theirs)
    form = registration()
    await house.made("/v1/households", CLERK, form)
    joined = {**form, "persons": [*form["persons"], *deepcopy(theirs["persons"])]}
    joined["persons"][1] |= {"relationship": "partner", "roles": []}
    told = await door(house, joined)
    assert (told["is_changed"], told["status"]) == (True, "review")


async def test_many_rows_are_amended_together_and_one_that_can_not_be_stops_no_other(house: House):
    forms = [registration() for _ in range(6)]
    for form in forms:
        await house.made("/v1/households", CLERK, form)
    changed = [{**form, "population_type": "in_transit"} for form in forms]
    changed[2]["persons"] = registration()["persons"]
    path = await staged(house, *changed, registration())
    answer = await house.made(f"{path}/acceptance", CLERK, {"take": "valid"})
    await worked(house, answer["job_id"])
    standing = (await house.get(path, CLERK)).json()
    counts = tuple(standing[name] for name in ("registered", "known", "changed", "faulty"))
    assert counts == (1, 0, 5, 1)
