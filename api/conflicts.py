"""Conflicts between promises over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.overlaps import who
from api.page import Key, Limit, Page, page
from api.state import Requested
from api.text import NOT_NUL
from cbi import conflicts
from cbi.conflicts import Choice, Conflict


class NewDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`month` is the last that both are kept for, or the first that the later one isn't for.

    The note must not name anybody.
    """

    decision: Choice
    month: date | None = None
    note: Annotated[str, msgspec.Meta(max_length=2000, pattern=NOT_NUL)] = ""


@get("/v1/conflicts", tags=["adjudication"])
async def list_conflicts(
    conn: NamedDependency[AsyncConnection],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[Conflict]:
    """List promises to one family that the rules don't allow together, oldest first."""
    items = await conflicts.list_conflicts(conn, after=after, limit=limit + 1, at=clock.now())
    return page(items, limit=limit, cursor="conflict_id")


@post("/v1/conflicts/{conflict_id:uuid}/decision", tags=["adjudication"])
@once
async def decide_conflict(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    conflict_id: FromPath[UUID],
    data: JSONBody[NewDecision],
    idempotency_key: Key = None,
) -> Conflict:
    """Decide what becomes of two promises; a later decision counts, this one stays as history."""
    return await conflicts.decide(
        conn, conflict_id, data.decision, month=data.month, note=data.note, by=who(actor)
    )


HANDLERS = (list_conflicts, decide_conflict)
