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
#: Where each command lives, and what `myoscreen --help` says of it without loading it, on one line.
COMMANDS = {
    "serve": ("doors", "Everything on this machine: receiver, worker and web."),
    "receive": ("doors", "Listen for DICOM."),
    "work": ("doors", "Sweep, analyse and deliver."),
    "web": ("doors", "Serve the dashboard and the REST interface."),
    "send": ("errands", "Send DICOM files by C-STORE, the bytes as they are."),
    "echo": ("errands", "Ask a peer by C-ECHO whether it is there."),
    "db": ("errands", "Look after the database."),
    "user": ("people", "People who may log in."),
    "key": ("people", "API keys for programs."),
    "norms": ("norms", "Reference tables by age and sex."),
    "model": ("references", "Networks and their cards."),
    "backup": ("keeping", "Copy everything that an installation is made of."),
    "restore": ("keeping", "Put a backup into an empty installation."),
    "purge": ("keeping", "Take away what is finished and older than it is kept."),
    "hold": ("keeping", "Studies of which nothing is deleted."),
    "withdraw": ("withdrawal", "Take a result back: whoever was sent it is told."),
    "rescore": ("again", "Score stored measures by the norms and the policy of now."),
    "replay": ("again", "Run an analysis again from the stored images, and compare."),
    "audit": ("auditing", "The record of who did what."),
    "activation": ("activation", "Which network, norms, policy and rules are in force."),
    "analyse": ("analyse", "Analyse folders or files, without any server."),
    "rules": ("rules", "The rules that choose what is measured."),
    "optout": ("optout", "Patients whose images are not analysed."),
    "privacy": ("privacy", "Everything that is here of one patient."),
    "ingest": ("ingest", "Take files in as if they had been sent."),
    "backfill": ("backfill", "Fetch past studies from a peer."),
    "demo": ("demo", "Start everything, and play one series through it."),
    "doctor": ("doctor", "Look whether this installation is in order."),
    "check": ("check", "One line for Nagios and its like, with performance data."),
    "selftest": ("selftest", "Send the phantom through receiver and worker."),
    "notify": ("notify", "Notifications by e-mail and webhook."),
}


class Verdict(SystemExit):
    """The exit status that a command ends with on purpose, whatever it means elsewhere."""


def build_app(command: str | None = None) -> typer.Typer:
    """The application with all commands, or with those of the module that knows ``command``."""
    app = _empty_app()
    known = COMMANDS.get(command or "")
    wanted = [known[0]] if known else dict.fromkeys(module for module, _ in COMMANDS.values())
    for name in wanted:
        importlib.import_module(f"service.cli.{name}").add_to(app)
    return app


def build_overview() -> typer.Typer:
    """The application as its help shows it, without loading anything: no command of it does a thing."""
    app = _empty_app()
    for name, (_, summary) in COMMANDS.items():
        app.command(name, help=summary)(_nothing)
    return app


def _empty_app() -> typer.Typer:
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
    return app


def _nothing() -> None:
    """Opportunistic measurement of the paraspinal muscles on MRI. Research use only; not for diagnosis."""


def main() -> None:
    """Run one command; what goes wrong on purpose is told in a line, without a stack trace."""
    logs.setup(style="text", level="WARNING")
    command = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        (build_app(command) if command in COMMANDS else build_overview())()
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
