"""The command line: every door and every errand of the service."""

import logging
import sys

import typer

from service import logs
from service.cli import analyse, demo, doctor, doors, errands, people, references
from service.errors import ServiceError

app = typer.Typer(
    name="myoscreen",
    help="Opportunistic measurement of the paraspinal muscles on MRI. Research use only; not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
doors.add_to(app)
analyse.add_to(app)
errands.add_to(app)
demo.add_to(app)
doctor.add_to(app)
people.add_to(app)
references.add_to(app)


def main() -> None:
    """Run one command; what goes wrong on purpose is told in a line, without a stack trace."""
    logs.setup(style="text", level="WARNING")
    try:
        app()
    except ServiceError as error:
        typer.echo(f"myoscreen: {error.reason.text} [{error.reason.code}]", err=True)
        sys.exit(1)
    except OSError as error:
        logging.getLogger(__name__).debug("command_failed", exc_info=True)
        where = f": {error.filename}" if error.filename else ""
        typer.echo(f"myoscreen: {error.strerror or type(error).__name__}{where}", err=True)
        sys.exit(1)
