"""Two records side by side: one level per field, the same whichever record comes first.

A level is a word ("exact", "near", …); what it weighs stands in the model, not here. A field
that one of the two doesn't state is "missing", and weighs nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import permutations, product

import msgspec
from rapidfuzz.distance import OSA, JaroWinkler

from dedup import documents, names
from dedup.record import Precision, Record

FIELDS = ("given", "surnames", "order", "birth_date", "document", "phone", "sex", "place")
MISSING = "missing"
SIMILAR_MIN = 0.92
NEAR_MIN = 0.82
AGE_YEARS_OFF_MAX = 2

# How well a level of names agrees, to choose between straight and swapped order.
_AGREEMENT = {"exact": 5, "similar": 4, "part": 3, "near": 2, "some": 1, "different": 0, MISSING: 0}


class Name(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a name, ready to compare: words, their sounds, and all letters in a row."""

    tokens: tuple[str, ...]
    sounds: tuple[str, ...]
    formal: tuple[frozenset[str], ...]
    joined: str


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A record with everything computed that comparing needs, once instead of once per pair."""

    given: Name
    surnames: Name
    birth_date: date | None
    birth_digits: str
    birth_precision: Precision
    sex: str
    documents: tuple[documents.Number, ...]
    phones: frozenset[str]
    ubigeo: str


def prepare(record: Record) -> Prepared:
    """Normalise a record for comparing."""
    born = record.birth_date
    return Prepared(
        given=_name(record.given),
        surnames=_name(record.surnames),
        birth_date=born,
        birth_digits=born.strftime("%Y%m%d") if born is not None else "",
        birth_precision=record.birth_precision,
        sex=record.sex if record.sex in {"F", "M"} else "",
        documents=tuple(filter(None, map(documents.normalise, record.documents))),
        phones=frozenset(filter(None, map(documents.phone, record.phones))),
        ubigeo=record.ubigeo,
    )


def levels(a: Prepared, b: Prepared) -> tuple[str, ...]:
    """Return the level of each field, in the order of FIELDS, whichever record comes first."""
    return (
        *name_levels(a, b),
        birth_level(a, b),
        document_level(a.documents, b.documents),
        phone_level(a.phones, b.phones),
        MISSING if not a.sex or not b.sex else "same" if a.sex == b.sex else "different",
        place_level(a.ubigeo, b.ubigeo),
    )


def name_levels(a: Prepared, b: Prepared) -> tuple[str, str, str]:
    """Return the levels of given names, of surnames, and of their order.

    Order counts only where the names agree, or it would count their agreement twice. When they
    agree better crosswise, a clerk has swapped them; which side is which is then unknown, so
    the weaker level is given to the given names.
    """
    given, surnames = name_level(a.given, b.given), name_level(a.surnames, b.surnames)
    straight = _AGREEMENT[given] + _AGREEMENT[surnames]
    if _AGREEMENT[surnames] <= 1 and _AGREEMENT[given] <= 1:
        crossed = sorted(
            (name_level(a.given, b.surnames), name_level(a.surnames, b.given)),
            key=_AGREEMENT.__getitem__,
        )
        if _AGREEMENT[crossed[0]] > 1 and sum(_AGREEMENT[one] for one in crossed) > straight:
            return crossed[0], crossed[1], "swapped"
    if _AGREEMENT[given] > 1 and _AGREEMENT[surnames] > 1:
        return given, surnames, "straight"
    return given, surnames, MISSING


def name_level(a: Name, b: Name) -> str:
    """Compare one side of two names, words in any order, joined or split."""
    shorter, longer = (a, b) if len(a.tokens) <= len(b.tokens) else (b, a)
    if not shorter.tokens:
        return MISSING
    if a.tokens == b.tokens or a.joined == b.joined:
        return "exact" if len(longer.tokens) > 1 else "part"
    best = _align(shorter, longer)
    if len(shorter.tokens) == len(longer.tokens) > 1 and min(best) >= 2:
        return "exact" if min(best) == 3 else "similar"
    if min(best) >= 2:
        return "part"
    if min(best) >= 1:
        return "near"
    return "some" if max(best) >= 2 else "different"


def birth_level(a: Prepared, b: Prepared) -> str:
    """Compare two dates of birth as far as each is known."""
    if a.birth_date is None or b.birth_date is None:
        return MISSING
    exact = a.birth_precision == b.birth_precision == "day"
    same_year = a.birth_date.year == b.birth_date.year
    # Clerks write 1 January when the day is unknown: it tells the year and no more.
    if not exact or "0101" in {a.birth_digits[4:], b.birth_digits[4:]}:
        return _rough_birth_level(a, b, same_year=same_year)
    if a.birth_digits == b.birth_digits:
        return "exact"
    same_month = a.birth_date.month == b.birth_date.month
    same_day = a.birth_date.day == b.birth_date.day
    # Clerks often swap day and month, so 03/04 and 04/03 count as near, not as different.
    if (
        same_year
        and a.birth_date.day == b.birth_date.month
        and (a.birth_date.month == b.birth_date.day)
    ):
        return "swapped"
    if OSA.distance(a.birth_digits, b.birth_digits, score_cutoff=1) <= 1:
        return "digit"
    return "part" if same_year + same_month + same_day == 2 else "different"


def document_level(a: Sequence[documents.Number], b: Sequence[documents.Number]) -> str:
    """Compare every document of one with every document of the other; the best pair counts.

    People show different documents over the years, so different types say nothing. Different
    numbers of one type tell people apart, unless renewals of that type bring a new number.
    """
    if not a or not b:
        return MISSING
    best = 0
    for one, other in product(a, b):
        best = max(best, _document_rank(one, other))
    return _DOCUMENT_LEVELS[best]


def phone_level(a: frozenset[str], b: frozenset[str]) -> str:
    """Compare phones; families share them, so this is weak evidence."""
    if not a or not b:
        return MISSING
    if a & b:
        return "exact"
    near = any(
        len(one) == len(other) and OSA.distance(one, other, score_cutoff=1) <= 1
        for one, other in product(a, b)
    )
    return "near" if near else "different"


def place_level(a: str, b: str) -> str:
    """Compare two UBIGEO codes: district six digits, province four, region two."""
    if not a or not b:
        return MISSING
    if a == b:
        return "district"
    if a[:4] == b[:4]:
        return "province"
    return "region" if a[:2] == b[:2] else "different"


# By rank. Two numbers of one type outweigh the silence between types; any agreement outweighs
# both, for people lose documents and get new ones.
_DOCUMENT_LEVELS = ("other_type", "different", "near_other", "near", "exact_other", "exact")


def _document_rank(one: documents.Number, other: documents.Number) -> int:
    same_type = one.type == other.type
    if one.number.lstrip("0") == other.number.lstrip("0"):
        return 5 if same_type else 4
    if OSA.distance(one.number, other.number, score_cutoff=1) <= 1:
        return 3 if same_type else 2
    return 1 if same_type and one.type not in documents.RENEWED else 0


def _rough_birth_level(a: Prepared, b: Prepared, *, same_year: bool) -> str:
    assert a.birth_date is not None
    assert b.birth_date is not None
    by_month = {a.birth_precision, b.birth_precision} <= {"day", "month"}
    defaulted = "0101" in {a.birth_digits[4:], b.birth_digits[4:]}
    if same_year and by_month and not defaulted:
        return "month" if a.birth_date.month == b.birth_date.month else "part"
    if same_year:
        return "year"
    near = abs(a.birth_date.year - b.birth_date.year) <= AGE_YEARS_OFF_MAX
    return "about" if near and "age" in {a.birth_precision, b.birth_precision} else "different"


def _name(parts: Iterable[str]) -> Name:
    parts = tuple(parts)
    tokens = names.tokens(parts)
    return Name(
        tokens=tokens,
        sounds=tuple(map(names.code, tokens)),
        formal=tuple(map(names.formal, tokens)),
        joined="".join(names.fold(part) for part in parts).replace(" ", ""),
    )


def _align(shorter: Name, longer: Name) -> tuple[int, ...]:
    """Pair each word of the shorter name with one of the longer, as well as can be."""
    table = [
        [_likeness(shorter, i, longer, j) for j in range(len(longer.tokens))]
        for i in range(len(shorter.tokens))
    ]
    return max(
        (
            tuple(row[column] for row, column in zip(table, columns, strict=True))
            for columns in permutations(range(len(longer.tokens)), len(shorter.tokens))
        ),
        key=lambda found: (sum(found), min(found)),
    )


def _likeness(a: Name, i: int, b: Name, j: int) -> int:
    """Rate two words: 3 the same, 2 sounding alike or a nickname, 1 near or an initial, 0."""
    one, other = a.tokens[i], b.tokens[j]
    if one == other:
        return 3
    if a.sounds[i] == b.sounds[j] or b.sounds[j] in a.formal[i] or a.sounds[i] in b.formal[j]:
        return 2
    if len(one) == 1 or len(other) == 1:
        return int(one[0] == other[0])
    likeness = JaroWinkler.similarity(one, other, score_cutoff=NEAR_MIN)
    if likeness < NEAR_MIN:
        return 0
    # Luis and Luisa, Mario and María are brother and sister, however alike they look.
    gendered = one.endswith("a") is not other.endswith("a")
    return 2 if likeness >= SIMILAR_MIN and not gendered else 1
