"""Write a payment file of any kind."""

from collections.abc import Iterator
from typing import cast

from cbi.payment_files import delimited, fixed, pain001, workbook
from cbi.payment_files.pain001 import Payment, PaymentInstruction, Version
from cbi.payment_files.profile import Profile
from cbi.payment_files.record import Batch

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def pieces(profile: Profile, batch: Batch) -> Iterator[bytes]:
    """Write a file piece by piece. ValueError names the fault and its place, never a content."""
    match profile.kind:
        case "fixed":
            yield from fixed.pieces(profile, batch)
        case "csv":
            yield from delimited.pieces(profile, batch)
        case "xlsx":
            yield workbook.write(profile, batch)
        case _:
            yield from pain001.pieces(_instruction(profile, batch))


def media_type(profile: Profile) -> str:
    match profile.kind:
        case "fixed":
            return f"text/plain; charset={_charset(profile)}"
        case "csv":
            return f"text/csv; charset={_charset(profile)}"
        case "xlsx":
            return XLSX
        case _:
            return "application/xml"


def suffix(profile: Profile) -> str:
    return {"fixed": "txt", "csv": "csv", "xlsx": "xlsx"}.get(profile.kind, "xml")


def version(profile: Profile) -> Version:
    """Which pain.001 a profile of that kind is."""
    return cast(Version, profile.kind[-2:])


def _charset(profile: Profile) -> str:
    names = {"ascii": "us-ascii", "latin-1": "iso-8859-1", "cp1252": "windows-1252"}
    return names.get(profile.charset, "utf-8")


def _instruction(profile: Profile, batch: Batch) -> PaymentInstruction:
    return PaymentInstruction(
        message_id=batch.message_id,
        created_at=batch.created_at,
        execution_on=batch.pays_on,
        debtor_name=batch.payer_name,
        debtor_account=batch.payer_account,
        debtor_agent=batch.payer_agent,
        currency=batch.currency,
        payments=tuple(
            Payment(
                end_to_end_id=entry.end_to_end_id,
                money=entry.money,
                creditor_name=entry.payee.holder,
                creditor_account=entry.payee.account,
                creditor_bank=entry.payee.bank,
            )
            for entry in batch.entries
        ),
        version=version(profile),
    )
