"""A district that vanishes from the table breaks no household that is registered in it."""

from cbi import place
from tests.api.happening import today
from tests.api.house import House, registration
from tests.api.test_check import a_list

DISTRICT = "240105"


async def test_a_registered_household_outlives_its_district(house: House, monkeypatch):
    raw = registration(ubigeo=DISTRICT)
    made = await house.made("/v1/households", "A/registrar", raw)
    path = f"/v1/households/{made['household_id']}"
    monkeypatch.delitem(place.DISTRICTS, DISTRICT)
    kept = await house.get(f"{path}?purpose=complaint", "A/registrar")
    assert (kept.status_code, kept.json()["ubigeo"]) == (200, DISTRICT)
    assert (await house.get(f"{path}/receipt", "A/registrar")).json()["status"] == "clear"
    listed = {"list": await a_list(house, "B/registrar"), "purpose": "before_registration"}
    asked = listed | {"households": [{"persons": raw["persons"]}]}
    found = await house.post("/v1/check", "B/registrar", asked)
    assert found.json()["review"] == 1
    told = {"reason": "changed", "on": today(), "form": raw}
    same = await house.post(f"{path}/corrections", "A/registrar", told)
    assert [fault["code"] for fault in same.json()["faults"]] == ["ubigeo_unknown"]
    moved = told | {"form": raw | {"ubigeo": "240101"}}
    mended = await house.post(f"{path}/corrections", "A/registrar", moved)
    assert mended.status_code == 201, mended.text
    before = await house.get(f"{path}/versions/1?purpose=complaint", "A/registrar")
    assert (before.status_code, before.json()["ubigeo"]) == (200, DISTRICT)
