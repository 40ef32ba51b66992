"""Signed checkpoints: C2SP tlog-checkpoint in a signed note, Ed25519.

What partners keep. A note stands alone: with the public key it proves what the log was, whatever
became of the database.
"""

from base64 import b64decode, b64encode
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
COSIGNATURE = b"\x04"
TIME_BYTES = 8
NOTE_CHARS_MAX = 4_000


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The log's root at a size, and the signed note that says so."""

    size: int
    root: bytes
    note: str


def key_hash(name: str, public_key: Ed25519PublicKey, kind: bytes = ED25519) -> bytes:
    """Return the four bytes by which a signature names its key."""
    key = kind + public_key.public_bytes_raw()
    return sha256(name.encode() + b"\n" + key).digest()[:4]


def verifier_key(name: str, public_key: Ed25519PublicKey, kind: bytes = ED25519) -> str:
    """Return the key as others keep it to check signatures: name+hash+key (C2SP signed note)."""
    encoded = b64encode(kind + public_key.public_bytes_raw()).decode()
    return f"{name}+{key_hash(name, public_key, kind).hex()}+{encoded}"


def sign(body: str, *, signer: Ed25519PrivateKey, name: str) -> str:
    """Return `body`, which ends with a newline, as a note signed by `name`."""
    if not body.endswith("\n") or not is_name(name):
        raise ValueError("not a note's text, or not a key's name")
    signature = key_hash(name, signer.public_key()) + signer.sign(body.encode())
    return f"{body}\n— {name} {b64encode(signature).decode()}\n"


def is_name(name: str) -> bool:
    """Say whether a key may be called so."""
    return bool(name) and not any(char.isspace() or char == "+" for char in name)


def cosign(note: str, *, signer: Ed25519PrivateKey, name: str, at: int) -> str:
    """Add a witness's signature and time (seconds since 1970) to a note (C2SP tlog-cosignature)."""
    body, blank, _ = note.rpartition("\n\n")
    if not blank or not is_name(name):
        raise ValueError("not a note, or not a key's name")
    signature = signer.sign(_cosigned(body + "\n", at))
    named = key_hash(name, signer.public_key(), COSIGNATURE)
    encoded = b64encode(named + at.to_bytes(TIME_BYTES) + signature).decode()
    return f"{note}— {name} {encoded}\n"


def cosigned_at(note: str, *, public_key: Ed25519PublicKey, name: str) -> int | None:
    """Return when this witness signed a note, in seconds since 1970; None when it did not."""
    body, blank, signatures = note.rpartition("\n\n")
    if not blank or len(note) > NOTE_CHARS_MAX:
        return None
    named = key_hash(name, public_key, COSIGNATURE)
    for line in signatures.splitlines():
        try:
            signature = b64decode(line.removeprefix(f"— {name} "), validate=True)
            at = int.from_bytes(signature[4 : 4 + TIME_BYTES])
            public_key.verify(signature[4 + TIME_BYTES :], _cosigned(body + "\n", at))
        except (ValueError, InvalidSignature):
            continue
        if signature[:4] == named:
            return at
    return None


def _cosigned(body: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{body}".encode()


def opened(note: str, *, public_key: Ed25519PublicKey, name: str) -> str | None:
    """Return the text of a note if `name` signed it with this key, else None."""
    body, blank, signatures = note.rpartition("\n\n")
    if not blank or len(note) > NOTE_CHARS_MAX:
        return None
    body += "\n"
    for line in signatures.splitlines():
        dash, _, rest = line.partition(" ")
        signed_by, _, encoded = rest.partition(" ")
        if dash == "—" and signed_by == name and _signed(body, encoded, public_key, name):
            return body
    return None


def _signed(body: str, encoded: str, public_key: Ed25519PublicKey, name: str) -> bool:
    try:
        signature = b64decode(encoded, validate=True)
        public_key.verify(signature[4:], body.encode())
    except (ValueError, InvalidSignature):
        return False
    return signature[:4] == key_hash(name, public_key)


def checkpoint(size: int, root: bytes, *, signer: Ed25519PrivateKey, name: str) -> Checkpoint:
    """Sign the log's size and root; the log's origin is the key's name."""
    body = f"{name}\n{size}\n{b64encode(root).decode()}\n"
    return Checkpoint(size=size, root=root, note=sign(body, signer=signer, name=name))


def read_checkpoint(note: str, *, public_key: Ed25519PublicKey, name: str) -> Checkpoint | None:
    """Return what a signed checkpoint says, or None when it is not one of this log."""
    body = opened(note, public_key=public_key, name=name)
    if body is None:
        return None
    origin, size, root, *_ = [*body.split("\n"), "", ""]
    if origin != name or not (size.isascii() and size.isdigit()):
        return None
    try:
        return Checkpoint(size=int(size), root=b64decode(root, validate=True), note=note)
    except ValueError:
        return None
