"""`cbi simulate`: what would have been, under other rules."""

import asyncio
from pathlib import Path

import msgspec
import rich_click as click

from api import clock
from api.db import SYSTEM, transaction
from api.terminal import CONSOLE, WRONG_USE, Run, as_json, command, existing_file, leave, show
from cbi import agree, attempts, partners
from cbi.refusal import BadValue
from cbi.replay import Cell, Outcome
from cbi.simulate import MONTHS_MAX, Simulation, try_rules

BYTES_MAX = 1_000_000
LISTED_MAX = 10_000
# Looks over all organisations, as a coordinator does, and belongs to none: few families are not
# told of any.
COORDINATOR = msgspec.structs.replace(SYSTEM, roles=frozenset({"coordinator"}))


@click.group()
def simulate() -> None:
    """Try changed rules on what was done, and change nothing."""


@simulate.command("overlap")
@click.option(
    "--rules", "file", type=existing_file, required=True, help="A document of rules (JSON)."
)
@click.option(
    "--months",
    type=click.IntRange(1, MONTHS_MAX),
    default=6,
    show_default=True,
    help="How many months back.",
)
@as_json
@command
async def overlap(run: Run, *, file: Path, months: int, as_json: bool) -> None:
    """Say which promises of the last months these rules refuse, beside those in force.

    And how many attempts that were refused they let through. By organisation: households and
    amounts. The try is kept in the list that auditors read. Cells of fewer than five households
    are left out.
    """
    rules = agree.read(await asyncio.to_thread(_document, file))
    async with transaction(run.service.engine, COORDINATOR, request_id="cli") as conn:
        found = await try_rules(
            conn,
            rules,
            months=months,
            own=None,
            attempt_key=attempts.key_of(run.service.settings.matching_key),
            at=clock.now(),
        )
        codes = {
            each.partner_id: each.code
            for each in await partners.list_partners(conn, after=None, limit=LISTED_MAX)
        }
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    CONSOLE.print(f"since {found.since:%Y-%m-%d}; rules in force: version {found.in_force_version}")
    rows = [_row(codes[each.partner_id], each) for each in found.outcomes]
    show([*rows, *_total(found)], as_json=False, title="what rules refuse")


def _document(file: Path) -> object:
    with file.open("rb") as opened:
        content = opened.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise BadValue(field="rules", reason=f"over {BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        leave(f"{file} is no JSON", WRONG_USE)


def _row(name: str, outcome: Outcome) -> dict[str, object]:
    return {
        "partner": name,
        "promised": _cell(outcome.promised),
        "refused by those in force": _cell(outcome.refused_in_force),
        "refused by these": _cell(outcome.refused_proposed),
        "attempts refused": _cell(outcome.attempts),
        "let through by those in force": _cell(outcome.let_in_force),
        "let through by these": _cell(outcome.let_proposed),
    }


def _total(found: Simulation) -> list[dict[str, object]]:
    return [] if found.total is None else [_row("all", found.total)]


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "fewer than 5"
    amounts = ", ".join(f"{each} {each.currency}" for each in cell.amounts)
    return f"{cell.households} ({amounts})" if amounts else str(cell.households)
