"""Compare arrays of pairs: the same levels as `dedup.compare`, for millions at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dedup import documents
from dedup.batch.columns import DOCUMENT_TYPES, PRECISIONS, Columns, Ints, Vocabulary
from dedup.batch.words import Codes, Flags, likeness
from dedup.compare import (
    AGE_YEARS_OFF_MAX,
    EXACT,
    FIELDS,
    LEVELS,
    NAME_FIELDS,
    SIMILAR,
    SOUND,
    STRAIGHT,
    SWAP_POINTS_MAX,
    SWAPPED,
    TURNED,
    WORDS_MAX,
    Alignment,
    alignments,
)

_BIRTH = {word: code for code, word in enumerate(LEVELS["birth_date"])}
_DAY, _AGE = PRECISIONS.index("day"), PRECISIONS.index("age")
_RENEWED = np.array([kind in documents.RENEWED for kind in DOCUMENT_TYPES])


@dataclass(frozen=True)
class Levels:
    """Codes of pairs, a column for each field, and the words that agree exactly (-1: none).

    `words` has a column for each of NAME_FIELDS, `place` the district that both state.
    """

    codes: Codes
    words: Ints
    place: Ints

    def take(self, at: NDArray[np.intp]) -> "Levels":
        """Return some of the pairs."""
        return Levels(self.codes[at], self.words[at], self.place[at])


@dataclass
class _Side:
    """How one side of the names of pairs agrees: `compare.Words` in columns."""

    first: Codes
    second: Codes
    first_word: Ints
    second_word: Ints
    turned: Flags
    points: Ints

    def take(self, at: NDArray[np.intp], other: "_Side") -> None:
        """Put what `other` says in the places `at`."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[at] = getattr(other, name)

    def at(self, at: NDArray[Any]) -> "_Side":
        """Return the places `at`."""
        return _Side(**{name: getattr(self, name)[at] for name in self.__dataclass_fields__})


def compare(columns: Columns, a: Ints, b: Ints) -> Levels:
    """Return the levels of the pairs of rows (a[i], b[i]); the household's level is left missing.

    Whichever row of a pair comes first, the result is the same.
    """
    codes = np.zeros((len(a), len(FIELDS)), dtype=np.uint8)
    words = np.full((len(a), len(NAME_FIELDS)), -1, dtype=np.int32)
    given, surname, order = _names(columns, a, b)
    for at, (level, word) in enumerate(
        (
            (given.first, given.first_word),
            (given.second, given.second_word),
            (surname.first, surname.first_word),
            (surname.second, surname.second_word),
        )
    ):
        codes[:, at] = level
        words[:, at] = np.where((order != SWAPPED) & (level == EXACT), word, -1)
    place = columns.place[a]
    for field, level in (
        ("order", order),
        ("birth_date", _birth(columns, a, b)),
        ("document", _document(columns, a, b)),
        ("phone", _phone(columns, a, b)),
        ("sex", _sex(columns, a, b)),
        ("place", _place(columns, a, b)),
    ):
        codes[:, FIELDS.index(field)] = level
    return Levels(codes, words, place)


def near(a: NDArray[np.bytes_], b: NDArray[np.bytes_]) -> Flags:
    """Say which texts differ by one sign at most: wrong, left out, or two neighbours swapped."""
    width = a.dtype.itemsize
    x, y = (np.ascontiguousarray(one).view(np.uint8).reshape(-1, width) for one in (a, b))
    len_x, len_y = np.count_nonzero(x, axis=1), np.count_nonzero(y, axis=1)
    result: Flags = np.asarray(a == b)
    at = np.flatnonzero((len_x == len_y) & ~result)
    wrong = x[at] != y[at]
    count = np.count_nonzero(wrong, axis=1)
    first = np.argmax(wrong, axis=1)
    following = np.minimum(first + 1, width - 1)
    lines = np.arange(len(at))
    swapped = (
        (count == 2)
        & wrong[lines, following]
        & (x[at, first] == y[at, following])
        & (x[at, following] == y[at, first])
    )
    result[at] = (count == 1) | swapped
    for longer, shorter, which in (
        (x, y, np.flatnonzero(len_x == len_y + 1)),
        (y, x, np.flatnonzero(len_y == len_x + 1)),
    ):
        long, short = longer[which], shorter[which]
        agree = long == short
        before = np.logical_and.accumulate(agree, axis=1)
        shifted = np.ones_like(agree)
        shifted[:, :-1] = long[:, 1:] == short[:, :-1]
        result[which] = (before | shifted).all(axis=1)
    return result


def _names(columns: Columns, a: Ints, b: Ints) -> tuple[_Side, _Side, Codes]:
    given = _side(columns, ("given", "given"), a, b)
    surname = _side(columns, ("surname", "surname"), a, b)
    order = np.zeros(len(a), dtype=np.uint8)
    agree = (given.first >= SIMILAR) & (surname.first >= SIMILAR)
    order[agree] = np.where((given.turned | surname.turned)[agree], TURNED, STRAIGHT)
    at = np.flatnonzero((given.points <= SWAP_POINTS_MAX) & (surname.points <= SWAP_POINTS_MAX))
    one = _side(columns, ("given", "surname"), a[at], b[at])
    # Both must agree, and the first hardly ever does.
    agree = one.first >= SIMILAR
    at, one = at[agree], one.at(agree)
    other = _side(columns, ("surname", "given"), a[at], b[at])
    crossed = other.first >= SIMILAR
    crossed &= one.points + other.points > given.points[at] + surname.points[at]
    at, one, other = at[crossed], one.at(crossed), other.at(crossed)
    one_first = _strength(one) <= _strength(other)
    for turned, side in ((one_first, given), (~one_first, surname)):
        side.take(at[turned], one.at(turned))
        side.take(at[~turned], other.at(~turned))
    order[at] = SWAPPED
    return given, surname, order


def _strength(side: _Side) -> Ints:
    return np.asarray((side.points * 8 + side.first) * 8 + side.second)


def _side(columns: Columns, sides: tuple[str, str], a: Ints, b: Ints) -> _Side:
    words_a = getattr(columns, sides[0])[a, :WORDS_MAX]
    words_b = getattr(columns, sides[1])[b, :WORDS_MAX]
    joined = getattr(columns, f"{sides[0]}_joined")[a] == getattr(columns, f"{sides[1]}_joined")[b]
    count_a, count_b = (
        np.count_nonzero(words_a >= 0, axis=1),
        np.count_nonzero(words_b >= 0, axis=1),
    )
    side = _no_side(len(a))
    groups = count_a * (WORDS_MAX + 1) + count_b
    for group in np.unique(groups):
        many_a, many_b = divmod(int(group), WORDS_MAX + 1)
        if many_a and many_b:
            at = np.flatnonzero(groups == group)
            found = _aligned(columns.vocabulary, words_a[at, :many_a], words_b[at, :many_b])
            side.take(at, found)
    split = joined & (count_a > 0) & (count_b > 0) & (words_a != words_b).any(axis=1)
    side.first[split], side.second[split] = SOUND, 0
    side.first_word[split] = side.second_word[split] = -1
    side.turned[split], side.points[split] = False, 2 * SOUND
    return side


def _aligned(vocabulary: Vocabulary, a: Ints, b: Ints) -> _Side:
    """Lay words side by side as `compare.words_level` does, for lines of equally many words."""
    rows, many_a, many_b = len(a), a.shape[1], b.shape[1]
    table = likeness(
        vocabulary, np.repeat(a, many_b, axis=1).ravel(), np.tile(b, (1, many_a)).ravel()
    ).reshape(rows, many_a, many_b)
    ways = alignments(many_a, many_b)
    found = [np.stack([table[:, i, j] for i, j in way.pairs]).astype(np.int32) for way in ways]
    best = np.argmax(np.stack([_key(*both) for both in zip(ways, found, strict=True)]), axis=0)
    side = _no_side(rows)
    for number, (way, levels) in enumerate(zip(ways, found, strict=True)):
        at = np.flatnonzero(best == number)
        side.take(at, _laid(way, levels[:, at], a[at]))
    return side


def _laid(way: Alignment, levels: Ints, a: Ints) -> _Side:
    """Read the sides off one way to lay words."""
    words = np.stack([a[:, i] for i, _ in way.pairs])
    levels, words = _in_place(way, levels, words)
    none = np.full(len(a), -1, dtype=np.int32)
    two = len(way.pairs) > 1
    return _Side(
        first=levels[0].astype(np.uint8),
        second=levels[1].astype(np.uint8) if two else np.zeros(len(a), dtype=np.uint8),
        first_word=words[0],
        second_word=words[1] if two else none,
        turned=np.full(len(a), way.turned),
        points=levels.sum(axis=0, dtype=np.int32),
    )


def _in_place(way: Alignment, levels: Ints, words: Ints) -> tuple[Ints, Ints]:
    """Put the better of two crossed words first, then the alphabet's first."""
    if way.tied < 0:
        return levels, words
    at, after = way.tied, way.tied + 1
    turn = levels[after] > levels[at]
    turn |= (levels[after] == levels[at]) & (words[after] < words[at])
    order = list(range(len(levels)))
    order[at], order[after] = after, at
    return np.where(turn, levels[order], levels), np.where(turn, words[order], words)


def _key(way: Alignment, levels: Ints) -> Ints:
    """Rank a way to align words, as `compare.words_level` does."""
    levels, _ = _in_place(way, levels, np.zeros_like(levels))
    first, second = levels[0], levels[1] if len(levels) > 1 else np.zeros_like(levels[0])
    return np.asarray(((levels.sum(axis=0) * 16 + 15 - way.displacement) * 8 + first) * 8 + second)


def _no_side(rows: int) -> _Side:
    return _Side(
        first=np.zeros(rows, dtype=np.uint8),
        second=np.zeros(rows, dtype=np.uint8),
        first_word=np.full(rows, -1, dtype=np.int32),
        second_word=np.full(rows, -1, dtype=np.int32),
        turned=np.zeros(rows, dtype=np.bool_),
        points=np.zeros(rows, dtype=np.int32),
    )


def _birth(columns: Columns, a: Ints, b: Ints) -> Codes:
    x, y = columns.birth[a], columns.birth[b]
    known = (x > 0) & (y > 0)
    precise_x, precise_y = columns.precision[a], columns.precision[b]
    by_day = (precise_x == _DAY) & (precise_y == _DAY)
    (year_x, month_x, day_x), (year_y, month_y, day_y) = (
        (one // 10000, one // 100 % 100, one % 100) for one in (x, y)
    )
    year, month, day = year_x == year_y, month_x == month_y, day_x == day_y
    new_x, new_y = x % 10000 == 101, y % 10000 == 101  # 1 January, the default of clerks
    by_month = (precise_x <= _DAY + 1) & (precise_y <= _DAY + 1) & ~new_x & ~new_y
    age = (precise_x == _AGE) | (precise_y == _AGE)
    close = np.abs(year_x - year_y) <= AGE_YEARS_OFF_MAX
    rough = ~by_day | new_x | new_y
    conditions = (
        (~known, 0),
        (by_day & new_x & new_y & year, "newyear"),
        (rough & year & by_month & month, "month"),
        (rough & year & by_month, "part"),
        (rough & year, "year"),
        (rough & close & age, "about"),
        (rough, "different"),
        (x == y, "exact"),
        (year & (day_x == month_y) & (month_x == day_y), "swapped"),
        (_one_digit_off(x, y), "digit"),
        (year.astype(np.int8) + month + day == 2, "part"),
    )
    return np.select(
        [condition for condition, _ in conditions],
        [np.uint8(_BIRTH[word] if isinstance(word, str) else word) for _, word in conditions],
        np.uint8(_BIRTH["different"]),
    )


def _one_digit_off(x: Ints, y: Ints) -> Flags:
    """Say which numbers of eight digits differ by one digit, or by two neighbours swapped."""
    powers = 10 ** np.arange(7, -1, -1, dtype=np.int32)
    result = np.zeros(len(x), dtype=np.bool_)
    # Most dates differ by far more: a difference of one digit is d * 10^k.
    digits_x, digits_y = (one[:, None] // powers % 10 for one in (x, y))
    wrong = digits_x != digits_y
    count = np.count_nonzero(wrong, axis=1)
    result[count <= 1] = True
    at = np.flatnonzero(count == 2)
    first = np.argmax(wrong[at], axis=1)
    following = np.minimum(first + 1, 7)
    result[at] = (
        wrong[at, following]
        & (digits_x[at, first] == digits_y[at, following])
        & (digits_x[at, following] == digits_y[at, first])
    )
    return result


def _document(columns: Columns, a: Ints, b: Ints) -> Codes:
    level = np.zeros(len(a), dtype=np.uint8)
    slots = columns.document.shape[1]
    for i in range(slots):
        with_a = np.flatnonzero(columns.document_type[a, i] >= 0)
        for j in range(slots):
            at = with_a[columns.document_type[b[with_a], j] >= 0]
            type_a, type_b = columns.document_type[a[at], i], columns.document_type[b[at], j]
            number_a, number_b = columns.document[a[at], i], columns.document[b[at], j]
            same = type_a == type_b
            code = np.where(same & ~_RENEWED[type_a], np.uint8(2), np.uint8(1))
            close = near(number_a, number_b)
            code[close] = np.where(same[close], 4, 3)
            equal = number_a == number_b
            code[equal] = np.where(same[equal], 6, 5)
            level[at] = np.maximum(level[at], code)
    return level


def _phone(columns: Columns, a: Ints, b: Ints) -> Codes:
    level = np.zeros(len(a), dtype=np.uint8)
    slots = columns.phone.shape[1]
    lengths = np.strings.str_len(columns.phone)
    for i in range(slots):
        with_a = np.flatnonzero(lengths[a, i] > 0)
        for j in range(slots):
            at = with_a[lengths[b[with_a], j] > 0]
            phone_a, phone_b = columns.phone[a[at], i], columns.phone[b[at], j]
            code = np.ones(len(at), dtype=np.uint8)
            code[(lengths[a[at], i] == lengths[b[at], j]) & near(phone_a, phone_b)] = 2
            code[phone_a == phone_b] = 3
            level[at] = np.maximum(level[at], code)
    return level


def _sex(columns: Columns, a: Ints, b: Ints) -> Codes:
    x, y = columns.sex[a], columns.sex[b]
    return np.where((x > 0) & (y > 0), 1 + (x == y), 0).astype(np.uint8)


def _place(columns: Columns, a: Ints, b: Ints) -> Codes:
    places = np.array([*columns.places, ""])
    x, y = columns.place[a], columns.place[b]
    known = (x >= 0) & (y >= 0)
    _, province = np.unique(places.astype("U4"), return_inverse=True)
    _, region = np.unique(places.astype("U2"), return_inverse=True)
    level = np.where(
        x == y, 4, np.where(province[x] == province[y], 3, 1 + (region[x] == region[y]))
    )
    return np.where(known, level, 0).astype(np.uint8)
