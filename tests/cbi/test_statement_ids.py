"""Of what a bank writes only ids are kept: ours as they are, others as keyed hashes."""

from uuid import UUID

import msgspec
import pytest

from cbi import payer
from cbi.disbursement import end_to_end_id, message_id
from cbi.kept import OUR_FILE, OUR_ID, part_of_id, without_names
from ledger.formats.read import read
from tests.cbi.bank import line

KEY = b"m" * 32
OURS = end_to_end_id(UUID("0123456789abcdef0123456789abcdef"), 1)


@pytest.mark.parametrize(
    ("text_", "kept"),
    [
        (f"PAGO {OURS.upper()} GRACIAS", OURS),
        ("REF 0123456789ABCDEF CBI", "0123456789abcdef"),
        ("V12345678 a 987654321 beca", ""),
        ("0123-4567-89AB-C0EF", "0123456789abc0ef"),
        ("0123 4567 89ab", "0123456789ab"),
        ("Ada 45678901 Fe 987654321", ""),
        (f"{OURS}{OURS}", OURS),
        ("ayuda para la familia Pérez", ""),
        ("TRANSF 20260701123456", ""),
        ("", ""),
        ("0123456789abcdefz", ""),
    ],
)
def test_of_a_free_text_only_what_may_be_our_id_is_kept(text_, kept):
    assert part_of_id(text_) == kept


def test_our_own_ids_are_known_by_their_form():
    assert OUR_ID.fullmatch(OURS)
    assert OUR_FILE.fullmatch(message_id(UUID(int=2**127), None))
    assert OUR_FILE.fullmatch(message_id(UUID(int=5), 999_999))


def test_no_name_and_no_account_is_left_of_a_line():
    canary = "JUANA PEREZ QUISPE"
    named = msgspec.structs.replace(
        line("camt.053", 1, canary, 100),
        bank_reference=canary,
        provider_id=canary,
        uetr=canary,
        batch_id=canary,
        account="00219183920230308750",
        reference=f"pago a {canary}",
    )
    kept = without_names(matching_key=KEY)(named)
    told = msgspec.json.encode(kept).decode()
    assert canary not in told
    assert "JUANA" not in told
    assert "00219183920230308750" not in told
    assert kept.provider_id == kept.bank_reference
    assert kept.account_token == payer.token_of("00219183920230308750", matching_key=KEY)


CAMT = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>
<GrpHdr><MsgId>m</MsgId><CreDtTm>2026-10-02T00:00:00Z</CreDtTm></GrpHdr><Stmt><Id>s</Id>
<Ntry><Amt Ccy="PEN">1.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><Dt>2026-10-02</Dt></BookgDt><ValDt><Dt>2026-10-03</Dt></ValDt>
<NtryDtls><TxDtls><Refs><MsgId>FILE</MsgId><EndToEndId>E</EndToEndId>
<UETR>eb6305c9-1f7f-49de-aed0-16487c27b42d</UETR></Refs>
<RltdPties><DbtrAcct><Id><Othr><Id>1</Id></Othr></Id></DbtrAcct>
<CdtrAcct><Id><Othr><Id>2</Id></Othr></Id></CdtrAcct></RltdPties>
<RmtInf><Ustrd>texto</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="PEN">9.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<NtryDtls><Btch><PmtInfId>FILE</PmtInfId><NbOfTxs>3</NbOfTxs></Btch></NtryDtls>
<AddtlNtryInf>lote</AddtlNtryInf></Ntry></Stmt></BkToCstmrStmt></Document>"""


def test_a_statement_says_which_batch_account_and_transaction():
    one, batch = read(CAMT.encode()).lines
    assert (one.uetr, one.batch_id, one.account, one.reference, str(one.value_on)) == (
        "eb6305c9-1f7f-49de-aed0-16487c27b42d",
        "FILE",
        "2",
        "texto",
        "2026-10-03",
    )
    assert (batch.batch_id, batch.batch_count, batch.reference) == ("FILE", 3, "lote")
