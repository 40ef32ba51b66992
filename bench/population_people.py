"""True families: who they are before any clerk writes them down.

Persons stand in arrays of one length, ordered by household. A clan is two or more households of
brothers, sisters and cousins; grown children who registered apart are households of their own.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bench.names import Ints, Words, names
from bench.population_conditions import Conditions

Flags = NDArray[np.bool_]

TODAY = int((np.datetime64("2026-06-30") - np.datetime64("1970-01-01")).astype(int))
YEAR = 365.25
HEAD, PARTNER, CHILD, PARENT, SIBLING = range(5)


@dataclass
class People:
    """Persons, one entry each. `birth` counts days from 1970; `twin` marks the later one."""

    household: Ints
    clan: Ints
    role: Ints
    birth: Ints
    female: Flags
    twin: Flags
    surname1: Words
    surname2: Words
    # Row of the father, or of the mother, whose name a child may bear; -1 if outside the family.
    father: Ints
    mother: Ints
    given1: Words
    given2: Words

    def __len__(self) -> int:
        return len(self.household)

    @property
    def age(self) -> Ints:
        return ((TODAY - self.birth) / YEAR).astype(np.int64)

    def take(self, rows: Ints) -> "People":
        """The persons of `rows`, in that order; parents' rows follow."""
        moved = People(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})
        place = np.full(len(self) + 1, -1)
        place[rows] = np.arange(len(rows))
        moved.father, moved.mother = place[moved.father], place[moved.mother]
        return moved


def people(rng: np.random.Generator, households: int, conditions: Conditions) -> People:
    """The members of `households` households, and of some more that grown children founded."""
    clan = _clans(rng, households, conditions)
    heads = _heads(rng, clan)
    partners = _partners(rng, heads)
    everybody = _joined([heads, partners])
    everybody = _joined([everybody, _children(rng, heads, partners, conditions)])
    everybody = _joined([everybody, _parents(rng, heads), _siblings(rng, heads)])
    _leave(rng, everybody, conditions)
    everybody = everybody.take(np.lexsort((everybody.role, everybody.household)))
    everybody.twin &= _follows_twin(everybody)
    _call(rng, everybody, conditions)
    return everybody


def surnames(rng: np.random.Generator, count: int) -> Words:
    pool = names().surnames
    return pool.words[pool.draw(rng, count)]


def _clans(rng: np.random.Generator, households: int, conditions: Conditions) -> Ints:
    sizes = rng.choice(4, size=households, p=conditions.clan_households) + 1
    return np.repeat(np.arange(households), sizes)[:households]


def _persons(household: Ints, clan: Ints, role: int, birth: Ints, female: Flags) -> People:
    count = len(household)
    none = np.full(count, -1)
    blank = np.full(count, "", dtype=object)
    return People(
        household=household,
        clan=clan,
        role=np.full(count, role),
        birth=birth,
        female=female,
        twin=np.zeros(count, dtype=bool),
        surname1=blank,
        surname2=blank.copy(),
        father=none,
        mother=none.copy(),
        given1=blank.copy(),
        given2=blank.copy(),
    )


def _joined(parts: list[People]) -> People:
    return People(
        **{
            each.name: np.concatenate([getattr(part, each.name) for part in parts])
            for each in fields(People)
        }
    )


def _heads(rng: np.random.Generator, clan: Ints) -> People:
    count = len(clan)
    household = np.arange(count)
    years = np.clip(18 + rng.gamma(2.4, 6.5, count), 18, 82)
    heads = _persons(
        household, clan, HEAD, TODAY - (years * YEAR).astype(np.int64), rng.random(count) < 0.62
    )
    root = np.searchsorted(clan, clan)
    other = root != household
    gap = rng.integers(330, 3300, count) * rng.choice((-1, 1), count)
    near = heads.birth[root] + gap
    grown = TODAY - near > 18 * YEAR
    near = np.where(grown, near, heads.birth[root] - np.abs(gap))
    heads.birth = np.where(other, near, heads.birth)
    own1, own2 = surnames(rng, count), surnames(rng, count)
    kind = rng.random(count)
    cousin, half = other & (kind < 0.25), other & (kind > 0.9)
    brother = other & ~cousin & ~half
    heads.surname1 = np.where(brother, own1[root], own1)
    heads.surname2 = np.where(brother | half, own2[root], own2)
    fathers_side = rng.random(count) < 0.5
    heads.surname1[cousin & fathers_side] = own1[root][cousin & fathers_side]
    heads.surname2[cousin & ~fathers_side] = own1[root][cousin & ~fathers_side]
    lone = rng.random(count) < 0.03
    heads.surname2[lone] = ""
    return heads


def _partners(rng: np.random.Generator, heads: People) -> People:
    paired = np.flatnonzero(rng.random(len(heads)) < 0.55)
    count = len(paired)
    birth = heads.birth[paired] + (rng.normal(0, 4, count) * YEAR).astype(np.int64)
    partners = _persons(
        heads.household[paired],
        heads.clan[paired],
        PARTNER,
        np.minimum(birth, TODAY - int(17 * YEAR)),
        ~heads.female[paired],
    )
    partners.surname1, partners.surname2 = surnames(rng, count), surnames(rng, count)
    return partners


def _children(
    rng: np.random.Generator, heads: People, partners: People, conditions: Conditions
) -> People:
    """Children, their births spaced, twins among them; parents' rows count heads, then partners."""
    count = len(heads)
    partner = np.full(count, -1)
    partner[partners.household] = np.arange(len(partners)) + count
    women = np.where(heads.female, heads.household, partner)
    men = np.where(heads.female, partner, heads.household)
    births = np.concatenate((heads.birth, partners.birth))
    wanted = np.where(rng.random(count) < 0.76, 1 + np.minimum(rng.poisson(2.0, count), 7), 0)
    household = np.repeat(heads.household, wanted)
    first = np.concatenate(([True], household[1:] != household[:-1]))
    gaps = 330 + rng.exponential(800, len(household)).astype(np.int64)
    twin = ~first & (rng.random(len(household)) < conditions.twin_birth * 2)
    gaps[twin] = 0
    gaps[first] = ((15.5 + rng.gamma(2.5, 2.6, int(first.sum()))) * YEAR).astype(np.int64)
    run = np.cumsum(gaps)
    start = np.maximum.accumulate(np.where(first, np.arange(len(household)), 0))
    parent = np.where(women >= 0, women, heads.household)[household]
    birth = births[parent] + run - run[start] + gaps[start]
    female = rng.random(len(household)) < 0.49
    same = np.flatnonzero(twin & (rng.random(len(household)) < 0.65))
    female[same] = female[same - 1]
    children = _persons(household, heads.clan[household], CHILD, birth, female)
    children.twin = twin
    children.mother, children.father = women[household], men[household]
    _surname_children(rng, children, heads, partners)
    keep = (children.birth < TODAY - 20) & ((children.age < 27) | (rng.random(len(birth)) < 0.4))
    return _kept(children, keep)


def _kept(children: People, keep: Flags) -> People:
    kept = np.flatnonzero(keep)
    return People(**{each.name: getattr(children, each.name)[kept] for each in fields(children)})


def _follows_twin(everybody: People) -> Flags:
    """Whether the row before is of one household and birth; one who left home follows nobody."""
    same = (everybody.household[1:] == everybody.household[:-1]) & (
        everybody.birth[1:] == everybody.birth[:-1]
    )
    return np.concatenate(([False], same))


def _surname_children(
    rng: np.random.Generator, children: People, heads: People, partners: People
) -> None:
    """Father's and mother's first surname; unknown, former and absent fathers included."""
    surname1 = np.concatenate((heads.surname1, partners.surname1))
    surname2 = np.concatenate((heads.surname2, partners.surname2))
    count = len(children)
    household = children.household
    absent, absent_mother = surnames(rng, len(heads)), surnames(rng, len(heads))
    unrecognised = (rng.random(len(heads)) < 0.35)[household] & (children.father < 0)
    former = (rng.random(len(heads)) < 0.12)[household] | (rng.random(count) < 0.08)
    elsewhere = (children.father < 0) | (former & heads.female[household])
    children.father[elsewhere] = -1
    own = np.where(children.father >= 0, surname1[children.father], absent[household])
    other = rng.random(count) < 0.06
    own[other & elsewhere] = surnames(rng, count)[other & elsewhere]
    mothers = surname1[children.mother]
    children.surname1 = np.where(unrecognised, mothers, own)
    mothers = np.where(children.mother >= 0, mothers, absent_mother[household])
    children.surname2 = np.where(unrecognised, surname2[children.mother], mothers)


def _parents(rng: np.random.Generator, heads: People) -> People:
    """A mother or father of the head who lives with them."""
    chosen = np.flatnonzero(rng.random(len(heads)) < 0.10)
    count = len(chosen)
    female = rng.random(count) < 0.75
    years = rng.uniform(17, 36, count)
    parents = _persons(
        heads.household[chosen],
        heads.clan[chosen],
        PARENT,
        np.maximum(heads.birth[chosen] - (years * YEAR).astype(np.int64), TODAY - 34600),
        female,
    )
    parents.surname1 = np.where(female, heads.surname2[chosen], heads.surname1[chosen])
    unknown = parents.surname1 == ""
    parents.surname1[unknown] = heads.surname1[chosen][unknown]
    parents.surname2 = surnames(rng, count)
    return parents


def _siblings(rng: np.random.Generator, heads: People) -> People:
    """A grown brother or sister of the head who lives with them."""
    chosen = np.flatnonzero(rng.random(len(heads)) < 0.08)
    count = len(chosen)
    birth = heads.birth[chosen] + rng.integers(330, 3600, count) * rng.choice((-1, 1), count)
    siblings = _persons(
        heads.household[chosen],
        heads.clan[chosen],
        SIBLING,
        np.minimum(birth, TODAY - int(15 * YEAR)),
        rng.random(count) < 0.5,
    )
    siblings.surname1, siblings.surname2 = heads.surname1[chosen], heads.surname2[chosen]
    return siblings


def _leave(rng: np.random.Generator, everybody: People, conditions: Conditions) -> None:
    """Grown children found households of their own, in the same clan."""
    leaves = (
        (everybody.role == CHILD)
        & (everybody.age >= 18)
        & (rng.random(len(everybody)) < conditions.grown_child_leaves)
    )
    everybody.household[leaves] = everybody.household.max() + 1 + np.arange(int(leaves.sum()))
    everybody.role[leaves] = HEAD


def _call(rng: np.random.Generator, everybody: People, conditions: Conditions) -> None:
    """Give names by sex and generation; brothers and sisters may be called alike."""
    count = len(everybody)
    year = 2026.5 - (TODAY - everybody.birth) / YEAR
    young = rng.random(count) < np.interp(year, (1990, 2000, 2008, 2016), (0.02, 0.15, 0.6, 0.85))
    later = np.flatnonzero(everybody.twin)
    young[later] = young[later - 1]
    pools = names()
    place, second = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    group = everybody.female * 2 + young
    leader, alike, shared, first = _sets(rng, everybody, group, conditions)
    for code in range(4):
        here = np.flatnonzero(group == code)
        sex = "F" if code >= 2 else "M"
        pool = (pools.young if code % 2 else pools.grown)[sex]
        place[here] = pool.draw(rng, len(here))
        second[here] = pools.second[sex].draw(rng, len(here))
        follow = here[alike[here]]
        place[follow] = pool.draw_alike(rng, place[leader[follow]])
        everybody.given1[here] = pool.words[place[here]]
        everybody.given2[here] = pools.second[sex].words[second[here]]
    sharing = np.flatnonzero(shared & ~first)
    everybody.given2[sharing] = everybody.given2[leader[sharing]]
    everybody.given1[first] = everybody.given1[leader[first]]
    lone = rng.random(count) < 0.17
    lone[first] = False
    everybody.given2[lone] = ""
    _set_apart(rng, everybody, group)
    _one_name(rng, everybody, conditions)
    echo = everybody.given1 == everybody.given2
    everybody.given2[echo] = ""


def _sets(
    rng: np.random.Generator, everybody: People, group: Ints, conditions: Conditions
) -> tuple[Ints, Flags, Flags, Flags]:
    """Who leads each person's set of siblings of one sex; whose names follow the leader's.

    They begin alike, share the second name, or share the first.
    """
    count = len(everybody)
    child = everybody.role == CHILD
    base = np.where(child, everybody.household + everybody.clan.max() + 1, everybody.clan)
    _, first, member = np.unique(base * 4 + group, return_index=True, return_inverse=True)
    leader = first[member]
    chance = rng.random(len(first))[member]
    alike = (chance < conditions.names_alike) & (everybody.role != PARTNER)
    shared = rng.random(len(first))[member] < conditions.second_shared
    later = np.flatnonzero(everybody.twin)
    later = later[group[later] == group[later - 1]]
    leader[later] = leader[later - 1]
    alike[later] |= rng.random(len(later)) < 0.6
    shared[later] |= rng.random(len(later)) < 0.4
    led = leader != np.arange(count)
    first_shared = rng.random(len(first))[member] < conditions.first_shared
    return leader, alike & led, shared & led, first_shared & led & (everybody.role != PARTNER)


def _set_apart(rng: np.random.Generator, everybody: People, group: Ints) -> None:
    """No two of one household are called quite the same, nor by a sole first name."""
    pools = names()
    ids = np.unique(everybody.given1, return_inverse=True)[1]
    for _ in range(6):
        key = everybody.household * (ids.max() + 1) + ids
        _, first, member = np.unique(key, return_index=True, return_inverse=True)
        other = first[member]
        again = np.flatnonzero(other != np.arange(len(everybody)))
        own, theirs = everybody.given2[again], everybody.given2[other[again]]
        again = again[(own == theirs) | (own == "") | (theirs == "")]
        for code in range(4):
            here = again[group[again] == code]
            pool = (pools.young if code % 2 else pools.grown)["F" if code >= 2 else "M"]
            everybody.given1[here] = pool.words[pool.draw(rng, len(here))]
        ids = np.unique(everybody.given1, return_inverse=True)[1]


def _one_name(rng: np.random.Generator, everybody: People, conditions: Conditions) -> None:
    """The first son takes his father's name, sometimes both; fewer daughters their mother's."""
    for female, parent, share in (
        (False, everybody.father, conditions.one_name),
        (True, everybody.mother, conditions.one_name / 2),
    ):
        own = np.flatnonzero((everybody.role == CHILD) & (everybody.female == female))
        own = own[parent[own] >= 0]
        _, first = np.unique(parent[own], return_index=True)
        chosen = own[first][rng.random(len(first)) < share]
        everybody.given1[chosen] = everybody.given1[parent[chosen]]
        both = chosen[rng.random(len(chosen)) < 0.5]
        everybody.given2[both] = everybody.given2[parent[both]]
