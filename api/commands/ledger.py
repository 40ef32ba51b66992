"""`cbi ledger`: is the ledger whole?"""

from pathlib import Path

import msgspec
import rich_click as click

from api.db import SYSTEM, transaction
from api.state import CHECKPOINT_NAME
from api.terminal import CONSOLE, NO, STDERR, Run, as_json, command, existing_file
from ledger import verify as verifying


@click.group()
def ledger() -> None:
    """Verify the append-only ledger."""


@ledger.command("verify")
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=existing_file,
    help="A signed checkpoint kept outside; may repeat. Shows a deleted tail or a forked history.",
)
@as_json
@command
async def verify(run: Run, *, checkpoints: tuple[Path, ...], as_json: bool) -> int:
    """Walk the whole ledger: every leaf, checkpoint, balance, attempt and outcome.

    Exit code 0 when it is whole, 1 when it is not.
    """
    kept = [path.read_text(encoding="utf-8") for path in checkpoints]
    with STDERR.status("walking the ledger"):
        async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
            found = await verifying.verify(
                conn, public_key=run.service.signer.public_key(), name=CHECKPOINT_NAME, kept=kept
            )
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        CONSOLE.print(
            f"{'whole' if found.whole else '[red]NOT WHOLE[/red]'}: {found.transfers} transfers,"
            f" {found.leaves} sealed, {found.unsealed} waiting for the sealer"
        )
        CONSOLE.print(f"root {found.root} at size {found.checkpoint_size}", soft_wrap=True)
        for fault in found.faults:
            CONSOLE.print(f"[red]{fault.kind}[/red] {fault.detail}")
    return 0 if found.whole else NO
