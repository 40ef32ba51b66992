"""A witness signs one history, and never a second."""

from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api import cli
from api.commands.ledger import _check_witness
from ledger.merkle import consistency_proof, root_of
from ledger.note import (
    COSIGNATURE,
    Checkpoint,
    checkpoint,
    cosign,
    cosigned_at,
    opened,
    read_checkpoint,
    verifier_key,
)
from ledger.witness import Consistency, WitnessRefused, witnessed

LOG = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = "cbi.ledger/log"
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(32))
WITNESS_NAME = "parroquia.example/witness"
LEAVES = [sha256(bytes([n])).digest() for n in range(40)]
FORGED = [*LEAVES[:5], sha256(b"another").digest(), *LEAVES[6:]]


def signed(size: int, leaves=LEAVES) -> Checkpoint:
    return checkpoint(size, root_of(leaves[:size]), signer=LOG, name=NAME)


def tried(new: str, last: Checkpoint | None = None, proof=()) -> str:
    return witnessed(
        new,
        log_name=NAME,
        log_key=LOG.public_key(),
        last=last,
        proof=proof,
        signer=WITNESS,
        name=WITNESS_NAME,
        at=1_790_000_000,
    )


def test_a_witness_signs_what_continues_and_both_signatures_are_read():
    first = tried(signed(10).note)
    later = tried(signed(33).note, signed(10), consistency_proof(LEAVES[:33], 10))
    for note in (first, later):
        assert read_checkpoint(note, public_key=LOG.public_key(), name=NAME) is not None
        at = cosigned_at(note, public_key=WITNESS.public_key(), name=WITNESS_NAME)
        assert at == 1_790_000_000
        assert cosigned_at(note, public_key=LOG.public_key(), name=WITNESS_NAME) is None
        assert cosigned_at(note, public_key=WITNESS.public_key(), name="somebody") is None
    two = cosign(later, signer=LOG, name="second.example/witness", at=1)
    assert cosigned_at(two, public_key=WITNESS.public_key(), name=WITNESS_NAME) == 1_790_000_000


def test_a_cosignature_is_over_the_time_and_the_text():
    note = tried(signed(10).note)
    for changed in (note.replace("\n10\n", "\n11\n"), note.partition("— parroquia")[0]):
        assert cosigned_at(changed, public_key=WITNESS.public_key(), name=WITNESS_NAME) is None
    # Nor does it count as the log's own signature, or the other way round.
    assert opened(note, public_key=WITNESS.public_key(), name=WITNESS_NAME) is None


@pytest.mark.parametrize(
    ("new", "last", "proof"),
    [
        pytest.param(signed(9), signed(10), (), id="shrunk"),
        pytest.param(signed(33), signed(10), (), id="no proof"),
        pytest.param(
            signed(33, FORGED), signed(10), consistency_proof(FORGED[:33], 10), id="past changed"
        ),
        pytest.param(signed(10, FORGED), signed(10), (), id="two histories of one size"),
    ],
)
def test_a_witness_refuses_what_does_not_continue(new, last, proof):
    with pytest.raises(WitnessRefused):
        tried(new.note, last, proof)


def test_a_witness_refuses_what_the_log_did_not_sign():
    forged = checkpoint(10, root_of(LEAVES[:10]), signer=WITNESS, name=NAME)
    with pytest.raises(WitnessRefused):
        tried(forged.note)


def test_verifying_holds_a_checkpoint_to_its_witness(tmp_path):
    key = verifier_key(WITNESS_NAME, WITNESS.public_key(), COSIGNATURE)
    _check_witness(tmp_path, [tried(signed(10).note)], key)
    for note, vkey, code in (
        (signed(10).note, key, 1),
        (tried(signed(10).note), verifier_key(NAME, LOG.public_key()), 2),
    ):
        with pytest.raises(SystemExit) as ended:
            _check_witness(tmp_path, [note], vkey)
        assert ended.value.code == code


class Folder:
    """What a log's operator exports, and what a witness does with it."""

    def __init__(self, home: Path) -> None:
        self.source, self.state = home / "out", home / "state"
        self.source.mkdir()

    def export(self, size: int, *, after: int = 0, leaves=LEAVES) -> None:
        (self.source / f"checkpoint-{size}.txt").write_text(signed(size, leaves).note)
        if after:
            proof = tuple(one.hex() for one in consistency_proof(leaves[:size], after))
            way = Consistency(old_size=after, new_size=size, proof=proof)
            file = self.source / f"consistency-{after}-{size}.json"
            file.write_bytes(msgspec.json.encode(way))

    def witness(self, *, code: int, key: str = "", name: str = WITNESS_NAME) -> str:
        done = CliRunner().invoke(
            cli.main,
            [
                *("ledger", "witness", str(self.source), "--name", name),
                *("--state", str(self.state)),
                *("--log-key", key or verifier_key(NAME, LOG.public_key())),
            ],
        )
        assert done.exit_code == code, done.output
        return done.output


def test_a_witness_at_the_command_line_signs_refuses_and_keeps_its_key(tmp_path):
    folder = Folder(tmp_path)
    assert "holds no checkpoint" in folder.witness(code=2)
    folder.export(10)
    assert "signed: 10 transfers" in folder.witness(code=0)
    assert "nothing new" in folder.witness(code=0)
    key = folder.state / "witness.key"
    seed = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    folder.export(33, after=10)
    told = folder.witness(code=0)
    own = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    assert verifier_key(WITNESS_NAME, own, COSIGNATURE) in told
    note = (folder.source / "checkpoint-33.txt").read_text()
    assert cosigned_at(note, public_key=own, name=WITNESS_NAME) is not None
    folder.export(40, after=33, leaves=FORGED)
    assert "NOT SIGNED" in folder.witness(code=1)
    assert key.read_bytes() == seed
    assert not (folder.state / "checkpoint-40.txt").exists()
    for wrong in ({"key": "nonsense"}, {"name": "with blank"}, {"name": "somebody.else"}):
        folder.witness(code=2, **wrong)
    (folder.source / "checkpoint-40.txt").unlink()
    folder.export(38)
    assert "consistency-33-38.json is missing" in " ".join(folder.witness(code=2).split())
    key.unlink()
    assert "bring it back" in " ".join(folder.witness(code=2).split())
    assert not key.exists()
