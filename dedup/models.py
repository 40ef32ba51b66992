"""Keep models in the database, and say which of them weighs."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup import model as shipped
from dedup import tables
from dedup.model import Model, encode, parse
from dedup.refusal import ModelNotFound, ModelUnreadable


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a list; one that comes with the program and was never stored has no date."""

    model_id: str
    added_at: datetime | None
    activated_at: datetime | None
    is_active: bool


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """Who took a model into use, when and why; the newest one counts."""

    model_id: str
    since: datetime
    actor_id: UUID
    reason: str


async def store(conn: AsyncConnection, model: Model, *, actor_id: UUID, at: datetime) -> bool:
    """Store a model under its id; False when it is there already. It is not taken into use."""
    stored = await conn.execute(
        insert(tables.model)
        .values(
            model_id=model.model_id,
            content=encode(model).decode(),
            added_at=at,
            added_by=actor_id,
        )
        .on_conflict_do_nothing(constraint="model_pkey")
    )
    return stored.rowcount == 1


async def load(conn: AsyncConnection, model_id: str) -> Model:
    """Return a model that is stored or comes with the program.

    Raises ModelNotFound, or ModelUnreadable for one that another version of the program wrote or
    whose text was altered.
    """
    own = shipped.load()
    if model_id == own.model_id:
        return own
    content = await conn.scalar(
        select(tables.model.c.content).where(tables.model.c.model_id == model_id)
    )
    if content is None:
        raise ModelNotFound(model_id=model_id)
    try:
        found = parse(content.encode())
    except (msgspec.MsgspecError, ValueError) as error:
        raise ModelUnreadable(model_id=model_id) from error
    if found.model_id != model_id:
        raise ModelUnreadable(model_id=model_id)
    return found


async def active_id(conn: AsyncConnection) -> str:
    """Return the id of the model in use."""
    newest = await conn.scalar(
        select(tables.model_activation.c.model_id)
        .order_by(tables.model_activation.c.activation_no.desc())
        .limit(1)
    )
    return shipped.load().model_id if newest is None else str(newest)


async def activate(
    conn: AsyncConnection, model: Model, *, reason: str, actor_id: UUID, at: datetime
) -> None:
    """Take a model into use from now on; the reason stays in the history."""
    await store(conn, model, actor_id=actor_id, at=at)
    await conn.execute(
        insert(tables.model_activation).values(
            model_id=model.model_id, since=at, actor_id=actor_id, reason=reason
        )
    )


async def list_models(conn: AsyncConnection) -> list[Known]:
    """List all models, the newest first, and the one that comes with the program."""
    stored, activation = tables.model.c, tables.model_activation.c
    rows = await conn.execute(
        select(stored.model_id, stored.added_at, func.max(activation.since).label("activated_at"))
        .join_from(
            tables.model,
            tables.model_activation,
            activation.model_id == stored.model_id,
            isouter=True,
        )
        .group_by(stored.model_id, stored.added_at)
        .order_by(stored.added_at.desc(), stored.model_id)
    )
    active = await active_id(conn)
    known = [
        Known(
            model_id=row.model_id,
            added_at=row.added_at,
            activated_at=row.activated_at,
            is_active=row.model_id == active,
        )
        for row in rows
    ]
    own = shipped.load().model_id
    if all(one.model_id != own for one in known):
        known.append(Known(model_id=own, added_at=None, activated_at=None, is_active=own == active))
    return known


async def history(conn: AsyncConnection, *, limit: int = 100) -> list[Activation]:
    """List who took which model into use, newest first."""
    activation = tables.model_activation.c
    rows = await conn.execute(
        select(activation.model_id, activation.since, activation.actor_id, activation.reason)
        .order_by(activation.activation_no.desc())
        .limit(limit)
    )
    return [msgspec.convert(row._mapping, Activation) for row in rows]  # noqa: SLF001 -- public by its docs
