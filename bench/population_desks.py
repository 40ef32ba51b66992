"""Who of a family is registered where: partners, districts, members present, phones, papers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.names import Ints, names
from bench.population_conditions import Conditions
from bench.population_papers import CEDULA, TYPES, Papers, mobiles, parent_rows, shown
from bench.population_people import CHILD, HEAD, PARTNER, Flags, People

WHOLE, PARTLY, ALONE, FIRST_HALF, SECOND_HALF = range(5)
# Whose number a partner writes: each person's own, the head's for all, the head's for the head.
EACH, HEADS_FOR_ALL, HEADS_ONLY = range(3)


@dataclass(frozen=True)
class Partners:
    """The organisations: where they work, how they take phones, which papers they like."""

    by_department: dict[str, NDArray[np.float64]]
    phones: Ints
    leaning: NDArray[np.float32]
    office_phone: Ints

    def __len__(self) -> int:
        return len(self.phones)


@dataclass
class Rows:
    """Records to be, one entry each, a registration's together. Phones and numbers: 0 = none."""

    person: Ints
    registration: Ints
    partner: Ints
    district: Ints
    phone: Ints
    kinds: tuple[Ints, Ints]
    numbers: tuple[Ints, Ints]

    def __len__(self) -> int:
        return len(self.person)

    def first(self, count: int) -> "Rows":
        """The first `count` records."""
        cut = slice(count)
        return Rows(
            self.person[cut],
            self.registration[cut],
            self.partner[cut],
            self.district[cut],
            self.phone[cut],
            (self.kinds[0][cut], self.kinds[1][cut]),
            (self.numbers[0][cut], self.numbers[1][cut]),
        )


def partners(rng: np.random.Generator) -> Partners:
    """40 to 80 organisations, most of them in one to three departments."""
    count = int(rng.integers(40, 81))
    sizes = 1 / (np.arange(count) + 5.0)
    departments = sorted({district[:2] for district in names().districts})
    everywhere = rng.random(count) < 0.12
    everywhere[:3] = True
    weight = _district_weights()
    share = np.array(
        [
            sum(w for d, w in zip(names().districts, weight, strict=True) if d[:2] == each)
            for each in departments
        ]
    )
    present = np.zeros((count, len(departments)), dtype=bool)
    for partner in range(count):
        chosen = rng.choice(len(departments), size=int(rng.integers(1, 4)), p=share, replace=False)
        present[partner, chosen] = True
    present |= everywhere[:, None]
    by_department = {
        each: np.cumsum(sizes * present[:, place] / (sizes * present[:, place]).sum())
        for place, each in enumerate(departments)
    }
    has_office = (rng.random(count) < 0.12) | (np.arange(count) < 4)
    return Partners(
        by_department,
        rng.choice(3, size=count, p=(0.62, 0.23, 0.15)),
        rng.normal(0, 1.1, (count, len(TYPES))).astype(np.float32),
        np.where(has_office, mobiles(rng, count), 0),
    )


@dataclass(frozen=True)
class Visits:
    """Registrations to be, one entry each: whose, which of the family's, where, at whom."""

    household: Ints
    turn: Ints
    district: Ints
    partner: Ints

    def __len__(self) -> int:
        return len(self.household)


def registrations(
    rng: np.random.Generator,
    who: People,
    true: Papers,
    desks: Partners,
    conditions: Conditions,
) -> Rows:
    """All records, registrations in random order."""
    households = int(who.household.max()) + 1
    times = rng.choice(4, size=households, p=conditions.registrations) + 1
    household = np.repeat(np.arange(households), times)
    turn = np.arange(len(household)) - (np.cumsum(times) - times)[household]
    kind = _kinds(rng, who, times[household], household, turn, conditions)
    person, registration = _present(rng, who, household, kind)
    twice = rng.random(len(person)) < conditions.twice_inside
    person = np.concatenate((person, person[twice]))
    registration = np.concatenate((registration, registration[twice]))
    district = _districts(rng, who, household, turn, conditions)
    visits = Visits(household, turn, district, _partner(rng, desks, household, district))
    place = rng.permutation(len(visits))
    mixed = rng.random(len(visits)) < 0.3
    within = np.where(mixed[registration], rng.random(len(person)) * 9, who.role[person])
    order = np.lexsort((within, place[registration]))
    person, registration = person[order], registration[order]
    partner = visits.partner[registration]
    kinds, numbers = _papers_shown(rng, who, true, person, desks.leaning[partner], conditions)
    share = np.bincount(partner, minlength=len(desks)) / len(person)
    asks_one = some(rng, share, conditions.one_document_desks)[partner]
    _lend_heads(rng, registration, kinds[0], numbers[0], asks_one)
    return Rows(
        person,
        place[registration],
        partner,
        district[registration],
        _phones(rng, true, desks, visits, person, registration, conditions),
        kinds,
        numbers,
    )


def _kinds(
    rng: np.random.Generator,
    who: People,
    times: Ints,
    household: Ints,
    turn: Ints,
    conditions: Conditions,
) -> Ints:
    """How much of the family each registration has."""
    couple = np.zeros(int(who.household.max()) + 1, dtype=bool)
    couple[who.household[who.role == PARTNER]] = True
    split = couple & (rng.random(len(couple)) < conditions.again_split * 1.6)
    chance = rng.random(len(household))
    kind = np.where(chance < 0.1, PARTLY, WHOLE)
    again = turn > 0
    kind[again & (chance < conditions.again_partly)] = PARTLY
    kind[again & (chance > 1 - conditions.again_alone)] = ALONE
    parted = split[household] & (times > 1)
    kind[parted & (turn == 0)] = FIRST_HALF
    kind[parted & (turn == 1)] = SECOND_HALF
    return kind


def _present(
    rng: np.random.Generator, who: People, household: Ints, kind: Ints
) -> tuple[Ints, Ints]:
    """(person, registration) of everybody who is written down."""
    sizes = np.bincount(who.household)
    starts = np.cumsum(sizes) - sizes
    registration = np.repeat(np.arange(len(household)), sizes[household])
    offset = np.cumsum(sizes[household]) - sizes[household]
    person = starts[household][registration] + np.arange(len(registration)) - offset[registration]
    role, how = who.role[person], kind[registration]
    chance = rng.random(len(person))
    side = rng.random(len(who))[person] < 0.5
    both = chance < 0.15
    partner_alone = (rng.random(len(household)) < 0.4)[registration]
    couple = np.zeros(len(sizes), dtype=bool)
    couple[who.household[who.role == PARTNER]] = True
    alone = np.where(partner_alone & couple[who.household[person]], PARTNER, HEAD)
    first = np.where(role == CHILD, side | both, role != PARTNER)
    second = np.where(role == CHILD, ~side | both, role == PARTNER)
    there = np.select(
        [how == PARTLY, how == ALONE, how == FIRST_HALF, how == SECOND_HALF],
        [chance < np.where(role == HEAD, 0.85, 0.55), role == alone, first, second],
        chance < np.where(role == HEAD, 0.995, 0.97),
    )
    return person[there], registration[there]


def _district_weights() -> NDArray[np.float64]:
    weights = 1 / (np.arange(len(names().districts)) + 6.0)
    return weights / weights.sum()


def _districts(
    rng: np.random.Generator, who: People, household: Ints, turn: Ints, conditions: Conditions
) -> Ints:
    """Relatives live near each other rather often; families move, mostly within the province."""
    districts = np.array(names().districts)
    households = int(who.household.max()) + 1
    chance = np.cumsum(_district_weights())

    def anywhere(count: int) -> Ints:
        return np.minimum(np.searchsorted(chance, rng.random(count)), len(districts) - 1)

    provinces = np.unique([each[:4] for each in districts], return_inverse=True)[1]
    by_province = np.argsort(provinces, kind="stable")
    province_start = np.searchsorted(provinces[by_province], provinces)
    province_size = np.bincount(provinces)[provinces]

    def near(places: Ints) -> Ints:
        shift = (rng.random(len(places)) * province_size[places]).astype(np.int64)
        return by_province[province_start[places] + shift]

    clan = np.zeros(households, dtype=np.int64)
    clan[who.household] = who.clan
    home = anywhere(int(who.clan.max()) + 1)[clan]
    apart = rng.random(households)
    home = np.where(apart < 0.5, home, np.where(apart < 0.8, near(home), anywhere(households)))
    home = home[household]
    moves = (turn > 0) & (rng.random(len(household)) < conditions.moved)
    far = rng.random(len(household)) < 0.4
    return np.where(moves, np.where(far, anywhere(len(home)), near(home)), home)


def _partner(rng: np.random.Generator, desks: Partners, household: Ints, district: Ints) -> Ints:
    """A partner that works there; rarely one where the family is registered already."""
    departments = np.array([each[:2] for each in names().districts])[district]
    partner = np.full(len(household), -1)
    again: Flags = np.ones(len(household), dtype=bool)
    for _ in range(6):
        for department, cumulative in desks.by_department.items():
            here = np.flatnonzero(again & (departments == department))
            drawn = np.searchsorted(cumulative, rng.random(len(here)), side="right")
            partner[here] = np.minimum(drawn, len(desks) - 1)
        key = household * len(desks) + partner
        _, first = np.unique(key, return_index=True)
        again = np.ones(len(household), dtype=bool)
        again[first] = False
        again &= rng.random(len(household)) > 0.03
    return partner


def _phones(
    rng: np.random.Generator,
    true: Papers,
    desks: Partners,
    visits: Visits,
    person: Ints,
    registration: Ints,
    conditions: Conditions,
) -> Ints:
    """The number written for each person, after the partner's practice and the family's changes."""
    again = visits.turn[registration] > 0
    changed = rng.random(len(visits)) < conditions.number_changed
    new = mobiles(rng, len(visits))[registration]
    family = true.family_phone[person]
    own = true.own_phone[person]
    is_familys = own == family
    family = np.where(again & changed[registration] & (family > 0), new, family)
    lost = again & (rng.random(len(person)) < conditions.number_changed)
    own = np.where(lost & (own > 0), mobiles(rng, len(person)), own)
    own = np.where(is_familys, family, own)
    each = np.where(own > 0, own, np.where(rng.random(len(person)) < 0.45, family, 0))
    first, head = _heads_rows(registration)
    heads = np.where(own > 0, own, family)[head]
    practice = desks.phones[visits.partner[registration]]
    phone = np.select(
        [practice == HEADS_FOR_ALL, practice == HEADS_ONLY],
        [heads, np.where(first, heads, 0)],
        each,
    )
    return _lent_phones(rng, phone, desks, visits, registration, conditions)


def _heads_rows(registration: Ints) -> tuple[Flags, Ints]:
    """Whether a record is its registration's first, and the row of that first one."""
    first = np.concatenate(([True], registration[1:] != registration[:-1]))
    return first, np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))


def _lent_phones(
    rng: np.random.Generator,
    phone: Ints,
    desks: Partners,
    visits: Visits,
    registration: Ints,
    conditions: Conditions,
) -> Ints:
    """A neighbour's number, none at all, or that of the partner's own office instead."""
    count = len(visits)
    by_district = np.argsort(visits.district, kind="stable")
    neighbour = np.empty(count, dtype=np.int64)
    neighbour[by_district] = np.roll(by_district, 1)
    theirs = np.zeros(count, dtype=np.int64)
    theirs[registration] = phone
    borrows = rng.random(count) < conditions.phone_neighbour
    withheld = rng.random(count) < conditions.phone_withheld
    offices = desks.office_phone[visits.partner]
    chance = conditions.office_phone * len(desks) / max(1, int((desks.office_phone > 0).sum()))
    office = (rng.random(count) < min(chance, 0.05)) & (offices > 0)
    phone = np.where(borrows[registration], theirs[neighbour][registration], phone)
    phone = np.where(withheld[registration], 0, phone)
    return np.where(office[registration], offices[registration], phone)


def _papers_shown(
    rng: np.random.Generator,
    who: People,
    true: Papers,
    person: Ints,
    leaning: NDArray[np.float32],
    conditions: Conditions,
) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
    """Types and numbers of up to two documents of each record."""
    first, second = shown(rng, true, person, leaning, conditions)
    grown = who.age[person] >= 18
    share = np.where(grown, conditions.nothing_shown, conditions.nothing_shown_child)
    nothing = rng.random(len(person)) < share
    first, second = np.where(nothing, -1, first), np.where(nothing, -1, second)
    held = np.stack([*true.numbers, np.zeros(len(who), dtype=np.int64)])
    number1, number2 = held[first, person], held[second, person]
    # Clerks write the mother's cédula for a child who has none to show.
    parent = parent_rows(who)[person]
    lent = true.numbers[CEDULA][parent]
    borrowed = ~grown & (lent > 0) & (rng.random(len(person)) < conditions.parents_document)
    first, number1 = np.where(borrowed, CEDULA, first), np.where(borrowed, lent, number1)
    return (first, second), (number1, number2)


def some(rng: np.random.Generator, sizes: NDArray[np.float64], share: float) -> Flags:
    """Organisations that together make about `share` of all records."""
    chosen = np.zeros(len(sizes), dtype=bool)
    for each in rng.permutation(len(sizes)).tolist():
        if sizes[chosen].sum() + sizes[each] <= share * 1.15:
            chosen[each] = True
    return chosen


def _lend_heads(
    rng: np.random.Generator, registration: Ints, kind: Ints, number: Ints, asks_one: Flags
) -> None:
    """Write the first person's document for those of the family who show none."""
    _, head = _heads_rows(registration)
    lent = asks_one & (kind < 0) & (kind[head] >= 0) & (rng.random(len(kind)) < 0.6)
    kind[lent], number[lent] = kind[head][lent], number[head][lent]
