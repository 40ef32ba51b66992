"""Two requests at the same moment: the work is done once, and both are answered."""

import asyncio
from uuid import uuid4

from tests.api.house import House, open_round, programme, registration

AT_ONCE = 6


async def test_the_same_key_at_the_same_moment_does_the_work_once(house: House):
    body, key = programme(), str(uuid4())
    answers = await asyncio.gather(
        *(house.post("/v1/programmes", "A/programme", body, key=key) for _ in range(AT_ONCE))
    )
    made = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in made}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in made) == 1
    running = {a.json()["type"] for a in answers if a.status_code != 201}
    assert running <= {"urn:cbi:problem:idempotency-key-running"}
    count = "SELECT count(*) FROM cbi.programme WHERE code = :code"
    assert await house.sql(count, code=body["code"]) == 1


async def test_the_same_registration_at_the_same_moment_is_one_household(house: House):
    body = registration()
    before = await house.sql("SELECT count(*) FROM cbi.household")
    answers = await asyncio.gather(
        *(house.post("/v1/households", "A/registrar", body) for _ in range(AT_ONCE))
    )
    assert [a.status_code for a in answers].count(201) == 1
    made = {a.json()["household_id"] for a in answers if a.status_code in {200, 201}}
    assert len(made) == 1
    told = {a.json()["type"] for a in answers if a.status_code not in {200, 201}}
    assert told <= {"urn:cbi:problem:registration-running"}
    assert await house.sql("SELECT count(*) FROM cbi.household") == before + 1
    again = await house.made("/v1/households", "A/registrar", body)
    assert {again["household_id"]} == made


async def test_of_two_families_of_one_at_the_same_moment_the_later_sees_the_earlier(house: House):
    one = registration()
    twins = [one, {**one, "reference": registration()["reference"]}]
    receipts = await asyncio.gather(
        house.made("/v1/households", "A/registrar", twins[0]),
        house.made("/v1/households", "B/registrar", twins[1]),
    )
    assert "review" in {receipt["status"] for receipt in receipts}


async def exactly_one(house: House, path: str, *signers: str) -> None:
    answers = await asyncio.gather(*(house.post(path, signer) for signer in signers))
    lost = [answer for answer in answers if answer.status_code != 201]
    assert len(lost) == len(signers) - 1, [answer.text for answer in answers]
    told = {answer.json()["type"].rpartition(":")[2] for answer in lost}
    assert told <= {"step-done", "same-person"}


async def test_of_several_who_sign_a_step_at_the_same_moment_exactly_one_wins(house: House):
    opened = await open_round(house)
    await house.made(f"{opened.path}/calculate", "A/first")
    await exactly_one(house, f"{opened.path}/prepare", "A/first", "A/second", "A/third")
    await house.made(f"{opened.path}/review", "A/programme")
    await house.made(f"{opened.path}/approve", "A/fourth")
    await exactly_one(house, f"{opened.path}/release", "A/first", "A/second", "A/finance")
    steps = (await house.get(opened.path, "A/finance")).json()["steps"]
    assert [each["step"] for each in steps][-1] == "released"
    assert len(steps) == 5


async def test_more_requests_than_connections_are_all_answered(house: House):
    answers = await asyncio.gather(
        *(house.get("/v1/programmes", "A/programme") for _ in range(60)),
        *(house.post("/v1/households", "A/registrar", registration()) for _ in range(20)),
    )
    assert {answer.status_code for answer in answers} == {200, 201}
