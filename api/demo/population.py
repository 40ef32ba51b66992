"""The example population: made-up families that three fictional partners register.

Everything follows from the seed. Some families go to more than one partner, whose clerks write
them differently; the truth says who is who.
"""

from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations
from random import Random

import msgspec

from api.demo.clerk import write_down
from api.demo.family import Family, Nature, TruePerson
from cbi.account import Instrument
from cbi.consent import Consent, ConsentKind
from cbi.document import Document, issuer
from cbi.household import Assistance, Intention, Registration
from cbi.person import Person

PARTNERS = {
    "PUENTE": "Fundación Puente Norte",
    "SOLMAR": "Asociación Sol y Mar",
    "PARROQUIA": "Parroquia del Buen Camino",
}
_SHARES = {"PUENTE": 42, "SOLMAR": 38, "PARROQUIA": 20}
_PREFIX = {"PUENTE": "PU-2026-", "SOLMAR": "SM", "PARROQUIA": "FAM-"}

REPEATED_SHARE = 0.135
BESIDE_SHARE = 0.05
OWN_ACCOUNTS = 10
FIRST_DAY = date(2026, 1, 5)
DAYS = 80
CONSENTS: tuple[ConsentKind, ...] = (
    "registration",
    "duplicate_check",
    "fsp",
    "referral",
    "contact",
)
INTENTIONS: tuple[Intention, ...] = ("stay", "stay", "undecided", "move_on")
WANTED: tuple[Assistance, ...] = ("mpca", "rent", "health", "food")


class TruthPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Who the person at `index` of a registration truly is, and of which household."""

    partner: str
    reference: str
    index: int
    person: str
    household: str


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    persons: tuple[TruthPerson, ...]

    def pairs(self) -> frozenset[tuple[tuple[str, str, int], tuple[str, str, int]]]:
        """Every two registrations of one person, each as (partner, reference, index), sorted."""
        places: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
        for each in self.persons:
            places[each.person].append((each.partner, each.reference, each.index))
        return frozenset(pair for same in places.values() for pair in combinations(sorted(same), 2))


class PartnerPopulation(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    name: str
    registrations: tuple[Registration, ...]


class Population(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    partners: tuple[PartnerPopulation, ...]
    truth: Truth

    @property
    def households(self) -> int:
        return sum(len(each.registrations) for each in self.partners)

    @property
    def persons(self) -> int:
        return len(self.truth.persons)


def population(seed: int, households: int = 600) -> Population:
    """Make `households` registrations over three partners. The same seed gives the same people."""
    rng = Random(seed)
    office = _Office(rng)
    again = round(households * REPEATED_SHARE)
    beside = round(households * BESIDE_SHARE)
    families = [office.nature.family() for _ in range(households - again - beside)]
    families += [office.nature.beside(family) for family in rng.sample(families, beside)]
    for family in rng.sample(families, min(OWN_ACCOUNTS, len(families))):
        family.bank, family.account = "MOCK", office.nature.own_account()
    rng.shuffle(families)
    for family in families:
        office.register(family, office.any_partner())
    # Larger families turn to more than one partner a little more often.
    often = sorted(families, key=lambda family: -len(family.persons) * rng.random())
    for family in often[: again - again // 12]:
        office.register_again(family)
    for family in often[: again // 12]:
        office.register_again(family)
    partners = tuple(
        PartnerPopulation(code=code, name=name, registrations=tuple(office.registrations[code]))
        for code, name in PARTNERS.items()
    )
    return Population(seed=seed, partners=partners, truth=Truth(persons=tuple(office.truth)))


class _Office:
    """The partners' desks, filling."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.nature = Nature(rng)
        self.registrations: dict[str, list[Registration]] = {code: [] for code in PARTNERS}
        self.truth: list[TruthPerson] = []
        self._seen: dict[str, set[str]] = defaultdict(set)

    def any_partner(self, without: frozenset[str] = frozenset()) -> str:
        codes = [code for code in PARTNERS if code not in without]
        return self.rng.choices(codes, [_SHARES[code] for code in codes])[0]

    def register(self, family: Family, code: str) -> None:
        """Register a family as it is, at its first partner."""
        self._write(family, code, [(each, each) for each in family.persons])

    def register_again(self, family: Family) -> None:
        """Register a family at a partner that doesn't know it: other clerk, other members."""
        rng = self.rng
        code = self.any_partner(frozenset(self._seen[family.household]))
        members = list(family.persons)
        couple = len(members) > 1 and members[1].relationship == "partner"
        if couple and rng.random() < 0.06:
            # The household has split, or says so.
            members = [replace(members[1], relationship="head")]
        elif couple and rng.random() < 0.12:
            # This time the partner came, and is the head.
            head, partner = members[:2]
            members[:2] = [
                replace(partner, relationship="head"),
                replace(head, relationship="partner"),
            ]
        if len(members) > 2 and rng.random() < 0.2:
            members.pop(rng.randrange(1, len(members)))
        if rng.random() < 0.3:
            bank, account = self.nature.account()
            family = replace(family, bank=bank, account=account)
        self._write(family, code, [(each, write_down(each, rng)) for each in members])

    def _write(
        self, family: Family, code: str, members: list[tuple[TruePerson, TruePerson]]
    ) -> None:
        rng = self.rng
        self._seen[family.household].add(code)
        ordinal = len(self.registrations[code]) + 1
        reference = f"{_PREFIX[code]}{ordinal:04}"
        day = FIRST_DAY + timedelta(days=rng.randrange(DAYS))
        declined = {"duplicate_check": rng.random() < 0.03, "fsp": rng.random() < 0.02}
        instrument = Instrument(kind="bank_account", bank=family.bank, account=family.account)
        self.registrations[code].append(
            Registration(
                reference=reference,
                registered_on=day,
                ubigeo=family.ubigeo,
                population_type=family.population_type,
                intention=rng.choice(INTENTIONS),
                assistance_wanted=tuple(rng.sample(WANTED, 2)),
                # Who won't be known to a bank is paid by hand.
                instrument=Instrument(kind="direct_cash") if declined["fsp"] else instrument,
                consents=_consents(day, declined),
                persons=tuple(_person(written) for _, written in members),
            )
        )
        self.truth += [
            TruthPerson(
                partner=code,
                reference=reference,
                index=index,
                person=true.person,
                household=family.household,
            )
            for index, (true, _) in enumerate(members)
        ]


def _consents(day: date, declined: dict[str, bool]) -> tuple[Consent, ...]:
    return tuple(
        Consent(
            kind=kind,
            granted=not declined.get(kind, False),
            text_version="2026-1",
            language="es",
            channel="in_person",
            given_on=day,
        )
        for kind in CONSENTS
    )


def _person(each: TruePerson) -> Person:
    documents = (
        Document(
            type=kind,
            number=number,
            country=each.nationality if kind in {"passport", "other"} else "",
        )
        for kind, number in each.documents.items()
    )
    return Person(
        given_names=" ".join(each.given),
        surnames=" ".join(each.surnames),
        birth_date=each.birth_date,
        sex=each.sex,
        relationship=each.relationship,
        roles=("head", "primary_collector") if each.relationship == "head" else (),
        nationality=each.nationality,
        documents=tuple(
            msgspec.structs.replace(document, country=issuer(document)) for document in documents
        ),
        phones=(each.phone,) if each.phone else (),
    )
