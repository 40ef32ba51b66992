"""Documents and telephones that people truly have, and what they show of them to a partner."""

from dataclasses import dataclass

import numpy as np

from bench.names import Ints, Words
from bench.population_conditions import Conditions
from bench.population_people import CHILD, HEAD, TODAY, YEAR, Flags, People

# Codes of DOMAIN.md, and one it does not list, as a partner's file may bring.
TYPES = (
    "ve-cedula",
    "passport",
    "pe-ptp",
    "pe-cpp",
    "pe-ce",
    "pe-asylum",
    "pe-dni",
    "birth-cert",
    "pe-tam",
    "co-cedula",
)
CEDULA, PASSPORT, PTP, CPP, CE, ASYLUM, DNI, BIRTH, TAM, COLOMBIAN = range(len(TYPES))
# Lowest and highest number; PTP, CPP and the carné are issued in sequence, so they lie close.
RANGES = {
    PASSPORT: (30_000_000, 175_000_000),
    PTP: (1_000_000, 9_000_000),
    CPP: (1_000_000, 9_900_000),
    CE: (200_000, 7_500_000),
    ASYLUM: (10_000_000, 99_000_000),
    DNI: (10_000_000, 79_000_000),
    BIRTH: (1, 2400),
    TAM: (100_000_000, 999_000_000),
    COLOMBIAN: (10_000_000, 1_150_000_000),
}
# Share of grown people and of children (born abroad) who have one.
HOLDERS = {
    CEDULA: (0.96, 0.0),
    PASSPORT: (0.35, 0.20),
    PTP: (0.35, 0.22),
    CPP: (0.42, 0.36),
    CE: (0.30, 0.22),
    ASYLUM: (0.13, 0.10),
    BIRTH: (0.05, 0.75),
    TAM: (0.15, 0.10),
}
WIDTH = {PASSPORT: 9, PTP: 9, CPP: 9, CE: 9, DNI: 8}
# The Venezuelan number grows with the year of birth of whoever asks for it.
_BORN = (1935, 1950, 1960, 1970, 1980, 1990, 2000, 2010, 2018)
_CEDULA = (1.5e6, 3.9e6, 5.9e6, 10.5e6, 15.0e6, 20.5e6, 27.6e6, 32.6e6, 36.0e6)
CEDULA_MAX = 37_500_000

VENEZUELAN, COLOMBIAN_BORN, PERUVIAN = range(3)
NATIONALITIES = np.array(["VEN", "COL", "PER"], dtype=object)


@dataclass
class Papers:
    """Per person: number by type (0 = none), nationality, own phone (0 = none), household's."""

    numbers: list[Ints]
    nationality: Ints
    own_phone: Ints
    family_phone: Ints


def papers(rng: np.random.Generator, who: People, conditions: Conditions) -> Papers:
    count = len(who)
    nationality = _nationality(rng, who)
    grown = who.age >= 18
    numbers: list[Ints] = []
    first = np.concatenate(([True], who.household[1:] != who.household[:-1]))
    together = (rng.random(count) < conditions.papers_together) & ~first
    foreign = nationality != PERUVIAN
    for kind in range(len(TYPES)):
        if kind == DNI:
            held = (nationality == PERUVIAN) & (rng.random(count) < 0.96)
        elif kind == COLOMBIAN:
            held = (nationality == COLOMBIAN_BORN) & (rng.random(count) < 0.9) & (who.age >= 7)
        else:
            adults, children = HOLDERS[kind]
            held = foreign & (rng.random(count) < np.where(grown, adults, children))
        if kind == CEDULA:
            schooled = (who.age >= 9) & ~grown & (rng.random(count) < 0.5)
            held = (held | (schooled & foreign)) & (nationality == VENEZUELAN)
            drawn = _cedulas(rng, who)
        else:
            drawn = rng.integers(*RANGES[kind], count)
        if kind != BIRTH:
            linked = who.twin if kind == DNI else together | who.twin
            drawn = _distinct(rng, _in_sequence(rng, who, drawn, linked, held, kind == CEDULA))
        numbers.append(np.where(held, drawn, 0))
    phones = mobiles(rng, count)
    own = np.where((who.age >= 15) & (rng.random(count) < 0.62), phones, 0)
    head = np.maximum.accumulate(np.where(first, np.arange(count), 0))
    family = np.where(rng.random(count) < 0.93, phones, 0)[head]
    own[(who.role == HEAD) & first] = family[(who.role == HEAD) & first]
    return Papers(numbers, nationality, own, family)


def mobiles(rng: np.random.Generator, count: int) -> Ints:
    """Peruvian mobiles, and now and then a Venezuelan one with its country code."""
    peruvian = rng.integers(900_000_000, 999_999_999, count)
    network = rng.choice((412, 414, 416, 424, 426), count)
    venezuelan = (58_000 + network) * 10_000_000 + rng.integers(1_000_000, 9_999_999, count)
    return np.where(rng.random(count) < 0.05, venezuelan, peruvian)


def shown(
    rng: np.random.Generator,
    true: Papers,
    rows: Ints,
    liked: np.ndarray,
    conditions: Conditions,
) -> tuple[Ints, Ints]:
    """Which types each record shows first and second (-1 = none).

    `liked` has, for each record, the partner's leaning towards each type (logarithms). A person's
    own habit is drawn from the person, so that it is the same at every partner.
    """
    people = len(true.nationality)
    habit = rng.gumbel(size=(people, len(TYPES))).astype(np.float32)
    score = liked + habit[rows] * np.float32(conditions.same_document_pull)
    score += rng.gumbel(size=score.shape).astype(np.float32)
    for kind in range(len(TYPES)):
        score[true.numbers[kind][rows] == 0, kind] = -np.inf
    count = len(rows)
    first = score.argmax(axis=1)
    first_held = np.isfinite(score[np.arange(count), first])
    score[np.arange(count), first] = -np.inf
    second = score.argmax(axis=1)
    second_held = np.isfinite(score[np.arange(count), second])
    two = rng.random(count) < conditions.two_shown
    return np.where(first_held, first, -1), np.where(second_held & two, second, -1)


def parent_rows(who: People) -> Ints:
    """For each person the row of the mother, else the father, else the person's own."""
    own = np.arange(len(who))
    return np.where(who.mother >= 0, who.mother, np.where(who.father >= 0, who.father, own))


def written(kind: Ints, number: Ints) -> Words:
    """The numbers as the documents print them."""
    texts = np.full(len(kind), "", dtype=object)
    for code in range(len(TYPES)):
        here = np.flatnonzero(kind == code)
        width = WIDTH.get(code, 0)
        prefix = "V" if code == CEDULA else ""
        texts[here] = [f"{prefix}{each:0{width}d}" for each in number[here].tolist()]
    return texts


def _nationality(rng: np.random.Generator, who: People) -> Ints:
    household = rng.choice(3, size=int(who.household.max()) + 1, p=(0.92, 0.03, 0.05))
    nationality = household[who.household]
    # A child born after the family's arrival is Peruvian.
    arrived = rng.uniform(5.0, 9.5, len(household))[who.household]
    born_here = (TODAY - who.birth) / YEAR < arrived
    nationality[born_here & (who.role == CHILD) & (rng.random(len(who)) < 0.8)] = PERUVIAN
    return nationality


def _cedulas(rng: np.random.Generator, who: People) -> Ints:
    year = 2026.5 - (TODAY - who.birth) / YEAR
    drawn = np.interp(year, _BORN, _CEDULA) + rng.normal(0, 8e5, len(who))
    return np.clip(drawn, 400_000, CEDULA_MAX - 1).astype(np.int64)


def _in_sequence(
    rng: np.random.Generator,
    who: People,
    drawn: Ints,
    linked: Flags,
    held: Flags,
    among_children: bool,
) -> Ints:
    """Numbers of papers made together follow those of the family's holder before, closely."""
    order = np.flatnonzero(held)
    follows = linked[order]
    if among_children:
        follows = follows & (who.role[order] == CHILD) & (who.role[order - 1] == CHILD)
    follows[1:] &= who.household[order[1:]] == who.household[order[:-1]]
    follows[:1] = False
    steps = np.where(rng.random(len(order)) < 0.6, 1, rng.integers(2, 30, len(order)))
    steps[who.twin[order]] = 1
    run = np.cumsum(np.where(follows, steps, 0))
    base = np.maximum.accumulate(np.where(follows, 0, np.arange(len(order))))
    numbers = drawn.copy()
    if len(order):
        numbers[order] = drawn[order][base] + run - run[base]
    return numbers


def _distinct(rng: np.random.Generator, numbers: Ints) -> Ints:
    """No number is given out twice: later ones move on a little."""
    for _ in range(50):
        _, first = np.unique(numbers, return_index=True)
        again = np.ones(len(numbers), dtype=bool)
        again[first] = False
        if not again.any():
            return numbers
        numbers[again] += rng.integers(1, 5000, int(again.sum()))
    raise AssertionError("the numbers of a document type have run out")
