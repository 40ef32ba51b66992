"""Notices are delivered to a real endpoint, signed; what may not be called is not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from standardwebhooks import Webhook as Independent

from api import clock, messages
from api.embedded import EmbeddedPostgres
from api.post import Sender
from cbi import outbox
from cbi.vault import Vault
from cbi.webhook import secret_text
from cbi.who import Who
from tests.api.endpoint import Endpoint, certified, serving
from tests.api.house import House, open_case, open_house, own_database
from tests.api.peopled import Place, open_place
from tests.cbi.world import ALFA, BETA, again, family, registered

SENDER = Sender(local=True, seconds_max=5)
BODY = b'{"type":"x"}'


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with serving() as one:
        yield one


async def posted(endpoint: Endpoint, sender: Sender = SENDER, host: str = "127.0.0.1"):
    url = f"http://{host}:{endpoint.port}/hook?a=b"
    tried = await sender.post(url, headers={"webhook-id": "1"}, body=BODY)
    return tried.why, tried.status


@pytest.mark.parametrize(
    ("status", "why"),
    [(200, "delivered"), (204, "delivered"), (400, "status"), (404, "status"), (410, "gone"),
     (429, "status"), (500, "status"), (503, "status")],
)  # fmt: skip
async def test_what_an_endpoint_answers_is_told(endpoint: Endpoint, status: int, why: str):
    endpoint.status = status
    assert await posted(endpoint) == (why, status)
    ((headers, body),) = endpoint.got
    assert headers[""] == "POST /hook?a=b HTTP/1.1"
    assert headers["host"] == f"127.0.0.1:{endpoint.port}"
    assert body == BODY


async def test_a_redirect_is_not_followed(endpoint: Endpoint):
    async with serving() as elsewhere:
        endpoint.status = 307
        endpoint.headers = f"Location: http://127.0.0.1:{elsewhere.port}/\r\n"
        assert await posted(endpoint) == ("redirect", 307)
        assert elsewhere.got == []


async def test_one_that_does_not_answer_is_given_up(endpoint: Endpoint):
    endpoint.hangs = True
    assert await posted(endpoint, Sender(local=True, seconds_max=0.2)) == ("timeout", None)


async def test_one_that_hangs_up_or_is_not_there_is_unreachable(endpoint: Endpoint):
    endpoint.breaks = True
    assert await posted(endpoint) == ("unreachable", None)
    endpoint.babbles, endpoint.breaks = True, False
    assert await posted(endpoint) == ("unreachable", None)
    async with serving() as closed:
        pass
    assert await posted(closed) == ("unreachable", None)


async def test_a_proxy_of_the_environment_is_not_used(endpoint: Endpoint, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await posted(endpoint) == ("delivered", 204)


async def test_loopback_is_called_in_development_only(endpoint: Endpoint):
    assert await posted(endpoint, Sender(local=False)) == ("address", None)
    assert endpoint.got == []


def named(*addresses: str) -> Sender:
    """A sender whose every name has these addresses."""

    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return Sender(local=False, resolve=resolve, seconds_max=5)


@pytest.mark.parametrize(
    "addresses",
    [(), ("127.0.0.1",), ("10.0.0.1",), ("::1",), ("8.8.8.8", "127.0.0.1"), ("169.254.169.254",)],
)
async def test_a_name_that_leads_into_a_private_network_is_not_called(endpoint, addresses):
    tried = await named(*addresses).post(
        f"https://hooks.example:{endpoint.port}/", headers={}, body=BODY
    )
    assert tried.why == "address"
    assert endpoint.got == []


async def test_a_name_that_nobody_knows_is_told():
    tried = await Sender(local=False).post("https://hooks.invalid/", headers={}, body=BODY)
    assert tried.why == "unresolved"


async def test_the_certificate_must_be_the_names_though_an_address_is_called(tmp_path):
    for name, why in (("localhost", "delivered"), ("other.example", "unreachable")):
        served, trusting = certified(tmp_path, name)
        async with serving(served) as endpoint:
            url = f"https://localhost:{endpoint.port}/"
            sender = Sender(local=True, context=trusting, seconds_max=5)
            assert (await sender.post(url, headers={}, body=BODY)).why == why
            # One that is not trusted at all.
            assert (await SENDER.post(url, headers={}, body=BODY)).why == "unreachable"
            hosts = {headers["host"] for headers, _ in endpoint.got}
            assert hosts <= {f"localhost:{endpoint.port}"}


@pytest.fixture
async def place(postgres: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Place]:
    """A service without its background, where one case waits for ALFA and BETA."""
    async with own_database(postgres) as name, open_place(postgres, tmp_path, name) as opened:
        await opened.partners()
        for raw, who in ((family(1), ALFA), (again(family(1)), BETA)):
            async with opened.acting(who) as conn:
                await registered(conn, raw, who)
        yield opened


async def hooked(place: Place, endpoint: Endpoint, who=ALFA) -> Independent:
    async with place.acting(who) as conn:
        _, secret = await outbox.add_webhook(
            conn,
            f"http://127.0.0.1:{endpoint.port}/hook",
            webhook_id=clock.new_id(),
            local=True,
            vault=place.service.vault,
            who=Who(partner_id=who.partner_id, actor_id=who.actor_id, at=clock.now()),
        )
    return Independent(secret_text(secret))


async def test_a_notice_arrives_once_and_its_signature_is_verified_elsewhere(place, endpoint):
    verifier = await hooked(place, endpoint)
    assert await messages.sweep(place.service) == 2
    assert await messages.sweep(place.service) == 0
    assert await messages.deliver(place.service, SENDER) == 1
    assert await messages.deliver(place.service, SENDER) == 0
    ((headers, body),) = endpoint.got
    told = verifier.verify(body, headers)
    assert (told["type"], told["message"]) == ("cases.waiting", None)
    # A day has begun since the case was opened, or years: when this runs decides.
    assert told["data"]["waiting"] == 1
    assert UUID(headers["webhook-id"])


async def test_a_failed_notice_comes_again_under_the_same_id(place, endpoint, monkeypatch):
    verifier = await hooked(place, endpoint)
    await messages.sweep(place.service)
    endpoint.status = 500
    assert await messages.deliver(place.service, SENDER) == 1
    assert await messages.deliver(place.service, SENDER) == 0
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(seconds=11))
    endpoint.status = 200
    assert await messages.deliver(place.service, SENDER) == 1
    (first, body), (second, same) = endpoint.got
    assert (first["webhook-id"], body) == (second["webhook-id"], same)
    assert first["webhook-timestamp"] < second["webhook-timestamp"]
    verifier.verify(same, second)


async def test_who_dies_while_sending_leaves_the_notice_to_another(place, endpoint, monkeypatch):
    await hooked(place, endpoint)
    await messages.sweep(place.service)
    async with place.acting(messages.MESSENGER) as conn:
        (lost,) = await outbox.claim(conn, at=clock.now(), most=9)
    assert await messages.deliver(place.service, SENDER) == 0
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(seconds=61))
    assert await messages.deliver(place.service, SENDER) == 1
    assert endpoint.got[0][0]["webhook-id"] == str(lost.notice_id)


async def test_an_endpoint_that_is_gone_is_called_no_more(place, endpoint):
    await hooked(place, endpoint)
    endpoint.status = 410
    await messages.sweep(place.service)
    assert await messages.deliver(place.service, SENDER) == 1
    ended = "SELECT because FROM cbi.webhook_end"
    assert await place.one(ended) == "gone"
    assert await messages.deliver(place.service, SENDER) == 0


async def test_one_that_hangs_does_not_keep_another_from_being_told(place, endpoint):
    async with serving() as slow:
        slow.hangs = True
        await hooked(place, slow, BETA)
        await hooked(place, endpoint)
        await messages.sweep(place.service)
        assert await messages.deliver(place.service, Sender(local=True, seconds_max=0.5)) == 2
    assert len(endpoint.got) == len(slow.got) == 1
    why = "SELECT string_agg(why, ' ' ORDER BY why) FROM cbi.delivery_end"
    assert await place.one(why) == "delivered timeout"


async def test_one_that_can_not_be_signed_is_listed_and_the_others_go_out(place, endpoint):
    await hooked(place, endpoint)
    async with place.acting(BETA) as conn:
        # Another key's: as when a key was lost.
        await outbox.add_webhook(
            conn,
            f"http://127.0.0.1:{endpoint.port}/lost",
            webhook_id=clock.new_id(),
            local=True,
            vault=Vault({"lost": b"x" * 32}),
            who=Who(partner_id=BETA.partner_id, actor_id=BETA.actor_id, at=clock.now()),
        )
    await messages.sweep(place.service)
    assert await messages.deliver(place.service, SENDER) == 2
    assert len(endpoint.got) == 1
    assert await place.one("SELECT count(*) FROM cbi.delivery_end WHERE why = 'unreadable'") == 1


async def test_a_running_service_sweeps_and_delivers_by_itself(postgres, tmp_path, endpoint):
    async with own_database(postgres) as name:
        async with open_place(postgres, tmp_path, name) as opened:
            await opened.partners()
            for raw, who in ((family(1), ALFA), (again(family(1)), BETA)):
                async with opened.acting(who) as conn:
                    await registered(conn, raw, who)
            verifier = await hooked(opened, endpoint)
        async with open_house(postgres, name, str(tmp_path)) as house:
            async with asyncio.timeout(60):
                await endpoint.arrived.wait()
            headers, body = endpoint.got[0]
            assert verifier.verify(body, headers)["data"]["waiting"] == 1
            assert await house.sql("SELECT count(*) FROM cbi.delivery") == 1


async def test_an_organisation_sees_its_own_webhooks_and_notices_only(house: House):
    added = await house.made("/v1/webhooks", "B/programme", {"url": "https://hooks.invalid/b"})
    assert added["secret"].startswith("whsec_")
    listed = await house.get("/v1/webhooks", "B/admin")
    assert added["secret"] not in listed.text
    assert added["webhook_id"] in listed.text
    assert added["webhook_id"] not in (await house.get("/v1/webhooks", "A/admin")).text
    path = f"/v1/webhooks/{added['webhook_id']}/closing"
    assert (await house.post(path, "A/programme")).status_code == 404
    await house.made(path, "B/programme")
    assert (await house.post(path, "B/programme")).status_code == 404
    for url in ("http://hooks.example/", "https://10.0.0.1/"):
        refused = await house.post("/v1/webhooks", "B/programme", {"url": url})
        assert refused.status_code == 422
    await open_case(house)
    await messages.sweep(house.service)
    for who in ("A/programme", "B/programme"):
        found = (await house.get("/v1/notices", who, params={"limit": "200"})).json()["items"]
        assert {row["kind"] for row in found} >= {"cases.waiting"}
    only = await house.get("/v1/notices", "B/programme", params={"state": "delivered"})
    assert only.json()["items"] == []
