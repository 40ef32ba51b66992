"""What a payment file is made of, and its fields as a profile wants them. Pure.

Text of people is folded, and never begins like a formula; everything else was checked before it
came here, and what does not fit its width is a fault, not cut.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal

import msgspec
import phonenumbers

from cbi.payment_files.fold import NAME_MAX, fold_to
from cbi.payment_files.profile import DELIMITERS, Column, Profile
from ledger.money import Money, exponent, total

NAMES = frozenset({"name", "given_names", "surnames", "payer_name"})
CCI_DIGITS = 20
FORMULA = "=+-@|%'\" ＝＋－＠"
MARKS = {"yyyy-mm-dd": "%Y-%m-%d", "yyyymmdd": "%Y%m%d", "dd/mm/yyyy": "%d/%m/%Y"}

Cell = str | Decimal


class Payee(msgspec.Struct, frozen=True):
    """Where money for a household is sent, and in whose name; "" where the file does not ask.

    `phone` is E.164; `bank` a BIC, a name or number in the clearing, or "" where a CCI names it.
    """

    account: str = ""
    bank: str = ""
    phone: str = ""
    given_names: str = ""
    surnames: str = ""
    document_type: str = ""
    document_number: str = ""
    district: str = ""
    member: str = ""  # the bank's number in the clearing

    @property
    def holder(self) -> str:
        return f"{self.given_names} {self.surnames}"

    @property
    def branch(self) -> str:
        """Bank and office of a CCI, else the bank."""
        return self.account[:6] if len(self.account) == CCI_DIGITS else self.member


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One payment of a file. `end_to_end_id` is opaque."""

    end_to_end_id: str
    money: Money
    payee: Payee


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One file: what all its payments have in common, and the payments."""

    message_id: str
    created_at: datetime
    pays_on: date
    payer_name: str
    payer_account: str
    payer_agent: str
    currency: str
    entries: tuple[Entry, ...]

    @property
    def total(self) -> Money:
        return total([entry.money for entry in self.entries], self.currency)


def rows(profile: Profile, batch: Batch) -> Iterator[list[Cell]]:
    """Return the fields of each payment, row by row. ValueError names the column and the place."""
    for row_no, entry in enumerate(batch.entries, start=1):
        values = _of_payment(profile, batch, entry, row_no)
        yield [
            _field(profile, column, f"columns[{place}]", values)
            for place, column in enumerate(profile.columns)
        ]


def record(profile: Profile, batch: Batch, part: str) -> list[Cell]:
    """Return the fields of the `header` or the `trailer`; none where the profile has none."""
    columns: tuple[Column, ...] = getattr(profile, part)
    values = _of_file(profile, batch)
    return [
        _field(profile, column, f"{part}[{place}]", values) for place, column in enumerate(columns)
    ]


def fits(profile: Profile, payee: Payee) -> bool:
    """Whether what this payee is found by stands in its columns whole."""
    values = msgspec.structs.asdict(payee) | {"bank": payee.member, "branch": payee.branch}
    values["phone_national"] = national(payee.phone)
    return all(
        column.width is None or len(str(values.get(column.source, ""))) <= column.width
        for column in profile.columns
        if column.source not in NAMES
    )


def national(phone: str) -> str:
    """Return an E.164 number as it is dialled in its own country."""
    if not phone:
        return ""
    parsed = phonenumbers.parse(phone, None)
    return str(phonenumbers.national_significant_number(parsed))


def amount(profile: Profile, money: Money) -> Cell:
    """Return an amount in the profile's decimal form."""
    if profile.decimals == "minor":
        return Decimal(money.amount_minor)
    if profile.decimals == "comma":
        return str(money).replace(".", ",")
    return Decimal(money.amount_minor).scaleb(-exponent(money.currency))


def day(profile: Profile, on: date) -> str:
    return on.strftime(MARKS.get(profile.dates, "%d%m%Y"))


def _of_payment(profile: Profile, batch: Batch, entry: Entry, row_no: int) -> Mapping[str, Cell]:
    payee = entry.payee
    return msgspec.structs.asdict(payee) | {
        "row_no": Decimal(row_no),
        "end_to_end_id": entry.end_to_end_id,
        "amount": amount(profile, entry.money),
        "currency": batch.currency,
        "pays_on": day(profile, batch.pays_on),
        "bank": payee.member,
        "branch": payee.branch,
        "phone_national": national(payee.phone) if profile.wants("phone_national") else "",
        "name": payee.holder,
    }


def _of_file(profile: Profile, batch: Batch) -> Mapping[str, Cell]:
    return {
        "count": Decimal(len(batch.entries)),
        "total": amount(profile, batch.total),
        "currency": batch.currency,
        "message_id": batch.message_id,
        "pays_on": day(profile, batch.pays_on),
        "created_on": day(profile, batch.created_at.date()),
        "payer_account": batch.payer_account,
        "payer_name": batch.payer_name,
    }


def _field(profile: Profile, column: Column, place: str, values: Mapping[str, Cell]) -> Cell:
    cell = column.constant if column.source == "constant" else values[column.source]
    if column.source in NAMES:
        return _name(profile, str(cell), column.width or NAME_MAX)
    if column.width is not None and len(str(cell)) > column.width:
        raise ValueError(f"{place}: a value is wider than {column.width}")
    return cell


def _name(profile: Profile, name: str, width: int) -> str:
    """Fold a name; it neither begins like a formula nor holds what parts one field from another."""
    folded = fold_to(name, profile.charset)
    if profile.kind == "csv" and profile.quoting == "none":
        folded = folded.replace(DELIMITERS[profile.delimiter], " ").replace('"', " ")
    kept = " ".join(folded.split()).lstrip(FORMULA)
    return kept[:width].rstrip() or "NOTPROVIDED"[:width]
