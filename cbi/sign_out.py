"""End a session of the console before its time, for good."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.console_tables import console_end


async def sign_out(
    conn: AsyncConnection, session_id: UUID, *, partner_id: UUID, actor_id: UUID, at: datetime
) -> None:
    """End a session of the caller's; ended before, it is as it was."""
    ended = postgresql.insert(console_end).values(
        session_id=session_id, partner_id=partner_id, actor_id=actor_id, ended_at=at
    )
    await conn.execute(ended.on_conflict_do_nothing(constraint="console_end_pkey"))


async def is_signed_out(conn: AsyncConnection, session_id: UUID) -> bool:
    """Say whether the caller ended this session."""
    ended = exists().where(console_end.c.session_id == session_id)
    return bool(await conn.scalar(select(ended)))
