"""What stays when a request is refused, and what is not held while one is still coming in."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.api.house import House, programme, registration


async def test_an_opened_identity_stays_in_the_access_log_when_the_request_is_refused(
    house: House,
):
    raw = registration()
    raw.pop("instrument")
    receipt = await house.made("/v1/households", "A/registrar", raw)
    opened = await house.made("/v1/programmes", "A/programme", programme())
    body = {"household_id": receipt["household_id"]}
    refused = await house.post(
        f"/v1/programmes/{opened['programme_id']}/enrolments", "A/programme", body
    )
    assert refused.json()["type"] == "urn:cbi:problem:no-instrument"
    log = await house.get(f"/v1/access-log?household_id={body['household_id']}", "A/auditor")
    entries = [entry for entry in log.json()["items"] if entry["purpose"] == "enrolment"]
    assert [entry["request_id"] for entry in entries] == [refused.headers["X-Request-ID"]]


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/v1/imports?format=json&ubigeo_system=inei", "A/registrar"),
        ("/v1/households", "A/registrar"),
        ("/v1/statements", "A/finance"),
    ],
)
async def test_a_body_that_comes_slowly_holds_no_connection(house: House, path, who):
    held = []

    async def slowly() -> AsyncIterator[bytes]:
        content = json.dumps(registration()).encode()
        for place in range(0, len(content), 400):
            held.append(house.service.engine.pool.checkedout())
            yield content[place : place + 400]

    answer = await house.client.post(
        path,
        content=slowly(),
        headers={
            "Authorization": f"Bearer {house.keys[who]}",
            "Content-Type": "application/json",
        },
    )
    assert answer.status_code < 500
    assert len(held) > 1
    assert set(held) == {0}
