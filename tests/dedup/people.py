"""Made-up families, registered once or twice with the errors of DOMAIN.md; seeded."""

import random
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations
from uuid import UUID

from dedup.record import Document, Record

_F_NAMES = """
María José Ana Luisa Carmen Rosa Yaquelin Yessica Yenifer Daniela Gabriela Andreina Oriana
Génesis Valentina Camila Isabella Sofía Victoria Fernanda Alejandra Carolina Patricia Yuleisi
Yusmary Zuleima Nathaly Estefany Katherine Milagros Betania Rosángela Luz Marina Elena Teresa
Gladys Yolanda Mirella Keila Roselyn Adriana Paola Angie Lisbeth Norelys Dayana Yohana Marbelis
"""
F_NAMES = _F_NAMES.split()
_M_NAMES = """
José Luis Carlos Juan Jesús Miguel Ángel Pedro Rafael Antonio Jhonny Brayan Maikel Wilmer Yorman
Kevin Jonathan Anderson Alejandro Gabriel Daniel David Samuel Moisés Eduardo Alberto Enrique
Franklin Freddy Henry Héctor Víctor Ramón Manuel Francisco Javier Cristian Yeferson Yeison Elías
Mathías Santiago Sebastián Diego Leonardo Richard Simón Gustavo Orlando Edgar
"""
M_NAMES = _M_NAMES.split()
_SURNAMES = """
González Rodríguez Pérez Hernández García Martínez Sánchez López Díaz Rojas Ramírez Torres
Castillo Gutiérrez Jiménez Moreno Flores Romero Suárez Mendoza Rivas Medina Blanco Márquez
Salazar Briceño Peña Muñoz Zambrano Urdaneta Colmenares Chacón Contreras Villalobos Parra
Quintero Ochoa Guerrero Araujo Bracho Cordero Escalona Figueroa Guédez Huamán Infante Jaimes
Laya Mosqueda Navas Oropeza Pacheco Querales Rangel Silva Tovar Uzcátegui Velásquez Yánez Zerpa
Acosta Bolívar Cedeño Duarte Espinoza Fuenmayor Graterol Hidalgo Izarra Linares Mata Noguera
Padrón Reyes Sosa
"""
SURNAMES = _SURNAMES.split()
SPELLINGS = (
    ("que", "ke"), ("z", "s"), ("v", "b"), ("ll", "y"), ("ss", "s"), ("i", "y"), ("y", "i"),
    ("c", "s"), ("J", "Y"), ("Y", "J"), ("n", "nn"), ("H", ""), ("ñ", "n"), ("nn", "n"), ("x", "j"),
)  # fmt: skip
NICKNAMES = {"José": "Pepe", "Luis": "Lucho", "Jesús": "Chucho", "Teresa": "Tere", "Rafael": "Rafa"}
DISTRICTS = ("240101", "240102", "240301", "230101", "230102", "040101", "040103", "150132")
TODAY = date(2026, 6, 1)


@dataclass
class Person:
    truth: int
    given: list[str]
    surnames: list[str]
    born: date
    sex: str
    documents: list[Document]
    phone: str


class World:
    """Families and their registrations; the same seed makes the same world."""

    def __init__(self, seed: int, persons: int):
        self.random = random.Random(seed)
        self.records: list[Record] = []
        self.truth: dict[UUID, int] = {}
        self.people = 0
        while len(self.records) < persons:
            self._family()

    def true_pairs(self) -> set[tuple[UUID, UUID]]:
        by_truth: dict[int, list[UUID]] = {}
        for person_id, truth in self.truth.items():
            by_truth.setdefault(truth, []).append(person_id)
        return {pair for same in by_truth.values() for pair in combinations(sorted(same), 2)}

    def _family(self) -> None:
        rng = self.random
        members = self._members()
        district, phone = rng.choice(DISTRICTS), self._phone()
        for member in members:
            child = TODAY - member.born < timedelta(days=365 * 14)
            member.phone = "" if child and rng.random() < 0.5 else phone
            if not child and rng.random() < 0.3:
                member.phone = self._phone()
        times = rng.choices((1, 2, 3), (0.7, 0.26, 0.04))[0]
        for _ in range(times):
            household_id = self._uuid()
            shown = [one for one in members if rng.random() < 0.93] or members
            new_phone = rng.random() < 0.3
            place = rng.choice(DISTRICTS) if rng.random() < 0.2 else district
            for member in shown:
                said = self._phone() if new_phone and rng.random() < 0.8 else member.phone
                record = self._register(member, household_id, said, place)
                self.records.append(record)
                self.truth[record.person_id] = member.truth

    def _members(self) -> list[Person]:
        rng = self.random
        mother_names, father_names = self._surnames(), self._surnames()
        mother = self._person("F", mother_names, self._day(1970, 2000))
        members = [mother]
        father = None
        if rng.random() < 0.6:
            father = self._person("M", father_names, self._day(1968, 1999))
            members.append(father)
        children = [father_names[0], mother_names[0]]
        for _ in range(rng.choices((0, 1, 2, 3, 4), (0.2, 0.25, 0.3, 0.17, 0.08))[0]):
            born, sex = self._day(2003, 2025), rng.choice("FM")
            child = self._person(sex, children, born)
            if father is not None and sex == "M" and rng.random() < 0.06:
                child.given = list(father.given)
            members.append(child)
            if rng.random() < 0.05:
                twin = self._person(rng.choice("FM"), children, born)
                if twin.sex == child.sex and rng.random() < 0.3 and len(child.given) > 1:
                    twin.given = [child.given[0], self._given(twin.sex)[0]]
                if twin.given != child.given:
                    members.append(twin)
        return members

    def _person(self, sex: str, surnames: list[str], born: date) -> Person:
        rng = self.random
        self.people += 1
        documents = []
        if rng.random() < 0.8:
            documents.append(
                Document(type="ve-cedula", number=str(rng.randint(5_000_000, 34_000_000)))
            )
        for kind, share, digits in (
            ("pe-ptp", 0.4, 9), ("pe-cpp", 0.3, 9), ("pe-ce", 0.15, 9), ("passport", 0.2, 9),
        ):  # fmt: skip
            if rng.random() < share:
                documents.append(
                    Document(type=kind, number=f"{rng.randint(0, 3_000_000):0{digits}d}")
                )
        return Person(self.people, self._given(sex), list(surnames), born, sex, documents, "")

    def _given(self, sex: str) -> list[str]:
        names = F_NAMES if sex == "F" else M_NAMES
        weights = [1 / (2 + place) for place in range(len(names))]
        first = self.random.choices(names, weights)[0]
        second = self.random.choices(names, weights)[0]
        return [first] if self.random.random() < 0.2 or first == second else [first, second]

    def _surnames(self) -> list[str]:
        weights = [1 / (3 + place) for place in range(len(SURNAMES))]
        return self.random.choices(SURNAMES, weights, k=1 if self.random.random() < 0.04 else 2)

    def _register(self, person: Person, household_id: UUID, phone: str, place: str) -> Record:
        rng = self.random
        given, surnames = self._written(person.given, 0.12), self._written(person.surnames, 0.1)
        if rng.random() < 0.02:
            given, surnames = surnames, given
        born, precision = self._born(person.born)
        shown = [one for one in person.documents if rng.random() < 0.6]
        return Record(
            person_id=self._uuid(),
            household_id=household_id,
            given=tuple(given),
            surnames=tuple(surnames),
            birth_date=born,
            birth_precision=precision,
            sex="" if rng.random() < 0.02 else person.sex,
            documents=tuple(self._shown(one) for one in shown),
            phones=(phone,) if phone and rng.random() < 0.9 else (),
            ubigeo=place,
        )

    def _written(self, names: list[str], drop: float) -> list[str]:
        rng = self.random
        written = list(names)
        if len(written) > 1 and rng.random() < drop:
            written = written[:1]
        if len(written) > 1 and rng.random() < 0.02:
            return ["".join(written)]
        if len(written) > 1 and rng.random() < 0.03:
            written[1] = written[1][0] + "."
        return [self._spelled(name) for name in written]

    def _spelled(self, name: str) -> str:
        rng, dice = self.random, self.random.random()
        if dice < 0.015 and name in NICKNAMES:
            return NICKNAMES[name]
        if dice < 0.08:
            fitting = [(old, new) for old, new in SPELLINGS if old in name] or [("a", "a")]
            return name.replace(*rng.choice(fitting), 1)
        if dice < 0.12 and len(name) > 3:
            at = rng.randrange(1, len(name) - 1)
            return rng.choice(
                (
                    name[:at] + name[at + 1 :],
                    name[:at] + name[at + 1] + name[at] + name[at + 2 :],
                    name[:at] + rng.choice("aeionrs") + name[at + 1 :],
                )
            )
        return name.upper() if dice < 0.4 else name

    def _born(self, born: date) -> tuple[date | None, str]:
        rng, dice = self.random, self.random.random()
        if dice < 0.015:
            return None, "day"
        if dice < 0.035 and born.day <= 12:
            return born.replace(month=born.day, day=born.month), "day"
        if dice < 0.06:
            return born.replace(month=1, day=1), rng.choice(("day", "year"))
        if dice < 0.07:
            return date(born.year + rng.choice((-1, 0, 1)), 1, 1), "age"
        if dice < 0.09:
            return born + timedelta(days=rng.choice((-10, -1, 1, 10, 365))), "day"
        return born, "day"

    def _shown(self, document: Document) -> Document:
        rng, number = self.random, document.number
        if rng.random() < 0.02:
            at = rng.randrange(len(number))
            number = number[:at] + str(rng.randrange(10)) + number[at + 1 :]
        if document.type == "ve-cedula" and rng.random() < 0.4:
            number = f"V-{int(number):,}".replace(",", ".")
        return Document(type=document.type, number=number)

    def _phone(self) -> str:
        rng = self.random
        if rng.random() < 0.02:
            return "+51 900 100 200"  # the leader's, given by many families
        return f"{rng.choice(('', '+51 ', '51'))}9{rng.randint(0, 10**8 - 1):08d}"

    def _day(self, first: int, last: int) -> date:
        days = (date(last, 12, 31) - date(first, 1, 1)).days
        return date(first, 1, 1) + timedelta(days=self.random.randint(0, days))

    def _uuid(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)
