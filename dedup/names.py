"""Names as they sound: folds, a Spanish phonetic code, spelling variants and nicknames.

The folds are those of DOMAIN.md; `names_*.json` say where their words come from. Everything is
computed once for each word and kept, because millions of records repeat the same words.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

TOKENS_MAX = 4
TOKEN_LENGTH_MAX = 40
# More names than this behind one nickname would say too little, and cost everybody memory.
FORMAL_MAX = 3
KEPT_MAX = 131_072

# In order: each rule relies on those before it. Text is folded (a-z) when they run; a capital
# marks a sound that is settled. A rule is tried only where its first letters occur.
_RULES = tuple(
    (letters, re.compile(pattern), sound)
    for letters, pattern, sound in (
        ("hu", r"(?<![^aeiou])hu(?=[aeio])", "w"),  # Huamán, Guamán, Wamán; Cahuana, Cawana
        ("ph", r"ph", "f"),
        ("h", r"s?ch|sh", "C"),  # a sound of its own, kept apart while h falls silent
        ("h", r"h", ""),
        ("wu", r"^wu(?=[aeio])", "w"),
        ("gu", r"gu(?=[eiy])", "w"),
        ("w", r"w(?=[eiy])", "G"),  # Wilmer, Guilmer
        ("w", r"w", "Gu"),
        ("g", r"g(?=[eiy])", "j"),
        ("g", r"g", "G"),
        ("qu", r"qu(?=[eiy])", "k"),
        ("c", r"s?c(?=[eiy])", "s"),
        ("c", r"ck|c", "k"),
        ("q", r"q", "k"),
        ("z", r"z", "s"),
        ("v", r"v", "b"),
        ("x", r"^x", "j"),  # Ximena; inside a word x sounds as ks: Alexandra is not Alejandra
        ("x", r"xs?(?=[aeiouy])", "ks"),
        ("x", r"x", "s"),  # Félix, Felis
        ("ll", r"ll(?=[aeiou])", "y"),
        ("tte", r"tte$", "t"),  # Ivette, Iveth
        ("", r"(.)\1+", r"\1"),
        ("i", r"^i(?=[aeou])|(?<=[aeou])i(?=[aeou])", "y"),
        ("j", r"j", "y"),
        ("y", r"(?<=[^aeiou])y(?=[^aeiou]|$)|(?<=[aeiou])y(?=[^aeiouy]|$)|^y(?=[^aeiouy])", "i"),
        ("m", r"m(?=[pb])|m$", "n"),
        # How foreign names end: Robert, Rober; David, Davit; Eveling, Evelin; Angie, Angi.
        ("", r"(?<=[aeiou][lr])[dt]$", ""),
        ("d", r"d$", "t"),
        ("in", r"inG$|(?<=[lrdm])ine$", "in"),
        ("ie", r"ie$", "i"),
        ("lei", r"(?<=[^aeiou])lei$", "li"),
        ("s", r"^s(?=[bdfklmnprt])", "es"),  # Stefany, Estefany
        ("", r"(.)\1+", r"\1"),
    )
)

# Most names come in plain letters: one table instead of Unicode's rules.
_ASCII = {
    code: chr(code).lower() if chr(code).isalpha() else None if chr(code) in "'`" else " "
    for code in range(128)
}


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """The words of names_particles.json, names_variants.json and names_nicknames.json."""

    particles: frozenset[str]
    placeholders: frozenset[str]
    variants: tuple[tuple[str, ...], ...]
    nicknames: dict[str, tuple[str, ...]]


def _read() -> Tables:
    found: dict[str, object] = {}
    for name in ("particles", "variants", "nicknames"):
        content = Path(__file__).with_name(f"names_{name}.json").read_bytes()
        found |= msgspec.json.decode(content)
    return msgspec.convert(found, type=Tables)


TABLES = _read()


@lru_cache(maxsize=KEPT_MAX)
def fold(text: str) -> str:
    """Bring any text to small letters without accents, words parted by one space.

    What is no letter parts words, except an apostrophe. Letters of other scripts stay.
    """
    if text.isascii():
        return " ".join(text.translate(_ASCII).split())
    plain = unicodedata.normalize("NFKD", text).casefold()
    plain = unicodedata.normalize("NFKD", plain)
    letters = (
        char if char.isalpha() else "" if char in "'’`´" or unicodedata.combining(char) else " "
        for char in plain
    )
    return " ".join("".join(letters).split())


@lru_cache(maxsize=KEPT_MAX)
def words(part: str) -> tuple[str, ...]:
    """Return the folded words of a part of a name, without what stands for "no name" (NN)."""
    return tuple(
        word[:TOKEN_LENGTH_MAX] for word in fold(part).split() if word not in TABLES.placeholders
    )


def tokens(parts: Iterable[str]) -> tuple[str, ...]:
    """Return the different folded words of a name, particles dropped, at most four.

    A name made of particles only ("De Los") keeps them: something must be left to compare. The
    husband's name in "García López de Pérez" stays, behind her own.
    """
    found = [word for part in parts for word in words(part)]
    telling = [word for word in found if word not in TABLES.particles]
    return tuple(dict.fromkeys(telling or found))[:TOKENS_MAX]


@lru_cache(maxsize=KEPT_MAX)
def phonetic(token: str) -> str:
    """Return how a folded word sounds to a Spanish ear; never empty for a word that is not."""
    sound = token
    for letters, pattern, replacement in _RULES:
        if letters in sound:
            sound = pattern.sub(replacement, sound)
    return sound or token


@lru_cache(maxsize=KEPT_MAX)
def code(token: str) -> str:
    """Return the sound of a folded word, one code for all its known spellings."""
    sound = phonetic(token)
    return _CANONICAL.get(sound, sound)


def formal(token: str) -> frozenset[str]:
    """Return the codes of the names that a folded nickname stands for; empty for other words."""
    return _FORMAL.get(code(token), _NONE)


def _canonical(groups: Iterable[tuple[str, ...]]) -> Mapping[str, str]:
    return {phonetic(fold(name)): phonetic(fold(group[0])) for group in groups for name in group}


_NONE: frozenset[str] = frozenset()
_CANONICAL = _canonical(TABLES.variants)
_FORMAL = {
    code(fold(nickname)): frozenset(code(fold(name)) for name in stands_for)
    for nickname, stands_for in TABLES.nicknames.items()
}
