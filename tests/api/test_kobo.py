"""Submissions that KoboToolbox sends by itself: registered once, and never lost in silence."""

from uuid import uuid4

import pytest

from tests.api.house import House
from tests.cbi.submitted import submission

PATH = "/v1/imports/kobo?ubigeo_system=inei"


async def test_a_submission_is_registered_and_the_same_again_changes_nothing(house: House):
    record = submission()
    receipt = await house.made(PATH, "A/registrar", record)
    assert receipt["status"] in {"clear", "review"}
    assert len(receipt["person_ids"]) == 2
    again = await house.made(PATH, "A/registrar", record | {"_id": 99, "_submitted_by": "x"})
    assert again["household_id"] == receipt["household_id"]


def edited(record: dict, uuid: str, **changes: object) -> dict:
    """The submission as KoboToolbox sends it after somebody edited it there."""
    before = record["_uuid"]
    return (
        record
        | {"_uuid": uuid, "meta/instanceID": f"uuid:{uuid}", "meta/deprecatedID": f"uuid:{before}"}
        | changes
    )


async def versions(house: House, household_id: str) -> list[tuple[int, str]]:
    found = await house.get(f"/v1/households/{household_id}/events", "A/registrar")
    return [(event["version"], event["kind"]) for event in found.json()["items"]]


async def test_an_edited_submission_is_the_households_next_version(house: House):
    record = submission()
    first = await house.made(PATH, "A/registrar", record)
    changed = edited(record, str(uuid4()), **{"hogar/tipo_poblacion": "in_transit"})
    answer = await house.post(PATH, "A/registrar", changed)
    second = answer.json()
    assert (answer.status_code, second["version"], second["is_changed"]) == (200, 2, True)
    assert second["household_id"] == first["household_id"]
    assert await versions(house, first["household_id"]) == [(1, "registered"), (2, "updated")]
    # The same again, and the one that it replaced, change nothing.
    for again in (changed, record, record | {"hogar/tipo_poblacion": "pendular"}):
        answer = await house.post(PATH, "A/registrar", again)
        told = answer.json()
        assert (answer.status_code, told["version"], told["is_known"]) == (200, 2, True)
    assert [each["code"] for each in told["warnings"]] == ["earlier_version"]
    # Whoever edits it back means it.
    back = edited(changed, str(uuid4()), **{"hogar/tipo_poblacion": "in_destination"})
    assert (await house.made(PATH, "A/registrar", back))["version"] == 3


@pytest.mark.parametrize("tells_root", [True, False])
async def test_a_form_without_a_code_is_known_by_the_submission_it_replaces(
    house: House, tells_root: bool
):
    record = submission(_uuid=str(uuid4()))
    record["meta/instanceID"] = f"uuid:{record['_uuid']}"
    del record["hogar/codigo_hogar"]
    root = {"meta/rootUuid": record["meta/instanceID"]} if tells_root else {}
    first = await house.made(PATH, "A/registrar", record | root)
    newest, kinds = record, ("in_transit", "pendular", "host_community")
    for version, kind in enumerate(kinds, start=2):
        newest = edited(newest, str(uuid4()), **{"hogar/tipo_poblacion": kind}) | root
        told = await house.made(PATH, "A/registrar", newest)
        assert (told["household_id"], told["version"]) == (first["household_id"], version)


async def test_a_submission_that_was_mended_before_it_arrived_is_registered_once(house: House):
    record = submission()
    mended = edited(record, str(uuid4()))
    first = await house.made(PATH, "A/registrar", mended)
    late = await house.made(PATH, "A/registrar", record | {"hogar/tipo_poblacion": "pendular"})
    assert (late["household_id"], late["is_known"]) == (first["household_id"], True)


async def test_an_edited_submission_changes_no_code(house: House):
    record = submission()
    await house.made(PATH, "A/registrar", record)
    other = edited(record, str(uuid4()), **{"hogar/codigo_hogar": f"X-{uuid4().hex[:8]}"})
    refused = await house.post(PATH, "A/registrar", other)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:cbi:problem:bad-value")


async def test_a_faulty_submission_is_told_every_fault_and_nothing_of_it_is_stored(house: House):
    record = submission(**{"hogar/ubigeo_inei": "40101", "pago/medio_pago": "oro"})
    refused = await house.post(PATH, "A/registrar", record)
    assert refused.status_code == 422
    faults = {fault["path"]: fault for fault in refused.json()["faults"]}
    assert set(faults) == {"ubigeo", "instrument.kind"}
    assert faults["ubigeo"]["remedy_es"].startswith("Agregue el cero inicial")
    assert "40101" not in refused.text
    mended = record | {"hogar/ubigeo_inei": "240101", "pago/medio_pago": "voucher"}
    receipt = await house.made(PATH, "A/registrar", mended)
    assert len(receipt["person_ids"]) == 2


async def test_what_is_no_single_submission_is_refused(house: House):
    for body in ([submission()], {"results": [submission()]}, "x", 3):
        refused = await house.post(PATH, "A/registrar", body)
        assert refused.status_code == 422
        assert refused.json()["reason"] == "one_submission"
    for query, status in (("", 400), ("?ubigeo_system=x", 422)):
        refused = await house.post(f"/v1/imports/kobo{query}", "A/registrar", submission())
        assert refused.status_code == status
