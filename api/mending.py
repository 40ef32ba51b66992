"""What an organisation has to mend of a file: its faulty rows, with what is wrong."""

import asyncio
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from api.imports import RowResult
from api.problems import REFUSALS
from api.state import Service
from cbi import staging, uploads
from cbi.imported import Import, RowFault, RowStanding
from cbi.intake.corrections import Note, corrected
from cbi.refusal import NotFound

PAGE = 1_000
# What is told of a row that was read without fault and can't be registered: Spanish and English.
WHYS = {wording.slug.replace("-", "_"): (wording.es, wording.en) for wording in REFUSALS.values()}
NOT_REGISTERED = ("No se pudo registrar", "It could not be registered")


def faults_of(row: RowStanding) -> tuple[RowFault, ...]:
    """Everything that is wrong with a row: what reading found, and what kept it from registering.

    Such a row has no column to mend.
    """
    why = row.refusal or (row.why if row.status == "faulty" else None)
    if why is None:
        return row.faults
    es, en = WHYS.get(why, NOT_REGISTERED)
    return (
        *row.faults,
        RowFault(row=row.line, column="", code=why, level="error", es=es, en=en, sheet=row.sheet),
    )


def result_of(row: RowStanding) -> RowResult:
    """What became of a row, in short."""
    return RowResult(
        row=row.line,
        status="clear" if row.status == "waiting" else row.status,
        household_id=row.household_id,
        faults=faults_of(row),
        sheet=row.sheet,
    )


def notes(result: RowResult) -> list[Note]:
    """What a corrections file says of a household's lines."""
    return [
        Note(fault.row, " ".join(filter(None, (fault.es, fault.remedy_es))))
        for fault in result.faults
    ]


async def all_results(
    conn: AsyncConnection, opened: Import, *, faulty_only: bool = False
) -> list[RowResult]:
    """Return what became of every row, or of the faulty ones."""
    results: list[RowResult] = []
    rows: Sequence[RowStanding] = ()
    while not results or len(rows) == PAGE:
        rows = await staging.list_rows(
            conn,
            opened,
            status="faulty" if faulty_only else None,
            after=rows[-1].row_no if rows else 0,
            limit=PAGE,
        )
        if not rows:
            break
        results += [result_of(row) for row in rows]
    return results


async def mended(conn: AsyncConnection, service: Service, opened: Import) -> bytes:
    """Return the file of an import's faulty rows, with a last column that says what is wrong.

    Raises NotFound where nothing is faulty or the file is no table, ImportErased.
    """
    results = await all_results(conn, opened, faulty_only=True)
    if not results or (opened.format != "csv" and opened.format != "xlsx"):  # noqa: PLR1714 -- mypy
        raise NotFound(what="corrections", wanted=opened.import_id)
    content = await uploads.content_of(conn, opened, vault=service.vault)
    faults = {(each.sheet, each.row): notes(each) for each in results}
    return await asyncio.to_thread(corrected, content, format=opened.format, faults=faults)
