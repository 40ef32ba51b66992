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
from cbi import conflicts
from cbi.conflicts import Choice, Conflict, Grounds, OwnConflict


class NewDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`month` is the last that both are kept for, or the first that the later one isn't for."""

    decision: Choice
    reason: Grounds
    month: date | None = None


class NewConfirmation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which decision of the conflict is confirmed: the newest, by its number."""

    decision_no: Annotated[int, msgspec.Meta(ge=1, le=32767)]


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
    """Decide what becomes of two promises; it counts once another has confirmed it."""
    return await conflicts.decide(
        conn, conflict_id, data.decision, month=data.month, reason=data.reason, by=who(actor)
    )


@post("/v1/conflicts/{conflict_id:uuid}/confirmation", tags=["adjudication"])
@once
async def confirm_conflict(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    conflict_id: FromPath[UUID],
    data: JSONBody[NewConfirmation],
    idempotency_key: Key = None,
) -> Conflict:
    """Confirm what another decided, which counts from then on."""
    return await conflicts.confirm(conn, conflict_id, data.decision_no, by=who(actor))


@get("/v1/conflicts/own", tags=["adjudication"])
async def list_own_conflicts(
    conn: NamedDependency[AsyncConnection],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[OwnConflict]:
    """List the conflicts that one's own promises are in; nothing of the other side."""
    items = await conflicts.list_own(conn, after=after, limit=limit + 1, at=clock.now())
    return page(items, limit=limit, cursor="conflict_id")


HANDLERS = (list_conflicts, list_own_conflicts, decide_conflict, confirm_conflict)
