"""Witness a log: sign its newest checkpoint only if it continues what was signed before.

Whoever holds the log's key could show two histories to two people. A witness that signs one
checkpoint after another makes that visible: of two histories it signed one at most.
"""

from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.merkle import extends
from ledger.note import Checkpoint, cosign, read_checkpoint


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """The hashes, in hexadecimal, that lead from one checkpoint to another."""

    old_size: int
    new_size: int
    proof: tuple[str, ...]


class WitnessRefused(Exception):
    """A checkpoint that this witness must not sign, and why: keep it, it may prove a fraud."""


def witnessed(
    signed: str,
    *,
    log_name: str,
    log_key: Ed25519PublicKey,
    last: Checkpoint | None,
    proof: Sequence[bytes],
    signer: Ed25519PrivateKey,
    name: str,
    at: int,
) -> str:
    """Return the checkpoint with the witness's signature added; raises WitnessRefused.

    `last` is what this witness signed last, `proof` the way from there; both are empty the first
    time, when a witness trusts what it sees.
    """
    new = read_checkpoint(signed, public_key=log_key, name=log_name)
    if new is None:
        raise WitnessRefused("it is not signed by this log's key")
    if last is not None and not extends(last.root, last.size, new.root, new.size, proof):
        if new.size < last.size:
            raise WitnessRefused(f"the log has shrunk from {last.size} to {new.size} transfers")
        raise WitnessRefused(
            f"it is not shown that the log of {new.size} transfers begins with the {last.size}"
            " that were signed before"
        )
    return cosign(signed, signer=signer, name=name, at=at)
