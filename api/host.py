"""Start what a command needs: settings, the database (embedded or outside), migrations."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from api import db
from api.embedded import EmbeddedPostgres
from api.settings import Settings


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A reachable database: its address as the service, and as its owner where known."""

    settings: Settings
    app_url: str
    owner_url: str
    embedded: EmbeddedPostgres | None


@contextmanager
def host(settings: Settings) -> Iterator[Host]:
    """Reach the database, starting the embedded one where none was given; stops it on leaving."""
    if not settings.embedded:
        yield Host(
            settings=settings,
            app_url=settings.database_url,
            owner_url=settings.owner_database_url,
            embedded=None,
        )
        return
    server = EmbeddedPostgres(settings.data_dir)
    try:
        yield Host(
            settings=settings,
            app_url=server.url("cbi_app"),
            owner_url=server.url("postgres"),
            embedded=server,
        )
    finally:
        server.stop()


async def migrate_own(running: Host) -> list[str]:
    """Migrate the embedded database; one outside is migrated by `cbi migrate` alone."""
    return await db.migrate(running.owner_url) if running.embedded else []
