"""`cbi import households`: a partner's file, row by row."""

import asyncio
from pathlib import Path

import msgspec
import rich_click as click
from rich.markup import escape

from api import auth, clock
from api.access import REGISTRAR
from api.commands.importing import bring_in
from api.db import SYSTEM, Actor, transaction
from api.imports import Imported, RowResult, summary
from api.mending import notes
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
from cbi.intake.corrections import corrected
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
    type=click.Choice(["inei", "reniec"]),
    default="inei",
    show_default=True,
    help="Whose district codes the file uses. They collide, so say it.",
)
@click.option(
    "--accept-valid/--check-only",
    "accept_valid",
    default=True,
    show_default=True,
    help="Register what is right, or only stage and check the file.",
)
@click.option(
    "--corrections",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the faulty households' rows, with their faults in a last column, to be mended.",
)
@as_json
@command
async def households(
    run: Run,
    *,
    file: Path,
    code: str,
    format_: Format | None,
    ubigeo_system: str,
    accept_valid: bool,
    corrections: Path | None,
    as_json: bool,
) -> int:
    """Stage FILE, and register every household of it that is right and check it at once.

    A faulty row is told with row, column, masked value and remedy and stops nothing. The same
    file again changes nothing, and goes on where it broke off. With --check-only nobody is
    registered; the same command without it takes the file in.
    """
    kind = format_ or ENDINGS.get(file.suffix.lower())
    if kind is None:
        leave("say --format json, ndjson, csv, xlsx or kobo", WRONG_USE)
    if corrections is not None and kind not in {"csv", "xlsx"}:
        leave("--corrections needs a CSV or XLSX file", WRONG_USE)
    content = await asyncio.to_thread(_content, file)
    actor = await clerk(run, code, REGISTRAR)
    declared = Declared(format=kind, ubigeo_system=ubigeo_system, accept_valid=accept_valid)
    results = await bring_in(run.service, content, declared, actor=actor)
    if corrections is not None and (kind == "csv" or kind == "xlsx"):  # noqa: PLR1714 -- mypy
        faults = {(each.sheet, each.row): notes(each) for each in results if faulty(each)}
        if faults:
            mended = await asyncio.to_thread(corrected, content, format=kind, faults=faults)
            await asyncio.to_thread(corrections.write_bytes, mended)
    imported = summary(results)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(imported)).decode())
    else:
        _tell(imported)
    return NO if imported.faulty else 0


def _tell(imported: Imported) -> None:
    CONSOLE.print(
        f"{imported.households} households: {imported.clear} clear, {imported.review} to review,"
        f" {imported.faulty} faulty"
    )
    faults: list[dict[str, object]] = [
        {
            "row": fault.row,
            "column": fault.column,
            "value": escape(fault.value),
            "level": fault.level,
            "es": f"{fault.es} {fault.remedy_es}".strip(),
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
