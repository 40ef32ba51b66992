"""A file of registrations brought in from the command line: the way it comes over HTTP."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api import clock
from api.db import Actor
from api.importing import order_acceptance
from api.imports import RowResult
from api.kinds import KINDS
from api.sending import Declared, send
from api.state import Service
from api.terminal import REFUSED, STDERR, leave
from api.worker import see_through
from cbi import staging, uploads
from cbi.imported import Import, RowStanding, RowStatus, Standing, Take
from cbi.refusal import FileUnreadable

REQUEST = "cli"

PAGE = 1_000


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was brought in: where it stands, and what became of each row."""

    standing: Standing
    rows: list[RowResult]


async def bring_in(
    service: Service,
    content: bytes,
    declared: Declared,
    *,
    actor: Actor,
    only: Sequence[int] | None = None,
    closes: bool = False,
) -> Brought:
    """Stage a file and, if so declared, take in what is right of it, or `only` these rows.

    If it `closes` a file that was taken in, nothing of its content is kept. Another program that
    serves the same database may do the work; then this one watches. Raises FileUnreadable.
    """
    opened = await send(service, content, declared, actor=actor, request_id=REQUEST)
    with _progress() as progress:
        standing = await _worked(service, opened, actor, progress, "reading")
        wanted: Take | Sequence[int] = "valid" if only is None else only
        is_open = standing.state in ("review", "failed")
        if is_open and (declared.accept_valid or only is not None):
            await _decide(service, opened, wanted, actor)
        if declared.accept_valid or only is not None:
            standing = await _worked(service, opened, actor, progress, "registering")
    rows = await rows_of(service, opened, actor)
    if closes and (declared.accept_valid or only is not None):
        standing = await erase_rest(service, opened, actor=actor)
    return Brought(standing=standing, rows=[_result(row) for row in rows])


async def take(
    service: Service, opened: Import, wanted: Take | Sequence[int], *, actor: Actor
) -> Standing:
    """Take in a staged file, or rows of it; raises as `staging.decide` does."""
    await _decide(service, opened, wanted, actor)
    with _progress() as progress:
        return await _worked(service, opened, actor, progress, "registering")


async def refuse(service: Service, opened: Import, *, actor: Actor) -> Standing:
    """Take nothing of a file and erase what it said; raises as `staging.decide` does."""
    async with service.begin(actor, request_id=REQUEST) as conn:
        await staging.decide(conn, opened, "nothing", actor_id=actor.actor_id, at=clock.now())
        await uploads.erase(conn, opened.import_id)
        return await staging.load_standing(conn, opened)


async def erase_rest(service: Service, opened: Import, *, actor: Actor) -> Standing:
    """Erase what a file said that was decided on; raises ImportNotReady before that."""
    async with service.begin(actor, request_id=REQUEST) as conn:
        await staging.must_be_over(conn, opened)
        await uploads.erase(conn, opened.import_id)
        return await staging.load_standing(conn, opened)


async def load(service: Service, import_id: UUID, actor: Actor) -> Import:
    """Return an import of the organisation; raises NotFound."""
    async with service.begin(actor, request_id=REQUEST) as conn:
        return await uploads.load_import(conn, import_id)


async def _decide(
    service: Service, opened: Import, wanted: Take | Sequence[int], actor: Actor
) -> None:
    async with service.begin(actor, request_id=REQUEST) as conn:
        await staging.decide(conn, opened, wanted, actor_id=actor.actor_id, at=clock.now())
        await order_acceptance(conn, opened, actor)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        *(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
        console=STDERR,
    )


async def _worked(
    service: Service,
    opened: Import,
    actor: Actor,
    progress: Progress,
    what: Literal["reading", "registering"],
) -> Standing:
    """See the import's last job through to its end."""
    standing = await standing_of(service, opened, actor)
    bar = progress.add_task(what, total=None)

    def tell(done: int, total: int) -> None:
        progress.update(bar, completed=done, total=total or None)

    if standing.job_id is not None:
        view = await see_through(service, KINDS, standing.job_id, actor=actor, tell=tell)
        if view.state != "done":
            _say_why(view.result or {})
    return await standing_of(service, opened, actor)


async def standing_of(service: Service, opened: Import, actor: Actor) -> Standing:
    """Return where an import stands."""
    async with service.begin(actor, request_id=REQUEST) as conn:
        return await staging.load_standing(conn, opened)


def _say_why(result: object) -> None:
    reason = result.get("reason", "") if isinstance(result, dict) else ""
    detail = result.get("detail", "") if isinstance(result, dict) else ""
    if reason == "file-unreadable":
        raise FileUnreadable(line=0, reason=str(detail))
    leave(f"the import failed: {reason}", REFUSED)


async def rows_of(
    service: Service, opened: Import, actor: Actor, *, status: RowStatus | None = None
) -> list[RowStanding]:
    """Return all rows of an import, or those that stand so."""
    found: list[RowStanding] = []
    after = 0
    while True:
        async with service.begin(actor, request_id=REQUEST) as conn:
            key = await uploads.key_if_kept(conn, opened.import_id, vault=service.vault)
            rows = await staging.list_rows(
                conn, opened, status=status, after=after, limit=PAGE, key=key
            )
        found += rows
        if len(rows) < PAGE:
            return found
        after = rows[-1].row_no


def _result(row: RowStanding) -> RowResult:
    return RowResult(
        row=row.line,
        status="clear" if row.status == "waiting" else row.status,
        household_id=row.household_id,
        faults=row.faults,
        sheet=row.sheet,
        is_known=row.is_known,
        is_changed=row.is_changed,
    )
