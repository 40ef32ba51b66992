"""How sure it is that two records are one person, in bits, with the reasons.

The weight is the evidence for "one person" against "kin or strangers, whichever explains the
pair better" (Fellegi–Sunter with a third class).
"""

from collections.abc import Iterable
from math import log2

import msgspec

from dedup.compare import Prepared, levels, prepare
from dedup.model import FieldEvidence, Model, Strength
from dedup.record import Record

# What another partner may learn that agrees. Given names and surnames are one word, and a
# document is a document: its type alone can reveal an asylum claim. Place is left out, because
# "it agrees" tells exactly where the family lives.
_SHOWN = {
    "given": "name",
    "surnames": "name",
    "birth_date": "birth_date",
    "document": "document",
    "phone": "phone",
    "sex": "sex",
}


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One pair's weight in bits, its probability under the prior, and the reasons per field."""

    weight_bits: float
    probability: float
    model_id: str
    strength: Strength
    fields: tuple[FieldEvidence, ...]


def score(a: Record, b: Record, model: Model) -> Score:
    """Score two records, with the same result whichever comes first."""
    return score_prepared(prepare(a), prepare(b), model)


def score_prepared(a: Prepared, b: Prepared, model: Model) -> Score:
    """Score two records that were prepared once for many pairs."""
    bits = kin_bits = 0.0
    fields = []
    for table, level in zip(model.evidence, levels(a, b), strict=True):
        evidence = table[level]
        fields.append(evidence)
        bits += evidence.bits
        kin_bits += evidence.kin_bits
    # Kin are rarer than strangers, by this share of all pairs that are not one person.
    kin = model.prior_kin / (1 - model.prior_match)
    weight_bits = -log2(kin * 2**-kin_bits + (1 - kin) * 2**-bits)
    odds = 2**weight_bits * model.prior_match / (1 - model.prior_match)
    return Score(
        weight_bits=round(weight_bits, 6),
        probability=odds / (1 + odds),
        model_id=model.model_id,
        strength=model.strength(weight_bits),
        fields=tuple(fields),
    )


def strength(score: Score) -> Strength:
    """Say in a word how strong a score is: strong, possible, or too weak for a person to see."""
    return score.strength


def agreeing(score: Score) -> tuple[str, ...]:
    """Return the fields that agree, as another partner may see them."""
    return agreeing_fields(score.fields)


def agreeing_fields(fields: Iterable[FieldEvidence]) -> tuple[str, ...]:
    """Return the fields that speak for one person, named so that no more than that is told."""
    return _shown(one.field for one in fields if one.bits > 0)


def differing_fields(fields: Iterable[FieldEvidence]) -> tuple[str, ...]:
    """Return the fields that speak against one person, under the same few names."""
    return _shown(one.field for one in fields if one.bits < 0)


def _shown(fields: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_SHOWN[field] for field in fields if field in _SHOWN))
