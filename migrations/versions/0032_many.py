"""Register many households at once: their keys are locked together."""

from migrations.run import run_sql

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    run_sql(__file__)
