"""`myoscreen doctor`: look at every part of this installation, and say what is wrong, why, and what to do."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

import service
from service.cli import Verdict
from service.cli.looks import Looked, examine
from service.core.language import Language
from service.core.trouble import Severity, worst
from service.core.trouble_words import SEVERITIES, tell
from service.settings import load

#: Exit status by the worst that was found.
STATUS = {None: 0, Severity.NOTE: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
    german: Annotated[bool, typer.Option("--german", help="Auf Deutsch.")] = False,
) -> None:
    """Look whether this installation is in order: status 0 if so, 1 with warnings, 2 if it is broken."""
    language: Language = "de" if german else "en"
    found = list(examine(load()))
    if as_json:
        typer.echo(json.dumps(_plain(found, language), ensure_ascii=False, indent=2))
    else:
        for looked in found:
            _print(looked, language)
    raise Verdict(STATUS[_worst(found)])


def _worst(found: Sequence[Looked]) -> Severity | None:
    return worst(tuple(trouble for looked in found for trouble in looked.troubles))


def _print(looked: Looked, language: Language) -> None:
    """One line where all is well, else three for each trouble."""
    if not looked.troubles:
        typer.echo(f"ok        {looked.name}: {looked.said}")
    for trouble in looked.troubles:
        told = tell(trouble, language)
        typer.echo(f"{SEVERITIES[language][trouble.severity]:<9} {looked.name}: {told.what}")
        typer.echo(f"          {told.why}")
        typer.echo(f"          -> {told.remedy}")


def _plain(found: Sequence[Looked], language: Language) -> dict[str, object]:
    """The same, ready for JSON."""
    return {
        "version": service.__version__,
        "state": _worst(found) or "ok",
        "checks": [
            {
                "name": looked.name,
                "said": looked.said,
                "troubles": [
                    {
                        "code": trouble.code,
                        "severity": trouble.severity,
                        "about": trouble.about,
                        **vars(tell(trouble, language)),
                    }
                    for trouble in looked.troubles
                ],
            }
            for looked in found
        ],
    }


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)
