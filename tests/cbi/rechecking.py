"""Check a round's list as preparing does, for whoever signs by verbs; and checks by hand."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import db
from cbi import recheck
from cbi.disbursement import Progress
from cbi.recheck import RoundChecked
from cbi.register import Desk
from cbi.who import Who

# What a file that is checked leaves to be destroyed after its week.
CHANGES = {("cbi.check_file_key", "DELETE", "")}
CHANGING = {"cbi.check_file_key", "cbi.check_file_piece"}
CALCULATED = "SELECT true FROM cbi.round_step WHERE round_id = :round_id HAVING max(step) < 4"


async def may_be_checked(conn: AsyncConnection, round_id: UUID) -> bool:
    return bool(await conn.scalar(text(CALCULATED), {"round_id": round_id}))


async def list_checked(
    conn: AsyncConnection, round_id: UUID, who: db.Actor, *, desk: Desk, at: datetime
) -> RoundChecked:
    """Check everybody on the list, page by page in one transaction."""
    await db.set_facts(conn, who, request_id="request-4")
    by = Who(partner_id=who.partner_id, actor_id=who.actor_id, at=at)
    done: RoundChecked | Progress | None = None
    while not isinstance(done, RoundChecked):
        done = await recheck.check_round(conn, round_id=round_id, desk=desk, who=by)
    return done


async def checked_by_hand(conn: AsyncConnection, list_id: UUID) -> None:
    """Write down a list, a check and a file of it, as whoever acts."""
    for statement in (
        """INSERT INTO cbi.check_list (list_id, name, purpose, until, opened_at)
           VALUES (:list_id, 'list', 'before_payment', current_date, now())""",
        """INSERT INTO cbi.duplicate_check (at, day, purpose, persons, clear, review, blocked,
           unsearchable, list_id)
           VALUES (now(), current_date, 'before_payment', 1, 1, 0, 0, 0, :list_id)""",
        """INSERT INTO cbi.check_file (file_id, partner_id, format, purpose, list_id, received_at,
           kept_until) VALUES (:list_id, cbi.partner_id(), 'csv', 'before_payment', :list_id, now(),
           now() + interval '1 hour')""",
        "INSERT INTO cbi.check_file_key VALUES (:list_id, cbi.partner_id(), 'k', '')",
        """INSERT INTO cbi.check_file_piece
           VALUES (:list_id, 'asked', 0, cbi.partner_id(), '')""",
    ):
        await conn.execute(text(statement), {"list_id": list_id})
