"""The payment instrument and the check digits of a Peruvian account (CCI).

Source of the check digits: the CCI standard as banks publish it, verified for one bank only, so
a mismatch warns and never refuses.
"""

import re
from typing import Annotated, Literal

import msgspec

InstrumentKind = Literal[
    "bank_account",
    "mobile_wallet",
    "prepaid_card",
    "otc_cash",
    "direct_cash",
    "cardless_atm",
    "voucher",
]
Role = Literal["head", "primary_collector", "alternate_collector"]

# These reach nobody without a number to send to.
NEEDS_ACCOUNT: frozenset[str] = frozenset({"bank_account", "mobile_wallet"})

BANKS = {
    "002": "BCP",
    "003": "Interbank",
    "009": "Scotiabank",
    "011": "BBVA",
    "018": "Banco de la Nación",
    "038": "BanBif",
    "049": "Mibanco",
}


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """How the household is paid."""

    kind: InstrumentKind
    # The code of a bank (002), of a wallet (yape), or of the paying bank itself; "" if none.
    bank: Annotated[str, msgspec.Meta(max_length=40)] = ""
    # A CCI (20 digits), an account at the paying bank, or a wallet's phone; "" if none.
    account: Annotated[str, msgspec.Meta(max_length=34)] = ""
    holder: Role = "primary_collector"  # whose name the account is in


def compact(account: str) -> str:
    """The account without blanks and dashes."""
    return re.sub(r"[\s-]", "", account)


def check_digit(digits: str) -> int:
    """Weights 1, 2, 1, 2 … from the left, digits of products summed, (10 - sum mod 10) mod 10."""
    total = 0
    for index, digit in enumerate(digits):
        product = int(digit) * (1 + index % 2)
        total += product // 10 + product % 10
    return (10 - total % 10) % 10


def cci(*, bank_and_office: str, account: str) -> str:
    """The 20-digit CCI of a bank and office (6 digits) and an account (12 digits)."""
    return f"{bank_and_office}{account}{check_digit(bank_and_office)}{check_digit(account)}"


def instrument_fault(instrument: Instrument) -> str:
    """The code of what is wrong with the account, or "" when nothing is."""
    account = compact(instrument.account)
    if instrument.kind in NEEDS_ACCOUNT and not account:
        return "account_missing"
    if instrument.kind != "bank_account":
        return ""
    if re.fullmatch(r"[0-9]{10,20}", account) is None:
        return "account_form"
    if len(account) != 20:
        return ""
    if account != cci(bank_and_office=account[:6], account=account[6:18]):
        return "cci_check"
    if instrument.bank and instrument.bank in BANKS and account[:3] != instrument.bank:
        return "cci_bank"
    return ""
