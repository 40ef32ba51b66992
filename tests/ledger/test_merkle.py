from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ledger import note
from ledger.merkle import (
    EMPTY_ROOT,
    Accumulator,
    SealedTransfer,
    consistency_proof,
    extends,
    includes,
    inclusion_proof,
    leaf_bytes,
    leaf_hash,
    node_hash,
    root_of,
)

# The inputs and roots of the reference implementation, certificate-transparency's merkle tests.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
TRANSFER = SealedTransfer(
    transfer_id=UUID(int=1),
    entry_id=UUID(int=2),
    partner_id=UUID(int=3),
    kind="post",
    debit_account=UUID(int=4),
    credit_account=UUID(int=5),
    currency="PEN",
    amount_minor=76_000,
    payment_id=UUID(int=6),
    attempt_no=1,
    reverses=None,
    effective_on=date(2026, 3, 1),
    booked_on=None,
    posted_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    actor_id=UUID(int=7),
    xid=900,
)
leaf_lists = st.lists(st.binary(max_size=4).map(leaf_hash), min_size=1, max_size=40)


def slow_root(leaves):
    """RFC 6962's definition, word for word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return node_hash(slow_root(leaves[:half]), slow_root(leaves[half:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_are_those_of_the_reference_implementation(size):
    assert root_of(leaf_hash(leaf) for leaf in INPUTS[:size]).hex() == ROOTS[size - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing():
    assert root_of([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(leaf_lists)
def test_the_growing_root_is_the_defined_root(leaves):
    assert root_of(leaves) == slow_root(leaves)


@given(leaf_lists, st.integers(0, 39))
def test_a_log_goes_on_from_its_peaks(leaves, cut):
    log = Accumulator()
    for leaf in leaves[:cut]:
        log.add(leaf)
    again = Accumulator(log.size, log.peaks)
    for leaf in leaves[cut:]:
        again.add(leaf)
    assert again.root() == root_of(leaves)


@given(leaf_lists, st.data())
def test_each_leaf_is_proven_and_no_other_in_its_place(leaves, data):
    leaf_no = data.draw(st.integers(0, len(leaves) - 1))
    root, size = root_of(leaves), len(leaves)
    proof = inclusion_proof(leaves, leaf_no)
    leaf = leaves[leaf_no]
    assert includes(root, size=size, leaf_no=leaf_no, leaf=leaf, proof=proof)
    assert not includes(root, size=size, leaf_no=leaf_no, leaf=leaf_hash(b"other"), proof=proof)
    assert not includes(root, size=size, leaf_no=leaf_no, leaf=leaf, proof=[*proof, leaf])
    assert not includes(root, size=size, leaf_no=size, leaf=leaf, proof=proof)


@given(leaf_lists, st.data())
def test_a_longer_log_is_proven_to_extend_the_shorter_and_a_forked_one_is_not(leaves, data):
    old_size = data.draw(st.integers(1, len(leaves)))
    old, new = root_of(leaves[:old_size]), root_of(leaves)
    proof = consistency_proof(leaves, old_size)
    assert extends(old, old_size, new, len(leaves), proof)
    forked = root_of([*leaves[: old_size - 1], leaf_hash(b"forked")])
    assert forked == old or not extends(forked, old_size, new, len(leaves), proof)


@dataclass
class Change:
    field: str
    value: object


@pytest.mark.parametrize(
    "change",
    [
        Change("amount_minor", 76_001),
        Change("currency", "USD"),
        Change("payment_id", None),
        Change("attempt_no", None),
        Change("reverses", UUID(int=6)),
        Change("effective_on", date(2026, 3, 2)),
        Change("booked_on", date(2026, 3, 1)),
        Change("posted_at", datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)),
        Change("xid", 901),
        Change("actor_id", UUID(int=8)),
    ],
    ids=lambda change: change.field,
)
def test_every_change_of_a_transfer_changes_its_leaf(change):
    other = msgspec.structs.replace(TRANSFER, **{change.field: change.value})
    assert leaf_bytes(other, bytes(16)) != leaf_bytes(TRANSFER, bytes(16))


def test_the_leaf_of_a_transfer_stays_what_it_was():
    # A change here makes every log that was ever sealed unreadable.
    assert leaf_hash(leaf_bytes(TRANSFER, bytes(range(16)))).hex() == (
        "4cda6f68878742d1ffb306e768be0b1c1777355d94b9b445a765559247387675"
    )


def test_the_salt_hides_the_transfer():
    assert leaf_bytes(TRANSFER, bytes(16)) != leaf_bytes(TRANSFER, b"\x01" * 16)
    with pytest.raises(ValueError, match="salt"):
        leaf_bytes(TRANSFER, b"")


def test_the_note_of_the_specification_is_opened():
    # From the documentation of golang.org/x/mod/sumdb/note.
    name, key = "PeterNeumann", "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    body = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
    )
    signed = (
        body
        + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvq"
        "fqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    public_key = Ed25519PublicKey.from_public_bytes(b64decode(key)[1:])
    assert note.key_hash(name, public_key).hex() == "c74f20a3"
    assert note.opened(signed, public_key=public_key, name=name) == body
    assert note.opened(signed.replace("you", "we"), public_key=public_key, name=name) is None


def test_a_checkpoint_reads_back_and_only_under_its_own_key_and_name():
    signer = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    made = note.checkpoint(8, bytes.fromhex(ROOTS[7]), signer=signer, name="cbi.example/ledger")
    key = signer.public_key()
    assert made.note.startswith("cbi.example/ledger\n8\nXcnaeacGWamtVZy3Ad7Zoqudgjqt")
    assert note.read_checkpoint(made.note, public_key=key, name="cbi.example/ledger") == made
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    assert note.read_checkpoint(made.note, public_key=other, name="cbi.example/ledger") is None
    assert note.read_checkpoint(made.note, public_key=key, name="cbi.example/other") is None


@given(st.text(max_size=200))
def test_any_text_is_read_as_a_checkpoint_or_refused(text):
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    assert note.read_checkpoint(text, public_key=key, name="cbi.example/ledger") is None
