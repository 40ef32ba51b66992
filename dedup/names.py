"""Names as they sound: folds, a Spanish phonetic code, spelling variants and nicknames.

Sources: the folds are those of DOMAIN.md; `names.json` says where its tables come from.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

TOKENS_MAX = 4
TOKEN_LENGTH_MAX = 40

# In order: each rule relies on those before it. Text is folded (a-z) when they run.
_RULES = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"^hu(?=[aeio])", "w"),  # Huamán, Guamán, Wamán
        (r"ph", "f"),
        (r"ch", "C"),  # a sound of its own, kept apart while h falls silent
        (r"sh", "C"),
        (r"h", ""),
        (r"^wu(?=[aeio])", "w"),
        (r"gu(?=[ei])", "w"),
        (r"w(?=[ei])", "G"),  # Wilmer, Guilmer
        (r"w", "Gu"),
        (r"g(?=[ei])", "j"),
        (r"g", "G"),
        (r"qu(?=[ei])", "k"),
        (r"sc(?=[ei])", "s"),
        (r"c(?=[ei])", "s"),
        (r"ck|c|q", "k"),
        (r"z", "s"),
        (r"v", "b"),
        (r"x(?=[^aeiou]|$)", "s"),  # Félix, Felis; between vowels x sounds as j: Ximena, Mejía
        (r"ll(?=[aeiou])", "y"),
        (r"^i(?=[aeou])", "y"),
        (r"[jx]", "y"),
        (r"(?<=[^aeiou])y(?=[^aeiou]|$)|(?<=[aeiou])y(?=[^aeiouy]|$)|^y(?=[^aeiouy]|$)", "i"),
        (r"m(?=[pb])|m$", "n"),
        (r"(.)\1+", r"\1"),
    )
)


class _Tables(msgspec.Struct, frozen=True):
    """The content of names.json."""

    sources: list[str]
    particles: frozenset[str]
    variants: list[list[str]]
    nicknames: dict[str, list[str]]


TABLES = msgspec.json.decode(Path(__file__).with_name("names.json").read_bytes(), type=_Tables)


def fold(text: str) -> str:
    """Bring any text to small letters without accents, words parted by one space.

    What is no letter parts words, except an apostrophe. Letters of other scripts stay.
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    plain = unicodedata.normalize("NFKD", plain)
    letters = (
        char if char.isalpha() else "" if char in "'’`´" or unicodedata.combining(char) else " "
        for char in plain
    )
    return " ".join("".join(letters).split())


def tokens(parts: Iterable[str]) -> tuple[str, ...]:
    """Return the folded words of a name that tell it apart, particles dropped, at most four.

    A name made of particles only ("De Los") keeps them: something must be left to compare.
    """
    words = [word[:TOKEN_LENGTH_MAX] for part in parts for word in fold(part).split()]
    telling = [word for word in words if word not in TABLES.particles]
    return tuple((telling or words)[:TOKENS_MAX])


@lru_cache(maxsize=65_536)
def phonetic(token: str) -> str:
    """Return how a folded word sounds to a Spanish ear; never empty for a word that is not."""
    code = token
    for pattern, sound in _RULES:
        code = pattern.sub(sound, code)
    return code or token


@lru_cache(maxsize=65_536)
def code(token: str) -> str:
    """Return the sound of a folded word, one code for all its known spellings."""
    sound = phonetic(token)
    return _CANONICAL.get(sound, sound)


def formal(token: str) -> frozenset[str]:
    """Return the codes of the names that a folded nickname stands for; empty for other words."""
    return _FORMAL.get(phonetic(token), frozenset())


def _canonical(groups: Iterable[list[str]]) -> Mapping[str, str]:
    return {phonetic(fold(name)): phonetic(fold(group[0])) for group in groups for name in group}


_CANONICAL = _canonical(TABLES.variants)
_FORMAL = {
    phonetic(fold(nickname)): frozenset(code(fold(name)) for name in names)
    for nickname, names in TABLES.nicknames.items()
}
