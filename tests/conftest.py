"""One embedded PostgreSQL for the whole run; each test sees its own transaction or database."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import hypothesis
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api import db
from api.embedded import EmbeddedPostgres

# How long an example takes says more about a shared machine than about the code.
hypothesis.settings.register_profile("cbi", deadline=None)
hypothesis.settings.load_profile("cbi")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the whole journeys: a long file that comes last leaves the other process idle."""
    items.sort(key=lambda item: "walk" not in item.path.parts)


PARTNER_A = UUID("00000000-0000-4000-8000-00000000000a")
PARTNER_B = UUID("00000000-0000-4000-8000-00000000000b")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A migrated server in a short folder (a socket's path may have 107 bytes at most)."""
    with tempfile.TemporaryDirectory(prefix="cbi-test-") as folder:
        server = EmbeddedPostgres(Path(folder))
        asyncio.run(db.migrate(server.url("postgres")))
        yield server
        server.stop()


@pytest.fixture
async def owner_conn(postgres: EmbeddedPostgres) -> AsyncIterator[AsyncConnection]:
    """A superuser's connection, rolled back."""
    engine = db.connect(postgres.url("postgres"))
    async with engine.connect() as conn, conn.begin() as outer:
        yield conn
        await outer.rollback()
    await engine.dispose()


@pytest.fixture
async def engine(postgres: EmbeddedPostgres) -> AsyncIterator[AsyncEngine]:
    """The service's own engine, as the role that owns nothing."""
    engine = db.connect(postgres.url("cbi_app"))
    yield engine
    await engine.dispose()


def actor(partner_id: UUID = PARTNER_A, *roles: str, area: str = "") -> db.Actor:
    return db.Actor(
        actor_id=uuid4(),
        partner_id=partner_id,
        partner_code="test",
        roles=frozenset(roles or {"registrar", "programme", "finance"}),
        area=area,
    )


@pytest.fixture
async def conn(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """The service's transaction as partner A, rolled back after deferred checks have run."""
    async with engine.connect() as conn, conn.begin() as outer:
        await db.set_facts(conn, actor())
        yield conn
        if outer.is_active:
            await conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
            await outer.rollback()
