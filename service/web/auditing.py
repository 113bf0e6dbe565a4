"""The audit record to take away, for whoever looks at it without a shell on this machine."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from service.core.audittable import Form, written
from service.db import audit
from service.web.api import PROBLEMS, Moment
from service.web.auth import MayAudit, check_api_token
from service.web.context import WebState

router = APIRouter(prefix="/api/v1", dependencies=[Depends(check_api_token)], responses=PROBLEMS)

#: Lines that are handed to the connection together; each hand-over costs a change of threads.
PIECE = 500
MEDIA = {"csv": "text/csv; charset=utf-8", "json": "application/x-ndjson"}


@router.get(
    "/audit/export",
    tags=["audit"],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}, "application/x-ndjson": {}}}},
)
def export_audit(
    *,
    request: Request,
    web: WebState,
    caller: MayAudit,
    form: Annotated[Form, Query(alias="format", description="csv, or json: one line each")] = "csv",
    from_at: Annotated[Moment | None, Query(alias="from", description="at or after")] = None,
    to_at: Annotated[Moment | None, Query(alias="to", description="before")] = None,
) -> StreamingResponse:
    """The audit record of a time as a file, the oldest line first, each with its place in the chain."""
    told = {"since": from_at, "until": to_at}
    detail: dict[str, object] = {"format": form, **{key: str(at) for key, at in told.items() if at}}
    web.audit(request, caller.actor, "audit_exported", object_type="audit", detail=detail)
    lines = audit.lines(web.sessions, since=from_at, until=to_at)
    name = f"myoscreen-audit.{'csv' if form == 'csv' else 'jsonl'}"
    return StreamingResponse(
        _in_pieces(written(lines, form)),
        media_type=MEDIA[form],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _in_pieces(lines: Iterator[str]) -> Iterator[str]:
    while piece := "".join(islice(lines, PIECE)):
        yield piece
