"""A file of registrations brought in from the command line: the way it comes over HTTP."""

import asyncio
from hashlib import sha256
from typing import Literal
from uuid import UUID

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api import clock
from api.db import Actor
from api.importing import order_acceptance, order_staging
from api.imports import RowResult
from api.kinds import KINDS
from api.state import Service
from api.terminal import REFUSED, STDERR, leave
from api.wording import REFUSALS
from api.worker import see_through
from cbi import staging, uploads
from cbi.imported import PIECE_BYTES, Import, NewImport, RowFault, RowStanding, Standing
from cbi.intake import Format
from cbi.refusal import FileUnreadable

PAGE = 1_000
REQUEST = "cli"
# What is told of a row that was read without fault and can't be registered: Spanish and English.
WHYS = {wording.slug.replace("-", "_"): (wording.es, wording.en) for wording in REFUSALS.values()}
NOT_REGISTERED = ("No se pudo registrar", "It could not be registered")


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender says of a file."""

    format: Format
    ubigeo_system: str
    accept_valid: bool


async def bring_in(
    service: Service,
    content: bytes,
    declared: Declared,
    *,
    actor: Actor,
    closes: bool = False,
) -> list[RowResult]:
    """Stage a file and, if so declared, take in what is right of it; say what became of each row.

    If it `closes` a file that was taken in, nothing of its content is kept. Another program that
    serves the same database may do the work; then this one watches. Raises FileUnreadable.
    """
    opened = await send(service, content, declared, actor)
    bar = Progress(
        TextColumn("{task.description}"),
        *(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
        console=STDERR,
    )
    with bar as progress:
        standing = await _worked(service, opened, actor, progress, "reading")
        if declared.accept_valid and standing.state in ("review", "failed"):
            async with service.begin(actor, request_id=REQUEST) as conn:
                await staging.decide(conn, opened, "valid", actor_id=actor.actor_id, at=clock.now())
                await order_acceptance(conn, opened, actor)
        if declared.accept_valid:
            await _worked(service, opened, actor, progress, "registering")
    results = await _results(service, opened, actor)
    if closes and declared.accept_valid:
        async with service.begin(actor, request_id=REQUEST) as conn:
            await staging.must_be_over(conn, opened)
            await uploads.erase(conn, opened.import_id)
    return results


async def send(service: Service, content: bytes, declared: Declared, actor: Actor) -> Import:
    """Send the pieces of a file that are not there yet; with the last one it is being staged."""
    digest = await asyncio.to_thread(lambda: sha256(content).digest())
    new = NewImport(sha256=digest, bytes=len(content), **msgspec.structs.asdict(declared))
    async with service.begin(actor, request_id=REQUEST) as conn:
        opened = await uploads.open_upload(
            conn,
            new,
            import_id=clock.new_id(),
            vault=service.vault,
            partner_id=actor.partner_id,
            actor_id=actor.actor_id,
            area=actor.area,
            at=clock.now(),
        )
        there = await uploads.received(conn, opened.import_id)
    for piece_no in range(1, opened.pieces + 1):
        if piece_no in there:
            continue
        piece = content[(piece_no - 1) * PIECE_BYTES : piece_no * PIECE_BYTES]
        async with service.begin(actor, request_id=REQUEST) as conn:
            if await uploads.put_piece(conn, opened, piece_no, piece, vault=service.vault):
                await order_staging(conn, opened, actor)
    return opened


async def _worked(
    service: Service,
    opened: Import,
    actor: Actor,
    progress: Progress,
    what: Literal["reading", "registering"],
) -> Standing:
    """See the import's last job through to its end."""
    standing = await _standing(service, opened, actor)
    bar = progress.add_task(what, total=None)

    def tell(done: int, total: int) -> None:
        progress.update(bar, completed=done, total=total or None)

    if standing.job_id is not None:
        view = await see_through(service, KINDS, standing.job_id, actor=actor, tell=tell)
        if view.state != "done":
            _say_why(view.result or {})
    return await _standing(service, opened, actor)


async def _standing(service: Service, opened: Import, actor: Actor) -> Standing:
    async with service.begin(actor, request_id=REQUEST) as conn:
        return await staging.load_standing(conn, opened)


def _say_why(result: object) -> None:
    reason = result.get("reason", "") if isinstance(result, dict) else ""
    detail = result.get("detail", "") if isinstance(result, dict) else ""
    if reason == "file-unreadable":
        raise FileUnreadable(line=0, reason=str(detail))
    leave(f"the import failed: {reason}", REFUSED)


async def _results(service: Service, opened: Import, actor: Actor) -> list[RowResult]:
    results: list[RowResult] = []
    after = 0
    while True:
        async with service.begin(actor, request_id=REQUEST) as conn:
            key = await uploads.key_if_kept(conn, opened.import_id, vault=service.vault)
            rows = await staging.list_rows(
                conn, opened, status=None, after=after, limit=PAGE, key=key
            )
        results += [_result(row) for row in rows]
        if len(rows) < PAGE:
            return results
        after = rows[-1].row_no


def _result(row: RowStanding) -> RowResult:
    faults = list(row.faults)
    why = row.refusal or (row.why if row.status == "faulty" else None)
    if why is not None:
        es, en = WHYS.get(why, NOT_REGISTERED)
        faults.append(
            RowFault(
                row=row.line, column="", code=why, level="error", es=es, en=en, sheet=row.sheet
            )
        )
    household_id: UUID | None = row.household_id
    return RowResult(
        row=row.line,
        status="clear" if row.status == "waiting" else row.status,
        household_id=household_id,
        faults=tuple(faults),
        sheet=row.sheet,
    )
