"""A sheet adds up what comes in, and each form shows the same of it."""

import ast
import io
import re
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cbi.reports
from cbi.entitlement import EntitlementKind, Why
from cbi.reconciliation import State
from cbi.reports import as_pdf, as_xlsx
from cbi.reports.asked import NAMES
from cbi.reports.sheet import (
    Checkpoint,
    Draft,
    Drafts,
    Parameter,
    Sheet,
    count,
    day,
    days,
    moment,
    money,
    named,
    shown,
    text,
    word,
)
from cbi.reports.spool import Spool
from cbi.reports.words import LANGUAGES, every_word
from ledger.breaks import Owner
from ledger.matching import BreakKind, Claim
from ledger.transfer import Kind
from tests.cbi.reports.reading import bytes_of, csv_blocks, is_date, same_in_all, xlsx_tabs

FOLDER = Path(cbi.reports.__file__).parent
AT = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)


def sheet_of(*sections, organisation="Alfa") -> Sheet:
    return Sheet(
        name="payments",
        parameters=(
            Parameter(key="organisation", kind="text", value=organisation),
            Parameter(key="as_of", kind="date", value="2026-06-01"),
        ),
        checkpoint=Checkpoint(size=12_345, root="0f" * 32),
        sections=sections,
    )


def drafted(*texts, currency="PEN"):
    draft = Draft(
        "payments",
        named("payment_id"),
        text("reason"),
        word("state"),
        day("booked_on"),
        moment("at"),
        days("age"),
        count("payments"),
        money("amount", currency),
        about=currency,
    )
    for place, each in enumerate(texts, start=1):
        draft.add(
            UUID(int=place), each, "delivered", date(2026, 6, 2), AT, place, 1, place * 123_456
        )
    return draft


def test_totals_are_the_sums_of_what_adds_up():
    section = drafted("a", "b", "c").section()
    assert section.totals == (None, None, None, None, None, None, 3, 6 * 123_456)
    assert len(section.rows) == 3


def test_currencies_never_add_up():
    drafts = Drafts("payments", lambda currency: [text("reason"), money("amount", currency)])
    drafts.of("USD").add("x", 5)
    drafts.of("PEN").add("y", 7)
    drafts.of("USD").add("z", 6)
    assert [(s.about, s.totals) for s in drafts.sections()] == [
        ("PEN", (None, 7)),
        ("USD", (None, 11)),
    ]


@pytest.mark.parametrize("currency", ["PEN", "JPY", "KWD", "CLF"])
def test_each_form_has_the_same_numbers_and_the_same_bytes_twice(currency):
    same_in_all(sheet_of(drafted("a", "b", "c", currency=currency).section()))


def test_a_report_of_nothing_is_a_report():
    same_in_all(sheet_of(drafted().section()))
    nothing = sheet_of(drafted().section())
    assert as_pdf.facts(nothing, "es")["sections"][0]["left_out"] == "No hay filas."


@pytest.mark.parametrize("minor", [10**15 - 1, -(10**15), 2**63, -(10**25) - 7])
def test_a_sum_that_a_spreadsheet_would_round_stays_exact(minor):
    draft = Draft("payments", text("reason"), money("amount", "PEN"))
    draft.add("a", minor)
    same_in_all(sheet_of(draft.section()))


def test_a_workbook_has_typed_cells_a_frozen_header_and_a_filter():
    sheet = sheet_of(drafted("a", "b").section())
    row = xlsx_tabs(sheet)[1][1]
    assert [type(cell) for cell in row[5:]] == [float, float, float]
    assert is_date(row[3])
    assert row[0] == str(UUID(int=1))
    archive = zipfile.ZipFile(io.BytesIO(bytes_of(sheet, "xlsx")))
    tab = archive.read("xl/worksheets/sheet2.xml").decode()
    assert '<pane ySplit="1"' in tab
    assert '<autoFilter ref="A1:H3"/>' in tab
    assert b"2000-01-01" in archive.read("docProps/core.xml")


def test_a_section_of_more_rows_than_a_worksheet_has_goes_on_in_another(monkeypatch):
    monkeypatch.setattr(as_xlsx, "ROWS_MAX", 2)
    tabs = xlsx_tabs(sheet_of(drafted(*"abcde").section()))
    assert [len(tab) for tab in tabs[1:]] == [3, 3, 3]
    assert [row[1] for tab in tabs[1:] for row in tab[1:]][:5] == list("abcde")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "＝"])
def test_a_text_from_outside_is_no_formula(start):
    hostile = f'{start}HYPERLINK("http://x")'
    sheet = sheet_of(drafted(hostile).section(), organisation=hostile)
    blocks = csv_blocks(sheet)
    assert blocks[1][2][1] == f"'{hostile}"
    assert blocks[0][1][1] == f"'{hostile}"
    assert xlsx_tabs(sheet)[1][1][1] == hostile
    archive = zipfile.ZipFile(io.BytesIO(bytes_of(sheet, "xlsx")))
    assert not any(b"<f>" in archive.read(name) for name in archive.namelist())


def test_what_would_turn_a_text_round_is_not_shown():
    assert shown("a\u202eb\r\nc\ud800\x07") == "a\ufffdb  c\ufffd\ufffd"
    assert len(shown("x" * 10_000)) == 500


def test_a_pdf_shows_totals_only_of_what_nobody_reads_on_paper(monkeypatch):
    monkeypatch.setattr(as_pdf, "ROWS_MAX", 2)
    sheet = sheet_of(drafted("a", "b", "c").section())
    (section,) = as_pdf.facts(sheet, "en")["sections"]
    assert section["rows"] == []
    assert section["totals"][-1] == "7,407.36"
    assert section["left_out"].startswith("This table has 3 rows, too many for paper")
    assert bytes_of(sheet, "pdf").startswith(b"%PDF-")


def test_a_pdf_has_its_fonts_inside_and_says_no_time():
    content = bytes_of(sheet_of(drafted("a").section()), "pdf")
    assert b"/FontFile" in content
    assert b"/CreationDate" not in content
    assert b"/ModDate" not in content


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(), min_size=1, max_size=4), st.text())
def test_any_texts_are_shown_in_every_form(texts, organisation):
    sheet = sheet_of(drafted(*texts).section(), organisation=organisation)
    same_in_all(sheet)
    cells = [row[1] or "" for row in sheet.sections[0].rows]
    assert [str(row[1]) for row in xlsx_tabs(sheet)[1][1:-1]] == cells
    assert [row[1].removeprefix("'") for row in csv_blocks(sheet)[1][2:-1]] == [
        cell.removeprefix("'") for cell in cells
    ]


@pytest.mark.parametrize(
    "markup", ['#panic("x")', "$ x $", "*b*", "#import", "\\", '"', "`", "<x>", "@ref", "//", "]"]
)
def test_a_text_is_never_read_as_markup(markup):
    bytes_of(sheet_of(drafted(markup).section(), organisation=markup), "pdf")


def test_rows_are_the_same_from_memory_and_from_a_file():
    rows = [(place, f"é{place}", None, 10**30) for place in range(500)]
    for memory_bytes in (2**20, 1):
        spool = Spool(memory_bytes=memory_bytes)
        for row in rows:
            spool.add(row)
        assert list(spool) == list(spool) == rows
        assert len(spool) == 500


def test_every_key_has_both_languages():
    for group, words in every_word().items():
        for key, by_language in words.items():
            assert set(by_language) == set(LANGUAGES), (group, key)
            assert all(by_language.values()), (group, key)


def test_every_key_that_is_used_has_words():
    words = every_word()
    assert set(words["report"]) == set(NAMES)
    makers = {"text", "word", "named", "day", "moment", "days", "rate", "count", "money"}
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            first = node.args[0] if node.args else None
            if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
                continue
            if node.func.id in ("Draft", "Drafts"):
                assert first.value in words["section"], (path.name, first.value)
            if node.func.id in makers and path.stem not in ("load_books", "load_proof"):
                if re.search(r"\s", first.value):
                    continue  # a query
                assert first.value in words["column"], (path.name, first.value)


@pytest.mark.parametrize("kinds", [State, BreakKind, Owner, Claim, Kind, Why, EntitlementKind])
def test_every_word_of_ours_is_told_in_both_languages(kinds):
    assert set(get_args(kinds)) <= set(every_word()["word"])
