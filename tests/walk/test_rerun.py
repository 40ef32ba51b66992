"""SIGKILL in the middle of a run over everybody: resumed, it ends as if nothing had happened."""

import asyncio
import os
import sys
from pathlib import Path
from uuid import UUID

import asyncpg

from api import db
from api.embedded import EmbeddedPostgres
from dedup import runs
from tests.api.house import own_database
from tests.api.peopled import Place, open_place

HOUSEHOLDS = 90
# So few pairs for each transaction that the run dies between many.
COMMAND = (
    "from api import cli, rematch; rematch.PAIRS_PER_CHUNK = 3; cli.main()",
    *("dedup", "run", "--processes", "2", "--json"),
)
WAIT_SECONDS_MAX = 60.0


async def command(data_dir: Path, *more: str) -> asyncio.subprocess.Process:
    env = {name: value for name, value in os.environ.items() if not name.startswith("CBI_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", *COMMAND, *more),
        env=env | {"CBI_DATA_DIR": str(data_dir)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


async def until_it_waits(holder: asyncpg.Connection) -> None:
    """Return as soon as somebody waits for this transaction; looking is the only way to know."""
    mine = await holder.fetchval("SELECT pg_current_xact_id()::xid")
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = $1"
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not await holder.fetchval(query, mine):
            continue


async def kill_between(data_dir: Path, place: Place, homes: tuple[UUID, UUID]) -> None:
    """Kill a run as it opens the case of these two households, which somebody else holds up."""
    url = place.owner.url
    holder = await asyncpg.connect(host=url.query["host"], user=url.username, database=url.database)
    try:
        held = holder.transaction()
        await held.start()
        await holder.execute(
            "INSERT INTO dedup.match_case (household_a, household_b, partner_a, partner_b, reason,"
            " opened_at, opened_by, model_id, strength_bits) VALUES ($1, $2, uuidv7(), uuidv7(),"
            " 'duplicate', now(), uuidv7(), 'held', 1)",
            *homes,
        )
        running = await command(data_dir)
        await until_it_waits(holder)
        running.kill()
        await running.communicate()
        await held.rollback()
    finally:
        await holder.close()


async def states(place: Place) -> list[str]:
    async with place.acting(db.SYSTEM) as conn:
        return [view.state for view in await runs.list_runs(conn)]


async def test_a_run_killed_while_opening_cases_goes_on_to_the_same_cases(
    data_dir: Path, database: EmbeddedPostgres
) -> None:
    await db.migrate(database.url("postgres"))
    async with open_place(database, data_dir, "cbi") as place:
        await place.partners()
        await place.people(households=HOUSEHOLDS)
        # A database is copied only while nobody is connected to it.
        await place.service.engine.dispose()
        await place.owner.dispose()
        async with (
            own_database(database) as name,
            open_place(database, data_dir, name) as undisturbed,
        ):
            ended = await undisturbed.run()
            expected = await undisturbed.cases()
        assert ended.opened == len(expected) > 8
        middle = sorted(expected)[len(expected) // 2]
        await kill_between(data_dir, place, middle)
        assert await states(place) == ["interrupted"]
        begun = await place.cases()
        assert 0 < len(begun) < len(expected)
        assert middle not in begun
        resumed = await command(data_dir, "--resume")
        _, told = await asyncio.wait_for(resumed.communicate(), WAIT_SECONDS_MAX)
        assert resumed.returncode == 0, told.decode()
        assert await states(place) == ["finished"]
        assert await place.cases() == expected
        again = await place.run()
        assert (again.opened, again.unchanged) == (0, len(expected))
