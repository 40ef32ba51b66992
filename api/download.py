"""Hand out a payment file, or a part of one."""

from typing import Annotated

from litestar import Response
from litestar.params import QueryParameter

from cbi.disbursement import PARTS_MAX
from cbi.payout import PaymentFile

Part = Annotated[
    int | None, QueryParameter(ge=1, le=PARTS_MAX, description="which part of a file of several")
]


def download(file: PaymentFile) -> Response[bytes]:
    """Answer with the exact bytes, their digest, and how many parts there are."""
    return Response(
        file.content,
        media_type=file.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{file.message_id}.{file.suffix}"',
            "X-Content-SHA256": file.sha256,
            "X-File-Parts": str(file.parts),
        },
    )
