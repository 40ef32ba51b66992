"""Every failure as RFC 9457 problem details: a stable type, a title in two languages, facts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
from asyncpg.exceptions import (
    DeadlockDetectedError,
    InsufficientResourcesError,
    LockNotAvailableError,
    OperatorInterventionError,
    PostgresConnectionError,
)
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api import refusal
from api.appeal_wording import REFUSALS as OF_APPEALS
from api.constraints import CONSTRAINTS
from api.event_wording import REFUSALS as OF_EVENTS
from api.grant_wording import REFUSALS as OF_GRANTS
from api.logs import LOG
from api.quota_words import spent
from api.term_wording import REFUSALS as OF_TERMS
from api.text_wording import REFUSALS as OF_TEXTS
from api.wording import NOT_FOUND, Wording
from api.wording import REFUSALS as OF_ALL
from cbi import refusal as cbi
from cbi.intake.source import REASONS
from cbi.refusal import CbiRefusal
from cbi.term_refusal import TermsJustChanged
from dedup.refusal import DedupRefusal
from ledger.refusal import LedgerRefusal, PeriodJustClosed

REFUSALS = OF_ALL | OF_APPEALS | OF_EVENTS | OF_GRANTS | OF_TERMS | OF_TEXTS
TYPE_PREFIX = "urn:cbi:problem:"
MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2
# Refused as things stand. What is wrong with a request itself may be mended under the same key.
LASTING = (403, 404, 409)
# Passes within a moment: the same request again.
SOON = (refusal.KeyRunning, PeriodJustClosed, TermsJustChanged)
PASSES = ("family-changed", "instalments-just-given", "registration-running", "rules-just-changed")

HTTP: dict[int, Wording] = {
    400: Wording(400, "bad-request", "La solicitud está mal formada", "The request is malformed"),
    401: Wording(401, "unauthenticated", "Falta una clave válida", "A valid key is missing"),
    403: Wording(403, "forbidden", "Su clave no permite esto", "Your key doesn't allow this"),
    404: NOT_FOUND,
    405: Wording(405, "method-not-allowed", "Método no permitido", "The method is not allowed"),
    413: Wording(413, "too-large", "La solicitud es demasiado grande", "The request is too large"),
    415: Wording(
        415, "media-type", "Tipo de contenido no admitido", "The content type is not supported"
    ),
    422: Wording(422, "unprocessable", "Los datos no son válidos", "The data are not valid"),
    429: Wording(429, "too-many-requests", "Demasiadas solicitudes", "Too many requests"),
}
UNAVAILABLE = Wording(
    503,
    "unavailable",
    "La base de datos no responde; intente de nuevo",
    "The database doesn't answer; try again",
)
BROKEN = Wording(500, "internal", "Error interno; fue anotado", "An internal error; it was noted")

# Gone; full; shutting down, recovering, or a statement that took too long; others hold what it
# needs.
PASSING = (
    PostgresConnectionError,
    InsufficientResourcesError,
    OperatorInterventionError,
    LockNotAvailableError,
    DeadlockDetectedError,
)
Reply = Response[dict[str, object]]
Requested = Request[Any, Any, Any]


def on_refusal(request: Requested, refused: Exception) -> Reply:
    """Answer a refusal with its facts."""
    wording = REFUSALS[type(refused)]
    headers = (
        {"Retry-After": str(RETRY_SECONDS)}
        if wording.status == UNAVAILABLE.status or isinstance(refused, refusal.KeyRunning)
        else {}
    )
    facts = facts_of(refused)
    if isinstance(refused, cbi.FileUnreadable):
        facts["es"], facts["en"] = REASONS[refused.reason]
    if isinstance(refused, cbi.CheckQuotaSpent):
        facts |= msgspec.to_builtins(spent(refused))
    return _reply(request, wording, facts=facts, headers=headers)


def lasting(request: Requested, error: Exception) -> Reply | None:
    """Answer what a rule refuses as things stand; None for anything else."""
    reply = None
    if type(error) in REFUSALS and not isinstance(error, SOON):
        reply = on_refusal(request, error)
    elif isinstance(error, IntegrityError):
        wording = CONSTRAINTS.get(_constraint(error))
        reply = _reply(request, wording) if wording and wording.slug not in PASSES else None
    return reply if reply is not None and reply.status_code in LASTING else None


def on_http(request: Requested, error: HTTPException) -> Reply:
    """Answer what the framework refuses: unknown path, wrong method, malformed body."""
    wording = HTTP.get(error.status_code)
    if wording is None:
        wording = HTTP[400] if error.status_code < 500 else BROKEN
    facts: dict[str, object] = {}
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        # Only where: the framework's message may quote what was sent.
        facts["faults"] = [
            {
                "path": fault.get("key", ""),
                "source": getattr(fault.get("source"), "value", fault.get("source", "")),
            }
            for fault in error.extra
            if isinstance(fault, dict)
        ]
    headers = {"WWW-Authenticate": "Bearer"} if error.status_code == 401 else {}
    if error.status_code == 429:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if allowed := (error.headers or {}).get("allow"):
        headers["Allow"] = allowed
    return _reply(request, wording, facts=facts, headers=headers)


def on_integrity(request: Requested, error: IntegrityError) -> Reply:
    """Answer a constraint by its name; one that has no words is a fault of ours."""
    wording = CONSTRAINTS.get(_constraint(error))
    return _reply(request, wording) if wording else on_fault(request, error)


def _constraint(error: IntegrityError) -> str:
    cause = getattr(error.orig, "__cause__", None)
    return getattr(cause, "constraint_name", None) or ""


def on_database(request: Requested, error: DBAPIError) -> Reply:
    """Answer 503 when the database is gone, overloaded or waited in vain, else 500."""
    cause = getattr(error.orig, "__cause__", None)
    gone = error.connection_invalidated or isinstance(cause, (*PASSING, OSError))
    return on_unavailable(request, error) if gone else on_fault(request, error)


def on_unavailable(request: Requested, error: Exception) -> Reply:
    LOG.warning(
        "database_unavailable",
        extra={"facts": {"request_id": request.scope.get("request_id")}},
        exc_info=error,
    )
    return _reply(request, UNAVAILABLE, headers={"Retry-After": str(RETRY_SECONDS)})


def on_fault(request: Requested, error: Exception) -> Reply:
    """Answer a fault of ours without saying more than that; the log has its place."""
    LOG.error(
        "fault", extra={"facts": {"request_id": request.scope.get("request_id")}}, exc_info=error
    )
    return _reply(request, BROKEN)


def facts_of(refused: Exception) -> dict[str, object]:
    """The facts a refusal carries, as JSON."""
    if dataclasses.is_dataclass(refused):
        facts = {field.name: getattr(refused, field.name) for field in dataclasses.fields(refused)}
    else:
        facts = vars(refused)
    built: dict[str, object] = msgspec.to_builtins(facts)
    return built


def _reply(
    request: Requested,
    wording: Wording,
    *,
    facts: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    body: dict[str, object] = {
        "type": TYPE_PREFIX + wording.slug,
        "title": wording.en,
        "title_es": wording.es,
        "status": wording.status,
        "instance": f"urn:uuid:{request.scope.get('request_id', '')}",
    }
    return Response(
        {**(facts or {}), **body},
        status_code=wording.status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


HANDLERS: dict[int | type[Exception], Any] = {
    **dict.fromkeys((CbiRefusal, DedupRefusal, LedgerRefusal), on_refusal),
    **dict.fromkeys((refusal.KeyMalformed, refusal.KeyRunning, refusal.KeyReused), on_refusal),
    HTTPException: on_http,
    IntegrityError: on_integrity,
    DBAPIError: on_database,
    # What is asked past SQLAlchemy (dedup.driver) fails with the driver's own errors.
    **dict.fromkeys(PASSING, on_unavailable),
    **dict.fromkeys((PoolTimeout, ConnectionError, OSError, TimeoutError), on_unavailable),
    Exception: on_fault,
}
