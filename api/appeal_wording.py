"""How the refusals of slips and appeals are told."""

from api.wording import Wording
from cbi import appeal_refusal as refusal

REFUSALS: dict[type[Exception], Wording] = {
    refusal.SlipUnknown: Wording(
        404,
        "slip-unknown",
        "No hay una constancia vigente con este código",
        "No slip in force has this code",
    ),
    refusal.PrintsSpent: Wording(
        409,
        "prints-spent",
        "La constancia ya se imprimió las veces permitidas",
        "The slip was printed as often as it may be",
    ),
    refusal.SlipsSpent: Wording(
        429,
        "slips-spent",
        "Su organización ya dio hoy las constancias permitidas a personas no registradas",
        "Your organisation has given as many slips to people not registered as it may today",
    ),
    refusal.AppealTriesSpent: Wording(
        429,
        "appeal-tries-spent",
        "Su organización ya probó hoy los códigos permitidos",
        "Your organisation has tried as many codes as it may today",
    ),
    refusal.AppealDecided: Wording(
        409, "appeal-decided", "La apelación ya fue decidida", "The appeal is decided already"
    ),
    refusal.ReviewerTookPart: Wording(
        409,
        "reviewer-took-part",
        "Debe revisar alguien que no participó en lo que se apela",
        "Somebody who took no part in what is appealed must review it",
    ),
    refusal.NotTheReviewer: Wording(
        409,
        "not-the-reviewer",
        "La revisión está asignada a otra organización o persona, o a nadie",
        "The review is assigned to another organisation or person, or to nobody",
    ),
    refusal.NothingToActOn: Wording(
        409,
        "nothing-to-act-on",
        "La apelación no pide nada a su organización, o ya se hizo",
        "The appeal asks nothing of your organisation, or it was done",
    ),
    refusal.StatementErased: Wording(
        409,
        "statement-erased",
        "Lo que dijo la persona fue borrado",
        "What the person said was erased",
    ),
}
