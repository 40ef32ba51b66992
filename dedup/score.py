"""How sure it is that two records are one person, in bits, with the reasons.

The weight is the evidence for "one person" against "kin or strangers, whichever explains the
pair better" (Fellegi–Sunter with a third class).
"""

from collections.abc import Iterable
from math import log2

import msgspec

from dedup.compare import EXACT, FIELDS, LEVELS, NAME_FIELDS, Compared, Prepared, compare, prepare
from dedup.model import FieldEvidence, Model, Strength
from dedup.record import Record

# What another partner may learn that agrees. Given names and surnames are one word, and a
# document is a document: its type alone can reveal an asylum claim. Place is left out, because
# "it agrees" tells exactly where the family lives.
_SHOWN = {
    "given1": "name",
    "given2": "name",
    "surname1": "name",
    "surname2": "name",
    "birth_date": "birth_date",
    "document": "document",
    "phone": "phone",
    "sex": "sex",
    # Fields of the first models, in cases that are older than version 2.
    "given": "name",
    "surnames": "name",
}
PLACE = FIELDS.index("place")
DISTRICT = LEVELS["place"].index("district")
BIRTH_DATE = FIELDS.index("birth_date")
BORN_ON_ONE_DAY = LEVELS["birth_date"].index("exact")


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One pair's weight in bits, its calibrated probability, and the reasons per field."""

    weight_bits: float
    probability: float
    model_id: str
    strength: Strength
    fields: tuple[FieldEvidence, ...]


def score(a: Record, b: Record, model: Model) -> Score:
    """Score two records, with the same result whichever comes first."""
    return score_prepared(prepare(a), prepare(b), model)


def score_prepared(a: Prepared, b: Prepared, model: Model, *, household: int = 0) -> Score:
    """Score two records that were prepared once for many pairs.

    `household` is the code of that field's level: whether others of the two registrations match.
    """
    return explained(compare(a, b, household), a.ubigeo, model)


def explained(compared: Compared, ubigeo: str, model: Model) -> Score:
    """Make the score of a comparison, every field with its bits."""
    fields = [
        table[code] for table, code in zip(_evidence(compared, model), compared.codes, strict=True)
    ]
    for at, bits in _rarities(compared, ubigeo, model):
        fields[at] = msgspec.structs.replace(fields[at], bits=fields[at].bits + bits)
    weight = weight_bits(compared, ubigeo, model)
    return Score(
        weight_bits=weight,
        probability=model.probability(weight),
        model_id=model.model_id,
        strength=model.strength(weight),
        fields=tuple(fields),
    )


def weight_bits(compared: Compared, ubigeo: str, model: Model) -> float:
    """Return the weight of a comparison alone, for the many that nobody will see.

    `ubigeo` is the district where the two agree on it; elsewhere it changes nothing.
    """
    bits = kin_bits = 0.0
    for table, code in zip(_evidence(compared, model), compared.codes, strict=True):
        evidence = table[code]
        bits += evidence.bits
        kin_bits += evidence.kin_bits
    for _, rarity in _rarities(compared, ubigeo, model):
        bits += rarity
    return -log2(model.kin_share * 2**-kin_bits + (1 - model.kin_share) * 2**-bits)


def agreeing(score: Score) -> tuple[str, ...]:
    """Return the fields that agree, as another partner may see them."""
    return agreeing_fields(score.fields)


def agreeing_fields(fields: Iterable[FieldEvidence]) -> tuple[str, ...]:
    """Return the fields that speak for one person, named so that no more than that is told."""
    return _shown(one.field for one in fields if one.bits > 0)


def differing_fields(fields: Iterable[FieldEvidence]) -> tuple[str, ...]:
    """Return the fields that speak against one person, under the same few names."""
    return _shown(one.field for one in fields if one.bits < 0)


def _evidence(compared: Compared, model: Model) -> tuple[tuple[FieldEvidence, ...], ...]:
    born_on_one_day = compared.codes[BIRTH_DATE] == BORN_ON_ONE_DAY
    return model.twin_evidence if born_on_one_day else model.evidence


def _rarities(compared: Compared, ubigeo: str, model: Model) -> Iterable[tuple[int, float]]:
    """Give the fields whose agreement weighs by how rare it is, and the bits to add."""
    for at in range(len(NAME_FIELDS)):
        word = compared.words[at]
        if word and compared.codes[at] == EXACT:
            yield at, model.rarity[at].get(word, model.rare_bits[at])
    if compared.codes[PLACE] == DISTRICT:
        yield PLACE, model.rarity[PLACE].get(ubigeo, model.rare_bits[PLACE])


def _shown(fields: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_SHOWN[field] for field in fields if field in _SHOWN))
