"""The database: engine, transactions and migrations. Transactions are opened here only."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import msgspec
from alembic import command
from alembic.config import Config
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from cbi import attempts
from cbi.identities import Opening, log_opening

MIGRATIONS = Path(__file__).parent.parent / "migrations"


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts: a person at a partner, with what they may do and where."""

    actor_id: UUID
    partner_id: UUID
    partner_code: str
    roles: frozenset[str]
    area: str = ""
    # By which key they act; long work ends when it is revoked.
    key_prefix: str | None = None


# Migrates, issues keys and seals: nobody's registrations, everybody's ledger.
SYSTEM = Actor(
    actor_id=UUID(int=0),
    partner_id=UUID(int=0),
    partner_code="SYSTEM",
    roles=frozenset({"admin", "auditor", "sealer"}),
)
# Takes up jobs, and ends those that nobody's rights carry any more.
WORKER = msgspec.structs.replace(SYSTEM, partner_code="WORKER", roles=frozenset({"worker"}))


def connect(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """Make an engine whose statements, waits and idle transactions all have a limit."""
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        # The text of an error must not quote what was written.
        hide_parameters=True,
        # Several times as fast as the standard library's.
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
        connect_args={
            "timeout": 10,
            "server_settings": {
                "application_name": "cbi",
                "statement_timeout": "60s",
                "lock_timeout": "20s",
                "idle_in_transaction_session_timeout": "120s",
            },
        },
    )
    event.listen(engine.sync_engine, "checkout", _replace_closed)
    return engine


def _replace_closed(connection: DBAPIConnection, record: object, proxy: object) -> None:
    """Let the pool connect anew where the server has hung up.

    The driver knows it without asking; the pool's own ping takes three round trips for each use.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


@asynccontextmanager
async def transaction(
    engine: AsyncEngine,
    actor: Actor | None,
    *,
    request_id: str = "",
    attempt_key: bytes | None = None,
) -> AsyncIterator[AsyncConnection]:
    """Open the one transaction of a use case, with the facts that row-level security reads.

    What was opened of identities stays in the access log, also when the use case is refused and
    everything else it wrote is undone; and so does, given a key, that overlap refused it.
    """
    opened: list[Opening] = []
    attempted: attempts.Remembered | None = None
    try:
        async with engine.begin() as conn:
            conn.info["openings"] = opened
            attempted = attempts.begin(conn, attempt_key)
            await set_facts(conn, actor, request_id=request_id)
            yield conn
    except GeneratorExit:
        # Nobody waits for what is asked of the database now.
        raise
    except BaseException:
        # Also when the work was cancelled, or the program is told to end.
        if opened or (attempted and attempted.attempts):
            again = _log_again(engine, actor, opened, attempted, request_id=request_id)
            await asyncio.shield(again)
        raise


@asynccontextmanager
async def snapshot(
    engine: AsyncEngine, actor: Actor | None, *, request_id: str = ""
) -> AsyncIterator[AsyncConnection]:
    """Open a transaction that sees one moment, and writes nothing."""
    frozen = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    async with frozen.begin() as conn:
        await set_facts(conn, actor, request_id=request_id)
        yield conn


async def _log_again(
    engine: AsyncEngine,
    actor: Actor | None,
    opened: Sequence[Opening],
    attempted: attempts.Remembered | None,
    *,
    request_id: str,
) -> None:
    async with engine.begin() as conn:
        await set_facts(conn, actor, request_id=request_id)
        for opening in opened:
            await log_opening(conn, opening)
        await attempts.write_all(conn, attempted)


async def log_openings(conn: AsyncConnection) -> None:
    """Write again what was opened or refused, after a savepoint took it back with all the rest."""
    await attempts.write(conn)
    for opening in conn.info.get("openings", []):
        await log_opening(conn, opening)


async def set_facts(conn: AsyncConnection, actor: Actor | None, *, request_id: str = "") -> None:
    """Tell the transaction who acts; without an actor it sees nothing that is guarded."""
    facts: Sequence[tuple[str, str]] = (
        ("app.actor_id", str(actor.actor_id) if actor else ""),
        ("app.partner_id", str(actor.partner_id) if actor else ""),
        ("app.roles", ",".join(sorted(actor.roles)) if actor else ""),
        ("app.area", actor.area if actor else ""),
        ("app.request_id", request_id),
    )
    await conn.execute(
        text(
            "SELECT set_config(name, value, true) FROM unnest(:names ::text[], :values ::text[])"
            " AS fact(name, value)"
        ),
        {"names": [name for name, _ in facts], "values": [value for _, value in facts]},
    )


async def migrate(owner_url: str, *, app_password: str = "") -> list[str]:
    """Bring the database up to date as its owner; return the revision reached, if it was new.

    With `app_password` the service's role gets that password, for a server outside.
    """
    engine = create_async_engine(owner_url, hide_parameters=True)
    try:
        async with engine.begin() as conn:
            # Two starting services must not migrate at once.
            await conn.execute(text("SELECT pg_advisory_xact_lock(hashtext('cbi.migrate'))"))
            await conn.execute(text("CREATE SCHEMA IF NOT EXISTS cbi_meta"))
            before = await conn.run_sync(_revision)
            await conn.run_sync(_upgrade)
            after = await conn.run_sync(_revision)
            if app_password:
                await _set_password(conn, app_password)
    finally:
        await engine.dispose()
    return [] if before == after else [after or ""]


async def _set_password(conn: AsyncConnection, password: str) -> None:
    # ALTER ROLE takes no parameters; the server itself quotes the literal.
    quoted = await conn.scalar(
        text("SELECT format('ALTER ROLE cbi_app LOGIN PASSWORD %L', CAST(:password AS text))"),
        {"password": password},
    )
    await conn.exec_driver_sql(str(quoted))


def _revision(connection: Connection) -> str | None:
    if connection.execute(text("SELECT to_regclass('cbi_meta.migration')")).scalar() is None:
        return None
    return connection.execute(text("SELECT version_num FROM cbi_meta.migration")).scalar()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
