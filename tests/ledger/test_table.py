"""Tables of banks and providers: read by a layout, with the two that come with the program."""

import csv
from datetime import date, datetime
from io import BytesIO, StringIO

import msgspec
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.formats.layout import EXAMPLES, Layout, check, example
from ledger.formats.read import read_all
from ledger.formats.xml import Unreadable
from ledger.money import Money

BANK = """Banco de los Andes
Cuenta:;0113 6600 0100 0325 4221
Extracto;7;;Hasta;02/10/2026
Saldo inicial;1.000,00
Saldo final;;1.954,50
Fecha;Fecha valor;Descripción;N° de operación;Referencia;Cargo;Abono
01/10/2026;02/10/2026;PAGO;OP-1;0123456789abcdef0123456789abcdef01;1.050,50;
;;;;;;
01/10/2026;;Devolución;OP-2;;;2.005,00
31/02/2026;;PAGO;OP-3;;1,00;
02/10/2026;;PAGO;OP-4;;1,00;1,00
02/10/2026;;PAGO;OP-5;;1,005;
Totales;;;;;1.050,50;2.005,00
Consultas al 595-0000
"""
REPORT = [
    ["Reporte", "R-77"],
    [],
    ["Código de pago", "Operación", "Lote", "Monto", "Fecha de pago", "Estado", "Comisión"],
    ["p1", "A-1K", "L1", 120.5, datetime(2026, 10, 2), "PAGADO", 1.2],  # noqa: DTZ001
    ["p2", "A-2", "L1", "75.00", "03/10/2026", "no  cobrado", ""],
    ["p3", "A-3", "L1", 0.1 + 0.2, "", "Rechazado", ""],
    ["p4", "", "L1", 10, "", "Devuelto", ""],
    ["p5", "", "L1", 10, "", "en trámite", ""],
    ["p6", "", "L1", "diez", "", "Pagado", ""],
]


def pen(minor):
    return Money(amount_minor=minor, currency="PEN")


def workbook(rows, sheet="Hoja1") -> bytes:
    file = BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True, "default_date_format": "dd/mm/yyyy"})
    page = book.add_worksheet(sheet)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            if cell != "":
                page.write(row, column, cell)
    book.close()
    return file.getvalue()


def only(content, layout):
    (found,) = read_all(content, layout)
    return found


def test_a_bank_statement_in_csv():
    found = only(BANK.encode("windows-1252"), example("banco-csv"))
    assert (found.source, found.account) == ("statement-table", "0113 6600 0100 0325 4221")
    assert (found.opening, found.closing) == (pen(100_000), pen(195_450))
    assert (found.sequence, found.booked_on, found.currency) == (7, date(2026, 10, 2), "PEN")
    first, second = found.lines
    assert (first.status, first.direction, first.money) == ("booked", "debit", pen(105_050))
    assert (first.booked_on, first.value_on) == (date(2026, 10, 1), date(2026, 10, 2))
    assert (first.bank_reference, first.reference) == ("OP-1", "PAGO")
    assert first.end_to_end_id == "0123456789abcdef0123456789abcdef01"
    assert (second.direction, second.money, second.value_on) == ("credit", pen(200_500), None)
    assert [(one.ordinal, one.where, one.reason) for one in found.rejected] == [
        (3, "row 10/booked_on", "not a date"),
        (4, "row 11/debit", "not exactly one of debit and credit"),
        (5, "row 12/debit", "not an amount of its currency"),
    ]


def test_the_report_of_an_agent_in_xlsx():
    found = only(workbook(REPORT), example("agente-xlsx"))
    assert (found.source, found.message_id, found.account) == ("report-table", "R-77", "")
    assert [(one.end_to_end_id, one.status, one.direction, one.money) for one in found.lines] == [
        ("p1", "booked", "debit", pen(12_050)),
        ("p2", "unclaimed", "debit", pen(7_500)),
        ("p3", "rejected", "debit", pen(30)),
        ("p4", "returned", "credit", pen(1_000)),
    ]
    first = found.lines[0]
    assert (first.provider_id, first.batch_id, first.fees) == ("A-1K", "L1", pen(120))
    assert [one.booked_on for one in found.lines[:2]] == [date(2026, 10, 2), date(2026, 10, 3)]
    assert [(one.ordinal, one.where) for one in found.rejected] == [
        (5, "row 8/status"),
        (6, "row 9/amount"),
    ]


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_examples_can_be_used(code):
    assert check(example(code)) == []


def plain(**changes) -> Layout:
    facts = {
        "source": "report-table",
        "form": "csv",
        "columns": {"amount": 1, "booked_on": 2},
        "signs": "minus_is_debit",
        "has_header": False,
        "currency": "PEN",
        "status": "booked",
    }
    return msgspec.convert(facts | changes, Layout)


@pytest.mark.parametrize(
    ("written", "changes", "minor"),
    [
        ("-1250.5", {}, -125_050),
        ('"1,250.50"', {}, 125_050),
        ('"1,250.50-"', {}, -125_050),
        ("(3.00)", {}, -300),
        ("1 250.50", {}, 125_050),
        (".5", {}, 50),
        ("+7", {}, 700),
        ('"1.250,50"', {"decimal": "comma"}, 125_050),
        ('"1250,5"', {"decimal": "comma"}, 125_050),
        ("5.00", {"signs": "minus_is_credit"}, -500),
        ("5.00", {"signs": "all_debits"}, -500),
        ("1.250.50", {}, None),
        ('"12,50"', {}, None),
        ("1e5", {}, None),
        ("5.00", {"currency": "JPY"}, 5),
        ("5.50", {"currency": "JPY"}, None),
        ("٥", {}, None),
        ("--5", {}, None),
        ("", {}, None),
    ],
)
def test_amounts_are_read_as_the_layout_has_them_or_rejected(written, changes, minor):
    found = only(f"{written},2026-10-02\n1,\n".encode(), plain(**changes))
    if minor is None:
        assert [one.where for one in found.rejected] == ["row 1/amount"]
        return
    line = found.lines[0]
    assert found.rejected == ()
    sign = 1 if line.direction == "credit" else -1
    assert sign * line.money.amount_minor == minor


@pytest.mark.parametrize(
    ("written", "form", "is_read"),
    [
        ("2026-10-02", "year_first", True),
        ("2026/10/2 23:59:59", "year_first", True),
        ("02.10.2026", "day_first", True),
        ("10/02/2026", "month_first", True),
        ("20261002", "compact", True),
        ("02/10/26", "day_first", False),
        ("2026-02-30", "year_first", False),
        ("10-02-2026", "year_first", False),
    ],
)
def test_days_are_read_as_the_layout_has_them_or_rejected(written, form, is_read):
    found = only(f"1.00,{written}\n2.00,\n".encode(), plain(dates=form))
    days = [date(2026, 10, 2)] if is_read else []
    assert [line.booked_on for line in found.lines] == [*days, None]
    assert len(found.rejected) == (not is_read)


def test_a_character_that_is_none_spoils_its_own_row():
    content = b"1.00,2026-10-02,a\xff\n2.00,2026-10-02,b\n"
    found = only(content, plain(columns={"amount": 1, "booked_on": 2, "reference": 3}))
    assert [line.reference for line in found.lines] == ["b"]
    assert [one.where for one in found.rejected] == ["row 1/reference"]


def test_words_tell_the_direction():
    columns = {"amount": 1, "direction": 2}
    layout = plain(columns=columns, signs="words", directions={"Cargo": "debit", "Abono": "credit"})
    found = only(b"1.00,CARGO\n2.00,abono\n3.00,otro\n", layout)
    assert [line.direction for line in found.lines] == ["debit", "credit"]
    assert [one.where for one in found.rejected] == ["row 3/direction"]


def test_a_number_of_rows_that_the_table_declares_is_held_against_what_was_read():
    content = b"Filas,{}\n1.00,2026-10-02\n2.00,2026-10-02\n"
    layout = plain(rows_before=1, frame={"count": "Filas"})
    assert only(content.replace(b"{}", b"2"), layout).rejected == ()
    (wrong,) = only(content.replace(b"{}", b"3"), layout).rejected
    assert (wrong.ordinal, wrong.where) == (0, "frame/count")


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        (b"", {}),
        (b"1.00\0,2026-10-02\n", {}),
        (b"x" * 70_000, {}),
        (b'"' + b"a\n" * 100_000, {}),
        (b"," * 300, {}),
        (b"a,b\n1,2\n", {"has_header": True, "columns": {"amount": "Monto"}}),
        (b"Monto,monto\n1,2\n", {"has_header": True, "columns": {"amount": "Monto"}}),
        (b"1.00\n" + b"fin\n" * 200, {"stop": "fin"}),
        (b"uno,2026-10-02\ndos,2026-10-02\n", {}),
    ],
)
def test_what_is_no_such_table_is_refused(content, changes):
    with pytest.raises(Unreadable):
        only(content, plain(**changes))


def test_all_faults_of_a_layout_are_told_at_once():
    bad = plain(
        source="statement-table", columns={"debit": "Monto", "fees": "monto"}, currency="ZZZ"
    )
    assert [fault.path for fault in check(bad)] == [
        "columns",
        "columns.amount",
        "columns.booked_on",
        "columns.debit",
        "columns.fees",
        "currency",
        "frame.account",
    ]


CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["1.00", "-3", "2026-10-02", "PEN", "Totales", "1e9", "=1+1"]),
)


@given(st.lists(st.lists(CELLS, max_size=8), max_size=8))
def test_any_cells_give_lines_or_are_refused(rows):
    text = StringIO()
    csv.writer(text, delimiter=";").writerows(rows)
    for layout in (example("banco-csv"), plain(delimiter=";")):
        try:
            read_all(text.getvalue().encode("windows-1252", errors="replace"), layout)
        except Unreadable:
            continue


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_give_lines_or_are_refused(content):
    for layout in (example("banco-csv"), plain(), example("agente-xlsx")):
        for begin in (b"", b"PK\x03\x04"):
            try:
                read_all(begin + content, layout)
            except Unreadable:
                continue
