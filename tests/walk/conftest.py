"""A data folder with an embedded database that outlives the service under test."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from api import db, settings
from api.demo import stage
from api.embedded import EmbeddedPostgres
from api.state import Service, open_service

HOUSEHOLDS = 60


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cbi-walk-") as folder:
        yield Path(folder)


@pytest.fixture
def database(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """Held by the test too, so that it survives the service it serves."""
    server = EmbeddedPostgres(data_dir)
    yield server
    server.stop(whoever_holds=True)


@pytest.fixture
async def service(data_dir: Path, database: EmbeddedPostgres) -> AsyncIterator[Service]:
    """The service's resources in the test's own process, to look at the database."""
    await db.migrate(database.url("postgres"))
    loaded = settings.load({"CBI_DATA_DIR": str(data_dir)})
    service = open_service(loaded, database_url=database.url("cbi_app"))
    yield service
    await service.engine.dispose()


@pytest.fixture
async def state(service: Service) -> stage.State:
    return await stage.set_up(service, households=HOUSEHOLDS)
