"""Made-up payees, to look at what a profile writes. Nobody of them exists."""

from datetime import UTC, date, datetime

from cbi.payment_files.record import Batch, Entry, Payee
from ledger.money import Money

PAYEES = (
    Payee(
        account="01136600010003254221",
        member="011",
        phone="+51987654321",
        given_names="María José",
        surnames="Ejemplo Núñez",
        document_type="ve-cedula",
        document_number="V00000001",
        district="230101",
    ),
    Payee(
        account="01124100019000658270",
        member="011",
        phone="+51912345678",
        given_names="=SUMA(1;2)",
        surnames="Güell, de la O",
        document_type="pe-ce",
        document_number="000000002",
        district="240101",
    ),
    Payee(
        account="01136600010003254221",
        member="011",
        phone="+51900000003",
        given_names="Ana",
        surnames="Muestra" + " de la Santísima Trinidad" * 4,
        document_type="passport",
        document_number="X0000003",
        district="240101",
    ),
)
AMOUNTS = (42_000, 123_456, 7)


def batch() -> Batch:
    """A file of three payments that a profile could be asked to write."""
    return Batch(
        message_id="CBI00000000000000000000000EXAMPLE",
        created_at=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        pays_on=date(2026, 3, 2),
        payer_name="Asociación Ejemplo",
        payer_account="01136600010003254221",
        payer_agent="BBVA",
        currency="PEN",
        entries=tuple(
            Entry(
                end_to_end_id=f"{number:032x}01",
                money=Money(amount_minor=minor, currency="PEN"),
                payee=payee,
            )
            for number, (payee, minor) in enumerate(zip(PAYEES, AMOUNTS, strict=True), start=1)
        ),
    )
