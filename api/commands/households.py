"""`cbi import households`: a partner's file, row by row."""

import asyncio
from pathlib import Path

import msgspec
import rich_click as click

from api import auth, clock
from api.access import REGISTRAR
from api.commands.importing import Declared, bring_in
from api.db import SYSTEM, Actor, transaction
from api.imports import Imported, summary
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
from cbi import partners
from cbi.intake import Format

ENDINGS: dict[str, Format] = {".csv": "csv", ".json": "json", ".ndjson": "json"}
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
    type=click.Choice(["json", "csv", "kobo"]),
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
    as_json: bool,
) -> int:
    """Stage FILE, and register every household of it that is right and check it at once.

    A faulty row is told with row, column and remedy and stops nothing. The same file again
    changes nothing, and goes on where it broke off. With --check-only nobody is registered; the
    same command without it takes the file in.
    """
    kind = format_ or ENDINGS.get(file.suffix.lower())
    if kind is None:
        leave("say --format json, csv or kobo", WRONG_USE)
    content = await asyncio.to_thread(file.read_bytes)
    actor = await clerk(run, code, REGISTRAR)
    declared = Declared(format=kind, ubigeo_system=ubigeo_system, accept_valid=accept_valid)
    results = await bring_in(run.service, content, declared, actor=actor)
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
        {"row": fault.row, "column": fault.column, "level": fault.level, "es": fault.es}
        for row in imported.rows
        for fault in row.faults
    ]
    if faults:
        show(faults[:FAULTS_SHOWN_MAX], as_json=False, title="faults")
        if len(faults) > FAULTS_SHOWN_MAX:
            left = len(faults) - FAULTS_SHOWN_MAX + imported.faults_left_out
            CONSOLE.print(f"… and {left} more; --json shows up to 1,000")


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
