"""How a constraint that alone refuses is told, by its name."""

from api.wording import NOT_FOUND, Wording

# Constraints that a verb doesn't turn into a refusal of its own.
CONSTRAINTS: dict[str, Wording] = {
    "partner_code_once": Wording(409, "code-taken", "El código ya existe", "The code is taken"),
    "programme_code_once": Wording(409, "code-taken", "El código ya existe", "The code is taken"),
    "round_name_once": Wording(409, "name-taken", "El nombre ya existe", "The name is taken"),
    "check_list_name_once": Wording(409, "name-taken", "El nombre ya existe", "The name is taken"),
    "check_list_ends": Wording(
        422,
        "list-too-long",
        "Una lista termina a los 183 días o antes",
        "A list ends within 183 days",
    ),
    "check_quota_not_own": Wording(
        403,
        "quota-own",
        "La cuota de su propia organización la fija otra",
        "The quota of one's own organisation is set by another",
    ),
    "household_reference_once": Wording(
        409,
        "registration-running",
        "La misma referencia se está registrando ahora",
        "The same reference is being registered now",
    ),
    "household_not_ended": Wording(
        409,
        "household-ended",
        "El hogar ya no está registrado",
        "The household is registered no more",
    ),
    "entitlement_within_instalments": Wording(
        409,
        "instalments-just-given",
        "Otra ronda dio en este momento la última cuota; intente de nuevo",
        "Another round has just given the last instalment; try again",
    ),
    "family_of_today": Wording(
        409,
        "family-changed",
        "Una decisión cambió la familia en este momento; intente de nuevo",
        "A decision has just changed the family; try again",
    ),
    "enrolment_of_eligible": Wording(
        409,
        "rules-just-changed",
        "Las reglas del programa cambiaron en este momento; intente de nuevo",
        "The programme's rules have just changed; try again",
    ),
    "entitlement_promised": Wording(
        409,
        "family-changed",
        "Una decisión cambió la familia en este momento; intente de nuevo",
        "A decision has just changed the family; try again",
    ),
    "round_of_programme": NOT_FOUND,
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
