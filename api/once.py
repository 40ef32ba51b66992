"""Idempotency: a POST with an `Idempotency-Key` does its work once and answers the same again.

The answer is stored in the transaction that did the work, and a lock on the key is held until
that transaction ends. So there is an answer exactly when there is the work, and a process that
dies in the middle leaves neither. Progress is no answer: the same request goes on with the work.
"""

import contextlib
from collections.abc import Awaitable, Callable
from functools import wraps
from hashlib import sha256
from typing import Any, ParamSpec, TypeVar, cast

import msgspec
from litestar import Request, Response
from litestar.enums import MediaType
from sqlalchemy import Row, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from cbi import tables
from cbi.disbursement import Progress

P = ParamSpec("P")
T = TypeVar("T")
KEY_CHARACTERS_MAX = 200
HEADER = "Idempotency-Key"


class KeyMalformed(Exception):
    """The Idempotency-Key is empty, too long or not plain text."""


class KeyRunning(Exception):
    """A request with this key is still running."""


class KeyReused(Exception):
    """The key was used for another request."""


def once(handler: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Wrap a handler that takes `conn` and `request`; without the header nothing changes."""

    @wraps(handler)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        request: Request[Any, Any, Any] = kwargs["request"]  # type: ignore[assignment]
        conn: AsyncConnection = kwargs["conn"]  # type: ignore[assignment]
        key = request.headers.get(HEADER)
        if key is None:
            return await handler(*args, **kwargs)
        if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable():
            raise KeyMalformed
        actor: Actor = request.scope["actor"]  # type: ignore[typeddict-item]
        route = f"{request.method} {request.url.path}"
        digest = await _digest(request, route)
        await _lock(conn, actor, key)
        stored = await _stored(conn, actor, key)
        if stored is not None:
            if stored.request_digest != digest:
                raise KeyReused
            return cast(T, _response(stored.body, stored.status, replayed=True))
        result = await handler(*args, **kwargs)
        if isinstance(result, Progress):
            return result
        body, status = msgspec.json.encode(result), _status(request)
        await conn.execute(
            insert(tables.answer).values(
                actor_id=actor.actor_id,
                idempotency_key=key,
                route=route,
                request_digest=digest,
                status=status,
                body=body,
                answered_at=clock.now(),
            )
        )
        return cast(T, _response(body, status, replayed=False))

    return wrapped


async def _digest(request: Request[Any, Any, Any], route: str) -> bytes:
    """Digest the decoded body, so that spaces and the order of keys make no difference."""
    body = await request.body()
    # A file that is no JSON: its bytes are its content.
    with contextlib.suppress(msgspec.DecodeError, RecursionError, UnicodeError):
        body = msgspec.json.encode(msgspec.json.decode(body), order="sorted")
    query = request.url.query
    return sha256(f"{route}?{query}\n".encode() + body).digest()


async def _lock(conn: AsyncConnection, actor: Actor, key: str) -> None:
    granted = await conn.scalar(
        text("SELECT pg_try_advisory_xact_lock(hashtextextended(:key, 1))"),
        {"key": f"{actor.actor_id}|{key}"},
    )
    if not granted:
        raise KeyRunning


async def _stored(conn: AsyncConnection, actor: Actor, key: str) -> Row[Any, Any, Any] | None:
    answer = tables.answer.c
    rows = await conn.execute(
        select(answer.request_digest, answer.status, answer.body).where(
            answer.actor_id == actor.actor_id, answer.idempotency_key == key
        )
    )
    return rows.one_or_none()


def _status(request: Request[Any, Any, Any]) -> int:
    handler: Any = request.scope["route_handler"]
    return int(handler.status_code)


def _response(body: bytes, status: int, *, replayed: bool) -> Response[bytes]:
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    return Response(body, status_code=status, media_type=MediaType.JSON, headers=headers)
