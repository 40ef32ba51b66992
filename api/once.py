"""Idempotency: a POST with an `Idempotency-Key` does its work once and answers the same again.

The answer is stored in the transaction that did the work, and a lock on the key is held until
that transaction ends. So there is an answer exactly when there is the work, and a process that
dies in the middle leaves neither. Progress is no answer: the same request goes on with the work. A
refusal is an answer: who was told no and turned elsewhere must not find the work done because the
same request arrived once more. What is wrong with a request itself may be mended under its key, and
what passes by itself is no answer.
"""

import contextlib
from collections.abc import Awaitable, Callable
from functools import wraps
from hashlib import sha256
from http import HTTPStatus
from typing import Any, ParamSpec, TypeVar, cast

import msgspec
from litestar import Request, Response
from litestar.enums import MediaType
from sqlalchemy import Row, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock, problems
from api.db import Actor, log_openings
from api.refusal import KeyMalformed, KeyReused, KeyRunning
from cbi import tables
from cbi.disbursement import Progress

P = ParamSpec("P")
T = TypeVar("T")
KEY_CHARACTERS_MAX = 200
HEADER = "Idempotency-Key"


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
        try:
            async with conn.begin_nested():
                result = await handler(*args, **kwargs)
        except Exception as refused:
            reply = problems.lasting(request, refused)
            if reply is None:
                raise
            # What was opened of identities before the refusal stays in the access log.
            await log_openings(conn)
            body, status = msgspec.json.encode(reply.content), int(reply.status_code or 0)
        else:
            if isinstance(result, Progress):
                return result
            body, status = _told(request, result)
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
    # A body that was taken to a file is known by its digest.
    streamed = request.scope.get("body_digest")
    body = streamed if isinstance(streamed, bytes) else await request.body()
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


def _told(request: Request[Any, Any, Any], result: object) -> tuple[bytes, int]:
    """Return the body and the status of an answer; a handler may say another than its route's."""
    handler: Any = request.scope["route_handler"]
    if isinstance(result, Response):
        return msgspec.json.encode(result.content), int(result.status_code or handler.status_code)
    return msgspec.json.encode(result), int(handler.status_code)


def _response(body: bytes, status: int, *, replayed: bool) -> Response[bytes]:
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    kind = MediaType.JSON if status < HTTPStatus.BAD_REQUEST else problems.MEDIA_TYPE
    return Response(body, status_code=status, media_type=kind, headers=headers)
