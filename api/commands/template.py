"""`cbi template`: the workbook that registrars fill in, and the form for KoboToolbox."""

from pathlib import Path

import rich_click as click

from api.terminal import told
from cbi.intake import template as templates
from cbi.intake import xlsform
from cbi.intake.words import Language


@click.command("template")
@click.option(
    "--kind",
    type=click.Choice(["xlsx", "xlsform"]),
    default="xlsx",
    show_default=True,
    help="A workbook to fill in, or an XLSForm for KoboToolbox and ODK (in both languages).",
)
@click.option(
    "--language", type=click.Choice(["es", "en"]), default="es", show_default=True, help="Of xlsx."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="The file to write.",
)
def template(kind: str, language: Language, out: Path) -> None:
    """Write the template of a registration file; whatever it offers is read by `cbi import`."""
    with told():
        out.write_bytes(xlsform.write() if kind == "xlsform" else templates.write(language))
