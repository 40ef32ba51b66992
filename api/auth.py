"""API keys: made, found, checked. A key reads `cbi_<prefix>_<secret>`; only a digest is stored."""

import base64
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api import access, clock
from api.db import Actor, transaction
from cbi import tables

SECRET_BYTES = 32
SCHEME = "bearer"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key besides its secret."""

    key_id: UUID
    prefix: str
    partner: str
    handle: str
    roles: list[str]
    area: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


async def issue(
    conn: AsyncConnection,
    *,
    key_id: UUID,
    actor_id: UUID,
    roles: Collection[str],
    area: str,
    at: datetime,
    expires_at: datetime,
) -> str:
    """Make a key for an actor and return it; it can't be shown again."""
    prefix = secrets.token_hex(6)
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).decode().rstrip("=")
    await conn.execute(
        insert(tables.api_key).values(
            key_id=key_id,
            prefix=prefix,
            digest=_digest(secret),
            actor_id=actor_id,
            roles=sorted(roles),
            area=area,
            issued_at=at,
            expires_at=expires_at,
        )
    )
    return f"cbi_{prefix}_{secret}"


async def revoke(conn: AsyncConnection, *, prefix: str, at: datetime) -> bool:
    """End a key now; False when no living key has this prefix."""
    key = tables.api_key.c
    result = await conn.execute(
        update(tables.api_key)
        .where(key.prefix == prefix, key.revoked_at.is_(None))
        .values(revoked_at=at)
    )
    return result.rowcount == 1


async def list_keys(conn: AsyncConnection, *, limit: int = 500) -> list[Key]:
    """List keys, newest first."""
    key, actor, partner = tables.api_key.c, tables.actor.c, tables.partner.c
    rows = await conn.execute(
        select(
            key.key_id,
            key.prefix,
            partner.code.label("partner"),
            actor.handle,
            key.roles,
            key.area,
            key.issued_at,
            key.expires_at,
            key.revoked_at,
        )
        .join_from(tables.api_key, tables.actor, key.actor_id == actor.actor_id)
        .join(tables.partner, partner.partner_id == actor.partner_id)
        .order_by(key.issued_at.desc(), key.prefix)
        .limit(limit)
    )
    return [msgspec.convert(row._mapping, Key) for row in rows]  # noqa: SLF001 -- public by its docs


async def find_actor(conn: AsyncConnection, presented: str, *, at: datetime) -> Actor | None:
    """Return who holds the presented key, or None when it is unknown, expired or revoked."""
    prefix, _, secret = presented.removeprefix("cbi_").partition("_")
    if not presented.startswith("cbi_") or not secret or len(presented) > 200:
        return None
    # A form may hold what a header can't, and no key has: PostgreSQL takes no NUL.
    if not presented.isascii() or not presented.isprintable():
        return None
    row = await _find(conn, prefix)
    # Compared even when no key was found, so that the time says nothing about prefixes.
    same = hmac.compare_digest(_digest(secret), row.digest if row else bytes(32))
    return _holder(row, prefix, at=at) if row is not None and same else None


async def holder_of(conn: AsyncConnection, prefix: str, *, at: datetime) -> Actor | None:
    """Return who holds a key that was presented before, or None once it is expired or revoked."""
    row = await _find(conn, prefix)
    return None if row is None else _holder(row, prefix, at=at)


async def _find(conn: AsyncConnection, prefix: str) -> Row[Any] | None:
    rows = await conn.execute(
        text(
            "SELECT digest, actor_id, partner_id, partner_code, roles, area, expires_at,"
            " revoked_at FROM cbi.find_key(:prefix)"
        ),
        {"prefix": prefix},
    )
    return rows.one_or_none()


def _holder(row: Row[Any], prefix: str, *, at: datetime) -> Actor | None:
    if row.revoked_at is not None or row.expires_at <= at:
        return None
    return Actor(
        actor_id=row.actor_id,
        partner_id=row.partner_id,
        partner_code=row.partner_code,
        roles=frozenset(row.roles),
        area=row.area,
        key_prefix=prefix,
    )


async def guard(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    """Let a request through when its key's roles may call this route."""
    template = connection.scope["path_template"]
    # The console has a guard of its own, and its cookie opens nothing else.
    if access.is_public(template) or access.is_console(template):
        return
    scheme, _, presented = connection.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != SCHEME:  # RFC 9110: the case of a scheme doesn't matter
        raise NotAuthorizedException
    async with transaction(connection.app.state.service.engine, None) as conn:
        actor = await find_actor(conn, presented.strip(), at=clock.now())
    if actor is None:
        raise NotAuthorizedException
    connection.scope["actor"] = actor  # type: ignore[typeddict-unknown-key]
    allowed = access.MAY.get((connection.scope["method"], template), frozenset())  # type: ignore[typeddict-item]
    if not allowed & actor.roles:
        raise PermissionDeniedException


async def add_actor(
    conn: AsyncConnection, *, actor_id: UUID, partner_id: UUID, handle: str, at: datetime
) -> UUID:
    """Return the actor of this handle at the partner, added when new."""
    actor = tables.actor.c
    known = await conn.scalar(
        select(actor.actor_id).where(actor.partner_id == partner_id, actor.handle == handle)
    )
    if known is not None:
        return UUID(str(known))
    await conn.execute(
        insert(tables.actor).values(
            actor_id=actor_id, partner_id=partner_id, handle=handle, added_at=at
        )
    )
    return actor_id


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
