"""The faulty rows of a file come back with what is wrong, and mended they are taken in."""

import csv
import io
import json
import zipfile
from hashlib import sha256
from uuid import uuid4

import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

from cbi import intake
from cbi.intake import template
from cbi.intake.words import title_of
from tests.api.house import House, registration
from tests.api.jobbing import UPLOAD, worked
from tests.cbi.submitted import submission
from tests.cbi.test_template import household

CLERK = "A/registrar"
WRONG, RIGHT = "999999", "240101"


async def staged_as(house: House, kind: str, content: bytes) -> str:
    facts = {"sha256": sha256(content).hexdigest(), "bytes": len(content), "format": kind}
    opened = await house.made("/v1/imports/uploads", CLERK, UPLOAD | facts)
    path = f"/v1/imports/uploads/{opened['import_id']}/pieces/1"
    sent = (await house.call("PUT", path, CLERK, content=content)).json()
    await worked(house, sent["job_id"])
    return f"/v1/imports/{opened['import_id']}"


async def handed_back(house: House, path: str, language: str = "es") -> bytes:
    answer = await house.get(f"{path}/corrections?language={language}", CLERK)
    assert answer.status_code == 200, answer.text
    return answer.content


def in_json() -> bytes:
    return json.dumps([registration(), registration(ubigeo=WRONG)]).encode()


def on_lines() -> bytes:
    forms = (registration(), registration(ubigeo=WRONG))
    return "".join(f"{json.dumps(form)}\n" for form in forms).encode()


def from_kobo() -> bytes:
    records = []
    for ubigeo in (RIGHT, WRONG):
        record = submission(**{"hogar/ubigeo_inei": ubigeo, "_uuid": str(uuid4())})
        record["meta/instanceID"] = f"uuid:{record['_uuid']}"
        record["hogar/codigo_hogar"] = f"K-{uuid4().hex[:8]}"
        records.append(record)
    return json.dumps({"count": 2, "results": records}).encode()


def people(ubigeo: str) -> list[dict]:
    head, child = household("es", int(uuid4()) % 10**9, ubigeo_inei=ubigeo)
    head["numero_documento"] = f"V{20_000_000 + int(uuid4()) % 9_000_000}"
    return [head, child]


def in_a_workbook() -> bytes:
    return template.write("es", [*people(RIGHT), *people(WRONG)])


def in_csv() -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";")
    writer.writerow(title_of(name, "es") for name in template.COLUMNS)
    for line in (*people(RIGHT), *people(WRONG)):
        writer.writerow(str(line.get(name, "")) for name in template.COLUMNS)
    return text.getvalue().encode()


def mend_text(content: bytes) -> bytes:
    assert WRONG.encode() in content
    return content.replace(WRONG.encode(), RIGHT.encode())


def mend_workbook(content: bytes) -> bytes:
    """Write the sheet anew as somebody does who mends it and saves it elsewhere."""
    given = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    day = book.add_format({"num_format": "dd/mm/yyyy"})
    for row, line in enumerate(given):
        for place, cell in enumerate(line):
            if hasattr(cell, "year"):
                sheet.write_datetime(row, place, cell, day)
            elif cell:
                sheet.write_string(row, place, RIGHT if cell == WRONG else str(cell))
    book.close()
    return out.getvalue()


KINDS = [
    ("json", in_json, mend_text),
    ("ndjson", on_lines, mend_text),
    ("kobo", from_kobo, mend_text),
    ("csv", in_csv, mend_text),
    ("xlsx", in_a_workbook, mend_workbook),
]


@pytest.mark.parametrize(("kind", "write", "mend"), KINDS, ids=[kind for kind, *_ in KINDS])
async def test_what_comes_back_is_the_faulty_household_and_mended_it_is_taken(
    house: House, kind, write, mend
):
    content = write()
    path = await staged_as(house, kind, content)
    given = await handed_back(house, path)
    (row,) = intake.rows(given, format=kind, ubigeo_system="inei")
    *_, faulty = intake.rows(content, format=kind, ubigeo_system="inei")
    assert (row.reference, row.raw) == (faulty.reference, faulty.raw)
    again = await staged_as(house, kind, mend(given))
    standing = (await house.get(again, CLERK)).json()
    assert (standing["households"], standing["faulty"]) == (1, 0)
    job = await house.made(f"{again}/acceptance", CLERK, {"take": "all"})
    await worked(house, job["job_id"])
    assert (await house.get(again, CLERK)).json()["registered"] == 1


async def test_faults_and_remedies_stand_with_each_row_in_the_language_asked_for(house: House):
    path = await staged_as(house, "json", in_json())
    for language, place in (("es", "fila 2"), ("en", "row 2")):
        (item,) = json.loads(await handed_back(house, path, language))
        (fault,) = item["faults"]
        assert (fault["column"], fault["code"]) == ("ubigeo", "ubigeo_department")
        assert fault["says"].startswith(place)
    csv_path = await staged_as(house, "csv", in_csv())
    for language, title in (("es", "faltas"), ("en", "faults")):
        lines = (await handed_back(house, csv_path, language)).decode().splitlines()
        assert lines[0].endswith(title)
        assert len(lines) == 3
    kobo = from_kobo()
    told = json.loads(await handed_back(house, await staged_as(house, "kobo", kobo)))
    instance = json.loads(kobo)["results"][1]["_uuid"]
    assert list(told["faults"]) == [instance]
    assert told["count"] == len(told["results"]) == 1


async def test_a_workbook_comes_back_with_its_drop_downs(house: House):
    given = await handed_back(house, await staged_as(house, "xlsx", in_a_workbook()))
    assert CalamineWorkbook.from_filelike(io.BytesIO(given)).sheet_names[-1] == "Listas"

    def rules(content: bytes) -> int:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read("xl/worksheets/sheet1.xml").decode().count("<dataValidation ")

    assert rules(given) == rules(template.write("es")) > 0


async def test_a_row_that_was_refused_when_it_was_taken_comes_back_with_why(house: House):
    form = registration()
    await house.made("/v1/households", CLERK, form)
    swapped = {**form, "persons": registration()["persons"]}
    path = await staged_as(house, "json", json.dumps([swapped, registration()]).encode())
    job = await house.made(f"{path}/acceptance", CLERK, {"take": "all"})
    await worked(house, job["job_id"])
    (item,) = json.loads(await handed_back(house, path))
    assert [each["code"] for each in item["faults"]] == ["reference_taken"]
    assert item["reference"] == form["reference"]


async def test_a_broken_line_comes_back_as_it_was_written(house: House):
    content = b'{"oops\n' + json.dumps(registration()).encode()
    given = await handed_back(house, await staged_as(house, "ndjson", content))
    item = json.loads(given)
    assert item["not_read"] == '{"oops'
    assert [each["code"] for each in item["faults"]] == ["row_syntax"]


async def test_only_who_staged_a_file_reads_its_corrections_and_it_is_logged(house: House):
    path = await staged_as(house, "json", in_json())
    import_id = path.rsplit("/", 1)[1]
    await house.issue("A", "colleague", "registrar")
    for who in ("A/colleague", "B/registrar"):
        assert (await house.get(f"{path}/corrections", who)).status_code == 404
    logged = (
        "SELECT count(*) FROM cbi.access_log"
        " WHERE household_id = :id AND purpose = 'import corrections'"
    )
    assert await house.sql(logged, id=import_id) == 0
    await handed_back(house, path)
    assert await house.sql(logged, id=import_id) == 1


async def test_what_is_not_staged_yet_or_erased_is_not_handed_back(house: House):
    content = in_json()
    facts = {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
    opened = await house.made("/v1/imports/uploads", CLERK, UPLOAD | facts)
    early = await house.get(f"/v1/imports/{opened['import_id']}/corrections", CLERK)
    assert early.json()["type"] == "urn:cbi:problem:import-not-ready"
    path = await staged_as(house, "json", in_json())
    await house.made(f"{path}/refusal", CLERK)
    erased = await house.get(f"{path}/corrections", CLERK)
    assert erased.json()["type"] == "urn:cbi:problem:import-erased"
