"""Bank messages of every version that is read, good, bad and hostile."""

from datetime import date
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.formats import xml
from ledger.formats.read import read, read_all, read_file
from ledger.formats.xml import Unreadable
from ledger.money import Money
from ledger.statement import Statement

CAMT = [f"camt.05{kind}.001.0{version}" for kind in "34" for version in "248"]
PAIN = ["pain.002.001.03", "pain.002.001.10"]


def document(message, body):
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{xml.NAMESPACE}{message}">'
    return f"{head}{body}</Document>".encode()


def detail(end_to_end_id="p1", amount="", more=""):
    amt = f'<Amt Ccy="PEN">{amount}</Amt>' if amount else ""
    refs = f"<MsgId>ronda-1</MsgId><EndToEndId>{end_to_end_id}</EndToEndId>"
    party = "<RltdPties><Cdtr><Pty><Nm>Rosa Díaz</Nm></Pty></Cdtr></RltdPties>"
    return f"<TxDtls><Refs>{refs}</Refs>{amt}{party}{more}</TxDtls>"


def entry(*details, amount="10.00", side="DBIT", status="<Cd>BOOK</Cd>", more="", day="2026-10-01"):
    inner = f"<NtryDtls>{''.join(details)}</NtryDtls>" if details else ""
    return (
        f'<Ntry><NtryRef>ref-1</NtryRef><Amt Ccy="PEN">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
        f"<Sts>{status}</Sts><BookgDt><Dt>{day}</Dt></BookgDt>{more}{inner}</Ntry>"
    )


def balance(code, amount, side="CRDT", day="2026-10-01"):
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="PEN">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>'
    )


def container(message, inner, number=7):
    tag = "Stmt" if "053" in message else "Ntfctn"
    return (
        f"<{tag}><Id>s{number}</Id><ElctrncSeqNb>{number}</ElctrncSeqNb>"
        "<CreDtTm>2026-10-02T00:00:00-05:00</CreDtTm>"
        f"<Acct><Id><IBAN>NL94MOCK0191000001</IBAN></Id><Ccy>PEN</Ccy></Acct>{inner}</{tag}>"
    )


def camt(inner, message="camt.053.001.08"):
    root = "BkToCstmrStmt" if "053" in message else "BkToCstmrDbtCdtNtfctn"
    header = "<GrpHdr><MsgId>m1</MsgId><CreDtTm>2026-10-02T00:00:00Z</CreDtTm></GrpHdr>"
    body = inner if inner.startswith(("<Stmt", "<Ntfctn")) else container(message, inner)
    return document(message, f"<{root}>{header}{body}</{root}>")


def pain(transactions="", message="pain.002.001.10", group="", batch=""):
    return document(
        message,
        "<CstmrPmtStsRpt><GrpHdr><MsgId>m1</MsgId><CreDtTm>2026-10-01T09:00:00</CreDtTm></GrpHdr>"
        f"<OrgnlGrpInfAndSts><OrgnlMsgId>ronda-1</OrgnlMsgId>{group}</OrgnlGrpInfAndSts>"
        f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>b</OrgnlPmtInfId>{batch}{transactions}"
        "</OrgnlPmtInfAndSts></CstmrPmtStsRpt>",
    )


def status(code, end_to_end_id="p1", more=""):
    sts = f"<TxSts>{code}</TxSts>" if code else ""
    return (
        f"<TxInfAndSts><OrgnlEndToEndId>{end_to_end_id}</OrgnlEndToEndId>{sts}{more}</TxInfAndSts>"
    )


def pacs(transactions):
    return document(
        "pacs.004.001.09",
        "<PmtRtr><GrpHdr><MsgId>m1</MsgId><CreDtTm>2026-10-05T08:00:00Z</CreDtTm>"
        "<IntrBkSttlmDt>2026-10-06</IntrBkSttlmDt></GrpHdr>"
        f"<OrgnlGrpInf><OrgnlMsgId>ronda-1</OrgnlMsgId></OrgnlGrpInf>{transactions}</PmtRtr>",
    )


def returned(amount="10.00", end_to_end_id="p1"):
    return (
        f"<TxInf><RtrId>r1</RtrId><OrgnlEndToEndId>{end_to_end_id}</OrgnlEndToEndId>"
        f'<RtrdIntrBkSttlmAmt Ccy="PEN">{amount}</RtrdIntrBkSttlmAmt>'
        "<RtrRsnInf><Rsn><Cd>AC06</Cd></Rsn></RtrRsnInf></TxInf>"
    )


RETURN_INFO = "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"
RETURN_CODE = (
    "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>ICDT</Cd>"
    "<SubFmlyCd>RRTN</SubFmlyCd></Fmly></Domn></BkTxCd>"
)
REASON = "<StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf>"
GOOD = [
    camt(
        balance("OPBD", "20.00") + balance("CLBD", "10.00") + entry(detail()) + entry(detail("p2"))
    ),
    camt(entry(detail(more=RETURN_INFO), side="CRDT"), "camt.054.001.08"),
    pain(status("ACCP") + status("RJCT", "p2", REASON)),
    pain(group="<GrpSts>RJCT</GrpSts>" + REASON),
    pacs(returned() + returned(end_to_end_id="p2")),
]


def facts(line):
    minor = line.money.amount_minor if line.money else None
    return line.status, line.direction, line.end_to_end_id, minor, line.reason


@pytest.mark.parametrize("message", CAMT)
def test_camt_of_every_version(message):
    old = message.endswith(("2", "4"))
    booked = "BOOK" if old else "<Cd>BOOK</Cd>"
    inner = (
        balance("OPBD", "100.00")
        + balance("CLBD", "5.00", "DBIT")
        + entry(detail(), amount="105.00", status=booked)
    )
    found = read(camt(inner, message))
    assert [facts(line) for line in found.lines] == [("booked", "debit", "p1", 10_500, "")]
    assert found.rejected == ()
    assert (found.source, found.message_id, found.sequence) == (message[:8], "s7", 7)
    assert (found.account, found.currency) == ("NL94MOCK0191000001", "PEN")
    assert found.original_message_id == "ronda-1"
    assert found.lines[0].booked_on == date(2026, 10, 1)
    assert found.lines[0].bank_reference == "ref-1"
    if found.source == "camt.053":
        assert found.opening == Money(amount_minor=10_000, currency="PEN")
        assert found.closing == Money(amount_minor=-500, currency="PEN")
        assert found.booked_on == date(2026, 10, 1)
    else:
        assert (found.opening, found.closing) == (None, None)
        assert found.booked_on == date(2026, 10, 2)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (entry(detail(), side="CRDT"), ("booked", "credit", "p1", 1000, "")),
        (entry(detail(more=RETURN_INFO), side="CRDT"), ("returned", "credit", "p1", 1000, "AC04")),
        (entry(detail(), side="CRDT", more=RETURN_CODE), ("returned", "credit", "p1", 1000, "")),
        (entry(detail(more=RETURN_CODE), side="CRDT"), ("returned", "credit", "p1", 1000, "")),
        (entry(detail(more=RETURN_INFO)), ("booked", "debit", "p1", 1000, "AC04")),
        (
            entry(detail(), side="CRDT", more="<RvslInd>true</RvslInd>"),
            ("returned", "credit", "p1", 1000, ""),
        ),
        (entry(detail("NOTPROVIDED")), ("booked", "debit", "", 1000, "")),
        (entry(), ("booked", "debit", "", 1000, "")),
        (
            entry(detail(more="<RtrInf><Rsn><Prtry>Rosa Díaz</Prtry></Rsn></RtrInf>"), side="CRDT"),
            ("returned", "credit", "p1", 1000, "NARR"),
        ),
    ],
)
def test_what_an_entry_means(written, meant):
    found = read(camt(written))
    assert [facts(line) for line in found.lines] == [meant]
    assert "Rosa" not in repr(found)


def test_a_batch_booking_becomes_a_line_for_each_detail():
    batch = entry(detail("p1", "4.00"), detail("p2", "6.00"), amount="10.00")
    found = read(camt(batch + entry(detail("p3"))))
    assert [facts(line)[2:4] for line in found.lines] == [("p1", 400), ("p2", 600), ("p3", 1000)]
    assert [line.ordinal for line in found.lines] == [1, 2, 3]


@pytest.mark.parametrize(
    "details",
    [
        (detail("p1", "4.00"), detail("p2", "5.00")),
        (detail("p1", "10.00"), detail("p2")),
        (detail("p1", "9.00"),),
    ],
)
def test_details_that_do_not_carry_the_entry_leave_the_amount_that_moved(details):
    found = read(camt(entry(*details, amount="10.00")))
    assert [line.money.amount_minor for line in found.lines] == [1000]
    assert [(r.ordinal, r.where) for r in found.rejected] == [(2, "Stmt[1]/Ntry[1]/NtryDtls")]


def test_entries_that_are_only_announced_are_no_facts_yet():
    found = read(camt(entry(detail(), status="<Cd>PDNG</Cd>") + entry(detail("p2"))))
    assert [line.end_to_end_id for line in found.lines] == ["p2"]
    assert found.rejected == ()


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        (entry(detail(), amount="1e9"), "Amt"),
        (entry(detail(), amount="NaN"), "Amt"),
        (entry(detail(), amount="-10.00"), "Amt"),
        (entry(detail(), amount="10,00"), "Amt"),
        (entry(detail(), amount="٣"), "Amt"),
        (entry(detail(), amount="1.005"), "Amt"),
        (entry(detail(), amount="9" * 40), "Amt"),
        (entry(detail(), amount=""), "Amt"),
        (entry(detail()).replace("PEN", "XXX"), "Amt"),
        (entry(detail(), side="SIDEWAYS"), "CdtDbtInd"),
        (entry(detail(), status="<Cd>MAYBE</Cd>"), "Sts"),
        (entry(detail(), day="2026-02-30"), "BookgDt/Dt"),
        (entry(detail(), day="20260201"), "BookgDt/Dt"),
        (entry(detail("x" * 36)), "Refs/EndToEndId"),
    ],
)
def test_a_bad_entry_is_rejected_and_the_rest_is_read(bad, where):
    found = read(camt(bad + entry(detail("p2"))))
    assert [line.end_to_end_id for line in found.lines] == ["p2"]
    assert [rejected.where for rejected in found.rejected] == [f"Stmt[1]/Ntry[1]/{where}"]
    assert [rejected.ordinal for rejected in found.rejected] == [1]
    assert [line.ordinal for line in found.lines] == [2]


def test_a_balance_that_cannot_be_read_is_no_balance():
    found = read(camt(balance("OPBD", "1e3") + balance("CLBD", "10.00") + entry(detail())))
    assert (found.opening, len(found.lines)) == (None, 1)
    assert [rejected.where for rejected in found.rejected] == ["Stmt[1]/Bal/Amt"]


def test_several_statements_in_one_file():
    message = "camt.054.001.08"
    both = container(message, entry(detail())) + container(message, entry(detail("p2")), 8)
    first, second = read_all(camt(both, message))
    assert [(s.message_id, s.lines[0].end_to_end_id) for s in (first, second)] == [
        ("s7", "p1"),
        ("s8", "p2"),
    ]
    assert second.lines[0].ordinal == 2
    with pytest.raises(Unreadable, match="2 statements"):
        read(camt(both, message))


@pytest.mark.parametrize("message", PAIN)
@pytest.mark.parametrize("code", ["ACCP", "ACTC", "ACSP", "ACWC", "PDNG", "ACSC"])
def test_a_status_report_of_every_version(message, code):
    found = read(pain(status(code) + status("RJCT", "p2", REASON), message))
    assert [facts(line) for line in found.lines] == [
        ("accepted", "debit", "p1", None, ""),
        ("rejected", "debit", "p2", None, "AC04"),
    ]
    assert (found.source, found.original_message_id) == ("pain.002", "ronda-1")


@pytest.mark.parametrize(
    ("report", "lines"),
    [
        (pain(group="<GrpSts>RJCT</GrpSts>" + REASON), [("rejected", "debit", "", None, "AC04")]),
        (pain(group="<GrpSts>ACTC</GrpSts>"), [("accepted", "debit", "", None, "")]),
        (pain(group="<GrpSts>RCVD</GrpSts>"), None),
        (
            pain(batch="<PmtInfSts>RJCT</PmtInfSts>" + REASON),
            [("rejected", "debit", "", None, "AC04")],
        ),
        (
            pain(status(""), batch="<PmtInfSts>RJCT</PmtInfSts>"),
            [("rejected", "debit", "p1", None, "")],
        ),
        (pain(status(""), group="<GrpSts>ACCP</GrpSts>"), [("accepted", "debit", "p1", None, "")]),
    ],
)
def test_a_status_above_the_transaction_holds_for_it(report, lines):
    found = read(report)
    assert [facts(line) for line in found.lines] == (lines or [])
    assert len(found.rejected) == (lines is None)


@pytest.mark.parametrize("bad", [status("MAYBE"), status("CANC"), status("ACCP", "NOTPROVIDED")])
def test_a_status_that_cannot_be_read_is_rejected_and_the_rest_is_read(bad):
    found = read(pain(bad + status("ACCP", "p2")))
    assert [line.end_to_end_id for line in found.lines] == ["p2"]
    assert len(found.rejected) == 1


def test_returns():
    found = read(pacs(returned() + returned("-1.00", "p2") + returned("2.50", "p3")))
    assert [facts(line) for line in found.lines] == [
        ("returned", "credit", "p1", 1000, "AC06"),
        ("returned", "credit", "p3", 250, "AC06"),
    ]
    assert found.lines[0].booked_on == date(2026, 10, 6)
    assert [rejected.where for rejected in found.rejected] == ["TxInf[2]/RtrdIntrBkSttlmAmt"]
    assert (found.original_message_id, found.currency) == ("ronda-1", "PEN")


SECRET = "un-secreto"
DTD = f'<!DOCTYPE Document [<!ENTITY x SYSTEM "file:///etc/{SECRET}">]>'
LAUGHS = "<!DOCTYPE d [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9)
)


def with_prolog(prolog, encoding="UTF-8"):
    body = GOOD[0].decode().replace("UTF-8", encoding, 1).replace("p1", "&x;", 1)
    return body.replace("?>", f"?>{prolog}", 1)


@pytest.mark.parametrize(
    "hostile",
    [
        with_prolog(DTD).encode(),
        with_prolog(LAUGHS + "]>").encode(),
        with_prolog(DTD, "UTF-16").encode("utf-16"),
        with_prolog(DTD, "UTF-7").replace("<!DOCTYPE", "+ADwAIQ-DOCTYPE").encode(),
        with_prolog(DTD, "UTF-7")
        .replace("<!D", "+ADwAIQ-D")
        .replace("?>", " " * 999 + "?>")
        .encode(),
        with_prolog("").encode(),
        GOOD[0].replace(b"<Stmt>", b"<Stmt>" + b"<a>" * 100_000),
        GOOD[0].replace(b"<Stmt>", b"<Stmt>" + b"<a>" * 500 + b"</a>" * 500),
        camt(entry(entry(detail()))),
        camt(f"<Stmt>{container('camt.053', entry())}</Stmt>"),
        GOOD[0][: len(GOOD[0]) // 2],
        GOOD[0].replace(b"UTF-8", b"no-such"),
        GOOD[0].replace(b"R", b"\xff\xfe"),
        GOOD[0].replace(b"camt.053.001.08", b"camt.053.001.99"),
        GOOD[0].replace(b"camt.053.001.08", b"pain.001.001.09"),
        GOOD[0].replace(b"<Id>s7</Id>", b"").replace(b"<MsgId>m1</MsgId>", b""),
        b"<html><body>Servicio no disponible</body></html>",
        b"",
        b" \n",
        b"\0" * 10,
    ],
)
def test_a_hostile_or_broken_file_is_refused_without_repeating_it(hostile):
    with pytest.raises(Unreadable) as refused:
        read(hostile)
    assert SECRET not in str(refused.value)


def test_a_file_beyond_the_limit_is_refused_before_it_is_parsed():
    with pytest.raises(Unreadable, match="bytes"):
        list(read_file(BytesIO(GOOD[0]), bytes_max=len(GOOD[0]) - 1))


def total_outcome(content):
    """Any bytes give statements, or Unreadable, and nothing else."""
    try:
        found = read_all(content)
    except Unreadable:
        return
    assert all(isinstance(one, Statement) for one in found)


@given(content=st.binary(max_size=300))
def test_any_bytes_parse_or_are_refused(content):
    total_outcome(content)
    total_outcome(b'<?xml version="1.0"?>' + content)


@settings(max_examples=400)
@given(data=st.data())
def test_a_message_with_any_part_changed_parses_or_is_refused(data):
    content = data.draw(st.sampled_from(GOOD))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = min(len(content), start + data.draw(st.integers(0, 60)))
        piece = data.draw(
            st.one_of(
                st.binary(max_size=8),
                st.text(max_size=8).map(str.encode),
                st.sampled_from(
                    [b"", b"<", b"</Ntry>", b"<Ntry>", b"&amp;", b"<!--", b"]]>", b"1e9"]
                ),
                st.just(content[start:stop] * 2),
            )
        )
        content = content[:start] + piece + content[stop:]
    total_outcome(content)


@given(data=st.data())
def test_a_message_with_any_text_in_it_parses_or_is_refused(data):
    """Texts are put between tags, so that the file stays well-formed and the fields are bad."""
    pieces = data.draw(st.sampled_from(GOOD)).decode().split(">")
    place = data.draw(st.integers(1, len(pieces) - 2))
    letters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="<&>")
    tag = pieces[place].rpartition("<")[2]
    pieces[place] = f"{data.draw(st.text(letters, max_size=50))}<{tag}"
    total_outcome(">".join(pieces).encode())


def test_many_entries_come_out_in_order():
    """5,000 entries, each forgotten by the walk once it is a line."""
    found = read(camt("".join(entry(detail(f"p{n}")) for n in range(5_000))))
    assert [line.end_to_end_id for line in found.lines] == [f"p{n}" for n in range(5_000)]
    assert [line.ordinal for line in found.lines] == list(range(1, 5_001))
