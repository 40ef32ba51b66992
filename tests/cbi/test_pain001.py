"""The payment file is valid by the published schema, frugal, and the same bytes each time."""

from datetime import UTC, date, datetime, timedelta, timezone
from importlib.resources import files

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from cbi.payment_files import fold as fold_
from cbi.payment_files import pain001
from cbi.payment_files.fold import fold
from cbi.payment_files.pain001 import Payment, PaymentInstruction, is_iban, write
from ledger.money import Money

NS = {"p": pain001.NAMESPACE}
CCI = "01136600010003254221"


def published(version):
    file = files("sepaxml") / "schemas" / f"pain.001.001.{version}.xsd"
    return etree.XMLSchema(etree.fromstring(file.read_bytes()))


SCHEMAS = {version: published(version) for version in ("03", "09")}


@pytest.fixture
def schema():
    return SCHEMAS["09"]


def payment(number=1, **changes):
    facts = {
        "end_to_end_id": f"p{number:04d}",
        "money": Money(amount_minor=76_000 + number, currency="PEN"),
        "creditor_name": "María Ñáñez Güell",
        "creditor_account": CCI,
        "creditor_bank": "",
        "purpose": "",
    }
    return Payment(**(facts | changes))


def instruction(*payments, **changes):
    facts = {
        "message_id": "ronda-2026-10-a",
        "created_at": datetime(2026, 10, 1, 9, 30, 15, 999, tzinfo=UTC),
        "execution_on": date(2026, 10, 2),
        "debtor_name": "Asociación Puente",
        "debtor_account": "NL94MOCK0191000001",
        "debtor_agent": "MOCK",
        "currency": "PEN",
        "payments": payments or (payment(),),
    }
    return PaymentInstruction(**(facts | changes))


def texts(file, path):
    return [element.text for element in etree.fromstring(file).iterfind(path, NS)]


def test_fifty_payments_are_valid_against_the_published_schema(schema):
    payments = [
        payment(number, creditor_account=f"191{number:011d}", creditor_bank="MOCK", purpose="CHAR")
        if number % 2
        else payment(number)
        for number in range(1, 51)
    ]
    file = write(instruction(*payments))
    schema.assertValid(etree.fromstring(file))
    assert texts(file, ".//p:EndToEndId") == [p.end_to_end_id for p in payments]
    assert set(texts(file, ".//p:NbOfTxs")) == {"50"}
    cents = sum(p.money.amount_minor for p in payments)
    assert set(texts(file, ".//p:CtrlSum")) == {f"{cents // 100}.{cents % 100:02d}"}
    assert set(texts(file, ".//p:CdtTrfTxInf/p:CdtrAgt//p:MmbId")) == {"999999992", "011"}


@given(name=st.text(max_size=200), payer=st.text(max_size=100), bic=st.booleans())
@pytest.mark.parametrize("version", ["03", "09"])
def test_any_names_are_valid_against_either_published_schema(version, name, payer, bic):
    one = payment(creditor_name=name, creditor_bank="MOCKNLNA" if bic else "", purpose="CHAR")
    iban = payment(2, creditor_account="NL94MOCK0191000001", creditor_bank="MOCK")
    asked = instruction(one, iban, version=version, debtor_name=payer)
    SCHEMAS[version].assertValid(etree.fromstring(write(asked)))


def test_the_older_version_differs_in_day_and_bank_only():
    one = payment(creditor_bank="MOCKNLNA")
    newer, older = (write(instruction(one, version=version)).decode() for version in ("09", "03"))
    assert older == newer.replace("001.09", "001.03").replace("BICFI", "BIC").replace(
        "<Dt>2026-10-02</Dt>", "2026-10-02"
    )


def test_a_bic_that_the_older_schema_does_not_know_is_not_reached_by_it():
    assert pain001.reaches("123", "MOC1NL2A")
    assert not pain001.reaches("123", "MOC1NL2A", "03")
    with pytest.raises(ValueError, match=r"payment 1: .*BIC"):
        write(instruction(payment(creditor_bank="MOC1NL2A"), version="03"))


def test_a_large_file_comes_in_pieces():
    made = instruction(*(payment(number) for number in range(1, 2_001)))
    pieces = list(pain001.pieces(made))
    assert max(map(len, pieces)) < 250_000
    assert b"".join(pieces) == write(made)


def test_the_same_instruction_gives_the_same_bytes_in_any_time_zone():
    lima = datetime(2026, 10, 1, 4, 30, 15, tzinfo=timezone(timedelta(hours=-5)))
    assert write(instruction()) == write(instruction()) == write(instruction(created_at=lima))


def test_a_currency_without_decimals_is_written_without(schema):
    money = Money(amount_minor=1250, currency="CLP")
    file = write(instruction(payment(money=money), currency="CLP"))
    schema.assertValid(etree.fromstring(file))
    assert texts(file, ".//p:InstdAmt") == texts(file, ".//p:GrpHdr/p:CtrlSum") == ["1250"]


def test_a_cci_is_othr_and_an_iban_is_iban_and_a_bic_is_a_bic():
    iban = payment(creditor_account="NL94MOCK0191000001", creditor_bank="MOCKNL2A")
    other = payment(2, creditor_account="NL95MOCK0191000001", creditor_bank="BCP")
    file = write(instruction(iban, other, payment(3)))
    assert texts(file, ".//p:CdtrAcct/p:Id/p:IBAN") == [iban.creditor_account]
    assert texts(file, ".//p:CdtrAcct/p:Id/p:Othr/p:Id") == [other.creditor_account, CCI]
    assert texts(file, ".//p:CdtrAgt//p:BICFI") == ["MOCKNL2A"]
    assert texts(file, ".//p:CdtrAgt//p:MmbId") == ["002", "011"]


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Peña Núñez, José Ángel", "Pena Nunez, Jose Angel"),
        ("D’Alessandro «Kiko» O'Higgins", "D'Alessandro Kiko O'Higgins"),
        ('Ana "la Negra" <b>&amp;', "Ana la Negra b +amp"),
        ("Straße Łukasz Sørensen", "Strasse Lukasz Sorensen"),
        ("🙂 Yusleidy 🙂 Pérez", "Yusleidy Perez"),
        ("🙂", "NOTPROVIDED"),
        ("王小明", "NOTPROVIDED"),
        ("//-Rosa//Díaz/", "Rosa/Diaz"),
        ("  María\t\n de  la O ", "Maria de la O"),
        ("x" * 200, "x" * 70),
        ("", "NOTPROVIDED"),
    ],
)
def test_names_are_folded_to_the_character_set_of_banks(name, folded, schema):
    assert fold(name) == folded
    file = write(instruction(payment(creditor_name=name)))
    schema.assertValid(etree.fromstring(file))
    assert texts(file, ".//p:Cdtr/p:Nm") == [folded]


@given(name=st.text(max_size=200))
def test_any_name_writes_a_file_and_folding_twice_is_folding_once(name):
    folded = fold(name)
    assert 1 <= len(folded) <= fold_.NAME_MAX
    assert fold_.NOT_SWIFT.search(folded) is None
    assert fold(folded) == folded
    assert texts(write(instruction(payment(creditor_name=name))), ".//p:Cdtr/p:Nm") == [folded]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"end_to_end_id": ""}, "end-to-end"),
        ({"end_to_end_id": "x" * 36}, "end-to-end"),
        ({"end_to_end_id": "José 1"}, "end-to-end"),
        ({"end_to_end_id": "NOTPROVIDED"}, "end-to-end"),
        ({"money": Money(amount_minor=0, currency="PEN")}, "not positive"),
        ({"money": Money(amount_minor=-1, currency="PEN")}, "not positive"),
        ({"money": Money(amount_minor=1, currency="USD")}, "currency"),
        ({"creditor_account": ""}, "account"),
        ({"creditor_account": "1" * 35}, "account"),
        ({"creditor_account": "<x>"}, "account"),
        ({"creditor_bank": "Banco de Nadie"}, "bank"),
        ({"creditor_account": "123", "creditor_bank": ""}, "bank"),
        ({"purpose": "aid"}, "purpose"),
    ],
)
def test_a_payment_that_cannot_be_written_is_named_by_its_place(changes, says):
    with pytest.raises(ValueError, match=f"payment 2: .*{says}") as refused:
        write(instruction(payment(1), payment(2, **changes)))
    for value in changes.values():
        assert not (isinstance(value, str) and len(value) > 3 and value in str(refused.value))


def test_an_end_to_end_id_that_occurs_twice_is_refused():
    with pytest.raises(ValueError, match="payment 2: its end-to-end id occurs twice"):
        write(instruction(payment(1), payment(1)))


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": "x" * 36},
        {"message_id": "a b"},
        {"created_at": datetime(2026, 10, 1, 9, 30)},  # noqa: DTZ001
        {"payments": ()},
        {"debtor_account": "¡no!"},
        {"debtor_agent": "?"},
    ],
)
def test_an_instruction_that_cannot_be_written_is_refused(changes):
    with pytest.raises(ValueError, match=r"\w"):
        write(msgspec.structs.replace(instruction(), **changes))


def test_the_file_says_no_more_than_the_bank_needs():
    leaves = {
        etree.QName(element).localname
        for element in etree.fromstring(write(instruction())).iter()
        if len(element) == 0
    }
    assert leaves == {
        *("MsgId", "CreDtTm", "NbOfTxs", "CtrlSum", "Nm", "PmtInfId", "PmtMtd", "BtchBookg"),
        *("Dt", "IBAN", "Id", "Ccy", "MmbId", "ChrgBr", "EndToEndId", "InstdAmt"),
    }


def test_iban_check_digits():
    assert is_iban("NL94MOCK0191000001")
    assert not is_iban("NL94MOCK0191000002")
    assert not is_iban(CCI)
