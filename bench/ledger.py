"""How fast the ledger posts, seals and verifies, and how large a transfer is.

    .venv/bin/python bench/ledger.py --transfers 100000 --json

Posts reservations of payments in batches of 10,000, each batch a transaction, with every constraint
and index on and `synchronous_commit = on`; then single transfers by four clients on one funding
account; seals all, and verifies all. Beside it, in the same run: COPY of the same rows into a table
without index or constraint, and SHA-256 of as many leaves.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from hashlib import sha256
from itertools import islice
from os import urandom
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

sys.path.insert(0, str(Path(__file__).parent.parent))

from api import db, settings
from api.db import Actor
from api.embedded import EmbeddedPostgres
from api.state import CHECKPOINT_NAME, Service, open_service
from cbi import bookings, tables
from ledger.account import Account
from ledger.attempt import Attempt
from ledger.attempts import open_attempts
from ledger.money import Money
from ledger.post import open_accounts, post
from ledger.seal import seal
from ledger.transfer import Transfer, move_id, transfer_id
from ledger.verify import verify

BATCH = 10_000
CLIENTS = 4
LEAF_BYTES = 300
AT, DAY = datetime(2026, 3, 1, tzinfo=UTC), date(2026, 3, 1)
PARTNER_ID, PROGRAMME_ID, ROUND_ID = UUID(int=1), UUID(int=2), UUID(int=3)
CLERK = Actor(
    actor_id=UUID(int=4), partner_id=PARTNER_ID, partner_code="BENCH", roles=frozenset({"finance"})
)
FUND = bookings.fund(PROGRAMME_ID, "PEN")
ADVANCE = bookings.advance(PROGRAMME_ID, "PEN")
AVAILABLE, COMMITTED, *_ = bookings.of_round(ROUND_ID, "PEN")


async def measure(options: argparse.Namespace, data_dir: Path) -> dict[str, object]:
    database = EmbeddedPostgres(data_dir)
    try:
        await db.migrate(database.url("postgres"))
        loaded = settings.load({"CBI_DATA_DIR": str(data_dir)})
        service = open_service(loaded, database_url=database.url("cbi_app"))
        owner = db.connect(database.url("postgres"), pool_size=1)
        await set_up(service, owner)
        figures = {"transfers": options.transfers}
        figures |= {"post_per_s": await posted(service, options.transfers)}
        figures |= {"bytes_per_transfer": await size(owner)}
        figures |= {"copy_per_s": await copied(owner, min(options.transfers, 200_000))}
        figures |= {"single_hot_per_s": await single(service, options.singles)}
        figures |= await sealed_and_verified(service)
        figures |= {"sha256_leaves_per_s": hashed()}
        await owner.dispose()
        await service.engine.dispose()
    finally:
        database.stop(whoever_holds=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**figures, "peak_rss_mb": round(peak, 1)}


async def set_up(service: Service, owner: AsyncEngine) -> None:
    async with owner.begin() as conn:
        await conn.execute(
            insert(tables.partner).values(
                partner_id=PARTNER_ID, code="BENCH", name="Bench", contact="-", added_at=AT
            )
        )
    async with db.transaction(service.engine, CLERK) as conn:
        accounts = [
            *bookings.of_programme(PROGRAMME_ID, "PEN"),
            *bookings.of_round(ROUND_ID, "PEN"),
        ]
        await open_accounts(conn, accounts, partner_id=PARTNER_ID)
        for kind, sides in (("grant", (ADVANCE, FUND)), ("round", (FUND, AVAILABLE))):
            await post(
                conn,
                [moved("fund", sides, 10**15 if kind == "grant" else 10**14, kind)],
                partner_id=PARTNER_ID,
                at=AT,
                actor_id=CLERK.actor_id,
            )


def moved(kind: str, sides: tuple[Account, Account], amount_minor: int, name: object) -> Transfer:
    key = transfer_id(kind, name)
    return Transfer(
        transfer_id=key,
        entry_id=key,
        kind=kind,
        debit=sides[0],
        credit=sides[1],
        money=Money(amount_minor=amount_minor, currency="PEN"),
        effective_on=DAY,
    )


def reservations(count: int) -> Iterator[Transfer]:
    entry = uuid4()
    for number in range(count):
        payment = UUID(bytes=sha256(str(number).encode()).digest()[:16])
        yield Transfer(
            transfer_id=move_id(payment, 1, "reserve", AVAILABLE),
            entry_id=entry,
            kind="reserve",
            debit=AVAILABLE,
            credit=COMMITTED,
            money=Money(amount_minor=76_000 + number % 100, currency="PEN"),
            effective_on=DAY,
            payment_id=payment,
            attempt_no=1,
        )


def attempted(reservation: Transfer) -> Attempt:
    assert reservation.payment_id is not None
    return Attempt(
        payment_id=reservation.payment_id,
        attempt_no=1,
        end_to_end_id=reservation.payment_id.hex,
        money=reservation.money,
    )


async def posted(service: Service, count: int) -> int:
    """Transfers a second, from Transfer to commit; making the Transfers isn't counted."""
    waiting, taken = reservations(count), 0.0
    while batch := list(islice(waiting, BATCH)):
        # Attempts are opened before, as releases do.
        async with db.transaction(service.engine, CLERK) as conn:
            await open_attempts(conn, list(map(attempted, batch)), partner_id=PARTNER_ID, at=AT)
        begin = time.perf_counter()
        async with db.transaction(service.engine, CLERK) as conn:
            await post(conn, batch, partner_id=PARTNER_ID, at=AT, actor_id=CLERK.actor_id)
        taken += time.perf_counter() - begin
    return round(count / taken)


async def size(owner: AsyncEngine) -> int:
    async with owner.connect() as conn:
        found = await conn.scalar(
            text("SELECT pg_total_relation_size('ledger.transfer') / count(*) FROM ledger.transfer")
        )
    return int(found)


async def copied(owner: AsyncEngine, count: int) -> int:
    """Rows a second by COPY into a bare table, committed in batches as well."""
    async with owner.begin() as conn:
        await conn.execute(text("CREATE TABLE bare AS SELECT * FROM ledger.transfer LIMIT 0"))
        driver = (await conn.get_raw_connection()).driver_connection
        rows = await driver.fetch(f"SELECT * FROM ledger.transfer LIMIT {count}")
    records = [tuple(row) for row in rows]
    columns = list(rows[0].keys())
    begin = time.perf_counter()
    for start in range(0, len(records), BATCH):
        async with owner.begin() as conn:
            await conn.execute(text("SELECT 1"))
            driver = (await conn.get_raw_connection()).driver_connection
            await driver.copy_records_to_table(
                "bare", records=records[start : start + BATCH], columns=columns
            )
    return round(len(records) / (time.perf_counter() - begin))


async def single(service: Service, count: int) -> int:
    """Transfers a second, one a transaction, by four clients who all draw on one account."""
    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            transfer = moved("adjust", (FUND, AVAILABLE), 1, ("single", number))
            async with db.transaction(service.engine, CLERK) as conn:
                await post(conn, [transfer], partner_id=PARTNER_ID, at=AT, actor_id=UUID(int=4))

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return round(count / (time.perf_counter() - begin))


async def sealed_and_verified(service: Service) -> dict[str, object]:
    begin, leaves = time.perf_counter(), 0
    while True:
        async with db.transaction(service.engine, db.SYSTEM) as conn:
            done = await seal(
                conn, signer=service.signer, name=CHECKPOINT_NAME, at=AT, random=urandom
            )
        if done is None:
            break
        leaves = done.size
    sealing = time.perf_counter() - begin
    begin = time.perf_counter()
    async with db.transaction(service.engine, db.SYSTEM) as conn:
        found = await verify(conn, public_key=service.signer.public_key(), name=CHECKPOINT_NAME)
    assert found.whole, found.faults
    assert found.leaves == leaves
    return {
        "seal_per_s": round(leaves / sealing),
        "verify_per_s": round(leaves / (time.perf_counter() - begin)),
    }


def hashed() -> int:
    """The limit: leaves of this length that one core hashes a second."""
    leaf, begin = b"x" * LEAF_BYTES, time.perf_counter()
    for _ in range(200_000):
        sha256(leaf).digest()
    return round(200_000 / (time.perf_counter() - begin))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--transfers", type=int, default=100_000)
    parser.add_argument("--singles", type=int, default=2_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cbi-bench-") as folder:
        figures = asyncio.run(measure(options, Path(folder)))
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:<24} {figure}")


if __name__ == "__main__":
    main()
