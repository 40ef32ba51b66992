"""A file of registrations brought in from the command line: the way it comes over HTTP."""

from typing import Literal

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api import clock
from api.db import Actor
from api.importing import order_acceptance
from api.imports import RowResult
from api.kinds import KINDS
from api.mending import all_results
from api.sending import Declared, send
from api.state import Service
from api.terminal import REFUSED, STDERR, leave
from api.worker import see_through
from cbi import staging
from cbi.imported import Import, Standing
from cbi.refusal import FileUnreadable

REQUEST = "cli"


async def bring_in(
    service: Service, content: bytes, declared: Declared, *, actor: Actor
) -> list[RowResult]:
    """Stage a file and, if so declared, take in what is right of it; say what became of each row.

    Another program that serves the same database may do the work; then this one watches. Raises
    FileUnreadable.
    """
    opened = await send(service, content, declared, actor=actor, request_id=REQUEST)
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
    async with service.begin(actor, request_id=REQUEST) as conn:
        return await all_results(conn, opened)


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
