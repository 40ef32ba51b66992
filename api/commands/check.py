"""`cbi check`: a partner's file given back with what is known of each household."""

import asyncio
import re
from datetime import date
from pathlib import Path
from typing import get_args
from uuid import UUID

import msgspec
import rich_click as click
from rich.progress import BarColumn, MofNCompleteColumn, Progress

from api import clock
from api.access import REGISTRAR
from api.check import wanted_of
from api.commands.households import ENDINGS, clerk
from api.commands.telling import write
from api.db import Actor
from api.listing import Ask, ListChecked, check_list, read_list
from api.quota_words import standing
from api.terminal import CONSOLE, NO, STDERR, WRONG_USE, Run, as_json, command, existing_file, leave
from cbi import lists
from cbi.answered import Status
from cbi.check_files import CheckFormat
from cbi.household import Assistance
from cbi.lists import CheckList, Listed, Purpose
from cbi.overlap import MONTHS_MAX, Span, months_of
from cbi.place import UbigeoSystem


@click.command("check")
@click.argument("file", type=existing_file)
@click.option("--partner", "code", required=True, help="Code of the organisation that asks.")
@click.option(
    "--purpose", type=click.Choice(get_args(Purpose)), required=True, help="What it is asked for."
)
@click.option(
    "--list",
    "list_id",
    type=click.UUID,
    help="The programme, open round or named list that FILE is of. Default: a list of this day.",
)
@click.option(
    "--assistance", type=click.Choice(get_args(Assistance)), help="Which kind they are to get."
)
@click.option(
    "--ubigeo-system",
    type=click.Choice(get_args(UbigeoSystem)),
    help="Whose district codes FILE uses, where it has any and its columns don't say it.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(get_args(CheckFormat)),
    help="By the file's ending unless given; a KoboToolbox export is `kobo`.",
)
@click.option("--months", help="For which months: 2026-07, or 2026-07..2026-09.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: FILE-checked."
)
@as_json
@command
async def check(
    run: Run,
    *,
    file: Path,
    code: str,
    purpose: Purpose,
    list_id: UUID | None,
    assistance: Assistance | None,
    ubigeo_system: UbigeoSystem | None,
    format_: CheckFormat | None,
    months: str | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Check the households of FILE and give it back with three more columns.

    They say the result, until when or why, and whom to ask; in Spanish or English, as FILE's
    header is. Nobody is registered, and nothing about the people is kept. Ends with 1 when
    somebody is not clear. Only with --assistance and --months is a family blocked that has this
    already, and only where people have decided that it is the same one. A file of more persons
    than are left to check today is refused whole, before anybody is counted.
    """
    kind = format_ or ENDINGS.get(file.suffix.lower())
    if kind is None:
        leave("FILE must be CSV, XLSX or JSON, and named so; or say --format", WRONG_USE)
    target = out or file.with_stem(f"{file.stem}-checked")
    if await asyncio.to_thread(_is_same, target, file):
        leave("--out must be another file", WRONG_USE)
    wanted = wanted_of(assistance, _span(months) if months is not None else None)
    content = await asyncio.to_thread(file.read_bytes)
    service = run.service
    read = await read_list(service, content, format=kind, ubigeo_system=ubigeo_system)
    actor = await clerk(run, code, REGISTRAR)
    listed = await _listed(run, actor, purpose, list_id)
    ask = Ask(purpose=purpose, listed=listed, wanted=wanted)
    with Progress(BarColumn(), MofNCompleteColumn(), console=STDERR) as progress:
        task = progress.add_task("check", total=len(read.persons))
        checked = await check_list(
            service,
            read,
            ask,
            actor=actor,
            told=lambda done: progress.update(task, completed=done),
        )
    await asyncio.to_thread(write, target, checked.content)
    return _tell(checked, target, as_json=as_json)


def _span(months: str) -> Span:
    """Read 2026-07 or 2026-07..2026-09, both with their last month."""
    found = re.fullmatch(r"(\d{4})-(\d\d)(?:\.\.(\d{4})-(\d\d))?", months, re.ASCII)
    if found is None:
        leave("--months is written 2026-07 or 2026-07..2026-09", WRONG_USE)
    year, month, last_year, last_month = (int(one) if one else 0 for one in found.groups())
    count = (last_year - year) * 12 + last_month - month + 1 if last_year else 1
    if not (1 <= month <= 12 and 2000 <= year <= 2199 and 1 <= count <= MONTHS_MAX):
        leave(f"--months are 1 to {MONTHS_MAX} months between 2000 and 2199", WRONG_USE)
    return months_of(date(year, month, 1), count)


async def _listed(run: Run, actor: Actor, purpose: Purpose, list_id: UUID | None) -> Listed:
    today = clock.today()
    async with run.service.begin(actor, request_id="cli") as conn:
        if list_id is None:
            opened = CheckList(
                list_id=clock.new_id(),
                name=f"cbi check {clock.now().isoformat(timespec='microseconds')}",
                purpose=purpose,
                until=today,
            )
            list_id = (await lists.open_list(conn, opened, at=clock.now())).list_id
        return await lists.active(
            conn, list_id, purpose=purpose, partner_id=actor.partner_id, day=today
        )


def _is_same(target: Path, file: Path) -> bool:
    return target.exists() and target.samefile(file)


def _tell(checked: ListChecked, target: Path, *, as_json: bool) -> int:
    statuses = [answer.status for answer in checked.answers]
    counts = {status: statuses.count(status) for status in get_args(Status)}
    told = {
        "households": len(statuses),
        **counts,
        "out": str(target),
        "persons_left": checked.persons_left,
        "persons_per_day": checked.quota.persons_per_day,
        "opens_again_at": checked.quota.opens_again_at,
    }
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(told)).decode())
    else:
        CONSOLE.print(
            f"{len(statuses)} households: "
            + ", ".join(f"{count} {status}" for status, count in counts.items())
        )
        CONSOLE.print(f"written to {target}", soft_wrap=True)
        says = standing(checked.persons_left, checked.quota)
        CONSOLE.print(f"{says.es}\n{says.en}", soft_wrap=True)
    return NO if counts["clear"] < len(statuses) else 0
