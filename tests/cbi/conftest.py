"""The made-up world in a transaction that is rolled back, and in a database of its own."""

import asyncio
import itertools
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from api import db
from api.embedded import EmbeddedPostgres
from tests.cbi.world import ALFA, add_partners


class Crash(Exception):
    """The program died here."""


@types.coroutine
def cancelled_at(place, coroutine):
    """Run a coroutine and cancel the task at its await number `place` that waits for something."""
    steps = coroutine.__await__()
    resume, value = steps.send, None
    for number in itertools.count():
        try:
            waits_for = resume(value)
        except StopIteration as done:
            return done.value
        if number == place:
            asyncio.current_task().cancel()
        try:
            value, resume = (yield waits_for), steps.send
        except BaseException as error:  # noqa: BLE001 -- handed on to the coroutine
            value, resume = error, steps.throw
    return None


class OwnDatabase(msgspec.Struct, frozen=True):
    """The service's engine and a superuser's on a fresh copy of the migrated database."""

    app: AsyncEngine
    owner: AsyncEngine

    @asynccontextmanager
    async def begin(self, who: db.Actor | None = ALFA) -> AsyncIterator[AsyncConnection]:
        async with db.transaction(self.app, who) as conn:
            yield conn

    @asynccontextmanager
    async def dying(self, at_statement: int) -> AsyncIterator[AsyncConnection]:
        """A transaction of the service that dies before its statement number `at_statement`."""
        left = [at_statement]

        def die(*_: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Crash

        async with self.app.begin() as conn:
            event.listen(conn.sync_connection, "before_cursor_execute", die)
            try:
                yield conn
            finally:
                event.remove(conn.sync_connection, "before_cursor_execute", die)

    async def waits(self, task: asyncio.Task[object]) -> bool:
        """Say whether the task comes to wait for a lock; False when it ends without."""
        async with self.owner.connect() as conn:
            while not task.done():
                if await conn.scalar(text("SELECT bool_or(NOT granted) FROM pg_locks")):
                    return True
                await asyncio.wait({task}, timeout=0.01)
        return False

    async def rows(self) -> dict[str, int]:
        """How many rows every table has, whoever may see them."""
        async with self.owner.connect() as conn:
            names = await conn.scalars(
                text(
                    "SELECT table_schema || '.' || table_name FROM information_schema.tables"
                    " WHERE table_schema IN ('cbi', 'dedup', 'ledger')"
                    " AND table_type = 'BASE TABLE' ORDER BY 1"
                )
            )
            return {
                name: (await conn.execute(text(f"SELECT count(*) FROM {name}"))).scalar_one()
                for name in names.all()
            }


@pytest.fixture
async def conn(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """The service's transaction as a registrar of partner A, rolled back; partners are there."""
    async with engine.connect() as conn, conn.begin() as outer:
        await add_partners(conn)
        await db.set_facts(conn, ALFA, request_id="request-0")
        yield conn
        if outer.is_active:
            await conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
            await outer.rollback()


@pytest.fixture
async def own(postgres: EmbeddedPostgres) -> AsyncIterator[OwnDatabase]:
    name = f"cbi_{uuid4().hex[:12]}"
    server = postgres.url("postgres").replace("/cbi?", "/postgres?")
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with admin.connect() as conn:
        await conn.execute(text(f"CREATE DATABASE {name} TEMPLATE cbi"))
    database = OwnDatabase(
        app=db.connect(postgres.url("cbi_app").replace("/cbi?", f"/{name}?")),
        owner=db.connect(postgres.url("postgres").replace("/cbi?", f"/{name}?")),
    )
    async with database.begin() as conn:
        await add_partners(conn)
    yield database
    await database.app.dispose()
    await database.owner.dispose()
    async with admin.connect() as conn:
        await conn.execute(text(f"DROP DATABASE {name}"))
    await admin.dispose()
