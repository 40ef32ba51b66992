"""How refusals of overlap rules are told: status, stable slug, and a title in two languages."""

from cbi import overlap_refusal as cbi

SAID: dict[type[Exception], tuple[int, str, str, str]] = {
    cbi.InvalidRules: (
        422,
        "invalid-rules",
        "Las reglas tienen errores",
        "The rules have faults",
    ),
    cbi.RulesApproved: (
        409,
        "rules-approved",
        "Su organización, o usted, ya aprobó estas reglas",
        "Your organisation, or you, approved these rules already",
    ),
    cbi.OwnProposal: (
        403,
        "own-proposal",
        "Quien propone reglas no las aprueba",
        "Whoever proposed rules doesn't approve them",
    ),
    cbi.Overlap: (
        409,
        "overlap",
        "La familia tiene otra asistencia que no permite esta por ahora",
        "The family has other assistance that does not allow this for now",
    ),
    cbi.NotHeld: (
        409,
        "not-held",
        "Nada impide asistir ya a esta familia",
        "Nothing keeps this family from being assisted now",
    ),
    cbi.RulesNotProposed: (
        403,
        "rules-not-proposed",
        "Solo la coordinación prueba reglas que nadie ha propuesto; nombre una versión",
        "Only coordination tries rules that nobody has proposed; name a version",
    ),
    cbi.SimulationQuotaSpent: (
        429,
        "simulation-quota-spent",
        "Su organización no prueba más reglas hoy",
        "Your organisation tries no more rules today",
    ),
    cbi.ReservationQuotaSpent: (
        409,
        "reservation-quota-spent",
        "Su organización tiene abiertas todas las reservas que puede",
        "Your organisation has as many open reservations as it may",
    ),
    cbi.ReservationPaused: (
        409,
        "reservation-paused",
        "Su reserva anterior para esta familia terminó hace poco sin inscripción",
        "Your last reservation for this family ended a short time ago without an enrolment",
    ),
    cbi.ReservationOver: (
        409,
        "reservation-over",
        "La reserva ya terminó",
        "The reservation is over",
    ),
    cbi.RenewalsSpent: (
        409,
        "renewals-spent",
        "La reserva ya no se puede renovar",
        "The reservation can't be renewed any more",
    ),
    cbi.ConflictOver: (
        409,
        "conflict-over",
        "El conflicto terminó por sí solo",
        "The conflict has ended by itself",
    ),
    cbi.ConflictOfOthers: (
        403,
        "conflict-of-others",
        "Deben decidir organizaciones que no hicieron ninguna de las dos promesas",
        "Organisations that made neither promise must decide",
    ),
    cbi.ConflictTwoPeople: (
        403,
        "conflict-two-people",
        "Debe confirmar otra persona, de otra organización",
        "Another person, of another organisation, must confirm",
    ),
    cbi.ConflictDecidedAnew: (
        409,
        "conflict-decided-anew",
        "Hay una decisión posterior sobre este conflicto",
        "There is a later decision on this conflict",
    ),
    cbi.ConflictUnendable: (
        409,
        "conflict-unendable",
        "Entretanto se prometieron esos meses a la familia",
        "These months were promised to the family meanwhile",
    ),
}
