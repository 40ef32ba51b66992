"""`cbi import households`: a partner's file, row by row."""

import asyncio
from pathlib import Path
from typing import get_args

import msgspec
import rich_click as click
from rich.markup import escape

from api import auth, clock
from api.access import REGISTRAR
from api.commands.importing import bring_in
from api.commands.telling import chosen, of_language, says, tell, write
from api.db import SYSTEM, Actor, transaction
from api.imports import Imported, RowResult, summary
from api.sending import Declared
from api.terminal import (
    CONSOLE,
    NO,
    WRONG_USE,
    Run,
    as_json,
    command,
    existing_file,
    leave,
    show,
)
from cbi import intake, partners
from cbi.intake import Format
from cbi.intake.annotate import Language
from cbi.intake.corrections import corrected, notes
from cbi.place import UbigeoSystem
from cbi.refusal import FileUnreadable

ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".txt": "csv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
FAULTS_SHOWN_MAX = 50


@click.group("import")
def import_() -> None:
    """Bring in files that partners have."""


@import_.command("households")
@click.argument("file", type=existing_file)
@click.option("--partner", "code", required=True, help="Code of the organisation that registers.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["json", "ndjson", "csv", "xlsx", "kobo"]),
    help="By the file's ending unless given; a KoboToolbox export is `kobo`.",
)
@click.option(
    "--ubigeo-system",
    type=click.Choice(get_args(UbigeoSystem)),
    help="Whose district codes FILE uses. They collide, so say it, unless its columns do.",
)
@click.option(
    "--accept-valid/--check-only",
    "accept_valid",
    default=True,
    show_default=True,
    help="Register what is right, or only stage and check the file.",
)
@click.option("--rows", help="Register only these households of the file, by their number: 3,7-12.")
@click.option(
    "--corrections",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the faulty households' rows, with their faults in a last column, to be mended.",
)
@click.option(
    "--close",
    "closes",
    is_flag=True,
    help="Erase at the end what the database keeps of a file taken in part, not after 30 days.",
)
@of_language
@as_json
@command
async def households(
    run: Run,
    *,
    file: Path,
    code: str,
    format_: Format | None,
    ubigeo_system: UbigeoSystem | None,
    accept_valid: bool,
    rows: str | None,
    corrections: Path | None,
    language: Language,
    closes: bool,
    as_json: bool,
) -> int:
    """Stage FILE, and register every household of it that is right and check it at once.

    A faulty row is told with row, column, masked value and remedy and stops nothing. The same
    file again changes nothing, and goes on where it broke off. With --check-only nobody is
    registered; the same command without it takes the file in, and so do `cbi import accept` and
    --rows. The exit code is 1 when a row is faulty or was refused.
    """
    kind = format_ or ENDINGS.get(file.suffix.lower())
    if kind is None:
        leave("say --format json, ndjson, csv, xlsx or kobo", WRONG_USE)
    only = chosen(rows)
    content = await asyncio.to_thread(_content, file)
    actor = await clerk(run, code, REGISTRAR)
    said = ubigeo_system or await asyncio.to_thread(intake.declared, content, format=kind)
    # A file without any code has nothing to declare.
    declared = Declared(
        format=kind, ubigeo_system=said or "inei", accept_valid=accept_valid and only is None
    )
    brought = await bring_in(run.service, content, declared, actor=actor, only=only, closes=closes)
    results = brought.rows
    wrong = {
        (each.sheet, each.row): notes(each.faults, language) for each in results if faulty(each)
    }
    if corrections is not None and wrong:
        mended = await asyncio.to_thread(
            corrected, content, format=kind, faults=wrong, language=language
        )
        await asyncio.to_thread(write, corrections, mended)
    imported = summary(results)
    if as_json:
        told = {"import_id": brought.standing.import_id, **msgspec.structs.asdict(imported)}
        click.echo(msgspec.json.format(msgspec.json.encode(told)).decode())
    else:
        tell(brought.standing)
        _tell(imported, language)
    return NO if imported.faulty else 0


def _tell(imported: Imported, language: Language) -> None:
    faults: list[dict[str, object]] = [
        {
            "row": fault.row,
            "column": fault.column,
            "value": escape(fault.value),
            "level": fault.level,
            language: says(fault, language),
        }
        for row in imported.rows
        for fault in row.faults
    ]
    if faults:
        show(faults[:FAULTS_SHOWN_MAX], as_json=False, title="faults")
        if len(faults) > FAULTS_SHOWN_MAX:
            left = len(faults) - FAULTS_SHOWN_MAX + imported.faults_left_out
            CONSOLE.print(f"… and {left} more; --json shows up to 1,000")


def _content(file: Path) -> bytes:
    if file.stat().st_size > intake.BYTES_MAX:
        raise FileUnreadable(line=0, reason="too_large")
    return file.read_bytes()


def faulty(result: RowResult) -> bool:
    return result.status == "faulty"


async def clerk(run: Run, code: str, role: str) -> Actor:
    """Act as the partner's own command line, so that the access log says so."""
    async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
        partner_id = await partners.find(conn, code)
        if partner_id is None:
            leave(f"no partner {code}; add it with: cbi partner add {code} NAME", WRONG_USE)
        actor_id = await auth.add_actor(
            conn, actor_id=clock.new_id(), partner_id=partner_id, handle="cli", at=clock.now()
        )
    return Actor(
        actor_id=actor_id,
        partner_id=partner_id,
        partner_code=code,
        roles=frozenset({role}),
    )
