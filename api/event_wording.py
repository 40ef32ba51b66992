"""How refusals of what happens to households are told."""

from api.wording import Wording
from cbi import refusal as cbi

REFUSALS: dict[type[Exception], Wording] = {
    cbi.HouseholdEnded: Wording(
        409,
        "household-ended",
        "El registro de este hogar terminó",
        "The registration of this household has ended",
    ),
    cbi.PersonDeceased: Wording(
        409,
        "person-deceased",
        "Una persona del formulario figura como fallecida",
        "A person of the form is recorded as deceased",
    ),
    cbi.ConsentNotGiven: Wording(
        409,
        "consent-not-given",
        "No hay un consentimiento vigente que retirar",
        "There is no standing consent to take back",
    ),
    cbi.HouseholdStands: Wording(
        409,
        "household-stands",
        "El hogar sigue registrado; primero debe terminar su registro",
        "The household is registered; its registration must end first",
    ),
    cbi.PaymentsPending: Wording(
        409,
        "payments-pending",
        "Hay pagos al hogar prometidos o en camino",
        "Payments to the household are promised or on their way",
    ),
    cbi.PromisesStand: Wording(
        409,
        "promises-stand",
        "Todavía corren meses prometidos al hogar",
        "Months promised to the household still run",
    ),
    cbi.OfferStands: Wording(
        409,
        "offer-stands",
        "El hogar ya fue ofrecido a una organización que no ha respondido",
        "The household is offered to an organisation that has not answered",
    ),
    cbi.OfferClosed: Wording(
        409,
        "offer-closed",
        "La oferta ya no está vigente",
        "The offer stands no more",
    ),
    cbi.FamiliesApart: Wording(
        409,
        "families-apart",
        "Según las decisiones vigentes los dos hogares no son una familia",
        "By the decisions in force the two households are no family",
    ),
}
