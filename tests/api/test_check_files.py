"""A whole file is checked as a job, handed out to its own organisation, and gone after a week."""

from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text

from api import check_files, check_jobs, clock
from api.worker import work_once
from cbi import check
from tests.api.house import House, registration
from tests.api.jobbing import worked
from tests.api.test_check import a_list

HEADER = "codigo_hogar;nombres;apellidos;fecha_nacimiento;tipo_documento;numero_documento"


def line(reference: str, raw: dict) -> str:
    (person,) = raw["persons"]
    names = f"{person['given_names']};{person['surnames']};{person['birth_date']}"
    return f"{reference};{names};pasaporte;{person['documents'][0]['number']}\n"


async def sent(house: House, content: bytes, who: str = "B/registrar", **more: str) -> dict:
    """Send a file and have it worked on to the end; the job as it is then."""
    listed = await a_list(house, who)
    asked = {"format": "csv", "purpose": "before_registration", "list": listed, **more}
    answer = await house.post("/v1/check/files", who, params=asked, content=content)
    assert answer.status_code == 201, answer.text
    done = await worked(house, answer.json()["job_id"], who)
    return {"file_id": str(done.subject_id), "state": done.state, "result": done.result}


async def handed_out(house: House, file_id: str, who: str = "B/registrar"):
    return await house.get(f"/v1/check/files/{file_id}", who)


async def test_a_file_comes_back_with_what_is_known_of_each_row(house: House, monkeypatch):
    monkeypatch.setattr(check, "HOUSEHOLDS_MAX", 2)
    known = registration()
    await house.made("/v1/households", "A/registrar", known)
    strangers = [registration() for _ in range(3)]
    lines = [line("R-0", known), *(line(f"R-{n}", raw) for n, raw in enumerate(strangers, 1))]
    content = f"{HEADER}\n{''.join(lines)}R-9;123;X;;;\n".encode()
    done = await sent(house, content)
    assert done["state"] == "done"
    assert done["result"] == {
        "households": 5, "persons": 4, "clear": 3, "review": 1, "blocked": 0, "unsearchable": 1,
    }  # fmt: skip
    answer = await handed_out(house, done["file_id"])
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["cache-control"] == "no-store"
    rows = answer.content.decode().splitlines()
    assert rows[0] == f"{HEADER};resultado;hasta_o_motivo;contacto"
    assert rows[1].startswith(f"{lines[0].rstrip()};revisar;")
    assert rows[1].endswith(";PARTNER-A: desk@a.example")
    assert rows[2] == f"{lines[1].rstrip()};libre;;"
    assert ";no se pudo buscar;" in rows[5]


async def test_who_stands_twice_is_found_across_the_parts_of_a_file(house: House, monkeypatch):
    monkeypatch.setattr(check, "HOUSEHOLDS_MAX", 1)
    raw = registration()
    content = f"{HEADER}\n{line('R-1', raw)}{line('R-2', raw)}".encode()
    done = await sent(house, content)
    shown = (await handed_out(house, done["file_id"])).content.decode()
    assert "(fila 3 R-2)" in shown
    assert "(fila 2 R-1)" in shown


async def test_nobody_else_is_handed_a_file_and_none_before_its_job_is_done(house: House):
    done = await sent(house, f"{HEADER}\n{line('R-1', registration())}".encode())
    assert (await handed_out(house, done["file_id"], "A/registrar")).status_code == 404
    assert (await handed_out(house, str(uuid4()))).status_code == 404
    asked = {"format": "csv", "purpose": "before_registration"}
    listed = {"list": await a_list(house, "B/registrar")}
    made = await house.post("/v1/check/files", "B/registrar", params=asked | listed, content=b"x")
    waiting = made.json()["subject_id"]
    assert (await handed_out(house, waiting)).status_code == 404


async def test_a_key_for_an_area_is_handed_no_file_of_a_key_for_all(house: House):
    await house.issue("B", "tumbes", "registrar", area="24")
    content = f"{HEADER}\n{line('R-1', registration())}".encode()
    of_all = await sent(house, content)
    of_area = await sent(house, content, "B/tumbes")
    assert of_area["state"] == "done"
    assert (await handed_out(house, of_all["file_id"], "B/tumbes")).status_code == 404
    assert (await handed_out(house, of_area["file_id"], "B/tumbes")).status_code == 200
    assert (await handed_out(house, of_area["file_id"])).status_code == 200


async def test_a_file_is_sealed_while_it_is_here(house: House):
    raw = registration()
    person = raw["persons"][0]
    content = f"{HEADER}\n{line('R-1', raw)}".encode()
    await sent(house, content)
    async with house.owner.connect() as conn:
        stored = [bytes(row[0]) for row in await conn.execute(SEALED)]
        jobs = str((await conn.execute(text("SELECT row_to_json(j) FROM cbi.job_end j"))).all())
    assert len(stored) >= 3
    for value in (person["given_names"], person["surnames"], person["documents"][0]["number"]):
        assert not any(value.encode() in sealed for sealed in stored)
        assert value not in jobs


SEALED = text("SELECT sealed FROM cbi.check_file_piece")


async def test_after_a_week_the_key_is_destroyed_and_with_it_what_it_sealed(
    house: House, monkeypatch
):
    content = f"{HEADER}\n{line('R-1', registration())}".encode()
    kept = await sent(house, content)
    now = clock.now
    with monkeypatch.context() as past:
        past.setattr(clock, "now", lambda: now() - timedelta(days=7, minutes=1))
        old = await house.post(
            "/v1/check/files",
            "B/registrar",
            params={
                "format": "csv",
                "purpose": "before_registration",
                "list": await a_list(house, "B/registrar", until=str(clock.today())),
            },
            content=content,
        )
    left = "SELECT count(*) FROM cbi.check_file_piece WHERE file_id = :file_id"
    file_id = old.json()["subject_id"]
    assert await house.sql(left, file_id=file_id) == 1
    await check_files.DESTROY.do(house.service)
    assert await house.sql(left, file_id=file_id) == 0
    assert (await handed_out(house, file_id)).status_code == 404
    assert (await handed_out(house, kept["file_id"])).status_code == 200
    assert await house.sql("SELECT count(*) FROM cbi.check_file WHERE file_id = :f", f=file_id) == 1
    # The job of a file that is gone ends with that.
    assert (await worked(house, old.json()["job_id"], "B/registrar")).result == {
        "reason": "not-found"
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"nothing of ours", "file-unreadable"), (b"", "file-unreadable")],
)
async def test_a_file_that_can_not_be_read_fails_its_job(house: House, content, reason):
    done = await sent(house, content)
    assert done["state"] == "failed"
    assert done["result"]["reason"] == reason


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"format": "pdf"}, 400),
        ({"purpose": "before_payment"}, 409),
        ({"list": str(uuid4())}, 404),
        ({"assistance": "mpca"}, 422),
        ({"first_month": "2026-07-01", "months": "1"}, 422),
    ],
)
async def test_what_a_file_is_checked_for_must_be_right(house: House, more, status):
    asked = {
        "format": "csv",
        "purpose": "before_registration",
        "list": await a_list(house, "B/registrar"),
    }
    answer = await house.post("/v1/check/files", "B/registrar", params=asked | more, content=b"x")
    assert answer.status_code == status, answer.text


def lines(count: int) -> bytes:
    return "".join(line(f"R-{n}", registration()) for n in range(2, 2 + count)).encode()


async def test_a_reader_that_takes_long_is_not_waited_for_in_a_transaction(
    house: House, monkeypatch
):
    monkeypatch.setattr(check_jobs, "WAITED_SECONDS", 0.0)
    done = await sent(house, HEADER.encode() + b"\n" + lines(3), "A/registrar")
    assert (done["state"], done["result"]["households"]) == ("done", 3)


async def test_a_file_whose_reading_broke_off_is_read_on_from_there(house: House, monkeypatch):
    monkeypatch.setattr(check, "HOUSEHOLDS_MAX", 2)
    twice = registration()
    content = f"{HEADER}\n{line('R-1', twice)}".encode() + lines(4)
    content += line("R-9", twice).encode()
    asked = {"format": "csv", "purpose": "before_registration"}
    asked["list"] = await a_list(house, "A/registrar")
    made = await house.post("/v1/check/files", "A/registrar", params=asked, content=content)
    job = made.json()
    broken = check_jobs.CHECK_FILE.work
    calls = 0

    async def breaks(conn, task):
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise ConnectionError
        return await broken(conn, task)

    kinds = {"check-file": msgspec.structs.replace(check_jobs.CHECK_FILE, work=breaks)}
    for _ in range(30):
        async with house.owner.begin() as conn:
            await conn.execute(text("UPDATE cbi.job_lease SET held_until = '-infinity'"))
        if not await work_once(house.service, kinds, worker_id=uuid4(), wanted=UUID(job["job_id"])):
            break
    assert (await house.get(f"/v1/jobs/{job['job_id']}", "A/registrar")).json()["state"] == "done"
    made = (await handed_out(house, job["subject_id"], "A/registrar")).content.decode()
    assert "(fila 7 R-9)" in made
    assert "(fila 2 R-1)" in made
