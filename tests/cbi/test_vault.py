"""What is sealed opens with its own key, for its own owner and kind, or not at all."""

from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi.vault import (
    NONCE_BYTES,
    Broken,
    Vault,
    WrappedKey,
    keyed_digest,
    keyed_int,
    open_as,
    open_bytes,
    seal,
)

OWNER, OTHER = uuid4(), uuid4()
OLD, NEW = b"o" * 32, b"n" * 32


class Note(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    years: tuple[int, ...] = ()


@given(st.text(), st.lists(st.integers(0, 2**53)))
def test_what_is_sealed_opens_as_it_was(name, years):
    key, _ = Vault({"one": OLD}).new_key(OWNER)
    note = Note(name=name, years=tuple(years))
    sealed = seal(key, note, kind="person", owner=OWNER)
    assert open_as(key, sealed, Note, kind="person", owner=OWNER) == note


@given(st.binary())
def test_bytes_are_sealed_as_they_are(content):
    key, _ = Vault({"one": OLD}).new_key(OWNER)
    sealed = seal(key, content, kind="file", owner=OWNER)
    assert open_bytes(key, sealed, kind="file", owner=OWNER) == content


def test_a_wrapped_key_opens_for_its_owner_only():
    vault = Vault({"one": OLD})
    key, wrapped = vault.new_key(OWNER)
    assert vault.unwrap(wrapped, OWNER) == key
    with pytest.raises(Broken):
        vault.unwrap(wrapped, OTHER)
    with pytest.raises(Broken):
        Vault({"one": NEW}).unwrap(wrapped, OWNER)
    with pytest.raises(Broken, match="no wrapping key one"):
        Vault({"two": OLD}).unwrap(wrapped, OWNER)


@pytest.mark.parametrize(
    ("key", "kind", "owner"),
    [(NEW, "person", OWNER), (OLD, "household", OWNER), (OLD, "person", OTHER)],
)
def test_another_key_kind_or_owner_does_not_open(key, kind, owner):
    sealed = seal(OLD, Note(name="Ana"), kind="person", owner=OWNER)
    with pytest.raises(Broken):
        open_as(key, sealed, Note, kind=kind, owner=owner)


def test_one_altered_or_missing_byte_anywhere_does_not_open():
    sealed = seal(OLD, Note(name="Ana"), kind="person", owner=OWNER)
    _, wrapped = Vault({"one": OLD}).new_key(OWNER)
    for place in range(len(sealed)):
        altered = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        for broken in (altered, sealed[:place], sealed[:place] + sealed[place + 1 :]):
            with pytest.raises(Broken):
                open_as(OLD, broken, Note, kind="person", owner=OWNER)
    for place in range(len(wrapped.wrapped)):
        cut = WrappedKey(kek_id="one", wrapped=wrapped.wrapped[:place])
        with pytest.raises(Broken):
            Vault({"one": OLD}).unwrap(cut, OWNER)


def test_nothing_is_sealed_twice_the_same_way():
    sealed = {seal(OLD, Note(name="Ana"), kind="person", owner=OWNER) for _ in range(500)}
    assert len({each[:NONCE_BYTES] for each in sealed}) == 500
    vault = Vault({"one": OLD})
    assert len({vault.new_key(OWNER)[0] for _ in range(500)}) == 500


def test_a_message_says_nothing_of_its_text():
    sealed = seal(OLD, Note(name="Yaquelin"), kind="person", owner=OWNER)
    assert b"Yaquelin" not in sealed
    assert b"name" not in sealed


def test_after_a_rotation_old_keys_open_and_new_ones_seal():
    key, wrapped = Vault({"old": OLD}).new_key(OWNER)
    rotated = Vault({"new": NEW, "old": OLD})
    assert rotated.unwrap(wrapped, OWNER) == key
    _, fresh = rotated.new_key(OWNER)
    assert fresh.kek_id == "new"
    with pytest.raises(Broken):
        Vault({"old": OLD}).unwrap(fresh, OWNER)


PARTS = st.lists(st.text(), max_size=4)


@given(PARTS, PARTS)
def test_two_lists_of_parts_share_a_digest_only_if_they_are_equal(one, other):
    same = keyed_digest(OLD, *one) == keyed_digest(OLD, *other)
    assert same == (one == other)


@given(st.text(), st.text(), st.integers(0, 5))
def test_where_one_part_ends_matters(first, second, cut):
    moved = (first + second[:cut], second[cut:])
    same = keyed_digest(OLD, first, second) == keyed_digest(OLD, *moved)
    assert same == (moved == (first, second))


@given(PARTS)
def test_a_keyed_number_fits_a_bigint_and_needs_the_key(parts):
    number = keyed_int(OLD, *parts)
    assert -(2**63) <= number < 2**63
    assert number != keyed_int(NEW, *parts)
