"""Cases over HTTP: whom they are assigned to, when they are due, groups, words taken back."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from api import clock
from dedup.deadline import due_on, holidays
from tests.api.house import House, open_case, registration


async def shown(house: House, case_id: str, who: str = "A/adjudicator") -> dict:
    answer = await house.get(f"/v1/cases/{case_id}", who)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def listed(house: House, who: str = "A/adjudicator", **params: str) -> list[dict]:
    answer = await house.get("/v1/cases", who, params={"limit": "200", **params})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def judged(house: House, case_id: str, who: str, verdict: str, **more: object) -> dict:
    body = {"verdict": verdict, **more}
    return await house.made(f"/v1/cases/{case_id}/judgements", who, body)


async def refused(house: House, path: str, who: str, body: dict, status: int, slug: str) -> dict:
    answer = await house.post(path, who, body)
    assert answer.status_code == status, answer.text
    assert answer.json()["type"] == f"urn:cbi:problem:{slug}"
    return answer.json()


async def open_group(house: House, size: int) -> list[str]:
    """One family registered once more for each case: all its cases hang together."""
    one = registration()
    await house.made("/v1/households", "A/registrar", one)
    flags: set[str] = set()
    while len(flags) < size:
        other = {**one, "reference": registration()["reference"]}
        receipt = await house.made("/v1/households", "B/registrar", other)
        flags |= {flag["case_id"] for flag in receipt["flags"]}
    assert len(flags) == size
    return sorted(flags)


async def test_a_case_says_by_when_it_is_due(house: House):
    case = await shown(house, await open_case(house))
    opened = datetime.fromisoformat(case["opened_at"])
    assert case["due_on"] == str(due_on(opened, days_off=holidays()))
    assert case["overdue"] is False
    assert case["case_id"] not in {row["case_id"] for row in await listed(house, overdue="true")}


async def test_what_is_overdue_is_listed_as_such_and_goes_on(house: House):
    case_id = await house.sql(
        "INSERT INTO dedup.match_case (household_a, partner_a, reason, why, opened_at, opened_by)"
        " VALUES (uuidv7(), :partner, 'unchecked', 'declined', :at, uuidv7()) RETURNING case_id",
        partner=house.partners["A"],
        at=clock.now() - timedelta(days=30),
    )
    overdue = {row["case_id"]: row for row in await listed(house, overdue="true")}
    assert overdue[str(case_id)]["state"] == "open"
    assert all(row["overdue"] for row in overdue.values())
    assert (await shown(house, str(case_id)))["overdue"] is True
    for who in ("A/adjudicator", "B/adjudicator"):
        done = await judged(house, str(case_id), who, "different")
    assert (done["case"]["state"], done["case"]["overdue"]) == ("decided", False)


async def test_a_case_is_assigned_to_oneself_a_colleague_or_an_organisation(house: House):
    case_id = await open_case(house)
    path = f"/v1/cases/{case_id}/assignments"
    me = await house.made(path, "A/adjudicator", {})
    assert (me["state"], me["assigned_to_me"]) == ("assigned", True)
    assert me["assigned_to"] == str(house.partners["A"])
    assert case_id in {row["case_id"] for row in await listed(house, assigned_to="me")}
    colleague = await house.made(path, "A/adjudicator", {"person": "coordinator"})
    assert colleague["assigned_to_me"] is False
    assert (await shown(house, case_id, "A/coordinator"))["assigned_to_me"] is True
    for body, field in (
        ({"person": "nobody"}, "person"),
        ({"partner": "NOBODY"}, "partner"),
        ({"partner": "PARTNER-A", "person": "coordinator"}, "person"),
    ):
        answer = await refused(house, path, "A/coordinator", body, 422, "bad-value")
        assert answer["field"] == field
    other = {"partner": "PARTNER-B"}
    await refused(house, path, "A/adjudicator", other, 403, "assign-elsewhere")
    await house.made(path, "A/coordinator", other)
    for who, found in (("A/adjudicator", False), ("B/adjudicator", True)):
        ours = {row["case_id"] for row in await listed(house, who, assigned_to="us")}
        assert (case_id in ours) is found
    await judged(house, case_id, "A/adjudicator", "different")
    await judged(house, case_id, "B/adjudicator", "different")
    await refused(house, path, "A/coordinator", other, 409, "case-decided")


async def test_an_organisation_takes_its_word_back_also_after_the_decision(house: House):
    case_id = await open_case(house)
    path = f"/v1/cases/{case_id}/judgements"
    await judged(house, case_id, "A/adjudicator", "same_household")
    joined = await judged(house, case_id, "B/adjudicator", "same_household")
    assert (joined["households_joined"], joined["households_parted"]) == (1, 0)
    word = {one["partner_id"]: one["judgement_id"] for one in joined["case"]["judgements"]}
    mine, theirs = (word[str(house.partners[letter])] for letter in "AB")
    again = {"verdict": "different", "supersedes": theirs}
    await refused(house, path, "A/adjudicator", again, 409, "cannot-supersede")
    doubted = await judged(house, case_id, "A/adjudicator", "different", supersedes=mine)
    assert doubted["case"]["state"] == "disputed"
    assert doubted["case"]["decision"]["verdict"] == "same_household"
    undone = await judged(house, case_id, "B/adjudicator", "different", supersedes=theirs)
    assert (undone["case"]["state"], undone["households_parted"]) == ("decided", 2)
    told = [one["verdict"] for one in undone["case"]["decisions"]]
    assert told == ["same_household", "different"]


async def test_a_receipt_stays_clear_while_a_decision_is_doubted(house: House):
    one = registration()
    first = await house.made("/v1/households", "A/registrar", one)
    other = {**one, "reference": registration()["reference"]}
    receipt = await house.made("/v1/households", "B/registrar", other)
    case_id = receipt["flags"][0]["case_id"]
    for who in ("A/adjudicator", "B/adjudicator"):
        done = await judged(house, case_id, who, "different")
    word = done["case"]["judgements"][0]["judgement_id"]
    await judged(house, case_id, "A/adjudicator", "same_person", supersedes=word)
    path = f"/v1/households/{first['household_id']}/receipt"
    stored = (await house.get(path, "A/registrar")).json()
    assert (stored["status"], stored["flags"][0]["state"]) == ("clear", "disputed")


async def test_a_group_is_shown_listed_and_judged_at_once(house: House):
    case_ids = await open_group(house, 3)
    first = await shown(house, case_ids[-1])
    assert (first["group"], first["group_size"]) == (case_ids[0], 3)
    rows = await listed(house, group=case_ids[1])
    assert [row["case_id"] for row in rows] == case_ids
    assert {(row["group"], row["group_size"]) for row in rows} == {(case_ids[0], 3)}
    path = f"/v1/case-groups/{case_ids[0]}/judgements"
    changed = await refused(
        house, path, "A/adjudicator", {"verdict": "same_household", "size": 2}, 409, "group-changed"
    )
    assert changed["size"] == 3
    said = {"verdict": "same_household", "size": 3}
    one = await house.made(path, "A/adjudicator", said)
    assert [case["state"] for case in one["cases"]] == ["second_review"] * 3
    await refused(house, path, "A/adjudicator", said, 409, "already-judged")
    done = await house.made(path, "B/adjudicator", said)
    assert [case["case_id"] for case in done["cases"]] == case_ids
    assert {case["state"] for case in done["cases"]} == {"decided"}
    assert (done["households_joined"], done["conflicts"]) == (2, [])
    assert await listed(house, group=case_ids[0]) == []
    assert (await shown(house, case_ids[0]))["group"] is None
    await refused(house, path, "B/adjudicator", said, 409, "case-decided")


async def test_decisions_that_contradict_each_other_are_told_and_listed(house: House):
    a, b, c = await open_group(house, 3)
    for case_id, verdict in ((a, "same_household"), (b, "same_household"), (c, "different")):
        for who in ("A/adjudicator", "B/adjudicator"):
            done = await judged(house, case_id, who, verdict)
    assert done["households_parted"] > 0
    conflict = {"case_id": b, "because": "contradicted", "contradicted_by": [c]}
    assert done["conflicts"] == [conflict]
    answer = await house.get("/v1/case-conflicts?limit=200", "B/coordinator")
    assert conflict in answer.json()["items"]


@pytest.mark.parametrize("path", ["/v1/cases?group={}", "/v1/cases/{}"])
async def test_a_group_that_is_not_there_is_not_found(house: House, path: str):
    answer = await house.get(path.format(uuid4()), "A/adjudicator")
    assert answer.status_code == 404


async def test_a_receipt_tells_of_the_other_side_a_match_and_whom_to_ask(house: House):
    one = registration()
    await house.made("/v1/households", "A/registrar", one)
    other = {**one, "reference": registration()["reference"]}
    receipt = await house.made("/v1/households", "B/registrar", other)
    assert set(receipt["flags"][0]) == {
        "case_id",
        "reason",
        "state",
        "strength",
        "persons",
        "agreeing",
        "says",
        "why",
        "verdict",
        "ask",
        "deceased",
        "left",
    }


async def test_a_receipt_says_in_words_what_its_registrar_may_know(house: House):
    one = registration()
    await house.made("/v1/households", "A/registrar", one)
    other = {**one, "reference": registration()["reference"], "ubigeo": "240102"}
    receipt = await house.made("/v1/households", "B/registrar", other)
    says = receipt["flags"][0]["says"]
    assert says == {
        "en": "Strong match. Agrees: name; date of birth; document; phone; sex.",
        "es": "Coincidencia fuerte."
        " Coincide: nombre; fecha de nacimiento; documento; teléfono; sexo.",
    }


async def test_who_knows_neither_side_sees_why_in_bits_and_a_party_does_not(house: House):
    await house.hire("THIRD", "adjudicator", "registrar")
    case_id = await open_case(house)
    whole = await shown(house, case_id, "THIRD/adjudicator")
    (theirs,) = whole["pairs"]
    explained = theirs["explanation"]
    reasons = {one["field"]: one for one in explained["reasons"]}
    assert (reasons["place"]["level"], reasons["document"]["level"]) == ("district", "exact")
    assert reasons["document"]["bits"] > reasons["document"]["kin_bits"] > 0
    assert round(explained["weight_bits"]) == theirs["weight_bits"]
    assert explained["prior_bits"] < 0 < explained["probability"] <= 1
    assert whole["smaller_size"] == 1
    assert "the place is the same district" in theirs["says"]["en"]
    assert "el lugar es el mismo distrito" in theirs["says"]["es"]
    for who in ("A/adjudicator", "B/adjudicator", "B/coordinator", "A/registrar"):
        case = await shown(house, case_id, who)
        (ours,) = case["pairs"]
        # A weight tells, as a level does, of which type a document was.
        assert (ours["explanation"], ours["weight_bits"], case["smaller_size"]) == (None,) * 3
        assert "document" in ours["agrees"]
        assert not {"district", "distrito", "number", "número"} & set(str(ours["says"]).split())


async def test_who_registered_the_family_too_sees_no_more_than_a_party(house: House):
    await house.hire("THIRD", "adjudicator", "registrar")
    one = registration()
    receipts = [
        await house.made("/v1/households", who, {**one, "reference": registration()["reference"]})
        for who in ("A/registrar", "B/registrar", "THIRD/registrar")
    ]
    between_a_and_b = receipts[1]["flags"][0]["case_id"]
    (pair,) = (await shown(house, between_a_and_b, "THIRD/adjudicator"))["pairs"]
    assert (pair["explanation"], pair["weight_bits"]) == (None, None)


async def test_what_differs_is_for_reviewers_only(house: House):
    one = registration()
    await house.made("/v1/households", "A/registrar", one)
    (person,) = one["persons"]
    other = registration(persons=[{**person, "birth_date": "1950-11-27"}])
    receipt = await house.made("/v1/households", "B/registrar", other)
    case_id = receipt["flags"][0]["case_id"]
    (reviewed,) = (await shown(house, case_id, "B/adjudicator"))["pairs"]
    (seen,) = (await shown(house, case_id, "B/registrar"))["pairs"]
    assert reviewed["differs"] == ["birth_date"]
    assert seen["differs"] == []
    assert "Differs" in reviewed["says"]["en"]
    assert "Differs" not in seen["says"]["en"]


async def test_who_registered_both_sides_sees_why(house: House):
    one = registration()
    await house.made("/v1/households", "A/registrar", one)
    again = {**one, "reference": registration()["reference"]}
    receipt = await house.made("/v1/households", "A/registrar", again)
    case = await shown(house, receipt["flags"][0]["case_id"])
    assert case["pairs"][0]["explanation"]["strength"] == "strong"


async def test_a_case_shown_under_a_model_that_nobody_has_still_says_what_agrees(house: House):
    await house.hire("THIRD", "adjudicator", "registrar")
    case_id = await open_case(house)
    await house.sql(
        "INSERT INTO dedup.scoring (case_id, model_id, strength_bits, scored_at, scored_by)"
        " VALUES (:case, 'v2-000000000000', 30, now(), uuidv7()) RETURNING 1",
        case=UUID(case_id),
    )
    await house.sql(
        "INSERT INTO dedup.case_pair SELECT case_id, person_a, person_b, 'v2-000000000000',"
        " weight_bits, probability, evidence FROM dedup.case_pair WHERE case_id = :case"
        " RETURNING 1",
        case=UUID(case_id),
    )
    (pair,) = (await shown(house, case_id, "THIRD/adjudicator"))["pairs"]
    assert pair["explanation"] is None
    assert "Agrees: name; date of birth; document" in pair["says"]["en"]


@pytest.mark.parametrize(
    ("sizes", "matching", "looks_like"),
    [((1, 1), 1, "same_household"), ((2, 4), 1, "same_household"), ((3, 3), 1, "same_person")],
)
async def test_half_of_the_smaller_household_matching_looks_like_one_family(
    house: House, sizes: tuple[int, int], matching: int, looks_like: str
):
    shared = registration()["persons"]
    for who, size in zip(("A/registrar", "B/registrar"), sizes, strict=True):
        others = [registration()["persons"][0] for _ in range(size - matching)]
        persons = [*shared, *({**one, "relationship": "not_related"} for one in others)]
        receipt = await house.made("/v1/households", who, registration(persons=persons))
    case_id = receipt["flags"][0]["case_id"]
    await house.hire("THIRD", "adjudicator", "registrar")
    case = await shown(house, case_id, "THIRD/adjudicator")
    assert (case["persons"], case["smaller_size"]) == (matching, min(sizes))
    for who in ("A/adjudicator", "THIRD/adjudicator"):
        assert (await shown(house, case_id, who))["looks_like"] == looks_like
