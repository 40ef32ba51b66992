"""Run a migration's SQL file as it is written, many statements at once."""

from pathlib import Path

from alembic import op
from sqlalchemy import text
from sqlalchemy.util import await_only


def run_sql(migration: str) -> None:
    """Execute the .sql file that stands beside `migration` (a module's `__file__`)."""
    connection = op.get_bind()
    # The driver's own execute takes many statements, but only joins the transaction
    # after SQLAlchemy has sent one of its own.
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    driver = connection.connection.driver_connection
    assert driver is not None
    assert driver.is_in_transaction()
    await_only(driver.execute(Path(migration).with_suffix(".sql").read_text(encoding="utf-8")))
