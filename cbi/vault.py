"""Sealing of identities: AES-256-GCM under a data key per household, wrapped from outside.

The wrapping key (key-encryption key, KEK) never enters the database. A sealed message is
`nonce (12 bytes) || ciphertext and tag`, bound to what it belongs to by the associated data, so
that one person's message can't be passed off as another's.
"""

import hmac
import secrets
from collections.abc import Mapping
from typing import TypeVar
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
T = TypeVar("T")


class WrappedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A data key as the database holds it, with the id of the key that opens it."""

    kek_id: str
    wrapped: bytes


class Broken(Exception):
    """A sealed message doesn't open: another key, another owner, or altered bytes."""


class Vault:
    """Seals and opens; holds the wrapping keys by id, the first being the one in use."""

    def __init__(self, sealing_keys: Mapping[str, bytes]) -> None:
        self._keks = {kek_id: AESGCM(key) for kek_id, key in sealing_keys.items()}
        self._current = next(iter(sealing_keys))

    def new_key(self, owner: UUID) -> tuple[bytes, WrappedKey]:
        """Make a data key for `owner`: 32 random bytes, and the same wrapped."""
        key = secrets.token_bytes(32)
        wrapped = _seal(self._keks[self._current], key, b"key|" + owner.bytes)
        return key, WrappedKey(kek_id=self._current, wrapped=wrapped)

    def unwrap(self, wrapped: WrappedKey, owner: UUID) -> bytes:
        """Return the data key of `owner`; raises Broken."""
        kek = self._keks.get(wrapped.kek_id)
        if kek is None:
            raise Broken(f"no wrapping key {wrapped.kek_id}")
        return _open(kek, wrapped.wrapped, b"key|" + owner.bytes)


def seal(key: bytes, message: object, *, kind: str, owner: UUID) -> bytes:
    """Seal a Struct (or bytes) of `kind` that belongs to `owner`."""
    plain = message if isinstance(message, bytes) else msgspec.json.encode(message)
    return _seal(AESGCM(key), plain, f"{kind}|{owner}".encode())


def open_as(key: bytes, sealed: bytes, type_: type[T], *, kind: str, owner: UUID) -> T:
    """Open what `seal` made, as the same type; raises Broken."""
    plain = open_bytes(key, sealed, kind=kind, owner=owner)
    return msgspec.json.decode(plain, type=type_)


def open_bytes(key: bytes, sealed: bytes, *, kind: str, owner: UUID) -> bytes:
    """Open sealed bytes; raises Broken."""
    return _open(AESGCM(key), sealed, f"{kind}|{owner}".encode())


def keyed_digest(secret: bytes, *parts: str) -> bytes:
    """HMAC-SHA-256 over `parts`, each with its length, so that no two lists of parts collide."""
    message = b"".join(len(raw := part.encode()).to_bytes(4, "big") + raw for part in parts)
    return hmac.digest(secret, message, "sha256")


def keyed_int(secret: bytes, *parts: str) -> int:
    """Return the first 64 bits of `keyed_digest`, signed as PostgreSQL's bigint."""
    return int.from_bytes(keyed_digest(secret, *parts)[:8], "big", signed=True)


def _seal(cipher: AESGCM, plain: bytes, owner: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plain, owner)


def _open(cipher: AESGCM, sealed: bytes, owner: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], owner)
    except (InvalidTag, ValueError) as error:
        raise Broken("a sealed message does not open") from error
