"""How the refusals of grants are told, beside those of `wording.py`."""

from api.wording import Wording
from cbi import grant_refusal as refusal

REFUSALS: dict[type[Exception], Wording] = {
    refusal.AmendmentUnfit: Wording(
        409,
        "amendment-unfit",
        "Una adenda agrega días o dinero a lo vigente, y no quita nada",
        "An amendment adds days or money to what counts, and takes nothing away",
    ),
    refusal.GrantUnnamed: Wording(
        409,
        "grant-unnamed",
        "El programa usa subvenciones; diga de cuál es este dinero",
        "The programme draws on grants; say of which one this money is",
    ),
    refusal.GrantNotDrawn: Wording(
        409,
        "grant-not-drawn",
        "El programa no usa esa subvención en esa fecha",
        "The programme doesn't draw on that grant on that day",
    ),
    refusal.GrantInOtherCurrency: Wording(
        409,
        "grant-in-other-currency",
        "La subvención es de otra moneda",
        "The grant is of another currency",
    ),
    refusal.OutsideGrantDays: Wording(
        409,
        "outside-grant-days",
        "La fecha está fuera de los días acordados de la subvención",
        "The day is outside those agreed for the grant",
    ),
    refusal.GrantSpent: Wording(
        409,
        "grant-spent",
        "Con esto se pasaría el monto acordado de la subvención",
        "With this it would be more than what was agreed for the grant",
    ),
    refusal.RoundFunded: Wording(
        409,
        "round-funded",
        "La ronda ya tiene su dinero; su subvención ya no cambia",
        "The round has its money already; its grant doesn't change any more",
    ),
}
