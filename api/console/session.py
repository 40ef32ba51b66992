"""Who is signed in: a sealed cookie that names a key, and the token that each form carries.

The cookie holds no key. It says that one was presented, by its prefix; who that is and whether they
still may is asked of the database for every request.
"""

import base64
import binascii
import hmac
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from api import access, auth, clock
from api.db import Actor, set_facts, transaction
from api.state import Service
from cbi.sign_out import is_signed_out
from cbi.vault import Broken, keyed_digest, open_as, seal

LASTS = timedelta(hours=8)
IDLE = timedelta(minutes=30)
SEALED_CHARACTERS_MAX = 2_000
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SIGNED_IN, VISITING, LANGUAGE = "cbi_session", "cbi_visit", "cbi_language"
LANGUAGE_SECONDS = 365 * 24 * 3600
# What the page's own script asks for by itself is nobody being there.
REFRESH_HEADER = "X-Refresh"
_OWNER = UUID(int=0)

Connection = ASGIConnection[Any, Any, Any, Any]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's time at the console; of a visitor, who has not signed in, without a key.

    `to` is the page that a visitor is brought back to.
    """

    session_id: UUID
    key_prefix: str = ""
    began: datetime
    seen: datetime
    to: str = ""


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the console: whose session it is of, if any."""

    session: Session
    actor: Actor | None = None


def begin(key_prefix: str = "", *, to: str = "") -> Session:
    """Begin a session, always under an id of its own."""
    at = clock.now()
    return Session(session_id=clock.new_id(), key_prefix=key_prefix, began=at, seen=at, to=to)


def token_of(service: Service, session: Session) -> str:
    """Return what a form of this session must carry."""
    key = _key(service.settings.sealing_key, b"cbi console form")
    return keyed_digest(key, str(session.session_id)).hex()


def is_token(service: Service, session: Session, presented: str) -> bool:
    return hmac.compare_digest(token_of(service, session).encode(), presented.encode())


def cookie_of(connection: Connection, session: Session) -> Cookie:
    """Seal a session into its cookie, which ends with the browser at the latest."""
    name = SIGNED_IN if session.key_prefix else VISITING
    sealed = seal(_sealing(connection), session, kind=name, owner=_OWNER)
    return _cookie(connection, name, base64.urlsafe_b64encode(sealed).decode().rstrip("="))


def no_cookie(connection: Connection) -> Cookie:
    """Take the session's cookie away."""
    return _cookie(connection, SIGNED_IN, "", max_age=0)


def language_cookie(connection: Connection, language: str) -> Cookie:
    return _cookie(connection, LANGUAGE, language, max_age=LANGUAGE_SECONDS)


def language_of(connection: Connection) -> str:
    """Spanish, unless the person chose English."""
    return "en" if _presented(connection, LANGUAGE) == "en" else "es"


def session_of(connection: Connection, name: str) -> Session | None:
    """Open the cookie of this name; None when it is none of ours, or too old."""
    presented = _presented(connection, name)
    if not presented or len(presented) > SEALED_CHARACTERS_MAX:
        return None
    try:
        sealed = base64.urlsafe_b64decode(presented + "=" * (-len(presented) % 4))
        session = open_as(_sealing(connection), sealed, Session, kind=name, owner=_OWNER)
    except (Broken, binascii.Error, ValueError):
        return None
    at = clock.now()
    is_over = at >= session.began + LASTS or at >= session.seen + IDLE
    return None if is_over else session


def visit_of(connection: Connection) -> Visit:
    """Return whose request this is; begins a visitor's session where there is none."""
    visit = connection.scope.get("console_visit")
    if not isinstance(visit, Visit):
        visit = Visit(session=session_of(connection, VISITING) or begin())
        _keep(connection, visit)
    return visit


async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let a request through whose session stands, and whose key's roles may call this page."""
    visit = await _signed_in(connection)
    if visit is not None:
        _keep(connection, visit)
    route = (str(connection.scope["method"]), connection.scope["path_template"])  # type: ignore[typeddict-item]
    if route in access.CONSOLE_PUBLIC:
        return
    if visit is None or visit.actor is None:
        raise NotAuthorizedException
    if not access.CONSOLE.get(route, frozenset()) & visit.actor.roles:
        raise PermissionDeniedException


async def _signed_in(connection: Connection) -> Visit | None:
    session = session_of(connection, SIGNED_IN)
    if session is None:
        return None
    async with transaction(connection.app.state.service.engine, None) as conn:
        actor = await auth.holder_of(conn, session.key_prefix, at=clock.now())
        if actor is None:
            return None
        await set_facts(conn, actor)
        if await is_signed_out(conn, session.session_id):
            return None
    return Visit(session=session, actor=actor)


def _keep(connection: Connection, visit: Visit) -> None:
    connection.scope["console_visit"] = visit  # type: ignore[typeddict-unknown-key]
    if visit.actor is not None:
        connection.scope["actor"] = visit.actor  # type: ignore[typeddict-unknown-key]


def _cookie(connection: Connection, name: str, value: str, max_age: int | None = None) -> Cookie:
    is_secure = _is_secure(connection)
    return Cookie(
        key=f"__Host-{name}" if is_secure else name,
        value=value,
        max_age=max_age,
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="strict",
    )


def _presented(connection: Connection, name: str) -> str:
    return connection.cookies.get(f"__Host-{name}" if _is_secure(connection) else name, "")


def _is_secure(connection: Connection) -> bool:
    """Everywhere but on this machine itself, where some browsers keep no secure cookie."""
    service: Service = connection.app.state.service
    return service.settings.env == "production" or connection.url.hostname not in LOOPBACK


def _sealing(connection: Connection) -> bytes:
    service: Service = connection.app.state.service
    return _key(service.settings.sealing_key, b"cbi console session")


@lru_cache(maxsize=8)
def _key(secret: bytes, what: bytes) -> bytes:
    """Derive a key for one use from the sealing key, which says nothing of it or of the others."""
    return HKDF(SHA256(), 32, salt=None, info=what).derive(secret)
