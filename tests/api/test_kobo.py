"""Submissions that KoboToolbox sends by itself: registered once, and never lost in silence."""

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


async def test_other_content_under_one_code_is_refused(house: House):
    record = submission()
    await house.made(PATH, "A/registrar", record)
    changed = record | {"hogar/tipo_poblacion": "in_transit"}
    refused = await house.post(PATH, "A/registrar", changed)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:cbi:problem:reference-taken")


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
