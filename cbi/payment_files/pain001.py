"""ISO 20022 pain.001.001.09, or .03 of 2009: the file that asks a bank to pay a round.

Pure and deterministic: the same instruction gives the same bytes. The file holds what the bank
needs to pay and nothing else: no document, address, phone, programme or household reference.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Literal

import msgspec

from cbi.payment_files.fold import fold
from ledger.money import Money

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
NAMESPACES = {"09": NAMESPACE, "03": NAMESPACE.replace("09", "03")}
PAYMENTS_MAX = 100_000
ACCOUNT_MAX = 34
Version = Literal["09", "03"]
PIECE = 500  # payments that are written at once

# What a bank is called in the clearing: the first three digits of a CCI in Peru, and for the
# programs that play a bank in tests, their routing number.
CLEARING_MEMBERS = {
    "MOCK": "999999992",
    "BCP": "002",
    "INTERBANK": "003",
    "SCOTIABANK": "009",
    "BBVA": "011",
    "BANCO DE LA NACION": "018",
    "BANBIF": "038",
    "MIBANCO": "049",
}

IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,34}")
ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-]{0,33}")
BIC = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")
BIC_03 = re.compile(r"[A-Z]{6}[A-Z2-9][A-NP-Z0-9](?:[A-Z0-9]{3})?")
CCI = re.compile(r"[0-9]{20}")
IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}")
MEMBER = re.compile(r"[A-Za-z0-9]{1,35}")
PURPOSE = re.compile(r"[A-Z0-9]{4}")


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One credit transfer. `end_to_end_id` is opaque: it must not say who is paid.

    `creditor_bank` is a BIC, a name in CLEARING_MEMBERS, a clearing member's number, or "" for
    the bank that a 20-digit CCI itself names. `purpose` is an ISO external purpose code or "".
    """

    end_to_end_id: str
    money: Money
    creditor_name: str
    creditor_account: str
    creditor_bank: str
    purpose: str = ""


class PaymentInstruction(msgspec.Struct, frozen=True, kw_only=True):
    """One file: one debtor account, one day, one currency."""

    message_id: str
    created_at: datetime
    execution_on: date
    debtor_name: str
    debtor_account: str
    debtor_agent: str
    currency: str
    payments: tuple[Payment, ...]
    version: Version = "09"


def write(instruction: PaymentInstruction) -> bytes:
    """Write the file. ValueError names the fault and the payment's place, never its content."""
    return b"".join(pieces(instruction))


def pieces(instruction: PaymentInstruction) -> Iterator[bytes]:
    """Write the file piece by piece, so that it need not be held; the first comes after all checks.

    ValueError as `write`.
    """
    check(instruction)
    version = instruction.version
    yield (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        f'<Document xmlns="{NAMESPACES[version]}"><CstmrCdtTrfInitn>'
        f"{_header(instruction)}{_batch(instruction)}"
    ).encode()
    payments = instruction.payments
    for start in range(0, len(payments), PIECE):
        yield "".join(_payment(each, version) for each in payments[start : start + PIECE]).encode()
    yield b"</PmtInf></CstmrCdtTrfInitn></Document>"


def check(instruction: PaymentInstruction) -> None:
    """Raise ValueError unless the instruction can be written as it stands."""
    if not IDENTIFIER.fullmatch(instruction.message_id):
        raise ValueError("the message id is not 1 to 35 letters, digits, points or hyphens")
    if instruction.created_at.tzinfo is None:
        raise ValueError("the moment of creation has no time zone")
    if not 1 <= len(instruction.payments) <= PAYMENTS_MAX:
        raise ValueError(f"a file holds 1 to {PAYMENTS_MAX} payments")
    if not ACCOUNT.fullmatch(instruction.debtor_account):
        raise ValueError("the debtor account is not 1 to 34 letters, digits or hyphens")
    version = instruction.version
    _check_agent(instruction.debtor_agent, instruction.debtor_account, version)
    seen: set[str] = set()
    for place, payment in enumerate(instruction.payments, start=1):
        try:
            _check_payment(payment, instruction.currency, version)
        except ValueError as fault:
            raise ValueError(f"payment {place}: {fault}") from None
        if payment.end_to_end_id in seen:
            raise ValueError(f"payment {place}: its end-to-end id occurs twice")
        seen.add(payment.end_to_end_id)


def _check_payment(payment: Payment, currency: str, version: Version) -> None:
    if not IDENTIFIER.fullmatch(payment.end_to_end_id) or payment.end_to_end_id == "NOTPROVIDED":
        raise ValueError("the end-to-end id is not 1 to 35 letters, digits, points or hyphens")
    if payment.money.currency != currency:
        raise ValueError("its currency is not the file's")
    if payment.money.amount_minor <= 0:
        raise ValueError("its amount is not positive")
    if not ACCOUNT.fullmatch(payment.creditor_account):
        raise ValueError("the account is not 1 to 34 letters, digits or hyphens")
    if payment.purpose and not PURPOSE.fullmatch(payment.purpose):
        raise ValueError("the purpose is not a code of four letters")
    _check_agent(payment.creditor_bank, payment.creditor_account, version)


def _check_agent(bank: str, account: str, version: Version) -> None:
    member = clearing_member(bank, account)
    if version == "03" and not member.isdecimal() and not BIC_03.fullmatch(member):
        raise ValueError("the bank's BIC is none of pain.001.001.03")


def clearing_member(bank: str, account: str) -> str:
    """Return a bank's BIC or its number in the clearing; ValueError when neither is known."""
    name = fold(bank).upper() if bank else ""
    if name in CLEARING_MEMBERS:
        return CLEARING_MEMBERS[name]
    if MEMBER.fullmatch(bank) and (bank.isdecimal() or BIC.fullmatch(bank)):
        return bank
    if not bank and CCI.fullmatch(account):
        return account[:3]
    raise ValueError("the bank has no known number in the clearing")


def reaches(account: str, bank: str, version: Version = "09") -> bool:
    """Whether a transfer to this account at this bank can be written."""
    try:
        _check_agent(bank, account, version)
    except ValueError:
        return False
    return ACCOUNT.fullmatch(account) is not None


def is_iban(account: str) -> bool:
    """Whether this has the form and the check digits of an IBAN (ISO 13616)."""
    if not IBAN.fullmatch(account):
        return False
    return int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1


# Text is put between tags as it is: each kind that gets there was checked against a pattern, or
# folded to letters, that hold none of these.
MARKUP = re.compile(r"[<>&]")


def _name(name: str) -> str:
    folded = fold(name)
    assert MARKUP.search(folded) is None
    return f"<Nm>{folded}</Nm>"


def _header(instruction: PaymentInstruction) -> str:
    created = instruction.created_at.astimezone(UTC).replace(microsecond=0, tzinfo=None)
    return (
        f"\n<GrpHdr><MsgId>{instruction.message_id}</MsgId>"
        f"<CreDtTm>{created.isoformat()}Z</CreDtTm>{_totals(instruction)}"
        f"<InitgPty>{_name(instruction.debtor_name)}</InitgPty></GrpHdr>"
    )


def _totals(instruction: PaymentInstruction) -> str:
    minor = sum(payment.money.amount_minor for payment in instruction.payments)
    money = Money(amount_minor=minor, currency=instruction.currency)
    return f"<NbOfTxs>{len(instruction.payments)}</NbOfTxs><CtrlSum>{money}</CtrlSum>"


def _batch(instruction: PaymentInstruction) -> str:
    account, agent = instruction.debtor_account, instruction.debtor_agent
    day = instruction.execution_on.isoformat()
    execution = day if instruction.version == "03" else f"<Dt>{day}</Dt>"
    return (
        f"\n<PmtInf><PmtInfId>{instruction.message_id}</PmtInfId><PmtMtd>TRF</PmtMtd>"
        # One booking per payment: a batch booking would hide which of them the bank debited.
        f"<BtchBookg>false</BtchBookg>{_totals(instruction)}"
        f"<ReqdExctnDt>{execution}</ReqdExctnDt>"
        f"<Dbtr>{_name(instruction.debtor_name)}</Dbtr>"
        f"<DbtrAcct>{_account(account)}<Ccy>{instruction.currency}</Ccy></DbtrAcct>"
        f"<DbtrAgt>{_agent(agent, account, instruction.version)}</DbtrAgt>"
        # The household is owed the whole amount, so charges fall on us.
        "<ChrgBr>DEBT</ChrgBr>"
    )


def _payment(payment: Payment, version: Version) -> str:
    """Write one payment, on a line of its own so that a person can look at the file."""
    money, account = payment.money, payment.creditor_account
    purpose = f"<Purp><Cd>{payment.purpose}</Cd></Purp>" if payment.purpose else ""
    return (
        f"\n<CdtTrfTxInf><PmtId><EndToEndId>{payment.end_to_end_id}</EndToEndId></PmtId>"
        f'<Amt><InstdAmt Ccy="{money.currency}">{money}</InstdAmt></Amt>'
        f"<CdtrAgt>{_agent(payment.creditor_bank, account, version)}</CdtrAgt>"
        f"<Cdtr>{_name(payment.creditor_name)}</Cdtr>"
        f"<CdtrAcct>{_account(account)}</CdtrAcct>{purpose}</CdtTrfTxInf>"
    )


def _account(account: str) -> str:
    """Write an account as an IBAN where it is one; a CCI or a bank's own number is Othr."""
    if is_iban(account):
        return f"<Id><IBAN>{account}</IBAN></Id>"
    return f"<Id><Othr><Id>{account}</Id></Othr></Id>"


def _agent(bank: str, account: str, version: Version) -> str:
    member = clearing_member(bank, account)
    if not member.isdecimal() and BIC.fullmatch(member):
        bic = "BIC" if version == "03" else "BICFI"
        return f"<FinInstnId><{bic}>{member}</{bic}></FinInstnId>"
    return f"<FinInstnId><ClrSysMmbId><MmbId>{member}</MmbId></ClrSysMmbId></FinInstnId>"
