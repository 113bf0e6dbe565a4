"""`myoscreen notify`: try the ways by which people are told of trouble."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from service.errors import DeliveryError
from service.pipeline.notify import try_out
from service.pipeline.recipients import recipients_of
from service.settings import load

notify_app = typer.Typer(no_args_is_help=True, help="Notifications by e-mail and webhook.")


@notify_app.command("test")
def send_test(
    name: Annotated[str, typer.Argument(help="Name of a recipient in the settings; all when absent.")] = "",
) -> None:
    """Send a test message now; status 1 where one does not arrive."""
    settings = load()
    told = [each.model_dump() for each in settings.notify if name in ("", each.name)]
    if not told:
        typer.echo("myoscreen: no such [[notify]] table in the settings", err=True)
        raise typer.Exit(1)
    failed = False
    for recipient in recipients_of(told, site=settings.institution_name or settings.ae_title):
        try:
            try_out(recipient, now=datetime.now(UTC))
            typer.echo(f"{recipient.name}: sent")
        except DeliveryError as error:
            failed = True
            typer.echo(f"{recipient.name}: {error.reason.text} [{error.reason.code}]", err=True)
    if failed:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(notify_app, name="notify")
