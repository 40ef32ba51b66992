"""Matching keys: two records that share one are worth comparing.

Names enter a key by `names.code`, so that spelling doesn't part them. The rules, one a line:

- `token-date`: each name word, and each name that it is a nickname of, with the date of birth.
- `pair-year`: first given name and first surname, sorted, with the year of birth.
- `pair-day`: the same two with day and month of birth, the smaller number first; no year.
- `date-place`: the date of birth with the district.
- `all`: all name words, sorted, when there are two or more.
- `phone-given`: a phone with the first three letters of the first given name's code.
- `phone-year`: a phone with the year of birth.
- `document`: a document's number without its leading zeros, whatever its type.
- `document-near`: that number, and it with each one character left out, with the first letter
  of the first given name's code (nothing, when there is no given name).

Rules with a day or month need a date known to the day. Sorting makes given names and surnames
that a clerk swapped meet. A key is a keyed hash, because names and numbers are few enough to
enumerate; its secret stays outside the database.
"""

import hmac
from collections.abc import Callable, Iterator

from dedup import documents, names
from dedup.record import Record

Hasher = Callable[[str], int]
SECRET_BYTES_MIN = 16


def key_hasher(secret: bytes) -> Hasher:
    """Make the keyed hash: HMAC-SHA-256, its first 64 bits as a signed integer.

    Raises ValueError for a secret that could be guessed by its length.
    """
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"a matching secret needs at least {SECRET_BYTES_MIN} bytes")

    def hasher(text: str) -> int:
        digest = hmac.digest(secret, text.encode(), "sha256")
        return int.from_bytes(digest[:8], "big", signed=True)

    return hasher


def keys(record: Record, hasher: Hasher) -> frozenset[int]:
    """Return the signed 64-bit keys of a record; none when it says nothing to search by."""
    return frozenset(hasher(text) for text in texts(record))


def texts(record: Record) -> frozenset[str]:
    """Return what the keys are made of. It names the person: never store, log or send it."""
    given, surnames = names.tokens(record.given), names.tokens(record.surnames)
    return frozenset(
        (
            *_by_name(record, given, surnames),
            *_by_phone(record, given),
            *_by_document(record, given),
        )
    )


def _by_name(record: Record, given: tuple[str, ...], surnames: tuple[str, ...]) -> Iterator[str]:
    born = record.birth_date
    by_day = born is not None and record.birth_precision == "day"
    if born is not None and by_day:
        for token in (*given, *surnames):
            for sound in (names.code(token), *names.formal(token)):
                yield f"token-date {sound} {born.isoformat()}"
        if record.ubigeo:
            yield f"date-place {born.isoformat()} {record.ubigeo}"
    if given and surnames:
        pair = " ".join(sorted((names.code(given[0]), names.code(surnames[0]))))
        if born is not None:
            yield f"pair-year {pair} {born.year}"
        if born is not None and by_day:
            low, high = sorted((born.day, born.month))
            yield f"pair-day {pair} {low} {high}"
    if len(given) + len(surnames) > 1:
        yield "all " + " ".join(sorted(map(names.code, (*given, *surnames))))


def _by_phone(record: Record, given: tuple[str, ...]) -> Iterator[str]:
    for number in filter(None, map(documents.phone, record.phones)):
        if given:
            yield f"phone-given {number} {names.code(given[0])[:3]}"
        if record.birth_date is not None:
            yield f"phone-year {number} {record.birth_date.year}"


def _by_document(record: Record, given: tuple[str, ...]) -> Iterator[str]:
    initial = names.code(given[0])[:1] if given else ""
    for known in filter(None, map(documents.normalise, record.documents)):
        number = known.number.lstrip("0")
        yield f"document {number}"
        # One digit wrong, lost, added or swapped with its neighbour leaves one of these equal.
        yield f"document-near {number} {initial}"
        for at in range(len(number)):
            yield f"document-near {number[:at]}{number[at + 1 :]} {initial}"
