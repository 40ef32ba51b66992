"""How clerks write names down: by ear, in haste, and each partner in its own way.

The rules are a writer's (how a sound may be spelled), not a matcher's folds, and share nothing
with the tables of `dedup`.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.names import Ints, Words, names
from bench.population_conditions import SLIPS, SPELLING, Conditions
from bench.population_desks import some
from bench.population_people import PARENT, PARTNER, People

# One sound, two letters: (what stands there, what a clerk may write). Each is tried where it fits.
_BY_EAR = (
    ("b", "v"), ("v", "b"), ("z", "s"), ("s(?=[aou])", "z"), ("c(?=[ei])", "s"),
    ("s(?=[ei])", "c"), ("^y", "j"), ("^j", "y"), ("y(?=[aeou])", "ll"), ("ll", "y"), ("^h", ""),
    ("^(?=[aeiou])", "h"), ("k", "c"), ("k(?=[ei])", "qu"), ("qu", "k"), ("c(?=[aou])", "k"),
    ("x", "j"), ("x", "s"), ("^w", "gu"), ("^w", "wu"), ("^gu(?=[aei])", "w"), ("m(?=[bp])", "n"),
    ("n(?=[bp])", "m"), ("nn", "n"), ("(?<=[aeiou])n(?=[aeiouy])", "nn"), ("ss", "s"),
    ("(?<=[aeiou])s(?=[aeiou])", "ss"), ("ff", "f"), ("tt", "t"), ("rr", "r"), ("y$", "i"),
    ("i$", "y"), ("th", "t"), ("t(?=[aeiou])", "th"), ("ph", "f"), ("sh", "ch"), ("ei", "ey"),
    ("ey", "ei"), ("z$", "s"), ("s$", "z"), ("^jh", "j"), ("^j", "jh"), ("(?<=[nlt])e$", ""),
    ("ck", "k"), ("^hu(?=[aei])", "gu"), ("^gu(?=[aei])", "hu"), ("ñ", "n"), ("ñ", "ni"),
    ("g(?=[ei])", "j"), ("j(?=[ei])", "g"), ("n$", "m"), ("is$", "ys"), ("ia", "ya"),
    ("io", "eo"), ("e(?=[aou])", "i"),
    ("(?<=[aeiou])gu(?=[aei])", "hu"),
)  # fmt: skip
_BY_EAR_RULES = tuple((re.compile(pattern), written) for pattern, written in _BY_EAR)
_KEYS = ("qwertyuiop", "asdfghjklñ", "zxcvbnm")
_MISREAD = (("rn", "m"), ("m", "rn"), ("l", "i"), ("i", "l"), ("cl", "d"), ("h", "b"), ("e", "c"))
_MISREAD += (("u", "v"), ("a", "o"), ("g", "q"), ("ñ", "n"), ("t", "f"))

AS_IT_IS, CAPITALS, UNACCENTED, LOWER, ACCENTED_CAPITALS = range(5)
FIELDS = ("given1", "given2", "surname1", "surname2")


class Clerks:
    """The partners' habits and rates of error; decides which records an error befalls."""

    def __init__(
        self, rng: np.random.Generator, partner: Ints, organisations: int, factor: float
    ) -> None:
        self.rng = rng
        self.partner = partner
        self.organisations = organisations
        self.factor = factor
        self.share = np.bincount(partner, minlength=organisations) / len(partner)
        self.quality = self._evenly(rng.lognormal(0, 0.6, organisations))

    def hits(self, rate: float, among: NDArray[np.bool_] | None = None) -> Ints:
        """Rows that an error of this mean rate befalls; partners differ in it."""
        own = self._evenly(self.quality * self.rng.lognormal(0, 0.4, self.organisations))
        own *= rate * self.factor
        hit = self.rng.random(len(self.partner)) < np.minimum(own, 0.6)[self.partner]
        return np.flatnonzero(hit if among is None else hit & among)

    def habit(self, share: float, of_records: float) -> NDArray[np.bool_]:
        """Rows of the partners, about `share` of all by size, that mostly do it so."""
        has = some(self.rng, self.share, share)
        return has[self.partner] & (self.rng.random(len(self.partner)) < of_records)

    def _evenly(self, factors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Factors of one per record on average: a seed changes whose errors, not how many."""
        return factors / (factors * self.share).sum()


def write_names(
    rng: np.random.Generator,
    who: People,
    person: Ints,
    partner: Ints,
    organisations: int,
    conditions: Conditions,
) -> dict[str, Words]:
    """The four name columns as written."""
    sheet = {field: getattr(who, field)[person] for field in FIELDS}
    slips = Clerks(rng, partner, organisations, conditions.slips)
    _leave_out(sheet, slips, _husbands(who)[person])
    _misplace(sheet, slips)
    spelling = Clerks(rng, partner, organisations, conditions.spelling)
    _spell(sheet, spelling)
    _run_together(sheet, slips)
    for rows, column in (
        (slips.hits(SLIPS["given2_initial"]), sheet["given2"]),
        (slips.hits(SLIPS["surname2_initial"]), sheet["surname2"]),
    ):
        column[rows] = [word[:1] + "." if word else "" for word in column[rows]]
    _dress(sheet, slips)
    return sheet


def _husbands(who: People) -> Words:
    """For a woman of a couple, the man's surname."""
    surname = np.full(len(who), "", dtype=object)
    pairs = np.flatnonzero(who.role == PARTNER)
    heads = pairs - 1  # Persons stand by household and role.
    pairs, heads = (
        pairs[who.household[heads] == who.household[pairs]],
        heads[who.household[heads] == who.household[pairs]],
    )
    surname[pairs[who.female[pairs]]] = who.surname1[heads[who.female[pairs]]]
    surname[heads[who.female[heads]]] = who.surname1[pairs[who.female[heads]]]
    surname[who.role == PARENT] = ""
    return surname


def _leave_out(sheet: dict[str, Words], clerks: Clerks, husband: Words) -> None:
    second = sheet["given2"] != ""
    known = clerks.hits(SLIPS["known_by_second"], second)
    sheet["given1"][known], sheet["given2"][known] = sheet["given2"][known], ""
    married = clerks.hits(SLIPS["married_name"], husband != "")
    sheet["surname2"][married] = ["de " + name for name in husband[married]]
    for field, share in (("given2", 0.06), ("surname2", 0.05)):
        sheet[field][clerks.hits(SLIPS[f"{field}_dropped"])] = ""
        sheet[field][clerks.habit(share, 0.6)] = ""
    for field in FIELDS:
        particle = np.array([" " in word for word in sheet[field]], dtype=bool)
        rows = clerks.hits(SLIPS["particle_dropped"], particle)
        sheet[field][rows] = [word.rpartition(" ")[2] for word in sheet[field][rows]]
        for row in clerks.hits(SLIPS["particle_dropped"] / 2, particle):
            sheet[field][row] = sheet[field][row].replace(" ", "").capitalize()
    for field in ("given1", "surname1"):
        sheet[field][clerks.hits(SLIPS["name_missing"])] = ""


def _misplace(sheet: dict[str, Words], clerks: Clerks) -> None:
    for kind, ours, theirs in (
        ("givens_swapped", "given1", "given2"),
        ("surnames_swapped", "surname1", "surname2"),
    ):
        full = (sheet[ours] != "") & (sheet[theirs] != "")
        rows = clerks.hits(SLIPS[kind], full)
        sheet[ours][rows], sheet[theirs][rows] = sheet[theirs][rows], sheet[ours][rows]
    rows = clerks.hits(SLIPS["given_surname_swapped"])
    for ours, theirs in (("given1", "surname1"), ("given2", "surname2")):
        sheet[ours][rows], sheet[theirs][rows] = sheet[theirs][rows], sheet[ours][rows]


def _run_together(sheet: dict[str, Words], clerks: Clerks) -> None:
    for kind, first, second in (
        ("givens_in_one", "given1", "given2"),
        ("surnames_in_one", "surname1", "surname2"),
    ):
        full = (sheet[first] != "") & (sheet[second] != "")
        rows = np.union1d(
            clerks.hits(SLIPS[kind], full), np.flatnonzero(clerks.habit(0.05, 0.9) & full)
        )
        sheet[first][rows] = sheet[first][rows] + " " + sheet[second][rows]
        sheet[second][rows] = ""
    full = (sheet["given1"] != "") & (sheet["given2"] != "")
    rows = clerks.hits(SLIPS["givens_joined"], full)
    joined = sheet["given1"][rows] + sheet["given2"][rows]
    sheet["given1"][rows] = [word.replace(" ", "").capitalize() for word in joined]
    sheet["given2"][rows] = ""
    for field in ("given1", "surname1"):
        long = np.array([len(word) > 7 and " " not in word for word in sheet[field]], dtype=bool)
        for row in clerks.hits(SLIPS["word_split"], long):
            word = sheet[field][row]
            place = 3 + int(clerks.rng.integers(0, len(word) - 6))
            sheet[field][row] = f"{word[:place]} {word[place:].capitalize()}"


def _spell(sheet: dict[str, Words], clerks: Clerks) -> None:
    for field in FIELDS:
        given = field.startswith("given")
        rate = SPELLING["given_respelled" if given else "surname_respelled"]
        _change(sheet[field], clerks.hits(rate), clerks.rng, respelled)
        if given:
            _change(sheet[field], clerks.hits(SPELLING["familiar"]), clerks.rng, _familiar)
        _change(sheet[field], clerks.hits(SPELLING["typo"] / 2), clerks.rng, _mistyped)


def _change(
    column: Words,
    rows: Ints,
    rng: np.random.Generator,
    change: Callable[[str, np.ndarray], str],
) -> None:
    chance = rng.random((len(rows), 4))
    column[rows] = [
        change(word, chances) if len(word) > 2 else word
        for word, chances in zip(column[rows], chance, strict=True)
    ]


def respelled(word: str, chances: np.ndarray) -> str:
    """The word as heard: a known spelling of it, or one or two sounds written otherwise."""
    known = names().spellings.get(word, ())
    if known and chances[0] < 0.6:
        return known[int(chances[1] * len(known))]
    ways = _by_ear(word)
    if not ways:
        return word
    other = ways[int(chances[1] * len(ways))]
    if chances[2] < 0.3:
        ways = _by_ear(other)
        other = ways[int(chances[3] * len(ways))] if ways else other
    return other


@cache
def _by_ear(word: str) -> tuple[str, ...]:
    low = word.lower()
    made = {
        (low[: hit.start()] + written + low[hit.end() :]).capitalize()
        for rule, written in _BY_EAR_RULES
        for hit in rule.finditer(low)
    }
    return tuple(sorted(made - {word}))


def _familiar(word: str, chances: np.ndarray) -> str:
    forms = names().familiar.get(word, ())
    return forms[int(chances[0] * len(forms))] if forms else word


def _mistyped(word: str, chances: np.ndarray) -> str:
    """One letter dropped, doubled, moved, hit beside, or misread."""
    place = 1 + int(chances[0] * (len(word) - 1))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    kind = int(chances[1] * 5)
    if kind == 0:
        return before + after
    if kind == 1:
        return before + letter + letter + after
    if kind == 2 and after:
        return before + after[0] + letter + after[1:]
    if kind == 3:
        read = [pair for pair in _MISREAD if pair[0] in word[1:]]
        if read:
            seen, taken = read[int(chances[2] * len(read))]
            return word[0] + word[1:].replace(seen, taken, 1)
    return before + _beside(letter, chances[3]) + after


def _beside(letter: str, chance: float) -> str:
    for row in _KEYS:
        place = row.find(letter)
        if place >= 0:
            return row[max(0, place - 1)] if chance < 0.5 else row[min(len(row) - 1, place + 1)]
    return letter


def _dress(sheet: dict[str, Words], clerks: Clerks) -> None:
    """Capitals, accents and narrow columns, by the partner's habit."""
    habit = clerks.rng.choice(5, size=clerks.organisations, p=(0.32, 0.36, 0.18, 0.06, 0.08))
    style = habit[clerks.partner]
    hasty = clerks.rng.random(len(style)) < 0.04
    style = np.where(hasty, clerks.rng.choice(5, size=len(style)), style)
    widths = np.where(
        clerks.rng.random(clerks.organisations) < 0.05,
        clerks.rng.integers(8, 13, clerks.organisations),
        99,
    )
    width = widths[clerks.partner]
    for field, column in sheet.items():
        sheet[field] = np.array(
            [
                _dressed(word, how)[:limit]
                for word, how, limit in zip(column, style.tolist(), width.tolist(), strict=True)
            ],
            dtype=object,
        )


@cache
def _dressed(word: str, style: int) -> str:
    if style in (CAPITALS, UNACCENTED, LOWER):
        word = "".join(
            c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c)
        )
    if style in (CAPITALS, ACCENTED_CAPITALS):
        return word.upper()
    return word.lower() if style == LOWER else word
