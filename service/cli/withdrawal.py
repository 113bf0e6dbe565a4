"""Take a result back."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from service.cli.people import ACTOR
from service.core.status import WITHDRAWAL_REASONS
from service.db.session import make_sessions, require_current
from service.db.withdrawals import withdraw as withdraw_result
from service.errors import InvalidRequest
from service.settings import load

#: The largest id that PostgreSQL's BIGINT and SQLite's INTEGER hold.
LARGEST_ID = 2**63 - 1


def withdraw(
    analysis_id: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Number of the analysis.")
    ],
    reason: Annotated[str, typer.Option(help=f"One of {', '.join(WITHDRAWAL_REASONS)}.")],
    comment: Annotated[str, typer.Option(help="Stands in the events of the analysis only.")] = "",
) -> None:
    """Take a result back: the worker tells whoever was sent it."""
    url = load().resolved_database_url
    require_current(url)
    with make_sessions(url).begin() as session:
        found = withdraw_result(
            session, analysis_id, reason=reason, comment=comment, actor=ACTOR, now=datetime.now(UTC)
        )
    if not found:
        raise InvalidRequest("There is no analysis with this number.", reason="not_found")
    typer.echo("withdrawn")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(withdraw)
