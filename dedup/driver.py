"""Ask the database past SQLAlchemy, which spends longer on a short answer than the server does."""

from collections.abc import Sequence

from asyncpg import DataError, IntegrityConstraintViolationError, InterfaceError
from asyncpg import Record as Row
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["OF_ONE_ROW", "Row", "fetch"]

# What says that something is wrong with what was written, not with the database.
OF_ONE_ROW = (DataError, IntegrityConstraintViolationError)


async def fetch(conn: AsyncConnection, statement: str, *facts: object) -> Sequence[Row]:
    """Return the rows of a statement with places $1, $2 …, in the connection's transaction.

    Where searching a person takes a millisecond, this counts; elsewhere it doesn't. Raises
    asyncpg's own errors, and ConnectionError where the database is gone.
    """
    driver = (await conn.get_raw_connection()).driver_connection
    # Outside of one it would neither be undone nor know who acts.
    assert driver is not None
    assert driver.is_in_transaction()
    try:
        rows: Sequence[Row] = await driver.fetch(statement, *facts)
    except InterfaceError as error:
        if driver.is_closed():
            raise ConnectionError("the database is gone") from error
        raise
    return rows
