"""Profiles over HTTP: every fault at once, a preview of nobody, and the file that follows."""

import pytest
from lxml import etree

from tests.api.house import House, open_round, programme, release
from tests.cbi.profiled import a_profile

ROLE = "A/finance"


async def test_a_profile_is_refused_with_every_fault_in_two_languages(house: House):
    raw = a_profile("example-wallet-csv", claim_days=0, columns=[{"source": "name"}])
    for path in ("/v1/fsp-profiles", "/v1/fsp-profiles/preview"):
        answer = await house.post(path, ROLE, raw)
        assert answer.status_code == 422
        body = answer.json()
        assert body["type"] == "urn:cbi:problem:invalid-profile"
        assert {fault["path"] for fault in body["faults"]} == {
            "claim_days",
            "columns",
            "columns[0].header",
        }
        assert all(fault["es"] and fault["en"] for fault in body["faults"])


async def test_a_profile_gets_the_next_version_and_the_same_again_none(house: House):
    raw = a_profile("example-wallet-csv", code="versions")
    first = await house.made("/v1/fsp-profiles", ROLE, raw)
    assert await house.made("/v1/fsp-profiles", ROLE, raw) == first
    second = await house.made("/v1/fsp-profiles", ROLE, raw | {"claim_days": 5})
    assert [each["profile"]["version"] for each in (first, second)] == [1, 2]
    listed = (await house.get("/v1/fsp-profiles", ROLE, params={"limit": "200"})).json()["items"]
    refs = [each["ref"] for each in listed]
    assert {"versions@00001", "versions@00002", "pain.001.001.09@00000"} <= set(refs)
    assert {each["ref"] for each in listed if each["is_example"]} == {
        "example-agent-xlsx@00000",
        "example-bank-fixed@00000",
        "example-wallet-csv@00000",
    }
    theirs = (await house.get("/v1/fsp-profiles", "B/finance")).json()["items"]
    assert "versions@00001" not in {each["ref"] for each in theirs}


@pytest.mark.parametrize(
    ("code", "is_book"),
    [
        ("example-bank-fixed", False),
        ("example-wallet-csv", False),
        ("example-agent-xlsx", True),
        ("pain.001.001.03", False),
        ("pain.001.001.09", False),
    ],
)
async def test_a_preview_shows_what_would_be_written(house: House, code, is_book):
    answer = await house.post("/v1/fsp-profiles/preview", ROLE, a_profile(code, code=code))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["rows"] is not None, body["text"] is None) == (is_book, is_book)
    shown = str(body["rows"] or body["text"])
    assert f"{'0' * 31}101" in shown


async def test_a_round_is_handed_out_as_its_programme_chose(house: House):
    opened = await open_round(house, households=2)
    choice = {"code": "pain.001.001.03", "version": 0}
    path = f"/v1/programmes/{opened.programme_id}/profile"
    answer = await house.made(path, ROLE, choice)
    assert answer["code"] == "pain.001.001.03"
    await release(house, opened)
    shown = (await house.get(opened.path, ROLE)).json()["profile"]
    assert (shown["ref"], len(shown["sha256"])) == ("pain.001.001.03@00000", 64)
    file = await house.get(f"{opened.path}/payment-file", ROLE)
    assert etree.fromstring(file.content).tag.startswith(
        "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.03}"
    )
    assert file.headers["content-type"].startswith("application/xml")
    assert file.headers["x-file-parts"] == "1"


async def test_an_example_and_a_foreign_programme_are_refused(house: House):
    opened = await house.made("/v1/programmes", "A/programme", programme())
    path = f"/v1/programmes/{opened['programme_id']}/profile"
    for choice in ({"code": "example-wallet-csv", "version": 0}, {"code": "no", "version": 3}):
        answer = await house.post(path, ROLE, choice)
        assert answer.json()["type"] == "urn:cbi:problem:bad-value"
    answer = await house.post(path, "B/finance", {"code": "pain.001.001.03", "version": 0})
    assert answer.status_code == 404
