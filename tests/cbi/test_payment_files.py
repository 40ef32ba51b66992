"""Files by profile: exact bytes, no formula, and nothing cut that a payment is found by."""

from io import BytesIO
from zipfile import ZipFile

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import load_workbook

from cbi import profiles
from cbi.payment_files import sample
from cbi.payment_files.fold import fold_to
from cbi.payment_files.record import Batch, Entry, fits
from cbi.payment_files.write import media_type, pieces, suffix
from cbi.profiles import SHIPPED
from tests.cbi.profiled import a_profile

BANK = SHIPPED["example-bank-fixed"]
WALLET = SHIPPED["example-wallet-csv"]
AGENT = SHIPPED["example-agent-xlsx"]
CSV_WITH_NAMES = {
    "instruments": ["bank_account"],
    "columns": [
        {"source": source, "header": source}
        for source in ("name", "account", "amount", "end_to_end_id")
    ],
}


def written(profile, batch: Batch | None = None) -> bytes:
    return b"".join(pieces(profile, batch or sample.batch()))


def named(name: str) -> Batch:
    batch = sample.batch()
    entry = batch.entries[0]
    payee = msgspec.structs.replace(entry.payee, given_names=name, surnames="")
    return msgspec.structs.replace(batch, entries=(msgspec.structs.replace(entry, payee=payee),))


def cells(content: bytes) -> list[list[object]]:
    return load_workbook(BytesIO(content)).get_sheet_by_index(0).to_python()


def test_the_bank_file_of_fixed_width_is_exactly_this():
    blank = " "
    trinity = "Ana Muestra de la Santisima Trinidad de la Santisima Trinida"
    lines = [
        "1" + "000003" + "20260302" + "01136600010003254221" + "PEN" + "000000000165463"
        "CBI00000000000000000000000EXAMPLE" + blank * 2,
        "2" + "01136600010003254221" + "011" + "Maria Jose Ejemplo Nunez".ljust(60) + "PEN"
        "000000000042000" + "0" * 31 + "101" + blank,
        "2" + "01124100019000658270" + "011" + "SUMA(1;2) Guell, de la O".ljust(60) + "PEN"
        "000000000123456" + "0" * 31 + "201" + blank,
        "2" + "01136600010003254221" + "011" + trinity + "PEN"
        "000000000000007" + "0" * 31 + "301" + blank,
        "9" + "000003" + "000000000165463",
    ]
    assert written(BANK) == "".join(f"{line}\r\n" for line in lines).encode("ascii")


def test_the_wallet_file_is_exactly_this_and_names_nobody():
    assert written(WALLET).decode() == (
        "telefono,monto,referencia\r\n"
        f"987654321,420.00,{'0' * 31}101\r\n"
        f"912345678,1234.56,{'0' * 31}201\r\n"
        f"900000003,0.07,{'0' * 31}301\r\n"
    )


def test_the_agent_file_has_these_cells_and_always_these_bytes():
    content = written(AGENT)
    assert content == written(AGENT)
    with ZipFile(BytesIO(content)) as file:
        assert {each.date_time[0] for each in file.infolist()} == {1980}
        assert file.read("docProps/core.xml").count(b"2000-01-01T00:00:00Z") == 2
    title, first, second, _, trailer = cells(content)
    assert title == [
        "NOMBRE", "TIPO DOC", "NUM DOC", "MONTO", "REFERENCIA", "UBIGEO DE PAGO"
    ]  # fmt: skip
    assert first == [
        "María José Ejemplo Núñez", "ve-cedula", "V00000001", 420, "0" * 31 + "101", "230101"
    ]  # fmt: skip
    # Text stays text: the zeros of a document, and what would be a formula elsewhere.
    assert second[:4] == ["SUMA(1;2) Güell, de la O", "pe-ce", "000000002", 1234.56]
    assert trailer[:3] == ["TOTAL", 3, 1654.63]


@pytest.mark.parametrize("quoting", ["minimal", "all", "none"])
@pytest.mark.parametrize("start", [*"=+-@\t\r|%", "  =", "=-+@", "\ufeff=", "＝", "＋="])
def test_no_name_begins_like_a_formula(start, quoting):
    for kind in ("csv", "xlsx"):
        for charset in ("ascii", "utf-8"):
            raw = a_profile("example-wallet-csv", kind=kind, quoting=quoting, charset=charset)
            profile = profiles.read(raw | CSV_WITH_NAMES)
            content = written(profile, named(f"{start}HYPERLINK(1)"))
            if kind == "xlsx":
                name = cells(content)[1][0]
                assert b"<f>" not in content
            else:
                name = content.decode(charset).splitlines()[1].strip('"')
            assert name.startswith("HYPERLINK"), name


@given(
    name=st.text(max_size=90),
    kind=st.sampled_from(["fixed", "csv", "xlsx"]),
    charset=st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8"]),
    quoting=st.sampled_from(["minimal", "all", "none"]),
)
def test_any_name_is_written_and_breaks_no_record(name, kind, charset, quoting):
    if kind == "fixed":
        charset = "ascii" if charset == "utf-8" else charset
        profile = profiles.read(a_profile("example-bank-fixed", charset=charset))
        lines = written(profile, named(name)).decode(charset).split("\r\n")
        assert [len(line) for line in lines] == [88, 137, 22, 0]
        return
    raw = a_profile("example-wallet-csv", kind=kind, quoting=quoting, charset=charset)
    content = written(profiles.read(raw | CSV_WITH_NAMES), named(name))
    if kind == "xlsx":
        assert len(cells(content)) == 2
    else:
        assert len(content.decode(charset).split("\r\n")) == 3


@pytest.mark.parametrize(
    ("charset", "folded"),
    [
        ("ascii", "Nandu Lukasz Zoe 9"),
        ("latin-1", "Ñandú Lukasz Zoë 9"),
        ("cp1252", "Ñandú Lukasz Zoë 9"),
        ("utf-8", "Ñandú Łukasz Zoë 9"),
    ],
)
def test_letters_that_a_character_set_has_stay(charset, folded):
    assert fold_to("Ñandú\nŁukasz\x00Zoë\u202e9", charset) == folded


@pytest.mark.parametrize(
    ("changes", "amount"),
    [({}, "420.00"), ({"decimals": "minor"}, "42000"), ({"decimals": "comma"}, '"420,00"')],
)
def test_amounts_have_the_decimal_form_of_the_profile(changes, amount):
    profile = profiles.read(a_profile("example-wallet-csv", **changes))
    assert written(profile).decode().splitlines()[1].startswith(f"987654321,{amount},")


def test_what_does_not_fit_its_width_is_refused_and_not_cut():
    payee = sample.PAYEES[0]
    assert fits(BANK, payee)
    assert not fits(BANK, msgspec.structs.replace(payee, account="1" * 21))
    batch = sample.batch()
    wide = msgspec.structs.replace(payee, account="1" * 21)
    entry = Entry(end_to_end_id="x", money=batch.entries[0].money, payee=wide)
    with pytest.raises(ValueError, match=r"columns\[1\]: a value is wider than 20") as refused:
        written(BANK, msgspec.structs.replace(batch, entries=(entry,)))
    assert "111" not in str(refused.value)


def test_each_kind_has_its_content_type_and_ending():
    assert {(suffix(each), media_type(each)) for each in SHIPPED.values()} == {
        ("txt", "text/plain; charset=us-ascii"),
        ("csv", "text/csv; charset=utf-8"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("xml", "application/xml"),
    }
