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

from api import once
from api.logs import LOG
from cbi import refusal as cbi
from cbi.intake.source import REASONS
from cbi.refusal import CbiRefusal
from dedup import refusal as dedup
from dedup.refusal import DedupRefusal
from ledger import refusal as ledger
from ledger.refusal import LedgerRefusal

TYPE_PREFIX = "urn:cbi:problem:"
MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2


class Wording(msgspec.Struct, frozen=True):
    """How a refusal is told: HTTP status, stable slug, and its title in Spanish and English."""

    status: int
    slug: str
    es: str
    en: str


NOT_FOUND = Wording(
    404,
    "not-found",
    "No existe o no es visible para usted",
    "It doesn't exist, or is not yours to see",
)

REFUSALS: dict[type[Exception], Wording] = {
    cbi.FileUnreadable: Wording(
        422, "file-unreadable", "No se puede leer el archivo", "The file can't be read"
    ),
    cbi.InvalidRegistration: Wording(
        422, "invalid-registration", "El registro tiene errores", "The registration has faults"
    ),
    cbi.ReferenceTaken: Wording(
        409,
        "reference-taken",
        "La referencia ya pertenece a otro registro",
        "The reference belongs to another registration",
    ),
    cbi.NotFound: NOT_FOUND,
    cbi.OutsideArea: Wording(
        403,
        "outside-area",
        "El hogar está fuera del área de esta clave",
        "The household is outside the area of this key",
    ),
    cbi.OpenCase: Wording(
        409,
        "open-case",
        "El hogar tiene un caso por decidir",
        "The household has a case that is not decided",
    ),
    cbi.ConsentMissing: Wording(
        409,
        "consent-missing",
        "Falta el consentimiento necesario",
        "A consent that is needed is missing",
    ),
    cbi.AlreadyEnrolled: Wording(
        409, "already-enrolled", "El hogar ya está inscrito", "The household is enrolled already"
    ),
    cbi.FamilyAssisted: Wording(
        409,
        "family-assisted",
        "La familia ya recibe esta asistencia",
        "The family gets this assistance already",
    ),
    cbi.NoInstrument: Wording(
        409,
        "no-instrument",
        "El hogar no tiene una cuenta para el pago",
        "The household has no account to be paid to",
    ),
    cbi.IdentityErased: Wording(
        410, "identity-erased", "Los datos de identidad fueron borrados", "The identity was erased"
    ),
    cbi.NoTransferValue: Wording(
        409, "no-transfer-value", "No hay tabla de montos vigente", "No value table is in force"
    ),
    cbi.NothingToPay: Wording(
        409, "nothing-to-pay", "La ronda no tiene a quién pagar", "The round has nobody to pay"
    ),
    cbi.TooManyPayees: Wording(
        409, "too-many-payees", "La ronda tiene demasiados pagos", "The round has too many payees"
    ),
    cbi.StepDone: Wording(409, "step-done", "Este paso ya fue dado", "This step was taken already"),
    cbi.StepOutOfOrder: Wording(
        409, "step-out-of-order", "Falta un paso anterior", "An earlier step is missing"
    ),
    cbi.SamePerson: Wording(
        403,
        "same-person",
        "Preparar, revisar, aprobar y liberar exigen cuatro personas",
        "Preparing, reviewing, approving and releasing take four people",
    ),
    cbi.PayeesBlocked: Wording(
        409,
        "payees-blocked",
        "Algunos hogares no se pueden pagar ahora",
        "Some households can't be paid now",
    ),
    cbi.EntitlementSettled: Wording(
        409,
        "entitlement-settled",
        "El pago ya fue cancelado o liberado",
        "The payment was cancelled or released already",
    ),
    cbi.MonthsOverlap: Wording(
        409,
        "months-overlap",
        "Una familia ya tiene esta asistencia en estos meses",
        "A family has this assistance in these months already",
    ),
    cbi.EnrolmentClosed: Wording(
        409, "enrolment-closed", "La inscripción ya fue cerrada", "The enrolment is closed already"
    ),
    cbi.AccountNotOurs: Wording(
        422,
        "account-not-ours",
        "El extracto es de una cuenta que no paga ninguno de sus programas",
        "The statement is of an account that pays none of your programmes",
    ),
    cbi.BadValue: Wording(422, "bad-value", "Un valor no es válido", "A value is not valid"),
    cbi.NotReleased: Wording(
        409, "not-released", "La ronda aún no fue liberada", "The round is not released yet"
    ),
    dedup.CaseNotFound: NOT_FOUND,
    dedup.CaseDecided: Wording(
        409, "case-decided", "El caso ya está decidido", "The case is decided already"
    ),
    dedup.AlreadyJudged: Wording(
        409,
        "already-judged",
        "Su organización ya opinó sobre este caso",
        "Your organisation has judged this case already",
    ),
    ledger.InsufficientFunds: Wording(
        409, "insufficient-funds", "Los fondos no alcanzan", "The funds don't suffice"
    ),
    ledger.AccountConflict: Wording(
        409,
        "account-conflict",
        "La cuenta ya existe y es distinta",
        "The account exists and differs",
    ),
    ledger.AccountNotOpen: Wording(
        409, "account-not-open", "La cuenta no está abierta", "The account is not open"
    ),
    ledger.TransferConflict: Wording(
        409,
        "transfer-conflict",
        "Ya hay un movimiento distinto con este identificador",
        "Another transfer has this id",
    ),
    ledger.TransferRefused: Wording(
        409, "transfer-refused", "El libro rechaza el movimiento", "The ledger refuses the transfer"
    ),
    ledger.AttemptRefused: Wording(
        409,
        "attempt-refused",
        "El pago no admite otro intento",
        "The payment admits no further attempt",
    ),
    ledger.OutcomeConflict: Wording(
        409,
        "outcome-conflict",
        "El pago ya terminó de otra manera",
        "The payment ended in another way already",
    ),
    ledger.StatementRepeated: Wording(
        409,
        "statement-repeated",
        "Este mensaje del banco ya fue recibido en otro archivo",
        "This message of the bank came in another file already",
    ),
    ledger.StatementUnreadable: Wording(
        422,
        "statement-unreadable",
        "No se puede leer el archivo del banco",
        "The bank's file can't be read",
    ),
    once.KeyMalformed: Wording(
        400,
        "idempotency-key-malformed",
        "Idempotency-Key debe tener de 1 a 200 caracteres ASCII",
        "Idempotency-Key must have 1 to 200 ASCII characters",
    ),
    once.KeyRunning: Wording(
        409,
        "idempotency-key-running",
        "La solicitud con esta clave sigue en curso",
        "The request with this key is still running",
    ),
    once.KeyReused: Wording(
        422,
        "idempotency-key-reused",
        "Esta clave se usó para otra solicitud",
        "This key was used for another request",
    ),
}

# Constraints that a verb doesn't turn into a refusal of its own.
CONSTRAINTS: dict[str, Wording] = {
    "partner_code_once": Wording(409, "code-taken", "El código ya existe", "The code is taken"),
    "programme_code_once": Wording(409, "code-taken", "El código ya existe", "The code is taken"),
    "round_name_once": Wording(409, "name-taken", "El nombre ya existe", "The name is taken"),
    "household_reference_once": Wording(
        409,
        "registration-running",
        "La misma referencia se está registrando ahora",
        "The same reference is being registered now",
    ),
    "transfer_value_pkey": Wording(
        409,
        "running",
        "Se está haciendo otro cambio de estos montos",
        "Another change of these values is being made",
    ),
    "round_of_programme": NOT_FOUND,
    "transfer_value_of_programme": NOT_FOUND,
    "enrolment_in_programme": NOT_FOUND,
    "round_months_near": Wording(
        422,
        "months-far",
        "Los meses de la ronda están lejos de la fecha de pago",
        "The round's months are far from its day of payment",
    ),
    "programme_group_known": Wording(
        422, "group-unknown", "No existe este grupo", "There is no such group of assistance"
    ),
}

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

Reply = Response[dict[str, object]]
Requested = Request[Any, Any, Any]


def on_refusal(request: Requested, refused: Exception) -> Reply:
    """Answer a refusal with its facts."""
    wording = REFUSALS[type(refused)]
    headers = {"Retry-After": str(RETRY_SECONDS)} if isinstance(refused, once.KeyRunning) else {}
    facts = facts_of(refused)
    if isinstance(refused, cbi.FileUnreadable):
        facts["es"], facts["en"] = REASONS[refused.reason]
    return _reply(request, wording, facts=facts, headers=headers)


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
    cause = getattr(error.orig, "__cause__", None)
    wording = CONSTRAINTS.get(getattr(cause, "constraint_name", None) or "")
    return _reply(request, wording) if wording else on_fault(request, error)


def on_database(request: Requested, error: DBAPIError) -> Reply:
    """Answer 503 when the database is gone, overloaded or waited in vain, else 500."""
    cause = getattr(error.orig, "__cause__", None)
    gone = error.connection_invalidated or isinstance(
        cause,
        # Gone; full; shutting down, recovering, or a statement that took too long; others hold
        # what it needs.
        PostgresConnectionError
        | InsufficientResourcesError
        | OperatorInterventionError
        | LockNotAvailableError
        | DeadlockDetectedError
        | OSError,
    )
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
    **dict.fromkeys((once.KeyMalformed, once.KeyRunning, once.KeyReused), on_refusal),
    HTTPException: on_http,
    IntegrityError: on_integrity,
    DBAPIError: on_database,
    **dict.fromkeys((PoolTimeout, ConnectionError, OSError, TimeoutError), on_unavailable),
    Exception: on_fault,
}
