"""Short ways to make records and ask the chain about them."""

from datetime import date
from uuid import UUID, uuid4

from dedup.record import Document, Record


def person(
    name: str = "Ana María / Pérez Gómez", born: str | None = "1990-05-17", **more
) -> Record:
    """Make a record of "given / surnames" and facts; documents as ("type", "number")."""
    given, _, surnames = name.partition("/")
    documents = tuple(
        Document(type=kind, number=number) for kind, number in more.pop("documents", ())
    )
    facts = {"person_id": uuid4(), "household_id": uuid4(), "sex": "F", **more}
    return Record(
        given=tuple(given.split()),
        surnames=tuple(surnames.split()),
        birth_date=date.fromisoformat(born) if born else None,
        documents=documents,
        **facts,
    )


def number(value: int) -> UUID:
    return UUID(int=value)
