"""Walking a list by its cursor shows every item once and then ends."""

import pytest

from tests.api.house import (
    House,
    Paid,
    new_round,
    open_case,
    open_round,
    programme,
    registration,
    release,
)
from tests.api.overlaps import a_proposal_of_rules, an_entry, joined

COUNT = 4
LISTS = {
    "/v1/households": "household_id",
    "/v1/programmes": "programme_id",
    "/v1/rounds": "round_id",
    "/v1/cases": "case_id",
    "/v1/partners": "code",
    "/v1/ledger/transfers": "transfer_id",
    "/v1/ledger/checkpoints": "size",
    "/v1/access-log": "access_no",
    "/v1/statements": "statement_id",
    "/v1/statements/unread": "unread_id",
    "/v1/statement-layouts": "name",
    "/v1/rounds/{round_id}/payments": "payment_id",
    "/v1/programmes/{programme_id}/enrolments": "enrolment_id",
    "/v1/fsp-profiles": "ref",
    "/v1/overlap-rules": "version",
    "/v1/reservations": "reservation_id",
    "/v1/waiting": "waiting_id",
    "/v1/conflicts": "conflict_id",
    "/v1/conflicts/own": "conflict_id",
}


@pytest.fixture(scope="module")
async def filled(house: House) -> Paid:
    """At least four of everything that is listed; who reads is called A/reader."""
    await house.issue("A", "reader", "registrar", "programme", "finance", "auditor", "coordinator")
    opened = await open_round(house, households=COUNT)
    await release(house, opened)
    for place in range(COUNT):
        other = await house.made("/v1/programmes", "A/programme", programme())
        await house.made("/v1/rounds", "A/programme", new_round(other["programme_id"]))
        await house.made("/v1/households", "A/registrar", registration())
        await open_case(house)
        await joined(house)
        for make in (a_proposal_of_rules, an_entry):
            path, who, body = await make(house)
            await house.made(path, who, body)
        household = opened.household_ids[place]
        await house.get(f"/v1/households/{household}?purpose=complaint", "A/registrar")
    return opened


async def walk(house: House, path: str, limit: int) -> tuple[list[dict], int]:
    items, after, pages = [], {}, 0
    while True:
        answer = await house.get(path, "A/reader", params={"limit": str(limit), **after})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert len(body["items"]) <= limit
        items += body["items"]
        pages += 1
        if body["next"] is None:
            return items, pages
        assert len(body["items"]) == limit
        after = {"after": body["next"]}


@pytest.mark.parametrize("path", LISTS)
async def test_a_walk_shows_each_item_once_and_ends(house: House, filled: Paid, path: str):
    where = path.format(round_id=filled.round_id, programme_id=filled.programme_id)
    whole, _ = await walk(house, where, 200)
    by = LISTS[path]
    keys = [item[by] for item in whole]
    assert len(set(keys)) == len(keys)
    assert keys == sorted(keys)
    assert (await walk(house, where, 7))[0] == whole


@pytest.mark.parametrize("limit", [1, 2, COUNT])
async def test_the_last_page_ends_when_the_count_is_a_multiple_of_the_limit(
    house: House, filled: Paid, limit: int
):
    items, pages = await walk(house, f"{filled.path}/payments", limit)
    assert (len(items), pages) == (COUNT, COUNT // limit)


async def test_a_full_page_of_cases_says_that_more_follow(house: House, filled: Paid):
    """The largest page is asked for with one more, which must not be cut off."""
    answer = await house.get("/v1/cases?limit=3", "A/reader")
    assert answer.json()["next"] == answer.json()["items"][-1]["case_id"]


async def test_an_empty_list_has_no_next_page(house: House):
    body = (await house.get("/v1/statements", "B/finance")).json()
    assert body == {"items": [], "next": None}


async def test_cases_are_listed_by_their_state(house: House, filled: Paid):
    for state in ("open", "assigned", "second_review", "disputed", "decided"):
        answer = await house.get(f"/v1/cases?state={state}", "A/reader")
        assert {row["state"] for row in answer.json()["items"]} <= {state}
