"""The command line: every door and every errand of the service.

A command loads its own libraries only: a receiver that does not load the network or the drawing
libraries is up seconds earlier and smaller.
"""

import importlib
import logging
import sys

import typer

from service import logs
from service.errors import ServiceError

#: Exit status of a call that failed, wrong arguments included.
FAILED = 1
#: What the command line library ends with when the arguments are wrong.
WRONG_USAGE = 2
#: Commands whose exit status is read by a program that has a meaning of its own for ``FAILED``.
WRONG_USAGE_OF = {"check": 3}
#: Where each command lives.
COMMANDS = {
    **dict.fromkeys(("serve", "receive", "work", "web"), "doors"),
    **dict.fromkeys(("send", "echo", "db"), "errands"),
    **dict.fromkeys(("user", "key"), "people"),
    "norms": "norms",
    "model": "references",
    **dict.fromkeys(("backup", "restore", "purge", "hold"), "keeping"),
    "withdraw": "withdrawal",
    **dict.fromkeys(("rescore", "replay"), "again"),
    "audit": "auditing",
    "activation": "activation",
    "analyse": "analyse",
    "rules": "rules",
    "optout": "optout",
    "privacy": "privacy",
    "ingest": "ingest",
    "backfill": "backfill",
    "demo": "demo",
    "doctor": "doctor",
    "check": "check",
    "selftest": "selftest",
    "notify": "notify",
}


class Verdict(SystemExit):
    """The exit status that a command ends with on purpose, whatever it means elsewhere."""


def build_app(command: str | None = None) -> typer.Typer:
    """The application with all commands, or with those of the module that knows ``command``."""
    app = typer.Typer(
        name="myoscreen",
        help="Opportunistic measurement of the paraspinal muscles on MRI. "
        "Research use only; not for diagnosis.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    # A callback keeps a single command from becoming the application itself.
    app.callback()(_nothing)
    wanted = {COMMANDS[command]} if command in COMMANDS else dict.fromkeys(COMMANDS.values())
    for name in wanted:
        importlib.import_module(f"service.cli.{name}").add_to(app)
    return app


def _nothing() -> None:
    """Opportunistic measurement of the paraspinal muscles on MRI. Research use only; not for diagnosis."""


def main() -> None:
    """Run one command; what goes wrong on purpose is told in a line, without a stack trace."""
    logs.setup(style="text", level="WARNING")
    command = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        build_app(command)()
    except Verdict:
        raise
    except SystemExit as ended:
        sys.exit(WRONG_USAGE_OF.get(str(command), FAILED) if ended.code == WRONG_USAGE else ended.code)
    except ServiceError as error:
        typer.echo(f"myoscreen: {error.reason.text} [{error.reason.code}]", err=True)
        sys.exit(FAILED)
    except OSError as error:
        logging.getLogger(__name__).debug("command_failed", exc_info=True)
        where = f": {error.filename}" if error.filename else ""
        typer.echo(f"myoscreen: {error.strerror or type(error).__name__}{where}", err=True)
        sys.exit(FAILED)
    except Exception as error:
        # A header value may stand in the message of a foreign library, so only the place is told.
        logging.getLogger(__name__).exception("command_failed")
        typer.echo(f"myoscreen: {type(error).__name__}; this is a fault of the program", err=True)
        sys.exit(FAILED)
