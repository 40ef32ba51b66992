"""Any file is staged or refused, and what is staged comes back as it was read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi import household
from cbi.imported import FAULTS_KEPT_MAX, Import, registration_of, staged
from cbi.refusal import FileUnreadable
from tests.cbi.world import AT, TODAY, family
from tests.conftest import PARTNER_A

FORMATS = ["json", "ndjson", "csv", "kobo", "xlsx"]


@pytest.mark.parametrize("format_", FORMATS)
@given(content=st.binary(min_size=1, max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_staged_or_refused(format_, content):
    try:
        rows = list(staged(content, format=format_, ubigeo_system="inei", today=TODAY))
    except FileUnreadable:
        return
    for row in rows:
        assert len(row.faults) <= FAULTS_KEPT_MAX
        assert row.content is None or registration_of(row.content).persons


def test_a_registration_comes_back_from_staging_as_it_was_read():
    raws = [family(number, size=1 + number % 5) for number in range(20)]
    content = json.dumps(raws).encode()
    rows = list(staged(content, format="json", ubigeo_system="inei", today=TODAY))
    assert [registration_of(row.content) for row in rows] == [
        household.read(raw, today=TODAY).registration for raw in raws
    ]


def test_a_fault_tells_its_place_and_its_value_masked():
    raw = family(1, ubigeo="24010199")
    rows = staged(json.dumps([raw]).encode(), format="json", ubigeo_system="inei", today=TODAY)
    (row,) = rows
    assert row.content is None
    (fault,) = [each for each in row.faults if each.column.endswith("ubigeo")]
    assert fault.value == "24****99"


@pytest.mark.parametrize(
    ("size", "lengths"), [(1, [1]), (8 << 20, [8 << 20]), ((8 << 20) + 5, [8 << 20, 5])]
)
def test_a_file_is_cut_into_pieces_of_which_the_last_may_be_shorter(size, lengths):
    opened = Import(
        **dict.fromkeys(("import_id", "actor_id", "partner_id"), PARTNER_A),
        area="",
        file_digest=b"",
        attempt_no=1,
        bytes=size,
        format="csv",
        ubigeo_system="inei",
        accept_valid=False,
        opened_at=AT,
    )
    assert [opened.bytes_of(number + 1) for number in range(opened.pieces)] == lengths
