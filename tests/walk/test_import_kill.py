"""SIGKILL while a file is staged and registered: each household is there once, with its check."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import asyncpg
import httpx
from sqlalchemy import insert, text

from api import auth, clock
from api.db import SYSTEM, transaction
from api.embedded import EmbeddedPostgres
from api.importing import REGISTERED_AT_ONCE
from api.state import Service
from cbi import tables
from tests.cbi.world import family
from tests.walk.served import Served
from tests.walk.test_kill import until_it_waits

HOUSEHOLDS = 4 * REGISTERED_AT_ONCE - 100
# Families of the first ones again: their cases are opened in other chunks.
TWINS = 20
WAIT_SECONDS_MAX = 60


async def hired(service: Service) -> str:
    """A partner with a registrar; returns the key."""
    partner_id, actor_id = clock.new_id(), clock.new_id()
    async with transaction(service.engine, SYSTEM) as conn:
        await conn.execute(
            insert(tables.partner).values(
                partner_id=partner_id, code="ALFA", name="Alfa", contact="", added_at=clock.now()
            )
        )
        await auth.add_actor(
            conn, actor_id=actor_id, partner_id=partner_id, handle="ana", at=clock.now()
        )
        return await auth.issue(
            conn,
            key_id=clock.new_id(),
            actor_id=actor_id,
            roles=("registrar",),
            area="",
            at=clock.now(),
            expires_at=clock.now() + timedelta(days=1),
        )


@asynccontextmanager
async def client_of(served: Served, key: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=served.url, headers=headers, trust_env=False, timeout=30
    ) as client:
        yield client


async def killed_while_writing(served: Served, database: EmbeddedPostgres, table: str) -> None:
    """Hold a table that a chunk must write, wait until it waits for it, kill, and start anew."""
    holder = await asyncpg.connect(host=str(database.socket_dir), user="postgres", database="cbi")
    try:
        async with holder.transaction():
            await holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            await until_it_waits(holder, table)
            await served.kill()
    finally:
        await holder.close()
    await served.start()


async def until(client: httpx.AsyncClient, path: str, *, registered: int) -> dict:
    """Look until so many rows are registered."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            standing = (await client.get(path)).json()
            if standing["registered"] >= registered:
                return standing


async def test_a_file_killed_at_work_on_is_taken_in_once(
    data_dir: Path, database: EmbeddedPostgres, service: Service
) -> None:
    raws = [family(number, size=1) for number in range(HOUSEHOLDS - TWINS)]
    raws += [family(number, size=1) | {"reference": f"twin-{number}"} for number in range(TWINS)]
    content = json.dumps(raws).encode()
    key = await hired(service)
    async with Served(data_dir) as served:
        async with client_of(served, key) as client:
            declared = {"format": "json", "ubigeo_system": "inei", "accept_valid": True}
            facts = {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
            opened = (await client.post("/v1/imports/uploads", json=declared | facts)).json()
            path = f"/v1/imports/{opened['import_id']}"
            sent = client.put(
                f"/v1/imports/uploads/{opened['import_id']}/pieces/1", content=content
            )
            assert (await sent).status_code == 200
        await killed_while_writing(served, database, "cbi.import_row")
        await killed_while_writing(served, database, "cbi.import_outcome")
        async with client_of(served, key) as client:
            await until(client, path, registered=REGISTERED_AT_ONCE)
        await killed_while_writing(served, database, "cbi.import_outcome")
        async with client_of(served, key) as client:
            standing = await until(client, path, registered=HOUSEHOLDS)
            rows = (await client.get(f"{path}/rows?status=review&limit=200")).json()["items"]
            assert len(rows) == TWINS
    assert (standing["clear"], standing["review"]) == (HOUSEHOLDS - TWINS, TWINS)
    async with transaction(service.engine, SYSTEM) as conn:
        await conn.execute(text("SET LOCAL app.roles = 'worker,auditor'"))
        ends = await conn.execute(text("SELECT state, count(*) FROM cbi.job_standing GROUP BY 1"))
        assert {row.state: row.count for row in ends} == {"done": 2}
        cases = await conn.scalar(text("SELECT count(*) FROM dedup.match_case"))
        assert cases == TWINS
    owner = await asyncpg.connect(host=str(database.socket_dir), user="postgres", database="cbi")
    try:
        for table in ("cbi.household", "cbi.membership", "cbi.data_key", "cbi.import_outcome"):
            assert await owner.fetchval(f"SELECT count(*) FROM {table}") == HOUSEHOLDS
    finally:
        await owner.close()
