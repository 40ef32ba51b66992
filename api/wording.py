"""How each refusal is told: status, stable slug, and a title in two languages."""

import msgspec

from api import import_wording, overlap_wording, refusal
from cbi import refusal as cbi
from cbi.check_refusal import CheckFileTooLarge
from dedup import refusal as dedup
from ledger import refusal as ledger


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
    **{refused: Wording(*said) for refused, said in overlap_wording.SAID.items()},
    cbi.FileUnreadable: Wording(
        422, "file-unreadable", "No se puede leer el archivo", "The file can't be read"
    ),
    cbi.InvalidRegistration: Wording(
        422, "invalid-registration", "El registro tiene errores", "The registration has faults"
    ),
    cbi.InvalidProfile: Wording(
        422, "invalid-profile", "El perfil tiene errores", "The profile has faults"
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
    cbi.CheckQuotaSpent: Wording(
        429, "check-quota-spent", "Cuota de hoy agotada", "Today's quota is spent"
    ),
    CheckFileTooLarge: Wording(
        422,
        "check-file-too-large",
        "El archivo tiene más personas de las que caben en la cuota de varios días",
        "The file has more persons than fit the quota of several days",
    ),
    cbi.CheckStale: Wording(
        409,
        "check-stale",
        "La lista de pago no tiene una consulta de duplicados reciente",
        "The payment list has no recent duplicate check",
    ),
    cbi.ListNotActive: Wording(
        409,
        "list-not-active",
        "La lista terminó o es para otro fin",
        "The list has ended, or is for another purpose",
    ),
    cbi.BadValue: Wording(422, "bad-value", "Un valor no es válido", "A value is not valid"),
    cbi.NotReleased: Wording(
        409, "not-released", "La ronda aún no fue liberada", "The round is not released yet"
    ),
    cbi.RoundPending: Wording(
        409,
        "round-pending",
        "Hay pagos de la ronda cuyo resultado no se conoce",
        "Payments of the round have no known outcome",
    ),
    cbi.FollowupSuperseded: Wording(
        409,
        "followup-superseded",
        "La ronda tiene un seguimiento más reciente",
        "The round has a newer follow-up",
    ),
    cbi.NothingToReissue: Wording(
        409,
        "nothing-to-reissue",
        "La ronda no tiene pagos fallidos que se puedan reemitir ahora",
        "The round has no failed payments that can be re-issued now",
    ),
    cbi.MoneyGivenBack: Wording(
        409,
        "money-given-back",
        "La ronda ya fue cerrada y devolvió su dinero al programa",
        "The round was closed and gave its money back to the programme",
    ),
    cbi.NotPending: Wording(
        409,
        "not-pending",
        "El pago no está pendiente: no fue enviado, o su resultado se conoce",
        "The payment is not pending: it was not sent, or its outcome is known",
    ),
    cbi.StillClaimable: Wording(
        409, "still-claimable", "El pago aún se puede cobrar", "The payment can still be collected"
    ),
    cbi.NeverExpires: Wording(
        409,
        "never-expires",
        "El perfil del proveedor no dice cuándo vence un pago",
        "The provider's profile does not say when a payment expires",
    ),
    cbi.ShownAsPaid: Wording(
        409,
        "shown-as-paid",
        "Un informe del proveedor muestra el pago como pagado",
        "A report of the provider shows the payment as paid",
    ),
    cbi.ExpiryStands: Wording(
        409,
        "expiry-stands",
        "El vencimiento ya fue declarado; otra persona lo confirma",
        "The expiry was declared already; another person confirms it",
    ),
    cbi.NoExpiry: Wording(
        409,
        "no-expiry",
        "Nadie ha declarado vencido este pago",
        "Nobody has declared this payment expired",
    ),
    cbi.SecondPerson: Wording(
        403,
        "second-person",
        "Declarar y confirmar un vencimiento exigen dos personas",
        "Declaring an expiry and confirming it take two people",
    ),
    cbi.WhichPart: Wording(
        422,
        "which-part",
        "El archivo de pago tiene varias partes: indique cuál (part)",
        "The payment file has several parts: say which (part)",
    ),
    dedup.ModelNotFound: Wording(
        404, "model-not-found", "No hay un modelo con este identificador", "No model has this id"
    ),
    dedup.ModelUnreadable: Wording(
        409,
        "model-unreadable",
        "Esta versión del programa no puede leer el modelo guardado",
        "This version of the program can't read the stored model",
    ),
    dedup.RunUnderway: Wording(
        409, "run-underway", "Ya hay una corrida en marcha", "Another run is under way"
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
    dedup.CaseReopened: Wording(
        409,
        "case-reopened",
        "Hay evidencia nueva: se decide el caso más reciente",
        "There is new evidence: the newer case is judged",
    ),
    dedup.CannotSupersede: Wording(
        409,
        "cannot-supersede",
        "Solo se reemplaza la opinión vigente de su organización",
        "Only your organisation's judgement in force can be replaced",
    ),
    dedup.AssignElsewhere: Wording(
        403,
        "assign-elsewhere",
        "Solo la coordinación asigna casos a otra organización",
        "Only a coordinator assigns cases to another organisation",
    ),
    dedup.GroupChanged: Wording(
        409,
        "group-changed",
        "El grupo de casos cambió; revíselo de nuevo",
        "The group of cases has changed; look at it again",
    ),
    dedup.GroupTooLarge: Wording(
        409,
        "group-too-large",
        "El grupo tiene demasiados casos para una sola opinión",
        "The group has too many cases for one judgement",
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
    ledger.PeriodJustClosed: Wording(
        409,
        "period-just-closed",
        "El período se cerró en este momento; envíe lo mismo otra vez",
        "The period was closed at this moment; send the same again",
    ),
    ledger.PeriodOutOfOrder: Wording(
        409,
        "period-out-of-order",
        "El período no ha terminado, o ya se cerró",
        "The period is not over, or is closed already",
    ),
    ledger.BreakRefused: Wording(
        409,
        "break-refused",
        "La diferencia no admite esto tal como está",
        "The break does not allow this as things stand",
    ),
    ledger.SecondPersonNeeded: Wording(
        409,
        "second-person-needed",
        "Otra persona debe confirmar lo propuesto",
        "Another person has to confirm what was proposed",
    ),
    cbi.EndingUnfit: Wording(
        422,
        "ending-unfit",
        "La diferencia no puede terminar así",
        "The break can't end like this",
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
    ledger.NotSealed: Wording(
        404,
        "not-sealed",
        "El libro sellado no tiene nada de este pago",
        "The sealed ledger holds nothing of this payment",
    ),
    ledger.CheckpointUnknown: Wording(
        404,
        "checkpoint-unknown",
        "No hay un punto de control de este tamaño",
        "There is no checkpoint of this size",
    ),
    ledger.LayoutMalformed: Wording(
        422,
        "layout-malformed",
        "El formato de la tabla no es válido",
        "The layout of the table is not valid",
    ),
    ledger.LayoutUnknown: Wording(
        404,
        "layout-unknown",
        "No existe este formato de tabla",
        "There is no such layout of a table",
    ),
    ledger.LayoutJustChanged: Wording(
        409,
        "layout-just-changed",
        "Otra persona acaba de cambiar este formato; intente de nuevo",
        "Somebody has just changed this layout; try again",
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
    **{kind: Wording(*told) for kind, told in import_wording.WORDS.items()},
    refusal.KeyMalformed: Wording(
        400,
        "idempotency-key-malformed",
        "Idempotency-Key debe tener de 1 a 200 caracteres ASCII",
        "Idempotency-Key must have 1 to 200 ASCII characters",
    ),
    refusal.KeyRunning: Wording(
        409,
        "idempotency-key-running",
        "La solicitud con esta clave sigue en curso",
        "The request with this key is still running",
    ),
    refusal.KeyReused: Wording(
        422,
        "idempotency-key-reused",
        "Esta clave se usó para otra solicitud",
        "This key was used for another request",
    ),
}
