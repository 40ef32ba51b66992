"""How the refusals of an organisation's own texts are told, beside those of `wording.py`."""

from api.wording import Wording
from cbi import text_refusal as refusal

REFUSALS: dict[type[Exception], Wording] = {
    refusal.InvalidText: Wording(
        422, "invalid-text", "El texto no se puede usar", "The text can't be used"
    ),
    refusal.TextApproved: Wording(
        409, "text-approved", "El texto ya fue aprobado", "The text is approved already"
    ),
    refusal.TextOfOneself: Wording(
        403,
        "own-text",
        "Otra persona debe aprobar el texto que usted propuso",
        "Another person has to approve the text that you proposed",
    ),
}
