"""A day's quota of checks: told before it is spent, spread over days, and agreed by others."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from api import clock
from api.kinds import KINDS
from api.worker import work_once
from cbi import check
from tests.api.house import House, registration
from tests.api.test_check import a_list, asking, strict  # noqa: F401 -- a fixture
from tests.api.test_check_files import HEADER, handed_out, line, sent

LATER = timedelta(days=1)


@pytest.fixture(autouse=True)
async def others(strict: House):  # noqa: F811
    """Organisations that nobody else's tests ask for."""
    for letter in ("C", "D", "E"):
        await strict.hire(letter, "registrar")


def lines(count: int) -> bytes:
    return f"{HEADER}\n{''.join(line(f'R-{n}', registration()) for n in range(count))}".encode()


async def ordered(house: House, content: bytes, who: str, *, days: int) -> dict:
    listed = await a_list(house, who, until=str(clock.today() + timedelta(days=days)))
    asked = {"format": "csv", "purpose": "before_registration", "list": listed}
    made = await house.post("/v1/check/files", who, params=asked, content=content)
    assert made.status_code == 201, made.text
    return made.json()


async def works(house: House, job_id: str) -> bool:
    """Let a worker take the job up, if it is its turn."""
    wanted = UUID(job_id)
    return await work_once(house.service, KINDS, worker_id=uuid4(), wanted=wanted)


async def shown(house: House, job_id: str, who: str) -> dict:
    return (await house.get(f"/v1/jobs/{job_id}", who)).json()


@pytest.fixture
def next_day(strict: House, monkeypatch):  # noqa: F811
    """Let a day pass: for the service, and for who waits for a turn."""
    now, today = clock.now, clock.today
    passed = timedelta()

    async def passes() -> None:
        nonlocal passed
        passed += LATER
        monkeypatch.setattr(clock, "now", lambda: now() + passed)
        monkeypatch.setattr(clock, "today", lambda: today() + passed)
        async with strict.owner.begin() as conn:
            await conn.execute(text("UPDATE cbi.job_lease SET held_until = '-infinity'"))

    return passes


async def test_a_file_of_more_than_a_day_goes_on_by_itself_the_next_day(
    strict: House,  # noqa: F811
    next_day,
    monkeypatch,
):
    monkeypatch.setattr(check, "HOUSEHOLDS_MAX", 2)
    job = await ordered(strict, lines(7), "C/registrar", days=5)
    job_id = job["job_id"]
    done = []
    for _ in range(3):
        assert await works(strict, job_id)
        told = await shown(strict, job_id, "C/registrar")
        done.append(told["done"])
        if told["state"] == "done":
            break
        assert told["goes_on_at"] > told["at"]
        # Until then it is nobody's turn.
        assert not await works(strict, job_id)
        assert (await handed_out(strict, job["subject_id"], "C/registrar")).status_code == 404
        await next_day()
    assert done == [3, 6, 7]
    assert told["goes_on_at"] is None
    assert (told["result"]["households"], told["result"]["persons"]) == (7, 7)
    made = (await handed_out(strict, job["subject_id"], "C/registrar")).content.decode()
    assert made.count(";libre;;") == 7


async def test_a_file_that_fits_no_five_days_is_refused_before_anybody_is_counted(
    strict: House,  # noqa: F811
):
    done = await sent(strict, lines(16), "D/registrar")
    assert done["state"] == "failed"
    told = done["result"]
    assert (told["reason"], told["persons"], told["persons_fit"]) == (
        "check-file-too-large", 16, 15,
    )  # fmt: skip
    assert "en 5 días caben 15" in told["es"]
    left = await strict.get("/v1/check/quota", "D/registrar")
    assert left.json()["persons_left"] == 3


async def test_a_file_whose_list_ends_too_early_is_refused_before_anybody_is_counted(
    strict: House,  # noqa: F811
):
    done = await sent(strict, lines(4), "D/registrar")
    assert (done["state"], done["result"]["reason"]) == ("failed", "list-not-active")


async def test_who_is_refused_is_told_how_many_fit_and_when_the_rest_can_come(
    strict: House,  # noqa: F811
):
    answer = await asking(strict, "D/registrar", *(registration() for _ in range(5)))
    told = answer.json()
    assert (answer.status_code, told["households_fit"]) == (429, 3)
    assert "caben los primeros 3 hogares. La cuota se renueva el" in told["es"]
    assert "a las 00:00 (hora del Perú)" in told["es"]
    assert "the first 3 households fit. The quota is whole again on" in told["en"]


async def agreed(house: House, partner: str, persons: int, *, days: int, who: str = "B"):
    body = {
        "partner_id": str(house.partners[partner]),
        "persons_per_day": persons,
        "until": str(clock.today() + timedelta(days=days)),
    }
    return await house.post("/v1/check/quotas", f"{who}/coordinator", body)


async def test_a_coordinator_agrees_another_organisations_quota_until_a_day(
    strict: House,  # noqa: F811
    next_day,
):
    made = await agreed(strict, "A", 10, days=0)
    assert made.status_code == 201, made.text
    told = await strict.get("/v1/check/quota", "A/registrar")
    assert (told.json()["persons_per_day"], told.json()["persons_left"]) == (10, 10)
    assert told.json()["says"]["es"].startswith("Hoy puede consultar 10 de 10 personas.")
    asked = await asking(strict, "A/registrar", *(registration() for _ in range(9)))
    assert asked.json()["persons_left"] == 1
    audit = (await strict.get("/v1/check/quotas", "B/auditor")).json()["items"]
    assert [(one["persons_per_day"], one["set_by"]) for one in audit] == [
        (10, str(strict.partners["B"]))
    ]
    assert (await strict.get("/v1/check/quotas", "A/registrar")).json()["items"] == audit
    assert (await strict.get("/v1/check/quotas", "D/registrar")).json()["items"] == []
    await next_day()
    told = await strict.get("/v1/check/quota", "A/registrar")
    assert told.json()["persons_per_day"] == 3


async def test_nobody_agrees_their_own_quota_nor_one_without_an_end(strict: House):  # noqa: F811
    own = await agreed(strict, "B", 10, days=1)
    assert (own.status_code, own.json()["type"]) == (403, "urn:cbi:problem:quota-own")
    for days in (-1, 184):
        assert (await agreed(strict, "A", 10, days=days)).status_code == 422
    body = {"partner_id": str(uuid4()), "persons_per_day": 1, "until": str(clock.today())}
    assert (await strict.post("/v1/check/quotas", "B/coordinator", body)).status_code == 404
    assert (await strict.post("/v1/check/quotas", "B/registrar", body)).status_code == 403
