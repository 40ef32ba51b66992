"""Rules, reservations, waiting and conflicts as they are sent over HTTP."""

from datetime import timedelta
from uuid import UUID

from api import clock
from cbi.overlap import example
from tests.api.breaking import Asked
from tests.api.house import House, programme, registration

DECISION = {"decision": "no_overlap", "reason": "different_families"}
FIRST = "2027-01-01"


def rules() -> dict:
    day = str(clock.today() + timedelta(days=3000))
    return {"rules": example(), "effective_from": day}


async def household(house: House, letter: str = "A", **changes) -> str:
    receipt = await house.made("/v1/households", f"{letter}/registrar", registration(**changes))
    assert receipt["status"] == "clear", receipt
    return receipt["household_id"]


async def a_proposal_of_rules(house: House) -> Asked:
    del house
    return "/v1/overlap-rules", "A/adjudicator", rules()


async def an_approval(house: House) -> Asked:
    # By "A/everything" as well: who proposes doesn't approve.
    made = await house.made("/v1/overlap-rules", "B/adjudicator", rules())
    return f"/v1/overlap-rules/{made['version']}/approval", "A/adjudicator", None


async def a_reservation(house: House) -> Asked:
    body = {"household_id": await household(house), "assistance": "rent", "months": 2}
    return "/v1/reservations", "A/programme", body


async def a_renewal(house: House) -> Asked:
    path, who, body = await a_reservation(house)
    made = await house.made(path, who, body)
    return f"/v1/reservations/{made['reservation_id']}/renewal", who, None


async def a_reservation_cancelled(house: House) -> Asked:
    path, who, _ = await a_renewal(house)
    return path.replace("renewal", "cancellation"), who, None


async def an_entry(house: House) -> Asked:
    path, who, body = await a_reservation(house)
    await house.made(path, who, body)
    return "/v1/waiting", who, {"household_id": body["household_id"], "assistance": "rent"}


async def a_withdrawal(house: House) -> Asked:
    path, who, body = await an_entry(house)
    made = await house.made(path, who, body)
    return f"/v1/waiting/{made['waiting_id']}/withdrawal", who, None


async def joined(house: House) -> tuple[str, str]:
    """One family that both partners promise something, and reviewers then find to be one."""
    one = registration()
    mine = await house.made("/v1/households", "A/registrar", one)
    await enrol(house, "A", mine["household_id"])
    other = {**one, "reference": registration()["reference"]}
    theirs = await house.made("/v1/households", "B/registrar", other)
    case_id = theirs["flags"][0]["case_id"]
    for letter in "AB":
        judged = {"verdict": "different", "reason": "x"}
        await house.made(f"/v1/cases/{case_id}/judgements", f"{letter}/adjudicator", judged)
    await enrol(house, "B", theirs["household_id"])
    case = (await house.get(f"/v1/cases/{case_id}", "A/adjudicator")).json()
    for letter in "AB":
        said = next(
            each["judgement_id"]
            for each in case["judgements"]
            if each["partner_id"] == str(house.partners[letter])
        )
        judged = {"verdict": "same_household", "reason": "x", "supersedes": said}
        await house.made(f"/v1/cases/{case_id}/judgements", f"{letter}/adjudicator", judged)
    return mine["household_id"], theirs["household_id"]


async def enrol(house: House, letter: str, household_id: str) -> dict:
    opened = await house.made("/v1/programmes", f"{letter}/programme", programme())
    path = f"/v1/programmes/{opened['programme_id']}/enrolments"
    body = {"household_id": household_id, "first_month": FIRST, "months": 3}
    return await house.made(path, f"{letter}/programme", body)


async def conflicts(house: House) -> list[dict]:
    answer = await house.get("/v1/conflicts", "A/coordinator", params={"limit": "200"})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def deciders(house: House) -> tuple[str, str]:
    """Coordinators of two organisations that promise nobody anything."""
    for letter in "HI":
        await house.hire(letter, "coordinator")
    return "H/coordinator", "I/coordinator"


async def a_decision(house: House) -> Asked:
    await joined(house)
    newest = (await conflicts(house))[-1]["conflict_id"]
    first, _ = await deciders(house)
    return f"/v1/conflicts/{newest}/decision", first, DECISION


async def a_confirmation(house: House) -> Asked:
    path, who, body = await a_decision(house)
    made = await house.made(path, who, body)
    path = path.replace("decision", "confirmation")
    _, second = await deciders(house)
    return path, second, {"decision_no": made["decisions"][-1]["decision_no"]}


OVERLAPS = {
    "/v1/overlap-rules": a_proposal_of_rules,
    "/v1/overlap-rules/{version}/approval": an_approval,
    "/v1/reservations": a_reservation,
    "/v1/reservations/{reservation_id}/renewal": a_renewal,
    "/v1/reservations/{reservation_id}/cancellation": a_reservation_cancelled,
    "/v1/waiting": an_entry,
    "/v1/waiting/{waiting_id}/withdrawal": a_withdrawal,
    "/v1/conflicts/{conflict_id}/decision": a_decision,
    "/v1/conflicts/{conflict_id}/confirmation": a_confirmation,
}
# These change nothing, and their answers are not kept.
UNKEPT = {"/v1/check", "/v1/fsp-profiles/preview", "/v1/overlap-rules/simulation"}
NOBODY = str(UUID(int=13))
# A body that each takes, for whoever sends others.
BODIES = {
    "/v1/overlap-rules": {"rules": example(), "effective_from": "2090-01-01"},
    "/v1/overlap-rules/simulation": {"version": 1, "months": 2},
    "/v1/overlap-rules/{version}/approval": {},
    "/v1/reservations": {
        "household_id": NOBODY,
        "assistance": "rent",
        "programme_id": NOBODY,
        "first_month": FIRST,
        "months": 2,
    },
    "/v1/reservations/{reservation_id}/renewal": {},
    "/v1/reservations/{reservation_id}/cancellation": {},
    "/v1/waiting": {"household_id": NOBODY, "assistance": "rent"},
    "/v1/waiting/{waiting_id}/withdrawal": {},
    "/v1/conflicts/{conflict_id}/decision": {**DECISION, "month": FIRST},
    "/v1/conflicts/{conflict_id}/confirmation": {"decision_no": 1},
}
IDS = {"version": "77", "reservation_id": NOBODY, "waiting_id": NOBODY, "conflict_id": NOBODY}
