"""Records as NumPy columns: what comparing and searching need, computed once for each person.

Words, sounds and districts are numbered. A row is a person; -1 stands for "not there".
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from dedup import documents, names
from dedup.record import Precision, Record

Ints = NDArray[np.int32]
Small = NDArray[np.int8]
Bytes = NDArray[np.bytes_]

ID_BYTES = 16
NUMBER_BYTES = 20
PHONE_BYTES = documents.PHONE_DIGITS_COMPARED
PRECISIONS: tuple[Precision | None, ...] = (None, "day", "month", "year", "age")
DOCUMENT_TYPES = (*sorted(documents.KNOWN), "other")
SEXES = ("", "F", "M")
_PRECISION = {name: code for code, name in enumerate(PRECISIONS)}
_TYPE = {name: code for code, name in enumerate(DOCUMENT_TYPES)}
_SEX = {name: code for code, name in enumerate(SEXES)}
_NO_WORDS = (-1,) * names.TOKENS_MAX


@dataclass(frozen=True)
class PackedIds:
    """UUIDs one behind the other, ID_BYTES each: small, and quick to send to another process."""

    packed: bytes

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.packed) // ID_BYTES

    def __getitem__(self, at: int) -> UUID:
        """Return one of them."""
        return UUID(bytes=self.packed[at * ID_BYTES : (at + 1) * ID_BYTES])

    def __iter__(self) -> Iterator[UUID]:
        """Give them in their order."""
        return map(self.__getitem__, range(len(self)))

    def take(self, at: NDArray[np.intp]) -> "PackedIds":
        """Return some of them, in this order."""
        table = np.frombuffer(self.packed, np.uint8).reshape(-1, ID_BYTES)
        return PackedIds(table[at].tobytes())

    def keys(self) -> list[bytes]:
        """Return the bytes of each."""
        starts = range(0, len(self.packed), ID_BYTES)
        return [self.packed[start : start + ID_BYTES] for start in starts]


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

    person_ids: PackedIds
    registration: Ints
    given: Ints
    surname: Ints
    given_joined: NDArray[np.int64]
    surname_joined: NDArray[np.int64]
    birth: Ints
    precision: Small
    sex: Small
    document: Bytes
    document_type: Small
    phone: Bytes
    place: Ints
    vocabulary: Vocabulary
    places: list[str]
    registrations: PackedIds

    def __len__(self) -> int:
        """Return how many persons there are."""
        return len(self.registration)

    def take(self, rows: NDArray[np.intp]) -> "Columns":
        """Return these rows, in this order; numbers of words, places and registrations stay."""
        changed: dict[str, Any] = {
            field.name: column[rows]
            for field in fields(self)
            if isinstance(column := getattr(self, field.name), np.ndarray)
        }
        return replace(self, person_ids=self.person_ids.take(rows), **changed)


class _Part(NamedTuple):
    """A part of a name: its words but for particles, all its words, and its letters in a row."""

    telling: tuple[int, ...]
    words: tuple[int, ...]
    joined: str


class _Side:
    """Given names or surnames, person by person."""

    def __init__(self) -> None:
        self.words = array("i")
        self.joined = array("q")


class Encoder:
    """Take records one by one, and forget them; then give their columns."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._rows = 0
        self._person_ids = bytearray()
        self._registrations: dict[UUID, int] = {}
        self._registration, self._birth, self._place = array("i"), array("i"), array("i")
        self._precision, self._sex = array("b"), array("b")
        self._given, self._surname = _Side(), _Side()
        self._places: dict[str, int] = {}
        self._words: dict[str, int] = {}
        self._parts: dict[str, _Part] = {}
        self._document_at, self._document_type = array("i"), array("b")
        self._phone_at = array("i")
        self._documents, self._phones = bytearray(), bytearray()

    def add(self, record: Record) -> None:
        """Take one person; the next row is theirs."""
        row = self._rows
        self._rows += 1
        self._person_ids += record.person_id.bytes
        self._registration.append(
            self._registrations.setdefault(record.household_id, len(self._registrations))
        )
        self._add_name(self._given, record.given)
        self._add_name(self._surname, record.surnames)
        born = record.birth_date
        self._birth.append(born.year * 10000 + born.month * 100 + born.day if born else 0)
        self._precision.append(_PRECISION[record.birth_precision] if born else 0)
        self._sex.append(_SEX.get(record.sex, 0))
        self._place.append(
            self._places.setdefault(record.ubigeo, len(self._places)) if record.ubigeo else -1
        )
        numbers: dict[tuple[str, str], None] = {}
        for number in filter(None, map(documents.normalise, record.documents)):
            numbers[number.type, number.number.lstrip("0")] = None
        for kind, text in numbers:
            self._document_at.append(row)
            self._document_type.append(_TYPE[kind])
            self._documents += text.encode("ascii").ljust(NUMBER_BYTES, b"\0")
        for phone in dict.fromkeys(filter(None, map(documents.phone, record.phones))):
            self._phone_at.append(row)
            self._phones += phone.encode("ascii").ljust(PHONE_BYTES, b"\0")

    def columns(self) -> Columns:
        """Return the columns of everybody taken so far."""
        rows = self._rows
        words, number_of = _in_order(list(self._words))
        given, surname = (
            number_of[np.array(side.words, dtype=np.int32)].reshape(rows, names.TOKENS_MAX)
            for side in (self._given, self._surname)
        )
        numbers = np.frombuffer(bytes(self._documents), dtype=f"S{NUMBER_BYTES}")
        phones = np.frombuffer(bytes(self._phones), dtype=f"S{PHONE_BYTES}")
        document_at, phone_at = np.array(self._document_at), np.array(self._phone_at)
        return Columns(
            person_ids=PackedIds(bytes(self._person_ids)),
            registration=np.array(self._registration, dtype=np.int32),
            given=given,
            surname=surname,
            given_joined=np.array(self._given.joined, dtype=np.int64),
            surname_joined=np.array(self._surname.joined, dtype=np.int64),
            birth=np.array(self._birth, dtype=np.int32),
            precision=np.array(self._precision, dtype=np.int8),
            sex=np.array(self._sex, dtype=np.int8),
            document=_wide(document_at, numbers, rows, numbers.dtype.type(b"")),
            document_type=_wide(document_at, np.array(self._document_type, np.int8), rows, -1),
            phone=_wide(phone_at, phones, rows, phones.dtype.type(b"")),
            place=np.array(self._place, dtype=np.int32),
            vocabulary=vocabulary(words),
            places=list(self._places),
            registrations=PackedIds(b"".join([one.bytes for one in self._registrations])),
        )

    def _add_name(self, side: _Side, parts: Sequence[str]) -> None:
        known = self._parts
        if len(parts) == 1 and (only := known.get(parts[0])) is not None:
            words, joined = only.telling or only.words, only.joined
        else:
            found = [known.get(part) or self._part(part) for part in parts]
            # As names.tokens has it: particles are dropped unless nothing else is left.
            words = sum([part.telling for part in found], ()) or sum(
                [part.words for part in found], ()
            )
            joined = "".join([part.joined for part in found])
        if len(words) > 1:
            words = tuple(dict.fromkeys(words))
        side.words.extend((words + _NO_WORDS)[: names.TOKENS_MAX])
        # Only ever compared in this process, or in one that was forked from the same.
        side.joined.append(hash(joined))

    def _part(self, part: str) -> _Part:
        words = names.words(part)
        particles = names.TABLES.particles
        self._parts[part] = made = _Part(
            telling=tuple([self._word(word) for word in words if word not in particles]),
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
    registrations, registration_ids = _renumber(part.registrations.keys() for part in parts)

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
        person_ids=PackedIds(b"".join([part.person_ids.packed for part in parts])),
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
        registrations=PackedIds(b"".join(registrations)),
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
