"""POST /v1/check: what it takes, what it keeps, and where it stops."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from httpx import Response

from api import clock
from tests.api.house import House, open_house, own_database, registration


def question(*households: object, purpose: str = "before_registration") -> dict:
    return {"purpose": purpose, "households": list(households)}


async def asking(house: House, who: str, *households: object, **how: object) -> Response:
    """Check households on a list of their own."""
    list_id = await a_list(house, who)
    return await house.post("/v1/check", who, {**question(*households), "list": list_id}, **how)


async def a_list(house: House, who: str, **more: object) -> str:
    body = {
        "name": f"list {uuid4().hex[:8]}",
        "purpose": "before_registration",
        "until": str(clock.today()),
        **more,
    }
    return (await house.made("/v1/lists", who, body))["list_id"]


@pytest.fixture(scope="module")
async def strict(postgres, tmp_path_factory):
    """A service whose organisations may check three persons a day."""
    folder = str(tmp_path_factory.mktemp("strict"))
    async with (
        own_database(postgres) as name,
        open_house(postgres, name, folder, CBI_CHECK_PERSONS_PER_DAY="3") as opened,
    ):
        yield opened


async def test_a_family_of_another_partner_is_found_and_nothing_of_it_told(house: House):
    raw = registration()
    stored = await house.made("/v1/households", "A/registrar", raw)
    answer = await asking(house, "B/programme", raw, registration())
    assert answer.status_code == 200
    told = answer.json()
    assert (told["review"], told["clear"], told["unsearchable"]) == (1, 1, 0)
    first, second = told["households"]
    assert (first["status"], second["status"]) == ("review", "clear")
    assert first["reference"] == raw["reference"]
    assert first["matches"] == [
        {
            "strength": "strong",
            "persons": 1,
            "agreeing": ["name", "birth_date", "document", "phone", "sex"],
            "says": {
                "es": "Coincidencia fuerte."
                " Coincide: nombre; fecha de nacimiento; documento; teléfono; sexo.",
                "en": "Strong match. Agrees: name; date of birth; document; phone; sex.",
            },
            "ask": "PARTNER-A: desk@a.example",
        }
    ]
    assert stored["household_id"] not in answer.text
    assert raw["persons"][0]["given_names"] not in answer.text


async def test_a_check_is_answered_anew_and_kept_by_no_key(house: House):
    raw = registration()
    stored = "SELECT count(*) FROM cbi.answer"
    before = await house.sql(stored)
    first = await asking(house, "A/registrar", raw, key="check-1")
    await house.made("/v1/households", "B/registrar", raw)
    second = await asking(house, "A/registrar", raw, key="check-1")
    assert [each.json()["households"][0]["status"] for each in (first, second)] == [
        "clear",
        "review",
    ]
    assert await house.sql(stored) == before


async def test_a_quota_that_is_spent_says_when_it_opens_again(strict: House):
    three = registration()
    three["persons"] *= 3
    for person, number in zip(three["persons"], ("1", "2", "3"), strict=True):
        person.pop("documents", number)
    answer = await asking(strict, "A/registrar", three)
    assert answer.json()["persons_left"] == 0
    spent = await asking(strict, "A/programme", registration())
    assert spent.status_code == 429
    problem = spent.json()
    assert problem["type"] == "urn:cbi:problem:check-quota-spent"
    assert (problem["persons_asked"], problem["persons_left"]) == (1, 0)
    opens = datetime.fromisoformat(problem["opens_again_at"])
    assert opens.astimezone(clock.PERU).time() == datetime.min.time()
    assert timedelta() < opens - clock.now() <= timedelta(days=1)
    assert (await asking(strict, "B/registrar", registration())).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"purpose": "before_registration"},
        {"purpose": "curiosity", "households": [{}]},
        {"households": [{}]},
        question(),
        question(*[{}] * 1001),
        question("x"),
    ],
)
async def test_a_question_out_of_form_is_malformed(house: House, body):
    listed = {"list": await a_list(house, "A/registrar"), **body}
    answer = await house.post("/v1/check", "A/registrar", listed)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:cbi:problem:bad-request"


async def test_a_thousand_households_are_answered_in_the_order_asked(house: House):
    asked = [registration() for _ in range(1000)]
    answer = await asking(house, "A/registrar", *asked)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert [each["reference"] for each in told["households"]] == [one["reference"] for one in asked]
    assert told["clear"] == 1000


async def test_auditors_see_who_checked_how_many(house: House):
    answer = await asking(house, "A/registrar", registration(), {})
    rows, after = [], 0
    while after is not None:
        page = (await house.get(f"/v1/checks?after={after}&limit=200", "B/auditor")).json()
        rows, after = rows + page["items"], page["next"]
    (row,) = [one for one in rows if one["request_id"] == answer.headers["x-request-id"]]
    assert (row["purpose"], row["persons"], row["clear"], row["review"], row["unsearchable"]) == (
        "before_registration", 1, 1, 0, 1,
    )  # fmt: skip
    assert row["partner_id"] == str(house.partners["A"])
