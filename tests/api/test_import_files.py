"""Workbooks and lines of JSON over HTTP: each household is registered or told what is wrong."""

import json

import pytest

from cbi.intake import template
from tests.api.house import House, registration
from tests.cbi.test_template import household
from tests.cbi.test_xlsx import book

PATH = "/v1/imports?format={}&ubigeo_system={}"


async def test_a_filled_template_is_registered_and_again_changes_nothing(house: House):
    bad = household("es", 9102, sexo="nadie")
    content = template.write("es", [*household("es", 9101, numero_documento="V09101910"), *bad])
    path = PATH.format("xlsx", "inei")
    answer = await house.post(path, "A/registrar", content=content)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["households"], told["faulty"]) == (2, 1)
    good, refused = told["rows"]
    assert [fault["code"] for fault in good["faults"]] == ["example_row"]
    (fault,) = refused["faults"]
    assert (fault["row"], fault["column"], fault["value"]) == (6, "sexo", "n***")
    assert fault["remedy_es"] == "Use una de las palabras o códigos de la lista."
    assert "nadie" not in answer.text
    again = (await house.post(path, "A/registrar", content=content)).json()
    assert again["rows"][0]["household_id"] == good["household_id"]


async def test_a_broken_line_stops_no_other(house: House):
    lines = [json.dumps(registration()), "{oops", json.dumps(registration())]
    answer = await house.post(
        PATH.format("ndjson", "inei"), "A/registrar", content="\n".join(lines).encode()
    )
    statuses = [row["status"] for row in answer.json()["rows"]]
    assert (len(statuses), statuses[1], statuses.count("faulty")) == (3, "faulty", 1)
    assert answer.json()["rows"][1]["faults"][0]["code"] == "row_syntax"


async def test_a_code_of_reniec_is_kept_as_ineis(house: House):
    raw = registration(ubigeo="230101")
    answer = await house.post(
        PATH.format("json", "reniec"), "A/registrar", content=json.dumps([raw]).encode()
    )
    (row,) = answer.json()["rows"]
    kept = await house.get(
        f"/v1/households/{row['household_id']}?purpose=registration", "A/registrar"
    )
    assert kept.json()["ubigeo"] == "240101"


@pytest.mark.parametrize("content", [b"PK\x03\x04x", book([["x"]]), b"\xd0\xcf\x11\xe0"])
async def test_a_workbook_that_can_not_be_read_is_told_in_both_languages(house: House, content):
    answer = await house.post(PATH.format("xlsx", "inei"), "A/registrar", content=content)
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:cbi:problem:file-unreadable"
    assert answer.json()["es"] != answer.json()["en"] != ""
