"""What the ledger sealed of a payment or a period, checked without network or database.

    python -m ledger.receipt FILE --key VKEY

says what the receipt proves, and ends with 0; with 1 when it proves nothing, with 2 for wrong use.
This file, `ledger/merkle.py` and the packages msgspec and cryptography are all that is needed. The
key is the log's verifier key (C2SP
signed note: name+hash+key), which must come from somewhere else than the receipt.
"""

import argparse
import binascii
import contextlib
import sys
from base64 import b64decode
from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.merkle import Sealed, SealedDigest, SealedTransfer, includes, leaf_bytes, leaf_hash

ED25519 = b"\x01"
FILE_BYTES_MAX = 4_000_000


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed transfer with what its leaf is made of; hashes and salt in hexadecimal."""

    leaf_no: int
    salt: str
    transfer: SealedTransfer
    proof: tuple[str, ...]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """All sealed transfers of a payment, and the signed checkpoint that they are proved against."""

    payment_id: UUID
    openings: tuple[Opening, ...]
    checkpoint: str


class PeriodOpening(msgspec.Struct, frozen=True, kw_only=True):
    """The sealed digest of a closed period with what its leaf is made of."""

    leaf_no: int
    salt: str
    digest: SealedDigest
    proof: tuple[str, ...]


class PeriodReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The trial balance of a closed period, as the text that was digested, and its proof."""

    until: date
    trial: str
    opening: PeriodOpening
    checkpoint: str


class ProvedPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """What a period's receipt proves: this organisation's trial balance, closed at that time."""

    until: date
    trial: str
    digest: SealedDigest
    size: int
    signed_by: str


class Proved(msgspec.Struct, frozen=True, kw_only=True):
    """What a receipt proves: these transfers stand in the log of `size` that `signed_by` signed."""

    payment_id: UUID
    transfers: tuple[SealedTransfer, ...]
    size: int
    signed_by: str


class NotProved(Exception):
    """A receipt that proves nothing, and why."""


def check(receipt: Receipt, vkey: str) -> Proved:
    """Return what a receipt proves under the log's verifier key; raises NotProved."""
    name, size, root = _checkpoint(receipt.checkpoint, vkey)
    if not receipt.openings:
        raise NotProved("it holds no transfer")
    for opening in receipt.openings:
        transfer = opening.transfer
        if transfer.payment_id != receipt.payment_id:
            raise NotProved(f"transfer {transfer.transfer_id} is of another payment")
        _must_stand(opening, transfer, root, size, f"transfer {transfer.transfer_id}")
    return Proved(
        payment_id=receipt.payment_id,
        transfers=tuple(opening.transfer for opening in receipt.openings),
        size=size,
        signed_by=name,
    )


def check_period(receipt: PeriodReceipt, vkey: str) -> ProvedPeriod:
    """Return what a period's receipt proves under the log's verifier key; raises NotProved."""
    name, size, root = _checkpoint(receipt.checkpoint, vkey)
    digest = receipt.opening.digest
    if digest.subject != "period" or digest.sha256 != sha256(receipt.trial.encode()).digest():
        raise NotProved("this is not the trial balance that was sealed")
    if not receipt.trial.startswith(f'{{"until":"{receipt.until.isoformat()}",'):
        raise NotProved("its trial balance is of another period")
    _must_stand(receipt.opening, digest, root, size, f"digest {digest.digest_id}")
    return ProvedPeriod(
        until=receipt.until, trial=receipt.trial, digest=digest, size=size, signed_by=name
    )


def _must_stand(
    opening: Opening | PeriodOpening, sealed: Sealed, root: bytes, size: int, what: str
) -> None:
    try:
        leaf = leaf_hash(leaf_bytes(sealed, bytes.fromhex(opening.salt)))
        proof = [bytes.fromhex(one) for one in opening.proof]
    # A time without a zone is a TypeError.
    except (ValueError, TypeError) as error:
        raise NotProved(f"{what}: {error}") from error
    if not includes(root, size=size, leaf_no=opening.leaf_no, leaf=leaf, proof=proof):
        raise NotProved(f"{what} is not in the log as it stands here")


def _checkpoint(signed: str, vkey: str) -> tuple[str, int, bytes]:
    """Return name, size and root of a checkpoint that this key signed."""
    name, key_hash, key = read_key(vkey)
    body, blank, signatures = signed.rpartition("\n\n")
    body += "\n"
    if not blank or not any(
        _is_signature(line, body, name, key_hash, key) for line in signatures.splitlines()
    ):
        raise NotProved("its checkpoint is not signed by this key")
    lines = body.split("\n")
    try:
        origin, size, root = lines[0], int(lines[1], base=10), b64decode(lines[2], validate=True)
    except (IndexError, ValueError) as error:
        raise NotProved("its checkpoint can't be read") from error
    if origin != name:
        raise NotProved("its checkpoint is another log's")
    return name, size, root


def read_key(vkey: str, kind: bytes = ED25519) -> tuple[str, bytes, Ed25519PublicKey]:
    """Return name, hash and key of a verifier key of this kind; raises NotProved."""
    name, _, rest = vkey.strip().partition("+")
    digest, _, encoded = rest.partition("+")
    try:
        key = b64decode(encoded, validate=True)
        if key[:1] != kind:
            raise NotProved("it is a key for something else")
        public_key = Ed25519PublicKey.from_public_bytes(key[1:])
        key_hash = bytes.fromhex(digest)
    except ValueError as error:
        raise NotProved("it can't be read; a key looks like name+01234567+AbC=") from error
    if key_hash != sha256(name.encode() + b"\n" + key).digest()[:4]:
        raise NotProved("it is damaged: its hash is another")
    return name, key_hash, public_key


def _is_signature(line: str, body: str, name: str, key_hash: bytes, key: Ed25519PublicKey) -> bool:
    dash, _, rest = line.partition(" ")
    signed_by, _, encoded = rest.partition(" ")
    try:
        signature = b64decode(encoded, validate=True)
        if dash != "—" or signed_by != name or signature[:4] != key_hash:
            return False
        key.verify(signature[4:], body.encode())
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def main(argv: list[str] | None = None) -> int:
    """Check a receipt's file; prints what it proves."""
    parser = argparse.ArgumentParser(prog="python -m ledger.receipt", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", required=True, help="the log's verifier key, name+hash+key")
    options = parser.parse_args(argv)
    try:
        with options.file.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        parser.error(f"{options.file} can't be read: {error.strerror}")
    try:
        read_key(options.key)
    except NotProved as why:
        parser.error(f"--key: {why}")
    try:
        found = read(content)
        if isinstance(found, Receipt):
            said = _said(check(found, options.key))
        else:
            said = _said_of_period(check_period(found, options.key))
    except NotProved as why:
        sys.stdout.write(f"NOT PROVED: {why}\n")
        return 1
    sys.stdout.write("\n".join(said) + "\n")
    return 0


def read(content: bytes) -> Receipt | PeriodReceipt:
    """Read a receipt's file; raises NotProved."""
    if len(content) > FILE_BYTES_MAX:
        raise NotProved("it is too large for a receipt")
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(content, type=Receipt)
    try:
        return msgspec.json.decode(content, type=PeriodReceipt)
    except msgspec.MsgspecError as error:
        raise NotProved("it is not a receipt") from error


def _said(proved: Proved) -> Iterator[str]:
    yield (
        f"proved: payment {proved.payment_id}, in the log of {proved.size} transfers signed by"
        f" {proved.signed_by}"
    )
    for one in proved.transfers:
        money = f"{one.amount_minor:>12} minor units {one.currency}"
        sides = f"debit {str(one.debit_account)[:8]}, credit {str(one.credit_account)[:8]}"
        yield f"  {one.effective_on}  {one.kind:8} attempt {one.attempt_no}  {money}  {sides}"


def _said_of_period(proved: ProvedPeriod) -> Iterator[str]:
    yield (
        f"proved: trial balance until {proved.until} of organisation {proved.digest.partner_id},"
        f" closed {proved.digest.made_at:%Y-%m-%d %H:%M %Z}, in the log of {proved.size} leaves"
        f" signed by {proved.signed_by}"
    )
    yield f"  SHA-256 {proved.digest.sha256.hex()}"
    yield f"  {proved.trial}"


if __name__ == "__main__":
    sys.exit(main())
