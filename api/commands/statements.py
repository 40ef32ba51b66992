"""`cbi import statement`: a bank's file from this machine's disk."""

from pathlib import Path

import msgspec
import rich_click as click

from api import clock
from api.access import FINANCE
from api.commands.households import clerk
from api.db import transaction
from api.terminal import CONSOLE, NO, Run, as_json, command, existing_file
from cbi import statements
from ledger import layouts
from ledger.ingest import Ingested
from ledger.refusal import StatementUnreadable


@click.command("statement")
@click.argument("file", type=existing_file)
@click.option("--partner", "code", required=True, help="Code of the organisation it belongs to.")
@click.option("--layout", help="How a table (CSV, XLSX) is laid out: the code of a kept layout.")
@as_json
@command
async def statement(run: Run, *, file: Path, code: str, layout: str | None, as_json: bool) -> int:
    """Take in FILE of a bank or another provider: ISO 20022, MT940, or a table by its layout.

    The same file again stores nothing. What can't be read is refused, and kept for evidence. The
    exit code is 1 when a part of it could not be read.
    """
    who = await clerk(run, code, FINANCE)
    service = run.service
    with file.open("rb") as content:
        try:
            async with transaction(service.engine, who, request_id="cli") as conn:
                kept = None
                if layout is not None:
                    kept = await layouts.load(conn, layout, partner_id=who.partner_id)
                taken = await statements.take_in(
                    conn,
                    content,
                    vault=service.vault,
                    matching_key=service.settings.matching_key,
                    layout=kept,
                    partner_id=who.partner_id,
                    actor_id=who.actor_id,
                    at=clock.now(),
                )
        except StatementUnreadable as refused:
            async with transaction(service.engine, who, request_id="cli") as conn:
                await statements.keep_unread(
                    conn,
                    content,
                    refused,
                    vault=service.vault,
                    partner_id=who.partner_id,
                    actor_id=who.actor_id,
                    at=clock.now(),
                )
            raise
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(taken)).decode())
    else:
        for each in taken:
            CONSOLE.print(f"{each.statement_id}: {_told(each)}")
    return NO if any(each.rejected for each in taken) else 0


def _told(taken: Ingested) -> str:
    again = " (known already)" if taken.repeated else ""
    repeats = f", says the same as {taken.repeats}" if taken.repeats is not None else ""
    return f"{taken.lines} lines, {taken.rejected} could not be read{repeats}{again}"
