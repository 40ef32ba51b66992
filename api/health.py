"""Health for a supervisor: is the process alive, can it serve."""

from litestar import MediaType, get
from sqlalchemy import text

from api.db import transaction
from api.state import Service


@get("/health/live", media_type=MediaType.JSON, tags=["health"])
async def live() -> dict[str, str]:
    """Answer while the process runs, whatever the database does."""
    return {"status": "live"}


@get("/health/ready", media_type=MediaType.JSON, tags=["health"])
async def ready(service: Service) -> dict[str, str]:
    """Answer 200 when the database does; 503 otherwise."""
    async with transaction(service.engine, None) as conn:
        await conn.execute(text("SELECT 1"))
    return {"status": "ready"}
