"""The command line: `cbi COMMAND --help` says what each one does."""

import rich_click as click

from api.commands import (
    access,
    check,
    database,
    dedup,
    demo,
    households,
    imports,
    ledger,
    serve,
    simulate,
    statements,
    template,
)

click.rich_click.TEXT_MARKUP = "markdown"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cbi", prog_name="cbi")
def main() -> None:
    """Register households, check for duplicates, pay rounds, reconcile the bank.

    Without CBI_DATABASE_URL each command starts an embedded PostgreSQL in CBI_DATA_DIR and stops
    it again. `cbi settings` shows what is set.
    """


households.import_.add_command(statements.statement)
for of_file in (imports.show_, imports.accept, imports.refuse_, imports.close):
    households.import_.add_command(of_file)
for each in (
    serve.serve,
    serve.settings_,
    demo.demo,
    access.partner,
    access.key,
    households.import_,
    template.template,
    check.check,
    dedup.dedup,
    simulate.simulate,
    ledger.ledger,
    database.migrate,
    database.psql,
    database.stop,
):
    main.add_command(each)
