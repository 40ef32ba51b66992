"""True families of the example population: who they are, before any clerk writes them down."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from stdnum.pe import cui

from api.demo.names import MEN, SURNAMES, WOMEN
from cbi.account import BANKS, cci
from cbi.document import DocumentType
from cbi.household import PopulationType
from cbi.person import Relationship, Sex

BORN_MIN = date(1930, 1, 1)
BORN_MAX = date(2025, 12, 31)

EITHER: tuple[Sex, ...] = ("F", "M")
MOSTLY_WOMEN: tuple[Sex, ...] = ("F", "F", "M")

# INEI districts of Tumbes, Tacna, Arequipa, Lima, Piura and La Libertad.
_DISTRICTS = "240101 240301 240302 230101 230104 230110 040101 040103 040104 150101 150132 200101"
DISTRICTS = tuple(_DISTRICTS.split())


@dataclass(kw_only=True)
class TruePerson:
    """A person as they are. `documents` are type → number, all they ever had."""

    person: str
    given: tuple[str, ...]
    surnames: tuple[str, ...]
    birth_date: date
    sex: Sex
    relationship: Relationship
    nationality: str
    documents: dict[DocumentType, str] = field(default_factory=dict)
    phone: str = ""


@dataclass(kw_only=True)
class Family:
    """A true household with the account it is paid to."""

    household: str
    persons: list[TruePerson]
    ubigeo: str
    population_type: PopulationType
    bank: str
    account: str


class Nature:
    """Makes families. Numbers are never used twice, so equal numbers are the same person's."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self._used: set[str] = set()
        self._persons = 0
        self._households = 0

    def family(self) -> Family:
        """A family of one to eight."""
        rng = self.rng
        host = rng.random() < 0.1
        nationality = "PER" if host else rng.choices(("VEN", "COL"), (97, 3))[0]
        head = self.person(
            "head", nationality, age=rng.randint(21, 62), sex=rng.choice(MOSTLY_WOMEN)
        )
        persons = [head]
        if rng.random() < 0.55:
            age = max(19, (2026 - head.birth_date.year) + rng.randint(-6, 6))
            sex: Sex = "M" if head.sex == "F" else "F"
            persons.append(self.person("partner", nationality, age=age, sex=sex))
        persons += self._children(persons, nationality)
        if rng.random() < 0.12:
            age = min(94, 2026 - head.birth_date.year + rng.randint(18, 30))
            mother = self.person("parent", nationality, age=age, sex="F")
            mother.surnames = (head.surnames[-1], mother.surnames[-1])
            persons.append(mother)
        if rng.random() < 0.08:
            persons.append(self.sibling(head, "sibling"))
        head.phone = self.phone(abroad=0.08)
        for each in persons[1:]:
            grown = each.birth_date.year < 2010
            # Families share a phone: weak evidence.
            each.phone = rng.choice((head.phone, self.phone(), "")) if grown else ""
        kinds: tuple[PopulationType, ...] = (
            "in_destination",
            "in_transit",
            "pendular",
            "colombian_returnee",
        )
        return self._house(
            persons,
            ubigeo=rng.choice(DISTRICTS),
            population_type="host_community" if host else rng.choices(kinds, (80, 14, 4, 2))[0],
        )

    def beside(self, family: Family) -> Family:
        """Another family close to this one: of the head's sibling, same district and phone."""
        head = self.sibling(family.persons[0], "head")
        head.phone = family.persons[0].phone
        persons = [head, *self._children([head], head.nationality)]
        return self._house(persons, ubigeo=family.ubigeo, population_type=family.population_type)

    def person(
        self, relationship: Relationship, nationality: str, *, age: int, sex: Sex
    ) -> TruePerson:
        """A person of about that age in 2026, with the documents such a person has."""
        born = date(2026, 1, 1) - timedelta(days=age * 365 + self.rng.randint(1, 364))
        self._persons += 1
        return TruePerson(
            person=f"E{self._persons:05}",
            given=self._given(sex),
            surnames=tuple(self.rng.sample(SURNAMES, 1 if self.rng.random() < 0.04 else 2)),
            birth_date=min(max(born, BORN_MIN), BORN_MAX),
            sex=sex,
            relationship=relationship,
            nationality=nationality,
            documents=self._documents(nationality, age),
        )

    def sibling(self, of: TruePerson, relationship: Relationship) -> TruePerson:
        """Somebody else with the same surnames and nearly the same date of birth."""
        other = self.person(relationship, of.nationality, age=30, sex=self.rng.choice(EITHER))
        apart = timedelta(days=self.rng.choice((-1, 1)) * self.rng.randint(330, 1100))
        other.birth_date = min(max(of.birth_date + apart, BORN_MIN), BORN_MAX)
        other.surnames = of.surnames
        while set(other.given) & set(of.given):
            other.given = self._given(other.sex)
        return other

    def phone(self, *, abroad: float = 0.0) -> str:
        """A mobile in E.164, of Peru or else of Venezuela."""
        if self.rng.random() < abroad:
            code = self.rng.choice(("412", "414", "416", "424", "426"))
            return self._fresh(lambda: f"+58{code}{self.rng.randint(2_000_000, 9_899_999)}")
        return self._fresh(lambda: f"+519{self.rng.randint(20_000_000, 89_999_999)}")

    def account(self) -> tuple[str, str]:
        """A bank and a CCI there, both check digits right."""
        bank = self.rng.choice(tuple(BANKS))
        office = f"{bank}{self.rng.randint(100, 899)}"

        def number() -> str:
            return cci(bank_and_office=office, account=f"{self.rng.randint(10**9, 10**12 - 1):012}")

        return bank, self._fresh(number)

    def own_account(self) -> str:
        """An account at the paying bank itself: 14 digits."""
        return self._fresh(lambda: f"{self.rng.randint(10**13, 10**14 - 1)}")

    def _children(self, parents: list[TruePerson], nationality: str) -> list[TruePerson]:
        rng = self.rng
        fathers = [each for each in parents if each.sex == "M"] or parents
        mothers = [each for each in parents if each.sex == "F"] or parents
        surnames = (fathers[0].surnames[0], mothers[0].surnames[0])
        children: list[TruePerson] = []
        oldest = min(17, 2026 - max(each.birth_date.year for each in parents) - 17)
        for _ in range(rng.choices((0, 1, 2, 3, 4), (18, 32, 30, 14, 6))[0]):
            age = rng.randint(0, max(0, oldest))
            child = self.person("child", nationality, age=age, sex=rng.choice(EITHER))
            child.surnames = surnames
            if children and rng.random() < 0.12:
                child.birth_date = children[-1].birth_date  # twins
            while any(set(child.given) & set(each.given) for each in children):
                child.given = self._given(child.sex)
            children.append(child)
        return children

    def _given(self, sex: str) -> tuple[str, ...]:
        names = WOMEN if sex == "F" else MEN
        return tuple(self.rng.sample(names, 1 if self.rng.random() < 0.22 else 2))

    def _documents(self, nationality: str, age: int) -> dict[DocumentType, str]:
        rng = self.rng
        if nationality == "PER":
            digits = self._fresh(lambda: f"{rng.randint(1_000_000, 79_999_999):08}")
            check = cui.calc_check_digits(digits)[0]
            return {"pe-dni": f"{digits}-{check}" if rng.random() < 0.3 else digits}
        documents: dict[DocumentType, str] = {}
        if nationality == "COL":
            documents["other"] = self._fresh(lambda: str(rng.randint(10**9, 12 * 10**8)))
        elif age >= 9 or rng.random() < 0.3:
            lowest, highest = (32_000_000, 39_999_999) if age < 18 else (8_000_000, 31_000_000)
            number = self._fresh(lambda: str(rng.randint(lowest, highest)))
            documents["ve-cedula"] = f"V{number}"
        chances: dict[DocumentType, float] = {
            "passport": 0.2,
            "pe-ptp": 0.3,
            "pe-cpp": 0.25,
            "pe-ce": 0.18,
        }
        for kind, chance in chances.items():
            if age >= 3 and rng.random() < chance:
                documents[kind] = self._fresh(lambda: f"{rng.randint(1_000_000, 199_999_999):09}")
        return documents

    def _house(
        self, persons: list[TruePerson], *, ubigeo: str, population_type: PopulationType
    ) -> Family:
        bank, account = self.account()
        self._households += 1
        return Family(
            household=f"H{self._households:05}",
            persons=persons,
            ubigeo=ubigeo,
            population_type=population_type,
            bank=bank,
            account=account,
        )

    def _fresh(self, make: Callable[[], str]) -> str:
        while (number := make()) in self._used:
            pass
        self._used.add(number)
        return number
