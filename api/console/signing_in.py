"""Sign in with a key, sign out, and choose a language."""

import time

from litestar import get, post
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncConnection

from api import auth, clock
from api.console import session
from api.console.errors import HOME, page_of
from api.console.form import read_form
from api.console.pages import Answer, go, show
from api.console.tries import Tries
from api.db import Actor, transaction
from api.logs import event
from api.state import Requested, Service
from cbi.sign_out import sign_out

TRIES = Tries()


@get("/sign-in")
async def show_sign_in(request: Requested) -> Answer:
    """Ask for the key."""
    return show(request, "sign_in.html", faults={})


@post("/sign-in")
async def sign_in(request: Requested, service: NamedDependency[Service]) -> Answer:
    """Begin a session for whoever holds the key."""
    form = await read_form(request)
    address, at = request.client.host if request.client else "", time.monotonic()
    if wait := TRIES.seconds_to_wait(address, at=at):
        return _again(request, "sign_in.wait", status=429, headers={"Retry-After": str(wait)})
    async with transaction(service.engine, None) as conn:
        actor = await auth.find_actor(conn, form.one("key"), at=clock.now())
    if actor is None or actor.key_prefix is None:
        TRIES.note(address, at=at)
        event("sign_in_failed", request_id=request.scope["request_id"])  # type: ignore[typeddict-item]
        return _again(request, "sign_in.unknown", status=403)
    TRIES.forget(address)
    began = session.begin(actor.key_prefix)
    event("signed_in", actor_id=str(actor.actor_id), session_id=str(began.session_id))
    visitor = session.session_of(request, session.VISITING)
    to = page_of(visitor.to) if visitor is not None else HOME
    return go(request, to, cookie=session.cookie_of(request, began))


@post("/sign-out")
async def end(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
) -> Answer:
    """End the session, also for who has a copy of its cookie."""
    await read_form(request)
    await sign_out(
        conn,
        session.visit_of(request).session.session_id,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )
    return go(request, f"{HOME}/sign-in", cookie=session.no_cookie(request))


@post("/language")
async def choose_language(request: Requested) -> Answer:
    """Remember the language of the pages."""
    form = await read_form(request)
    language = "en" if form.one("language") == "en" else "es"
    cookie = session.language_cookie(request, language)
    path = form.one("to")
    to = path if path == f"{HOME}/sign-in" else page_of(path)
    return go(request, to, cookie=cookie)


def _again(
    request: Requested, fault: str, *, status: int, headers: dict[str, str] | None = None
) -> Answer:
    return show(
        request, "sign_in.html", status=status, headers=headers, faults={"key": (fault, {})}
    )


HANDLERS = (show_sign_in, sign_in, end, choose_language)
