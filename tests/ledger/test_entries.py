"""What an entry of camt.053 and camt.054 says besides who was paid how much."""

import subprocess
import sys
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest

from ledger.formats import xml
from ledger.formats.read import read, read_all, read_file
from ledger.formats.xml import Unreadable
from ledger.money import Money
from tests.ledger.test_formats import camt, container, detail, document, entry, pacs, returned

ROOT = Path(__file__).parent.parent.parent


def reasons(found):
    return [(one.ordinal, one.where, one.reason) for one in found.rejected]


def test_an_entry_tells_its_batch_its_days_and_its_charges():
    batch = "<Btch><MsgId>M</MsgId><PmtInfId>P</PmtInfId><NbOfTxs>3</NbOfTxs></Btch>"
    more = (
        "<ValDt><Dt>2026-10-03</Dt></ValDt><AcctSvcrRef>bank-1</AcctSvcrRef><Chrgs>"
        '<TtlChrgsAndTaxAmt Ccy="PEN">1.50</TtlChrgsAndTaxAmt></Chrgs>'
        f"<NtryDtls>{batch}</NtryDtls><AddtlNtryInf>lote de octubre</AddtlNtryInf>"
    )
    (line,) = read(camt(entry(more=more))).lines
    assert (line.batch_id, line.batch_count, line.bank_reference) == ("P", 3, "bank-1")
    assert (line.value_on, line.fees) == (
        date(2026, 10, 3),
        Money(amount_minor=150, currency="PEN"),
    )
    assert line.reference == "lote de octubre"


@pytest.mark.parametrize(
    ("charges", "minor"),
    [
        ('<Chrgs><Amt Ccy="PEN">1.00</Amt></Chrgs><Chrgs><Amt Ccy="PEN">2.00</Amt></Chrgs>', 300),
        (
            '<Chrgs><Rcrd><Amt Ccy="PEN">.</Amt></Rcrd></Chrgs>',
            0,
        ),
        ('<Chrgs><Amt Ccy="ZZZ">1.00</Amt></Chrgs>', 0),
        ('<Chrgs><Amt Ccy="PEN">1.00</Amt></Chrgs><Chrgs><Amt Ccy="USD">2.00</Amt></Chrgs>', 0),
    ],
)
def test_charges_add_up_or_are_not_told(charges, minor):
    (line,) = read(camt(entry(more=charges))).lines
    assert (line.fees.amount_minor if line.fees else 0) == minor


def test_a_detail_tells_the_transaction_and_the_other_side():
    more = (
        "<RltdPties><DbtrAcct><Id><Othr><Id>1</Id></Othr></Id></DbtrAcct>"
        "<CdtrAcct><Id><IBAN>NL2</IBAN></Id></CdtrAcct></RltdPties>"
        "<RmtInf><Ustrd>uno</Ustrd><Ustrd>dos</Ustrd></RmtInf>"
    )
    uetr = "EB6305C9-1F7F-49DE-AED0-16487C27B42D"
    one = detail("p1", more=more).replace("<EndToEndId>", f"<UETR>{uetr}</UETR><EndToEndId>")
    out, back = read(camt(entry(one) + entry(one, side="CRDT"))).lines
    assert (out.uetr, out.account, back.account) == (uetr.lower(), "NL2", "1")
    assert (out.reference, out.batch_id, out.batch_count) == ("uno dos", "ronda-1", None)


def test_payments_that_share_the_reference_of_their_entry_are_told_apart_by_their_place():
    shared = entry(detail("p1", "4.00"), detail("p1", "4.00"), amount="8.00")
    first, second = read(camt(shared)).lines
    assert first.bank_reference == second.bank_reference == "ref-1"
    assert (first.identity, second.identity) == ("ref-1/1", "ref-1/2")


@pytest.mark.parametrize("version", ["10", "13", "14"])
def test_later_versions_are_read_alike(version):
    message = f"camt.053.001.{version}"
    assert read(camt(entry(detail()), message)).lines == read(camt(entry(detail()))).lines


@pytest.mark.parametrize("version", range(2, 12))
def test_returns_of_every_version(version):
    message = f"pacs.004.001.{version:02d}"
    found = read(pacs(returned()).replace(b"pacs.004.001.09", message.encode()))
    assert [line.status for line in found.lines] == ["returned"]


def declared(**numbers):
    parts = "".join(
        f"<{name}>"
        + "".join(f"<{tag}>{value}</{tag}>" for tag, value in told.items())
        + f"</{name}>"
        for name, told in numbers.items()
    )
    return f"<TxsSummry>{parts}</TxsSummry>"


TWO = entry(detail()) + entry(detail("p2"), side="CRDT", amount="2.50")


@pytest.mark.parametrize(
    ("summary", "wrong"),
    [
        (declared(TtlNtries={"NbOfNtries": 2, "Sum": "12.50"}), []),
        (declared(TtlCdtNtries={"NbOfNtries": 1, "Sum": "2.5"}), []),
        (declared(TtlDbtNtries={"NbOfNtries": 1, "Sum": "10"}), []),
        (declared(TtlNtries={"NbOfNtries": 3}), ["TtlNtries/NbOfNtries"]),
        (declared(TtlNtries={"NbOfNtries": "two"}), ["TtlNtries/NbOfNtries"]),
        (declared(TtlNtries={"Sum": "12.51"}), ["TtlNtries/Sum"]),
        (declared(TtlNtries={"Sum": "9" * 50}), ["TtlNtries/Sum"]),
        (declared(TtlDbtNtries={"NbOfNtries": 2, "Sum": "10.00"}), ["TtlDbtNtries/NbOfNtries"]),
        (declared(TtlCdtNtries={"Sum": "2.501"}), ["TtlCdtNtries/Sum"]),
    ],
)
def test_what_a_statement_declares_is_held_against_what_was_read(summary, wrong):
    found = read(camt(summary + TWO))
    assert [where for _, where, _ in reasons(found)] == [
        f"Stmt[1]/TxsSummry/{one}" for one in wrong
    ]
    assert len(found.lines) == 2


def test_entries_that_are_announced_may_be_counted_or_not():
    announced = entry(detail("p3"), status="<Cd>PDNG</Cd>")
    for number, wrong in ((2, 0), (3, 0), (4, 1)):
        summary = declared(TtlNtries={"NbOfNtries": number, "Sum": "999"})
        assert len(read(camt(summary + TWO + announced)).rejected) == wrong


def test_a_sum_that_holds_what_could_not_be_read_proves_nothing():
    bad = entry(detail("p3"), amount="un sol")
    found = read(camt(declared(TtlNtries={"NbOfNtries": 3, "Sum": "999.00"}) + TWO + bad))
    assert [where for _, where, _ in reasons(found)] == ["Stmt[1]/Ntry[3]/Amt"]


@pytest.mark.parametrize(
    "content",
    [
        camt(entry(detail())).replace(b"</Acct>", b"</Akkt>"),
        camt("\n" * 70_000 + entry(detail()) + "<x></y>"),
        b"\n\nno XML at all",
    ],
)
def test_what_is_not_well_formed_is_refused_with_line_and_byte(content):
    with pytest.raises(Unreadable) as refused:
        read(content)
    line, byte = (int(part.rpartition(" ")[2]) for part in refused.value.where.split(", "))
    assert 1 <= line <= content.count(b"\n") + 1
    begin = len(b"".join(content.splitlines(keepends=True)[: line - 1]))
    assert begin <= byte <= len(content)


@pytest.mark.parametrize("piece", [13, 64, 1 << 20])
@pytest.mark.parametrize("marker", [b"<!DOCTYPE a>", b"<!ENTITY a>", b"\0"])
def test_what_is_forbidden_is_found_across_the_pieces_that_are_read(monkeypatch, piece, marker):
    monkeypatch.setattr(xml, "PIECE_BYTES", piece)
    content = camt("\n" + entry(detail()) * 3)
    for at in range(80, 400, 7):
        hostile = content[:at] + marker + content[at:]
        with pytest.raises(Unreadable) as refused:
            list(read_file(BytesIO(hostile)))
        line = hostile[:at].count(b"\n") + 1
        assert refused.value.where == f"line {line}, byte {at}"


def test_an_encoding_that_is_declared_far_behind_is_refused():
    content = camt(entry(detail())).replace(b'"UTF-8"?>', b'"UTF-7"' + b" " * 200_000 + b"?>")
    with pytest.raises(Unreadable):
        read_all(content)


def test_a_thousand_statements_are_the_limit():
    many = "".join(container("camt.053", "", number) for number in range(1001))
    content = document("camt.053.001.08", f"<BkToCstmrStmt>{many}</BkToCstmrStmt>")
    with pytest.raises(Unreadable, match="more than 1000"):
        read_all(content)


def test_one_entry_that_grows_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(xml, "ELEMENT_BYTES_MAX", 100_000)
    many = "".join(detail(f"p{number}", "0.01") for number in range(3_000))
    with pytest.raises(Unreadable, match="one element of more than 100000 bytes"):
        read(camt(entry(many)))
    assert len(read(camt(entry(detail()) * 3_000)).lines) == 3_000


def test_a_file_that_hides_its_size_beside_the_entries_is_refused():
    with pytest.raises(Unreadable, match="beside the entries"):
        read(camt((entry(detail()) + "<x/>") * 2_100))


MEASURED = """
import resource, sys
from ledger.formats.read import read_file
from tests.ledger.test_formats import balance, camt, detail, entry
def grown():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
lines, path = int(sys.argv[1]), sys.argv[2]
head, middle, tail = camt(balance("OPBD", "1.00") + "|").partition(b"|")
with open(path, "wb") as file:
    file.write(head)
    for number in range(lines):
        file.write((entry(detail(f"p{number}")) + "\\n").encode())
    file.write(tail)
with open(path, "rb") as file:
    count = sum(1 for _ in zip(read_file(file), range(1000)))
    before = grown()
    count = sum(1 for _ in read_file(file))
print(count, (grown() - before) // 1024)
"""


def test_reading_200_000_entries_takes_no_more_memory_than_a_thousand(tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", MEASURED, "200000", str(tmp_path / "large.xml")],
        check=True,
        capture_output=True,
        cwd=ROOT,
        text=True,
    ).stdout
    parts, grown_mb = map(int, told.split())
    assert parts == 200_001
    assert grown_mb < 16
