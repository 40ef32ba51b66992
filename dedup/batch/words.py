"""Compare arrays of words: the same levels as `dedup.compare`, for millions at once."""

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import JaroWinkler
from rapidfuzz.process import cpdist

from dedup.batch.columns import Ints, Vocabulary
from dedup.compare import (
    DIFFERENT,
    EXACT,
    INITIAL,
    NEAR,
    NEAR_MIN,
    NICKNAME,
    SIMILAR,
    SIMILAR_MIN,
    SOUND,
)

Codes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
# A bound must stay above the measure itself, which is rounded in its own way.
_ROUNDING = 1e-9


def likeness(vocabulary: Vocabulary, a: Ints, b: Ints) -> Codes:
    """Return the levels of pairs of words; missing where either is -1.

    Words are numbered by the alphabet, so `one` and `other` are in one order for every pair.
    """
    level = np.where((a >= 0) & (b >= 0), np.uint8(DIFFERENT), np.uint8(0))
    same = (a == b) & (a >= 0)
    level[same] = np.where(vocabulary.length[a[same]] > 1, EXACT, INITIAL)
    rest = np.flatnonzero((level == DIFFERENT) & (a != b))
    one, other = np.minimum(a[rest], b[rest]), np.maximum(a[rest], b[rest])
    alike = vocabulary.sound[one] == vocabulary.sound[other]
    level[rest[alike]] = SOUND
    rest, one, other = rest[~alike], one[~alike], other[~alike]
    maybe = _may_be_near(vocabulary, one, other)
    rest, one, other = rest[maybe], one[maybe], other[maybe]
    # The same two words meet again and again: each two are compared once.
    unique, back = np.unique(one.astype(np.int64) << 32 | other, return_inverse=True)
    found = _unlike(vocabulary, (unique >> 32).astype(np.int32), unique.astype(np.int32))
    level[rest] = found[back]
    return level


def _may_be_near(vocabulary: Vocabulary, one: Ints, other: Ints) -> Flags:
    """Leave out words that can't reach NEAR_MIN, whatever the order of their letters."""
    length_1, length_2 = vocabulary.length[one], vocabulary.length[other]
    shared = np.bitwise_count(vocabulary.letters[one] & vocabulary.letters[other])
    alike = shared + np.minimum(vocabulary.more[one], vocabulary.more[other]).astype(np.float64)
    same_initial = vocabulary.initial[one] == vocabulary.initial[other]
    jaro = (alike / length_1 + alike / length_2 + 1) / 3
    bound = np.where(same_initial, jaro + 0.4 * (1 - jaro), jaro)
    initial = ((length_1 == 1) | (length_2 == 1)) & same_initial
    nickname = (vocabulary.formal[one, 0] >= 0) | (vocabulary.formal[other, 0] >= 0)
    return np.asarray((bound >= NEAR_MIN - _ROUNDING) | initial | nickname)


def _unlike(vocabulary: Vocabulary, one: Ints, other: Ints) -> Codes:
    """Return the levels of words that neither are nor sound the same."""
    level = np.full(len(one), DIFFERENT, dtype=np.uint8)
    nickname = (vocabulary.formal[one] == vocabulary.sound[other][:, None]).any(axis=1)
    nickname |= (vocabulary.formal[other] == vocabulary.sound[one][:, None]).any(axis=1)
    short = (vocabulary.length[one] == 1) | (vocabulary.length[other] == 1)
    initial = short & (vocabulary.initial[one] == vocabulary.initial[other])
    level[initial] = INITIAL
    level[nickname] = NICKNAME
    at = np.flatnonzero(~nickname & ~short)
    texts = vocabulary.texts
    measure = cpdist(
        [texts[i] for i in one[at].tolist()],
        [texts[j] for j in other[at].tolist()],
        scorer=JaroWinkler.similarity,
        score_cutoff=NEAR_MIN,
        dtype=np.float64,
    )
    gendered = vocabulary.ends_in_a[one[at]] != vocabulary.ends_in_a[other[at]]
    similar = (measure >= SIMILAR_MIN) & ~gendered
    level[at] = np.where(similar, SIMILAR, np.where(measure >= NEAR_MIN, NEAR, DIFFERENT))
    return level
