"""Made-up registrations of families by partners of differing quality, with the truth beside them.

    .venv/bin/python bench/population.py --records 100000 --seed 7 --hard --out /tmp/people

Everything follows from the seed. The families hold what makes finding duplicates hard: brothers
and sisters, twins, parents and children of one name, cousins, relatives registered apart, shared
telephones, other documents at each partner, and clerks' errors as DOMAIN.md tells them.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.names import Ints, Words
from bench.population_clerks import Clerks, write_names
from bench.population_conditions import HARD, NORMAL, SLIPS, Conditions
from bench.population_desks import Partners, Rows, partners, registrations
from bench.population_papers import NATIONALITIES, Papers, papers, parent_rows
from bench.population_people import People, people
from bench.population_slips import (
    write_dates,
    write_districts,
    write_documents,
    write_phones,
    write_sexes,
)

COLUMNS = (
    "record_id",
    "registration_id",
    "partner",
    "given1",
    "given2",
    "surname1",
    "surname2",
    "birth_date",
    "sex",
    "nationality",
    "doc1_type",
    "doc1",
    "doc2_type",
    "doc2",
    "phone",
    "ubigeo",
)
# Records that one household of the world brings about, rather too few than too many.
RECORDS_PER_HOUSEHOLD = 3.9


@dataclass(frozen=True)
class Population:
    """Records in registration order, and who they truly are.

    `columns` are texts as a partner's file has them; `person` and `clan` number the true person
    and the extended family of each record.
    """

    columns: dict[str, Words]
    person: Ints
    clan: Ints

    def __len__(self) -> int:
        return len(self.person)

    def registrations(self) -> Iterator[list[dict[str, str]]]:
        """The records of one registration after another, as dictionaries without empty fields."""
        ids = self.columns["registration_id"]
        edges = np.flatnonzero(ids[1:] != ids[:-1]) + 1
        for start, end in zip([0, *edges.tolist()], [*edges.tolist(), len(self)], strict=True):
            yield [
                {name: column[row] for name, column in self.columns.items() if column[row]}
                for row in range(start, end)
            ]

    def pairs(self) -> tuple[Ints, Ints]:
        """Rows (lower, higher) of every two records of one person."""
        order = np.argsort(self.person, kind="stable")
        same = self.person[order]
        lower, higher = [], []
        for distance in range(1, len(same)):
            hits = np.flatnonzero(same[distance:] == same[:-distance])
            if not len(hits):
                break
            lower.append(order[hits])
            higher.append(order[hits + distance])
        return np.concatenate(lower), np.concatenate(higher)

    def person_ids(self) -> Words:
        return np.array([f"H{each:07d}" for each in self.person.tolist()], dtype=object)

    def write(self, folder: Path, *, parquet: bool = False) -> tuple[Path, Path]:
        """Write `records` and `truth` into the folder; returns their paths."""
        truth = {"record_id": self.columns["record_id"], "person_id": self.person_ids()}
        folder.mkdir(parents=True, exist_ok=True)
        ending = "parquet" if parquet else "csv"
        paths = folder / f"records.{ending}", folder / f"truth.{ending}"
        for path, columns in zip(paths, (self.columns, truth), strict=True):
            (_write_parquet if parquet else _write_csv)(path, columns)
        return paths


def generate(persons: int, *, seed: int, hard: bool = False) -> Population:
    """`persons` records of made-up families. The same arguments give the same records."""
    conditions = HARD if hard else NORMAL
    rng = np.random.default_rng([seed, int(hard)])
    households = int(persons / RECORDS_PER_HOUSEHOLD) + 20
    while True:
        who = people(rng, households, conditions)
        true = papers(rng, who, conditions)
        desks = partners(rng)
        rows = registrations(rng, who, true, desks, conditions)
        if len(rows) >= persons:
            break
        households = int(households * 1.15)
    rows = rows.first(persons)
    columns = _written(rng, who, true, desks, rows, conditions)
    return Population(columns=columns, person=rows.person, clan=who.clan[rows.person])


def _written(
    rng: np.random.Generator,
    who: People,
    true: Papers,
    desks: Partners,
    rows: Rows,
    conditions: Conditions,
) -> dict[str, Words]:
    """The records as the clerks of each partner put them into their files."""
    slips = Clerks(rng, rows.partner, len(desks), conditions.slips)
    dates = Clerks(rng, rows.partner, len(desks), conditions.dates)
    named = write_names(rng, who, rows.person, rows.partner, len(desks), conditions)
    nationality = NATIONALITIES[true.nationality[rows.person]]
    nationality[slips.hits(SLIPS["nationality_missing"])] = ""
    shown = [
        write_documents(kind, number, slips)
        for kind, number in zip(rows.kinds, rows.numbers, strict=True)
    ]
    _, registration = np.unique(rows.registration, return_inverse=True)
    relatives = who.birth[parent_rows(who)[rows.person]]
    written = {
        "record_id": np.array([f"P{each:08d}" for each in range(len(rows))], dtype=object),
        "registration_id": np.array(
            [f"R{each:07d}" for each in registration.tolist()], dtype=object
        ),
        "partner": np.array([f"org-{each:02d}" for each in rows.partner.tolist()], dtype=object),
        **named,
        "birth_date": write_dates(who.birth[rows.person], relatives, dates),
        "sex": write_sexes(who.female[rows.person], slips),
        "nationality": nationality,
        "doc1_type": shown[0][0],
        "doc1": shown[0][1],
        "doc2_type": shown[1][0],
        "doc2": shown[1][1],
        "phone": write_phones(rows.phone, slips),
        "ubigeo": write_districts(rows.district, slips),
    }
    return {name: written[name] for name in COLUMNS}


def _write_csv(path: Path, columns: dict[str, Words]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _write_parquet(path: Path, columns: dict[str, Words]) -> None:
    # Only this needs the extra; CSV is written without it.
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    table = pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})
    parquet.write_table(table, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--hard", action="store_true")
    parser.add_argument("--parquet", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    made = generate(options.records, seed=options.seed, hard=options.hard)
    records, truth = made.write(options.out, parquet=options.parquet)
    print(f"{len(made)} records: {records}, {truth}")


if __name__ == "__main__":
    main()
