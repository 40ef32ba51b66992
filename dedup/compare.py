"""Two records side by side: one level per field, the same whichever record comes first.

A level is a code: an index into LEVELS[field], where 0 is "missing" (one of the two doesn't
state it) and higher codes agree better. What a level weighs stands in the model, not here.
`dedup.batch.levels` gives the same codes for arrays of pairs.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from itertools import combinations, permutations, product

import msgspec
from rapidfuzz.distance import OSA, JaroWinkler

from dedup import documents, names
from dedup.record import Precision, Record

MISSING = "missing"
NAME_LEVELS = (MISSING, "different", "near", "initial", "similar", "nickname", "sound", "exact")
LEVELS: dict[str, tuple[str, ...]] = {
    "given1": NAME_LEVELS,
    "given2": NAME_LEVELS,
    "surname1": NAME_LEVELS,
    "surname2": NAME_LEVELS,
    "order": (MISSING, "straight", "turned", "swapped"),
    "birth_date": (
        *(MISSING, "different", "about", "year", "month"),
        *("part", "digit", "swapped", "newyear", "exact"),
    ),
    "document": (
        *(MISSING, "other_type", "different"),
        *("near_other", "near", "exact_other", "exact"),
    ),
    "phone": (MISSING, "different", "near", "exact"),
    "sex": (MISSING, "different", "same"),
    "place": (MISSING, "different", "region", "province", "district"),
    "household": (MISSING, "none", "one", "several"),
}
FIELDS = tuple(LEVELS)
# The first four fields are words of names: an exact one weighs by how rare the word is.
NAME_FIELDS = FIELDS[:4]
DIFFERENT, NEAR, INITIAL, SIMILAR, NICKNAME, SOUND, EXACT = range(1, 8)
STRAIGHT, TURNED, SWAPPED = 1, 2, 3

WORDS_MAX = 3
SIMILAR_MIN = 0.92
NEAR_MIN = 0.82
AGE_YEARS_OFF_MAX = 2
# Given names and surnames are tried crosswise only where they agree by no more than this.
SWAP_POINTS_MAX = 6


class Name(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a name, ready to compare: words, their sounds, and all letters in a row."""

    tokens: tuple[str, ...]
    sounds: tuple[str, ...]
    formal: tuple[frozenset[str], ...]
    joined: str


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A record with everything computed that comparing needs, once instead of once per pair.

    Numbers of documents stand without leading zeros, which come and go between clerks.
    """

    given: Name
    surnames: Name
    birth_date: date | None
    birth_digits: str
    birth_precision: Precision
    sex: str
    documents: tuple[documents.Number, ...]
    phones: tuple[str, ...]
    ubigeo: str


class Alignment(msgspec.Struct, frozen=True):
    """One way to lay the words of two names side by side, in the order of their places.

    Pair `tied` and the next cross each other, so neither of them is the earlier: the better
    one is taken for it, then the alphabet's first. -1 where no two do.
    """

    pairs: tuple[tuple[int, int], ...]
    tied: int
    turned: bool
    displacement: int


class Words(msgspec.Struct, frozen=True):
    """How one side of two names agrees: levels of its first and second words.

    With the words that are exactly alike ("" where not), whether they stand in another order,
    and points for how well all words agree.
    """

    first: int = 0
    second: int = 0
    first_word: str = ""
    second_word: str = ""
    turned: bool = False
    points: int = 0


_NO_WORDS = Words()


def prepare(record: Record) -> Prepared:
    """Normalise a record for comparing."""
    born = record.birth_date
    numbers = filter(None, map(documents.normalise, record.documents))
    phones = filter(None, map(documents.phone, record.phones))
    return Prepared(
        given=_name(record.given),
        surnames=_name(record.surnames),
        birth_date=born,
        birth_digits=f"{born.year:04}{born.month:02}{born.day:02}" if born is not None else "",
        birth_precision=record.birth_precision,
        sex=record.sex if record.sex in {"F", "M"} else "",
        documents=tuple(dict.fromkeys(_stripped(number) for number in numbers)),
        phones=tuple(dict.fromkeys(phones)),
        ubigeo=record.ubigeo,
    )


class Compared(msgspec.Struct, frozen=True):
    """The codes of all fields, in their order, and the words of names that agree exactly.

    `words` stands in the order of NAME_FIELDS; a word is "" where its rarity says nothing.
    """

    codes: tuple[int, ...]
    words: tuple[str, str, str, str]


def compare(a: Prepared, b: Prepared, household: int = 0) -> Compared:
    """Return the level of each field; `household` is known from elsewhere and passed through."""
    given, surnames, order = name_levels(a, b)
    # Which words are common as given names is no guide when they stand among surnames.
    told = order != SWAPPED
    return Compared(
        codes=(
            *(given.first, given.second, surnames.first, surnames.second, order),
            birth_level(a, b),
            document_level(a.documents, b.documents),
            phone_level(a.phones, b.phones),
            0 if not a.sex or not b.sex else 1 + (a.sex == b.sex),
            place_level(a.ubigeo, b.ubigeo),
            household,
        ),
        words=(
            (given.first_word, given.second_word, surnames.first_word, surnames.second_word)
            if told
            else ("", "", "", "")
        ),
    )


def name_levels(a: Prepared, b: Prepared) -> tuple[Words, Words, int]:
    """Return how given names and surnames agree, and the level of their order.

    Order counts only where the names agree, or it would count their agreement twice. When they
    agree better crosswise, a clerk has swapped them; which side is which is then unknown, so
    the weaker agreement is given to the given names.
    """
    given, surnames = words_level(a.given, b.given), words_level(a.surnames, b.surnames)
    if given.points <= SWAP_POINTS_MAX and surnames.points <= SWAP_POINTS_MAX:
        one, other = words_level(a.given, b.surnames), words_level(a.surnames, b.given)
        agree = one.first >= SIMILAR and other.first >= SIMILAR
        if agree and one.points + other.points > given.points + surnames.points:
            weaker, stronger = sorted((one, other), key=_by_strength)
            return weaker, stronger, SWAPPED
    if given.first >= SIMILAR and surnames.first >= SIMILAR:
        return given, surnames, TURNED if given.turned or surnames.turned else STRAIGHT
    return given, surnames, 0


def words_level(a: Name, b: Name) -> Words:
    """Compare one side of two names, words in any order, left out, joined or split."""
    if not a.tokens or not b.tokens:
        return _NO_WORDS
    if a.tokens == b.tokens and 1 not in map(len, a.tokens):
        # As they stand they agree best: any other way has two pairs that are not exact.
        first, second = (*a.tokens, "")[:2]
        return Words(
            first=EXACT,
            second=EXACT if second else 0,
            first_word=first,
            second_word=second,
            points=EXACT * len(a.tokens),
        )
    if a.joined == b.joined and a.tokens != b.tokens:
        return Words(first=SOUND, points=2 * SOUND)
    table = [[_likeness(a, i, b, j) for j in range(len(b.tokens))] for i in range(len(a.tokens))]
    best, points_max = None, -1
    for alignment in alignments(len(a.tokens), len(b.tokens)):
        found = [table[i][j] for i, j in alignment.pairs]
        # Most points, then least displaced, then best first words.
        points = sum(found) * 16 - alignment.displacement
        if points < points_max:
            continue
        if points > points_max or best is None or _first(alignment, found) > _first(*best):
            best, points_max = (alignment, found), points
    assert best is not None
    return _words(a, *best)


@cache
def alignments(a: int, b: int) -> tuple[Alignment, ...]:
    """Return the ways to pair `a` words with `b` words, each of the fewer with another."""
    ways = []
    if a <= b:
        ways = [tuple(enumerate(chosen)) for chosen in permutations(range(b), a)]
    else:
        ways = [tuple((i, j) for j, i in enumerate(chosen)) for chosen in permutations(range(a), b)]
    return tuple(map(_alignment, ways))


def birth_level(a: Prepared, b: Prepared) -> int:
    """Compare two dates of birth as far as each is known."""
    if a.birth_date is None or b.birth_date is None:
        return 0
    return _BIRTH[_birth_word(a, b, a.birth_date, b.birth_date)]


def document_level(a: Sequence[documents.Number], b: Sequence[documents.Number]) -> int:
    """Compare every document of one with every document of the other; the best pair counts.

    People show different documents over the years, so different types say nothing. Different
    numbers of one type tell people apart, unless renewals of that type bring a new number; any
    agreement outweighs that, for people lose documents and get new ones.
    """
    return max((_document_code(one, other) for one, other in product(a, b)), default=0)


def phone_level(a: Sequence[str], b: Sequence[str]) -> int:
    """Compare phones; families share them, so this is weak evidence."""
    if not a or not b:
        return 0
    distance = min(
        OSA.distance(one, other, score_cutoff=1) if len(one) == len(other) else 2
        for one, other in product(a, b)
    )
    return 3 - min(distance, 2)


def place_level(a: str, b: str) -> int:
    """Compare two UBIGEO codes: district six digits, province four, region two."""
    if not a or not b:
        return 0
    return 4 if a == b else 3 if a[:4] == b[:4] else 2 if a[:2] == b[:2] else 1


_BIRTH = {word: code for code, word in enumerate(LEVELS["birth_date"])}


def _birth_word(a: Prepared, b: Prepared, one: date, other: date) -> str:
    same_year = one.year == other.year
    by_day = a.birth_precision == b.birth_precision == "day"
    newyear = (a.birth_digits[4:] == "0101", b.birth_digits[4:] == "0101")
    # Clerks write 1 January when the day is unknown: it tells the year and no more.
    if by_day and all(newyear) and same_year:
        return "newyear"
    if not by_day or any(newyear):
        by_month = {a.birth_precision, b.birth_precision} <= {"day", "month"}
        if same_year and by_month and not any(newyear):
            return "month" if one.month == other.month else "part"
        if same_year:
            return "year"
        near = abs(one.year - other.year) <= AGE_YEARS_OFF_MAX
        return "about" if near and "age" in {a.birth_precision, b.birth_precision} else "different"
    if one == other:
        return "exact"
    # Clerks often swap day and month, so 03/04 and 04/03 count as near, not as different.
    if same_year and one.day == other.month and one.month == other.day:
        return "swapped"
    if OSA.distance(a.birth_digits, b.birth_digits, score_cutoff=1) <= 1:
        return "digit"
    same_parts = same_year + (one.month == other.month) + (one.day == other.day)
    return "part" if same_parts == 2 else "different"


def _document_code(one: documents.Number, other: documents.Number) -> int:
    same_type = one.type == other.type
    if one.number == other.number:
        return 6 if same_type else 5
    if OSA.distance(one.number, other.number, score_cutoff=1) <= 1:
        return 4 if same_type else 3
    return 2 if same_type and one.type not in documents.RENEWED else 1


def _stripped(number: documents.Number) -> documents.Number:
    return documents.Number(type=number.type, number=number.number.lstrip("0"))


def _name(parts: Iterable[str]) -> Name:
    parts = tuple(parts)
    tokens = names.tokens(parts)[:WORDS_MAX]
    return Name(
        tokens=tokens,
        sounds=tuple(map(names.code, tokens)),
        formal=tuple(map(names.formal, tokens)),
        joined="".join(names.fold(part) for part in parts).replace(" ", ""),
    )


def _alignment(pairs: tuple[tuple[int, int], ...]) -> Alignment:
    placed = tuple(sorted(pairs, key=lambda pair: (min(pair), max(pair))))
    crossing = [at for at, pair in enumerate(placed[:-1]) if pair == placed[at + 1][::-1]]
    return Alignment(
        pairs=placed,
        tied=crossing[0] if crossing else -1,
        turned=any((i - k) * (j - m) < 0 for (i, j), (k, m) in combinations(placed, 2)),
        displacement=sum(abs(i - j) for i, j in placed),
    )


def _first(alignment: Alignment, found: Sequence[int]) -> tuple[int, int]:
    """Return the levels of the first two words."""
    first, second = _in_place(alignment, [(level, "") for level in found])[:2]
    return first[0], second[0]


def _in_place(alignment: Alignment, laid: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return levels and words with the first two in front; nothing where there is one word."""
    at = alignment.tied
    if at >= 0:
        laid[at : at + 2] = sorted(laid[at : at + 2], key=lambda one: (-one[0], one[1]))
    return [*laid, (0, "")]


def _words(a: Name, alignment: Alignment, found: Sequence[int]) -> Words:
    words = [a.tokens[i] for i, _ in alignment.pairs]
    laid = _in_place(alignment, list(zip(found, words, strict=True)))
    (first, first_word), (second, second_word) = laid[:2]
    return Words(
        first=first,
        second=second,
        first_word=first_word if first == EXACT else "",
        second_word=second_word if second == EXACT else "",
        turned=alignment.turned,
        points=sum(found),
    )


def _by_strength(words: Words) -> tuple[int, int, int]:
    return words.points, words.first, words.second


def _likeness(a: Name, i: int, b: Name, j: int) -> int:
    """Return the level of two words."""
    one, other = a.tokens[i], b.tokens[j]
    if one == other:
        return EXACT if len(one) > 1 else INITIAL
    if a.sounds[i] == b.sounds[j]:
        return SOUND
    if b.sounds[j] in a.formal[i] or a.sounds[i] in b.formal[j]:
        return NICKNAME
    if len(one) == 1 or len(other) == 1:
        return INITIAL if one[0] == other[0] else DIFFERENT
    # In one order, for the measure may differ a little between the two.
    if other < one:
        one, other = other, one
    likeness = JaroWinkler.similarity(one, other, score_cutoff=NEAR_MIN)
    if likeness < NEAR_MIN:
        return DIFFERENT
    # Luis and Luisa, Mario and María are brother and sister, however alike they look.
    gendered = one.endswith("a") is not other.endswith("a")
    return SIMILAR if likeness >= SIMILAR_MIN and not gendered else NEAR
