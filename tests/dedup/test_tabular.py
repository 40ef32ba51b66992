"""Tables from outside: every form that is understood, and a named reason for every refusal."""

import io
import string
import sys
from collections import Counter
from contextlib import suppress
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dedup import tabular
from dedup.record import Document
from dedup.tabular import COLUMNS, TableUnreadable, read_records, read_truth

ANA = {
    "record_id": "r-1",
    "registration_id": "H-1",
    "partner": "ALFA",
    "given1": "Ana María",
    "given2": "del Valle",
    "surname1": "Pérez",
    "surname2": "Gómez",
    "birth_date": "1990-05-17",
    "sex": "F",
    "doc1_type": "ve-cedula",
    "doc1": "V-12.345.678",
    "doc2_type": "pe-ptp",
    "doc2": "000123456",
    "phone": "+51 900 100 200",
    "ubigeo": "040101",
}


@pytest.fixture
def table(tmp_path):
    """Write a table and return its path; a str becomes UTF-8."""

    def write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def lines(*rows, separator=","):
    """A header of all columns that the rows name, and the rows."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    told = [columns, *([str(row.get(name, "")) for name in columns] for row in rows)]
    return "".join(separator.join(cells) + "\r\n" for cells in told)


def record(path):
    (row,) = read_records(path)
    return row.record


def refusal(read):
    with pytest.raises(TableUnreadable) as refused:
        read()
    return refused.value.reason, list(refused.value.rows)


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_a_row_becomes_a_record_whatever_parts_its_cells(table, separator):
    (row,) = read_records(table(lines(ANA, separator=separator)))
    assert (row.record_id, row.registration_id, row.partner) == ("r-1", "H-1", "ALFA")
    assert row.record.given == ("Ana María", "del Valle")
    assert row.record.surnames == ("Pérez", "Gómez")
    assert row.record.birth_date == date(1990, 5, 17)
    assert row.record.birth_precision == "day"
    assert row.record.sex == "F"
    assert row.record.documents == (
        Document(type="ve-cedula", number="V-12.345.678"),
        Document(type="pe-ptp", number="000123456"),
    )
    assert row.record.phones == ("+51 900 100 200",)
    assert row.record.ubigeo == "040101"


def test_titles_may_come_in_any_order_case_and_spacing_after_a_mark_and_blank_lines(table):
    text = "\ufeff\r\n \r\n Surname1 ;notes;RECORD ID;given-1;Birth Date\r\nPérez;x;7;Ana;1990\r\n"
    (row,) = read_records(table(text))
    assert row.record_id == "7"
    assert row.record.given == ()  # "given-1" is no column of ours
    assert row.record.surnames == ("Pérez",)
    assert row.record.birth_precision == "year"


@pytest.mark.parametrize("missing", COLUMNS)
def test_any_column_may_be_missing_or_empty(table, missing):
    without = {name: value for name, value in ANA.items() if name != missing}
    (row,) = read_records(table(lines(without)))
    (empty,) = read_records(table(lines(ANA | {missing: " "})))
    assert row == empty


def test_a_separator_in_quotes_and_a_line_break_belong_to_the_cell(table):
    assert record(table('given1,surname1\n"Ana, la\nmenor",Pérez\n')).given == ("Ana, la\nmenor",)


def test_short_rows_and_blank_rows_are_no_fault(table):
    rows = list(read_records(table("given1;surname1;phone\nAna\n\n;;\nLuz;Díaz;;;\n")))
    assert [row.record.given for row in rows] == [("Ana",), ("Luz",)]
    assert [row.record_id for row in rows] == ["1", "2"]


def test_a_registration_is_one_household_and_two_partners_may_use_one_number(table):
    text = "given1,registration_id,partner\nAna,1,A\nLuz,1,A\nEva,1,B\nSol,,B\nMar,,B\n"
    households = [row.record.household_id for row in read_records(table(text))]
    assert households[0] == households[1]
    assert len(set(households)) == 4


DAY = date(1990, 5, 7)


@pytest.mark.parametrize(
    ("text", "born", "precision", "warned"),
    [
        ("1990-05-07", DAY, "day", 0),
        ("1990/5/7", DAY, "day", 0),
        ("1990-05-07 00:00:00", DAY, "day", 0),
        ("1990-05-07T00:00:00Z", DAY, "day", 0),
        ("19900507", DAY, "day", 0),
        ("19900507.0", DAY, "day", 0),
        ("07/05/1990", DAY, "day", 0),
        ("7.5.1990", DAY, "day", 0),
        ("07-05-1990 00:00", DAY, "day", 0),
        ("1990-05", date(1990, 5, 1), "month", 0),
        ("1990", date(1990, 1, 1), "year", 0),
        ("1990.0", date(1990, 1, 1), "year", 0),
        ("", None, "day", 0),
        ("NaN", None, "day", 0),
        ("31/02/1990", None, "day", 1),
        ("05/17/1990", None, "day", 1),
        ("1990-13-01", None, "day", 1),
        ("07/05/90", None, "day", 1),
        ("0000-00-00", None, "day", 1),
        ("1066-10-14", None, "day", 1),
        ("1990-W10-1", None, "day", 1),
        ("１９９０-05-07", None, "day", 1),
        ("hacia 1990", None, "day", 1),
    ],
)
def test_dates(table, text, born, precision, warned):
    records = read_records(table(lines({"given1": "Ana", "birth_date": text})))
    (row,) = records
    assert (row.record.birth_date, row.record.birth_precision) == (born, precision)
    assert records.warned == Counter(birth_date=warned) - Counter()


@pytest.mark.parametrize(
    ("text", "sex", "warned"),
    [
        *((text, "F", 0) for text in ("F", "f", "Mujer", "FEMENINO", "female", "F.")),
        *((text, "M", 0) for text in ("M", "m", "hombre", "Varón", "VARON", "male")),
        *((text, "O", 0) for text in ("O", "otro", "X")),
        *((text, "", 0) for text in ("", "n/a", "nan")),
        *((text, "", 1) for text in ("1", "2", "H", "?", "sí")),
    ],
)
def test_sexes(table, text, sex, warned):
    records = read_records(table(lines({"given1": "Ana", "sex": text})))
    assert [row.record.sex for row in records] == [sex]
    assert records.warned["sex"] == warned


@pytest.mark.parametrize(
    ("text", "code", "warned"),
    [
        ("ve-cedula", "ve-cedula", 0),
        ("PE-DNI", "pe-dni", 0),
        ("birth-cert", "birth-cert", 0),
        ("other", "other", 0),
        ("", "other", 0),
        ("social-security", "other", 1),
    ],
)
def test_a_document_of_an_unknown_type_counts_as_other_and_is_counted(table, text, code, warned):
    records = read_records(table(lines({"doc1": "123456", "doc1_type": text})))
    (row,) = records
    assert row.record.documents == (Document(type=code, number="123456"),)
    assert records.warned["doc_type"] == warned


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("040101", "040101"),
        ("40101", "040101"),
        ("40101.0", "040101"),
        ("4", "04"),
        ("15", "15"),
        ("Tacna", "Tacna"),
    ],
)
def test_a_district_gets_its_leading_zero_back(table, text, code):
    assert record(table(lines({"given1": "Ana", "ubigeo": text}))).ubigeo == code


def test_reading_again_counts_again_from_nothing(table):
    records = read_records(table(lines(ANA | {"birth_date": "no"})))
    assert list(records) == list(records)
    assert records.warned["birth_date"] == 1
    assert len(records.digests) == 1


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_the_shares_of_all_workers_are_the_table_and_agree_on_households(
    table, monkeypatch, workers
):
    monkeypatch.setattr(tabular, "BLOCK_ROWS", 3)
    rows = [
        {"given1": f"Ana {at}", "registration_id": at // 4 or "", "sex": "?"} for at in range(11)
    ]
    path = table(lines(*rows))
    whole = read_records(path)
    expected = list(whole)
    shares = [read_records(path) for _ in range(workers)]
    parts = [each.part(worker, workers) for worker, each in enumerate(shares)]
    found = sorted((one for part in parts for one in part), key=lambda one: one[1].record.person_id)
    assert [row for _, row in found] == expected
    assert [number for number, _ in found] == list(range(11))
    assert sum((each.warned for each in shares), Counter()) == whole.warned


HEAD = "record_id,given1,birth_date\n"
LONG = "x" * (tabular.CELL_LENGTH_MAX + 1)


@pytest.mark.parametrize(
    ("content", "reason", "rows"),
    [
        (b"", "header_missing", []),
        ("\n\n \n", "header_missing", []),
        ("record_id,colour\n1,red\n", "header_missing", []),
        ("1,Ana,1990\n2,Luz,1991\n", "header_missing", []),
        (HEAD + "1,Ana,1990\n2,Luz,1991\n1,Eva,1992\n", "id_repeated", [1, 3]),
        (HEAD + "2,Ana,1990\n,Luz,1991\n", "id_repeated", [1, 2]),
        ("given1,GIVEN1 \nAna,Luz\n", "column_repeated", []),
        (HEAD + "1,Ana,1990\n2,Luz,1991,extra\n", "too_many_cells", [2]),
        (HEAD + f"1,Ana,1990\n2,{LONG},1991\n", "cell_too_long", [2]),
        (HEAD + '1,"Ana,1990\n' + "2,Luz,1991\n" * 20_000, "csv_syntax", [1]),
        (HEAD + "x" * 200_000, "csv_syntax", [1]),
        ("x" * 200_000, "csv_syntax", [0]),
        ("given1" + ",x" * 300, "too_many_columns", []),
        (HEAD.encode() + "1,José,1990\n".encode("cp1252"), "not_utf8", []),
        (b"PK\x03\x04 a workbook", "workbook", []),
        (b"PAR1 and nothing else", "parquet_syntax", []),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_what_would_shift_every_number_refuses_the_file(table, content, reason, rows):
    path = table(content)
    assert refusal(lambda: list(read_records(path))) == (reason, rows)


def test_a_table_that_never_ends_is_refused(table, monkeypatch):
    monkeypatch.setattr(tabular, "ROWS_MAX", 3)
    path = table("given1\n" + "Ana\n" * 4)
    assert refusal(lambda: list(read_records(path)))[0] == "too_many_rows"
    assert len(list(read_records(table("given1\n" + "Ana\n" * 3)))) == 3


def parquet(columns):
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def test_parquet_says_what_csv_says(table):
    rows = [ANA, ANA | {"record_id": "r-2", "phone": "", "birth_date": "1987"}]
    as_csv = list(read_records(table(lines(*rows))))
    columns = {name: [row[name] or None for row in rows] for name in ANA}
    as_parquet = read_records(table(parquet(columns | {"list": [[1], [2]]}), "table.parquet"))
    assert list(as_parquet) == as_csv


def test_parquet_may_hold_dates_numbers_and_categories(table):
    columns = {
        "Record ID": pa.array([1, 2]),
        "birth_date": pa.array([date(1990, 5, 7), None]),
        "sex": pa.array(["F", None]).dictionary_encode(),
        "ubigeo": pa.array([40101, None], pa.int32()),
        "given1": pa.array(["Ana", "Luz"], pa.large_string()),
        "surname1": pa.array([None, None], pa.null()),
    }
    one, other = read_records(table(parquet(columns)))
    assert (one.record_id, one.record.birth_date, one.record.ubigeo) == ("1", DAY, "040101")
    assert (one.record.sex, one.record.given) == ("F", ("Ana",))
    assert (other.record.birth_date, other.record.sex, other.record.ubigeo) == (None, "", "")


@pytest.mark.parametrize("values", [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"\xff\xfe"])])
def test_a_parquet_column_that_is_no_text_number_or_date_is_refused(table, values):
    path = table(parquet({"given1": values}))
    assert refusal(lambda: list(read_records(path)))[0] == "parquet_syntax"


def test_parquet_without_its_library_is_refused_by_that_name(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = table(parquet({"given1": ["Ana"]}))
    assert refusal(lambda: list(read_records(path)))[0] == "parquet_missing"


def people(table, *record_ids):
    """Records of these ids, read to the end."""
    rows = "".join(f"{record_id},Ana\n" for record_id in record_ids)
    records = read_records(table("record_id,given1\n" + rows, "people.csv"))
    list(records)
    return records


def test_truth_numbers_the_person_of_each_row_in_the_order_of_the_records(table):
    records = people(table, "a", "b", "c", "d", "e")
    rows = "person_id;record_id;by\nP1;d;x\nP2;b;x\nP1;a;x\n"
    truth = read_truth(table(rows, "truth.csv"), records)
    a, b, c, d, e = truth.person.tolist()
    assert a == d
    assert len({a, b, c, e}) == 4
    assert (truth.unlabelled, truth.unknown) == (2, 0)


def test_labels_of_nobody_and_labels_that_say_nothing_are_counted_or_skipped(table):
    records = people(table, "a", "b")
    rows = "record_id,person_id\nz,P1\na,P1\n,P1\nb,\na,P1\n"
    truth = read_truth(table(rows, "truth.csv"), records)
    assert (truth.unlabelled, truth.unknown) == (1, 1)
    assert truth.person[0] != truth.person[1]


@pytest.mark.parametrize(
    ("content", "reason", "rows"),
    [
        ("record_id,person_id\nb,P2\na,P1\nb,P2\na,P3\n", "two_persons", [2, 4]),
        ("record_id,cluster\na,P1\n", "header_missing", []),
        ("person_id\nP1\n", "header_missing", []),
        ("record_id,person_id,person id\na,P1,P2\n", "column_repeated", []),
    ],
    ids=["two_persons", "no person", "no record", "twice"],
)
def test_a_truth_that_contradicts_itself_or_says_nothing_is_refused(table, content, reason, rows):
    path, records = table(content, "truth.csv"), people(table, "a", "b")
    assert refusal(lambda: read_truth(path, records)) == (reason, rows)


def test_nobody_and_no_truth_are_nobody(table):
    records = read_records(table("record_id,given1\n"))
    assert list(records) == []
    truth = read_truth(table("record_id,person_id\n", "truth.csv"), records)
    assert (len(truth.person), truth.unlabelled, truth.unknown) == (0, 0, 0)


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True),
    st.dictionaries(st.sampled_from("abcdefghij"), st.sampled_from("PQR")),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_truth_joins_as_a_dictionary_would(table, record_ids, labels):
    records = people(table, *record_ids)
    rows = "".join(f"{record_id},{person}\n" for record_id, person in labels.items())
    truth = read_truth(table("record_id,person_id\n" + rows, "truth.csv"), records)
    own = [labels.get(record_id, record_id) for record_id in record_ids]
    numbers = truth.person.tolist()
    assert [a == b for a in numbers for b in numbers] == [a == b for a in own for b in own]
    assert truth.unlabelled == len(set(record_ids) - set(labels))
    assert truth.unknown == len(set(labels) - set(record_ids))


PARQUET = parquet({"record_id": ["1", "2"], "given1": ["Ana", None], "birth_date": ["1990", "x"]})
MESSY = st.text(st.sampled_from(string.digits[:3] + '",;\t\r\n /-.ñÁ\0\ufeffab'), max_size=120)


@given(
    st.one_of(
        st.binary(max_size=300),
        MESSY.map(str.encode),
        MESSY.map(lambda text: ("given1,birth_date,record_id,doc1,sex\n" + text).encode()),
        st.binary(max_size=60).map(lambda tail: b"PAR1" + tail),
        st.integers(0, len(PARQUET)).map(lambda size: PARQUET[:size]),
    )
)
@example(PARQUET)
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(table, content):
    path, records = table(content), people(table, "1")
    for read in (lambda: list(read_records(path)), lambda: read_truth(path, records)):
        with suppress(TableUnreadable):
            read()
