"""`cbi ledger witness`: sign another organisation's checkpoints. It needs no database."""

import os
import time
from pathlib import Path

import msgspec
import rich_click as click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from api.commands.ledger_files import checkpoint_file, consistency_file, sizes_in
from api.terminal import CONSOLE, NO, WRONG_USE, leave, told
from ledger.note import (
    COSIGNATURE,
    Checkpoint,
    cosigned_at,
    is_name,
    read_checkpoint,
    verifier_key,
)
from ledger.receipt import NotProved, read_key
from ledger.witness import Consistency, WitnessRefused, witnessed

SEED_BYTES = 32
FILE_CHARS_MAX = 100_000
existing_folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("witness")
@click.argument("source", type=existing_folder)
@click.option("--log-key", required=True, help="The log's verifier key: see `cbi ledger key`.")
@click.option("--name", required=True, help="Who signs, such as parroquia.example/witness.")
@click.option(
    "--state",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder of one's own: the key (made the first time) and what was signed. Keep it.",
)
def witness(*, source: Path, log_key: str, name: str, state: Path) -> None:
    """Sign the newest checkpoint in SOURCE, if it continues what was signed before.

    SOURCE is a folder that `cbi ledger export` fills. Exit code 1, and nothing signed, where the
    log has shrunk or its past was changed: keep both checkpoints, they prove it.
    """
    with told():
        if not is_name(name):
            leave("a witness's name has no blank and no plus sign", WRONG_USE)
        try:
            log_name, _, public_key = read_key(log_key)
        except NotProved as why:
            leave(f"--log-key: {why}", WRONG_USE)
        sizes = sizes_in(source)
        if not sizes:
            leave(f"{source} holds no checkpoint-….txt", WRONG_USE)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        signer = _own_key(state)
        own_key = verifier_key(name, signer.public_key(), COSIGNATURE)
        signed = _text(checkpoint_file(source, sizes[-1]))
        last = _last(state, log_name, public_key, signer=signer, name=name)
        new = read_checkpoint(signed, public_key=public_key, name=log_name)
        if last is not None and new is not None and (new.size, new.root) == (last.size, last.root):
            CONSOLE.print(f"nothing new: {last.size} transfers were signed before, by")
            CONSOLE.print(own_key, soft_wrap=True)
            return
        try:
            done = witnessed(
                signed,
                log_name=log_name,
                log_key=public_key,
                last=last,
                proof=_proof(source, last, sizes[-1]),
                signer=signer,
                name=name,
                at=int(time.time()),
            )
        except WitnessRefused as why:
            leave(f"NOT SIGNED: {why}; keep {checkpoint_file(source, sizes[-1])}", NO)
        # First what we must remember, then what others see.
        checkpoint_file(state, sizes[-1]).write_text(done, encoding="utf-8")
        checkpoint_file(source, sizes[-1]).write_text(done, encoding="utf-8")
        CONSOLE.print(f"signed: {sizes[-1]} transfers, by")
        CONSOLE.print(own_key, soft_wrap=True)


def _own_key(state: Path) -> Ed25519PrivateKey:
    """Return the witness's key; makes one only where nothing was signed yet."""
    path = state / "witness.key"
    if not path.exists():
        if sizes_in(state):
            leave(f"{path} is gone, and {state} holds what it signed: bring it back", WRONG_USE)
        path.touch(mode=0o600)
        path.write_bytes(os.urandom(SEED_BYTES))
    seed = path.read_bytes()
    if len(seed) != SEED_BYTES:
        leave(f"{path} is no key of {SEED_BYTES} bytes", WRONG_USE)
    return Ed25519PrivateKey.from_private_bytes(seed)


def _last(
    state: Path,
    log_name: str,
    log_key: Ed25519PublicKey,
    *,
    signer: Ed25519PrivateKey,
    name: str,
) -> Checkpoint | None:
    """Return what this witness signed last; another key or name has no business here."""
    sizes = sizes_in(state)
    if not sizes:
        return None
    path = checkpoint_file(state, sizes[-1])
    kept = _text(path)
    last = read_checkpoint(kept, public_key=log_key, name=log_name)
    if last is None:
        leave(f"{path} is another log's: one state folder for each log", WRONG_USE)
    if cosigned_at(kept, public_key=signer.public_key(), name=name) is None:
        leave(f"{path} was signed by another key, or under another name than {name}", WRONG_USE)
    return last


def _proof(source: Path, last: Checkpoint | None, size: int) -> list[bytes]:
    """Return the way from what was signed last."""
    if last is None or last.size >= size:
        return []
    path = consistency_file(source, last.size, size)
    try:
        way = msgspec.json.decode(_text(path), type=Consistency)
        return [bytes.fromhex(one) for one in way.proof]
    except (OSError, msgspec.MsgspecError, ValueError):
        leave(
            f"{path} is missing or can't be read: `cbi ledger export` writes it where the folder"
            f" still holds checkpoint-{last.size}.txt; ask the log's operator",
            WRONG_USE,
        )


def _text(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(FILE_CHARS_MAX)
