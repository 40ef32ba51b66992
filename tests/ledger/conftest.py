"""A database of its own for tests that commit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from api import db
from api.embedded import EmbeddedPostgres
from tests.conftest import actor


class OwnDatabase(msgspec.Struct, frozen=True):
    """The service's engine and a superuser's on a fresh copy of the migrated database."""

    app: AsyncEngine
    owner: AsyncEngine

    @asynccontextmanager
    async def begin(self, who: db.Actor | None = None) -> AsyncIterator[AsyncConnection]:
        async with db.transaction(self.app, who or actor()) as conn:
            yield conn

    async def tamper(self, *statements: str, **facts: object) -> None:
        """Do as a superuser what no trigger and no foreign key stops any more."""
        async with self.owner.begin() as conn:
            for table in (
                *("account", "transfer", "leaf", "mark", "checkpoint", "delta", "snapshot"),
                *("outcome", "attempt", "giveback", "digest", "period", "exchange"),
            ):
                await conn.execute(text(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL"))
            for statement in statements:
                await conn.execute(text(statement), facts)


@asynccontextmanager
async def own_database(postgres: EmbeddedPostgres) -> AsyncIterator[OwnDatabase]:
    """A fresh copy of the migrated database, for those who commit; then dropped."""
    name = f"ledger_{uuid4().hex[:12]}"
    server = postgres.url("postgres").replace("/cbi?", "/postgres?")
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with admin.connect() as conn:
        await conn.execute(text(f"CREATE DATABASE {name} TEMPLATE cbi"))
    database = OwnDatabase(
        app=db.connect(postgres.url("cbi_app").replace("/cbi?", f"/{name}?")),
        owner=db.connect(postgres.url("postgres").replace("/cbi?", f"/{name}?")),
    )
    yield database
    await database.app.dispose()
    await database.owner.dispose()
    async with admin.connect() as conn:
        await conn.execute(text(f"DROP DATABASE {name}"))
    await admin.dispose()


@pytest.fixture
async def own(postgres: EmbeddedPostgres) -> AsyncIterator[OwnDatabase]:
    async with own_database(postgres) as database:
        yield database
