"""Files of a bank as they are kept: sealed in pieces, with no name, also when nothing is read."""

from hashlib import sha256
from io import BytesIO

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi import statements
from cbi.refusal import AccountNotOurs
from cbi.vault import Broken
from ledger import layouts
from ledger.formats.layout import example
from ledger.refusal import StatementUnreadable
from tests.cbi.test_payer import OURS, camt
from tests.cbi.world import ALFA, AT, DESK, programme_of
from tests.ledger.test_mt940 import FIRST, LINES
from tests.ledger.test_mt940 import message as mt940
from tests.ledger.test_table import BANK, REPORT, workbook

WHO = {"partner_id": ALFA.partner_id, "actor_id": ALFA.actor_id, "at": AT}


async def take_in(conn, content, layout=None):
    await db.set_facts(conn, ALFA)
    kept = None
    if layout is not None:
        kept = await layouts.add(conn, layout, example(layout), **WHO)
    return await statements.take_in(
        conn, content, vault=DESK.vault, matching_key=DESK.matching_key, layout=kept, **WHO
    )


async def opened(conn, statement_id, content) -> bytes:
    digest = sha256(content).digest()
    return b"".join(
        [
            piece
            async for piece in statements.opened(
                conn,
                statement_id,
                file_digest=digest,
                partner_id=ALFA.partner_id,
                vault=DESK.vault,
            )
        ]
    )


async def everything(conn) -> str:
    """Each row of the ledger that came of a file, as text."""
    tables = ("statement", "statement_line", "rejected_line", "statement_piece", "unread_file")
    tables += ("unread_piece", "statement_layout")
    found = [await conn.execute(text(f"SELECT CAST(t AS text) FROM ledger.{t} t")) for t in tables]
    return "\n".join(row for rows in found for row in rows.scalars())


def two_messages() -> bytes:
    head, begin, rest = camt(OURS).partition(b"<Stmt>")
    stmt, end, tail = rest.partition(b"</Stmt>")
    second = stmt.replace(b"<Id>S1</Id>", b"<Id>S2</Id>").replace(b"2026-07-02", b"2026-07-03")
    return head + begin + stmt + end + begin + second + end + tail


async def test_the_bytes_are_sealed_in_pieces_and_open_as_they_came(conn, monkeypatch):
    monkeypatch.setattr(statements, "PIECE_BYTES", 300)
    await programme_of(conn)
    content = camt(OURS)
    (stored,) = await take_in(conn, BytesIO(content))
    many = await conn.scalar(text("SELECT count(*) FROM ledger.statement_piece"))
    assert many == -(-len(content) // 300) > 2
    assert await opened(conn, stored.statement_id, content) == content
    assert (await take_in(conn, content))[0].repeated


LAST = "DELETE FROM ledger.statement_piece WHERE piece_no = 3"
MOVED = (
    "UPDATE ledger.statement_piece SET sealed = (SELECT sealed FROM ledger.statement_piece"
    " WHERE piece_no = 1) WHERE piece_no = 2"
)


@pytest.mark.parametrize("change", [LAST, MOVED])
async def test_a_piece_that_is_missing_or_moved_is_found(owner_conn, monkeypatch, change):
    content = workbook(REPORT)
    monkeypatch.setattr(statements, "PIECE_BYTES", len(content) // 3 + 1)
    (stored,) = await take_in(owner_conn, content, "agente-xlsx")
    await owner_conn.execute(text("ALTER TABLE ledger.statement_piece DISABLE TRIGGER USER"))
    await owner_conn.execute(text(change))
    with pytest.raises(Broken):
        await opened(owner_conn, stored.statement_id, content)


async def test_the_messages_of_one_file_are_statements_and_the_first_has_the_bytes(conn):
    await programme_of(conn)
    content = two_messages()
    first, second = await take_in(conn, content)
    assert (first.lines, second.lines) == (1, 1)
    assert await opened(conn, first.statement_id, content) == content
    assert await opened(conn, second.statement_id, content) == b""
    again = await take_in(conn, content)
    assert [(one.statement_id, one.repeated) for one in again] == [
        (first.statement_id, True),
        (second.statement_id, True),
    ]


@pytest.mark.parametrize(
    ("content", "layout", "counts", "canaries"),
    [
        (camt(OURS), None, (1, 0), ("JUANA", "45678901", "YAQUELIN", "20481516")),
        (mt940(), None, (5, 0), ("ROSA", "NL91ABNA", "lote-7")),
        (
            BANK.replace("PAGO;", "PAGO ROSA;").encode("cp1252"),
            "banco-csv",
            (2, 3),
            ("ROSA", "OP-"),
        ),
        (workbook(REPORT), "agente-xlsx", (4, 2), ("A-1K", "en trámite", "diez")),
    ],
    ids=["camt", "mt940", "csv", "xlsx"],
)
async def test_no_name_and_no_account_is_kept_of_any_format(
    conn, content, layout, counts, canaries
):
    await programme_of(conn)
    (stored,) = await take_in(conn, content, layout)
    assert (stored.lines, stored.rejected) == counts
    kept = await everything(conn)
    for canary in (*canaries, OURS, "0113 6600"):
        assert canary.lower() not in kept.lower()
        assert canary.encode().hex() not in kept


async def test_a_report_of_a_provider_needs_no_account_of_ours(conn):
    (stored,) = await take_in(conn, workbook(REPORT), "agente-xlsx")
    used = await conn.execute(
        text("SELECT source, layout_code, layout_version, account_token FROM ledger.statement")
    )
    assert tuple(used.one()) == ("report-table", "agente-xlsx", 1, "")
    assert stored.lines == 4


async def test_a_statement_of_nobodys_account_is_refused_in_every_format(conn):
    await db.set_facts(conn, ALFA)
    for content, layout in ((mt940(), None), (BANK.encode("cp1252"), "banco-csv")):
        with pytest.raises(AccountNotOurs):
            async with conn.begin_nested():
                await take_in(conn, content, layout)


async def test_a_file_that_breaks_behind_many_lines_leaves_nothing(conn, monkeypatch):
    monkeypatch.setattr(statements, "BATCH", 3)
    await programme_of(conn)
    broken = mt940(LINES * 5 + ":86:" + "x" * 2_000)
    with pytest.raises(StatementUnreadable) as refused:
        async with conn.begin_nested():
            await take_in(conn, broken)
    assert refused.value.where.startswith("line ")
    assert await conn.scalar(text("SELECT count(*) FROM ledger.statement_line")) == 0
    (stored,) = await take_in(conn, mt940(LINES * 5))
    assert stored.lines == 25


async def test_what_can_not_be_read_is_kept_sealed_once(conn, monkeypatch):
    monkeypatch.setattr(statements, "PIECE_BYTES", 100)
    await db.set_facts(conn, ALFA)
    content = FIRST.encode() + b"\0 ROSA DIAZ 45678901" * 20
    refused = StatementUnreadable(where="line 5, byte 77", reason="neither UTF-8 nor Latin-1")
    for _ in range(2):
        await statements.keep_unread(conn, content, refused, vault=DESK.vault, **WHO)
    rows = (await conn.execute(text("SELECT * FROM ledger.unread_file"))).all()
    assert [(row.where_, row.reason) for row in rows] == [(refused.where, refused.reason)]
    assert rows[0].file_digest == sha256(content).digest()
    pieces = await conn.scalar(text("SELECT count(*) FROM ledger.unread_piece"))
    assert pieces == -(-len(content) // 100)
    assert "ROSA" not in await everything(conn)


async def test_a_layout_grows_by_versions_without_gaps_and_stays_as_it_was(conn):
    await db.set_facts(conn, ALFA)
    first = await layouts.add(conn, "mine", example("banco-csv"), **WHO)
    second = await layouts.add(conn, "mine", example("agente-xlsx"), **WHO)
    assert (first.version, second.version) == (1, 2)
    old = await layouts.load(conn, "mine", version=1, partner_id=ALFA.partner_id)
    assert old.layout == example("banco-csv")
    insert = (
        "INSERT INTO ledger.statement_layout"
        " (partner_id, code, version, layout, added_at, actor_id)"
        f" VALUES ('{ALFA.partner_id}', 'mine', 4, '{{}}', now(), '{ALFA.actor_id}')"
    )
    with pytest.raises(DBAPIError, match="statement_layout_follows"):
        async with conn.begin_nested():
            await conn.execute(text(insert))
