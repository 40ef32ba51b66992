"""The same person entered twice in one registration: a warning for the clerk, never a refusal.

Everybody in a registration is kin of everybody, so the rival is kin alone: names, phone and place
that a family shares say nothing.
"""

from collections.abc import Sequence
from itertools import combinations
from math import log2

import msgspec

from dedup.compare import DIFFERENT, EXACT, LEVELS, NEAR, NICKNAME, SOUND, prepare
from dedup.model import FieldEvidence, Model
from dedup.record import Record
from dedup.score import agreeing_fields, score_prepared

PERSONS_MAX = 30
# About 3 in 1,000 persons are entered twice, and a person stands in four or five pairs.
TWICE_PRIOR = 1e-3
# Codes of levels, as in dedup.compare.
SAME_NAME = (EXACT, SOUND, NICKNAME)
ANOTHER_NAME = (DIFFERENT, NEAR)
NOT_TWINS = tuple(LEVELS["document"].index(level) for level in ("exact", "exact_other"))
ABOUT = LEVELS["birth_date"].index("about")


class Twice(msgspec.Struct, frozen=True, kw_only=True):
    """Two places in a registration, `one` < `other`, that seem to be one person.

    `agreeing` names the fields that agree, in the few words of `dedup.score`.
    """

    one: int
    other: int
    probability: float
    agreeing: tuple[str, ...]


def twice(records: Sequence[Record], model: Model) -> tuple[Twice, ...]:
    """Return who seems to be entered twice in one registration, in the order of the records.

    Raises ValueError for more than PERSONS_MAX records: every pair is compared.
    """
    if len(records) > PERSONS_MAX:
        raise ValueError(f"a registration has at most {PERSONS_MAX} persons, not {len(records)}")
    prepared = [prepare(record) for record in records]
    found = []
    for (one, a), (other, b) in combinations(enumerate(prepared), 2):
        fields = score_prepared(a, b, model).fields
        weight = weight_bits(fields, model)
        if weight >= model.review_bits and tells_apart_from_kin(fields):
            found.append(
                Twice(
                    one=one,
                    other=other,
                    probability=model.probability(weight),
                    agreeing=agreeing_fields(fields),
                )
            )
    return tuple(found)


def weight_bits(fields: Sequence[FieldEvidence], model: Model) -> float:
    """Return the weight that says under the model's prior what these fields say under ours."""
    kin_bits = sum(field.kin_bits for field in fields)
    return kin_bits + log2(TWICE_PRIOR / (1 - TWICE_PRIOR)) - model.prior_bits


def tells_apart_from_kin(fields: Sequence[FieldEvidence]) -> bool:
    """Say whether the fields can tell one person from twins, and from parent and child.

    First names that only resemble each other, or one first name with different second ones, are
    what parents give to twins; one name without a date that agrees is what a child has from a
    parent. A document shown for both settles it.
    """
    code = {field.field: LEVELS[field.field].index(field.level) for field in fields}
    named = code["given1"] in SAME_NAME and code["given2"] not in ANOTHER_NAME
    return code["document"] in NOT_TWINS or (named and code["birth_date"] > ABOUT)
