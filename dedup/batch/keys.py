"""Who is worth comparing, for everybody at once: persons that share a key of `dedup.blocking`.

Keys are made here by a plain hash of 64 bits instead of a keyed one: they never leave memory.
The same record has the same keys in every process.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup import names
from dedup.batch.columns import NUMBER_BYTES, PHONE_BYTES, PRECISIONS, Columns, Ints, stable_hash

Keys = NDArray[np.uint64]
PER_BLOCK = 200
_DAY = PRECISIONS.index("day")
_NOTHING = np.uint64(0)


@dataclass(frozen=True)
class Family:
    """Keys of one kind, and the row of each; a row may have several."""

    name: str
    keys: Keys
    rows: Ints


@dataclass(frozen=True)
class Candidates:
    """Pairs of rows that share a key, a < b, each once, in order.

    `crowds` counts by kind of key how many rows stood in blocks larger than the limit, which
    were not searched by that key.
    """

    a: Ints
    b: Ints
    crowds: dict[str, int]


def candidates(columns: Columns, *, per_block: int = PER_BLOCK) -> Candidates:
    """Return whom to compare with whom: rows sharing a key, never two of one registration."""
    rows = np.int64(len(columns))
    codes: list[NDArray[np.int64]] = []
    crowds: dict[str, int] = {}
    for family in families(columns):
        found, crowded = _pairs(family, rows, per_block)
        low, high = found // rows, found % rows
        codes.append(found[columns.registration[low] != columns.registration[high]])
        if crowded:
            crowds[family.name] = crowds.get(family.name, 0) + crowded
    unique = _sorted_unique(np.concatenate(codes)) if codes else np.empty(0, dtype=np.int64)
    return Candidates(
        a=(unique // rows).astype(np.int32), b=(unique % rows).astype(np.int32), crowds=crowds
    )


def families(columns: Columns) -> Iterator[Family]:
    """Give the keys of `dedup.blocking.texts`, kind by kind."""
    everyone = np.arange(len(columns), dtype=np.int32)
    words = np.concatenate((columns.given, columns.surname), axis=1)
    sounds = _sounds(columns, words)
    born, by_day = columns.birth.astype(np.uint64), columns.precision == _DAY
    yield from _by_word(columns, words, born, np.flatnonzero(by_day).astype(np.int32))
    places = _places(columns)
    both = np.flatnonzero(by_day & (columns.place >= 0)).astype(np.int32)
    yield Family("date-place", mix(born[both], places[both], 9), both)
    first_given, first_surname = sounds[:, 0], sounds[:, names.TOKENS_MAX]
    full = np.flatnonzero((first_given != _NOTHING) & (first_surname != _NOTHING)).astype(np.int32)
    # Added, for clerks swap given names with surnames: the order must not matter.
    pair = mix(first_given + first_surname)
    dated = full[born[full] > 0]
    yield Family("pair-year", mix(pair[dated], born[dated] // 10_000, 1), dated)
    exact = full[by_day[full]]
    month, day = born[exact] // 100 % 100, born[exact] % 100
    low, high = np.minimum(month, day), np.maximum(month, day)
    yield Family("pair-day", mix(pair[exact], low * 100 + high, 2), exact)
    named = everyone[np.count_nonzero(words >= 0, axis=1) > 1]
    yield Family("all", mix(mix(np.sort(sounds, axis=1)[named]).sum(axis=1), 3), named)
    yield from _by_phone(columns, born)
    yield from _by_document(columns)


def mix(*values: NDArray[np.uint64] | int) -> Keys:
    """Mix numbers into one of 64 bits (splitmix64), for equality only."""
    mixed: Keys = np.zeros((), dtype=np.uint64)
    for value in values:
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + np.asarray(value, dtype=np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return mixed


def _sounds(columns: Columns, words: Ints) -> Keys:
    """Return the hash of each word's sound; 0 where there is no word."""
    vocabulary = columns.vocabulary
    hashes = np.append(vocabulary.sound_hash[vocabulary.sound], _NOTHING)
    return hashes[words]


def _places(columns: Columns) -> Keys:
    hashes = np.array([*map(stable_hash, columns.places), _NOTHING], dtype=np.uint64)
    return np.asarray(hashes[columns.place])


def _by_word(columns: Columns, words: Ints, born: Keys, dated: Ints) -> Iterator[Family]:
    vocabulary = columns.vocabulary
    hashes = np.append(vocabulary.sound_hash, _NOTHING)
    sound = np.append(vocabulary.sound, -1)[words[dated]]
    none = np.full((1, vocabulary.formal.shape[1]), -1, dtype=np.int32)
    formal = np.concatenate((vocabulary.formal, none))
    ways = (sound, *(formal[words[dated], at] for at in range(formal.shape[1])))
    sounds = np.concatenate([hashes[way] for way in ways], axis=1)
    # A word that a person bears twice is one key.
    sounds = np.sort(sounds, axis=1)
    sounds[:, 1:][sounds[:, 1:] == sounds[:, :-1]] = _NOTHING
    line, at = np.nonzero(sounds)
    yield Family("token-date", mix(sounds[line, at], born[dated[line]], 4), dated[line])


def _by_phone(columns: Columns, born: Keys) -> Iterator[Family]:
    rows, at = (side.astype(np.int32) for side in np.nonzero(columns.phone != b""))
    phones = _numbers(columns.phone, PHONE_BYTES)[rows, at]
    prefix = _prefix(columns, 3)[rows]
    named, dated = prefix != _NOTHING, born[rows] > 0
    yield Family("phone-given", mix(phones[named], prefix[named], 5), rows[named])
    year = born[rows[dated]] // 10_000
    yield Family("phone-year", mix(phones[dated], year, 6), rows[dated])


def _by_document(columns: Columns) -> Iterator[Family]:
    initial = _prefix(columns, 1)
    exact, near = [], []
    width = NUMBER_BYTES
    for at in range(columns.document.shape[1]):
        rows = np.flatnonzero(columns.document_type[:, at] >= 0).astype(np.int32)
        numbers = columns.document[rows, at]
        exact.append((mix(_numbers(numbers, width), 7), rows))
        near.append((mix(_numbers(numbers, width), initial[rows], 8), rows))
        signs = np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, width)
        for place in range(int(np.count_nonzero(signs, axis=1).max(initial=0))):
            # Of two equal neighbours either one left out gives the same.
            long = (signs[:, place] != 0) & (signs[:, place] != signs[:, (place + 1) % width])
            short = np.zeros((int(long.sum()), width), dtype=np.uint8)
            short[:, :-1] = np.delete(signs[long], place, axis=1)
            less = _numbers(short.view(f"S{width}")[:, 0], width)
            near.append((mix(less, initial[rows[long]], 8), rows[long]))
    for name, found in (("document", exact), ("document-near", near)):
        keys, rows = (np.concatenate(part) for part in zip(*found, strict=True))
        yield Family(name, keys, rows)


def _prefix(columns: Columns, letters: int) -> Keys:
    """Return a number for the beginning of the first given name's sound; 0 without a name."""
    hashes = [stable_hash(sound[:letters]) for sound in columns.vocabulary.sound_texts]
    by_sound: Keys = np.array([*hashes, _NOTHING], dtype=np.uint64)
    sound = np.append(columns.vocabulary.sound, -1)[columns.given[:, 0]]
    return np.asarray(by_sound[sound])


def _numbers(texts: NDArray[np.bytes_], width: int) -> Keys:
    """Return a number for each text of `width` bytes; 0 for an empty one."""
    words = -(-width // 8)
    padded = np.zeros((*texts.shape, words * 8), dtype=np.uint8)
    padded[..., :width] = np.ascontiguousarray(texts).view(np.uint8).reshape(*texts.shape, width)
    parts = padded.view(np.uint64)
    empty = ~parts.any(axis=-1)
    return np.asarray(np.where(empty, _NOTHING, mix(*(parts[..., at] for at in range(words)))))


def _pairs(family: Family, rows: np.int64, per_block: int) -> tuple[NDArray[np.int64], int]:
    """Return the pairs that share a key of one kind, and how many rows a crowd kept out."""
    order = np.argsort(family.keys)
    keys, who = family.keys[order], family.rows[order].astype(np.int64)
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    sizes = np.diff(np.append(starts, len(keys)))
    crowded = int(sizes[sizes > per_block].sum())
    found = []
    block = np.repeat(np.where(sizes > per_block, 0, starts + sizes), sizes)
    at = np.arange(len(keys))
    for step in range(1, per_block):
        at = at[at + step < block[at]]
        if not len(at):
            break
        one, other = who[at], who[at + step]
        differ = one != other
        found.append((np.minimum(one, other) * rows + np.maximum(one, other))[differ])
    return (np.concatenate(found) if found else np.empty(0, dtype=np.int64)), crowded


def _sorted_unique(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    codes.sort()
    return codes[np.concatenate(([True], codes[1:] != codes[:-1]))] if len(codes) else codes
