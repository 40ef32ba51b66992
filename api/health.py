"""Health for a supervisor: is the process alive, can it serve."""

from litestar import MediaType, get
from litestar.di import NamedDependency
from sqlalchemy import text

from api.db import transaction
from api.state import Service


@get("/health/live", media_type=MediaType.JSON, tags=["health"])
async def live() -> dict[str, str]:
    """Answer while the process runs, whatever the database does."""
    return {"status": "live"}


@get("/health/ready", media_type=MediaType.JSON, tags=["health"])
async def ready(service: NamedDependency[Service]) -> dict[str, str]:
    """Answer 200 when the database does and is migrated; 503 otherwise."""
    async with transaction(service.engine, None) as conn:
        migrated = await conn.scalar(text("SELECT to_regclass('cbi.payment_file') IS NOT NULL"))
    if not migrated:
        raise ConnectionError("the database is not migrated")
    return {"status": "ready"}


HANDLERS = (live, ready)
