"""Terms, eligibility, scores and caps over HTTP: who may, what is told, and to whom not."""

from uuid import uuid4

from tests.api.house import House, open_round, registration
from tests.api.terming import CAP, RULES, SCOPE, SCORE, UIT, a_programme, agreed
from tests.api.test_problems import told


async def a_household(house: House, **changes) -> str:
    receipt = await house.made("/v1/households", "A/registrar", registration(**changes))
    return receipt["household_id"]


async def test_a_term_is_listed_with_who_entered_and_who_approved_it(house: House):
    path = await a_programme(house)
    entered = await house.made(f"{path}/terms", "A/first", SCOPE)
    assert (entered["version"], entered["approved_by"]) == (1, None)
    approval = {"kind": "scope", "version": 1}
    own = await house.post(f"{path}/terms/approval", "A/first", approval)
    told(own, 403, "approved-by-author")
    await house.made(f"{path}/terms/approval", "A/second", approval)
    again = await house.post(f"{path}/terms/approval", "A/third", approval)
    told(again, 409, "term-approved")
    (listed,) = (await house.get(f"{path}/terms", "A/auditor")).json()["items"]
    assert listed["content"] == SCOPE["content"]
    assert listed["approved_by"] not in (None, listed["entered_by"])
    for method, where in (("GET", f"{path}/terms"), ("POST", f"{path}/terms/approval")):
        body = {"json": approval} if method == "POST" else {}
        told(await house.call(method, where, "B/programme", **body), 404, "not-found")
    told(await house.post(f"{path}/terms", "B/programme", SCOPE), 404, "not-found")


async def test_a_faulty_term_is_told_with_its_place_and_not_with_what_was_sent(house: House):
    path = await a_programme(house)
    secret = "Yaquelin V12345678"
    for content in (
        {"rule": {"all": [{"fact": secret, "is": "=", "value": 1}]}},
        {"rule": {"fact": "size", "is": "=", "value": secret}},
        {secret: 1},
    ):
        answer = await house.post(f"{path}/terms", "A/programme", RULES | {"content": content})
        body = told(answer, 422, "invalid-term")
        assert secret not in answer.text
        assert body["reason"]


async def test_what_the_rules_say_is_told_and_another_person_enrols(house: House):
    path = await a_programme(house)
    await agreed(house, path, RULES)
    stays, leaves, silent = [
        await a_household(house, intention=intention)
        for intention in ("stay", "return", "not_stated")
    ]
    asked = {"household_ids": [stays, leaves, silent, stays]}
    answer = await house.post(f"{path}/eligibility", "A/programme", asked)
    assert answer.status_code == 200, answer.text
    verdicts = [each["answer"]["verdict"] for each in answer.json()["answers"]]
    assert verdicts == ["yes", "no", "unknown"]
    no = await house.post(f"{path}/enrolments", "A/programme", {"household_id": leaves})
    (reason,) = told(no, 409, "not-eligible")["reasons"]
    assert reason["en"] == "Not met: intention none of return, move_on"
    assert reason["es"] == "No cumple: intención ninguno de return, move_on"
    unknown = await house.post(f"{path}/enrolments", "A/programme", {"household_id": silent})
    told(unknown, 409, "eligibility-unknown")
    body = {"household_id": silent, "because": "interview"}
    await house.made(f"{path}/eligibility/overrides", "A/first", body)
    own = await house.post(f"{path}/enrolments", "A/first", {"household_id": silent})
    told(own, 403, "overridden-by-enroller")
    for household_id in (silent, stays):
        await house.made(f"{path}/enrolments", "A/programme", {"household_id": household_id})


async def test_at_most_a_thousand_are_asked_and_nobody_elses(house: House):
    path = await a_programme(house)
    await agreed(house, path, RULES)
    many = {"household_ids": [str(uuid4()) for _ in range(1_001)]}
    assert (await house.post(f"{path}/eligibility", "A/programme", many)).status_code in (400, 422)
    theirs = (await house.made("/v1/households", "B/registrar", registration()))["household_id"]
    answer = await house.post(f"{path}/eligibility", "A/programme", {"household_ids": [theirs]})
    told(answer, 404, "not-found")


async def test_scores_are_paged_and_only_ones_own(house: House):
    household_id = await a_household(house)
    path = f"/v1/households/{household_id}/scores"
    for value in (1, 2, 3):
        await house.made(path, "A/registrar", SCORE | {"score": value})
    first = (await house.get(f"{path}?limit=2", "A/programme")).json()
    rest = (await house.get(f"{path}?after={first['next']}", "A/programme")).json()
    kept = [each["kept"]["score"] for each in first["items"] + rest["items"]]
    assert (kept, rest["next"]) == ([1, 2, 3], None)
    told(await house.get(path, "B/programme"), 404, "not-found")
    told(await house.post(path, "B/registrar", SCORE), 404, "not-found")


async def test_caps_are_coordinations_and_everybody_who_pays_reads_them(house: House):
    worth = await house.made("/v1/uit-values", "A/coordinator", UIT)
    made = await house.made("/v1/instrument-caps", "A/coordinator", CAP)
    approval = f"/v1/instrument-caps/{made['cap_no']}/approval"
    uit_approval = f"/v1/uit-values/{worth['uit_no']}/approval"
    for path in (approval, uit_approval):
        told(await house.post(path, "A/coordinator"), 403, "approved-by-author")
    await house.made(uit_approval, "B/coordinator")
    approved = await house.made(approval, "B/coordinator")
    assert made["approved_by"] is None
    assert approved == made | {"approved_by": approved["approved_by"]}
    told(await house.post(approval, "B/coordinator"), 409, "term-approved")
    assert (made["unit"], made["per_transaction"], made["balance"]) == (
        "uit_thousandths",
        125,
        2_000,
    )
    for who in ("A/finance", "B/programme", "B/auditor"):
        listed = (await house.get("/v1/instrument-caps?limit=200", who)).json()["items"]
        assert approved in listed
    assert (await house.get("/v1/uit-values", "B/finance")).json()["items"]
    for change in (
        {"currency": "USD"},
        {"per_month": "0.0001"},
        {"per_month": "0"},
        {"per_transaction": None, "per_month": None, "balance": None},
    ):
        answer = await house.post("/v1/instrument-caps", "A/coordinator", CAP | change)
        told(answer, 422, "bad-value")


async def test_a_round_says_on_what_it_was_calculated(house: House):
    paid = await open_round(house)
    assert (await house.get(paid.path, "A/finance")).json()["basis"] is None
    await house.made(f"{paid.path}/calculate", "A/first")
    basis = (await house.get(paid.path, "A/auditor")).json()["basis"]
    assert (basis["value_versions"], basis["schedule_version"]) == ([1], None)
