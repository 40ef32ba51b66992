"""MT940 as banks write it, in pages, with bad lines, and as nobody should."""

import logging
from datetime import date
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.formats import mt940
from ledger.formats.read import read, read_all
from ledger.formats.xml import Unreadable
from ledger.money import Money

OURS = "0123456789abcdef01234567890abcde01"
FIRST = """:20:STARTUMSE
:25:01136600010003254221
:28C:00012/001
:60F:C261001PEN1000,00
"""
LINES = f"""\
:61:2610021001D10,50NTRFNONREF//BK1
:86:177?00SEPA?20EREF+{OURS[:22]}?21{OURS[22:]}SVWZ+ayuda ROSA DIAZ
:61:261002D20,NTRFlote-7
:86:Pago a ROSA DIAZ
/EREF/E-2/IBAN/NL91ABNA0417164300/
:61:261002RD1,NTRFNONREF//BK3
:61:261002C2,NRTINONREF//BK4
:61:261002RC3,NTRFNONREF//BK5
"""


def message(lines=LINES, closing=":62F:C261002PEN969,50\n", first=FIRST):
    return f"{{1:F01X}}{{2:I940XN}}{{4:\n{first}{lines}{closing}-}}\n".encode()


def pen(minor):
    return Money(amount_minor=minor, currency="PEN")


def test_a_statement_with_lines_of_every_mark():
    found = read(message())
    assert (found.source, found.account, found.sequence) == ("mt940", "01136600010003254221", 12)
    assert (found.message_id, found.booked_on) == ("STARTUMSE 12 2026-10-02", date(2026, 10, 2))
    assert (found.opening, found.closing) == (pen(100_000), pen(96_950))
    assert [(one.status, one.direction, one.money.amount_minor) for one in found.lines] == [
        ("booked", "debit", 1050),
        ("booked", "debit", 2000),
        ("returned", "credit", 100),
        ("returned", "credit", 200),
        ("booked", "debit", 300),
    ]
    assert found.rejected == ()


def test_what_a_line_and_its_details_say():
    first, second, third, *_ = read(message()).lines
    assert (first.end_to_end_id, first.bank_reference) == (OURS, "BK1")
    assert (first.value_on, first.booked_on) == (date(2026, 10, 2), date(2026, 10, 1))
    assert OURS in first.reference.replace(" ", "")
    assert (second.end_to_end_id, second.batch_id) == ("E-2", "lote-7")
    assert second.account == "NL91ABNA0417164300"
    assert (third.end_to_end_id, third.reference) == ("", "")


def test_pages_of_one_statement_are_one():
    page = message(LINES, ":62M:C261002PEN969,50\n") + message(
        ":61:261002C1,NTRFNONREF\n",
        ":62F:C261002PEN970,50\n",
        ":20:STARTUMSE\n:25:01136600010003254221\n:28C:12/2\n:60M:C261002PEN969,50\n",
    )
    found = read(page)
    assert (found.opening, found.closing, len(found.lines)) == (pen(100_000), pen(97_050), 6)
    other = page.replace(b":28C:12/2", b":28C:13/1")
    assert [len(one.lines) for one in read_all(other)] == [5, 1]
    assert [line.ordinal for one in read_all(other) for line in one.lines] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (":61:261002X1,NTRF", "not a statement line"),
        (":61:261302D1,NTRF", "not a date"),
        (":61:2610021332D1,NTRF", "not a date"),
        (":61:261002D1,005NTRF", "not an amount of its currency"),
        (":61:261002D1,0,0NTRF", "not an amount of its currency"),
        (":61:261002D٣,NTRF", "not an amount of its currency"),
        (":61:", "not a statement line"),
    ],
)
def test_a_bad_line_is_rejected_and_the_rest_is_read(line, reason):
    found = read(message(f"{line}\n{LINES}"))
    assert [(one.where, one.reason) for one in found.rejected] == [("line 6/:61:", reason)]
    assert [one.ordinal for one in found.lines] == [2, 3, 4, 5, 6]


def test_a_balance_that_can_not_be_read_leaves_the_lines_without_a_currency():
    found = read(message(first=FIRST.replace("C261001PEN", "C261001ZZZ")))
    assert (found.lines, found.opening) == ((), None)
    assert {one.reason for one in found.rejected} == {"currency unknown"}


def test_a_day_of_booking_beyond_the_new_year_is_in_the_year_beside():
    found = read(message(":61:2601021231D1,NTRF\n:61:2512310102D1,NTRF\n"))
    assert [line.booked_on for line in found.lines] == [date(2025, 12, 31), date(2026, 1, 2)]


@pytest.mark.parametrize(
    "hostile",
    [
        b":20:" + b"x" * 5_000,
        FIRST.encode() + b":86:" + b"a\n" * 5_000,
        FIRST.encode() + b"\0",
        b":20:",
        b":20:x\n:25:y\n" * 1_500,
    ],
)
def test_what_is_no_statement_or_too_long_is_refused(hostile):
    with pytest.raises(Unreadable) as refused:
        read(hostile)
    assert "x" * 10 not in str(refused.value)


def test_what_can_not_be_read_is_in_no_log(caplog):
    with caplog.at_level(logging.DEBUG):
        read(message(":61:ROSA DIAZ\n:61:261302DROSA\n", closing=":62F:ROSA DIAZ\n"))
    assert "ROSA" not in caplog.text


WORST = [
    ":61:" + "1" * 900,
    ":61:261002D" + "1" * 15 + "A" * 900,
    ":61:261002D1,NTRF" + "/" * 900,
    ":61:261002D1,NTRF" + "//" + "x" * 900,
    ":86:" + "EREF+" * 200,
    ":86:" + "/EREF/" * 150,
    ":86:" + "?20" * 330,
    ":86:" + "\n".join(["?20EREF+ " + "a" * 60] * 50),
]


@pytest.mark.parametrize("field", WORST, ids=range(len(WORST)))
def test_the_worst_fields_take_no_longer_than_others(field, benchmark_seconds):
    content = message(f":61:261002D1,NTRF\n{field}\n" * 200)
    seconds = benchmark_seconds(lambda: read_all(content))
    assert seconds < 2


@pytest.fixture
def benchmark_seconds():
    def measured(work):
        begin = process_time()
        work()
        return process_time() - begin

    return measured


def outcome(content):
    try:
        return read_all(content)
    except Unreadable:
        return None


@given(st.binary(max_size=300))
def test_any_bytes_parse_or_are_refused(content):
    outcome(b":20:" + content)
    outcome(FIRST.encode() + content)
    outcome(message(content.decode("latin-1")))


@given(st.data())
def test_a_statement_with_any_part_changed_parses_or_is_refused(data):
    content = message()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = min(len(content), start + data.draw(st.integers(0, 30)))
        piece = data.draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(
                    [b":61:", b":20:", b"\n", b":62F:", b"9" * 20, b",", b"\n-", b"{4:"]
                ),
            )
        )
        content = content[:start] + piece + content[stop:]
    outcome(content)


def test_only_what_begins_like_it_is_taken_for_it():
    assert mt940.looks_like(message()[:4096])
    assert mt940.looks_like(b"\n:20:x")
    assert not mt940.looks_like(b"<?xml ?>")
