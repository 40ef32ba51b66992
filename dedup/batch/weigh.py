"""Weigh arrays of compared pairs: the same bits as `dedup.score`, for millions at once."""

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dedup.batch.columns import Columns
from dedup.batch.levels import Levels
from dedup.batch.words import Codes
from dedup.compare import FIELDS, LEVELS, NAME_FIELDS
from dedup.model import LOGIT_MAX, Model
from dedup.score import BIRTH_DATE, BORN_ON_ONE_DAY, DISTRICT, PLACE

Bits = NDArray[np.float64]
CODES_MAX = max(map(len, LEVELS.values()))


@dataclass(frozen=True)
class Tables:
    """A model as arrays: bits of each field and code, and what rare words and places add.

    `kin_bits[1]` is for two who were born on one day. The last place of each rarity stands for
    "none".
    """

    bits: Bits
    kin_bits: Bits
    words: tuple[Bits, ...]
    places: Bits
    kin_share: float


@dataclass(frozen=True)
class Evidence:
    """Sums over the fields of each pair: bits against strangers and against kin."""

    bits: Bits
    kin_bits: Bits


def tables(model: Model, columns: Columns) -> Tables:
    """Lay a model out for the words and places of these columns."""
    shape = len(FIELDS), CODES_MAX
    bits, kin_bits = np.zeros(shape), np.zeros((2, *shape))
    for twin, each in enumerate((model.evidence, model.twin_evidence)):
        for row, levels in enumerate(each):
            bits[row, : len(levels)] = [level.bits for level in levels]
            kin_bits[twin, row, : len(levels)] = [level.kin_bits for level in levels]
    texts = columns.vocabulary.texts
    return Tables(
        bits=bits,
        kin_bits=kin_bits,
        words=tuple(_rarity(model, at, texts) for at in range(len(NAME_FIELDS))),
        places=_rarity(model, PLACE, columns.places),
        kin_share=model.kin_share,
    )


def evidence(levels: Levels, table: Tables) -> Evidence:
    """Add up the bits of each pair, field by field in their order, as `dedup.score` does."""
    bits, kin_bits = np.zeros(len(levels.codes)), np.zeros(len(levels.codes))
    twin = (levels.codes[:, BIRTH_DATE] == BORN_ON_ONE_DAY).astype(np.intp)
    for field in range(len(FIELDS)):
        code = levels.codes[:, field]
        bits += table.bits[field][code]
        kin_bits += table.kin_bits[:, field][twin, code]
    return Evidence(bits + rarity(levels, table), kin_bits)


def rarity(levels: Levels, table: Tables) -> Bits:
    """Return the bits that rare words and districts add to each pair."""
    added = np.zeros(len(levels.codes))
    for at, by_word in enumerate(table.words):
        added += by_word[levels.words[:, at]]
    return added + np.where(levels.codes[:, PLACE] == DISTRICT, table.places[levels.place], 0.0)


def in_context(found: Evidence, household: Codes, table: Tables) -> Evidence:
    """Add what is said by other persons of the two registrations matching, or not."""
    field = FIELDS.index("household")
    return Evidence(
        found.bits + table.bits[field][household],
        found.kin_bits + table.kin_bits[0, field][household],
    )


def weight_bits(found: Evidence, table: Tables) -> Bits:
    """Return the weight of each pair: against kin or strangers, whichever explains it better."""
    share = table.kin_share
    return -np.log2(share * np.exp2(-found.kin_bits) + (1 - share) * np.exp2(-found.bits))


def probability(weights: Bits, model: Model) -> Bits:
    """Return the calibrated probability of each weight, as `Model.probability` does."""
    calibration = model.content.calibration
    raw = (weights + model.prior_bits) * log(2)
    logit = calibration.slope * raw + calibration.intercept
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -LOGIT_MAX, LOGIT_MAX))))


def _rarity(model: Model, field: int, texts: list[str]) -> Bits:
    known, rare = model.rarity[field], model.rare_bits[field]
    return np.array([*(known.get(text, rare) for text in texts), 0.0])


def pairs_of(
    registrations_a: NDArray[Any], registrations_b: NDArray[Any], count: int
) -> NDArray[np.int64]:
    """Number the pairs of registrations, whichever comes first."""
    low = np.minimum(registrations_a, registrations_b).astype(np.int64)
    return np.asarray(low * count + np.maximum(registrations_a, registrations_b))
