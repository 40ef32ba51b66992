"""Short ways to make records and ask the chain about them."""

from datetime import date
from uuid import UUID, uuid4

from hypothesis import strategies as st

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


WORDS = st.sampled_from(
    ("Ana", "María", "José", "Luis", "Luisa", "Yenifer", "Jennifer", "Pérez", "Peres", "J.", "Ñ")
)
DOCUMENTS = st.builds(
    Document,
    type=st.sampled_from(["ve-cedula", "pe-ce", "passport", "pe-tam"]),
    number=st.sampled_from(["12345678", "12345687", "1234567", "99", "V-20111222"]),
)
RECORDS = st.builds(
    Record,
    person_id=st.uuids(),
    household_id=st.uuids(),
    given=st.lists(WORDS | st.text(max_size=4), max_size=4).map(tuple),
    surnames=st.lists(WORDS, max_size=3).map(tuple),
    birth_date=st.none() | st.dates(),
    birth_precision=st.sampled_from(["day", "month", "year", "age"]),
    sex=st.sampled_from(["F", "M", "O", ""]),
    documents=st.lists(DOCUMENTS, max_size=3).map(tuple),
    phones=st.lists(st.sampled_from(["987654321", "987654312", "1"]), max_size=2).map(tuple),
    ubigeo=st.sampled_from(["", "240101", "240102", "240201", "230101"]),
)
