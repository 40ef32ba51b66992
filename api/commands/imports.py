"""`cbi import show|accept|refuse|close`: files that are here, and what is done with them."""

from uuid import UUID

import msgspec
import rich_click as click
from rich.markup import escape

from api.access import REGISTRAR
from api.commands.households import clerk
from api.commands.importing import erase_rest, load, refuse, rows_of, standing_of, take
from api.commands.telling import chosen, of_language, says, tell
from api.db import Actor
from api.terminal import CONSOLE, NO, WRONG_USE, Run, as_json, command, leave, show
from cbi.imported import Import, RowStanding, RowStatus, Standing, Take
from cbi.intake.annotate import Language

SHOWN_MAX = 50
_of_import = click.argument("import_id", type=click.UUID)
_of_partner = click.option(
    "--partner", "code", required=True, help="Code of the organisation whose file it is."
)


@click.command("show")
@_of_import
@_of_partner
@click.option(
    "--status",
    type=click.Choice(["waiting", "faulty", "clear", "review"]),
    help="Show only rows that stand so.",
)
@of_language
@as_json
@command
async def show_(
    run: Run,
    *,
    import_id: UUID,
    code: str,
    status: RowStatus | None,
    language: Language,
    as_json: bool,
) -> int:
    """Show where the file IMPORT_ID stands, and its rows with their faults.

    The number in the first column is what `--rows` of `cbi import accept` takes. The exit code
    is 1 when a row is faulty.
    """
    actor, opened = await _opened(run, import_id, code)
    standing = await standing_of(run.service, opened, actor)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(standing)).decode())
        return _code(standing)
    tell(standing)
    rows = await rows_of(run.service, opened, actor, status=status)
    told = [line for row in rows for line in _lines(row, language)]
    show(told[:SHOWN_MAX], as_json=False, title="rows")
    if len(told) > SHOWN_MAX:
        CONSOLE.print(f"… and {len(told) - SHOWN_MAX} more; --status shows fewer")
    return _code(standing)


@click.command("accept")
@_of_import
@_of_partner
@click.option("--all", "all_", is_flag=True, help="The whole file, if no row of it is faulty.")
@click.option("--accept-valid", "valid", is_flag=True, help="Every row that is right.")
@click.option("--rows", help="These rows, by their number: 3,7-12.")
@as_json
@command
async def accept(
    run: Run,
    *,
    import_id: UUID,
    code: str,
    all_: bool,
    valid: bool,
    rows: str | None,
    as_json: bool,
) -> int:
    """Register what was staged of the file IMPORT_ID: all of it, what is right, or some rows.

    It is decided once. The exit code is 1 when a row was refused or is faulty.
    """
    if [all_, valid, rows is not None].count(True) != 1:
        leave("say one of --all, --accept-valid and --rows", WRONG_USE)
    numbers = chosen(rows)
    actor, opened = await _opened(run, import_id, code)
    wanted: Take | list[int] = "all" if all_ else "valid"
    wanted = wanted if numbers is None else numbers
    return _end(await take(run.service, opened, wanted, actor=actor), as_json=as_json)


@click.command("refuse")
@_of_import
@_of_partner
@as_json
@command
async def refuse_(run: Run, *, import_id: UUID, code: str, as_json: bool) -> int:
    """Take nothing of the file IMPORT_ID, and erase what it said at once."""
    actor, opened = await _opened(run, import_id, code)
    _end(await refuse(run.service, opened, actor=actor), as_json=as_json)
    return 0


@click.command("close")
@_of_import
@_of_partner
@as_json
@command
async def close(run: Run, *, import_id: UUID, code: str, as_json: bool) -> int:
    """Erase what the file IMPORT_ID said, which was decided on; its counts stay.

    Without it, rows that were not taken are erased 30 days after the file came.
    """
    actor, opened = await _opened(run, import_id, code)
    _end(await erase_rest(run.service, opened, actor=actor), as_json=as_json)
    return 0


async def _opened(run: Run, import_id: UUID, code: str) -> tuple[Actor, Import]:
    actor = await clerk(run, code, REGISTRAR)
    return actor, await load(run.service, import_id, actor)


def _end(standing: Standing, *, as_json: bool) -> int:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(standing)).decode())
    else:
        tell(standing)
    return _code(standing)


def _code(standing: Standing) -> int:
    return NO if standing.faulty else 0


def _lines(row: RowStanding, language: Language) -> list[dict[str, object]]:
    """A row's lines in a table: one for each fault, or one that says how it stands."""
    place = {"number": row.row_no, "row": row.line, "sheet": escape(row.sheet)}
    place |= {"status": row.status}
    faults = row.faults or (None,)
    return [
        {
            **place,
            "value": "" if fault is None else escape(fault.value),
            language: "" if fault is None else says(fault, language),
        }
        for fault in faults
    ]
