"""Payment files as a workbook of one sheet (XLSX), the same bytes each time.

Written in memory: the library's way of sparing memory puts rows of names in the clear into a
temporary folder. A part has 10,000 rows at most.
"""

from datetime import datetime
from decimal import Decimal
from io import BytesIO

import xlsxwriter

from cbi.payment_files.delimited import lines
from cbi.payment_files.profile import Profile
from cbi.payment_files.record import Batch

# The moment of writing would make each writing another file.
CREATED = datetime(2000, 1, 1)  # noqa: DTZ001 -- the format has no time zone
OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def write(profile: Profile, batch: Batch) -> bytes:
    """Write the file. ValueError names a column whose value does not fit."""
    content = BytesIO()
    book = xlsxwriter.Workbook(content, OPTIONS)
    book.set_properties({"created": CREATED})
    sheet = book.add_worksheet("payments")
    decimals = book.add_format({"num_format": "0" if profile.decimals == "minor" else "0.00"})
    for row, cells in enumerate(lines(profile, batch)):
        for column, cell in enumerate(cells):
            if isinstance(cell, Decimal) and cell == cell.to_integral_value():
                whole = cell.as_tuple().exponent == 0
                sheet.write_number(row, column, int(cell), None if whole else decimals)
            elif isinstance(cell, Decimal):
                sheet.write_number(row, column, cell, decimals)
            else:
                sheet.write_string(row, column, cell)
    book.close()
    return content.getvalue()
