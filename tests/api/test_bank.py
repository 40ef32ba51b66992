"""Our payment file, a bank that is not ours, and its answers, read to the last line."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from api.demo.bank import BankError, MockBank, mock_iban
from cbi.payment_files.pain001 import Payment, PaymentInstruction, is_iban, write
from ledger.formats.read import read
from ledger.money import Money

OPENED = datetime(2026, 10, 1, 9, 0)  # noqa: DTZ001 (the bank's wall clock; a Thursday)
DEBTOR = mock_iban("191000001")
BALANCE = 100_000_000
CLOSED = [f"{19100000000000 + number}" for number in (3, 7, 11)]
RETURNED = "p020"
DAYS = 6  # Thursday to Wednesday: settlement, and the return two business days later


def instruction(message_id="ronda-1", count=50):
    """Payments 1 to 25 to accounts at the bank itself, the others to CCIs elsewhere."""
    payments = tuple(
        Payment(
            end_to_end_id=f"p{number:03d}",
            money=Money(amount_minor=76_000 + number, currency="PEN"),
            creditor_name=f"Peña Núñez {number}",
            creditor_account=f"{19100000000000 + number}"
            if number <= count // 2
            else "01136600010003254221",
            creditor_bank="MOCK" if number <= count // 2 else "",
        )
        for number in range(1, count + 1)
    )
    return PaymentInstruction(
        message_id=message_id,
        created_at=OPENED.replace(tzinfo=UTC),
        execution_on=date(2026, 10, 1),
        debtor_name="Asociación Puente",
        debtor_account=DEBTOR,
        debtor_agent="MOCK",
        currency="PEN",
        payments=payments,
    )


@pytest.fixture
async def bank(tmp_path):
    async with MockBank(tmp_path, clock=OPENED) as bank:
        await bank.open_account("CBI", name="Puente", iban=DEBTOR, balance_minor=BALANCE)
        for number in CLOSED:
            await bank.open_closed_creditor(number)
        yield bank


async def statements(bank):
    return [read(message.xml) for message in await bank.collect("CBI")]


def ids(found, source, status):
    return [
        line.end_to_end_id
        for statement in found
        if statement.source == source
        for line in statement.lines
        if line.status == status
    ]


async def test_a_round_goes_out_and_every_answer_is_read(bank):
    asked = instruction()
    file = write(asked)
    assert await bank.findings(file) == []
    await bank.return_later("CBI", RETURNED, days=2, reason="AC06")
    assert (await bank.send(file))["status"] == "PART"
    assert await bank.advance(days=DAYS) == OPENED + timedelta(days=DAYS)

    found = await statements(bank)
    assert [statement.rejected for statement in found] == [()] * len(found)
    sent = [payment.end_to_end_id for payment in asked.payments]
    closed = ["p003", "p007", "p011"]
    settled = [one for one in sent if one not in closed]
    assert ids(found, "pain.002", "rejected") == closed
    assert ids(found, "pain.002", "accepted") == settled
    for source in ("camt.054", "camt.053"):
        assert ids(found, source, "booked") == settled
        assert ids(found, source, "returned") == [RETURNED]
    assert ids(found, "pacs.004", "returned") == [RETURNED]

    lines = [line for statement in found for line in statement.lines]
    reasons = Counter((line.source, line.reason) for line in lines if line.reason)
    assert reasons == {
        ("pain.002", "AC04"): 3,
        ("pacs.004", "AC06"): 1,
        ("camt.054", "AC06"): 1,
        ("camt.053", "AC06"): 1,
    }
    amounts = {payment.end_to_end_id: payment.money for payment in asked.payments}
    assert all(line.money in (None, amounts[line.end_to_end_id]) for line in lines)
    assert {line.direction for line in lines if line.status == "returned"} == {"credit"}
    assert {s.original_message_id for s in found if s.lines} == {"ronda-1"}
    assert "Nunez" not in repr(found)
    assert "0113660" not in repr(found)


async def test_statements_prove_their_continuity(bank):
    asked = instruction()
    await bank.return_later("CBI", RETURNED, days=2)
    await bank.send(write(asked))
    await bank.advance(days=DAYS)
    days = [s for s in await statements(bank) if s.source == "camt.053"]
    assert [statement.sequence for statement in days] == [1, 2, 3, 4]
    assert {statement.account for statement in days} == {DEBTOR}
    balance = BALANCE
    for statement in days:
        assert statement.opening == Money(amount_minor=balance, currency="PEN")
        for line in statement.lines:
            sign = 1 if line.direction == "credit" else -1
            balance += sign * line.money.amount_minor
        assert statement.closing == Money(amount_minor=balance, currency="PEN")
    gone = {"p003", "p007", "p011", RETURNED}
    paid = sum(p.money.amount_minor for p in asked.payments if p.end_to_end_id not in gone)
    assert balance == BALANCE - paid == await bank.balance_minor("CBI")


async def test_a_file_sent_twice_and_a_file_to_an_unknown_debtor_are_refused_as_a_whole(bank):
    file = write(instruction(count=2))
    await bank.send(file)
    again = await bank.send(file)
    assert (again["status"], again["reason"]) == ("RJCT", "DUPL")
    told = (await statements(bank))[-1]
    assert [(one.end_to_end_id, one.status, one.reason) for one in told.lines] == [
        ("", "rejected", "DUPL")
    ]


async def test_a_bank_started_again_in_its_folder_has_lost_nothing(tmp_path):
    async with MockBank(tmp_path, clock=OPENED) as bank:
        await bank.open_account("CBI", name="Puente", iban=DEBTOR, balance_minor=BALANCE)
        await bank.send(write(instruction(count=2)))
        await bank.advance(days=1)
        before = await bank.collect("CBI")
    async with MockBank(tmp_path, clock=OPENED) as bank:
        await bank.open_account("CBI", name="Puente", iban=DEBTOR, balance_minor=BALANCE)
        assert await bank.collect("CBI") == before
        assert await bank.collect("CBI", after=before[-1].message_id) == []
        assert await bank.now() >= OPENED + timedelta(days=1)
        assert len(await bank.payments()) == 2


async def test_a_refusal_of_the_bank_is_an_error_with_its_status(bank):
    with pytest.raises(BankError, match="400"):
        await bank.patch_account("CBI", behaviour="benevolent")
    with pytest.raises(BankError, match="404"):
        await bank.balance_minor("NOBODY")


def test_ibans_of_the_bank_have_right_check_digits():
    for number in ("1", "191000001", "19100000000003", "9" * 17):
        assert is_iban(mock_iban(number))
    with pytest.raises(ValueError, match="account number"):
        mock_iban("12a")
