"""Runs and what was read for them, over HTTP."""

from collections.abc import AsyncIterator

import pytest

from api import rematch
from api.embedded import EmbeddedPostgres
from api.rematch import Going
from tests.api.house import House, open_house, own_database, registration


@pytest.fixture(scope="module")
async def house(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("runs")
    async with own_database(postgres) as name, open_house(postgres, name, str(folder)) as opened:
        yield opened


async def a_run(house: House, *partners: str) -> str:
    async with rematch.turn(house.service):
        run = await rematch.start(
            house.service, engine="local", partner_ids=[house.partners[one] for one in partners]
        )
        await Going(house.service, run, processes=1, told=lambda _: None).go()
    return str(run.run_id)


async def test_a_coordinator_sees_runs_newest_first_with_progress_and_numbers(house):
    await house.made("/v1/households", "A/registrar", registration())
    first, second = await a_run(house), await a_run(house, "B")
    page = (await house.get("/v1/dedup/runs?limit=1", "A/coordinator")).json()
    (row,) = page["items"]
    assert (row["run_id"], row["state"], row["phase"]) == (second, "finished", "finished")
    assert row["partners"] == [str(house.partners["B"])]
    assert row["counts"]["pairs"] == 0
    assert page["next"] == second
    page = (await house.get(f"/v1/dedup/runs?after={second}", "A/auditor")).json()
    assert [row["run_id"] for row in page["items"]] == [first]
    assert page["next"] is None
    async with rematch.turn(house.service):
        await rematch.start(house.service, engine="local")
        (row, *_) = (await house.get("/v1/dedup/runs", "A/coordinator")).json()["items"]
        assert (row["state"], row["phase"]) == ("running", "reading")
    (row, *_) = (await house.get("/v1/dedup/runs", "A/coordinator")).json()["items"]
    assert row["state"] == "interrupted"


@pytest.mark.parametrize("role", ["registrar", "programme", "adjudicator", "finance", "admin"])
async def test_others_see_neither_runs_nor_what_was_read(house, role):
    for path in ("/v1/dedup/runs", "/v1/access-log/bulk"):
        assert (await house.get(path, f"A/{role}")).status_code == 403


async def test_an_auditor_sees_that_a_household_was_opened_with_everybody(house):
    asked = registration()
    refused = registration()
    for consent in refused["consents"]:
        consent["granted"] = consent["kind"] != "duplicate_check"
    read, left_out = [
        (await house.made("/v1/households", "B/registrar", raw))["household_id"]
        for raw in (asked, refused)
    ]
    run_id = await a_run(house)
    pages = (await house.get(f"/v1/access-log/bulk?household_id={read}", "A/auditor")).json()
    (row,) = pages["items"]
    assert (row["request_id"], row["purpose"]) == (run_id, "duplicate check")
    assert left_out in row["left_out"]
    assert row["after_household"] < read <= row["upto_household"]
    for household_id in (left_out, "00000000-0000-0000-0000-000000000000"):
        answer = await house.get(f"/v1/access-log/bulk?household_id={household_id}", "A/auditor")
        assert answer.json()["items"] == []
    everything = (await house.get("/v1/access-log/bulk", "A/auditor")).json()["items"]
    numbers = [row["bulk_access_no"] for row in everything]
    assert numbers == sorted(numbers)
    assert len(numbers) >= 1
