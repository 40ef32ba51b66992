"""`cbi ledger`: is the ledger whole?"""

from pathlib import Path

import msgspec
import rich_click as click

from api.db import SYSTEM, transaction
from api.state import CHECKPOINT_NAME
from api.terminal import (
    CONSOLE,
    NO,
    STDERR,
    WRONG_USE,
    Run,
    as_json,
    command,
    existing_file,
    leave,
)
from ledger import verify as verifying
from ledger.note import read_checkpoint


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
    public_key = run.service.signer.public_key()
    kept = []
    for path in checkpoints:
        notes = _notes(path)
        known = [read_checkpoint(one, public_key=public_key, name=CHECKPOINT_NAME) for one in notes]
        if not notes or None in known:
            leave(f"{path} holds no checkpoint signed by this ledger's key", WRONG_USE)
        kept += notes
    with STDERR.status("walking the ledger"):
        async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
            found = await verifying.verify(
                conn, public_key=public_key, name=CHECKPOINT_NAME, kept=kept
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


def _notes(path: Path) -> list[str]:
    """Read a signed note, or the saved answer of GET /v1/ledger/checkpoints, which holds many."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return [str(item["note"]) for item in msgspec.json.decode(text)["items"]]
    except (msgspec.DecodeError, KeyError, TypeError):
        return [text]
