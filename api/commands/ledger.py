"""`cbi ledger`: is the ledger whole, and how do others know?"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

import msgspec
import rich_click as click

from api.commands.ledger_files import checkpoint_file, consistency_file, sizes_in
from api.commands.ledger_witness import witness
from api.db import SYSTEM, snapshot, transaction
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
from ledger import prove
from ledger import verify as verifying
from ledger.note import COSIGNATURE, cosigned_at, read_checkpoint, verifier_key
from ledger.receipt import NotProved, read_key


@click.group()
def ledger() -> None:
    """Verify the append-only ledger, and let others verify it."""


ledger.add_command(witness)
folder = click.Path(file_okay=False, path_type=Path)


@ledger.command("key")
@command
async def key(run: Run) -> None:
    """Print the log's verifier key, by which others check checkpoints and receipts."""
    async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
        if await prove.newest_checkpoint(conn) is None:
            leave(
                "nothing is sealed in this database: is it the right one? (CBI_DATA_DIR,"
                " CBI_DATABASE_URL)",
                NO,
            )
    click.echo(verifier_key(CHECKPOINT_NAME, run.service.signer.public_key()))


@ledger.command("receipt")
@click.argument("payment_id", type=click.UUID)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: printed.")
@command
async def receipt(run: Run, *, payment_id: UUID, out: Path | None) -> None:
    """Write what is sealed of a payment, for `python -m ledger.receipt` to check anywhere."""
    async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
        found = await prove.receipt(conn, payment_id)
    written = msgspec.json.format(msgspec.json.encode(found))
    if out is None:
        click.echo(written.decode())
    else:
        await asyncio.to_thread(out.write_bytes, written + b"\n")


@ledger.command("export")
@click.argument("target", type=folder)
@command
async def export(run: Run, *, target: Path) -> None:
    """Write the newest checkpoint into a folder, and how it follows from those that are there.

    What a partner keeps of it shows later whether the ledger's past was changed; with
    `cbi ledger witness` the partner signs it as well.
    """
    held = await asyncio.to_thread(_sizes_held, target)
    async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
        newest = await prove.newest_checkpoint(conn)
        if newest is None:
            leave("nothing is sealed yet", NO)
        files = {checkpoint_file(target, newest.size): newest.note.encode()}
        for old in held:
            if old < newest.size:
                way = await prove.consistency(conn, old, newest.size)
                files[consistency_file(target, old, newest.size)] = msgspec.json.encode(way)
    await asyncio.to_thread(_write_missing, files)
    CONSOLE.print(f"{checkpoint_file(target, newest.size)}: {newest.size} transfers")


def _sizes_held(folder: Path) -> list[int]:
    folder.mkdir(parents=True, exist_ok=True)
    return sizes_in(folder)


def _write_missing(files: Mapping[Path, bytes]) -> None:
    """Write what isn't there: a witness may have signed what is."""
    for path, content in files.items():
        if not path.exists():
            path.write_bytes(content)


@ledger.command("verify")
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=existing_file,
    help="A signed checkpoint kept outside; may repeat. Shows a deleted tail or a forked history.",
)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="KEY",
    help="Verifier key of a witness that must have signed each of these checkpoints; may repeat.",
)
@as_json
@command
async def verify(
    run: Run, *, checkpoints: tuple[Path, ...], witnesses: tuple[str, ...], as_json: bool
) -> int:
    """Walk the whole ledger: every leaf, checkpoint, balance, attempt and outcome.

    Exit code 0 when it is whole, 1 when it is not.
    """
    if witnesses and not checkpoints:
        leave("--witness goes with --checkpoint: it signs those that are kept outside", WRONG_USE)
    public_key = run.service.signer.public_key()
    kept = []
    for path in checkpoints:
        notes = _notes(path)
        known = [read_checkpoint(one, public_key=public_key, name=CHECKPOINT_NAME) for one in notes]
        if not notes or None in known:
            leave(f"{path} holds no checkpoint signed by this ledger's key", WRONG_USE)
        for each in witnesses:
            _check_witness(path, notes, each)
        kept += notes
    with STDERR.status("walking the ledger"):
        async with snapshot(run.service.engine, SYSTEM, request_id="cli") as conn:
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


def _check_witness(path: Path, notes: Sequence[str], vkey: str) -> None:
    try:
        name, _, public_key = read_key(vkey, COSIGNATURE)
    except NotProved as why:
        leave(f"--witness: {why}", WRONG_USE)
    if any(cosigned_at(one, public_key=public_key, name=name) is None for one in notes):
        leave(f"{path} is not signed by {name}", NO)


def _notes(path: Path) -> list[str]:
    """Read a signed note, or the saved answer of GET /v1/ledger/checkpoints, which holds many."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return [str(item["note"]) for item in msgspec.json.decode(text)["items"]]
    except (msgspec.DecodeError, KeyError, TypeError):
        return [text]
