from sqlalchemy import text

from tests.conftest import PARTNER_A


async def test_a_transaction_knows_its_partner(conn):
    row = (await conn.execute(text("SELECT cbi.partner_id(), current_user"))).one()
    assert row == (PARTNER_A, "cbi_app")


async def test_a_fact_that_is_not_set_reads_as_null(engine):
    async with engine.connect() as bare:
        row = (await bare.execute(text("SELECT cbi.partner_id(), cbi.has_role('admin')"))).one()
    assert row == (None, False)
