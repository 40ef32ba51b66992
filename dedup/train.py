"""Learn a model from records alone: what agrees in one person, in kin, and in strangers.

u comes from random pairs, kin rates from pairs within one registration, m and the shares of the
classes by expectation–maximisation over the patterns of candidate pairs. Pairs that share no key
count as strangers. Where no registration has two persons there is no kin, and two classes.
"""

from dataclasses import dataclass
from math import log, log2

import msgspec
import numpy as np
from numpy.typing import NDArray

from dedup.batch import local, weigh
from dedup.batch.columns import Columns, Ints
from dedup.batch.levels import Levels
from dedup.batch.local import Pairs
from dedup.batch.words import Codes
from dedup.compare import FIELDS, LEVELS, MISSING
from dedup.model import RARITY_BITS, Content, Frequencies, Level, Model, build
from dedup.score import BIRTH_DATE, BORN_ON_ONE_DAY
from dedup.within import ANOTHER_NAME, SAME_NAME

Rates = NDArray[np.float64]
SAMPLE_PAIRS = 1_000_000
RANDOM_PAIRS, RANDOM_PER_PERSON = 300_000, 30
ROUNDS_MAX = 60
TOLERANCE = 1e-4
STRANGERS_RELATED = 1e-6
# How many pairs the starting values count for, where there are few: they keep rates from 0 and 1.
LEAN_M, LEAN_KIN, LEAN_U = 20.0, 20.0, 1e5
# Levels that fewer pairs have say what the model said before.
SEEN_MIN = 20
RATE_MIN = 1e-6
# A word borne by fewer persons may name one of them, so it isn't written into a model.
BEARERS_MIN = 20
WORDS_MAX = 3000
# Kin in two registrations differ by what two clerks do; that is learned, not read off one.
# Clerks mix up the papers of a family, so no level tells a person from kin by more than this.
KIN_BITS_MAX = 10.0
HOUSEHOLD = FIELDS.index("household")
TWIN_FIELDS = ("given1", "given2", "document", "sex")
LEARNED_OF_KIN = ("order", "document", "phone", "place")
REVIEW_PROBABILITY, STRONG_PROBABILITY = 0.2, 0.985
# Strangers who share a number by chance are too rare to be counted in a sample.
RARE_BY_CHANCE = {"document": ("exact", "exact_other", "near", "near_other")}


@dataclass(frozen=True)
class Patterns:
    """Equal pairs counted together: codes, how many, and bits for the rarity of their words."""

    codes: Codes
    count: Rates
    rarity: Rates


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Counts of codes that no learning changes, and of how many persons and pairs."""

    strangers: Rates
    kin: Rates
    not_twins: Rates
    twins: Rates
    with_kin: bool
    pairs: float
    persons: int


@dataclass
class _Classes:
    """Rates by class, field and code; and the shares of pairs in the first three classes.

    Classes: 0 one person, 1 kin, 2 strangers, 3 kin born on one day (part of kin, not a share).
    """

    rates: Rates
    shares: Rates


def fit(
    columns: Columns,
    start: Model,
    *,
    processes: int = 1,
    seed: int = 0,
    note: str = "",
    pairs: Pairs | None = None,
) -> Model:
    """Learn a model; `start` gives the values it leans on where data is thin.

    Two passes: the first without the household, whose level follows from what matches. `pairs`
    may be given where they were compared before.
    """
    rng = np.random.default_rng(seed)
    found = local.compared(columns, processes=processes) if pairs is None else pairs
    if not len(found.a):
        return start
    content = msgspec.structs.replace(
        start.content, frequencies=frequencies(columns), note=note or start.content.note
    )
    table = weigh.tables(build(content), columns)
    seen = _seen(columns, rng, processes)
    model = _learned(content, seen, _patterns(found.levels, table, rng), start)
    whole, _, household = local.in_context(
        columns, found, weigh.tables(model, columns), model, processes=processes
    )
    whole.levels.codes[:, HOUSEHOLD] = household
    return _learned(content, seen, _patterns(whole.levels, table, rng), start)


def frequencies(columns: Columns) -> dict[str, Frequencies]:
    """Count the words of names and the districts, as shares."""
    texts = columns.vocabulary.texts
    return {
        "given": _counted(columns.given, texts),
        "surname": _counted(columns.surname, texts),
        "place": _counted(columns.place[:, None], columns.places),
    }


def _counted(numbers: Ints, texts: list[str]) -> Frequencies:
    counts = np.bincount(numbers[numbers >= 0].ravel(), minlength=max(len(texts), 1))
    total = max(int(counts.sum()), 2)
    shares = counts / total
    chance = float(np.clip((shares**2).sum(), 1 / total, 0.5))
    order = np.argsort(-counts, kind="stable")[:WORDS_MAX]
    known = order[counts[order] >= BEARERS_MIN]
    others = np.delete(shares, known)
    rare = float((others**2).sum() / others.sum()) if others.sum() else 0.0
    # No rarer than the bits that rarity may add.
    floor = chance / 2 ** RARITY_BITS[1]
    return Frequencies(
        chance=chance,
        rare=min(max(rare, floor, 1 / total), 0.5),
        words={texts[at]: min(float(shares[at]), 0.5) for at in sorted(known.tolist())},
    )


def _seen(columns: Columns, rng: np.random.Generator, processes: int) -> _Seen:
    """Count the codes of random pairs, and of the pairs within registrations."""
    many = min(RANDOM_PAIRS, RANDOM_PER_PERSON * len(columns))
    a, b = (rng.integers(0, len(columns), many, dtype=np.int32) for _ in range(2))
    apart = columns.registration[a] != columns.registration[b]
    strangers = local.levels_of(columns, a[apart], b[apart], processes=processes).codes
    a, b = local.within(columns)
    if len(a) > SAMPLE_PAIRS:
        chosen = rng.choice(len(a), SAMPLE_PAIRS, replace=False)
        a, b = a[chosen], b[chosen]
    kin = local.levels_of(columns, a, b, processes=processes).codes
    kin = kin[~_one_person(kin)]
    twins = kin[:, BIRTH_DATE] == BORN_ON_ONE_DAY
    return _Seen(
        strangers=_counts(strangers),
        kin=_counts(kin),
        not_twins=_counts(kin[~twins]),
        twins=_counts(kin[twins]),
        with_kin=len(a) > 0,
        pairs=len(columns) * (len(columns) - 1) / 2,
        persons=len(columns),
    )


def _learned(content: Content, seen: _Seen, patterns: Patterns, start: Model) -> Model:
    classes = _classes(start, seen)
    _maximise(classes, patterns, start, total=seen.pairs, with_kin=seen.with_kin)
    _keep_unseen(classes, patterns, seen, start)
    return _model(content, classes)


def _classes(start: Model, seen: _Seen) -> _Classes:
    """Begin with the starting model's rates, and what random pairs and families say at once."""
    rates = np.ones((4, len(FIELDS), weigh.CODES_MAX))
    for field, (name, words) in enumerate(LEVELS.items()):
        for code, word in enumerate(words):
            if word != MISSING:
                level = start.content.fields[name][word]
                rates[:, field, code] = level.m, level.kin, level.u, level.kin
    expert = rates.copy()
    _lean(rates[2], seen.strangers, expert[2], LEAN_U)
    for name, words in RARE_BY_CHANCE.items():
        _keep(rates[2], expert[2], FIELDS.index(name), [LEVELS[name].index(one) for one in words])
    if seen.with_kin:
        _lean(rates[1], seen.kin, expert[1], LEAN_KIN)
        born = rates[1, BIRTH_DATE].copy()
        _lean(rates[1], seen.not_twins, expert[1], LEAN_KIN)
        rates[1, BIRTH_DATE] = born
        _lean(rates[3], seen.twins, rates[1], LEAN_KIN)
    share = 0.1 * seen.persons / seen.pairs
    return _Classes(rates, np.array([share, 2 * share if seen.with_kin else 0.0, 1.0]))


def _one_person(codes: Codes) -> NDArray[np.bool_]:
    """Say who is one person entered twice: named alike, and born on one day.

    Twins may share a first name, with another second one.
    """
    given1, given2, sex = (codes[:, FIELDS.index(one)] for one in ("given1", "given2", "sex"))
    named = np.isin(given1, SAME_NAME) & ~np.isin(given2, ANOTHER_NAME)
    born = codes[:, BIRTH_DATE] == BORN_ON_ONE_DAY
    return np.asarray(named & born & (sex != LEVELS["sex"].index("different")))


def _counts(codes: Codes, weights: Rates | None = None) -> Rates:
    """Count the codes of each field; missing ones count nowhere."""
    counts = np.zeros((len(FIELDS), weigh.CODES_MAX))
    for field in range(len(FIELDS)):
        counts[field] = np.bincount(codes[:, field], weights=weights, minlength=weigh.CODES_MAX)
    counts[:, 0] = 0
    return counts


def _lean(rates: Rates, counts: Rates, expert: Rates, pairs: float) -> None:
    """Set rates from counts, leaning on the expert's as if they were so many pairs."""
    for field, (name, words) in enumerate(LEVELS.items()):
        if name == "household" and not counts[field].any():
            continue
        codes = slice(1, len(words))
        total = counts[field, codes].sum() + pairs
        rates[field, codes] = (counts[field, codes] + pairs * expert[field, codes]) / total


def _keep(rates: Rates, expert: Rates, field: int, codes: list[int]) -> None:
    """Keep the expert's rates of some codes, and shrink the others to make room."""
    others = [code for code in range(1, len(LEVELS[FIELDS[field]])) if code not in codes]
    rates[field, codes] = expert[field, codes]
    rates[field, others] *= (1 - rates[field, codes].sum()) / rates[field, others].sum()


def _keep_unseen(classes: _Classes, patterns: Patterns, seen: _Seen, start: Model) -> None:
    """Let levels that the data hardly has weigh what they weighed before.

    Each class has shrunk them by how many pairs it has, which is no evidence: an age in a file of
    full dates would speak against one person by 16 bits. All shrink as much as m did.
    """
    found = _counts(patterns.codes, patterns.count)
    found += seen.strangers + seen.kin
    for field, (name, words) in enumerate(LEVELS.items()):
        levels = start.content.fields[name]
        unseen = [
            code
            for code, word in enumerate(words)
            if word != MISSING and found[field, code] < SEEN_MIN
        ]
        # The household is told from what matches; a field that nobody has is no level's matter.
        if field == HOUSEHOLD or not unseen or len(unseen) == len(levels):
            continue
        kept = classes.rates.copy()
        for code in unseen:
            level = levels[words[code]]
            shrunk = max(float(classes.rates[0, field, code]), RATE_MIN) / level.m
            twin = level.kin if level.twin is None else level.twin
            kept[:, field, code] = np.array((level.m, level.kin, level.u, twin)) * min(shrunk, 1.0)
        for rates, wanted in zip(classes.rates, kept, strict=True):
            _keep(rates, wanted, field, unseen)


def _patterns(compared: Levels, table: weigh.Tables, rng: np.random.Generator) -> Patterns:
    """Count equal pairs together, in a sample of the candidates."""
    total = len(compared.codes)
    if total > SAMPLE_PAIRS:
        compared = compared.take(np.sort(rng.choice(total, SAMPLE_PAIRS, replace=False)))
    # Half a bit is fine enough to count equal pairs together.
    steps = np.round(weigh.rarity(compared, table) * 2).astype(np.int8)
    lines = np.ascontiguousarray(np.column_stack((compared.codes, steps.view(np.uint8))))
    unique, count = np.unique(lines.view(f"V{lines.shape[1]}")[:, 0], return_counts=True)
    patterns = unique.view(np.uint8).reshape(-1, lines.shape[1])
    return Patterns(
        codes=patterns[:, :-1],
        count=np.asarray(count * (total / len(lines)), dtype=np.float64),
        rarity=patterns[:, -1].copy().view(np.int8) / 2,
    )


def _maximise(
    classes: _Classes, patterns: Patterns, start: Model, *, total: float, with_kin: bool
) -> None:
    """Improve m, the learned rates of kin, and the shares until they stand still."""
    expert = classes.rates.copy()
    random = classes.rates[2].copy()
    learned = [FIELDS.index(name) for name in LEARNED_OF_KIN]
    # What the model starts with for m, not what random pairs said.
    for field, (name, words) in enumerate(LEVELS.items()):
        for code, word in enumerate(words):
            if word != MISSING:
                expert[0, field, code] = start.content.fields[name][word].m
    for _ in range(ROUNDS_MAX):
        posterior = _posterior(classes, patterns)
        before = classes.rates.copy()
        weights = posterior * patterns.count
        _lean(classes.rates[0], _counts(patterns.codes, weights[0]), expert[0], LEAN_M)
        if with_kin:
            kin = classes.rates[1].copy()
            _lean(kin, _counts(patterns.codes, weights[1]), expert[1], LEAN_KIN)
            classes.rates[1, learned] = kin[learned]
            # Kin whose families share nobody are hardly ever candidates, so how often there is
            # another match beside kin can't be seen: it tells strangers apart, and not kin.
            classes.rates[1, HOUSEHOLD] = classes.rates[0, HOUSEHOLD]
            _bound_kin(classes.rates)
        classes.shares[:2] = weights[:2].sum(axis=1) / total
        classes.shares[2] = 1 - classes.shares[:2].sum()
        _purify(classes, random)
        _strangers_household(classes.rates[2], patterns, weights[2], total)
        if np.abs(classes.rates - before).max() < TOLERANCE:
            break


def _posterior(classes: _Classes, patterns: Patterns) -> Rates:
    """Return the probability of each class for each pattern."""
    with np.errstate(divide="ignore"):
        logs = np.log(classes.shares)[:, None] + np.zeros((3, len(patterns.codes)))
    rates = np.log(classes.rates)
    rates[:, :, 0] = 0
    twins = patterns.codes[:, BIRTH_DATE] == BORN_ON_ONE_DAY
    for field in range(len(FIELDS)):
        codes = patterns.codes[:, field]
        logs += rates[:3, field][:, codes]
        if FIELDS[field] in TWIN_FIELDS:
            logs[1] += np.where(twins, (rates[3, field] - rates[1, field])[codes], 0.0)
    # A rare word makes chance agreement rarer; kin and one person share it for another reason.
    logs[2] -= patterns.rarity * log(2)
    logs -= logs.max(axis=0)
    odds = np.exp(logs)
    return np.asarray(odds / odds.sum(axis=0))


def _bound_kin(rates: Rates) -> None:
    for kin in (1, 3):
        rates[kin] = np.maximum(rates[kin], rates[0] / 2**KIN_BITS_MAX)
        for field, words in enumerate(LEVELS.values()):
            codes = slice(1, len(words))
            rates[kin, field, codes] /= rates[kin, field, codes].sum()


def _purify(classes: _Classes, random: Rates) -> None:
    """Take out of the random pairs the few that are one person or kin."""
    shares = classes.shares
    rest = random - shares[0] * classes.rates[0] - shares[1] * classes.rates[1]
    rates = np.maximum(rest, random * 0.01)
    for field, (name, words) in enumerate(LEVELS.items()):
        if name == "household":
            continue
        codes = slice(1, len(words))
        classes.rates[2, field, codes] = rates[field, codes] / rates[field, codes].sum()
        by_chance = [words.index(word) for word in RARE_BY_CHANCE.get(name, ())]
        if by_chance:
            _keep(classes.rates[2], random, field, by_chance)


def _strangers_household(rates: Rates, patterns: Patterns, weights: Rates, total: float) -> None:
    """Learn how often others match beside strangers: of all pairs, not of the candidates only."""
    counts = _counts(patterns.codes, weights)[HOUSEHOLD]
    if counts.any():
        none = LEVELS["household"].index("none")
        counts[none] = total - counts.sum() + counts[none]
        # Strangers with a relative in common are rare, but not unheard of.
        counts[1:4] += total * STRANGERS_RELATED
        rates[HOUSEHOLD, 1:4] = counts[1:4] / counts[1:4].sum()


def _level(field: str, rates: Rates) -> Level:
    m, kin, u, twin = rates.tolist()
    return Level(m, kin, u, twin if field in TWIN_FIELDS else None)


def _model(content: Content, classes: _Classes) -> Model:
    fields = {
        name: {
            word: _level(name, classes.rates[:, field, code])
            for code, word in enumerate(words)
            if word != MISSING
        }
        for field, (name, words) in enumerate(LEVELS.items())
    }
    prior = float(np.clip(classes.shares[0], 1e-12, 0.5))
    base = -log2(prior / (1 - prior))
    review, strong = (base + log2(p / (1 - p)) for p in (REVIEW_PROBABILITY, STRONG_PROBABILITY))
    return build(
        msgspec.structs.replace(
            content,
            prior_match=prior,
            prior_kin=float(np.clip(classes.shares[1], 0, 0.4)),
            fields=fields,
            review_bits=round(review, 2),
            strong_bits=round(strong, 2),
        )
    )
