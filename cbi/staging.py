"""Stage the rows of an imported file, check them, and keep what the organisation decides."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Row as SqlRow
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.import_refusal import ImportDecided, ImportFaulty, ImportNotReady
from cbi.import_tables import import_decision
from cbi.imported import (
    PIECE_BYTES,
    Checked,
    Import,
    Outcome,
    RowStanding,
    RowStatus,
    StagedRow,
    Standing,
    State,
    Take,
    values_of,
    with_values,
    without_values,
)
from cbi.refusal import NotFound
from cbi.row_refusal import with_why
from cbi.uploads import received
from cbi.vault import open_as, open_bytes, seal
from dedup.driver import fetch
from ledger.violation import constraint_of

_STAGE = """
    INSERT INTO cbi.import_row (import_id, row_no, partner_id, line, sheet, faults, sealed,
        taken_on, masked)
    SELECT $1, r.row_no, $2, r.line, r.sheet, r.faults::jsonb, r.sealed, r.taken_on, r.masked
    FROM unnest($3 ::integer[], $4 ::integer[], $5 ::text[], $6 ::text[], $7 ::bytea[],
        $8 ::date[], $9 ::bytea[]) AS r(row_no, line, sheet, faults, sealed, taken_on, masked)"""
_CHECK = """
    INSERT INTO cbi.import_check (import_id, row_no, partner_id, status, strength, matches, why,
        persons, checked_at)
    SELECT $1, c.row_no, $2, c.status, c.strength, c.matches, c.why, c.persons, $3
    FROM unnest($4 ::integer[], $5 ::text[], $6 ::text[], $7 ::integer[], $8 ::text[],
        $9 ::smallint[]) AS c(row_no, status, strength, matches, why, persons)"""
_OUTCOME = """
    INSERT INTO cbi.import_outcome (import_id, row_no, partner_id, status, household_id, is_known,
        is_changed, refusal, at)
    SELECT $1, o.row_no, $2, o.status, o.household_id, o.is_known, o.is_changed, o.refusal, $3
    FROM unnest($4 ::integer[], $5 ::text[], $6 ::uuid[], $7 ::boolean[], $8 ::boolean[],
        $9 ::text[]) AS o(row_no, status, household_id, is_known, is_changed, refusal)"""
# The next rows that may be registered: readable, and of those that are to be taken.
_TO_TAKE = """
    SELECT r.row_no, r.sealed FROM cbi.import_row AS r
    WHERE r.import_id = $1 AND r.row_no > $2 AND r.sealed IS NOT NULL
      AND ($3 ::integer[] IS NULL OR r.row_no = ANY ($3 ::integer[]))
      AND NOT EXISTS (SELECT FROM cbi.import_outcome AS o
                      WHERE o.import_id = r.import_id AND o.row_no = r.row_no OFFSET 0)
    ORDER BY r.row_no LIMIT $4"""
_TO_TAKE_COUNT = """
    SELECT count(*) FROM cbi.import_row AS r
    WHERE r.import_id = $1 AND r.sealed IS NOT NULL
      AND ($2 ::integer[] IS NULL OR r.row_no = ANY ($2 ::integer[]))
      AND NOT EXISTS (SELECT FROM cbi.import_outcome AS o
                      WHERE o.import_id = r.import_id AND o.row_no = r.row_no)"""
_COUNTS = text("""
    SELECT count(*) AS households,
        count(*) FILTER (WHERE status = 'waiting') AS waiting,
        count(*) FILTER (WHERE status = 'clear') AS clear,
        count(*) FILTER (WHERE status = 'review') AS review,
        count(*) FILTER (WHERE status = 'faulty') AS faulty,
        count(household_id) FILTER (WHERE NOT is_known AND NOT is_changed) AS registered,
        count(*) FILTER (WHERE is_known OR is_open AND why = 'known') AS known,
        count(*) FILTER (WHERE is_changed OR is_open AND why = 'changed') AS changed,
        count(refusal) AS refused,
        count(provisional_from) FILTER (
            WHERE provisional_until IS NULL AND status <> 'faulty') AS provisional
    FROM cbi.import_row_standing
    CROSS JOIN LATERAL (SELECT household_id IS NULL AND refusal IS NULL) AS o(is_open)
    WHERE import_id = :import_id""")
_ROWS = text("""
    SELECT row_no, line, sheet, status, faults, strength, matches, why, household_id, is_known,
        is_changed, refusal, masked, taken_on, provisional_from, provisional_until,
        provisional_from IS NOT NULL AND provisional_until IS NULL AND status <> 'faulty'
            AS is_provisional
    FROM cbi.import_row_standing
    WHERE import_id = :import_id AND row_no > :after
      AND (:status ::text IS NULL OR status = :status ::text)
    ORDER BY row_no LIMIT :limit""")
# What `state_of` reads, of imports `q`.
STATE_COLUMNS = """d.take, k.import_id IS NULL AS is_erased, s.state AS staging,
        a.state AS accepting, coalesce(a.job_id, s.job_id) AS job_id"""
STATE_JOINS = """
    LEFT JOIN cbi.import_decision AS d USING (import_id)
    LEFT JOIN cbi.import_key AS k USING (import_id)
    LEFT JOIN LATERAL (
        SELECT j.job_id, j.state FROM cbi.job_standing AS j
        WHERE j.subject_id = q.import_id AND j.kind = 'import-staging'
        ORDER BY j.job_id DESC LIMIT 1) AS s ON true
    LEFT JOIN LATERAL (
        SELECT j.job_id, j.state FROM cbi.job_standing AS j
        WHERE j.subject_id = q.import_id AND j.kind = 'import-acceptance'
        ORDER BY j.job_id DESC LIMIT 1) AS a ON true"""
_STATE = text(f"""
    SELECT {STATE_COLUMNS}
    FROM (SELECT CAST(:import_id AS uuid) AS import_id) AS q {STATE_JOINS}""")  # noqa: S608
_UNFIT = """
    SELECT count(*) FROM unnest($2 ::integer[]) AS w(row_no)
    LEFT JOIN cbi.import_row AS r ON r.import_id = $1 AND r.row_no = w.row_no
    WHERE r.sealed IS NULL"""


async def stage(
    conn: AsyncConnection,
    opened: Import,
    rows: Sequence[StagedRow],
    *,
    first_no: int,
    key: bytes,
) -> None:
    """Keep rows of the file, from the one that is number `first_no`, sealed under its key."""
    numbers = range(first_no, first_no + len(rows))
    await fetch(
        conn,
        _STAGE,
        opened.import_id,
        opened.partner_id,
        list(numbers),
        [row.line for row in rows],
        [row.sheet for row in rows],
        [msgspec.json.encode(without_values(row.faults)).decode() for row in rows],
        [
            None
            if row.content is None
            else seal(key, row.content, kind=f"import row {number}", owner=opened.import_id)
            for number, row in zip(numbers, rows, strict=True)
        ],
        [row.taken_on for row in rows],
        [
            seal(key, values_of(row.faults), kind=_masked(number), owner=opened.import_id)
            if any(values_of(row.faults))
            else None
            for number, row in zip(numbers, rows, strict=True)
        ],
    )


def _masked(row_no: int) -> str:
    return f"import masked {row_no}"


async def rows_to_take(
    conn: AsyncConnection,
    opened: Import,
    *,
    after: int,
    limit: int,
    only: Sequence[int] | None,
    key: bytes,
) -> list[tuple[int, bytes]]:
    """Return the next rows that can be registered, opened: their numbers and contents."""
    found = await fetch(
        conn, _TO_TAKE, opened.import_id, after, None if only is None else list(only), limit
    )
    return [
        (row[0], open_bytes(key, row[1], kind=f"import row {row[0]}", owner=opened.import_id))
        for row in found
    ]


async def count_to_take(
    conn: AsyncConnection, opened: Import, *, only: Sequence[int] | None
) -> int:
    """Return how many rows can be registered of those that are to be taken."""
    (row,) = await fetch(
        conn, _TO_TAKE_COUNT, opened.import_id, None if only is None else list(only)
    )
    return int(row[0])


async def note_checks(
    conn: AsyncConnection, opened: Import, checked: Iterable[Checked], *, at: datetime
) -> None:
    """Keep how rows compare with everybody."""
    each = list(checked)
    await fetch(
        conn,
        _CHECK,
        opened.import_id,
        opened.partner_id,
        at,
        [one.row_no for one in each],
        [one.status for one in each],
        [one.strength for one in each],
        [one.matches for one in each],
        [one.why for one in each],
        [one.persons for one in each],
    )


async def note_outcomes(
    conn: AsyncConnection, opened: Import, outcomes: Iterable[Outcome], *, at: datetime
) -> None:
    """Keep what became of rows, in the transaction that registered them."""
    each = list(outcomes)
    await fetch(
        conn,
        _OUTCOME,
        opened.import_id,
        opened.partner_id,
        at,
        [one.row_no for one in each],
        [one.status for one in each],
        [one.household_id for one in each],
        [one.is_known for one in each],
        [one.is_changed for one in each],
        [one.refusal for one in each],
    )


async def load_standing(conn: AsyncConnection, opened: Import) -> Standing:
    """Return where an import stands, in numbers."""
    facts = {"import_id": opened.import_id}
    row = (await conn.execute(_STATE, facts)).one()
    counts = (await conn.execute(_COUNTS, facts)).one()
    pieces = await received(conn, opened.import_id)
    return msgspec.convert(
        {
            **msgspec.structs.asdict(opened),
            **counts._mapping,  # noqa: SLF001 -- public by its docs
            "state": state_of(row),
            "piece_bytes": PIECE_BYTES,
            "pieces": opened.pieces,
            "received": pieces,
            "job_id": row.job_id,
        },
        Standing,
    )


def state_of(row: SqlRow[Any]) -> State:
    """Say where an import stands by its decision, its key and its jobs."""
    if row.take == "nothing":
        return "refused"
    if {row.staging, row.accepting} & {"failed", "cancelled"}:
        return "failed"
    if row.is_erased and row.accepting != "done":
        return "erased"
    if row.take is not None:
        return "done" if row.accepting == "done" else "accepting"
    if row.staging is None:
        return "uploading"
    return "review" if row.staging == "done" else "staging"


async def list_rows(
    conn: AsyncConnection,
    opened: Import,
    *,
    status: RowStatus | None,
    after: int,
    limit: int,
    key: bytes | None,
) -> list[RowStanding]:
    """Return a page of an import's rows, by number; what refuses one is among its faults.

    Without the file's `key` its faults have no masked values.
    """
    facts = {"import_id": opened.import_id, "status": status, "after": after, "limit": limit}
    rows = await conn.execute(_ROWS, facts)
    found = [_standing(row, opened.import_id, key) for row in rows]
    return [with_why(row, format=opened.format) for row in found]


def _standing(row: SqlRow[Any], import_id: UUID, key: bytes | None) -> RowStanding:
    standing = msgspec.convert(row._mapping, RowStanding)  # noqa: SLF001 -- public by its docs
    if key is None or row.masked is None:
        return standing
    values = open_as(key, row.masked, tuple[str, ...], kind=_masked(row.row_no), owner=import_id)
    return msgspec.structs.replace(standing, faults=with_values(standing.faults, values))


async def decide(
    conn: AsyncConnection,
    opened: Import,
    take: Take | Literal["nothing"] | Sequence[int],
    *,
    actor_id: UUID,
    at: datetime,
    while_staging: bool = False,
) -> None:
    """Keep what is to be taken of a file: all of it, what is right, these rows, or nothing.

    "all" takes a file only if no row of it is faulty. The same again is allowed where the work on
    it has failed. Raises ImportNotReady while the file is staged, ImportFaulty, NotFound for a row
    that isn't there or is faulty, ImportDecided the second time.
    """
    word = take if isinstance(take, str) else "rows"
    rows = [] if isinstance(take, str) else sorted(set(take))
    standing = await load_standing(conn, opened)
    decided = await _decided(conn, opened.import_id)
    if decided is not None:
        if standing.state == "failed" and decided == (word, rows):
            return
        raise ImportDecided(import_id=opened.import_id)
    ready = {"review"} | ({"staging"} if while_staging else set())
    if word == "nothing":
        ready |= {"uploading", "staging", "failed"}
    if standing.state not in ready:
        raise ImportNotReady(import_id=opened.import_id, state=standing.state)
    if word == "all" and standing.faulty:
        raise ImportFaulty(import_id=opened.import_id, faulty=standing.faulty)
    if rows:
        (unfit,) = await fetch(conn, _UNFIT, opened.import_id, rows)
        if unfit[0]:
            raise NotFound(what="row", wanted=opened.import_id)
    try:
        await conn.execute(
            insert(import_decision).values(
                import_id=opened.import_id,
                partner_id=opened.partner_id,
                take=word,
                rows=rows,
                decided_by=actor_id,
                decided_at=at,
            )
        )
    except IntegrityError as error:
        if constraint_of(error) == "import_decision_once":
            raise ImportDecided(import_id=opened.import_id) from error
        raise


async def must_be_over(conn: AsyncConnection, opened: Import) -> None:
    """Raise ImportNotReady unless what was decided of a file was done, or has failed."""
    standing = await load_standing(conn, opened)
    if standing.state not in {"done", "failed", "refused", "erased"}:
        raise ImportNotReady(import_id=opened.import_id, state=standing.state)


async def rows_decided(conn: AsyncConnection, import_id: UUID) -> list[int] | None:
    """Return which rows are to be taken; None for all that can be."""
    decided = await _decided(conn, import_id)
    assert decided is not None
    return decided[1] if decided[0] == "rows" else None


async def _decided(conn: AsyncConnection, import_id: UUID) -> tuple[str, list[int]] | None:
    decision = import_decision.c
    row = (
        await conn.execute(
            select(decision.take, decision.rows).where(decision.import_id == import_id)
        )
    ).one_or_none()
    return None if row is None else (row.take, list(row.rows))
