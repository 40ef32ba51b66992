"""How the refusals of a programme's terms are told, beside those of `wording.py`."""

from api.wording import Wording
from cbi import term_refusal as refusal

REFUSALS: dict[type[Exception], Wording] = {
    refusal.InvalidTerm: Wording(
        422, "invalid-term", "El término del programa no es válido", "The term is not valid"
    ),
    refusal.TermApproved: Wording(
        409, "term-approved", "El término ya fue aprobado", "The term is approved already"
    ),
    refusal.ApprovedByAuthor: Wording(
        403,
        "approved-by-author",
        "Otra persona debe aprobar lo que usted ingresó",
        "Another person has to approve what you entered",
    ),
    refusal.OutsideProgramme: Wording(
        409,
        "outside-programme",
        "El hogar vive fuera del área del programa",
        "The household lives outside the programme's area",
    ),
    refusal.MonthsOutside: Wording(
        409,
        "months-outside",
        "Los meses de la ronda están fuera de los del programa",
        "The round's months are outside those of the programme",
    ),
    refusal.InstalmentsUneven: Wording(
        409,
        "instalments-uneven",
        "Los meses de la ronda no completan cuotas enteras",
        "The round's months are not a whole number of instalments",
    ),
    refusal.TermsJustChanged: Wording(
        409,
        "terms-just-changed",
        "Los términos del programa cambiaron en este momento; envíe lo mismo otra vez",
        "The programme's terms changed at this moment; send the same again",
    ),
    refusal.NotEligible: Wording(
        409,
        "not-eligible",
        "El hogar no cumple las reglas del programa",
        "The household does not meet the programme's rules",
    ),
    refusal.EligibilityUnknown: Wording(
        409,
        "eligibility-unknown",
        "Faltan datos para saber si el hogar cumple; decide una persona",
        "Facts are missing to know whether the household is eligible; a person decides",
    ),
    refusal.OverrideUnfit: Wording(
        409,
        "override-unfit",
        "Las reglas ya responden; no hay nada que decidir",
        "The rules answer by themselves; there is nothing to decide",
    ),
    refusal.OverrideStands: Wording(
        409, "override-stands", "Esto ya fue decidido", "This was decided already"
    ),
    refusal.OverriddenByEnroller: Wording(
        403,
        "overridden-by-enroller",
        "Quien decidió la elegibilidad no inscribe al hogar",
        "Who decided the eligibility does not enrol the household",
    ),
    refusal.NoRules: Wording(
        409,
        "no-rules",
        "El programa no tiene reglas vigentes",
        "The programme has no rules that count",
    ),
    refusal.NoUit: Wording(
        409,
        "no-uit",
        "No hay valor de la UIT para ese día",
        "No value of the UIT is known for that day",
    ),
}
