"""Make households what a file says of them now, where it was registered otherwise before."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.amend import amend
from cbi.household import Read
from cbi.imported import Outcome, registration_of
from cbi.refusal import CbiRefusal
from cbi.register import Desk
from cbi.register_many import OF_ONE, Registered, concerns_one, log_since, openings


async def amend_changed(
    conn: AsyncConnection,
    rows: Sequence[tuple[int, bytes, Registered]],
    *,
    desk: Desk,
    partner_id: UUID,
    actor_id: UUID,
    area: str,
    at: datetime,
    today: date,
) -> list[Outcome]:
    """Amend what other households' references are taken by; return what became of every row.

    A row is its number, its registration as JSON, and what became of it so far. One that can't be
    amended stops no other.
    """
    outcomes = []
    for row_no, content, became in rows:
        if became.taken_by is None:
            outcomes.append(_as_became(row_no, became))
            continue
        opened = openings(conn)
        try:
            async with conn.begin_nested():
                receipt = await amend(
                    conn,
                    became.taken_by,
                    Read(registration=registration_of(content), faults=()),
                    desk=desk,
                    reason="changed",
                    partner_id=partner_id,
                    actor_id=actor_id,
                    area=area,
                    at=at,
                    today=today,
                )
        except CbiRefusal as refused:
            await log_since(conn, opened)
            outcomes.append(Outcome(row_no=row_no, status="faulty", refusal=_word(refused)))
        except (*OF_ONE, DBAPIError) as error:
            if not concerns_one(error):
                raise
            await log_since(conn, opened)
            outcomes.append(Outcome(row_no=row_no, status="faulty", refusal="not_registered"))
        else:
            outcomes.append(
                Outcome(
                    row_no=row_no,
                    status=receipt.status,
                    household_id=receipt.household_id,
                    is_changed=True,
                )
            )
    return outcomes


def _as_became(row_no: int, became: Registered) -> Outcome:
    return Outcome(
        row_no=row_no,
        status=became.status,
        household_id=became.household_id,
        is_known=became.is_known,
        refusal=became.refusal,
    )


def _word(refused: CbiRefusal) -> str:
    """Name a refusal as other refusals of rows are named."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(refused).__name__).lower()
