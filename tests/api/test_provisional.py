"""What was taken before its file came is provisional from the upload until it is checked."""

import json
from hashlib import sha256
from uuid import uuid4

import msgspec
import pytest

from api import clock
from api.check import quota_of
from cbi import intake
from cbi.check import persons_left
from tests.api.house import House, registration
from tests.api.jobbing import UPLOAD, actor_of, staged, worked
from tests.cbi.submitted import submission

CLERK = "A/registrar"


async def row_of(house: House, path: str) -> dict:
    return (await house.get(f"{path}/rows", CLERK)).json()["items"][0]


async def history(house: House, household_id: str) -> list[dict]:
    found = await house.get(f"/v1/households/{household_id}/events", CLERK)
    return found.json()["items"]


async def test_a_row_is_provisional_from_the_upload_until_it_is_registered_and_checked(
    house: House,
):
    path = await staged(house, registration(), accept_valid=True)
    standing = (await house.get(path, CLERK)).json()
    assert (standing["provisional"], standing["waiting"]) == (1, 1)
    row = await row_of(house, path)
    assert (row["is_provisional"], row["taken_on"]) == (True, "2026-02-03")
    assert (row["provisional_from"], row["provisional_until"]) == (standing["opened_at"], None)
    await worked(house, standing["job_id"])
    assert (await house.get(path, CLERK)).json()["provisional"] == 0
    row = await row_of(house, path)
    assert (row["is_provisional"], row["provisional_from"]) == (False, standing["opened_at"])
    (first,) = await history(house, row["household_id"])
    assert (first["kind"], first["taken_on"]) == ("registered", "2026-02-03")
    assert first["provisional_from"] == standing["opened_at"]
    assert first["provisional_until"] == first["at"] == row["provisional_until"]


async def test_a_row_that_was_compared_while_staged_is_provisional_no_more(house: House):
    path = await staged(house, registration())
    row = await row_of(house, path)
    assert (row["is_provisional"], row["household_id"]) == (False, None)
    assert row["provisional_from"] < row["provisional_until"]
    job = await house.made(f"{path}/acceptance", CLERK, {"take": "all"})
    await worked(house, job["job_id"])
    taken = await row_of(house, path)
    (first,) = await history(house, taken["household_id"])
    assert first["provisional_until"] == row["provisional_until"] < first["at"]


async def test_a_row_beyond_the_quota_stays_provisional_until_it_is_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    quota = quota_of(house.service.settings, clock.today())
    clerk = await actor_of(house, CLERK)
    async with house.service.begin(clerk, request_id="request-1") as conn:
        left = await persons_left(conn, quota=quota, partner_id=clerk.partner_id)
    spent = quota.persons_per_day - left
    monkeypatch.setattr(
        "api.importing.quota_of",
        lambda *_: msgspec.structs.replace(quota, persons_per_day=spent),
    )
    path = await staged(house, registration())
    row = await row_of(house, path)
    assert (row["why"], row["is_provisional"]) == ("not_compared", True)
    assert [each["code"] for each in row["faults"]] == ["not_compared"]
    job = await house.made(f"{path}/acceptance", CLERK, {"take": "all"})
    await worked(house, job["job_id"])
    assert (await row_of(house, path))["is_provisional"] is False


async def test_what_was_taken_on_the_day_it_came_and_what_is_faulty_are_not_provisional(
    house: House,
):
    today = clock.today().isoformat()
    path = await staged(house, registration(registered_on=today), accept_valid=True)
    row = await row_of(house, path)
    assert (row["taken_on"], row["provisional_from"]) == (today, None)
    path = await staged(house, registration(ubigeo="999999"), accept_valid=True)
    row = await row_of(house, path)
    assert (row["taken_on"], row["is_provisional"]) == (None, False)


async def test_a_submission_from_a_device_was_taken_before_it_came_on_whatever_day(house: House):
    today = clock.today().isoformat()
    record = submission(start=f"{today}T08:00:00.000-05:00", end=f"{today}T08:20:00.000-05:00")
    record |= {"hogar/codigo_hogar": f"K-{uuid4().hex[:8]}", "_uuid": str(uuid4())}
    content = json.dumps([record]).encode()
    facts = {"sha256": sha256(content).hexdigest(), "bytes": len(content), "format": "kobo"}
    opened = await house.made("/v1/imports/uploads", CLERK, UPLOAD | facts | {"accept_valid": True})
    piece = f"/v1/imports/uploads/{opened['import_id']}/pieces/1"
    sent = (await house.call("PUT", piece, CLERK, content=content)).json()
    await worked(house, sent["job_id"])
    row = await row_of(house, f"/v1/imports/{opened['import_id']}")
    assert (row["taken_on"], row["is_provisional"]) == (today, True)


async def test_a_changed_household_tells_it_with_the_event(house: House):
    form = registration()
    made = await house.made("/v1/households", CLERK, form)
    path = await staged(house, {**form, "ubigeo": "240102"})
    job = await house.made(f"{path}/acceptance", CLERK, {"take": "all"})
    await worked(house, job["job_id"])
    first, changed = await history(house, made["household_id"])
    assert first["provisional_from"] is None
    assert (changed["kind"], changed["taken_on"]) == ("updated", form["registered_on"])
    assert changed["provisional_from"] is not None


@pytest.mark.parametrize(
    ("end", "day"), [("2026-02-03T10:20:00.000-05:00", "2026-02-03"), ("x", None), (7, None)]
)
def test_the_day_on_which_a_device_closed_the_form_is_read_or_left_out(end, day):
    record = submission(end=end)
    del record["start"], record["_submission_time"]
    (row,) = intake.rows(json.dumps([record]).encode(), format="kobo", ubigeo_system="inei")
    assert (None if row.taken_on is None else row.taken_on.isoformat()) == day
