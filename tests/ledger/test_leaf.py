"""The bytes of a leaf, as PostgreSQL and as Python write them."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from ledger.leaf import DIGEST_BODY, DIGEST_HEAD, TRANSFER_BODY, TRANSFER_HEAD
from ledger.merkle import SealedDigest, SealedTransfer, body_of, leaf_bytes

ids = st.uuids()
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
numbers = st.integers(-(2**62), 2**62)
# The driver takes the very first and last days for infinite ones.
days = st.dates(date(1, 1, 2), date(9999, 12, 30))
seconds = st.timedeltas(timedelta(days=-30_000), timedelta(days=300_000))
times = seconds.map(lambda since: datetime(1970, 1, 1, tzinfo=UTC) + since)
transfers = st.builds(
    SealedTransfer,
    transfer_id=ids,
    entry_id=ids,
    partner_id=ids,
    kind=words,
    debit_account=ids,
    credit_account=ids,
    currency=words,
    amount_minor=numbers,
    payment_id=st.none() | ids,
    attempt_no=st.none() | st.integers(-(2**31), 2**31 - 1),
    reverses=st.none() | ids,
    effective_on=days,
    booked_on=st.none() | days,
    posted_at=times,
    actor_id=ids,
    xid=numbers,
)
digests = st.builds(
    SealedDigest,
    digest_id=ids,
    partner_id=ids,
    subject=words,
    sha256=st.binary(max_size=40),
    made_at=times,
    actor_id=ids,
    xid=numbers,
)
TYPES = {
    "amount_minor": "bigint",
    "xid": "bigint",
    "attempt_no": "integer",
    "kind": "text",
    "currency": "text",
    "subject": "text",
    "effective_on": "date",
    "booked_on": "date",
    "posted_at": "timestamptz",
    "made_at": "timestamptz",
    "sha256": "bytea",
}


async def written(conn, sealed, body: str, alias: str) -> bytes:
    values = {name: getattr(sealed, name) for name in sealed.__struct_fields__}
    row = ", ".join(f"CAST(:{name} AS {TYPES.get(name, 'uuid')}) AS {name}" for name in values)
    return await conn.scalar(text(f"SELECT {body} FROM (SELECT {row}) AS {alias}"), values)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(transfers)
async def test_postgresql_and_python_encode_a_transfer_alike(conn, sealed):
    assert await written(conn, sealed, TRANSFER_BODY, "t") == body_of(sealed)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(digests)
async def test_postgresql_and_python_encode_a_digest_alike(conn, sealed):
    assert await written(conn, sealed, DIGEST_BODY, "d") == body_of(sealed)


async def test_no_setting_of_a_session_changes_what_is_encoded(conn):
    for setting in ("datestyle = 'German'", "timezone = 'America/Lima'", "bytea_output = 'escape'"):
        await conn.execute(text(f"SET LOCAL {setting}"))
    sealed = SealedTransfer(
        **{name: UUID(int=1) for name in ("transfer_id", "entry_id", "partner_id", "actor_id")},
        kind="post",
        debit_account=UUID(int=2),
        credit_account=UUID(int=3),
        currency="PEN",
        amount_minor=1,
        payment_id=None,
        attempt_no=None,
        reverses=None,
        effective_on=date(2026, 3, 1),
        booked_on=date(2026, 4, 1),
        posted_at=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(microseconds=1),
        xid=9,
    )
    assert await written(conn, sealed, TRANSFER_BODY, "t") == body_of(sealed)
    assert leaf_bytes(sealed, bytes(16)) == TRANSFER_HEAD + bytes(16) + body_of(sealed)


def test_a_transfer_and_a_digest_are_never_taken_for_each_other():
    assert TRANSFER_HEAD != DIGEST_HEAD
    assert not TRANSFER_HEAD.startswith(DIGEST_HEAD)
