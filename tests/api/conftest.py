"""One service for all tests of the HTTP surface, on a database of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.embedded import EmbeddedPostgres
from tests.api.house import House, Paid, open_house, open_round, own_database, release


@pytest.fixture(scope="session")
async def house(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("house")
    async with own_database(postgres) as name, open_house(postgres, name, str(folder)) as opened:
        yield opened


@pytest.fixture(scope="session")
async def paid(house: House) -> Paid:
    """A round of partner A that was released; nothing has come back from the bank."""
    opened = await open_round(house)
    await release(house, opened)
    return opened
