"""The worked example of docs/messages.md happens as it is written."""

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import get_args

import msgspec

from api import clock, messages
from api.post import Sender
from cbi.own_text import PersonKind, allowed
from cbi.webhook import Kind
from tests.api.endpoint import Endpoint, serving
from tests.api.house import House, open_house, own_database, registration
from tests.cbi.world import consent

PAGE = (Path(__file__).parents[2] / "docs" / "messages.md").read_text(encoding="utf-8")
LETTERS = {"ALFA": "A"}
CALL = re.compile(
    r"^(\w+) (\w+): (GET|POST) (\S+)(?: (\{.*\}|FAMILY))?\n→ (\d+) (\{.*\})$", re.MULTILINE
)
SENDER = Sender(local=True, seconds_max=5)


def reachable() -> dict:
    family = registration()
    return {**family, "consents": [*family["consents"], consent("contact")]}


def at_noon(monkeypatch) -> None:
    """Let it be noon in Peru, later today or tomorrow."""
    now = clock.now
    ahead = timedelta(hours=(17 - now().hour) % 24)
    monkeypatch.setattr(clock, "now", lambda: now() + ahead)
    monkeypatch.setattr(clock, "today", (now() + ahead).date)


async def play(house: House, endpoint: Endpoint) -> dict[str, str]:
    """Make the calls of the page; returns what they told."""
    known: dict[str, str] = {}
    calls = CALL.findall(PAGE)
    assert len(calls) == PAGE.count("\n→ ") == 8
    for partner, role, method, path, sent, status, expected in calls:
        body = {"json": reachable() if sent == "FAMILY" else None}
        if sent not in ("", "FAMILY"):
            hook = f"http://127.0.0.1:{endpoint.port}/hook"
            body = {"json": json.loads(sent.replace("HOOK", hook))}
        where = path.format_map(known)
        answer = await house.call(method, where, f"{LETTERS[partner]}/{role}", **body)
        assert answer.status_code == int(status), (path, answer.text)
        told = answer.json()
        assert json.loads(expected).items() <= told.items(), answer.text
        known |= {
            name: told[name] for name in ("text_id", "secret", "household_id") if name in told
        }
    return known


async def test_the_example_of_the_page_happens_as_it_is_written(postgres, tmp_path, monkeypatch):
    at_noon(monkeypatch)
    async with (
        serving() as endpoint,
        own_database(postgres) as name,
        open_house(postgres, name, str(tmp_path)) as house,
    ):
        known = await play(house, endpoint)
        await messages.sweep(house.service)
        await messages.deliver(house.service, SENDER)
        async with asyncio.timeout(30):
            await endpoint.arrived.wait()
    ((headers, body),) = endpoint.got
    assert headers["webhook-signature"].startswith("v1,")
    told = json.loads(body)
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    del told["timestamp"]
    assert told == json.loads(shown.replace("HOUSEHOLD", known["household_id"]))


def test_the_page_names_every_kind_and_everything_that_is_filled_in():
    words = {*get_args(Kind), *get_args(PersonKind)}
    words |= {f"{{{name}}}" for kind in get_args(PersonKind) for name in allowed(kind)}
    assert {word for word in words if f"`{word}`" not in PAGE} == set()


async def test_an_organisation_sees_its_own_texts_only(house: House):
    words = {"kind": "person.review", "language": "en", "words": "Please come."}
    made = await house.made(
        "/v1/message-texts", "B/programme", {**words, "effective_from": "2026-01-01"}
    )
    listed = await house.get("/v1/message-texts", "B/admin", params={"limit": "200"})
    assert made["text_id"] in {row["text_id"] for row in listed.json()["items"]}
    others = await house.get("/v1/message-texts", "A/admin", params={"limit": "200"})
    assert made["text_id"] not in others.text
    path = f"/v1/message-texts/{made['text_id']}/approval"
    assert (await house.post(path, "A/admin")).status_code == 404
    await house.made(path, "B/admin")
    again = await house.post(path, "B/admin")
    assert (again.status_code, again.json()["type"]) == (409, "urn:cbi:problem:text-approved")
    # What is said today, once it is approved.
    del words["words"]
    shown = (await house.post("/v1/message-texts/preview", "B/programme", words)).json()
    assert (shown["text"], shown["version"]) == ("Please come.", made["version"])
    refused = await house.post(
        "/v1/message-texts",
        "B/programme",
        {**words, "words": "Your cash: http://x", "effective_from": "2026-01-01"},
    )
    assert refused.status_code == 422
    assert [each["fault"] for each in refused.json()["faults"]] == ["link", "revealing"]
    assert "http://x" not in refused.text


def test_the_revealing_words_are_in_order_and_once():
    content = (Path(__file__).parents[2] / "cbi" / "revealing.json").read_bytes()
    words = msgspec.json.decode(content)["words"]
    assert words == sorted(set(words))
