"""SIGKILL in the middle of registering, releasing and reconciling loses and doubles nothing."""

import asyncio
import tempfile
from pathlib import Path

import asyncpg
import httpx
from sqlalchemy import text

from api import settings
from api.db import SYSTEM, transaction
from api.demo import stage
from api.demo.play import Outcome
from api.embedded import EmbeddedPostgres
from api.state import Service, open_service
from tests.walk.conftest import HOUSEHOLDS
from tests.walk.served import Served
from tests.walk.test_journey import assert_it_ties, quiet, without_time

WAIT_SECONDS_MAX = 20.0
# Path (beginning, end), which request of that path (the first two releases are refused), and a
# table that the request writes late in its transaction.
BLOWS = (
    ("/v1/imports", "", 1, "dedup.match_case"),
    ("/v1/households", "", 5, "cbi.membership"),
    ("/v1/rounds/", "/release", 3, "cbi.payment_file"),
    ("/v1/statements", "", 3, "ledger.statement_line"),
    ("/v1/reconciliations", "", 2, "ledger.delta"),
)


class Killed(Exception):
    """The service was killed as planned."""


class Assassin(httpx.AsyncBaseTransport):
    """Passes requests on, until one is due: it is stopped inside its transaction, and killed."""

    def __init__(self, served: Served, database: EmbeddedPostgres) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self._served = served
        self._socket_dir = str(database.socket_dir)
        self.left = list(BLOWS)
        self._seen = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.left and self._is_due(request):
            *_, table = self.left.pop(0)
            self._seen = 0
            await self._kill_inside(request, table)
            raise Killed
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close with the client, and be ready for the next one."""
        await self._inner.aclose()
        self._inner = httpx.AsyncHTTPTransport()

    def _is_due(self, request: httpx.Request) -> bool:
        start, end, count, _ = self.left[0]
        path = request.url.path
        if request.method == "POST" and path.startswith(start) and path.endswith(end):
            self._seen += 1
        return self._seen == count

    async def _kill_inside(self, request: httpx.Request, table: str) -> None:
        """Hold a table that the request must write, wait until it waits for it, and kill."""
        holder = await asyncpg.connect(host=self._socket_dir, user="postgres", database="cbi")
        try:
            async with holder.transaction():
                await holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                sent = asyncio.create_task(self._inner.handle_async_request(request))
                await until_it_waits(holder, table)
                await self._served.kill()
                answered = (await asyncio.gather(sent, return_exceptions=True))[0]
                assert isinstance(answered, httpx.HTTPError)
        finally:
            await holder.close()


async def until_it_waits(holder: asyncpg.Connection, table: str) -> None:
    """Return as soon as somebody waits for the table; looking is the only way to know."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass"
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not await holder.fetchval(query, table):
            continue


async def test_a_service_killed_in_every_step_loses_and_doubles_nothing(
    data_dir: Path, database: EmbeddedPostgres, service: Service, state: stage.State
) -> None:
    async with Served(data_dir) as served:
        assassin = Assassin(served, database)
        kills = 0
        while True:
            try:
                async with httpx.AsyncClient(
                    base_url=served.url, transport=assassin, timeout=60
                ) as client:
                    outcome = await stage.perform(data_dir, client, state, quiet)
                break
            except Killed:
                kills += 1
                await served.start()
        assert kills == len(BLOWS)
    assert_it_ties(outcome)
    assert await counts(service) == expected_counts(outcome)
    assert same_every_time(outcome) == same_every_time(await undisturbed())


async def undisturbed() -> Outcome:
    """The same example without a blow, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="cbi-walk-") as folder:
        data_dir = Path(folder)
        database = EmbeddedPostgres(data_dir)
        try:
            async with Served(data_dir) as served:
                loaded = settings.load({"CBI_DATA_DIR": folder})
                service = open_service(loaded, database_url=database.url("cbi_app"))
                state = await stage.set_up(service, households=HOUSEHOLDS)
                await service.engine.dispose()
                async with httpx.AsyncClient(base_url=served.url, trust_env=False) as client:
                    return await stage.perform(data_dir, client, state, quiet)
        finally:
            database.stop(whoever_holds=True)


def same_every_time(outcome: Outcome) -> dict[str, object]:
    """Which payment is the one that comes back is by chance, and so are the sums moved for it."""
    facts = without_time(outcome)
    return {name: fact for name, fact in facts.items() if not name.startswith("ledger_")}


async def counts(service: Service) -> dict[str, int]:
    """What stands in the tables, counted by one who may see all of it."""
    async with transaction(service.engine, SYSTEM) as conn:
        kinds = await conn.execute(
            text("SELECT kind, count(*) FROM ledger.transfer GROUP BY kind ORDER BY kind")
        )
        attempts = await conn.scalar(text("SELECT count(*) FROM ledger.attempt"))
        doubled = await conn.scalar(
            text(
                "SELECT count(*) FROM (SELECT beneficiary_id FROM cbi.entitlement"
                " GROUP BY beneficiary_id HAVING count(*) > 1) AS twice"
            )
        )
        return {
            **{row.kind: row.count for row in kinds},
            "attempts": int(attempts or 0),
            "families paid twice": int(doubled or 0),
        }


def expected_counts(outcome: Outcome) -> dict[str, int]:
    """Each payment is reserved once; delivered, rejected and returned ones are booked once."""
    return {
        "adjust": 3 + outcome.returned,  # three rounds instructed, what came back is free again
        "fund": 3 + 3,  # three deposits, three rounds
        "post": 2 * (outcome.delivered + outcome.returned),
        "reserve": outcome.instructed,
        "reverse": 2 * outcome.returned,
        "void": outcome.rejected,
        "attempts": outcome.instructed,
        "families paid twice": 0,
    }
