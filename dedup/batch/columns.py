"""Records as NumPy columns: what comparing and searching need, computed once for each person.

Words, sounds and districts are numbered. A row is a person; -1 stands for "not there".
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from dedup import documents, names
from dedup.record import Precision, Record

Ints = NDArray[np.int32]
Small = NDArray[np.int8]
Bytes = NDArray[np.bytes_]

NUMBER_BYTES = 20
PHONE_BYTES = documents.PHONE_DIGITS_COMPARED
PRECISIONS: tuple[Precision | None, ...] = (None, "day", "month", "year", "age")
DOCUMENT_TYPES = (*sorted(documents.KNOWN), "other")
SEXES = ("", "F", "M")
_PRECISION = {name: code for code, name in enumerate(PRECISIONS)}
_TYPE = {name: code for code, name in enumerate(DOCUMENT_TYPES)}
_SEX = {name: code for code, name in enumerate(SEXES)}
_NO_WORDS = (-1,) * names.TOKENS_MAX


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """All words of names, numbered by their alphabet, with what comparing two of them needs.

    `sound` numbers what a word sounds like, `sound_hash` is the same in every process. `formal`
    holds the sounds a nickname may stand for. `letters` and `more` count letters: a bit each for
    a first and second occurrence, and how many others there are.
    """

    texts: list[str]
    sound: Ints
    sound_hash: NDArray[np.uint64]
    sound_texts: list[str]
    formal: Ints
    length: Small
    initial: Ints
    ends_in_a: NDArray[np.bool_]
    letters: NDArray[np.uint64]
    more: Small


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Persons as columns. `registration` numbers the registration a person stands in.

    `birth` is year * 10000 + month * 100 + day, 0 when not known. Documents and phones are
    bytes, empty where there are fewer; `document_type` is -1 there.
    """

    person_ids: list[UUID]
    registration: Ints
    given: Ints
    surname: Ints
    given_joined: NDArray[np.uint64]
    surname_joined: NDArray[np.uint64]
    birth: Ints
    precision: Small
    sex: Small
    document: Bytes
    document_type: Small
    phone: Bytes
    place: Ints
    vocabulary: Vocabulary
    places: list[str]
    registrations: list[UUID]

    def __len__(self) -> int:
        """Return how many persons there are."""
        return len(self.registration)


@dataclass(frozen=True)
class _Part:
    telling: tuple[int, ...]
    words: tuple[int, ...]
    joined: str


class Encoder:
    """Take records one by one, and forget them; then give their columns."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._person_ids: list[UUID] = []
        self._registrations: dict[UUID, int] = {}
        self._places: dict[str, int] = {}
        self._words: dict[str, int] = {}
        self._parts: dict[str, _Part] = {}
        self._ints = {
            name: array("i")
            for name in ("registration", "given", "surname", "birth", "place", "at", "phone_at")
        }
        self._joined = {name: array("Q") for name in ("given", "surname")}
        self._small = {name: array("b") for name in ("precision", "sex", "type")}
        self._numbers = bytearray()
        self._phones = bytearray()

    def add(self, record: Record) -> None:
        """Take one person; the next row is theirs."""
        row, ints, small = len(self._person_ids), self._ints, self._small
        self._person_ids.append(record.person_id)
        ints["registration"].append(
            self._registrations.setdefault(record.household_id, len(self._registrations))
        )
        self._add_name("given", record.given)
        self._add_name("surname", record.surnames)
        born = record.birth_date
        ints["birth"].append(born.year * 10000 + born.month * 100 + born.day if born else 0)
        small["precision"].append(_PRECISION[record.birth_precision] if born else 0)
        small["sex"].append(_SEX.get(record.sex, 0))
        ints["place"].append(
            self._places.setdefault(record.ubigeo, len(self._places)) if record.ubigeo else -1
        )
        numbers: dict[tuple[str, str], None] = {}
        for number in filter(None, map(documents.normalise, record.documents)):
            numbers[number.type, number.number.lstrip("0")] = None
        for kind, text in numbers:
            ints["at"].append(row)
            small["type"].append(_TYPE[kind])
            self._numbers += text.encode("ascii").ljust(NUMBER_BYTES, b"\0")
        for phone in dict.fromkeys(filter(None, map(documents.phone, record.phones))):
            ints["phone_at"].append(row)
            self._phones += phone.encode("ascii").ljust(PHONE_BYTES, b"\0")

    def columns(self) -> Columns:
        """Return the columns of everybody taken so far."""
        rows = len(self._person_ids)
        words, number_of = _in_order(list(self._words))
        ints = {name: np.array(found, dtype=np.int32) for name, found in self._ints.items()}
        small = {name: np.array(found, dtype=np.int8) for name, found in self._small.items()}
        numbers = np.frombuffer(bytes(self._numbers), dtype=f"S{NUMBER_BYTES}")
        phones = np.frombuffer(bytes(self._phones), dtype=f"S{PHONE_BYTES}")
        return Columns(
            person_ids=self._person_ids,
            registration=ints["registration"],
            given=number_of[ints["given"]].reshape(rows, names.TOKENS_MAX),
            surname=number_of[ints["surname"]].reshape(rows, names.TOKENS_MAX),
            given_joined=np.array(self._joined["given"], dtype=np.uint64),
            surname_joined=np.array(self._joined["surname"], dtype=np.uint64),
            birth=ints["birth"],
            precision=small["precision"],
            sex=small["sex"],
            document=_wide(ints["at"], numbers, rows, numbers.dtype.type(b"")),
            document_type=_wide(ints["at"], small["type"], rows, -1),
            phone=_wide(ints["phone_at"], phones, rows, phones.dtype.type(b"")),
            place=ints["place"],
            vocabulary=vocabulary(words),
            places=list(self._places),
            registrations=list(self._registrations),
        )

    def _add_name(self, side: str, parts: Sequence[str]) -> None:
        found = [self._parts.get(part) or self._part(part) for part in parts]
        # As names.tokens has it: particles are dropped unless nothing else is left.
        words: tuple[int, ...] = ()
        for part in found:
            words += part.telling
        if not words:
            for part in found:
                words += part.words
        if len(words) > 1:
            words = tuple(dict.fromkeys(words))
        self._ints[side].extend((words + _NO_WORDS)[: names.TOKENS_MAX])
        joined = "".join([part.joined for part in found])
        self._joined[side].append(stable_hash(joined))

    def _part(self, part: str) -> _Part:
        words = names.words(part)
        particles = names.TABLES.particles
        self._parts[part] = made = _Part(
            telling=tuple(self._word(word) for word in words if word not in particles),
            words=tuple(map(self._word, words)),
            joined=names.fold(part).replace(" ", ""),
        )
        return made

    def _word(self, word: str) -> int:
        return self._words.setdefault(word, len(self._words))


def encode(records: Iterable[Record]) -> Columns:
    """Return the columns of all records, in their order."""
    encoder = Encoder()
    for record in records:
        encoder.add(record)
    return encoder.columns()


def concatenate(parts: Sequence[Columns]) -> Columns:
    """Put columns that were made apart one below the other; registrations of one id are one."""
    words, word_ids = _renumber(part.vocabulary.texts for part in parts)
    words, number_of = _in_order(words)
    word_ids = [number_of[ids] for ids in word_ids]
    places, place_ids = _renumber(part.places for part in parts)
    registrations, registration_ids = _renumber(part.registrations for part in parts)

    def stacked(name: str, empty: Any = None) -> NDArray[Any]:  # noqa: ANN401 -- any column
        columns = [getattr(part, name) for part in parts]
        if empty is not None:
            width = max(column.shape[1] for column in columns)
            columns = [_widened(column, width, empty) for column in columns]
        return np.concatenate(columns)

    def renumbered(name: str, ids: Sequence[Ints]) -> Ints:
        # The last number stands for -1, "not there".
        return np.concatenate(
            [own[getattr(part, name)] for part, own in zip(parts, ids, strict=True)]
        )

    return Columns(
        person_ids=[person for part in parts for person in part.person_ids],
        registration=renumbered("registration", registration_ids),
        given=renumbered("given", word_ids),
        surname=renumbered("surname", word_ids),
        given_joined=stacked("given_joined"),
        surname_joined=stacked("surname_joined"),
        birth=stacked("birth"),
        precision=stacked("precision"),
        sex=stacked("sex"),
        document=stacked("document", np.bytes_(b"")),
        document_type=stacked("document_type", -1),
        phone=stacked("phone", np.bytes_(b"")),
        place=renumbered("place", place_ids),
        vocabulary=vocabulary(words),
        places=places,
        registrations=registrations,
    )


def vocabulary(texts: list[str]) -> Vocabulary:
    """Return what comparing needs to know of each word."""
    sounds: dict[str, int] = {}
    sound = [sounds.setdefault(names.code(text), len(sounds)) for text in texts]
    formal = [
        sorted(sounds.setdefault(code, len(sounds)) for code in names.formal(text))
        for text in texts
    ]
    width = max([1, *map(len, formal)])
    counts = [_letters(text) for text in texts]
    return Vocabulary(
        texts=texts,
        sound=np.array(sound, dtype=np.int32),
        sound_hash=np.array(list(map(stable_hash, sounds)), dtype=np.uint64),
        sound_texts=list(sounds),
        formal=np.array(
            [(*found, *(-1,) * (width - len(found))) for found in formal], dtype=np.int32
        ).reshape(len(texts), width),
        length=np.array([len(text) for text in texts], dtype=np.int8),
        initial=np.array([ord(text[0]) for text in texts], dtype=np.int32),
        ends_in_a=np.array([text.endswith("a") for text in texts], dtype=np.bool_),
        letters=np.array([bits for bits, _ in counts], dtype=np.uint64),
        more=np.array([more for _, more in counts], dtype=np.int8),
    )


def stable_hash(text: str) -> int:
    """Return 64 bits of a text, the same in every process; for equality only, not for secrets."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _letters(text: str) -> tuple[int, int]:
    bits = more = 0
    for char in text:
        # Letters of other scripts share a bit with some letter: that only counts too many alike.
        bit = 1 << (ord(char) - 97) % 26
        if not bits & bit:
            bits |= bit
        elif not bits & bit << 26:
            bits |= bit << 26
        else:
            more += 1
    return bits, more


def _wide(at: Ints, values: NDArray[Any], rows: int, empty: Any) -> NDArray[Any]:  # noqa: ANN401
    """Turn values that belong to rows (ascending) into a table with one line for each row."""
    slot = np.arange(len(at)) - np.searchsorted(at, at)
    table = np.full((rows, int(slot.max(initial=0)) + 1), empty, dtype=values.dtype)
    table[at, slot] = values
    return table


def _widened(column: NDArray[Any], width: int, empty: Any) -> NDArray[Any]:  # noqa: ANN401
    table = np.full((len(column), width), empty, dtype=column.dtype)
    table[:, : column.shape[1]] = column
    return table


def _renumber(lists: Iterable[Sequence[Any]]) -> tuple[list[Any], list[Ints]]:
    known: dict[Any, int] = {}
    ids = [
        np.array([*(known.setdefault(one, len(known)) for one in found), -1], dtype=np.int32)
        for found in lists
    ]
    return list(known), ids


def _in_order(texts: list[str]) -> tuple[list[str], Ints]:
    """Sort texts, and tell the new number of each old one; the last number stands for -1."""
    order = sorted(range(len(texts)), key=texts.__getitem__)
    number_of = np.full(len(texts) + 1, -1, dtype=np.int32)
    number_of[order] = np.arange(len(texts), dtype=np.int32)
    return [texts[at] for at in order], number_of


def registrations_of(columns: Columns) -> Iterator[Ints]:
    """Give the rows of each registration that has more than one person."""
    order = np.argsort(columns.registration, kind="stable").astype(np.int32)
    starts = np.flatnonzero(np.diff(columns.registration[order])) + 1
    return (rows for rows in np.split(order, starts) if len(rows) > 1)
