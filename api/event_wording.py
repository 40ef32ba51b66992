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
}
