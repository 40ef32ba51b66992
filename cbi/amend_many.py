"""Make households what a file says of them now, where it was registered otherwise before."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import retain
from cbi.amend import amended
from cbi.event import Happened
from cbi.household import Registration
from cbi.imported import Outcome, registration_of
from cbi.refusal import BadValue, CbiRefusal, HouseholdEnded, OutsideArea
from cbi.register import Desk, content_key_of, reference_key_of
from cbi.register_many import OF_ONE, Registered, concerns_one, log_since, openings
from cbi.row_refusal import NOT_REGISTERED, word
from cbi.turn import Held
from cbi.turn_many import Page, hold_many, turn_many, undecided_of
from cbi.who import Who
from dedup.driver import fetch

_WAS_SO = """
    SELECT w.household_id FROM unnest($1 ::uuid[], $2 ::bytea[]) AS w(household_id, content_key)
    WHERE EXISTS (SELECT FROM cbi.household_version AS v
                  WHERE v.household_id = w.household_id AND v.content_key = w.content_key)"""


class _Clerk(msgspec.Struct, frozen=True, kw_only=True):
    desk: Desk
    who: Who
    area: str
    today: date


class _Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A row, and the household that it is a version of."""

    row_no: int
    household_id: UUID
    registration: Registration
    content_key: bytes

    def __repr__(self) -> str:
        """Tell nothing of the people, wherever this is printed."""
        return f"_Changed(row_no={self.row_no})"


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

    A row is its number, its registration as JSON, and what became of it so far. All are amended
    together, as `cbi.amend` does it by reference; what a household was before changes nothing. One
    that can't be amended stops no other.
    """
    who = Who(partner_id=partner_id, actor_id=actor_id, at=at)
    clerk = _Clerk(desk=desk, who=who, area=area, today=today)
    outcomes = {row_no: _as_became(row_no, became) for row_no, _, became in rows}
    left = []
    for row_no, content, became in rows:
        if became.taken_by is not None:
            told = registration_of(content)
            key = content_key_of(told, desk)
            left.append(
                _Changed(
                    row_no=row_no, household_id=became.taken_by, registration=told, content_key=key
                )
            )
    while left:
        # One of two rows about one household at a time, in the order of the file.
        first = {row.household_id: row for row in reversed(left)}
        outcomes |= await _amend(conn, list(first.values()), clerk)
        left = [row for row in left if first[row.household_id] is not row]
    return [outcomes[row_no] for row_no, _, _ in rows]


async def _amend(
    conn: AsyncConnection, rows: Sequence[_Changed], clerk: _Clerk
) -> Mapping[int, Outcome]:
    opened = openings(conn)
    try:
        async with conn.begin_nested():
            return await _together(conn, rows, clerk)
    except (*OF_ONE, DBAPIError) as error:
        if not concerns_one(error):
            raise
    if len(rows) == 1:
        await log_since(conn, opened)
        return {rows[0].row_no: _refused(rows[0].row_no, NOT_REGISTERED)}
    half = len(rows) // 2
    first = await _amend(conn, rows[:half], clerk)
    return {**first, **await _amend(conn, rows[half:], clerk)}


async def _together(
    conn: AsyncConnection, rows: Sequence[_Changed], clerk: _Clerk
) -> Mapping[int, Outcome]:
    outcomes: dict[int, Outcome] = {}
    pages: dict[int, Page] = {}
    ids = [row.household_id for row in rows]
    held = await hold_many(conn, ids, vault=clerk.desk.vault, purpose="correction")
    found = await fetch(conn, _WAS_SO, ids, [row.content_key for row in rows])
    was_so = {row[0] for row in found}
    same = {}
    for row in rows:
        try:
            before = _checked(held[row.household_id], row, clerk)
            if row.household_id in was_so or before.content_key == row.content_key:
                same[row.row_no] = row.household_id
            else:
                pages[row.row_no] = _page(before, row, clerk)
        except CbiRefusal as refused:
            outcomes[row.row_no] = _refused(row.row_no, word(refused))
    pages = await _with_replaced(conn, pages, clerk)
    undecided = await turn_many(
        conn, list(pages.values()), desk=clerk.desk, who=clerk.who, on=clerk.today
    )
    undecided |= await undecided_of(conn, list(same.values()))
    became = {row_no: page.before.household_id for row_no, page in pages.items()}
    return outcomes | {
        row_no: Outcome(
            row_no=row_no,
            status="review" if household_id in undecided else "clear",
            household_id=household_id,
            is_known=row_no in same,
            is_changed=row_no not in same,
        )
        for row_no, household_id in (became | same).items()
    }


async def _with_replaced(
    conn: AsyncConnection, pages: Mapping[int, Page], clerk: _Clerk
) -> dict[int, Page]:
    """Keep whom a row takes away, or tells otherwise, findable while promised months run."""
    at, ids = clerk.who.at, [page.before.household_id for page in pages.values()]
    promised = await retain.promised_of(conn, ids, at=at)
    kept = dict(pages)
    for row_no, page in pages.items():
        if page.before.household_id in promised:
            after = await retain.with_replaced(
                conn, page.before, page.after, desk=clerk.desk, at=at
            )
            kept[row_no] = msgspec.structs.replace(page, after=after, is_promised=True)
    return kept


def _checked(held: Held | CbiRefusal, row: _Changed, clerk: _Clerk) -> Held:
    """Raise what refuses an amendment of this household by this row, if anything does."""
    if isinstance(held, CbiRefusal):
        raise held
    if held.ended_at is not None:
        raise HouseholdEnded(household_id=held.household_id)
    if not row.registration.ubigeo.startswith(clerk.area):
        raise OutsideArea(area=clerk.area)
    partner_id = clerk.who.partner_id
    if held.reference_key != reference_key_of(row.registration, clerk.desk, partner_id):
        raise BadValue(field="reference", reason="another household's")
    return held


def _page(before: Held, row: _Changed, clerk: _Clerk) -> Page:
    after, needs = amended(
        before,
        row.registration,
        content_key=row.content_key,
        new_id=clerk.desk.new_id,
        by_reference=True,
    )
    return Page(
        before=before,
        after=after,
        happened=Happened(kind="updated", reason="changed", on=clerk.today),
        needs=needs,
        consents=row.registration.consents,
    )


def _refused(row_no: int, refusal: str) -> Outcome:
    return Outcome(row_no=row_no, status="faulty", refusal=refusal)


def _as_became(row_no: int, became: Registered) -> Outcome:
    return Outcome(
        row_no=row_no,
        status=became.status,
        household_id=became.household_id,
        is_known=became.is_known,
        refusal=became.refusal,
    )
