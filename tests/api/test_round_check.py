"""A round's list is checked before it is paid, and again when that is too long ago."""

from datetime import timedelta

from api import clock
from tests.api.house import House, open_round


async def test_a_prepared_round_is_not_checked_again_to_be_prepared_again(house: House):
    opened = await open_round(house)
    for step in ("calculate", "prepare"):
        await house.made(f"{opened.path}/{step}", "A/first")
    shown = (await house.get(opened.path, "A/finance")).json()["checked"]
    assert (shown["check_no"], shown["payments"], shown["unread"], shown["cases"]) == (1, 1, 0, 0)
    again = await house.post(f"{opened.path}/prepare", "A/second")
    assert again.json()["type"] == "urn:cbi:problem:step-done"
    renewed = await house.made(f"{opened.path}/check", "A/third")
    assert renewed["check_no"] == 2
    assert renewed["list_digest"] == shown["list_digest"]


async def test_a_stale_check_is_told_and_renewed_over_http(house: House, monkeypatch):
    opened = await open_round(house)
    now = clock.now
    with monkeypatch.context() as past:
        past.setattr(clock, "now", lambda: now() - timedelta(hours=25))
        await house.made(f"{opened.path}/calculate", "A/first")
        await house.made(f"{opened.path}/prepare", "A/first")
        await house.made(f"{opened.path}/review", "A/second")
    stale = await house.post(f"{opened.path}/approve", "A/third")
    assert (stale.status_code, stale.json()["type"]) == (409, "urn:cbi:problem:check-stale")
    await house.made(f"{opened.path}/check", "A/second")
    await house.made(f"{opened.path}/approve", "A/third")
